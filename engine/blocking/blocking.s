// Functions without a body, as syscall_unsafe.go has, need a file like this in their package.
