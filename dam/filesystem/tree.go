package filesystem

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"damsync/dam/sidecar"
)

// maxStateBytes limits what is read of a record or sidecar. A record contains a
// sidecar.
const maxStateBytes = sidecar.MaxBytes

// tree does single steps under the root. os.Root keeps every path inside,
// whatever symbolic links there are. fault, when set, is asked before each step
// that changes something; tests end the world there.
type tree struct {
	root  *os.Root
	temp  string // directory of unfinished files
	fault func(step string) error
}

func (t *tree) step(name string) error {
	if t.fault == nil {
		return nil
	}
	return t.fault(name)
}

// stat gives nil for what is not there. Links are not followed.
func (t *tree) stat(p string) (fs.FileInfo, error) {
	info, err := t.root.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	return info, err
}

// readState returns a sidecar or record whole. It is nil when p does not exist, is
// no regular file, or is larger than any of ours.
func (t *tree) readState(p string) ([]byte, error) {
	info, err := t.stat(p)
	if info == nil || err != nil || !info.Mode().IsRegular() || info.Size() > maxStateBytes {
		return nil, err
	}
	f, err := t.root.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxStateBytes))
}

// readJSON reports whether p exists and is JSON that fits v. A file that is not
// JSON is no error: it is not ours.
func (t *tree) readJSON(p string, v any) (ok bool, err error) {
	raw, err := t.readState(p)
	return err == nil && json.Unmarshal(raw, v) == nil, err
}

// writeJSON replaces p as a whole with v and makes that durable.
func (t *tree) writeJSON(p string, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return t.writeIndented(p, buf.Bytes())
}

// writeIndented replaces p as a whole with JSON, indented for people who read
// it, and makes that durable.
func (t *tree) writeIndented(p string, raw []byte) error {
	var buf bytes.Buffer
	if err := json.Indent(&buf, bytes.TrimSpace(raw), "", "  "); err != nil {
		return err
	}
	buf.WriteByte('\n')
	temp, err := t.writeTemp(&buf)
	if err != nil {
		return err
	}
	if err := t.rename(temp, p); err != nil {
		return errors.Join(err, t.remove(temp))
	}
	return t.syncDir(path.Dir(p))
}

// writeTemp streams r into a new file that is on the disk when it returns.
func (t *tree) writeTemp(r io.Reader) (name string, err error) {
	name = path.Join(t.temp, "new-"+rand.Text())
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

// remove of what is not there is success.
func (t *tree) remove(p string) error {
	if err := t.step("remove"); err != nil {
		return err
	}
	if err := t.root.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// mkdirAll makes each missing directory and makes it last.
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

// syncDir makes the entries of dir last. File systems that cannot are believed.
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

// prune removes dir and its parents as far as they are empty, never the root
// or a directory of the adapter's own.
func (t *tree) prune(dir string) error {
	for dir != "." && dir != archiveDir && !strings.HasPrefix(dir, stateDir) {
		if err := t.step("prune"); err != nil {
			return err
		}
		if t.root.Remove(dir) != nil {
			return nil // not empty, most often; an empty directory harms nobody
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

// sameEntry reports whether two names lead to one directory entry, as they do
// when the file system ignores case or normal form.
func sameEntry(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && links(a) < 2
}

// hardLinked reports whether two names are two entries of one file, which is
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
