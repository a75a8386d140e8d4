package main

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"damsync/sync/audit/audittest"
)

// monthStart is when the simulated month begins: a month of 30 days.
func monthStart() time.Time { return time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) }

const (
	monthDays = 30
	// Folders that are deleted have so many assets.
	smallestFolder, largestFolder = 20, 420
	// latency is how long an answer takes: requests one after the other keep a pace of 10/s.
	latency = 100 * time.Millisecond
	// leastDelivery is how long the CMP takes to deliver a webhook, at least.
	leastDelivery = time.Second
)

// change is what happens to an asset, and what a webhook tells of.
type change int

const (
	edited change = iota
	added
	deleted
	hidden   // from the app, by permissions: no webhook tells of it
	unhidden // again
	reported // a webhook arrives
)

// happening is one thing that will happen.
type happening struct {
	at    time.Duration // since the month began
	what  change
	place int // of the asset; -1: whichever comes
	told  change
}

type agenda []happening

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any) {
	h, _ := x.(happening) // nothing else is pushed
	*a = append(*a, h)
}

func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// monthWorld is a library with its editors and its clock, and how long each change took to be known.
type monthWorld struct {
	lib      *audittest.Library
	random   *rand.Rand
	hook     float64       // the share of webhooks that arrive
	delivery time.Duration // of a webhook, at most
	now      time.Duration
	ahead    agenda
	report   func(place int, what change) // a webhook has arrived

	modified []int64 // by place, seconds since audittest.Epoch

	unseen     map[int][]time.Duration // when assets changed that the mirror has not read since
	gone       map[int]time.Duration   // when assets went that the mirror has
	changeLag  []time.Duration
	removalLag []time.Duration
	changes    int
}

func newMonthWorld(o monthOptions) *monthWorld {
	n := int(o.assets)
	more := monthDays * (o.mods + 2*o.adds + 2*o.toggles)
	w := &monthWorld{
		lib: audittest.NewLibrary(n+monthDays*o.adds+1, n+n/5+more+1), random: rand.New(rand.NewPCG(o.seed, 4)), //nolint:gosec // the same month each time
		hook: o.hook, delivery: o.delivery, unseen: map[int][]time.Duration{}, gone: map[int]time.Duration{},
	}
	w.past(n)
	w.plan(o)
	heap.Init(&w.ahead)
	return w
}

// past fills the library: a third of it came in imports of 1,000 that share a second, a fifth was
// edited in the last year.
func (w *monthWorld) past(n int) {
	if n == 0 {
		return
	}
	const year = int64(365 * 24 * 3600)
	whole := int64(monthStart().Sub(audittest.Epoch()) / time.Second)
	gap := (whole - year) / int64(n)
	for made := 0; made < n; {
		size := 1
		if w.random.IntN(2100) == 0 {
			size = min(1000, n-made)
		}
		for range size {
			w.add()
		}
		made += size
		w.lib.Sleep(int64(size) * gap)
	}
	for range n / 5 {
		w.edit(w.random.IntN(n))
		w.lib.Sleep(year / int64(n/5+1))
	}
	w.lib.Sleep(whole - w.lib.Now())
}

func (w *monthWorld) add() int {
	w.modified = append(w.modified, w.lib.Now())
	return w.lib.Add(uint8(w.random.IntN(4)), uint8(w.random.IntN(200)))
}

func (w *monthWorld) edit(place int) {
	w.lib.Edit(place)
	w.modified[place] = w.lib.Now()
}

// plan draws the month.
func (w *monthWorld) plan(o monthOptions) {
	for day := range monthDays {
		w.draw(day, o.mods, o.bulk, edited)
		w.draw(day, o.adds, o.bulk, added)
		w.draw(day, o.dels, 0, deleted)
		for range o.toggles {
			place, at := w.random.IntN(int(o.assets)), w.moment(day)
			w.ahead = append(w.ahead, happening{at: at, what: hidden, place: place}, happening{at: at + w.between(time.Hour, 3*dayLength), what: unhidden, place: place})
		}
	}
	for range o.folders {
		at, run := w.moment(w.random.IntN(monthDays)), smallestFolder+w.random.IntN(largestFolder-smallestFolder+1)
		from := w.random.IntN(max(int(o.assets)-run, 1))
		for i := range run { // a folder is gone within a second or two
			w.ahead = append(w.ahead, happening{at: at + time.Duration(i)*5*time.Millisecond, what: deleted, place: from + i})
		}
	}
}

// draw spreads n changes over a day: a share of them in bulk, some dozen within a few seconds, as
// when an editor marks a selection or uploads a shoot; the others one by one.
func (w *monthWorld) draw(day, n int, bulk float64, what change) {
	inBulk := int(float64(n) * bulk)
	for left := inBulk; left > 0; {
		size, at := min(left, 5+w.random.IntN(46)), w.moment(day)
		for i := range size {
			w.ahead = append(w.ahead, happening{at: at + time.Duration(i)*100*time.Millisecond, what: what, place: -1})
		}
		left -= size
	}
	for range n - inBulk {
		w.ahead = append(w.ahead, happening{at: w.moment(day), what: what, place: -1})
	}
}

func (w *monthWorld) moment(day int) time.Duration {
	return time.Duration(day)*dayLength + time.Duration(w.random.Int64N(int64(dayLength)))
}

func (w *monthWorld) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.random.Int64N(int64(most-least)))
}

// next is when something happens again.
func (w *monthWorld) next() time.Duration {
	if len(w.ahead) == 0 {
		return monthDays * dayLength
	}
	return w.ahead[0].at
}

// reach lets everything happen up to a time.
func (w *monthWorld) reach(at time.Duration) {
	for w.next() <= at && len(w.ahead) > 0 {
		h, _ := heap.Pop(&w.ahead).(happening) // nothing else is pushed
		w.now = max(w.now, h.at)
		w.happen(h)
	}
	w.now = max(w.now, at)
	w.setClock()
}

func (w *monthWorld) setClock() {
	second := int64(w.time().Sub(audittest.Epoch()) / time.Second)
	w.lib.Sleep(max(second-w.lib.Now(), 0))
}

func (w *monthWorld) time() time.Time { return monthStart().Add(w.now) }

func (w *monthWorld) happen(h happening) {
	if h.what == reported {
		w.report(h.place, h.told)
		return
	}
	w.setClock()
	if h.place < 0 && h.what != added {
		h.place = w.anyAlive()
	}
	switch h.what {
	case added:
		h.place = w.add()
		w.change(h)
	case edited:
		w.edit(h.place)
		w.change(h)
	case unhidden:
		if !w.lib.Alive(h.place) {
			w.lib.Return(h.place)
			delete(w.gone, h.place)
		}
		return
	default:
		if !w.lib.Alive(h.place) {
			return
		}
		w.lib.Delete(h.place)
		delete(w.unseen, h.place)
		w.gone[h.place] = w.now
	}
	if h.what != hidden && w.random.Float64() < w.hook {
		heap.Push(&w.ahead, happening{at: w.now + w.between(leastDelivery, w.delivery), what: reported, place: h.place, told: h.what})
	}
}

func (w *monthWorld) change(h happening) {
	w.unseen[h.place] = append(w.unseen[h.place], w.now)
	w.changes++
}

func (w *monthWorld) anyAlive() int {
	for {
		if i := w.random.IntN(w.lib.Made()); w.lib.Alive(i) {
			return i
		}
	}
}

// read notes that the mirror knows an asset as it was at a time.
func (w *monthWorld) read(place int, at time.Duration) {
	var later []time.Duration
	for _, changed := range w.unseen[place] {
		if changed > at {
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
func (w *monthWorld) removed(place int) {
	if since, there := w.gone[place]; there {
		w.removalLag = append(w.removalLag, w.now-since)
		delete(w.gone, place)
	}
}
