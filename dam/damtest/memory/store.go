// Package memory is the reference adapter: the semantics of dam.Adapter in as little
// code as possible, over a store in memory. It has every capability. Tests that need a
// target use it, and so do the tests of the conformance suite.
package memory

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
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

type object struct {
	body     []byte
	mark     dam.Mark // zero when foreign
	path     string   // as the core asked, also when archived
	archived bool
	title    string
	metadata []byte // JSON
	token    int
}

type owner struct {
	key    dam.Key
	target string
}

func ownerOf(m dam.Mark) owner { return owner{m.Key(), m.Target} }

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

const (
	archive      = ".archive"
	maxPathBytes = 1024
	maxMetadata  = 64 << 10
	partBytes    = 1 << 10
)

func checkPath(p string) error {
	reserved := p == archive || strings.HasPrefix(p, archive+"/")
	if !fs.ValidPath(p) || p == "." || strings.ContainsRune(p, 0) || reserved || len(p) > maxPathBytes {
		return fmt.Errorf("path %q: %w", p, dam.ErrInvalid)
	}
	return nil
}

// archivePlace differs for each asset.
func archivePlace(m dam.Mark) string {
	return path.Join(archive, fmt.Sprintf("%x-%x-%x", m.Instance, m.Target, m.AssetID))
}
