package cmpsim

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// ErrClosed is the class of errors about a simulator that was closed.
var ErrClosed = errors.New("simulator is closed")

// Webhook is one registration of the organization. It receives every library event, or those named
// in Events.
type Webhook struct {
	Name   string   `json:"name,omitempty"`
	URL    string   `json:"url"`              // http or https; the CMP accepts https only (facts.md 7.1)
	Secret string   `json:"secret,omitempty"` // sent as Callback-Secret (facts.md 7.2); default Endpoints.WebhookSecret
	Events []string `json:"events,omitempty"` // of asset_added, asset_modified, asset_removed
}

// WebhookFaults disturbs deliveries. Probabilities are from 0 to 1.
type WebhookFaults struct {
	Lose          float64 `json:"lose"`       // probability of never being sent
	Double        float64 `json:"double"`     // probability of being sent twice
	Reorder       float64 `json:"reorder"`    // probability of being held back, so that later ones overtake
	ReorderMillis int     `json:"reorder_ms"` // the longest that one is held back, in milliseconds; 0 means 200
	DelayMillis   int     `json:"delay_ms"`   // added to every delivery, in milliseconds
}

// Delivery is one event for one registration. Each attempt updates it.
type Delivery struct {
	ID       int       `json:"id"`
	URL      string    `json:"url"`
	Event    string    `json:"event"`
	AssetID  string    `json:"asset_id"`
	Created  time.Time `json:"created"`
	Sent     time.Time `json:"sent,omitzero"`  // start of the newest attempt
	Acked    time.Time `json:"acked,omitzero"` // when it was answered 200 or 202
	Attempts int       `json:"attempts"`
	Status   int       `json:"status,omitempty"` // of the newest answer
	Error    string    `json:"error,omitempty"`  // of the newest attempt
	State    string    `json:"state"`            // pending, delivered, lost or given_up
	Copy     bool      `json:"copy,omitempty"`   // the second one of WebhookFaults.Double
}

// The states of a Delivery.
const (
	DeliveryPending   = "pending"
	DeliveryDelivered = "delivered"
	DeliveryLost      = "lost"
	DeliveryGivenUp   = "given_up" // after three days without acknowledgement (facts.md 7.2)
)

// RegisterWebhook adds a registration for events from now on. A URL without host or with another
// scheme than http and https is an ErrInvalid.
func (s *Simulator) RegisterWebhook(h Webhook) error {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("register webhook %q: %w", h.URL, ErrInvalid)
	}
	h.Secret = cmp.Or(h.Secret, s.endpoints.WebhookSecret)
	s.hooks.register(h)
	return nil
}

// SendEvent sends any JSON to every registration, also to those that name other Events. It simulates
// events that the CMP adds later. The value of event_name appears in Deliveries.
func (s *Simulator) SendEvent(payload json.RawMessage) error {
	var e struct {
		Name string `json:"event_name"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return fmt.Errorf("send event: %w: %w", ErrInvalid, err)
	}
	s.hooks.send(event{name: e.Name, payload: payload}, func(Webhook) bool { return true })
	return nil
}

// SetWebhookFaults replaces the disturbances of deliveries from now on.
func (s *Simulator) SetWebhookFaults(f WebhookFaults) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.faults = f
}

// Deliveries returns the newest 20,000 deliveries, oldest first.
func (s *Simulator) Deliveries() []Delivery {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	out := make([]Delivery, 0, len(s.hooks.log))
	for _, d := range s.hooks.log {
		out = append(out, *d)
	}
	return out
}

// WaitDelivered waits until no delivery is pending. It returns an ErrClosed when the simulator is
// closed first, or the error of ctx.
func (s *Simulator) WaitDelivered(ctx context.Context) error {
	if s.hooks.pending() == 0 {
		return nil
	}
	select {
	case <-s.hooks.whenIdle():
		return nil
	case <-s.hooks.ctx.Done():
		return fmt.Errorf("wait for deliveries: %w", ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("wait for deliveries: %w", ctx.Err())
	}
}
