package plan

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/internal/library"
)

// TestAskingEndsAtTheSameAnswer plays an engine that starts from the summary
// and fetches what it is asked for: it ends after at most one detail and one
// fields request, within the announced level, and with the answer that full
// knowledge would have given.
func TestAskingEndsAtTheSameAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target, full := anyTarget().Draw(t, "target"), anyView().Draw(t, "view")
		if full.Detail == nil {
			full.Detail = &library.Detail{}
		}
		if full.Fields == nil {
			full.Fields = &library.Fields{}
		}
		now := time.Unix(rapid.Int64Range(0, 3e9).Draw(t, "now"), 0)
		known, spent := full, library.LevelSummary
		known.Detail, known.Fields = nil, nil
		d := target.Decide(known, now)
		for requests := 0; d.Verdict == NeedsDetail || d.Verdict == NeedsFields; d = target.Decide(known, now) {
			if requests++; requests > 2 {
				t.Fatal("asks for ever")
			}
			if d.Verdict == NeedsDetail {
				known.Detail, spent = full.Detail, max(spent, library.LevelDetail)
			} else {
				known.Fields, spent = full.Fields, library.LevelFields
			}
		}
		if spent > target.Level() {
			t.Fatalf("spent %v, announced %v", spent, target.Level())
		}
		want := target.Decide(full, now)
		if d.Verdict != want.Verdict || d.Path != want.Path || d.MetadataHash != want.MetadataHash {
			t.Fatalf("got %v because %s, want %v because %s", d.Verdict, d.Reason, want.Verdict, want.Reason)
		}
	})
}

// TestHistoryEndsWhereTheLastDecisionSays plays one placement through random
// decisions and work that may lag behind: whatever the order, when the work has
// caught up the target holds what the last decision that decided anything said.
func TestHistoryEndsWhereTheLastDecisionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]RemoveMode{RemoveDelete, RemoveArchive}).Draw(t, "mode")
		at := placement{mode: mode}
		var wanted State
		for range rapid.IntRange(1, 12).Draw(t, "decisions") {
			d := anyDecision().Draw(t, "decision")
			switch d.Verdict {
			case Selected:
				wanted = State{Present: true, Path: d.Path, Version: d.Version, MetadataHash: d.MetadataHash}
			case NotSelected:
				wanted = State{}
			}
			at.decide(d)
			for range rapid.IntRange(0, 2).Draw(t, "work") {
				at.work()
			}
		}
		for range 3 {
			at.work()
		}
		if op := NextOp(at.desired, at.applied, at.state, mode); op != OpNone {
			t.Fatalf("still %v to do", op)
		}
		if present := at.state == AppliedPresent; present != wanted.Present || present && at.applied != wanted {
			t.Fatalf("the target holds %v %+v, want %+v", at.state, at.applied, wanted)
		}
	})
}

type placement struct {
	mode             RemoveMode
	exists           bool
	desired, applied State
	state            Applied
}

func (p *placement) decide(d Decision) {
	next, change := Next(d, p.desired, p.exists)
	if change != Unchanged {
		p.desired, p.exists = next, true
	}
}

func (p *placement) work() {
	switch NextOp(p.desired, p.applied, p.state, p.mode) {
	case OpPut:
		p.applied, p.state = p.desired, AppliedPresent
	case OpMove:
		p.applied.Path = p.desired.Path
	case OpSetMetadata:
		p.applied.MetadataHash = p.desired.MetadataHash
	case OpRetire:
		if p.state = AppliedAbsent; p.mode == RemoveArchive {
			p.state = AppliedArchived
		}
	}
}

// TestDefaultPathsNeverMeet: with the default path two assets never ask for one
// place, whatever they are called.
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
		for _, v := range []*View{&a, &b} {
			v.Folder, v.Asset.Title = folder, title
		}
		first, second := target.Decide(a, time.Time{}).Path, target.Decide(b, time.Time{}).Path
		if first == second {
			t.Fatalf("both ask for %q", first)
		}
	})
}

// TestNoMinuteRemovesMoreThanAllowed plays the removal gate over a random
// stream of removals, suspects and time: in no minute does it let through more
// than the limit and the single edits of a small target, and once it holds it lets nothing through.
func TestNoMinuteRemovesMoreThanAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := RemovalLimit{Count: rapid.IntRange(1, 30).Draw(t, "count"), Percent: rapid.Float64Range(1, 50).Draw(t, "percent")}
		w := Wave{Present: rapid.IntRange(0, 400).Draw(t, "present")}
		var released []int // by second
		for range rapid.IntRange(1, 200).Draw(t, "seconds") {
			coming := min(rapid.IntRange(0, 3).Draw(t, "coming"), w.Present-w.Waiting-w.Held)
			w.Waiting += coming
			w.Suspects = rapid.IntRange(0, 3).Draw(t, "suspects")
			w.Recent = sumLast(released, 59)
			before := w.Present + w.Recent
			through := 0
			switch limit.Admit(w) {
			case Release:
				through, w.Waiting = w.Waiting, 0
			case Hold:
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
