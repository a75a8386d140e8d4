package push

import (
	"slices"
	"testing"
	"time"

	"damsync/dam"
	"damsync/internal/state"
	"damsync/sync/plan"
	"damsync/sync/roomtest"
	"damsync/sync/source"
)

// modified mirrors an asset that was last modified at a time, and returns what a rule that reads only summaries wants
// of it.
func (r *room) modified(id string, at time.Time) state.Desired {
	asset := roomtest.Asset(id)
	asset.ModifiedAt = at
	r.Mirror(asset)
	return roomtest.At(id, "modified:"+at.UTC().Format(time.RFC3339Nano), id)
}

// Bytes that are fetched within the second of their last change are looked at once more when that second is over: a
// second change in it has the same time.
func TestVersionWithinItsSecondIsRechecked(t *testing.T) {
	for name, test := range map[string]struct {
		changed bool // in the same second, after the bytes were fetched
		writes  []dam.Op
	}{
		"the same bytes are not put again":       {false, nil},
		"bytes that changed since are put again": {true, []dam.Op{dam.OpPut}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, plan.RemoveDelete)
			now, err := r.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			second := now.Add(time.Hour) // not over however slow the machine is
			want := r.modified("a", second)
			r.want(map[string]state.Desired{"a": want})
			if p := r.row("a"); p.State != "pending" || p.Version != want.Version+unprovenSuffix || p.Attempts != 0 || p.Class != "" {
				t.Errorf("recorded %+v", p)
			}
			wait := roomtest.Query[time.Time](r.Database, `SELECT next_attempt_at FROM damsync.placement`)
			if over := source.GraceEnd(second); wait.Before(over.Add(-time.Minute)) || wait.After(over.Add(time.Minute)) {
				t.Errorf("looked at again at %s, want when the second is over, at %s", wait, over)
			}
			if r.body("a") != roomtest.Bytes("a") {
				t.Error("the bytes are not put at once")
			}
			r.meddler.wrote()
			content := roomtest.Bytes("a")
			if test.changed {
				content = "changed"
				r.host.Set("a", content)
			}
			r.Exec(`UPDATE damsync.asset SET modified_at = clock_timestamp() - interval '1 hour'`) // the second is over
			r.Hurry()
			r.push()
			r.inSync("a")
			if p := r.row("a"); p.Version != want.Version {
				t.Errorf("version %q, want %q", p.Version, want.Version)
			}
			if got := r.meddler.wrote(); !slices.Equal(got, test.writes) || r.body("a") != content {
				t.Errorf("wrote %v and the target holds %q, want %v and %q", got, r.body("a"), test.writes, content)
			}
		})
	}
}

// A version that the CMP names itself needs no second look.
func TestVersionOfTheCMPIsFinal(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	asset := roomtest.Asset("a")
	asset.ModifiedAt = time.Now().Add(time.Hour)
	r.Mirror(asset)
	r.want(map[string]state.Desired{"a": roomtest.At("a", "v1", "a")})
	r.inSync("a")
}

// Rules that read only summaries see a new version after any edit: bytes that are in place already are not put again.
func TestSameBytesAreNotPut(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		writes  []dam.Op
	}{
		"same bytes":                {roomtest.Bytes("a"), nil},
		"other bytes":               {"other", []dam.Op{dam.OpPut}},
		"other bytes, equally long": {"BYTES of a", []dam.Op{dam.OpPut}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, plan.RemoveDelete)
			day := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			r.want(map[string]state.Desired{"a": r.modified("a", day)})
			r.inSync("a")
			r.meddler.wrote()
			r.host.Set("a", test.content)
			want := r.modified("a", day.AddDate(0, 0, 1))
			r.want(map[string]state.Desired{"a": want})
			r.inSync("a")
			if got := r.meddler.wrote(); !slices.Equal(got, test.writes) || r.body("a") != test.content {
				t.Errorf("wrote %v and the target holds %q", got, r.body("a"))
			}
			if p := r.row("a"); p.Version != want.Version || r.host.Open() != 0 {
				t.Errorf("version %q, %d downloads open", p.Version, r.host.Open())
			}
		})
	}
}
