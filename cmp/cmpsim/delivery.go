package cmpsim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The retry schedule (facts.md 7.2). The CMP documents the timeout, the exponential back-off and the
// end after three days, but not the gaps; see WebhookOptions.RetryBase.
const (
	webhookTimeout = 30 * time.Second // of one attempt
	webhookGiveUp  = 72 * time.Hour   // age at which retries end
	maxRetryGap    = time.Hour
)

// work delivers what is due until stop.
func (d *dispatcher) work() {
	for {
		j, wait := d.next()
		if j != nil {
			d.signal() // another worker may take the next one
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

// next returns a delivery that is due, or how long to wait for one.
func (d *dispatcher) next() (*queued, time.Duration) {
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

// deliver makes one attempt. Only 200 and 202 acknowledge (facts.md 7.2).
func (d *dispatcher) deliver(j *queued) {
	d.mu.Lock()
	j.Attempts++
	j.Sent = d.clock()
	d.mu.Unlock()
	status, err := d.post(j)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy--
	j.Status, j.Error = status, ""
	if err != nil {
		j.Error = err.Error()
	}
	if status == http.StatusOK || status == http.StatusAccepted {
		j.State, j.Acked = DeliveryDelivered, d.clock()
	} else {
		d.retry(j)
	}
	d.checkIdle()
}

func (d *dispatcher) retry(j *queued) {
	gap := min(d.opts.RetryBase<<min(j.Attempts-1, 20), max(maxRetryGap, d.opts.RetryBase))
	if d.clock().Sub(j.Created)+gap > webhookGiveUp {
		j.State = DeliveryGivenUp
		return
	}
	j.due = time.Now().Add(gap)
	d.queue.push(j)
	d.signal()
}

func (d *dispatcher) post(j *queued) (status int, err error) {
	req, err := http.NewRequestWithContext(d.ctx, http.MethodPost, j.URL, bytes.NewReader(j.payload))
	if err != nil {
		return 0, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Callback-Secret", j.secret)
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()                       // only the status matters
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)) // lets the connection be reused
	return resp.StatusCode, nil
}
