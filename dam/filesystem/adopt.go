package filesystem

import "damsync/dam"

// adoptable reports whether a foreign place has a file without any sidecar that
// is of mark's content, as far as mark knows its own.
func (s *session) adoptable(at place, mark dam.Mark) (bool, error) {
	if at.side != nil || !regular(at) || mark.Size >= 0 && at.file.Size() != mark.Size {
		return false, nil
	}
	if mark.SHA256 == "" {
		return true, nil
	}
	sum, err := s.sha256(at.path)
	return sum == mark.SHA256, classed("hash "+at.path, err)
}
