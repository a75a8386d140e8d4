package filesystem

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// tree does single steps under the root for one target of one installation.
// os.Root keeps every path inside, whatever symbolic links exist.
type tree struct {
	root             *os.Root
	home             home
	instance, target string

	// fault, when set, is called before each step that changes something. Tests
	// fail the step, or stop the world, there.
	fault func(step string) error
}

func (t *tree) step(name string) error {
	if t.fault == nil {
		return nil
	}
	return t.fault(name)
}

// stat returns nil for what does not exist. It does not follow links.
func (t *tree) stat(p string) (fs.FileInfo, error) {
	info, err := t.root.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	return info, err
}

// writeTemp streams r into a new file that is durable when it returns.
func (t *tree) writeTemp(r io.Reader) (name string, err error) {
	name = path.Join(t.home.tempDir(), "new-"+rand.Text())
	if err := t.step("create temp"); err != nil {
		return "", err
	}
	f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = t.step("sync temp")
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, t.remove(name))
	}
	return name, nil
}

func (t *tree) rename(from, to string) error {
	if err := t.step("rename"); err != nil {
		return err
	}
	return t.root.Rename(from, to)
}

// renameNew renames from to a name that must be free; fs.ErrExist when it is not.
// Another spelling of the same directory entry counts as free.
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
		err = renameExclusive(t.root, from, to)
	}
	if !unsupported(err) {
		return err
	}
	return t.linkNew(from, to)
}

// linkNew is renameNew for file systems without an exclusive rename.
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

// remove succeeds when p does not exist.
func (t *tree) remove(p string) error {
	if err := t.step("remove"); err != nil {
		return err
	}
	if err := t.root.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// mkdirAll creates each missing directory and makes it durable.
func (t *tree) mkdirAll(dir string) error {
	if dir == "." {
		return nil
	}
	if info, err := t.root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := t.mkdirAll(path.Dir(dir)); err != nil {
		return err
	}
	if err := t.step("mkdir"); err != nil {
		return err
	}
	if err := t.root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := t.root.Stat(dir); err != nil || !info.IsDir() {
		return errors.Join(&fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}, err)
	}
	return t.syncDir(path.Dir(dir))
}

// syncDir makes the entries of dir durable, on file systems that can.
func (t *tree) syncDir(dir string) error {
	if err := t.step("sync directory"); err != nil {
		return err
	}
	f, err := t.root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// prune removes dir and its parents while they are empty, but never the root or a
// directory of the adapter's own.
func (t *tree) prune(dir string) error {
	for dir != "." && dir != archiveDir && !strings.HasPrefix(dir, stateDir) {
		if err := t.step("prune"); err != nil {
			return err
		}
		if t.root.Remove(dir) != nil {
			return nil // usually not empty; an empty directory does no harm
		}
		dir = path.Dir(dir)
	}
	return nil
}

// sha256 reads the file whole.
func (t *tree) sha256(p string) (string, error) {
	f, err := t.root.Open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", p, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
