package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"
)

func unset(string) (string, bool) { return "", false }

func variable(value string) func(string) (string, bool) {
	return func(name string) (string, bool) { return value, name == KeyVariable }
}

func TestNothingPrintsASecret(t *testing.T) {
	key, err := ParseKey(strings.Repeat("41", KeySize)) // "AAAA…"
	if err != nil {
		t.Fatal(err)
	}
	s := New("hunter2")
	holder := struct {
		S String
		K Key
		P *String
	}{s, key, &s}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%U"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", s, key, holder)
	}
	asJSON, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(asJSON)
	logger := zerolog.New(&out)
	logger.Info().Interface("holder", holder).Stringer("key", key).Any("s", s).Send()
	for _, leak := range []string{"hunter2", "68756e74657232", "AAAA", "4141", "65 65", "65, 65"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed %q:\n%s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), "[secret]") {
		t.Error("mask missing")
	}
}

func TestKeyFromEnvironment(t *testing.T) {
	dir := t.TempDir()
	digits := strings.Repeat("0aF", 22)[:64]
	k, err := LoadKey(variable(digits+"\n"), dir)
	if err != nil || k.hex() != strings.ToLower(digits) {
		t.Errorf("LoadKey = %v, %v", k.hex(), err)
	}
	for name, bad := range map[string]string{
		"no digits": "password", "too short": digits[1:], "too long": digits + "0", "not hexadecimal": strings.Repeat("g", 64),
	} {
		t.Run(name+" is an error that hides the text", func(t *testing.T) {
			_, err := LoadKey(variable(bad), dir)
			if !errors.Is(err, ErrBadKey) || strings.Contains(err.Error(), bad) {
				t.Errorf("LoadKey = %v", err)
			}
		})
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("a key in the environment created files: %v", entries)
	}
}

func TestKeyFileIsCreatedOnceAndPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := LoadKey(unset, dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadKey(variable(""), dir)
	if err != nil || first != second || first == (Key{}) {
		t.Errorf("second start has another key: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, KeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("temporary files remain: %v", entries)
	}
}

func TestConcurrentStartsAgreeOnTheKey(t *testing.T) {
	dir := t.TempDir()
	const starts = 16
	keys := make([]Key, starts)
	var wg sync.WaitGroup
	for i := range starts {
		wg.Go(func() {
			k, err := LoadKey(unset, dir)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatal("different keys")
		}
	}
}

func TestKeyFileRejected(t *testing.T) {
	good := strings.Repeat("ab", KeySize)
	tests := map[string]struct {
		content string
		mode    os.FileMode
		class   error
		message string
	}{
		"readable by the group": {good, 0o640, ErrKeyExposed, "has mode 0640"},
		"readable by all":       {good, 0o604, ErrKeyExposed, "chmod 600"},
		"writable by others":    {good, 0o602, ErrKeyExposed, "has mode 0602"},
		"empty file":            {"", 0o600, ErrBadKey, KeyFile},
		"truncated":             {good[:40], 0o600, ErrBadKey, KeyFile},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, KeyFile)
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadKey(unset, dir)
			if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("got %v", err)
			}
			if left, _ := os.ReadFile(path); string(left) != tt.content {
				t.Error("the file was overwritten")
			}
		})
	}
}

func sealer(t testing.TB, text string) *Sealer {
	t.Helper()
	k, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSealer(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedDataOpensOnlyUnchanged(t *testing.T) {
	one, other := sealer(t, strings.Repeat("01", KeySize)), sealer(t, strings.Repeat("02", KeySize))
	rapid.Check(t, func(t *rapid.T) {
		plaintext := rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		associated := rapid.SliceOf(rapid.Byte()).Draw(t, "associated")
		sealed := one.Seal(plaintext, associated)
		if string(one.Seal(plaintext, associated)) == string(sealed) {
			t.Fatal("two seals of one secret are equal")
		}
		opened, err := one.Open(sealed, associated)
		if err != nil || string(opened) != string(plaintext) {
			t.Fatalf("opened %q, %v", opened, err)
		}
		if _, err := other.Open(sealed, associated); !errors.Is(err, ErrWrongKey) {
			t.Fatalf("wrong key: %v", err)
		}
		if _, err := one.Open(sealed, append(associated, 'x')); !errors.Is(err, ErrTampered) {
			t.Fatalf("other associated data: %v", err)
		}
		if _, err := one.Open(sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "cut")], associated); err == nil {
			t.Fatal("opened truncated data")
		}
		i := rapid.IntRange(0, len(sealed)-1).Draw(t, "changed byte")
		sealed[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
		if _, err := one.Open(sealed, associated); !errors.Is(err, ErrTampered) && !errors.Is(err, ErrWrongKey) {
			t.Fatalf("changed byte %d: %v", i, err)
		}
	})
}
