package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// KeyVariable is the environment variable that holds the key.
	KeyVariable = "DAMSYNC_KEY"
	// KeyFile is the name of the key file in the data directory.
	KeyFile = "damsync.key"
)

// ErrKeyExposed is the class of a key file that others than its owner may read
// or write.
var ErrKeyExposed = errors.New("key file is open to other users")

// LoadKey returns the key in DAMSYNC_KEY or, when that is not set or empty, the
// one in the key file of dataDir. A missing file is made, and the directory too:
// processes that start at the same time agree on one key. env looks a variable
// up as os.LookupEnv does.
//
// The error is ErrBadKey, ErrKeyExposed or one of the file system.
func LoadKey(env func(string) (string, bool), dataDir string) (Key, error) {
	if k, set, err := fromVariable(env); set {
		return k, err
	}
	path := filepath.Join(dataDir, KeyFile)
	k, err := readKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := createKeyFile(dataDir, path); err != nil {
		return Key{}, fmt.Errorf("create key file (or set %s): %w", KeyVariable, err)
	}
	return readKeyFile(path)
}

// CheckVariable tells whether DAMSYNC_KEY is a key, where it is set. The error is ErrBadKey.
func CheckVariable(env func(string) (string, bool)) error {
	_, _, err := fromVariable(env)
	return err
}

func fromVariable(env func(string) (string, bool)) (k Key, set bool, err error) {
	text, _ := env(KeyVariable)
	if text == "" {
		return Key{}, false, nil
	}
	if k, err = ParseKey(text); err != nil {
		return Key{}, true, fmt.Errorf("read %s: %w", KeyVariable, err)
	}
	return k, true, nil
}

func readKeyFile(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("open key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Key{}, fmt.Errorf("inspect key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Key{}, fmt.Errorf("%w: %s has mode %04o; check who has read it, then run: chmod 600 %s", ErrKeyExposed, path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return Key{}, fmt.Errorf("read key file: %w", err)
	}
	k, err := ParseKey(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("read key file %s: %w", path, err)
	}
	return k, nil
}

// createKeyFile makes a key and links it to path once it is whole on disk. When
// another process has linked its own first, that one stands.
func createKeyFile(dataDir, path string) error {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dataDir, KeyFile+".*") // O_EXCL, mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := writeNewKey(f); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dataDir)
}

func writeNewKey(f *os.File) error {
	var k Key
	rand.Read(k.bytes[:])
	_, err := f.WriteString(k.hex() + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes the link outlast a power failure: tokens sealed with a key that
// is lost cannot be opened again.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
