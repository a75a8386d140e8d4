package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"damsync/dam"

	"golang.org/x/sys/unix"
)

// classed wraps err with what was being done and the class of its errno. An error
// that has a class keeps it.
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

// checkWritable checks the permission to write to dir or, when dir is missing, to
// the directory in which it would be created.
func checkWritable(dir string, missing bool) error {
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	for missing && errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		err = unix.Access(dir, unix.W_OK|unix.X_OK)
	}
	return classed("write to "+dir, err)
}

func unsupported(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}

// renameExclusive renames from to a name that does not exist. It passes the system
// call opened directories and bare names, so that the names cannot lead out of
// the root.
func renameExclusive(root *os.Root, from, to string) error {
	fromDir, err := root.Open(path.Dir(from))
	if err != nil {
		return err
	}
	defer fromDir.Close()
	toDir, err := root.Open(path.Dir(to))
	if err != nil {
		return err
	}
	defer toDir.Close()
	if err := renameNoReplace(int(fromDir.Fd()), path.Base(from), int(toDir.Fd()), path.Base(to)); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// sameEntry reports whether two names are one directory entry, as they are when the
// file system ignores case or Unicode normalization.
func sameEntry(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && links(a) < 2
}

// hardLinked reports whether two names are two entries of one file, as they are in
// the middle of a rename made of link and unlink.
func hardLinked(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && links(a) >= 2
}

func links(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}
