// Package dam is the port through which damsync pushes assets to a target: the
// Adapter interface, the ownership mark that every object carries, the error
// classes, and decorators that add one behaviour each (Logging, Metrics, Retry,
// Pace). They nest as Logging(Metrics(Retry(Pace(adapter)))): each attempt waits
// for its turn, and log and metrics describe the call as the core sees it.
//
// A dry run needs no decorator. What would change follows from the mirror and from
// the record of what each target holds, so a dry run never calls an adapter.
//
// The package imports nothing of damsync's own and uses plain Go types, so
// that an adapter can be written in another module.
//
// # Who decides what
//
// The core decides which asset belongs where, with which content and metadata,
// and keeps the durable record of it; before the first byte it has committed
// the intent. An adapter is told, does one logical step, and answers what is
// there now. It keeps no decisions of its own.
//
// # Identity and ownership
//
// An object is identified by its Key, never by title or file name. It carries
// a Mark; what carries no mark, or that of another instance or target, is
// foreign and is neither overwritten nor moved nor removed.
//
// # Generations
//
// Each Mark has a generation, which only grows for one key at one target. A
// call whose generation is lower than what the target holds changes nothing
// and fails with ErrStale; an equal one is a repetition and is allowed. This
// holds also for a worker that was paused and comes back late, as far as the
// target can remember: Capabilities.RemembersRemoved says whether it still
// does after a removal.
//
// # Large uploads
//
// The content of an Object can be opened at any Checkpoint, and the SHA-256 is
// that of the whole all the same, since a checkpoint has the digest's state. An
// adapter that can resume keeps a checkpoint in its session, which the core
// stores; see Upload. Others open the content at its beginning and ignore both.
package dam
