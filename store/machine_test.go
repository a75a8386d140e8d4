package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"damsync/internal/library"
	"damsync/internal/state"
)

// machine simulates a changing library, two replicas that read it and push to one target, and everything that may happen
// in between: claims that are dropped as by a kill, leases that end, readings and pages applied late and in any order.
type machine struct {
	t     *rapid.T
	pool  *pgxpool.Pool
	clock *clock
	ids   []string

	holds    map[string]string // the library: id to title, which determines path and version
	version  int
	readings []readingInHand
	pages    []pageInHand
	work     []workInHand
	claims   int
	owner    map[string]int  // which claim a placement was last given to
	released map[string]bool // generations that the removal guard has released
	files    map[string]string
}

type readingInHand struct {
	s     *Store
	l     state.Lookup
	at    time.Time // zero: not read yet
	title string    // empty: not found
}

type pageInHand struct {
	s    *Store
	at   time.Time
	rows []library.Asset
}

type workInHand struct {
	s     *Store
	w     state.Work
	claim int
}

func newMachine(t *rapid.T, pool *pgxpool.Pool, clock *clock) *machine {
	t.Helper()
	for _, table := range []string{"asset_detail", "asset", "lookup", "inbox", "placement", "path_claim", "removal", "change"} {
		exec(t, pool, `DELETE FROM damsync.`+table)
	}
	return &machine{
		t: t, pool: pool, clock: clock, ids: []string{"v", "w", "x", "y"},
		holds: map[string]string{}, owner: map[string]int{}, released: map[string]bool{}, files: map[string]string{},
	}
}

// decide places an asset where its title says.
func (m *machine) evaluate(now time.Time, k state.Snapshot) state.Decisions {
	v := at("brand", func(k state.Snapshot) string { return pathOf(k.Asset.Title) })(now, k)
	if k.Detail == nil && !k.Gone {
		v.Needs = library.LevelDetail
	}
	return v
}

// pathOf is the first character of a title; assets titled "-" belong nowhere.
func pathOf(title string) string {
	if title == "" || title[0] == '-' {
		return ""
	}
	return "/" + title[:1]
}

func (m *machine) now() time.Time {
	return query[time.Time](m.t, m.pool, `SELECT shows FROM fake.clock`)
}

func (m *machine) replica(rt *rapid.T) *Store {
	return New(m.pool, rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "replica"))
}

func (m *machine) row(id, title string) library.Asset {
	return summary(id, titled(title))
}

// edit changes an asset of the library, which reports it.
func (m *machine) edit(rt *rapid.T) {
	m.clock.advance(time.Millisecond)
	id := rapid.SampledFrom(m.ids).Draw(rt, "asset")
	m.version++
	name := "asset_modified"
	if path := rapid.SampledFrom([]string{"1", "2", "3", "-", ""}).Draw(rt, "path"); path != "" {
		m.holds[id] = fmt.Sprint(path, " v", m.version)
	} else {
		delete(m.holds, id)
		name = "asset_removed"
	}
	must(m.t, m.replica(rt).StoreEvent(m.t.Context(), Event{Name: name, AssetID: id, AssetType: "image"}))
}

func (m *machine) claimLookups(rt *rapid.T) {
	s := m.replica(rt)
	claims, err := s.ClaimLookups(m.t.Context(), rapid.IntRange(1, 3).Draw(rt, "n"), time.Minute)
	must(m.t, err)
	for _, l := range claims {
		m.readings = append(m.readings, readingInHand{s: s, l: l})
	}
}

func (m *machine) read(rt *rapid.T) {
	if i, ok := pick(rt, m.readings); ok {
		m.readings[i].at, m.readings[i].title = m.now(), m.holds[m.readings[i].l.AssetID]
	}
}

func (m *machine) applyFetched(rt *rapid.T) {
	i, ok := pick(rt, m.readings)
	if !ok {
		return
	}
	r := m.readings[i]
	m.readings = slices.Delete(m.readings, i, i+1)
	switch outcome := rapid.SampledFrom([]string{"apply", "apply", "fail", "killed"}).Draw(rt, "outcome"); {
	case outcome == "killed":
	case outcome == "fail" || r.at.IsZero():
		must(m.t, r.s.FailLookup(m.t.Context(), r.l, state.Failure{Class: "temporary", Reason: "timeout", After: time.Second}, true))
	default:
		m.finishReading(r)
	}
}

func (m *machine) finishReading(r readingInHand) {
	err := m.apply(r)
	if errors.Is(err, state.ErrMirrored) { // it is read again, where the mirror says
		err = r.s.FailLookup(m.t.Context(), r.l, state.Failure{}, false)
	}
	must(m.t, err)
}

func (m *machine) apply(r readingInHand) error {
	if r.title == "" {
		return r.s.ApplyGone(m.t.Context(), r.l, r.at, m.evaluate)
	}
	_, err := r.s.ApplyFetched(m.t.Context(), r.l, reading(m.row(r.l.AssetID, r.title), r.at, described(r.title)), m.evaluate)
	return err
}

// observe reads the pending lookups without anything in between.
func (m *machine) observe(rt *rapid.T) {
	s := m.replica(rt)
	m.clock.advance(time.Millisecond)
	claims, err := s.ClaimLookups(m.t.Context(), 9, time.Minute)
	must(m.t, err)
	for _, l := range claims {
		m.finishReading(readingInHand{s: s, l: l, at: m.now(), title: m.holds[l.AssetID]})
	}
}

// pushAll carries out the dirty placements without anything in between.
func (m *machine) pushAll(rt *rapid.T) {
	inHand := len(m.work)
	m.claim(m.replica(rt), 9)
	for _, h := range m.work[inHand:] {
		m.push(h)
	}
	m.work = m.work[:inHand]
}

func (m *machine) readPage(rt *rapid.T) {
	p := pageInHand{s: m.replica(rt), at: m.now()}
	for _, id := range m.ids {
		if title := m.holds[id]; title != "" {
			p.rows = append(p.rows, m.row(id, title))
		}
	}
	m.pages = append(m.pages, p)
}

func (m *machine) applyPage(rt *rapid.T) {
	if i, ok := pick(rt, m.pages); ok {
		p := m.pages[i]
		m.pages = slices.Delete(m.pages, i, i+1)
		_, err := p.s.ApplySummaries(m.t.Context(), swept(), p.at, p.rows, m.evaluate)
		must(m.t, err)
		_, err = p.s.AnswerLookups(m.t.Context(), p.at, idsOf(p.rows), m.evaluate)
		must(m.t, err)
	}
}

func (m *machine) claimPlacements(rt *rapid.T) {
	m.claim(m.replica(rt), rapid.IntRange(1, 3).Draw(rt, "n"))
}

func (m *machine) claim(s *Store, n int) {
	for _, w := range claimWork(m.t, s, "brand", n) {
		if !w.Desired.Present && w.Applied.State == "present" && !m.released[fmt.Sprint(w.AssetID, w.Generation)] {
			m.t.Fatalf("%s is removed though the removal guard did not release generation %d", w.AssetID, w.Generation)
		}
		m.claims++
		m.owner[w.AssetID] = m.claims
		m.work = append(m.work, workInHand{s: s, w: w, claim: m.claims})
	}
}

func (m *machine) finishPlacement(rt *rapid.T) {
	i, ok := pick(rt, m.work)
	if !ok {
		return
	}
	h := m.work[i]
	m.work = slices.Delete(m.work, i, i+1)
	switch rapid.SampledFrom([]string{"finish", "finish", "fail", "return", "killed"}).Draw(rt, "outcome") {
	case "finish":
		m.push(h)
	case "fail":
		m.outcome(h, h.s.FailPlacement(m.t.Context(), h.w, state.Failure{Class: "temporary", Reason: "timeout", After: time.Second}, false))
	case "return":
		must(m.t, h.s.ReturnPlacement(m.t.Context(), h.w, 0))
	}
}

// push carries out work as the engine does.
func (m *machine) push(h workInHand) {
	if h.w.Desired.Present {
		holder, leaving, err := h.s.ClaimPath(m.t.Context(), h.w, h.w.Desired.Path)
		must(m.t, err)
		if holder != "" {
			m.stepAside(h, leaving)
			return
		}
	}
	if !m.outcome(h, h.s.FinishPlacement(m.t.Context(), h.w, done(h.w))) {
		return
	}
	delete(m.files, h.w.AssetID)
	if h.w.Desired.Present {
		m.files[h.w.AssetID] = h.w.Desired.Path
	}
	clean := query[bool](m.t, m.pool, `SELECT desired_generation = applied_generation FROM damsync.placement WHERE asset_id = $1`, h.w.AssetID)
	planned := query[int64](m.t, m.pool, `SELECT desired_generation FROM damsync.placement WHERE asset_id = $1`, h.w.AssetID)
	if clean != (planned == h.w.Generation) {
		m.t.Fatalf("finished generation %d of %d: in sync %t", h.w.Generation, planned, clean)
	}
}

// stepAside handles a path that another asset holds: it moves aside when the holder waits for ours.
func (m *machine) stepAside(h workInHand, leaving bool) {
	if leaving && h.w.Applied.State == "present" {
		wanted, err := h.s.PathAwaited(m.t.Context(), h.w)
		must(m.t, err)
		if wanted {
			aside := h.w.Applied
			aside.Path = "/aside/" + h.w.AssetID
			if m.outcome(h, h.s.RecordStep(m.t.Context(), h.w, aside)) {
				m.files[h.w.AssetID] = aside.Path
				must(m.t, h.s.ReleasePaths(m.t.Context(), h.w, ""))
			}
		}
	}
	m.outcome(h, h.s.FailPlacement(m.t.Context(), h.w, state.Failure{Class: "conflict", Reason: "held", After: time.Second}, false))
}

// outcome checks that a worker gets ErrLeaseLost exactly when it lost the placement.
func (m *machine) outcome(h workInHand, err error) bool {
	lost := m.owner[h.w.AssetID] != h.claim
	if errors.Is(err, state.ErrLeaseLost) != lost {
		m.t.Fatalf("claim %d of %s, last claimed by %d: %v", h.claim, h.w.AssetID, m.owner[h.w.AssetID], err)
	}
	if !lost {
		must(m.t, err)
	}
	return !lost
}

func (m *machine) guard(rt *rapid.T) {
	m.evaluateAndAnswer(rapid.SampledFrom([]state.GuardAnswer{state.GuardRelease, state.GuardHold, state.GuardWait}).Draw(rt, "answer"))
}

func (m *machine) evaluateAndAnswer(answer state.GuardAnswer) {
	if answer == state.GuardRelease {
		m.release("waiting")
	}
	_, _, err := New(m.pool, "a").EvaluateRemovals(m.t.Context(), "brand", asking(answering(answer)))
	must(m.t, err)
}

func (m *machine) approve(*rapid.T) {
	m.release("held")
	b := New(m.pool, "b")
	wave, err := b.Held(m.t.Context(), "brand", 0)
	must(m.t, err)
	_, left, err := b.Approve(m.t.Context(), "brand", wave)
	must(m.t, err)
	if left > 0 {
		m.t.Fatalf("%d are held after all of %v were approved", left, wave.AssetIDs)
	}
}

func (m *machine) release(guard string) {
	for _, line := range lines(m.t, m.pool, `SELECT asset_id || desired_generation FROM damsync.placement WHERE guard = '`+guard+`'`) {
		m.released[line] = true
	}
}

func (m *machine) wait(rt *rapid.T) {
	m.clock.advance(time.Duration(rapid.IntRange(1, 90).Draw(rt, "seconds")) * time.Second)
}

// invariants selects what should not be.
const invariants = `
	SELECT 'applied what was not planned: ' || asset_id FROM damsync.placement WHERE applied_generation > desired_generation
	UNION ALL SELECT 'looked up more than was wanted: ' || asset_id FROM damsync.lookup WHERE done > requested
	UNION ALL SELECT 'two assets are recorded at ' || applied_path FROM damsync.placement WHERE applied_state = 'present'
		GROUP BY applied_path HAVING count(*) > 1
	UNION ALL SELECT 'not reserved by the asset there: ' || applied_path FROM damsync.placement p
		WHERE applied_state = 'present' AND applied_path NOT LIKE '/aside/%' AND NOT EXISTS (
			SELECT 1 FROM damsync.path_claim c WHERE c.path = p.applied_path AND c.asset_id = p.asset_id)
	UNION ALL SELECT 'no lookup for the event of ' || asset_id FROM damsync.inbox i WHERE processed_at IS NULL AND NOT EXISTS (
		SELECT 1 FROM damsync.lookup l WHERE l.asset_id = i.asset_id AND damsync.is_pending(l))
	UNION ALL SELECT 'guarded without a removal: ' || asset_id FROM damsync.placement
		WHERE guard <> 'open' AND (desired_present OR desired_generation = applied_generation)`

// check is what holds at every moment.
func (m *machine) check(rt *rapid.T) {
	for _, broken := range lines(m.t, m.pool, invariants) {
		rt.Fatalf("%s\n%s", broken, m.dump())
	}
	at := map[string]string{}
	for id, path := range m.files {
		if other := at[path]; other != "" {
			rt.Fatalf("%s and %s are both at %s", id, other, path)
		}
		at[path] = id
	}
}

// converge drops all claims, as after a kill of all replicas, and works until nothing is left to do.
func (m *machine) converge(rt *rapid.T) {
	m.readings, m.pages, m.work = nil, nil, nil
	s := New(m.pool, "c")
	m.findRemoved(s)
	for idle := 0; idle < 2; idle++ {
		m.clock.advance(time.Hour)
		claims, err := s.ClaimLookups(m.t.Context(), 100, time.Minute)
		must(m.t, err)
		for _, l := range claims {
			m.finishReading(readingInHand{s: s, l: l, at: m.now(), title: m.holds[l.AssetID]})
			idle = -1
		}
		m.evaluateAndAnswer(state.GuardRelease)
		m.approve(rt)
		m.claim(s, 100)
		for _, h := range m.work {
			before := m.files[h.w.AssetID]
			if m.push(h); m.files[h.w.AssetID] != before {
				idle = -1
			}
		}
		m.work = nil
	}
	m.checkConverged(rt)
}

// findRemoved does what a sweep does: a page that was applied after the removal of an unknown asset may have added the
// asset.
func (m *machine) findRemoved(s *Store) {
	var refs []state.Ref
	for _, id := range lines(m.t, m.pool, `SELECT id FROM damsync.asset WHERE removed_at IS NULL`) {
		if m.holds[id] == "" {
			refs = append(refs, state.Ref{ID: id})
		}
	}
	must(m.t, s.RequestLookups(m.t.Context(), swept(), "sweep", true, refs))
}

func (m *machine) checkConverged(rt *rapid.T) {
	if n := query[int](m.t, m.pool, `SELECT (SELECT count(*) FROM damsync.lookup) + (SELECT count(*) FROM damsync.inbox WHERE processed_at IS NULL)`); n != 0 {
		rt.Fatalf("%d lookups and events are left", n)
	}
	occupied := map[string]bool{}
	for _, path := range m.files {
		occupied[path] = true
	}
	for id, title := range m.holds {
		if got := query[string](m.t, m.pool, `SELECT coalesce((SELECT title || ' ' || description FROM damsync.asset JOIN damsync.asset_detail ON asset_id = id
			WHERE id = $1 AND removed_at IS NULL AND of_modified_at = modified_at), '')`, id); got != title+" "+title {
			rt.Fatalf("the mirror has %q of %s, the library %q", got, id, title)
		}
		// An asset that is not at its path waits for another asset there.
		if path := pathOf(title); path != "" && m.files[id] != path && !occupied[path] {
			rt.Fatalf("%s is at %q, and nothing is at %s\n%s", id, m.files[id], path, m.dump())
		}
	}
	for id, path := range m.files {
		if pathOf(m.holds[id]) == "" {
			rt.Fatalf("%s is still at %s\n%s", id, path, m.dump())
		}
	}
}

// dump returns what keeps placements from arriving.
func (m *machine) dump() string {
	return strings.Join(append(
		lines(m.t, m.pool, `SELECT concat_ws(' ', asset_id, desired_present, desired_path, guard, desired_generation, applied_generation, applied_state, applied_path,
			'intent', intent_generation, intent_path, error_class, lease_owner, next_attempt_at) FROM damsync.placement ORDER BY 1`),
		lines(m.t, m.pool, `SELECT concat_ws(' ', path, 'is held by', asset_id) FROM damsync.path_claim ORDER BY 1`)...), "\n")
}

// pick draws the index of one element, if there is any.
func pick[T any](rt *rapid.T, in []T) (int, bool) {
	if len(in) == 0 {
		return 0, false
	}
	return rapid.IntRange(0, len(in)-1).Draw(rt, "which"), true
}

// Whatever is lost, doubled, late, reordered or killed: nothing is recorded twice or by a worker that lost its lease,
// nothing is removed that the removal guard did not release, and in the end mirror and target equal the library.
func TestHistoriesConverge(t *testing.T) {
	pool, clock := fakeClock(t, soon())
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(rt, pool, clock)
		rt.Repeat(map[string]func(*rapid.T){
			"edit": m.edit, "edit again": m.edit,
			"claim lookups": m.claimLookups, "read": m.read, "apply reading": m.applyFetched,
			"read page": m.readPage, "apply page": m.applyPage,
			"claim placements": m.claimPlacements, "finish placement": m.finishPlacement, "finish another": m.finishPlacement,
			"observe": m.observe, "push all": m.pushAll,
			"judge": m.guard, "approve": m.approve, "wait": m.wait,
			"": m.check,
		})
		m.converge(rt)
	})
}
