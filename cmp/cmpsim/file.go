package cmpsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// file is one version of an asset's file. It is a copy, to be read without the library's lock.
type file struct {
	id, title, mime, ext string
	version              uint32
	versionID            string
	ordinal              uint32
	width, height        int
	size                 int64 // bytes
	seed                 int64
	picture              bool
}

func (c *catalog) fileOf(a *asset) file {
	d := c.detailOf(a)
	return file{
		id: a.id, title: d.drawnTitle, mime: a.format.mime, ext: a.format.ext, version: a.version, versionID: c.versionID(a),
		ordinal: a.ordinal, width: d.width, height: d.height, size: d.size, seed: c.seed, picture: a.kind == kindImage,
	}
}

// open returns the bytes. Those of a picture are in memory; others are made as they are read.
func (f file) open() (io.ReadSeeker, error) {
	r := newRand(f.seed, "bytes", uint64(f.ordinal)<<32|uint64(f.version))
	if !f.picture {
		return io.NewSectionReader(blob{key: r.Uint64(), magic: magic(f.ext)}, 0, f.size), nil
	}
	b, err := drawPicture(r, f.width, f.height, f.title, f.version)
	if err != nil {
		return nil, err
	}
	return bytes.NewReader(b), nil
}

// sha256 returns the hash in hex.
func (f file) sha256() (string, error) {
	r, err := f.open()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", fmt.Errorf("hash file of %s: %w", f.id, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// blob is an endless file that depends on its key. The eight bytes at offset 8n are a hash of key and
// n; the first bytes are the magic of its format.
type blob struct {
	key   uint64
	magic string
}

func magic(ext string) string {
	return map[string]string{
		"mp4": "\x00\x00\x00\x18ftypmp42", "mov": "\x00\x00\x00\x14ftypqt  ", "pdf": "%PDF-1.4\n", "zip": "PK\x03\x04",
	}[ext]
}

// ReadAt is for io.ReaderAt. It never fails.
func (b blob) ReadAt(p []byte, offset int64) (int, error) {
	var word [8]byte
	for at := 0; at < len(p); {
		n := uint64(offset+int64(at)) / 8
		binary.LittleEndian.PutUint64(word[:], mix(b.key+n*0x9e3779b97f4a7c15))
		at += copy(p[at:], word[uint64(offset+int64(at))%8:])
	}
	if offset < int64(len(b.magic)) {
		copy(p, b.magic[offset:])
	}
	return len(p), nil
}
