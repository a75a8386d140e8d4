package push

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/internal/state"
	"damsync/sync/roomtest"
	"damsync/sync/source"
)

// A resumed upload reads from its checkpoint on, of the same content only, and nothing when the checkpoint is at the end.
func TestBodyResumes(t *testing.T) {
	content := strings.Repeat("0123456789", 10)
	for name, c := range map[string]struct {
		kept, now string // ETags
		from      int64
		want      string
		offsets   []int64
		err       error
	}{
		"from the beginning":  {"", "e1", 0, content, []int64{0}, nil},
		"from the middle":     {"e1", "e1", 42, content[42:], []int64{0, 42}, nil},
		"nothing left":        {"e1", "e1", 100, "", []int64{0}, nil},
		"other content":       {"e1", "e2", 42, "", []int64{0, 42}, dam.ErrCheckpoint},
		"host says no longer": {"e1", "", 42, content[42:], []int64{0, 42}, nil},
		"host never said":     {"", "e2", 42, content[42:], []int64{0, 42}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := &roomtest.Host{ETag: c.now}
			h.Set("x", content)
			b := &body{
				p: &Pusher{Source: source.New(h, zerolog.Nop())},
				w: state.Work{AssetID: "x", ExpectedSize: -1, Upload: state.Upload{Session: []byte("s"), ETag: c.kept}},
			}
			if err := b.prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			r, err := b.at(t.Context(), c.from)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err == nil {
				got, err := io.ReadAll(r)
				if err != nil || string(got) != c.want {
					t.Errorf("read %q, %v", got, err)
				}
				_ = r.Close()
			}
			b.close()
			if n := h.Open(); n != 0 {
				t.Errorf("%d downloads are left open", n)
			}
			if got := h.Offsets(); !slices.Equal(got, c.offsets) {
				t.Errorf("requested bytes from %v, want %v", got, c.offsets)
			}
		})
	}
}
