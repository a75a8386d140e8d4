package cmpsim

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Webhook is one registration of the organization: every library event goes to
// it unless Events names only some.
type Webhook struct {
	Name   string   `json:"name,omitempty"`
	URL    string   `json:"url"` // the real CMP takes https only
	Secret string   `json:"secret,omitempty"`
	Events []string `json:"events,omitempty"`
}

// WebhookFaults disturbs deliveries. Probabilities are from 0 to 1.
type WebhookFaults struct {
	Lose    float64 `json:"lose"`
	Double  float64 `json:"double"`
	Reorder float64 `json:"reorder"` // held back by up to ReorderMillis, so that later ones overtake
	// ReorderMillis is how long a reordered delivery may be held back; 0 means 200.
	ReorderMillis int `json:"reorder_ms"`
	DelayMillis   int `json:"delay_ms"` // added to every delivery
}

// Delivery is one webhook on its way: each attempt updates it.
type Delivery struct {
	ID       int       `json:"id"`
	URL      string    `json:"url"`
	Event    string    `json:"event"`
	AssetID  string    `json:"asset_id"`
	Created  time.Time `json:"created"`
	Sent     time.Time `json:"sent,omitzero"`  // start of the newest attempt
	Acked    time.Time `json:"acked,omitzero"` // when it was answered 200 or 202
	Attempts int       `json:"attempts"`
	Status   int       `json:"status,omitempty"` // newest answer
	Error    string    `json:"error,omitempty"`
	State    string    `json:"state"` // pending, delivered, lost, given_up
	Copy     bool      `json:"copy,omitempty"`
}

// The states of a Delivery.
const (
	DeliveryPending   = "pending"
	DeliveryDelivered = "delivered"
	DeliveryLost      = "lost"
	DeliveryGivenUp   = "given_up"
)

const maxRetryGap = time.Hour

// dispatcher owns the delivery goroutines. They start with the first
// registration and end with stop.
type dispatcher struct {
	opts   WebhookOptions
	clock  func() time.Time
	size   int
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
		opts: o.Webhooks, clock: o.Now, size: o.LogSize, r: r, wake: make(chan struct{}, 1), ctx: ctx, cancel: cancel,
		client: &http.Client{
			Timeout:       o.Webhooks.Timeout,
			Transport:     &http.Transport{MaxIdleConnsPerHost: o.Webhooks.Workers},
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

// deliveryQueue is a heap by due time, then by order of publication.
type deliveryQueue []*job

func (q deliveryQueue) Len() int { return len(q) }
func (q deliveryQueue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].seq < q[j].seq
}
func (q deliveryQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push is for container/heap.
func (q *deliveryQueue) Push(x any) { *q = append(*q, x.(*job)) }

// Pop is for container/heap.
func (q *deliveryQueue) Pop() any {
	old := *q
	j := old[len(old)-1]
	*q = old[:len(old)-1]
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
		heap.Push(&d.queue, &job{due: due, seq: d.seq, hook: h, payload: e.payload, record: rec})
	}
}

func (d *dispatcher) remember(rec *Delivery) {
	if len(d.log) >= d.size {
		d.log = slices.Delete(d.log, 0, d.size/10+1)
	}
	d.log = append(d.log, rec)
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
	return heap.Pop(&d.queue).(*job), 0
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
	if d.clock().Sub(j.record.Created)+gap > d.opts.GiveUp {
		j.record.State = DeliveryGivenUp
		return
	}
	j.due = time.Now().Add(gap)
	heap.Push(&d.queue, j)
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
	defer resp.Body.Close()
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

// RegisterWebhook adds a registration. An empty secret means
// Options.WebhookSecret; the simulator takes http URLs too.
func (s *Simulator) RegisterWebhook(h Webhook) error {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("register webhook %q: %w", h.URL, ErrInvalid)
	}
	orString(&h.Secret, s.opts.WebhookSecret)
	s.hooks.register(h)
	return nil
}

// SetWebhookFaults replaces the disturbances of deliveries published from now
// on.
func (s *Simulator) SetWebhookFaults(f WebhookFaults) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.faults = f
}

// Deliveries returns the newest deliveries, oldest first.
func (s *Simulator) Deliveries() []Delivery {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	out := make([]Delivery, 0, len(s.hooks.log))
	for _, d := range s.hooks.log {
		out = append(out, *d)
	}
	return out
}

// WaitDelivered waits until every published event was delivered, lost or given
// up.
func (s *Simulator) WaitDelivered(ctx context.Context) error {
	s.hooks.mu.Lock()
	if len(s.hooks.queue) == 0 && s.hooks.busy == 0 {
		s.hooks.mu.Unlock()
		return nil
	}
	done := make(chan struct{})
	s.hooks.idle = append(s.hooks.idle, done)
	s.hooks.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for deliveries: %w", ctx.Err())
	}
}
