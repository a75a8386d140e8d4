// Package dam is the port through which damsync pushes assets to a target: the
// Adapter interface, the ownership mark that every object carries, the error
// classes, and decorators that add one behaviour each (Logging, Metrics, Retry,
// Pace). They nest as Logging(Metrics(Retry(Pace(adapter)))): each attempt waits
// for its turn, and log and metrics describe the call as the core sees it.
//
// A dry run needs no decorator. What would change follows from the mirror and from
// the record of what each target holds, so a dry run never calls an adapter.
//
// The package imports no other package of damsync and uses plain Go types, so that
// an adapter can be written in another module.
//
// # Who decides what
//
// The core decides which asset belongs where, with which content and metadata,
// and keeps the durable record of it. It commits its intent before the first byte.
// An adapter gets an order, does one logical step, and returns what exists now. It
// decides nothing by itself.
//
// # Identity and ownership
//
// An object is identified by its Key, never by title or file name. It carries
// an OwnerMark. An object without a mark, or with the mark of another instance or target,
// is foreign: it is never overwritten, moved or removed.
//
// # Generations
//
// Each mark has a generation, which only grows for one key at one target. A call
// with a lower generation than the target holds changes nothing and fails with
// ErrStale; an equal one is a repetition and is allowed. This also stops a worker
// that was paused and continues late, as far as the target can remember:
// Capabilities.RemembersRemoved says whether it can after a removal.
//
// # Large uploads
//
// The content of an Object can be opened at any Checkpoint. Its SHA-256 is still
// that of the whole content, since a checkpoint contains the state of the digest.
// An adapter that can resume uploads keeps a checkpoint in its session, which the
// core stores; see Upload. Other adapters open the content at its beginning and
// ignore both.
package dam
