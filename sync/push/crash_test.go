package push

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/dam/filesystem"
	"damsync/internal/state"
	"damsync/sync/plan"
	"damsync/sync/roomtest"
)

// crash makes the placement look as if its process had died: its lease has ended and the outcome is not recorded.
func (r *room) crash(id string) {
	r.Exec(`UPDATE damsync.placement SET lease_owner = 'a process that died', lease_until = clock_timestamp() WHERE asset_id = $1`, id)
}

// Intent is committed before the first byte. After a crash the target's own answer decides what is left to do.
func TestCrashLeavesAnIntent(t *testing.T) {
	before, after := roomtest.At("a.png", "v1", "a"), roomtest.At("b.png", "v1", "a")
	newVersion := roomtest.At("a.png", "v2", "a")
	for name, test := range map[string]struct {
		next   state.Desired
		landed bool
		writes []dam.Op // of both attempts
	}{
		"a put that landed is found and not repeated":    {newVersion, true, []dam.Op{dam.OpPut}},
		"a put that did not land is repeated":            {newVersion, false, []dam.Op{dam.OpPut, dam.OpPut}},
		"a move that landed is found and not repeated":   {after, true, []dam.Op{dam.OpMove}},
		"a move that did not land is repeated":           {after, false, []dam.Op{dam.OpMove, dam.OpMove}},
		"a retire that landed is found and not repeated": {state.Desired{}, true, []dam.Op{dam.OpRetire}},
		"a retire that did not land is repeated":         {state.Desired{}, false, []dam.Op{dam.OpRetire, dam.OpRetire}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, plan.RemoveDelete)
			r.want(map[string]state.Desired{"a": before})
			r.meddler.wrote()
			killed := false
			kill := func(_ dam.Op, id string) error {
				if killed {
					return nil
				}
				killed = true
				if p := r.row(id); !p.IntentOpen {
					t.Error("the intent is not committed when the target is asked")
				}
				r.crash(id)
				return errors.New("the process died")
			}
			if test.landed {
				r.meddler.after = kill
			} else {
				r.meddler.before = kill
			}
			if test.next.Present {
				r.Want(map[string]state.Desired{"a": test.next})
			} else {
				r.Remove(false, "a")
			}
			r.push()
			if got := r.meddler.wrote(); !slices.Equal(got, test.writes) {
				t.Errorf("wrote %v, want %v", got, test.writes)
			}
			r.inSync("a")
			if test.next.Present {
				r.places(map[string]string{"a": test.next.Path})
			} else {
				r.places(nil)
			}
		})
	}
}

// A put that a crash cut short between file and sidecar leaves nothing behind when the asset leaves before the next
// attempt.
func TestRemovalAfterACrashInAPut(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	root := filepath.Join(t.TempDir(), "root")
	files, err := filesystem.New(map[string]any{"root": root}, roomtest.Target, roomtest.Instance)
	if err != nil {
		t.Fatal(err)
	}
	r.meddler.Adapter = files
	r.want(map[string]state.Desired{"a": roomtest.At("a.png", "v1", "a"), "b": roomtest.At("b.png", "v1", "b")})
	r.inSync("a", "b")
	if err := os.Remove(filepath.Join(root, "a.png.damsync.json")); err != nil {
		t.Fatal(err)
	}
	r.Exec(`UPDATE damsync.placement SET applied_state = 'absent', applied_path = '', applied_generation = 0,
		intent_generation = desired_generation, intent_path = desired_path WHERE asset_id = 'a'`)
	r.Remove(false, "a")
	r.push()
	r.inSync("a", "b")
	for name, want := range map[string]bool{"a.png": false, "b.png": true} {
		if _, err := os.Stat(filepath.Join(root, name)); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %t", name, err, want)
		}
	}
}

// An upload that was begun for an asset which then leaves is given up at the target: its record ends with the removal.
func TestUploadOfALeavingAssetIsAbandoned(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	r.want(map[string]state.Desired{"a": roomtest.At("a.png", "v1", "a")})
	r.Exec(`UPDATE damsync.placement SET upload_session = 'half of it'`)
	r.Remove(false, "a")
	r.push()
	r.inSync("a")
	if got := r.meddler.abandoned; !slices.Equal(got, []string{"half of it"}) {
		t.Errorf("abandoned %q", got)
	}
	if n := roomtest.Query[int](r.Database, `SELECT octet_length(upload_session) FROM damsync.placement`); n != 0 {
		t.Error("the record of the upload is still there")
	}
}

// An upload that broke off resumes at the last part that the target has.
func TestUploadResumes(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	content := string(slices.Repeat([]byte("0123456789abcdef"), 256)) // four parts
	r.host.Set("a", content)
	parts := 0
	r.target.OnStep(func(step string) error {
		if step == "upload part" {
			if parts++; parts == 3 {
				return dam.ErrTemporary
			}
		}
		return nil
	})
	r.want(map[string]state.Desired{"a": roomtest.At("a.png", "v1", "a")})
	r.failed("a", dam.ClassTemporary)
	r.Hurry()
	r.push()
	r.inSync("a")
	if r.body("a.png") != content {
		t.Error("the bytes differ")
	}
	if got := r.host.Offsets(); !slices.Equal(got, []int64{0, 0, 2048}) {
		t.Errorf("requested bytes from %v", got) // the size of a second attempt is learned anew
	}
}

// Work whose lease went to another worker records nothing: the other's record stays.
func TestLostLeaseRecordsNothing(t *testing.T) {
	for name, outcome := range map[string]error{"after a success": nil, "after a failure": dam.ErrInvalid} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t, plan.RemoveDelete)
			r.meddler.after = func(_ dam.Op, id string) error {
				r.Exec(`UPDATE damsync.placement SET lease_owner = 'another', lease_until = clock_timestamp() + interval '1 hour' WHERE asset_id = $1`, id)
				return outcome
			}
			r.want(map[string]state.Desired{"a": roomtest.At("a.png", "v1", "a")})
			got := r.row("a")
			if got.LeaseOwner != "another" || got.At != "absent" || got.Applied != 0 || got.Class != "" || !got.IntentOpen {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

// leases answers renewals with one error.
type leases struct {
	Store
	err error
}

func (l leases) ExtendPlacement(_ context.Context, _ state.Work, _ time.Duration) error { return l.err }

// Work ends when its lease is lost, and before a lease that cannot be renewed ends; while it is renewed it goes on.
func TestWorkEndsWithItsLease(t *testing.T) {
	for name, test := range map[string]struct {
		renewal error
		within  time.Duration
	}{
		"taken by another worker":    {state.ErrLeaseLost, pushLease / 4},
		"the database does not help": {errors.New("connection refused"), pushLease},
		"renewed":                    {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				started := time.Now()
				p := &Pusher{Store: leases{err: test.renewal}}
				ctx, stop := p.keepLease(t.Context(), state.Work{})
				defer stop()
				select {
				case <-ctx.Done():
				case <-time.After(time.Hour):
				}
				took := time.Since(started)
				switch {
				case test.renewal == nil && ctx.Err() != nil:
					t.Errorf("the work ended after %s: %v", took, ctx.Err())
				case test.renewal != nil && took > test.within:
					t.Errorf("the work ended after %s, want at most %s", took, test.within)
				}
			})
		})
	}
}

// slow is a target whose writes last until their context ends, and then say that the target is away.
type slow struct{ dam.Adapter }

func (slow) Describe() dam.Capabilities { return dam.Capabilities{MetadataWithoutBytes: true} }

func (slow) SetMetadata(ctx context.Context, _ dam.Remote, _ dam.OwnerMark, _ string, _ dam.Metadata) (dam.Remote, error) {
	<-ctx.Done()
	return dam.Remote{}, dam.ErrUnavailable
}

// A write that is broken off because its lease was lost says nothing of the target: nothing is recorded, and the target
// does not pause.
func TestBrokenOffWriteSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pusher{
			Target: Target{Rule: roomtest.Rule(t, plan.RemoveDelete, plan.RemovalLimit{}), Adapter: slow{}},
			Store:  leases{err: state.ErrLeaseLost}, // any call but the renewal panics
			Log:    zerolog.Nop(),
		}
		started := time.Now()
		p.carryOut(t.Context(), state.Work{
			Desired: roomtest.At("a", "v1", "new"), Applied: state.Object{State: "present", Path: "a", Version: "v1"},
		})
		if took := time.Since(started); took != pushLease/4 {
			t.Errorf("it took %s, want until the first renewal", took)
		}
	})
}
