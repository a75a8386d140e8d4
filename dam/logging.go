package dam

import (
	"context"
	"time"

	"github.com/rs/zerolog"
)

// Logging logs each call to next at debug level, a failed one with its class. It
// returns the error unchanged: the caller decides whether a person has to know.
func Logging(next Adapter, log zerolog.Logger, target string) Adapter {
	log = log.With().Str("target", target).Logger()
	return wrap{next, func(_ context.Context, t *trace, do func() error) error {
		start := time.Now()
		err := do()
		log.Debug().Func(func(e *zerolog.Event) { t.addTo(e, err) }).Dur("duration_ms", time.Since(start)).Msg("target called")
		return err
	}}
}

// addTo adds the fields of a call that ended with err.
func (t *trace) addTo(e *zerolog.Event, err error) {
	text := func(key, value string) {
		if value != "" {
			e.Str(key, value)
		}
	}
	text("op", string(t.op))
	text("asset_id", t.assetID)
	if t.generation != 0 {
		e.Int64("generation", t.generation)
	}
	text("from", t.from)
	text("wanted_path", t.to)
	text("mode", string(t.mode))
	switch t.op {
	case OpCheck:
		e.Bool("populated", t.populated)
	case OpList:
		e.Int("objects", t.listed)
	}
	if err != nil {
		e.Err(err).Str("error_class", string(Classify(err)))
		return
	}
	text("path", t.answer.Path)
	text("state", string(t.answer.State))
}
