package dam

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// However often a content is broken off and continued, with the checkpoint
// kept as JSON meanwhile, its promises and its seal are those of the whole.
func TestSourceGoesOnFromACheckpoint(t *testing.T) {
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
				sealed, err := source.Seal(Mark{})
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

// Another content behind the checkpoint does not pass where the digest is known.
func TestResumedSourceKeepsItsPromise(t *testing.T) {
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

func TestSpoiltCheckpointIsRefusedBeforeAnythingIsOpened(t *testing.T) {
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
