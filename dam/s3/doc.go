// Package s3 is the adapter for buckets: AWS S3 and what speaks its protocol
// (R2, MinIO, Ceph, Wasabi, versitygw).
//
// # Layout
//
//	<prefix><path>                      an object, its mark in the user metadata
//	<prefix><path>.damsync.json         its sidecar, where it needs one
//	<prefix>.archive/<path>             archived; below the asset's id when that is taken
//	<prefix>.damsync/<target>/uploads/  notes of uploads in parts under way
//
// The mark is in x-amz-meta-damsync-* as printable ASCII with percent-encoding:
// instance, target, asset, version, size, metadata-hash, generation, and sha256
// where it was known when the request began. Title and metadata (JSON) follow
// while all of it is within the 2 KB that S3 allows. When it is not, they go
// whole to the sidecar, and the object keeps a digest of them: an object whose
// sidecar is missing or of another step is Incomplete. The sidecar is JSON with
// the keys of the filesystem adapter's, its mark in its own user metadata.
//
// # What is ours
//
// An object is ours when its mark names our instance and target, so that
// several targets may share a prefix. Whoever writes over an object of ours
// writes without the mark, which makes it foreign: it is left alone.
//
// # Requests
//
//	Put, nothing there yet    PUT                   1; HEAD, PUT before and after where a sidecar is needed
//	Put, replacing            HEAD, PUT             2; 1 HEAD when nothing has changed
//	SetMetadata               HEAD, COPY            2, no bytes
//	Move, archive             HEAD × 2-4, COPY, DELETE; no bytes
//	delete                    HEAD × 2-5, DELETE
//	Find                      HEAD × 3 for each hint, at the same time
//	List                      LIST for each 1,000, and HEAD for each object
//
// A Put whose answer from the core is Absent does not look first: the condition
// If-None-Match says whether something was there. An asset cannot be looked up
// by its id but by listing everything, since an index would double the requests;
// so Find relies on its hints, and without any it lists.
//
// # One body, one request
//
// A body of known length is streamed into a single PUT, never held in memory,
// up to multipart_threshold (5 GiB, which is what S3 allows). The SHA-256 is
// computed while the body is read and sent behind it, as the trailer
// x-amz-checksum-sha256: the server compares it with what arrived, publishes
// nothing when it differs, keeps it, and gives it with HEAD. That is the SHA-256
// of the mark where the user metadata has none. With checksum: crc32c a CRC-32C
// is the trailer, which costs the server least, less than the checksum it makes
// by itself when it is given none; then Find does not
// know the SHA-256 unless sidecar is always. checksum: none is for servers
// without trailers (they answer 501 or refuse the signature): only the last
// byte, which is held back until the Source has verified all, keeps a wrong body
// from being published, and a server has to refuse one that lacks it. One that
// keeps it all the same has an object that is found Incomplete.
//
// Bodies are not part of the signature over TLS. Over plain http they are, unless
// sign_payload is false: then each is read into memory before it is sent, in
// parts when it is longer than part_size.
//
// Larger bodies, and those of unknown length that do not fit into one part, go
// in parts of part_size, part_concurrency of them in memory and on the way for
// all uploads of the target together. A part is guarded by CRC-32C, the whole by
// the number of its bytes; its SHA-256 is in the sidecar, as the store cannot
// make it from parts. The session names the upload and the checkpoint behind the
// parts that are there from the first on. A look at the object at the end confirms
// how many bytes are there. What an upload leaves behind is
// aborted after a day, found by its note, which is looked for once an hour; uploads of others
// are not touched.
//
// # Who was first
//
// Conditions (If-None-Match for a new key, If-Match for one that was looked at)
// let the server decide, so that nothing foreign that comes meanwhile is lost and
// of two workers that replace an object one fails. They know one key and its
// bytes. What they do not know:
//
//   - New metadata for the same bytes leaves the ETag as it was. An upload that
//     took longer than two seconds therefore looks again before its last byte;
//     a lower generation may still write over a higher one that came in the
//     milliseconds after.
//   - Another key. A worker that moves an object looks at the old key again
//     before the last byte. Two that know nothing of each other and create the
//     same asset at different paths leave two objects.
//
// Removed objects are not remembered, nor their generations. Servers that ignore
// the conditions want conditional_writes: false: then every Put looks first.
//
// # A step broken off
//
// A move is a copy that names the key it came from, then a removal. While both
// are there Find gives Incomplete, and the next call on the object removes the
// rest. Sidecars are written after their object and removed before it. One
// that somebody left without its object is removed with its asset, or written over by
// whoever has its place.
//
// # Never annotations
//
// Object annotations would hold more metadata, but servers that do not know them
// take the request for a PUT of the object and replace its bytes with the
// annotation (seen with versitygw and MinIO).
package s3
