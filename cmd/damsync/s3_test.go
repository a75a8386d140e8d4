package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// small makes a few megabytes a large upload.
var small = M{"multipart_threshold": "5MiB", "part_size": "5MiB", "part_concurrency": 1}

// After kill -9 in the middle of a large upload, the next daemon sends only the missing parts.
func TestUploadResumesAfterAKill(t *testing.T) {
	// Of a summary alone the version is not sure until the second of the last change is over.
	for name, expired := range map[string]string{"details": "exclude", "summaries": "ignore"} {
		t.Run(name, func(t *testing.T) { t.Parallel(); uploadGoesOnAfterAKill(t, expired) })
	}
}

func uploadGoesOnAfterAKill(t *testing.T, expired string) {
	t.Helper()
	b := newBucket(t)
	s := newSite(t, 0, settings{})
	s.configure(func(c *settings) {
		c.targets = b.target("brand", small, "\n    select: {types: [raw_file], expired: "+expired+"}\n    path: '{asset.id}.bin'\n")
	})
	held := make(chan struct{})
	var once sync.Once
	b.meddle(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") != "4" {
			return true
		}
		_, _ = io.Copy(io.Discard, r.Body) // only then the end of the connection is seen
		once.Do(func() { close(held) })
		<-r.Context().Done() // until who sends it is dead
		return false
	})
	id := s.sim.edit("add_asset", M{"title": "Large", "type": "raw_file", "folder": "/Brand", "size": 6*5<<20 + 7})
	p := s.serve()
	select {
	case <-held:
	case <-time.After(patience):
		t.Fatalf("part 4 does not come: %s", p.stderr)
	}
	p.kill()
	if got := parts(b.requests()); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Fatalf("parts sent before the kill: %v", got)
	}
	b.meddle(nil)
	s.serve()
	eventually(t, "the upload is done", func() error {
		if st := s.status().Targets[0]; st.InSync != 1 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	if got := parts(b.requests()); !slices.Equal(got, []string{"4", "5", "6", "7"}) {
		t.Errorf("parts sent after the kill: %v", got)
	}
	sum := sha256.Sum256([]byte(b.content(id + ".bin")))
	for _, a := range s.sim.assets() {
		if a.ID == id && a.SHA256 != hex.EncodeToString(sum[:]) {
			t.Error("the object is not the asset")
		}
	}
}

func parts(log []asked) []string {
	var all []string
	for _, a := range log {
		if a.part != "" {
			all = append(all, a.part)
		}
	}
	return all
}

// While a bucket accepts nothing, its placements wait and the mirror is kept up to date. When the bucket
// accepts objects again, it is filled without help.
func TestDaemonWaitsForAFailingBucket(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin, end func(*testing.T, *bucket)
		reason     string
		direct     bool // past the proxy
	}{
		"read-only": {
			func(t *testing.T, b *bucket) { b.Kill(); b.Restart(t, "--readonly") },
			func(t *testing.T, b *bucket) { b.Kill(); b.Restart(t) },
			"permission to write", false,
		},
		"full": {
			func(_ *testing.T, b *bucket) { b.refuse(http.StatusForbidden, "QuotaExceeded") },
			func(_ *testing.T, b *bucket) { b.meddle(nil) },
			"no space left", false,
		},
		"gone": {
			func(_ *testing.T, b *bucket) { b.Kill() },
			func(t *testing.T, b *bucket) { b.Restart(t) },
			"target unavailable", true,
		},
		"throttling": {
			func(_ *testing.T, b *bucket) { b.refuse(http.StatusServiceUnavailable, "SlowDown") },
			func(_ *testing.T, b *bucket) { b.meddle(nil) },
			"throttled", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBucket(t)
			s := newSite(t, 20, settings{})
			options := M{}
			if c.direct {
				options["endpoint"] = b.Endpoint
			}
			s.configure(func(conf *settings) { conf.targets = b.target("brand", options, defaultTarget+noLimit) })
			s.serve()
			b.equal(s)
			c.begin(t, b)
			s.registerWebhook()
			id := s.sim.add("Meanwhile", "/Brand")
			eventually(t, "status shows why nothing is pushed", func() error {
				if r := s.run("status"); !strings.Contains(r.stdout, c.reason) {
					return fmt.Errorf("%s", r)
				}
				return nil
			})
			if st := s.status(); st.Mirror.Assets != 21 || st.Targets[0].InSync != len(s.sim.wanted())-1 {
				t.Errorf("the mirror has %d assets; target %+v", st.Mirror.Assets, st.Targets[0])
			}
			c.end(t, b)
			b.equal(s)
			if have, err := b.objects(); err != nil || len(have[id]) != 1 {
				t.Errorf("asset %s is at %q, %v", id, have[id], err)
			}
		})
	}
}

// A target that throttles slows down only itself, and the metrics count it.
func TestThrottlingSlowsOneTarget(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	b.refuse(http.StatusServiceUnavailable, "SlowDown")
	s := newSite(t, 30, settings{})
	s.configure(func(c *settings) {
		c.targets = b.target("bucket", nil, defaultTarget+noLimit) +
			fmt.Sprintf("\n  - name: brand\n    adapter: filesystem\n    options: {root: %q}%s", s.root, defaultTarget+noLimit)
	})
	s.serve()
	s.equal() // the other
	if n := s.inSync("bucket"); n != 0 {
		t.Errorf("%d in sync at the throttled target", n)
	}
	eventually(t, "the metrics show it", func() error {
		_, text, err := s.get("/metrics")
		for _, want := range []string{`{error_class="throttled",op="check",target="bucket"} `, `{error_class="",op="put",target="brand"} `} {
			if !strings.Contains(text, "damsync_target_calls_total"+want) {
				return fmt.Errorf("no %s, %w", want, err)
			}
		}
		return err
	})
	b.meddle(nil)
	b.equal(s)
}

// Objects in sync cost no request to the bucket, and a change of metadata sends no bytes.
func TestObjectsInSyncCostNoRequest(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	s := newSite(t, 300, settings{schedule: `{incremental: "", sweep: ""}`})
	s.configure(func(c *settings) { c.targets = b.target("brand", nil, defaultTarget+noLimit) })
	s.run("resync").wantCode(t, 0)
	wanted := s.sim.wanted()
	if put := b.requests(); len(put) < len(wanted) {
		t.Fatalf("%d requests for %d assets", len(put), len(wanted))
	}
	s.run("resync", "--full").wantCode(t, 0)
	if got := b.requests(); len(got) != 0 {
		t.Errorf("a pass over what is in sync asked %d times: %v", len(got), got)
	}
	for id := range wanted {
		s.sim.edit("set_detail", M{"id": id, "detail": M{"alt_text": "Changed"}})
	}
	s.run("resync", "--full").wantCode(t, 0)
	log, sent, copies := b.requests(), int64(0), 0
	for _, a := range log {
		sent += a.sent
		if a.method == http.MethodPut {
			copies++
		}
	}
	if sent != 0 || copies != len(wanted) {
		t.Errorf("new metadata of %d assets: %d bytes sent in %d requests, %d of them PUT", len(wanted), sent, len(log), copies)
	}
}

// With adopt-if-same-bytes, an object without a mark is taken over if it has the asset's bytes, without
// sending them. Other objects are left alone.
func TestForeignObjectsAreAdopted(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	s := newSite(t, 40, settings{schedule: `{incremental: "", sweep: ""}`})
	s.run("resync").wantCode(t, 0)
	same, other := s.twoWanted()
	files, err := s.files()
	if err != nil {
		t.Fatal(err)
	}
	bytesOf := func(id string) string {
		text, err := os.ReadFile(filepath.Join(s.root, files[id].path))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	changed := []byte(bytesOf(other))
	changed[len(changed)/2] ^= 1
	second := filepath.Join(s.dir, "second")
	for id, text := range map[string]string{same: bytesOf(same), other: string(changed)} {
		b.put(id+".bin", text)
		writeFile(t, filepath.Join(second, id+".bin"), text)
	}
	both := func(onForeign string) func(*settings) {
		rest := "\n    select: {types: [image], folders: [\"/Brand/**\"], labels: {Status: [Approved]}}\n" +
			"    path: '{asset.id}.bin'\n    metadata: {alt: asset.alt_text}\n" + onForeign
		return func(c *settings) {
			c.targets = b.target("bucket", nil, rest) +
				fmt.Sprintf("\n  - name: second\n    adapter: filesystem\n    options: {root: %q}%s", second, rest)
		}
	}
	wait := func(want int) {
		t.Helper()
		for _, name := range []string{"bucket", "second"} {
			if n := s.inSync(name); n != len(s.sim.wanted())-want {
				t.Errorf("%d in sync at target %s, want all but %d of %d", n, name, want, len(s.sim.wanted()))
			}
		}
	}
	s.configure(both(""))
	s.run("resync").wantCode(t, 4)
	wait(2)
	b.requests()
	s.configure(both("    on_foreign: adopt-if-same-bytes\n"))
	s.run("retry").wantCode(t, 0)
	s.run("resync").wantCode(t, 4)
	wait(1)
	for _, a := range b.requests() {
		if a.sent != 0 {
			t.Errorf("%+v: adopting sends no bytes", a)
		}
	}
	have, err := b.objects()
	if err != nil || !slices.Equal(have[same], []string{same + ".bin"}) || !slices.Equal(have[""], []string{other + ".bin"}) {
		t.Errorf("objects of %s %q, without mark %q, %v", same, have[same], have[""], err)
	}
	if b.content(other+".bin") != string(changed) || b.content(same+".bin") != bytesOf(same) {
		t.Error("bytes were changed")
	}
	if text, err := os.ReadFile(filepath.Join(second, other+".bin")); err != nil || string(text) != string(changed) {
		t.Errorf("the foreign file was touched: %v", err)
	}
	if _, err := os.Stat(filepath.Join(second, same+".bin.damsync.json")); err != nil {
		t.Errorf("the adopted file has no mark: %v", err)
	}
}

// inSync returns the number of placements of a target that are in sync.
func (s *site) inSync(target string) int {
	s.t.Helper()
	for _, t := range s.status().Targets {
		if t.Name == target {
			return t.InSync
		}
	}
	s.t.Fatalf("status does not list target %s", target)
	return 0
}

// twoWanted returns two assets of the target.
func (s *site) twoWanted() (string, string) {
	s.t.Helper()
	var ids []string
	for id := range s.sim.wanted() {
		ids = append(ids, id)
	}
	if len(ids) < 2 {
		s.t.Fatal("the library has less than two assets for the target")
	}
	slices.Sort(ids)
	return ids[0], ids[1]
}
