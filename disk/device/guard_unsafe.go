package device

import (
	"fmt"
	"runtime/debug"
	"unsafe"
)

// Fault says that memory behind a mapping could not be read: a bad sector, or a file that someone shortened.
type Fault struct {
	Offset int // of the byte that faulted, from the start of the mapping
}

func (f *Fault) Error() string { return fmt.Sprintf("mapped byte %d cannot be read", f.Offset) }

// Guarded runs touch, which reads from mapping in this goroutine, and turns a fault in the mapping into a *Fault where the process
// would die otherwise. Any other panic goes on. It costs about 10 ns, so guard a read, not a byte. A system call
// that is handed a mapping needs no guard: it fails with EFAULT.
func Guarded(mapping []byte, touch func()) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if at, ok := r.(interface{ Addr() uintptr }); ok {
			start := uintptr(unsafe.Pointer(unsafe.SliceData(mapping)))
			if addr := at.Addr(); addr >= start && addr-start < uintptr(len(mapping)) {
				err = &Fault{Offset: int(addr - start)}
				return
			}
		}
		panic(r)
	}()
	touch()
	return nil
}

// CopyMapped copies from a mapping at pos into b, and returns a *Fault where a byte cannot be read.
func CopyMapped(b, mapping []byte, pos int) (n int, err error) {
	err = Guarded(mapping, func() { n = copy(b, mapping[pos:]) })
	return n, err
}
