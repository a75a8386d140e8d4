// Package s3 is the adapter for buckets: AWS S3 and servers with the same API
// (R2, MinIO, Ceph, Wasabi, versitygw).
//
// # Layout
//
//	<prefix><path>                      an object, its ownership mark in the user metadata
//	<prefix><path>.damsync.json         its sidecar, where it needs one
//	<prefix>.archive/<path>             archived; below the asset's id when that is taken
//	<prefix>.damsync/<target>/uploads/  notes of open multipart uploads
//
// The ownership mark is in x-amz-meta-damsync-* as printable ASCII with
// percent-encoding: instance, target, asset, version, size, metadata-hash,
// generation, and sha256 where it was known when the request began. Title and
// metadata (JSON) follow while everything fits into the 2 KB that S3 allows.
// Otherwise they go to the sidecar, and the object keeps a digest of them. An
// object is Incomplete while its sidecar is missing or belongs to another write.
// The sidecar is the JSON document of package sidecar, with the mark in its own
// user metadata.
//
// # Ownership
//
// An object is ours when its mark names our instance and target, so several
// targets can share a prefix. A program that overwrites our object writes no mark,
// which makes the object foreign: it is left alone.
//
// # Requests
//
//	Put, nothing there yet    PUT                  1; with a sidecar HEAD, PUT, PUT
//	Put, replacing            HEAD, HEAD, PUT      3; 1 when nothing has changed
//	SetMetadata               HEAD, COPY           2, no bytes
//	Move, archive             HEAD × 2-4, COPY, DELETE; no bytes
//	delete                    HEAD × 2-5, DELETE
//	Find                      HEAD × 3 for each hint, at the same time
//	List                      LIST for each 1,000 objects, and HEAD for each
//
// When the core knows of no object, Put does not look first: the condition
// If-None-Match shows whether something is there. An asset cannot be looked up by
// its id, because an index would double the requests. So Find relies on its hints,
// and lists everything when there are none.
//
// # Bodies in one request
//
// A body of known length up to multipart_threshold (default 5 GiB, the limit of
// S3) is streamed into a single PUT and never held in memory. The SHA-256 is
// computed while the body is read and follows it as the trailer
// x-amz-checksum-sha256. The server compares it with what arrived, publishes
// nothing when it differs, keeps it, and returns it with HEAD. So the mark needs no
// SHA-256 in the user metadata.
//
// With checksum: crc32c the trailer is a CRC-32C, which costs the server least, even
// less than the checksum that it computes by itself without a trailer. Find then
// does not know the SHA-256, unless sidecar is always. With checksum: none there is no
// trailer, for servers that do not implement it (they answer 501 or reject the
// signature). Then only the last byte protects from a wrong body: it is held back until
// the Source has verified everything, and a server must reject a body without it. An
// object that a server publishes all the same is found Incomplete.
//
// Over TLS, bodies are not part of the signature. Over plain http they are, unless
// sign_payload is false. A signed body is held in memory before it is sent, in parts
// when it is longer than part_size.
//
// # Bodies in parts
//
// A longer body, or one of unknown length that does not fit into one part, goes in
// parts of part_size. All uploads of the target together hold at most part_concurrency
// parts in memory. A CRC-32C protects each part, and the number of bytes the whole. The
// sidecar has the SHA-256 of the whole, because S3 cannot derive it from the parts.
//
// The session names the upload and the checkpoint after the parts that are stored
// without a gap. An interrupted upload resumes at the first missing part. The server
// stores no owner with an upload, so each has a note; uploads without one belong to other
// programs and are not touched. An abandoned upload is aborted when its note is a day old,
// by Check or when the next upload in parts begins.
//
// # Concurrent writers
//
// Conditions (If-None-Match for a new key, If-Match for one that was looked at) let
// the server decide which writer was first. So an object that another program
// writes meanwhile is not lost, and of two workers that replace an object one fails.
// A condition covers one key and its bytes. It does not cover
//
//   - new metadata for the same bytes, which leaves the ETag unchanged. An upload
//     that replaces an object therefore looks again before its last byte. Only a
//     higher generation that arrives in the milliseconds after can be overwritten.
//   - another key. A worker that moves an object looks at the old key again before
//     the last byte. Two workers that create the same asset at different paths without
//     knowing of each other leave two objects.
//
// Removed objects and their generations are not remembered. Servers that ignore
// conditions need conditional_writes: false; then every Put looks first.
//
// # Interrupted writes
//
// A move is a copy that names its origin, followed by a removal. While both objects
// exist, Find returns Incomplete, and the next write removes the old one. A sidecar is
// written after its object and removed before it. A sidecar that another program left
// without its object is removed with its asset, or replaced by that of the next object
// at its place.
//
// # No annotations
//
// Object annotations would hold more metadata. But servers that do not implement them
// take the request for a PUT of the object and replace its bytes with the annotation
// (seen with versitygw and MinIO).
package s3
