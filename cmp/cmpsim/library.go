package cmpsim

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Classes of errors, for errors.Is.
var (
	// ErrNotFound is the class of errors about ids and names that the library does not have.
	ErrNotFound = errors.New("not found")
	// ErrInvalid is the class of errors about edits, webhooks and faults that make no sense.
	ErrInvalid = errors.New("invalid")

	// errNoResource is an ErrNotFound about the resource of a request, for which the API documents a message.
	errNoResource = fmt.Errorf("%w", ErrNotFound)
)

// Library is the content of the simulated organization. Its methods are the edits that people make
// in the CMP, and the truth that a mirror of the library should show. An edit moves modified_at and
// sends webhooks as the documents say; Behavior decides where they say nothing. All methods are safe
// for concurrent use.
type Library struct {
	clock   func() time.Time
	publish func(event)

	mu       sync.RWMutex // guards the fields below
	catalog  *catalog
	behavior Behavior
	site     site
}

func (l *Library) now() int64 { return l.clock().Unix() }

// Behavior returns the behavior in force.
func (l *Library) Behavior() Behavior {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.behavior
}

// SetBehavior replaces the behavior.
func (l *Library) SetBehavior(b Behavior) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.behavior = b
}

// change calls do with a living asset.
func (l *Library) change(id string, do func(*asset) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, err := l.catalog.live(id)
	if err == nil {
		err = do(a)
	}
	if err != nil {
		return fmt.Errorf("edit asset %s: %w", id, err)
	}
	return nil
}

// effect is what an edit causes beside its change.
type effect struct{ movesTime, sendsEvent bool }

// documentedEffect is the effect of edits of title, description, labels, location and version. They
// send asset_modified by the documents of 2021, the last known list (facts.md 7.4).
func documentedEffect() effect { return effect{true, true} }

// detailEffect is the effect of the other edits of an asset, which the documents leave open.
func (b Behavior) detailEffect() effect { return effect{!b.SilentDetails, b.EventsOnDetails} }

// edit calls do with a living asset and then applies the effect it returns.
func (l *Library) edit(id string, do func(*asset) (effect, error)) error {
	return l.change(id, func(a *asset) error {
		e, err := do(a)
		if err != nil {
			return err
		}
		if e.movesTime {
			l.catalog.touch(a, l.now())
		}
		if e.sendsEvent {
			l.publish(l.newRenderer().modifiedEvent(a))
		}
		return nil
	})
}

// trash removes a living asset from every answer and sends asset_removed unless silent.
func (l *Library) trash(a *asset, silent bool) {
	l.catalog.trash(a)
	if !silent {
		l.publish(l.newRenderer().removedEvent(a))
	}
}
