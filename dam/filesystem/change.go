package filesystem

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"path"

	"damsync/dam"
)

// change is one call that sends no bytes, on what the tree holds of an asset.
type change struct {
	journal
	found
	mark dam.OwnerMark
}

func (c change) setMetadata(title string, metadata json.RawMessage) (dam.Remote, error) {
	at, ok := c.whole()
	if !ok {
		return dam.Remote{}, dam.ErrNotFound
	}
	doc := at.sidecar
	doc.Title, doc.Metadata = title, metadata
	doc.MetadataHash, doc.Generation = c.mark.MetadataHash, c.mark.Generation
	return at.describe(c.tree, doc)
}

func (c change) move(p string) (dam.Remote, error) {
	at, ok := c.whole()
	if !ok {
		return dam.Remote{}, dam.ErrNotFound
	}
	doc := at.sidecar
	doc.Path, doc.Archived, doc.Generation = p, false, c.mark.Generation
	if at.path == p && len(c.places) == 1 {
		return at.describe(c.tree, doc)
	}
	if _, err := c.claimPath(c.mark.AssetID, p); err != nil {
		return dam.Remote{}, err
	}
	return c.placeAt(c.found, fingerprintOf(at.path, at.file), doc, p)
}

// archive moves the file to the archive, also when a person edited it. Without a
// file it erases.
func (c change) archive() (dam.Remote, error) {
	if len(c.places) == 0 || !c.places[0].regular() {
		return c.erase()
	}
	at := c.places[0]
	doc := at.sidecar
	doc.Archived, doc.Generation = true, c.mark.Generation
	if !at.whole() {
		sum, err := c.sha256(at.path)
		if err != nil {
			return dam.Remote{}, classed("hash edited file", err)
		}
		doc.SHA256, doc.Size = sum, at.file.Size()
	}
	if at.sidecar.Archived && len(c.places) == 1 {
		return at.describe(c.tree, doc)
	}
	var err error
	for _, to := range archivePlaces(doc.AssetID, doc.Path) {
		if _, err = c.claimPath(doc.AssetID, to); err == nil {
			return c.placeAt(c.found, fingerprintOf(at.path, at.file), doc, to)
		}
		var conflict *dam.Conflict
		if !errors.Is(err, dam.ErrForeign) && !errors.As(err, &conflict) {
			break
		}
	}
	return dam.Remote{}, classed("find room in the archive", err)
}

// erase removes the asset from all its places and keeps a record of the generation.
func (c change) erase() (dam.Remote, error) {
	gone := found{generation: c.mark.Generation}.absent()
	prev := c.found.record
	if len(c.places) == 0 && prev != nil && prev.Place == "" && prev.Generation == c.mark.Generation {
		return gone, nil
	}
	rec := record{AssetID: c.mark.AssetID, Generation: c.mark.Generation}
	for i, at := range c.places {
		if i == 0 {
			rec.Sidecar = at.sidecar
		}
		if i == 0 && at.regular() {
			rec.From, rec.To = fingerprintOf(at.path, at.file), path.Join(c.home.tempDir(), "gone-"+rand.Text())
		}
		rec.Old = append(rec.Old, oldPlaceOf(at))
	}
	if err := c.commit(prev, rec); err != nil {
		return dam.Remote{}, err
	}
	return gone, nil
}
