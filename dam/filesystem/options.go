package filesystem

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync/atomic"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// Adapter pushes objects into a directory tree. Make one with New.
type Adapter struct {
	root     string
	create   bool
	target   string
	instance string

	// populated says that the marker was there or has to be, see place.
	populated atomic.Bool
	cleaned   atomic.Bool
	lock      chan struct{} // one commit at a time within the process
	fault     func(step string) error
}

var _ dam.Adapter = (*Adapter)(nil)

// New makes the adapter for a target of an installation from its configured
// options and does no I/O. Options: root, the directory, relative to the working
// directory unless absolute; create, whether a missing root is made, with its
// parents, while nothing of ours was put there yet (default true). All problems are reported at once.
func New(options map[string]any, target, instance string) (*Adapter, error) {
	a := &Adapter{create: true, target: target, instance: instance, lock: make(chan struct{}, 1)}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(options)) {
		if err := a.set(key, options[key]); err != nil {
			problems = append(problems, err)
		}
	}
	if _, given := options["root"]; !given {
		problems = append(problems, errors.New("option root is missing: the directory to push to"))
	}
	if target == "" || instance == "" {
		problems = append(problems, errors.New("target and instance must not be empty"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("filesystem target %q: %w", target, err)
	}
	return a, nil
}

func (a *Adapter) set(key string, value any) error {
	var ok bool
	switch key {
	case "root":
		if a.root, ok = value.(string); !ok || a.root == "" {
			return fmt.Errorf("option root: want the path of a directory, got %#v", value)
		}
	case "create":
		if a.create, ok = value.(bool); !ok {
			return fmt.Errorf("option create: want true or false, got %#v", value)
		}
	default:
		return fmt.Errorf("unknown option %s: known are create and root", key)
	}
	return nil
}

// Describe implements dam.Adapter.
func (a *Adapter) Describe() dam.Capabilities {
	return dam.Capabilities{
		Adapter:          "filesystem",
		Place:            a.directory(),
		Retire:           []dam.RetireMode{dam.RetireDelete, dam.RetireArchive},
		MaxPathBytes:     maxPathBytes,
		MaxNameBytes:     maxNameBytes,
		RemembersRemoved: true,
		UniquePaths:      true,
		AtomicCreate:     true,

		ConditionalReplace:   true,
		MetadataWithoutBytes: true,
		ServerSideMove:       true,
		MaxMetadataBytes:     sidecar.MaxMetadataBytes,
		ReadBack:             true,
	}
}

// directory is the root as other processes know it.
func (a *Adapter) directory() string {
	if abs, err := filepath.Abs(a.root); err == nil {
		return abs
	}
	return filepath.Clean(a.root) // the working directory is gone
}
