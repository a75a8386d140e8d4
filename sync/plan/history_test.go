package plan

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/internal/library"
	"damsync/internal/state"
)

// TestAskingEndsAtTheSameAnswer simulates an engine that starts from the summary and
// fetches the requested levels. It ends after at most one detail and one fields
// request, within the announced level, and with the decision for a full snapshot.
func TestAskingEndsAtTheSameAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target, full := anyTarget().Draw(t, "target"), anySnapshot().Draw(t, "snapshot")
		if full.Detail == nil {
			full.Detail = &library.Detail{}
		}
		if full.Fields == nil {
			full.Fields = &library.Fields{}
		}
		now := time.Unix(rapid.Int64Range(0, 3e9).Draw(t, "now"), 0)
		known, spent := full, library.LevelSummary
		known.Detail, known.Fields = nil, nil
		d := target.Evaluate(known, now)
		for requests := 0; d.Outcome == NeedsDetail || d.Outcome == NeedsFields; d = target.Evaluate(known, now) {
			if requests++; requests > 2 {
				t.Fatal("asks for ever")
			}
			if d.Outcome == NeedsDetail {
				known.Detail, spent = full.Detail, max(spent, library.LevelDetail)
			} else {
				known.Fields, spent = full.Fields, library.LevelFields
			}
		}
		if spent > target.Level() {
			t.Fatalf("spent %v, announced %v", spent, target.Level())
		}
		want := target.Evaluate(full, now)
		if d.Outcome != want.Outcome || d.Path != want.Path || d.MetadataHash != want.MetadataHash {
			t.Fatalf("got %v because %s, want %v because %s", d.Outcome, d.Reason, want.Outcome, want.Reason)
		}
	})
}

// TestHistoryEndsWhereTheLastDecisionSays takes a placement through random decisions
// and work that may lag behind. When the work has caught up, the target holds what the
// last conclusive decision demands.
func TestHistoryEndsWhereTheLastDecisionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]RemoveMode{RemoveDelete, RemoveArchive}).Draw(t, "mode")
		at := placement{mode: mode, applied: state.Object{State: "absent"}}
		var want state.Desired
		for range rapid.IntRange(1, 12).Draw(t, "decisions") {
			d := anyDecision().Draw(t, "decision")
			switch d.Outcome {
			case Selected:
				want = state.Desired{Present: true, Path: d.Path, Version: d.Version, MetadataHash: d.MetadataHash}
			case NotSelected:
				want = state.Desired{}
			}
			at.decide(d)
			for range rapid.IntRange(0, 2).Draw(t, "work") {
				at.work()
			}
		}
		for range 3 {
			at.work()
		}
		if op := NextOp(at.desired, at.applied, mode); op != OpNone {
			t.Fatalf("still %v to do", op)
		}
		if present := at.applied.Present(); present != want.Present || present && at.applied != objectOf(want) {
			t.Fatalf("the target holds %+v, want %+v", at.applied, want)
		}
	})
}

type placement struct {
	mode    RemoveMode
	desired state.Desired
	applied state.Object
}

func (p *placement) decide(d Decision) { p.desired, _ = Next(d, p.desired) }

func (p *placement) work() {
	p.applied = carryOut(NextOp(p.desired, p.applied, p.mode), p.desired, p.applied, p.mode)
}

// TestDefaultPathsNeverMeet checks that with the default path two assets never have the
// same path, whatever their titles.
func TestDefaultPathsNeverMeet(t *testing.T) {
	target := mustCompile(t, Spec{Select: Select{Expired: ExpiredIgnore}})
	id := rapid.StringMatching(`[0-9a-f]{32}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := poster(), poster()
		a.Asset.ID, b.Asset.ID = id.Draw(t, "a"), id.Draw(t, "b")
		if a.Asset.ID == b.Asset.ID {
			return
		}
		folder, title := oddText().Draw(t, "folder"), oddText().Draw(t, "title")
		for _, v := range []*state.Snapshot{&a, &b} {
			v.Folder, v.Asset.Title = folder, title
		}
		first, second := target.Evaluate(a, time.Time{}).Path, target.Evaluate(b, time.Time{}).Path
		if first == second {
			t.Fatalf("both ask for %q", first)
		}
	})
}

// TestNoMinuteRemovesMoreThanAllowed runs the removal guard over a random stream of
// removals, suspects and time. In no minute does it release more than the limit and the
// single edits of a small target, and once it holds it releases nothing.
func TestNoMinuteRemovesMoreThanAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := RemovalLimit{Count: rapid.IntRange(1, 30).Draw(t, "count"), Percent: rapid.Float64Range(1, 50).Draw(t, "percent")}
		w := state.Wave{Present: rapid.IntRange(0, 400).Draw(t, "present")}
		var released []int // by second
		for range rapid.IntRange(1, 200).Draw(t, "seconds") {
			coming := min(rapid.IntRange(0, 3).Draw(t, "coming"), w.Present-w.Waiting-w.Held)
			w.Waiting += coming
			w.Suspects = rapid.IntRange(0, 3).Draw(t, "suspects")
			w.Recent = sumLast(released, 59)
			before := w.Present + w.Recent
			through := 0
			switch limit.Evaluate(w) {
			case state.GuardRelease:
				through, w.Waiting = w.Waiting, 0
			case state.GuardHold:
				w.Held, w.Waiting = w.Held+w.Waiting, 0
			}
			if w.Held > 0 && through > 0 {
				t.Fatal("let through beside a held wave")
			}
			w.Present -= through
			released = append(released, through)
			minute := sumLast(released, 60)
			share := limit.Percent/100*float64(before) + 1e-9
			if through > 0 && minute > 1 && (minute > limit.Count || float64(minute) > share && minute > Singles) {
				t.Fatalf("%d of %d within a minute, limit %+v", minute, before, limit)
			}
		}
	})
}

func sumLast(counts []int, seconds int) int {
	sum := 0
	for _, n := range counts[max(0, len(counts)-seconds):] {
		sum += n
	}
	return sum
}
