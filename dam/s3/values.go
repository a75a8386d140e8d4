package s3

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Each of the functions below returns a setter, which checks one configured value and stores it.

func asText(into *string) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		if !ok || s == "" || strings.ContainsFunc(s, notHeader) {
			return fmt.Errorf("must be text of printable ASCII characters, got %T", v)
		}
		*into = s
		return nil
	}
}

// notHeader reports whether r cannot be part of a header.
func notHeader(r rune) bool { return r < ' ' || r > '~' }

func asFlag(into *bool) func(any) error {
	return func(v any) error {
		b, ok := v.(bool)
		if !ok {
			return fmt.Errorf("must be true or false, got %#v", v)
		}
		*into = b
		return nil
	}
}

func asOptionalFlag(into **bool) func(any) error {
	return func(v any) error {
		*into = new(bool)
		return asFlag(*into)(v)
	}
}

func asOneOf[T ~string](into *T, values []T) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		if !ok || !slices.Contains(values, T(s)) {
			return fmt.Errorf("must be one of %v, got %#v", values, v)
		}
		*into = T(s)
		return nil
	}
}

func asNumber(into *int, least, most int) func(any) error {
	return func(v any) error {
		n, ok := v.(int)
		if !ok || n < least || n > most {
			return fmt.Errorf("must be a number from %d to %d, got %#v", least, most, v)
		}
		*into = n
		return nil
	}
}

// asDirectory accepts a clean relative path, with or without slashes at its ends.
func asDirectory(into *string, mayBeEmpty bool) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		dir := strings.Trim(s, "/")
		if ok && dir == "" && mayBeEmpty {
			*into = ""
			return nil
		}
		if !ok || checkSegments(dir) != nil || len(dir) > maxKeyBytes/2 {
			return fmt.Errorf("must be a path such as images/approved, without . or .. and of at most %d bytes, got %#v",
				maxKeyBytes/2, v)
		}
		*into = dir + "/"
		return nil
	}
}

func asEndpoint(into *string) func(any) error {
	return func(v any) error {
		s, _ := v.(string)
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
			return fmt.Errorf("must be a URL such as https://s3.example.com, got %T", v)
		}
		*into = s
		return nil
	}
}

func asTagNames(into *[]string) func(any) error {
	return func(v any) error {
		list, ok := v.([]any)
		if !ok || len(list) > maxTags {
			return fmt.Errorf("must be a list of at most %d names of metadata, got %#v", maxTags, v)
		}
		for _, item := range list {
			name, ok := item.(string)
			if !ok || !taggable(name, maxTagKey) || name == "" || slices.Contains(*into, name) {
				return fmt.Errorf("%#v: must be a name that occurs once, of at most %d letters, digits, spaces and _ . : / = + - @",
					item, maxTagKey)
			}
			*into = append(*into, name)
		}
		return nil
	}
}

// asSecret accepts a secret, or with fromFile the name of a file that is read each time the secret
// is needed.
func asSecret(into *func() (string, error), fromFile bool) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		switch {
		case (!ok || s == "") && fromFile:
			return errors.New("must be the path of a file")
		case !ok || s == "":
			return errors.New("must be text")
		}
		*into = func() (string, error) {
			if fromFile {
				return readSecret(s)
			}
			return s, nil
		}
		return nil
	}
}

const maxSecretBytes = 4096

// readSecret reads a file that contains nothing but the secret.
func readSecret(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(raw))
	if s == "" || len(raw) > maxSecretBytes {
		return "", fmt.Errorf("file %s must contain a secret of at most %d bytes", name, maxSecretBytes)
	}
	return s, nil
}

// asSize accepts bytes, as a number or as text such as 16MiB or 5GB.
func asSize(into *int64, least, most int64) func(any) error {
	return func(v any) error {
		n, ok := bytesOf(v)
		if !ok {
			return fmt.Errorf("must be bytes, as a number or as text such as 16MiB or 5GB, got %#v", v)
		}
		if n < least || n > most {
			return fmt.Errorf("must be from %d to %d bytes, got %d", least, most, n)
		}
		*into = n
		return nil
	}
}

func bytesOf(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case string:
		digits := strings.TrimRight(v, "KMGTBi ")
		factor, known := map[string]int64{
			"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": mib, "GiB": gib,
		}[strings.TrimSpace(v[len(digits):])]
		n, err := strconv.ParseInt(digits, 10, 32)
		return n * factor, known && err == nil && n >= 0
	}
	return 0, false
}
