package cmp

import (
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
)

// Observation is one request that was sent to the API.
type Observation struct {
	Op       string // what was being done; holds ids, so not for metric labels
	Method   string
	Path     string // without the query
	Status   int    // 0 when no answer came
	Class    grant.Class
	Attempt  int           // from 1 within one call
	Duration time.Duration // from sending to the last byte
	Err      error         // why no answer came
}

// observe tells of every request sent. It stands inside granting, so that the wait
// for a grant is not in the duration.
type observe struct {
	next     http.RoundTripper
	log      zerolog.Logger
	observer func(Observation)
}

func (t *observe) RoundTrip(req *http.Request) (*http.Response, error) {
	one := callOf(req.Context())
	one.attempts++
	start := time.Now()
	one.sent = start
	resp, err := t.next.RoundTrip(req)
	o := Observation{
		Op: one.op, Method: req.Method, Path: req.URL.Path, Class: grant.ClassOf(req.Context()),
		Attempt: one.attempts, Duration: time.Since(start), Err: err,
	}
	if resp != nil {
		o.Status = resp.StatusCode
	}
	t.log.Debug().Err(err).Str("method", o.Method).Str("path", o.Path).Int("status", o.Status).
		Dur("duration", o.Duration).Str("class", string(o.Class)).Int("attempt", o.Attempt).Msg("CMP request")
	if t.observer != nil {
		t.observer(o)
	}
	return resp, err
}
