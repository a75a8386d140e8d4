package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// renameNew renames from to a name that must be free; fs.ErrExist when it is
// not. A name that is the same entry in another spelling counts as free.
func (t *tree) renameNew(from, to string) error {
	source, err := t.root.Lstat(from)
	if err != nil {
		return err
	}
	if there, err := t.stat(to); err != nil {
		return err
	} else if sameEntry(source, there) {
		return t.rename(from, to)
	}
	err = t.step("rename to a new name")
	if err == nil {
		err = t.renameExclusive(from, to)
	}
	if !unsupported(err) {
		return err
	}
	return t.linkNew(from, to)
}

// linkNew is for file systems without an exclusive rename.
func (t *tree) linkNew(from, to string) error {
	err := t.step("link")
	if err == nil {
		err = t.root.Link(from, to)
	}
	if err == nil {
		return t.remove(from)
	}
	if !unsupported(err) && !errors.Is(err, syscall.EPERM) {
		return err
	}
	if there, err := t.stat(to); err != nil || there != nil {
		return errors.Join(err, &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist})
	}
	return t.rename(from, to)
}

// renameExclusive hands the system call opened directories and bare names, so
// that the names cannot lead out of the root.
func (t *tree) renameExclusive(from, to string) error {
	fromDir, err := t.root.Open(path.Dir(from))
	if err != nil {
		return err
	}
	defer fromDir.Close()
	toDir, err := t.root.Open(path.Dir(to))
	if err != nil {
		return err
	}
	defer toDir.Close()
	if err := renameNoReplace(int(fromDir.Fd()), path.Base(from), int(toDir.Fd()), path.Base(to)); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func unsupported(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}
