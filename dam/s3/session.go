package s3

import (
	"encoding/json"

	"damsync/dam"
)

// session is what a multipart upload needs to resume. The server lists the parts itself.
type session struct {
	Upload      openUpload     `json:"upload"`
	Version     string         `json:"version"`
	Size        int64          `json:"size"` // promised by the core
	PartSize    int64          `json:"part_size"`
	Description string         `json:"description"` // digest of the headers that the upload began with
	Checkpoint  dam.Checkpoint `json:"checkpoint"`  // after the parts that are stored without a gap
}

// parseSession reports false for bytes that are not a session.
func parseSession(raw []byte) (session, bool) {
	var s session
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return session{}, false
	}
	return s, s.Upload.UploadID != "" && checkSegments(s.Upload.Name) == nil
}

// fits reports whether the upload can go on with content that mark names.
func (s session) fits(name string, mark dam.OwnerMark, partSize int64) bool {
	return s.Upload.Name == name && s.Version == mark.Version && mark.Version != "" && s.Size == mark.Size &&
		s.PartSize == partSize && s.Checkpoint.Offset%partSize == 0
}
