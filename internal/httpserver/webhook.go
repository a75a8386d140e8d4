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

// Inbox keeps events until they have been worked through.
type Inbox interface {
	// Store returns once the event is durable. It may be called concurrently,
	// and with the same event again: the CMP repeats what it got no 202 for.
	Store(ctx context.Context, event InboxEvent) error
}

// InboxEvent is a webhook. Whether any member but Body is there is the sender's
// choice; without an AssetID nobody has to act on it. Texts are as the sender gave them, of any length and with any character
// that JSON can write.
type InboxEvent struct {
	Name       string
	AssetID    string // empty when the event concerns no library asset
	AssetType  string
	Self       string // the asset's link as given: it may point anywhere
	SourceTask string
	Body       []byte // as received: JSON
}

// Outcome is what became of a request to the webhook path.
type Outcome string

// The outcomes, with the status that the sender got.
const (
	Stored       Outcome = "stored"       // 202
	Ignored      Outcome = "ignored"      // 202: stored, but concerns no library asset
	Unauthorized Outcome = "unauthorized" // 401
	Malformed    Outcome = "malformed"    // 400
	TooLarge     Outcome = "too_large"    // 413
	Stalled      Outcome = "stalled"      // 408: the body did not arrive in time
	Overloaded   Outcome = "overloaded"   // 503: too many at once
	StoreFailed  Outcome = "store_failed" // 503
)

// Outcomes lists every outcome, for metrics that show zeros.
func Outcomes() []Outcome {
	return []Outcome{Stored, Ignored, Unauthorized, Malformed, TooLarge, Stalled, Overloaded, StoreFailed}
}

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

// receiver answers webhooks. The CMP takes 200 and 202 for delivered and sends
// everything else again for three days.
func (s *Server) receiver() http.Handler {
	slots := newSlots(s.options.MaxConcurrent)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outcome := s.receive(slots, w, r)
		s.options.Count(outcome)
		if outcome.status() == http.StatusAccepted {
			answer(w, http.StatusAccepted, string(outcome))
			return
		}
		refuse(w, outcome.status())
	})
}

// receive checks the secret first: a stranger costs no slot and no byte of body.
func (s *Server) receive(slots slots, w http.ResponseWriter, r *http.Request) Outcome {
	if !s.authorized(r) {
		s.refusals.Warn().Str("remote", r.RemoteAddr).Msg("webhook refused: wrong or missing secret")
		return Unauthorized
	}
	if !slots.take() {
		s.refusals.Warn().Msg("webhook refused: too many at once")
		return Overloaded
	}
	defer slots.free()
	body, outcome := readBody(w, r)
	if outcome != "" {
		return outcome
	}
	event, err := cmp.ParseEvent(body)
	if err != nil {
		return Malformed
	}
	return s.store(r.Context(), event, body)
}

// authorized compares digests, so that neither the time it takes nor its length
// tells anything of the secret. A header given twice is refused: a proxy in
// between may have read the other one.
func (s *Server) authorized(r *http.Request) bool {
	given := r.Header.Values("Callback-Secret")
	if s.options.WebhookSecret.IsZero() || len(given) != 1 {
		return false
	}
	digest := sha256.Sum256([]byte(given[0]))
	return subtle.ConstantTimeCompare(digest[:], s.digest[:]) == 1
}

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

// store keeps also what concerns no library asset: what the CMP was told to be
// delivered can then be looked at.
func (s *Server) store(ctx context.Context, e cmp.Event, body []byte) Outcome {
	ctx, cancel := context.WithTimeout(ctx, s.options.StoreTimeout)
	defer cancel()
	stored, outcome := InboxEvent{Name: e.Name, Body: body}, Ignored
	if e.Library {
		stored.AssetID, stored.AssetType, stored.Self, stored.SourceTask = e.AssetID, e.AssetType, e.Self, e.SourceTask
		outcome = Stored
	}
	if err := s.options.Inbox.Store(ctx, stored); err != nil {
		s.options.Log.Error().Err(err).Str("asset_id", e.AssetID).Msg("webhook not stored, the sender will repeat it")
		return StoreFailed
	}
	return outcome
}
