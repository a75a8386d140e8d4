package library

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Digest returns the SHA-256 of the content of a summary without its volatile parts
// (download and thumbnail URLs). A list row and a detail of the same asset have the
// same digest, so either can be compared with the mirror.
func (a Asset) Digest() Hash {
	buf := make([]byte, 0, 512)
	add := func(s string) {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	for _, s := range []string{a.ID, a.Type, a.Title, a.MIMEType, a.FileExtension, a.FolderID, a.FileLocation, a.OwnerOrganizationID, a.Self} {
		add(s)
	}
	buf = binary.AppendVarint(buf, a.CreatedAt.UnixMicro())
	buf = binary.AppendVarint(buf, a.ModifiedAt.UnixMicro())
	if a.Archived {
		buf = append(buf, 1)
	}
	for _, l := range SortedLabels(a.Labels) {
		add(l.Group.ID)
		add(l.Group.Name)
		buf = binary.AppendUvarint(buf, uint64(len(l.Values)))
		for _, v := range l.Values {
			add(v.ID)
			add(v.Name)
		}
	}
	return sha256.Sum256(buf)
}

// SortedLabels returns labels and their values sorted by id. The CMP promises no order,
// and another order is no change.
func SortedLabels(labels []Label) []Label {
	byID := func(a, b Named) int { return cmp.Compare(a.ID, b.ID) }
	out := slices.Clone(labels)
	for i := range out {
		if !slices.IsSortedFunc(out[i].Values, byID) {
			out[i].Values = slices.SortedFunc(slices.Values(out[i].Values), byID)
		}
	}
	slices.SortFunc(out, func(a, b Label) int { return byID(a.Group, b.Group) })
	return out
}
