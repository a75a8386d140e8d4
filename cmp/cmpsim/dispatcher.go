package cmpsim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	webhookTimeout = 30 * time.Second // documented, facts.md 7.2
	webhookGiveUp  = 72 * time.Hour   // likewise
	maxRetryGap    = time.Hour
)

// ErrClosed is the class of errors about a simulator that was closed.
var ErrClosed = errors.New("simulator is closed")

// dispatcher owns the delivery goroutines. They start with the first
// registration and end with stop.
type dispatcher struct {
	opts   WebhookOptions
	clock  func() time.Time
	client *http.Client

	mu      sync.Mutex
	r       *rand.Rand
	hooks   []Webhook
	faults  WebhookFaults
	queue   deliveryQueue
	seq     int
	busy    int
	log     []*Delivery
	idle    []chan struct{} // closed when nothing is pending
	wake    chan struct{}
	started bool
	stopped bool
	ctx     context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup
}

func newDispatcher(o Options, r *rand.Rand) *dispatcher {
	ctx, cancel := context.WithCancel(context.Background())
	return &dispatcher{
		opts: o.Webhooks, clock: o.Now, r: r, wake: make(chan struct{}, 1), ctx: ctx, cancel: cancel,
		client: &http.Client{
			Timeout:       webhookTimeout,
			Transport:     o.Webhooks.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// job is one delivery of one payload to one registration.
type job struct {
	due     time.Time
	seq     int
	hook    Webhook
	payload []byte
	record  *Delivery
}

// deliveryQueue is sorted by due time, then by order of publication: most jobs
// are due last.
type deliveryQueue []*job

func (q *deliveryQueue) push(j *job) {
	at, _ := slices.BinarySearchFunc(*q, j, func(a, b *job) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.seq, b.seq))
	})
	*q = slices.Insert(*q, at, j)
}

func (q *deliveryQueue) pop() *job {
	j := (*q)[0]
	(*q)[0] = nil
	*q = (*q)[1:]
	return j
}

// publish queues an event for every registration that wants it.
func (d *dispatcher) publish(e event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.hooks {
		if len(h.Events) == 0 || slices.Contains(h.Events, e.name) {
			d.enqueue(h, e)
		}
	}
	d.poke()
}

func (d *dispatcher) enqueue(h Webhook, e event) {
	due := time.Now().Add(time.Duration(d.faults.DelayMillis) * time.Millisecond)
	lost := d.r.Float64() < d.faults.Lose
	copies := 1
	if d.r.Float64() < d.faults.Double {
		copies = 2
	}
	if d.r.Float64() < d.faults.Reorder {
		most := time.Duration(max(d.faults.ReorderMillis, 0)) * time.Millisecond
		if most == 0 {
			most = 200 * time.Millisecond
		}
		due = due.Add(time.Duration(d.r.Int64N(int64(most))))
	}
	for i := range copies {
		d.seq++
		rec := &Delivery{
			ID: d.seq, URL: h.URL, Event: e.name, AssetID: e.assetID, Created: d.clock(), State: DeliveryPending, Copy: i > 0,
		}
		d.remember(rec)
		if lost {
			rec.State = DeliveryLost
			continue
		}
		d.queue.push(&job{due: due, seq: d.seq, hook: h, payload: e.payload, record: rec})
	}
}

func (d *dispatcher) remember(rec *Delivery) {
	d.log = keepNewest(d.log, rec, logSize)
}

func (d *dispatcher) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *dispatcher) register(h Webhook) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hooks = append(d.hooks, h)
	if d.started || d.stopped {
		return
	}
	d.started = true
	for range d.opts.Workers {
		d.workers.Go(d.work)
	}
}

func (d *dispatcher) stop() {
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.cancel()
}

func (d *dispatcher) wait() {
	d.workers.Wait()
	d.client.CloseIdleConnections()
}

// work delivers what is due until stop.
func (d *dispatcher) work() {
	for {
		j, wait := d.next()
		if j != nil {
			d.poke() // another worker may take the one behind it
			d.deliver(j)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-d.ctx.Done():
			timer.Stop()
			return
		case <-d.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (d *dispatcher) next() (*job, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil || len(d.queue) == 0 {
		return nil, time.Hour
	}
	if wait := time.Until(d.queue[0].due); wait > 0 {
		return nil, wait
	}
	d.busy++
	return d.queue.pop(), 0
}

func (d *dispatcher) deliver(j *job) {
	d.mu.Lock()
	j.record.Attempts++
	j.record.Sent = d.clock()
	d.mu.Unlock()
	status, err := d.post(j)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy--
	j.record.Status, j.record.Error = status, ""
	if err != nil {
		j.record.Error = err.Error()
	}
	if status == http.StatusOK || status == http.StatusAccepted {
		j.record.State, j.record.Acked = DeliveryDelivered, d.clock()
	} else {
		d.retry(j)
	}
	d.tellIdle()
}

// retry backs off exponentially, as documented; the gaps are not.
func (d *dispatcher) retry(j *job) {
	gap := min(d.opts.RetryBase<<min(j.record.Attempts-1, 20), max(maxRetryGap, d.opts.RetryBase))
	if d.clock().Sub(j.record.Created)+gap > webhookGiveUp {
		j.record.State = DeliveryGivenUp
		return
	}
	j.due = time.Now().Add(gap)
	d.queue.push(j)
	d.poke()
}

// post makes one attempt; only 200 and 202 acknowledge.
func (d *dispatcher) post(j *job) (int, error) {
	req, err := http.NewRequestWithContext(d.ctx, http.MethodPost, j.hook.URL, bytes.NewReader(j.payload))
	if err != nil {
		return 0, fmt.Errorf("make delivery: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if j.hook.Secret != "" {
		req.Header.Set("Callback-Secret", j.hook.Secret)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("deliver: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()                       // the status is all that counts
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)) // lets the connection be used again
	return resp.StatusCode, nil
}

func (d *dispatcher) tellIdle() {
	if len(d.queue) > 0 || d.busy > 0 {
		return
	}
	for _, c := range d.idle {
		close(c)
	}
	d.idle = nil
}
