package push

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"damsync/cmp"
	"damsync/dam"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/source"
)

// host is a library that only gives bytes.
type host struct {
	source.Library
	content string
	etag    string
	asked   []int64 // from which bytes on
	open    int
}

func (h *host) FileURLs(_ context.Context, ids []string) (map[string]library.DownloadURL, error) {
	urls := map[string]library.DownloadURL{}
	for _, id := range ids {
		urls[id] = library.NewDownloadURL("http://host.test/" + id)
	}
	return urls, nil
}

func (h *host) Download(_ context.Context, _ library.DownloadURL, from int64) (*cmp.Download, error) {
	h.asked = append(h.asked, from)
	h.open++
	return &cmp.Download{
		Body: &opened{strings.NewReader(h.content[from:]), h}, Size: int64(len(h.content)), ETag: h.etag,
	}, nil
}

type opened struct {
	io.Reader
	host *host
}

func (o *opened) Close() error {
	o.host.open--
	return nil
}

// A resumed upload reads from its checkpoint on, of the same content only, and nothing when the checkpoint is at the end.
func TestBodyResumes(t *testing.T) {
	content := strings.Repeat("0123456789", 10)
	for name, c := range map[string]struct {
		kept, now string // ETags
		from      int64
		want      string
		asked     []int64
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
			h := &host{content: content, etag: c.now}
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
			if h.open != 0 {
				t.Errorf("%d downloads are left open", h.open)
			}
			if !slices.Equal(h.asked, c.asked) {
				t.Errorf("asked for bytes from %v, want %v", h.asked, c.asked)
			}
		})
	}
}
