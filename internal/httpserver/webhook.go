package httpserver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"os"

	"damsync/cmp"
)

// Inbox stores events until they are processed.
type Inbox interface {
	// Store returns once the event is durable. It must be safe for concurrent
	// use. The same event can arrive again, because the CMP repeats events that
	// were not answered with 202.
	Store(ctx context.Context, event InboxEvent) error
}

// InboxEvent is a webhook. The sender may omit every field but Body. An event
// without an AssetID needs no action. The texts come from the sender unchanged,
// with any length and any character that JSON can represent.
type InboxEvent struct {
	Name       string
	AssetID    string // empty when the event concerns no library asset
	AssetType  string
	Self       string // the link to the asset as received; it may point anywhere
	SourceTask string
	Body       []byte // as received: JSON
}

// Outcome is the result of a request to the webhook path.
type Outcome string

// The outcomes, with the status sent to the client.
const (
	Stored       Outcome = "stored"       // 202
	Ignored      Outcome = "ignored"      // 202: stored, but about no library asset
	Unauthorized Outcome = "unauthorized" // 401
	Malformed    Outcome = "malformed"    // 400
	TooLarge     Outcome = "too_large"    // 413
	Stalled      Outcome = "stalled"      // 408: the body did not arrive in time
	Overloaded   Outcome = "overloaded"   // 503: too many concurrent requests
	StoreFailed  Outcome = "store_failed" // 503
)

// Outcomes returns all outcomes, for metrics that include zeros.
func Outcomes() []Outcome {
	return []Outcome{Stored, Ignored, Unauthorized, Malformed, TooLarge, Stalled, Overloaded, StoreFailed}
}

// status returns the HTTP status of the answer.
func (o Outcome) status() int {
	switch o {
	case Stored, Ignored:
		return http.StatusAccepted
	case Unauthorized:
		return http.StatusUnauthorized
	case Malformed:
		return http.StatusBadRequest
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Stalled:
		return http.StatusRequestTimeout
	default:
		return http.StatusServiceUnavailable
	}
}

// receiveWebhooks returns the handler for webhooks. The CMP regards 200 and 202
// as delivered. After any other answer it repeats the event for three days.
func (s *Server) receiveWebhooks() http.Handler {
	free := newSlots(s.options.MaxConcurrent)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outcome := s.receive(free, w, r)
		s.options.Count(outcome)
		if outcome.status() == http.StatusAccepted {
			answer(w, http.StatusAccepted, string(outcome))
			return
		}
		reject(w, outcome.status())
	})
}

// receive processes one webhook. It checks the secret first, so unauthorized
// clients use no slot and their body is not read.
func (s *Server) receive(free slots, w http.ResponseWriter, r *http.Request) Outcome {
	if !s.authorized(r) {
		s.sampled.Warn().Str("remote", r.RemoteAddr).Msg("webhook refused: wrong or missing secret")
		return Unauthorized
	}
	if !free.take() {
		s.sampled.Warn().Msg("webhook refused: too many concurrent requests")
		return Overloaded
	}
	defer free.giveBack()
	body, outcome := readBody(w, r)
	if outcome != "" {
		return outcome
	}
	event, err := cmp.ParseEvent(body)
	if err != nil {
		return Malformed
	}
	return s.storeEvent(r.Context(), event, body)
}

// authorized compares digests, so that the time it takes reveals neither the
// secret nor its length. It rejects repeated headers, because a proxy may have
// checked the other one.
func (s *Server) authorized(r *http.Request) bool {
	given := r.Header.Values("Callback-Secret")
	if s.options.WebhookSecret.IsZero() || len(given) != 1 {
		return false
	}
	digest := sha256.Sum256([]byte(given[0]))
	return subtle.ConstantTimeCompare(digest[:], s.digest[:]) == 1
}

// readBody returns the body, or the outcome if there is none.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, Outcome) {
	if r.ContentLength > cmp.MaxEventBytes {
		return nil, TooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, cmp.MaxEventBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return body, ""
	case errors.As(err, &tooLarge):
		return nil, TooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, Stalled
	default:
		return nil, Malformed
	}
}

// storeEvent stores an event, also one about no library asset, so that every
// event acknowledged to the CMP can be inspected.
func (s *Server) storeEvent(ctx context.Context, e cmp.Event, body []byte) Outcome {
	ctx, cancel := context.WithTimeout(ctx, s.options.StoreTimeout)
	defer cancel()
	received, outcome := InboxEvent{Name: e.Name, Body: body}, Ignored
	if e.Library {
		received.AssetID, received.AssetType, received.Self, received.SourceTask = e.AssetID, e.AssetType, e.Self, e.SourceTask
		outcome = Stored
	}
	if err := s.options.Inbox.Store(ctx, received); err != nil {
		s.options.Log.Error().Err(err).Str("asset_id", e.AssetID).Msg("storing webhook failed; the CMP will repeat it")
		return StoreFailed
	}
	return outcome
}
