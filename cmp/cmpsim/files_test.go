package cmpsim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image/png"
	"net/http"
	"testing"
	"time"

	"damsync/cmp/cmpsim"
)

// A download has the size and the hash that the truth promises, for every kind of file.
func TestPromisedSizeIsServed(t *testing.T) {
	b := start(t, nil)
	all, err := b.sim.Assets(0, 200, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Size == 0 {
			continue
		}
		got := b.download(b.fileURL(a.ID), nil)
		sum := sha256.Sum256(got.body)
		if got.status != http.StatusOK || int64(len(got.body)) != a.Size || hex.EncodeToString(sum[:]) != a.SHA256 {
			t.Fatalf("%s %q: %d, %d bytes, want %d", a.Type, a.Title, got.status, len(got.body), a.Size)
		}
		if a.Type == "image" {
			if _, err := png.Decode(bytes.NewReader(got.body)); err != nil {
				t.Fatalf("%q is no picture: %v", a.Title, err)
			}
		}
	}
}

func TestNewVersionHasOtherBytes(t *testing.T) {
	b := start(t, nil)
	id := b.oneOf("image").ID
	before, err := b.sim.Asset(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.sim.EditTitle(id, "Another title"); err != nil {
		t.Fatal(err)
	}
	if now, _ := b.sim.Asset(id); now.SHA256 != before.SHA256 || now.VersionID != before.VersionID {
		t.Error("a title changed the file")
	}
	if err := b.sim.NewVersion(id, 0); err != nil {
		t.Fatal(err)
	}
	now := b.get("/images/" + id)
	body := b.download(now.str("url"), nil).body
	sum := sha256.Sum256(body)
	if hex.EncodeToString(sum[:]) == before.SHA256 || now["version_id"] == before.VersionID {
		t.Error("the new version is the old one")
	}
	if now.num("version_number") != before.Version+1 || len(body) != now.num("file_size") {
		t.Errorf("version %v, %d bytes of %v", now["version_number"], len(body), now["file_size"])
	}
}

// A new version shows the title that the asset has at that time.
func TestVersionsShowTheirTitle(t *testing.T) {
	sum := func(titles ...string) string {
		b := start(t, nil)
		id := b.oneOf("image").ID
		for _, title := range titles {
			must(t, b.sim.EditTitle(id, title))
		}
		must(t, b.sim.NewVersion(id, 0))
		a, err := b.sim.Asset(id)
		must(t, err)
		return a.SHA256
	}
	if sum("One") == sum("Two") || sum("One") != sum("Two", "One") {
		t.Error("the picture does not show the title it was made under")
	}
}

func TestDownloadURLsExpire(t *testing.T) {
	b := start(t, nil)
	id, err := b.sim.AddAsset(cmpsim.NewAsset{Title: "Private"})
	if err != nil {
		t.Fatal(err)
	}
	url := b.fileURL(id)
	b.clock.advance(15*time.Minute - time.Second)
	if r := b.download(url, nil); r.status != 200 {
		t.Errorf("within its time: %d", r.status)
	}
	b.clock.advance(time.Second)
	if r := b.download(url, nil); r.status != 403 {
		t.Errorf("after its time: %d", r.status)
	}
	if r := b.download(b.at.FilesURL+"/download/"+id, nil); r.status != 403 {
		t.Errorf("without token: %d", r.status)
	}
	other, err := b.sim.AddAsset(cmpsim.NewAsset{Title: "Other"})
	if err != nil {
		t.Fatal(err)
	}
	stolen := b.at.FilesURL + "/download/" + other + b.fileURL(id)[len(b.at.FilesURL+"/download/"+id):]
	if r := b.download(stolen, nil); r.status != 403 {
		t.Errorf("with another file's token: %d", r.status)
	}
}

func TestBearerAtTheFileHostIsALeak(t *testing.T) {
	b := start(t, nil)
	url := b.fileURL(b.oneOf("image").ID)
	r := b.download(url, http.Header{"Authorization": {"Bearer " + b.token}})
	if r.status != http.StatusBadRequest || b.sim.Counters().Leaks != 1 {
		t.Errorf("%d, %d leaks", r.status, b.sim.Counters().Leaks)
	}
}

func TestDownloadsResume(t *testing.T) {
	b := start(t, nil)
	id, err := b.sim.AddAsset(cmpsim.NewAsset{Title: "Film", Type: "video", Size: 100_003})
	if err != nil {
		t.Fatal(err)
	}
	url := b.fileURL(id)
	whole := b.download(url, nil)
	tag := whole.header.Get("ETag")
	part := b.download(url, http.Header{"Range": {"bytes=50001-"}, "If-Range": {tag}})
	if part.status != http.StatusPartialContent || !bytes.Equal(part.body, whole.body[50001:]) {
		t.Errorf("range: %d, %d bytes", part.status, len(part.body))
	}
	if same := b.download(url, http.Header{"If-None-Match": {tag}}); same.status != http.StatusNotModified {
		t.Errorf("condition: %d", same.status)
	}
}

// A file of a tebibyte needs no memory and answers a range at once.
func TestHugeFile(t *testing.T) {
	b := start(t, nil)
	const size = int64(1) << 40
	id, err := b.sim.AddAsset(cmpsim.NewAsset{Title: "Huge", Type: "raw_file", Size: size})
	if err != nil {
		t.Fatal(err)
	}
	r := b.download(b.fileURL(id), http.Header{"Range": {"bytes=-10"}})
	if r.status != http.StatusPartialContent || len(r.body) != 10 || b.get("/raw-files/"+id).num("file_size") != int(size) {
		t.Errorf("%d, %d bytes", r.status, len(r.body))
	}
}
