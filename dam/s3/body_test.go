package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"damsync/dam"

	"pgregory.net/rapid"
)

// A body is passed on whole in whatever pieces it arrives, and its last byte only after the Source
// has verified it.
func TestVerifiedReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "body")
		promised := int64(len(body) + rapid.IntRange(-1, 1).Draw(t, "lie"))
		var r io.Reader = bytes.NewReader(body)
		switch rapid.IntRange(0, 3).Draw(t, "pieces") {
		case 1:
			r = iotest.OneByteReader(r)
		case 2:
			r = iotest.DataErrReader(r)
		case 3:
			r = iotest.HalfReader(r)
		}
		verified := false
		source := dam.NewSource(r, promised, "")
		s := newVerifiedReader(source, promised, func() error { verified = true; return nil })
		got, err := io.ReadAll(iotest.HalfReader(s))
		if promised == int64(len(body)) {
			if err != nil || !bytes.Equal(got, body) || !verified {
				t.Fatalf("%q passed on as %q, %v", body, got, err)
			}
			return
		}
		if promised > 0 && int64(len(got)) >= promised || verified || promised > 0 && !errors.Is(err, dam.ErrSource) {
			t.Fatalf("%d bytes promised, %q passed on as %q, %v", promised, body, got, err)
		}
	})
}

func TestTrailed(t *testing.T) {
	framed := newTrailed(strings.NewReader("hello"), 5, &trailer{
		"x-amz-checksum-crc32c", 4, nil, func() ([]byte, error) { return []byte{0, 1, 2, 3}, nil },
	})
	got, err := io.ReadAll(framed)
	want := "5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:AAECAw==\r\n\r\n"
	if err != nil || string(got) != want || framed.length != int64(len(want)) {
		t.Errorf("%q of %d bytes, %v; want %q", got, framed.length, err, want)
	}
	broken := newTrailed(strings.NewReader("hello"), 5, &trailer{"x", 4, nil, func() ([]byte, error) { return nil, dam.ErrSource }})
	if got, err := io.ReadAll(broken); !errors.Is(err, dam.ErrSource) || strings.Contains(string(got), "0\r\nx") {
		t.Errorf("a broken body ends with %q, %v", got, fmt.Sprint(err))
	}
}
