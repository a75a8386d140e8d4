package filesystem

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path"
	"reflect"

	"damsync/dam"
	"damsync/dam/sidecar"
)

// maxStateBytes limits what is read of a record or sidecar. A record contains a
// sidecar.
const maxStateBytes = sidecar.MaxBytes

// readState returns a sidecar or record whole. It is nil when p does not exist, is
// not a regular file, or is larger than the adapter's files can be.
func readState(t *tree, p string) ([]byte, error) {
	info, err := t.stat(p)
	if info == nil || err != nil || !info.Mode().IsRegular() || info.Size() > maxStateBytes {
		return nil, err
	}
	f, err := t.root.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxStateBytes))
}

// readJSON reports whether p exists and is JSON that fits v. A file that is not
// JSON is no error: it is not the adapter's.
func readJSON(t *tree, p string, v any) (ok bool, err error) {
	raw, err := readState(t, p)
	return err == nil && json.Unmarshal(raw, v) == nil, err
}

// writeJSON replaces p as a whole with v and makes that durable.
func writeJSON(t *tree, p string, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return writeIndented(t, p, buf.Bytes())
}

// writeIndented replaces p as a whole with JSON, indented for people who read it,
// and makes that durable.
func writeIndented(t *tree, p string, raw []byte) error {
	var buf bytes.Buffer
	if err := json.Indent(&buf, bytes.TrimSpace(raw), "", "  "); err != nil {
		return err
	}
	buf.WriteByte('\n')
	temp, err := t.writeTemp(&buf)
	if err != nil {
		return err
	}
	if err := t.rename(temp, p); err != nil {
		return errors.Join(err, t.remove(temp))
	}
	return t.syncDir(path.Dir(p))
}

// writeSidecar replaces only a sidecar of the same asset.
func writeSidecar(t *tree, p string, doc sidecar.Document) error {
	at, err := look(t, p)
	if err == nil && at.side != nil && !at.of(doc.AssetID) {
		err = dam.ErrForeign
	}
	var raw []byte
	if err == nil {
		raw, err = doc.Encode()
	}
	if err == nil {
		err = writeIndented(t, sidecarPath(p), raw)
	}
	return classed("write sidecar of "+p, err)
}

// sameDocument ignores how the metadata is indented.
func sameDocument(a, b sidecar.Document) bool {
	a.Metadata, b.Metadata = compact(a.Metadata), compact(b.Metadata)
	return reflect.DeepEqual(a, b)
}

func compact(raw json.RawMessage) json.RawMessage {
	var buf bytes.Buffer
	if json.Compact(&buf, raw) != nil {
		return raw
	}
	return buf.Bytes()
}
