package filesystem

import (
	"errors"
	"fmt"
	"syscall"

	"damsync/dam"
)

// classed wraps err with what was being done and the class its errno stands
// for. An error that has a class keeps it.
func classed(doing string, err error) error {
	if err == nil {
		return nil
	}
	if class := errnoClass(err); class != nil && dam.Classify(err) == dam.ClassUnknown {
		return fmt.Errorf("%s: %w: %w", doing, class, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func errnoClass(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return nil
	}
	switch errno {
	case syscall.ENOSPC, syscall.EDQUOT:
		return dam.ErrFull
	case syscall.EROFS:
		return dam.ErrReadOnly
	case syscall.EACCES, syscall.EPERM, syscall.EXDEV:
		return dam.ErrUnavailable
	case syscall.ENAMETOOLONG, syscall.EILSEQ, syscall.EFBIG:
		return dam.ErrInvalid
	case syscall.EIO, syscall.ESTALE, syscall.EMFILE, syscall.ENFILE, syscall.ENOENT, syscall.EBUSY:
		return dam.ErrTemporary
	}
	return nil
}
