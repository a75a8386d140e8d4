// Package filesystem is the adapter for a directory tree: the file at root/path,
// beside it a sidecar <file>.damsync.json with the ownership mark and the metadata,
// archived files under root/.archive/.
//
// # What is ours
//
// A file is ours when the sidecar beside it names our instance and target. A file
// without a sidecar, or with another's, is foreign and is never touched, and
// neither is a foreign sidecar. Several targets and installations may therefore
// share a root. A file of ours that a person edited still carries our mark: it has
// drifted, and the next Put replaces it. Adopting a file writes the sidecar beside
// it and leaves the file as it is.
//
// # State beside the files
//
// Every process that works on the root locks root/.damsync/lock (flock) while two
// renames belong together. root/.damsync/<target>/ holds, for one target of one
// installation,
//
//	target.json        says that the target was set up here, see Check
//	tmp/               unfinished files; leftovers are removed after a day
//	assets/xx/yyy.json one record per asset: its last step and where it is
//
// The record is written before a step and describes all of it, so that after a
// crash the next call can complete the step or see that it never began. It stays
// afterwards and answers where the asset is and what its last generation was, also
// after the asset was removed.
//
// # A step
//
// Putting, moving, archiving and removing are the same step with other arguments.
// It renames a source (a body in tmp, or the file in its old place) to its
// destination (the new place, or tmp when the file is removed), writes the sidecar,
// and clears the old places. After a crash behind
//
//	               Find returns            the next write
//	nothing        the old object          -
//	body in tmp    the old object          removes the body after a day
//	record         the old object          does nothing: the source is where it was
//	rename         Incomplete, new mark    writes the sidecar, clears the old places
//	sidecar        Incomplete while old    clears the old places
//	               places exist, Present
//	old file gone  Incomplete              removes the old sidecar
//	old sidecar    Present, or Absent      -
//
// Size and modification time of the source, which a rename keeps, show whether the
// rename took place; SHA-256 decides where the file system rounds times. So a
// foreign file that appears in the place meanwhile is not taken for ours, nor ours
// for foreign. Changing metadata alone is one rename of the sidecar.
//
// # What remains
//
// A new place is taken with a rename that fails when something exists there
// (renameat2 on Linux, renameatx_np on macOS, link and unlink elsewhere). On a file
// system that has neither, and when a file of ours is replaced, a foreign process
// that puts its own file there between look and rename, within some microseconds,
// loses it. An edit in place that keeps the size does not make an object incomplete,
// since contents are not read again: its token, size and modification time, changes,
// and reading it back shows the edit. The tree must be one file system. Directories
// that damsync leaves empty are removed.
package filesystem
