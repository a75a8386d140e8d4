package filesystem

import (
	"io/fs"
	"path"
	"strings"
	"time"
)

// leftoverAge is how long an unfinished file is left alone: longer than any
// download takes without a byte arriving.
const leftoverAge = 24 * time.Hour

// clean removes what crashed runs left in tmp. Only files are removed that bear
// the adapter's own kind of name and are older than any living one.
func (s *session) clean() error {
	entries, err := fs.ReadDir(s.root.FS(), s.temp)
	if err != nil {
		return classed("list unfinished files", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		ours := strings.HasPrefix(e.Name(), "new-") || strings.HasPrefix(e.Name(), "gone-")
		if err != nil || !ours || time.Since(info.ModTime()) < leftoverAge {
			continue
		}
		if err := s.remove(path.Join(s.temp, e.Name())); err != nil {
			return classed("remove unfinished file", err)
		}
	}
	return nil
}
