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

// fetch downloads without a bearer.
func (b *bench) fetch(from string, header http.Header) (*http.Response, []byte) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), "GET", from, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, readAll(b.t, resp)
}

func (b *bench) fileURL(id string) string {
	b.t.Helper()
	resp := b.do("POST", "/file-urls", map[string]any{"guids": []string{id}})
	url, _ := decode(b.t, readAll(b.t, resp))["urls"].(map[string]any)[id].(string)
	return url
}

// What a detail promises is what the download serves, for every kind of file and
// every version.
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
		resp, body := b.fetch(b.fileURL(a.ID), nil)
		sum := sha256.Sum256(body)
		if resp.StatusCode != 200 || int64(len(body)) != a.Size || hex.EncodeToString(sum[:]) != a.SHA256 {
			t.Fatalf("%s %q: %d, %d bytes, want %d", a.Type, a.Title, resp.StatusCode, len(body), a.Size)
		}
		if a.Type == "image" {
			if _, err := png.Decode(bytes.NewReader(body)); err != nil {
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
	_, body := b.fetch(now["url"].(string), nil)
	sum := sha256.Sum256(body)
	if hex.EncodeToString(sum[:]) == before.SHA256 || now["version_id"] == before.VersionID {
		t.Error("the new version is the old one")
	}
	if now["version_number"].(float64) != float64(before.Version+1) || float64(len(body)) != now["file_size"].(float64) {
		t.Errorf("version %v, %d bytes of %v", now["version_number"], len(body), now["file_size"])
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
	if resp, _ := b.fetch(url, nil); resp.StatusCode != 200 {
		t.Errorf("within its time: %d", resp.StatusCode)
	}
	b.clock.advance(time.Second)
	if resp, _ := b.fetch(url, nil); resp.StatusCode != 403 {
		t.Errorf("after its time: %d", resp.StatusCode)
	}
	if resp, _ := b.fetch(b.at.FilesURL+"/download/"+id, nil); resp.StatusCode != 403 {
		t.Errorf("without token: %d", resp.StatusCode)
	}
	other, err := b.sim.AddAsset(cmpsim.NewAsset{Title: "Other"})
	if err != nil {
		t.Fatal(err)
	}
	stolen := b.at.FilesURL + "/download/" + other + b.fileURL(id)[len(b.at.FilesURL+"/download/"+id):]
	if resp, _ := b.fetch(stolen, nil); resp.StatusCode != 403 {
		t.Errorf("with another file's token: %d", resp.StatusCode)
	}
}

func TestBearerAtTheFileHostIsALeak(t *testing.T) {
	b := start(t, nil)
	url := b.fileURL(b.oneOf("image").ID)
	resp, _ := b.fetch(url, http.Header{"Authorization": {"Bearer " + b.token}})
	if resp.StatusCode != 400 || b.sim.Counters().Leaks != 1 {
		t.Errorf("%d, %d leaks", resp.StatusCode, b.sim.Counters().Leaks)
	}
}

func TestDownloadsResume(t *testing.T) {
	b := start(t, nil)
	id, err := b.sim.AddAsset(cmpsim.NewAsset{Title: "Film", Type: "video", Size: 100_003})
	if err != nil {
		t.Fatal(err)
	}
	url := b.fileURL(id)
	resp, whole := b.fetch(url, nil)
	part, tail := b.fetch(url, http.Header{"Range": {"bytes=50001-"}, "If-Range": {resp.Header.Get("ETag")}})
	if part.StatusCode != 206 || !bytes.Equal(tail, whole[50001:]) {
		t.Errorf("range: %d, %d bytes", part.StatusCode, len(tail))
	}
	same, _ := b.fetch(url, http.Header{"If-None-Match": {resp.Header.Get("ETag")}})
	if same.StatusCode != 304 {
		t.Errorf("condition: %d", same.StatusCode)
	}
}

// A file of many gigabytes costs no memory and answers a range at once.
func TestHugeFile(t *testing.T) {
	b := start(t, nil)
	const size = int64(1) << 40
	id, err := b.sim.AddAsset(cmpsim.NewAsset{Title: "Huge", Type: "raw_file", Size: size})
	if err != nil {
		t.Fatal(err)
	}
	resp, tail := b.fetch(b.fileURL(id), http.Header{"Range": {"bytes=-10"}})
	if resp.StatusCode != 206 || len(tail) != 10 || b.get("/raw-files/" + id)["file_size"].(float64) != float64(size) {
		t.Errorf("%d, %d bytes", resp.StatusCode, len(tail))
	}
}
