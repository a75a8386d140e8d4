package cmpsim

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

const defaultReorder = 200 * time.Millisecond

// dispatcher delivers webhooks. Its workers start with the first registration and end with stop.
type dispatcher struct {
	opts   WebhookOptions
	clock  func() time.Time
	client *http.Client
	ctx    context.Context // ends with stop
	cancel context.CancelFunc
	wake   chan struct{} // the queue changed

	mu      sync.Mutex // guards the fields below
	r       *rand.Rand
	hooks   []Webhook
	faults  WebhookFaults
	queue   deliveryQueue
	lastID  int
	busy    int         // deliveries being sent
	log     []*Delivery // oldest first
	idle    []chan struct{}
	workers sync.WaitGroup
}

func newDispatcher(o Options) *dispatcher {
	ctx, cancel := context.WithCancel(context.Background())
	return &dispatcher{
		opts: o.Webhooks, clock: o.Now, r: newRand(o.Seed, "webhooks", 0), wake: make(chan struct{}, 1),
		ctx: ctx, cancel: cancel,
		client: &http.Client{
			Timeout:       webhookTimeout,
			Transport:     o.Webhooks.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// queued is one delivery that is due.
type queued struct {
	*Delivery
	due     time.Time
	secret  string
	payload []byte
}

// deliveryQueue is sorted by due time, then by id. Most deliveries are due last.
type deliveryQueue []*queued

func (q *deliveryQueue) push(j *queued) {
	at, _ := slices.BinarySearchFunc(*q, j, func(a, b *queued) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.ID, b.ID))
	})
	*q = slices.Insert(*q, at, j)
}

func (q *deliveryQueue) pop() *queued {
	j := (*q)[0]
	(*q)[0] = nil
	*q = (*q)[1:]
	return j
}

func (d *dispatcher) register(h Webhook) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hooks = append(d.hooks, h)
	if len(d.hooks) > 1 || d.ctx.Err() != nil {
		return
	}
	for range d.opts.Workers {
		d.workers.Go(d.work)
	}
}

// publish queues an event for every registration that wants it.
func (d *dispatcher) publish(e event) {
	d.send(e, func(h Webhook) bool { return len(h.Events) == 0 || slices.Contains(h.Events, e.name) })
}

func (d *dispatcher) send(e event, wanted func(Webhook) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.hooks {
		if wanted(h) {
			d.enqueue(h, e)
		}
	}
	d.signal()
}

// enqueue queues an event for one registration, disturbed by the faults.
func (d *dispatcher) enqueue(h Webhook, e event) {
	due := time.Now().Add(time.Duration(d.faults.DelayMillis) * time.Millisecond)
	lost := d.r.Float64() < d.faults.Lose
	double := d.r.Float64() < d.faults.Double
	if d.r.Float64() < d.faults.Reorder {
		most := cmp.Or(time.Duration(d.faults.ReorderMillis)*time.Millisecond, defaultReorder)
		due = due.Add(time.Duration(d.r.Int64N(int64(max(most, 1)))))
	}
	copies := 1
	if double {
		copies = 2
	}
	for i := range copies {
		d.lastID++
		delivery := &Delivery{
			ID: d.lastID, URL: h.URL, Event: e.name, AssetID: e.assetID, Created: d.clock(), State: DeliveryPending, Copy: i > 0,
		}
		d.log = keepNewest(d.log, delivery, logSize)
		if lost {
			delivery.State = DeliveryLost
			continue
		}
		d.queue.push(&queued{Delivery: delivery, due: due, secret: h.Secret, payload: e.payload})
	}
}

// signal wakes one worker.
func (d *dispatcher) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// pending returns the number of deliveries that are neither delivered nor lost nor given up.
func (d *dispatcher) pending() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue) + d.busy
}

// whenIdle returns a channel that is closed when no delivery is pending.
func (d *dispatcher) whenIdle() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	idle := make(chan struct{})
	d.idle = append(d.idle, idle)
	d.checkIdle()
	return idle
}

func (d *dispatcher) checkIdle() {
	if len(d.queue) > 0 || d.busy > 0 {
		return
	}
	for _, c := range d.idle {
		close(c)
	}
	d.idle = nil
}

// stop ends the workers; register starts none afterwards.
func (d *dispatcher) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cancel()
}

// wait waits for the workers after stop.
func (d *dispatcher) wait() {
	d.workers.Wait()
	d.client.CloseIdleConnections()
}
