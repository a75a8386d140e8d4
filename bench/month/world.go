package main

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"damsync/sync/audit/audittest"
)

// start is when the simulated month begins.
func start() time.Time { return time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) }

const (
	day       = 24 * time.Hour
	monthDays = 30
	// smallestFolder and largestFolder are the sizes of folders that are deleted.
	smallestFolder, largestFolder = 20, 420
	// latency is how long an answer takes.
	latency = 100 * time.Millisecond
	// leastDelivery and mostDelivery are how long the CMP takes to deliver a webhook.
	leastDelivery, mostDelivery = time.Second, 3 * time.Second
)

// change is what happens to an asset, and what a webhook reports.
type change int

const (
	edited change = iota
	added
	deleted
	hidden   // from the app, by permissions: no webhook reports it
	unhidden // again
	reported // a webhook arrives
)

// event is something that happens at a time of the month.
type event struct {
	at       time.Duration // since the month began
	what     change
	place    int    // of the asset; -1 for any living one
	reported change // by the webhook
}

// agenda is a heap of events, the next one first.
type agenda []event

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any) {
	e, _ := x.(event) // nothing else is pushed
	*a = append(*a, e)
}

func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// world is a library with its editors and its clock. It measures how long each change stays unknown
// to the mirror.
type world struct {
	lib    *audittest.Library
	random *rand.Rand
	hook   float64       // share of webhooks that arrive
	now    time.Duration // since the month began
	end    time.Duration
	ahead  agenda
	report func(place int, what change) // delivers a webhook

	unseen     map[int][]time.Duration // times of changes that the mirror has not read, by place
	gone       map[int]time.Duration   // times of deletions that the mirror does not know, by place
	changeLag  []time.Duration
	removalLag []time.Duration
	changes    int
}

func newWorld(o options) *world {
	n := int(o.assets)
	edits := monthDays * (o.edits + 2*o.additions + 2*o.toggles)
	w := &world{
		lib: audittest.NewLibrary(n+monthDays*o.additions+1, n+n/5+edits+1), random: rand.New(rand.NewPCG(o.seed, 4)), //nolint:gosec // repeatable
		hook: o.hook, end: monthDays * day, unseen: map[int][]time.Duration{}, gone: map[int]time.Duration{},
	}
	w.createPast(n)
	w.plan(o)
	heap.Init(&w.ahead)
	return w
}

// createPast fills the library: a third of it came in imports of 1,000 that share a second, a fifth
// was edited in the last year.
func (w *world) createPast(n int) {
	if n == 0 {
		return
	}
	const year = int64(365 * 24 * 3600)
	whole := int64(start().Sub(audittest.Epoch()) / time.Second)
	gap := (whole - year) / int64(n)
	for made := 0; made < n; {
		size := 1
		if w.random.IntN(2100) == 0 {
			size = min(1000, n-made)
		}
		for range size {
			w.lib.Add()
		}
		made += size
		w.lib.Sleep(int64(size) * gap)
	}
	for range n / 5 {
		w.lib.Edit(w.random.IntN(n))
		w.lib.Sleep(year / int64(n/5+1))
	}
	w.lib.Sleep(whole - w.lib.Now())
}

// plan draws the events of the month.
func (w *world) plan(o options) {
	for n := range monthDays {
		w.draw(n, o.edits, o.bulk, edited)
		w.draw(n, o.additions, o.bulk, added)
		w.draw(n, o.deletions, 0, deleted)
		for range o.toggles {
			place, at := w.random.IntN(int(o.assets)), w.moment(n)
			w.ahead = append(w.ahead, event{at: at, what: hidden, place: place}, event{at: at + w.between(time.Hour, 3*day), what: unhidden, place: place})
		}
	}
	for range o.folders {
		at, run := w.moment(w.random.IntN(monthDays)), smallestFolder+w.random.IntN(largestFolder-smallestFolder+1)
		from := w.random.IntN(max(int(o.assets)-run, 1))
		for i := range run { // a folder is gone within a second or two
			w.ahead = append(w.ahead, event{at: at + time.Duration(i)*5*time.Millisecond, what: deleted, place: from + i})
		}
	}
}

// draw spreads n changes over a day: a share of them in bulk, some dozen within a few seconds, as
// when an editor marks a selection or uploads a shoot; the others one by one.
func (w *world) draw(dayOfMonth, n int, bulk float64, what change) {
	inBulk := int(float64(n) * bulk)
	for left := inBulk; left > 0; {
		size, at := min(left, 5+w.random.IntN(46)), w.moment(dayOfMonth)
		for i := range size {
			w.ahead = append(w.ahead, event{at: at + time.Duration(i)*100*time.Millisecond, what: what, place: -1})
		}
		left -= size
	}
	for range n - inBulk {
		w.ahead = append(w.ahead, event{at: w.moment(dayOfMonth), what: what, place: -1})
	}
}

func (w *world) moment(dayOfMonth int) time.Duration {
	return time.Duration(dayOfMonth)*day + time.Duration(w.random.Int64N(int64(day)))
}

func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.random.Int64N(int64(most-least)))
}

// next returns the time of the next event.
func (w *world) next() time.Duration {
	if len(w.ahead) == 0 {
		return w.end
	}
	return w.ahead[0].at
}

// reach moves the clock to a time; everything up to then happens.
func (w *world) reach(at time.Duration) {
	for w.next() <= at && len(w.ahead) > 0 {
		e, _ := heap.Pop(&w.ahead).(event) // nothing else is pushed
		w.now = max(w.now, e.at)
		w.happen(e)
	}
	w.now = max(w.now, at)
	w.setClock()
}

func (w *world) setClock() {
	second := int64(w.time().Sub(audittest.Epoch()) / time.Second)
	w.lib.Sleep(max(second-w.lib.Now(), 0))
}

func (w *world) time() time.Time { return start().Add(w.now) }

func (w *world) happen(e event) {
	if e.what == reported {
		w.report(e.place, e.reported)
		return
	}
	w.setClock()
	if e.place < 0 && e.what != added {
		e.place = w.anyAlive()
	}
	switch e.what {
	case added:
		e.place = w.lib.Add()
		w.noteChange(e)
	case edited:
		w.lib.Edit(e.place)
		w.noteChange(e)
	case unhidden:
		if !w.lib.Alive(e.place) {
			w.lib.Return(e.place)
			delete(w.gone, e.place)
		}
		return
	default:
		if !w.lib.Alive(e.place) {
			return
		}
		w.lib.Delete(e.place)
		delete(w.unseen, e.place)
		w.gone[e.place] = w.now
	}
	if e.what != hidden && w.random.Float64() < w.hook {
		heap.Push(&w.ahead, event{at: w.now + w.between(leastDelivery, mostDelivery), what: reported, place: e.place, reported: e.what})
	}
}

func (w *world) noteChange(e event) {
	w.unseen[e.place] = append(w.unseen[e.place], w.now)
	w.changes++
}

func (w *world) anyAlive() int {
	for {
		if i := w.random.IntN(w.lib.Made()); w.lib.Alive(i) {
			return i
		}
	}
}

// read notes that the mirror knows an asset as the last answer showed it.
func (w *world) read(place int) {
	answered := w.now - latency/2
	var later []time.Duration
	for _, changed := range w.unseen[place] {
		if changed > answered {
			later = append(later, changed)
			continue
		}
		w.changeLag = append(w.changeLag, w.now-changed)
	}
	if delete(w.unseen, place); later != nil {
		w.unseen[place] = later
	}
}

// removed notes that the mirror knows that an asset is gone.
func (w *world) removed(place int) {
	if since, unknown := w.gone[place]; unknown {
		w.removalLag = append(w.removalLag, w.now-since)
		delete(w.gone, place)
	}
}
