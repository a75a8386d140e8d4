package main

import (
	"fmt"

	"damsync/dam"
	"damsync/dam/filesystem"
	"damsync/dam/s3"
	"damsync/internal/config"
)

// adapterKind is what damsync needs of one kind of adapter.
type adapterKind struct {
	// open makes the adapter of a target from its options. It does no I/O.
	open func(options map[string]any, target, instance string) (dam.Adapter, error)
	// scratch returns a place below that of a target, for verify-target. nil: the
	// kind cannot be verified there.
	scratch func(options map[string]any, name string) scratchPlace
}

// adapters is the table of adapters, by the name that a target's adapter key has.
// A new adapter is one line here.
func adapters() map[string]adapterKind {
	return map[string]adapterKind{
		"filesystem": {open: opens(filesystem.New), scratch: newScratchDirectory},
		"s3":         {open: opens(s3.New), scratch: newScratchPrefix},
	}
}

// opens adapts a constructor that returns its own type.
func opens[A dam.Adapter](open func(options map[string]any, target, instance string) (A, error)) func(map[string]any, string, string) (dam.Adapter, error) {
	return func(options map[string]any, target, instance string) (dam.Adapter, error) {
		return open(options, target, instance)
	}
}

// newAdapter makes the adapter of a target.
func newAdapter(t config.Target, instance string) (dam.Adapter, error) {
	kind, known := adapters()[t.Adapter]
	if !known {
		return nil, fmt.Errorf("unknown adapter %q", t.Adapter)
	}
	return kind.open(t.Options, t.Spec.Name, instance)
}

// knownAdapters are the adapters that a configuration may name. Each checks its
// options and says where they lead.
func knownAdapters() config.Adapters {
	known := config.Adapters{}
	for name := range adapters() {
		known[name] = func(t config.Target) (place string, err error) {
			adapter, err := newAdapter(t, "not pushed yet")
			if err != nil {
				return "", err
			}
			if place = adapter.Describe().Place; place != "" {
				place = name + " " + place
			}
			return place, nil
		}
	}
	return known
}
