package cmpsim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
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

// RegisterWebhook adds a registration. An empty secret means
// Endpoints.WebhookSecret; the simulator takes http URLs too.
func (s *Simulator) RegisterWebhook(h Webhook) error {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("register webhook %q: %w", h.URL, ErrInvalid)
	}
	h.Secret = cmp.Or(h.Secret, s.urls.WebhookSecret)
	s.hooks.register(h)
	return nil
}

// SendEvent sends any JSON to every registration as an event of tomorrow's CMP
// would come. event_name is read for the record only.
func (s *Simulator) SendEvent(payload json.RawMessage) error {
	var e struct {
		Name string `json:"event_name"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return fmt.Errorf("send event: %w: %w", ErrInvalid, err)
	}
	d := s.hooks
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.hooks {
		d.enqueue(h, event{name: e.Name, payload: payload})
	}
	d.poke()
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
	case <-s.hooks.ctx.Done():
		return fmt.Errorf("wait for deliveries: %w", ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("wait for deliveries: %w", ctx.Err())
	}
}
