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

// ErrKeyExposed is the class of errors when users other than the owner may read
// or write the key file.
var ErrKeyExposed = errors.New("key file is accessible to other users")

// LoadKey returns the key in DAMSYNC_KEY or, if that is empty or not set, the
// key in the key file of dataDir. It creates a missing file and directory;
// processes that do so at the same time agree on one key. env has the signature
// of os.LookupEnv.
//
// The error is ErrBadKey, ErrKeyExposed or an error of the file system.
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

// CheckVariable returns ErrBadKey if DAMSYNC_KEY is set and not a valid key.
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

// createKeyFile writes a new key to a temporary file and links it to path once
// it is complete on disk. If another process has already linked its own key,
// that key stays.
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

// syncDir makes the link survive a power failure. Without the key, the tokens
// sealed with it cannot be opened.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
