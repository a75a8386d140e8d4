package filesystem

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
)

// New makes the adapter for a target of an installation from its configured
// options. It does no I/O and reports all problems at once. The options are root,
// the directory to push to, relative to the working directory unless absolute, and
// create, whether a missing root is created with its parents as long as nothing
// has been pushed there (default true).
func New(configured map[string]any, target, instance string) (*Adapter, error) {
	a := &Adapter{
		options: options{create: true}, target: target, instance: instance,
		home: homeOf(instance, target), lock: newRootLock(),
	}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(configured)) {
		if err := a.set(key, configured[key]); err != nil {
			problems = append(problems, err)
		}
	}
	if _, given := configured["root"]; !given {
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

type options struct {
	root   string
	create bool
}

func (o *options) set(key string, value any) error {
	var ok bool
	switch key {
	case "root":
		if o.root, ok = value.(string); !ok || o.root == "" {
			return fmt.Errorf("option root: want the path of a directory, got %#v", value)
		}
	case "create":
		if o.create, ok = value.(bool); !ok {
			return fmt.Errorf("option create: want true or false, got %#v", value)
		}
	default:
		return fmt.Errorf("unknown option %s: use one of create, root", key)
	}
	return nil
}

// directory is the root as other processes name it.
func (o *options) directory() string {
	if abs, err := filepath.Abs(o.root); err == nil {
		return abs
	}
	return filepath.Clean(o.root) // the working directory was removed
}
