// Package filesystem is the adapter for a directory tree: the file at
// root/path, beside it a sidecar <file>.damsync.json with the mark and the
// metadata, archived files under root/.archive/.
//
// # What is ours
//
// A file is ours when the sidecar beside it names our instance and target.
// A file without one, or with another's, is foreign and never touched, and
// neither is a sidecar that is not ours. Several targets and installations may
// therefore share a root. A file of ours that somebody edited still carries our
// mark: it is drift, and the next Put replaces it. Adopting a file writes the
// sidecar beside it and leaves the file as it is.
//
// # State beside the files
//
// root/.damsync/lock is locked (flock) while two renames belong together, by
// every process that works on the root. root/.damsync/<target>/ holds, for one
// target of one installation,
//
//	target.json        says that the target was set up here, see Check
//	tmp/               bodies on their way; leftovers go after a day
//	assets/xx/yyy.json one record an asset: its last step and where it is
//
// The record is written before a step and describes it whole, so that whoever
// comes after a crash can finish the step or see that it never began. It stays
// afterwards as the answer to "where is this asset, and which generation was
// its last", also when the asset was removed.
//
// # A step
//
// Putting, moving, archiving and removing are the same step with other
// arguments: a source (a body in tmp, or the file in its old place) is renamed
// to its destination (the place, or tmp when it is removed), the sidecar is
// written, what is left of the old places is removed. A crash after
//
//	               found by Find           done by the next write
//	nothing        the old object          -
//	body in tmp    the old object          body removed after a day
//	record         the old object          nothing: the source is where it was
//	rename         Incomplete, new mark    sidecar written, old places removed
//	sidecar        Incomplete while old    old places removed
//	               places remain, Present
//	old file gone  Incomplete              old sidecar removed
//	old sidecar    Present, or Absent      -
//
// Whether the rename happened is told by size and modification time of the
// source, which a rename keeps (where the file system rounds times, SHA-256
// decides); so a foreign file that turns up in the place meanwhile is not taken
// for ours, nor ours for foreign. Metadata alone is one rename of the sidecar.
//
// # What remains
//
// A new place is taken with a rename that fails when something is there
// (renameat2 on Linux, renameatx_np on macOS, link and unlink elsewhere). On
// a file system that has neither, and when a file of ours is replaced, a
// foreign process that puts its own file there between look and rename, some
// microseconds, loses it. Same-size edits in place do not make an
// object incomplete, since contents are not read again: its token tells, size
// and modification time, and reading it back. The tree must be one file system, and its
// sub-directories left empty by damsync are removed.
package filesystem
