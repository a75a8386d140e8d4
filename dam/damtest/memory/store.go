// Package memory is the reference adapter: the semantics of dam.Adapter in as little
// code as possible, over a store in memory. It has every capability. Tests that need a
// target use it, and so do the tests of the conformance suite.
package memory

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"damsync/dam"
	"damsync/dam/damtest"
)

// Store is the target: objects by their place. Adapters of several installations may
// share it. NewStore makes one.
type Store struct {
	mu      sync.Mutex
	objects map[string]*object
	removed map[owner]int64 // last generations of removed objects
	uploads map[string][]byte
	serial  int // counts writes

	before  func(step string) error
	refusal damtest.Refusal
	refuse  int
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{objects: map[string]*object{}, removed: map[owner]int64{}, uploads: map[string][]byte{}}
}

// Target returns the store as a target of the suite, with every hook.
func (s *Store) Target() damtest.Target {
	return damtest.Target{
		Name:     "memory",
		Open:     func(instance string) (dam.Adapter, error) { return New(s, "memory", instance), nil },
		Backdoor: s,
		OnStep:   s.OnStep,
		Refuse:   s.Refuse,
	}
}

// OnStep sets the function that is called before each change; nil removes it.
func (s *Store) OnStep(before func(step string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// Refuse makes the next n calls fail.
func (s *Store) Refuse(how damtest.Refusal, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal, s.refuse = how, n
}

// call starts a call of an adapter.
func (s *Store) call(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse == 0 {
		return nil
	}
	s.refuse--
	if s.refusal == damtest.Throttling {
		return &dam.Throttled{}
	}
	return fmt.Errorf("%w: internal error", dam.ErrTemporary)
}

// step is called before each change, with the lock held.
func (s *Store) step(name string) error {
	if s.before != nil {
		if err := s.before(name); err != nil {
			return err
		}
	}
	s.serial++
	return nil
}

// find returns the object of an asset and its place; nil when there is none.
func (s *Store) find(who owner) (string, *object) {
	for place, o := range s.objects {
		if ownerOf(o.mark) == who {
			return place, o
		}
	}
	return "", nil
}

func (s *Store) absent(who owner) dam.Remote {
	return dam.Remote{State: dam.Absent, Mark: dam.OwnerMark{Generation: s.removed[who]}}
}

func (s *Store) checkStale(m dam.OwnerMark) error {
	generation := s.removed[ownerOf(m)]
	if _, o := s.find(ownerOf(m)); o != nil {
		generation = max(generation, o.mark.Generation)
	}
	if m.Generation < generation {
		return fmt.Errorf("generation %d after %d: %w", m.Generation, generation, dam.ErrStale)
	}
	return nil
}

// replace makes next the one object of its asset, unless it is already.
func (s *Store) replace(next object, step string) (dam.Remote, error) {
	at, old := s.find(ownerOf(next.mark))
	if old != nil && old.same(next) {
		return old.remote(), nil
	}
	if err := s.step(step); err != nil {
		return dam.Remote{}, err
	}
	if old != nil {
		delete(s.objects, at)
	}
	to := next.path
	if next.archived {
		to = archivePlace(next.mark)
	}
	next.token = s.serial
	s.objects[to] = &next
	return next.remote(), nil
}

func (s *Store) erase(mark dam.OwnerMark) (dam.Remote, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkStale(mark); err != nil {
		return dam.Remote{}, fmt.Errorf("retire: %w", err)
	}
	at, o := s.find(ownerOf(mark))
	if o == nil && s.removed[ownerOf(mark)] == mark.Generation {
		return s.absent(ownerOf(mark)), nil
	}
	if err := s.step("delete"); err != nil {
		return dam.Remote{}, fmt.Errorf("retire: %w", err)
	}
	delete(s.objects, at)
	s.removed[ownerOf(mark)] = mark.Generation
	return s.absent(ownerOf(mark)), nil
}

// Write implements damtest.Backdoor. The object has no mark.
func (s *Store) Write(_ context.Context, p string, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	s.objects[p] = &object{body: slices.Clone(body), path: p, token: s.serial}
	return nil
}

// Remove implements damtest.Backdoor.
func (s *Store) Remove(_ context.Context, p string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, p)
	return nil
}

// Look implements damtest.Backdoor.
func (s *Store) Look(_ context.Context, p string) (damtest.Seen, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[p]
	if !ok {
		return damtest.Seen{}, fmt.Errorf("look at %q: %w", p, fs.ErrNotExist)
	}
	md, err := decode(o.metadata)
	return damtest.Seen{Body: slices.Clone(o.body), Title: o.title, Metadata: md}, err
}

// Paths implements damtest.Backdoor.
func (s *Store) Paths(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects)), nil
}
