package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"

	"damsync/dam/s3"
)

// scratchPlace is a directory or prefix below the place of a target, in which
// verify-target works.
type scratchPlace interface {
	// String says where it is.
	String() string
	// options returns the target's options with dir in the scratch place as the
	// place of the target.
	options(dir string) map[string]any
	// remove deletes the scratch place with everything in it. It may be repeated.
	remove(ctx context.Context) error
}

// scratchNamePrefix begins the name of each scratch place.
const scratchNamePrefix = s3.ScratchPrefix

// scratchDirectory is the scratch place of a filesystem target.
type scratchDirectory struct {
	target map[string]any
	path   string
	// rootWasMissing says that the target's root did not exist before.
	rootWasMissing bool
}

func newScratchDirectory(options map[string]any, name string) scratchPlace {
	root, _ := options["root"].(string) // the adapter has checked it
	_, err := os.Stat(root)
	return scratchDirectory{
		target: options, path: filepath.Join(root, name), rootWasMissing: errors.Is(err, fs.ErrNotExist),
	}
}

func (d scratchDirectory) String() string { return d.path }

// options creates the directory: create may be false for the root itself.
func (d scratchDirectory) options(dir string) map[string]any {
	options := maps.Clone(d.target)
	options["root"], options["create"] = filepath.Join(d.path, dir), true
	return options
}

// remove also removes a root that did not exist before.
func (d scratchDirectory) remove(context.Context) error {
	if err := os.RemoveAll(d.path); err != nil {
		return err
	}
	if d.rootWasMissing {
		return os.Remove(filepath.Dir(d.path))
	}
	return nil
}

// scratchPrefix is the scratch place of an S3 target.
type scratchPrefix struct {
	target map[string]any
	prefix string
}

func newScratchPrefix(options map[string]any, name string) scratchPlace {
	prefix, _ := options["prefix"].(string) // optional
	return scratchPrefix{target: options, prefix: path.Join(prefix, name)}
}

func (p scratchPrefix) String() string { return p.prefix }

// smallestPart is the smallest part of an upload that S3 allows. With the parts of
// the configuration, testing a resumed upload would send gigabytes.
const smallestPart = "5MiB"

func (p scratchPrefix) options(dir string) map[string]any {
	options := maps.Clone(p.target)
	options["prefix"] = path.Join(p.prefix, dir)
	options["multipart_threshold"], options["part_size"] = smallestPart, smallestPart
	return options
}

func (p scratchPrefix) remove(ctx context.Context) error {
	return s3.RemoveScratch(ctx, p.options(""))
}
