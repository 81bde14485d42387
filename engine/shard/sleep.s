// Functions without a body, as sleep_unsafe.go has, need a file like this in their package.
