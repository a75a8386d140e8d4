package cmpsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// blob is a deterministic file of any size, made while it is read: eight bytes
// at offset 8n are a hash of n and the key. The first bytes are the magic of its
// format.
type blob struct {
	key   uint64
	size  int64
	magic string
	at    int64
}

func newBlob(key uint64, size int64, ext string) *blob {
	magic := map[string]string{
		"mp4": "\x00\x00\x00\x18ftypmp42", "mov": "\x00\x00\x00\x14ftypqt  ", "pdf": "%PDF-1.4\n", "zip": "PK\x03\x04",
	}[ext]
	return &blob{key: key, size: size, magic: magic}
}

var errSeek = errors.New("seek outside the file")

func (b *blob) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 {
		return 0, errSeek
	}
	b.at = offset
	return offset, nil
}

func (b *blob) Read(p []byte) (int, error) {
	if b.at >= b.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), b.size-b.at)]
	b.fill(p)
	for i := range p {
		if at := b.at + int64(i); at < int64(len(b.magic)) {
			p[i] = b.magic[at]
		} else {
			break
		}
	}
	b.at += int64(len(p))
	return len(p), nil
}

func (b *blob) fill(p []byte) {
	word, skip := uint64(b.at)/8, int(b.at%8)
	var w [8]byte
	for len(p) > 0 {
		v := mix(b.key + word*0x9e3779b97f4a7c15)
		if skip == 0 && len(p) >= 8 {
			binary.LittleEndian.PutUint64(p, v)
			p = p[8:]
		} else {
			binary.LittleEndian.PutUint64(w[:], v)
			p = p[copy(p, w[skip:]):]
			skip = 0
		}
		word++
	}
}

// mix is splitmix64's finalizer.
func mix(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// file is what one version of an asset serves. It is a copy: the lock is not
// held while it is read.
type file struct {
	id, title, mime, ext string
	version              uint32
	versionID            string
	ordinal              uint32
	width, height        int
	size                 int64
	seed                 int64
	picture              bool
}

func (c *catalog) fileOf(a *asset) file {
	d := c.detailOf(a)
	return file{
		id: a.id, title: d.drawn, mime: a.format.mime, ext: a.format.ext, version: a.version, versionID: c.versionID(a),
		ordinal: a.ordinal, width: d.width, height: d.height, size: d.size, seed: c.seed, picture: a.kind == kindImage,
	}
}

// open returns the bytes; those of a picture are made at once, others while they
// are read.
func (f file) open() (io.ReadSeeker, error) {
	r := newRand(f.seed, "bytes", uint64(f.ordinal)<<32|uint64(f.version))
	if !f.picture {
		return newBlob(r.Uint64(), f.size, f.ext), nil
	}
	b, err := drawPicture(r, f.width, f.height, f.title, f.version)
	if err != nil {
		return nil, err
	}
	return bytes.NewReader(b), nil
}

// sha256 hashes the whole file.
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
