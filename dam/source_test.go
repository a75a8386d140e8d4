package dam

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func sum(body []byte) string {
	h := sha256.Sum256(body)
	return hex.EncodeToString(h[:])
}

// io.EOF comes only after the promised bytes, and a seal only after io.EOF,
// for any stream.
func TestSourceEndsOnlyAfterThePromisedBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "body")
		given := rapid.OneOf(rapid.Just(body), rapid.SliceOfN(rapid.Byte(), 0, 40)).Draw(rt, "given")
		size, digest := int64(len(body)), sum(body)
		if rapid.Bool().Draw(rt, "size unknown") {
			size = UnknownSize
		}
		if rapid.Bool().Draw(rt, "digest unknown") {
			digest = ""
		}
		var r io.Reader = bytes.NewReader(given)
		if rapid.Bool().Draw(rt, "end with the last bytes") {
			r = iotest.DataErrReader(r)
		}
		s := NewSource(r, size, digest)
		got, err := io.ReadAll(s)
		sealed, sealErr := s.Seal(OwnerMark{AssetID: "A"})

		kept := (size < 0 || int64(len(given)) == size) && (digest == "" || sum(given) == digest)
		if kept != (err == nil) || kept != (sealErr == nil) {
			rt.Fatalf("kept %v, read %v, seal %v", kept, err, sealErr)
		}
		if !kept {
			if !errors.Is(err, ErrSource) {
				rt.Fatalf("class of %v", err)
			}
			return
		}
		want := OwnerMark{AssetID: "A", SHA256: sum(given), Size: int64(len(given))}
		if !bytes.Equal(got, given) || sealed != want {
			rt.Fatalf("read %q, sealed %+v", got, sealed)
		}
	})
}

func TestSourceStopsAtTheFirstExtraByte(t *testing.T) {
	endless := iotest.OneByteReader(strings.NewReader(strings.Repeat("x", 1000)))
	n, err := io.Copy(io.Discard, NewSource(endless, 10, ""))
	if n > 11 || !errors.Is(err, ErrSource) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestSourceErrorIsFinal(t *testing.T) {
	r := io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(context.Canceled), strings.NewReader("c"))
	s := NewSource(r, 3, "")
	_, err := io.ReadAll(s)
	if !errors.Is(err, ErrSource) || !errors.Is(err, context.Canceled) {
		t.Errorf("first error %v", err)
	}
	if n, again := s.Read(make([]byte, 1)); n != 0 || !errors.Is(again, ErrSource) {
		t.Errorf("read on after the error: %d, %v", n, again)
	}
}

// Content that is interrupted and resumed any number of times, with the checkpoint
// stored as JSON in between, has the promises and the seal of the whole.
func TestSourceResumesFromACheckpoint(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "body")
		open := Opener(int64(len(body)), sum(body), func(_ context.Context, at int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(body[at:])), nil
		})
		var got []byte
		var from Checkpoint
		for {
			source, err := open(t.Context(), from)
			if err != nil {
				rt.Fatal(err)
			}
			n := rapid.IntRange(1, 100).Draw(rt, "part")
			part, err := io.ReadAll(io.LimitReader(source, int64(n)))
			if err != nil {
				rt.Fatal(err)
			}
			got = append(got, part...)
			if len(part) < n {
				sealed, err := source.Seal(OwnerMark{})
				if err != nil || sealed.SHA256 != sum(body) || sealed.Size != int64(len(body)) {
					rt.Fatalf("sealed %+v, %v", sealed, err)
				}
				break
			}
			from = throughJSON(rt, source)
		}
		if !bytes.Equal(got, body) {
			rt.Fatalf("read %x of %x", got, body)
		}
	})
}

func throughJSON(rt *rapid.T, source *Source) Checkpoint {
	at, err := source.Checkpoint()
	if err != nil {
		rt.Fatal(err)
	}
	raw, err := json.Marshal(at)
	if err != nil {
		rt.Fatal(err)
	}
	var back Checkpoint
	if err := json.Unmarshal(raw, &back); err != nil {
		rt.Fatal(err)
	}
	return back
}

// Other content behind the checkpoint is rejected when the digest is known.
func TestResumedSourceRejectsOtherContent(t *testing.T) {
	body, other := []byte("first and rest"), []byte("first AND REST")
	source := NewSource(bytes.NewReader(body), int64(len(body)), sum(body))
	if _, err := io.ReadFull(source, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	at, err := source.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	resumed, err := ResumeSource(bytes.NewReader(other[5:]), at, int64(len(body)), sum(body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resumed); !errors.Is(err, ErrSource) {
		t.Errorf("error %v", err)
	}
}

func TestInvalidCheckpointFailsBeforeAnythingIsOpened(t *testing.T) {
	open := Opener(10, "", func(context.Context, int64) (io.ReadCloser, error) {
		t.Error("opened")
		return nil, io.EOF
	})
	for _, from := range []Checkpoint{{Offset: 3}, {Offset: 3, SHA256State: []byte("garbage")}, {Offset: -1}, {Offset: 11}} {
		if _, err := open(t.Context(), from); !errors.Is(err, ErrCheckpoint) || Classify(err) != ClassSource {
			t.Errorf("from %+v: %v", from, err)
		}
	}
}

type closer struct {
	io.Reader
	closed int
}

func (c *closer) Close() error { c.closed++; return nil }

func TestSourceClosesItsStream(t *testing.T) {
	stream := &closer{Reader: bytes.NewReader([]byte("abc"))}
	source := NewSource(stream, 3, "")
	if err := source.Close(); err != nil || stream.closed != 1 {
		t.Errorf("closed %d times, %v", stream.closed, err)
	}
	if _, err := source.Read(make([]byte, 1)); !errors.Is(err, ErrSource) {
		t.Errorf("read after close: %v", err)
	}
}
