package push

import (
	"encoding/hex"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/dam"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
	"damsync/sync/roomtest"
)

func TestPlacementComesInSync(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	// each pushes one desired state and compares the writes that took.
	each := func(name string, want state.Desired, writes ...dam.Op) {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.want(map[string]state.Desired{"a": want})
			r.inSync("a")
			if got := r.meddler.wrote(); !slices.Equal(got, writes) {
				t.Errorf("wrote %v, want %v", got, writes)
			}
			p, got := r.row("a"), r.at("a")
			generation := p.Desired
			if len(writes) == 0 {
				generation = got.Mark.Generation // of the last write
			}
			if p.Applied != p.Desired || p.At != "present" || p.Path != want.Path || p.Version != want.Version {
				t.Errorf("recorded %+v", p)
			}
			mark := dam.OwnerMark{
				Instance: roomtest.Instance, Target: roomtest.Target, AssetID: "a", Version: want.Version, Generation: generation,
				SHA256: got.Mark.SHA256, Size: int64(len(roomtest.Bytes("a"))), MetadataHash: hex.EncodeToString(want.MetadataHash[:]),
			}
			if diff := gocmp.Diff(dam.Remote{State: dam.Present, Path: want.Path, Mark: mark, Token: got.Token, Hash: "sha256:" + got.Mark.SHA256}, got); diff != "" {
				t.Errorf("at the target (-want +got):\n%s", diff)
			}
			if r.body(want.Path) != roomtest.Bytes("a") || r.host.Open() != 0 {
				t.Errorf("bytes %q, %d downloads open", r.body(want.Path), r.host.Open())
			}
		})
	}
	each("a new asset is put with its ownership mark and generation", roomtest.At("a.png", "v1", "one"), dam.OpPut)
	each("another path is a move", roomtest.At("b.png", "v1", "one"), dam.OpMove)
	each("other metadata moves no bytes", roomtest.At("b.png", "v1", "two"), dam.OpSetMetadata)
	each("path and metadata are two steps", roomtest.At("c.png", "v1", "three"), dam.OpMove, dam.OpSetMetadata)
	each("another version is put whole", roomtest.At("d.png", "v2", "four"), dam.OpPut)
	each("what is in place already takes no write", roomtest.At("d.png", "v2", "four"))
	r.meddler.can = func(c *dam.Capabilities) { c.ServerSideMove, c.MetadataWithoutBytes = false, false }
	each("a target that cannot move is put to", roomtest.At("e.png", "v2", "four"), dam.OpPut)
	each("a target without metadata alone is put to", roomtest.At("e.png", "v2", "five"), dam.OpPut)
}

func TestRemovedAssetIsRetiredByMode(t *testing.T) {
	for mode, want := range map[plan.RemoveMode]struct {
		at     dam.State
		writes []dam.Op
	}{
		plan.RemoveDelete:  {dam.Absent, []dam.Op{dam.OpRetire}},
		plan.RemoveArchive: {dam.Archived, []dam.Op{dam.OpRetire}},
		plan.RemoveKeep:    {dam.Present, nil},
	} {
		t.Run(string(mode), func(t *testing.T) {
			r := newRoom(t, mode)
			r.want(map[string]state.Desired{"a": roomtest.At("a.png", "v1", "a"), "b": roomtest.At("b.png", "v1", "b")})
			r.meddler.wrote()
			r.Remove(false, "a")
			r.push()
			r.inSync("a", "b")
			if got := r.at("a").State; got != want.at {
				t.Errorf("it is %s, want %s", got, want.at)
			}
			if got := r.meddler.wrote(); !slices.Equal(got, want.writes) {
				t.Errorf("wrote %v, want %v", got, want.writes)
			}
			if got := r.at("b").State; got != dam.Present {
				t.Errorf("the other asset is %s", got)
			}
			r.want(map[string]state.Desired{"a": roomtest.At("a.png", "v1", "a")})
			r.inSync("a")
			r.places(map[string]string{"a": "a.png", "b": "b.png"})
		})
	}
}

func TestAssetWithoutFileFailsAlone(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	article := roomtest.Asset("a")
	article.Type = library.TypeArticle
	r.Mirror(article)
	r.want(map[string]state.Desired{"a": roomtest.At("a", "v1", "a"), "b": roomtest.At("b", "v1", "b")})
	r.failed("a", dam.ClassInvalid)
	r.inSync("b")
	r.places(map[string]string{"b": "b"})
}

func TestRuleThatDoesNotRunPushesNothing(t *testing.T) {
	r := newRoom(t, plan.RemoveDelete)
	r.pusher.Rules = outOfForce{}
	r.want(map[string]state.Desired{"a": roomtest.At("a", "v1", "a")})
	if _, waiting, err := r.pusher.Next(t.Context()); waiting || err != nil {
		t.Errorf("work is waiting: %t, %v", waiting, err)
	}
	if p := r.row("a"); p.Attempts != 0 || len(r.meddler.wrote()) > 0 {
		t.Errorf("tried: %+v", p)
	}
}

// outOfForce says that no rule runs.
type outOfForce struct{}

func (outOfForce) Runs(*plan.Target) bool { return false }
