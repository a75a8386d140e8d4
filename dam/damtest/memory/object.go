package memory

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"damsync/dam"
)

type object struct {
	body     []byte
	mark     dam.OwnerMark // zero when foreign
	path     string        // as the core asked, also when archived
	archived bool
	title    string
	metadata []byte // JSON
	token    int
}

type owner struct {
	key    dam.Key
	target string
}

func ownerOf(m dam.OwnerMark) owner { return owner{m.Key(), m.Target} }

func (o *object) remote() dam.Remote {
	r := dam.Remote{Path: o.path, State: dam.Present, Mark: o.mark, Token: strconv.Itoa(o.token)}
	r.Hash = fmt.Sprintf("sha256:%x", sha256.Sum256(o.body))
	if o.archived {
		r.State = dam.Archived
	}
	return r
}

func (o *object) same(next object) bool {
	return o.mark == next.mark && o.path == next.path && o.archived == next.archived &&
		o.title == next.title && bytes.Equal(o.metadata, next.metadata) && bytes.Equal(o.body, next.body)
}

// holds reports whether the content of mark is that of want.
func holds(mark, want dam.OwnerMark) bool {
	if want.SHA256 != "" {
		return mark.SHA256 == want.SHA256
	}
	return want.Version != "" && mark.Version == want.Version && (want.Size < 0 || want.Size == mark.Size)
}

func encode(md dam.Metadata) ([]byte, error) {
	raw, err := json.Marshal(md)
	if err != nil {
		return nil, fmt.Errorf("%w: encode metadata: %w", dam.ErrInvalid, err)
	}
	if len(raw) > maxMetadata {
		return nil, fmt.Errorf("%w: metadata of %d bytes", dam.ErrInvalid, len(raw))
	}
	return raw, nil
}

func decode(raw []byte) (dam.Metadata, error) {
	md := dam.Metadata{}
	if len(raw) == 0 {
		return md, nil
	}
	if err := json.Unmarshal(raw, &md); err != nil {
		return nil, fmt.Errorf("decode metadata: %w", err)
	}
	if md == nil {
		md = dam.Metadata{} // null
	}
	return md, nil
}

const (
	archive      = ".archive"
	maxPathBytes = 1024
	maxMetadata  = 64 << 10
	partBytes    = 1 << 10
)

func checkPath(p string) error {
	reserved := p == archive || strings.HasPrefix(p, archive+"/")
	if !fs.ValidPath(p) || p == "." || strings.ContainsRune(p, 0) || reserved || len(p) > maxPathBytes {
		return fmt.Errorf("path %q: %w", p, dam.ErrInvalid)
	}
	return nil
}

// archivePlace differs for each asset.
func archivePlace(m dam.OwnerMark) string {
	return path.Join(archive, fmt.Sprintf("%x-%x-%x", m.Instance, m.Target, m.AssetID))
}
