package plan

import (
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// FolderOrder ranks folders by the first of its patterns that matches. The patterns have the syntax of Select.Folders. The
// zero value ranks all folders alike.
type FolderOrder struct {
	patterns []string
}

// CompileOrder prepares patterns. It expects patterns that ValidFolder accepts.
func CompileOrder(patterns []string) FolderOrder {
	var o FolderOrder
	for _, pattern := range patterns {
		o.patterns = append(o.patterns, folderPath(pattern))
	}
	return o
}

// Rank returns the position of the first pattern that matches folder, or the number of patterns when none matches.
func (o FolderOrder) Rank(folder string) int {
	folder = folderPath(folder)
	i := slices.IndexFunc(o.patterns, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, folder) })
	if i < 0 {
		return len(o.patterns)
	}
	return i
}

// ValidFolder reports whether a folder pattern is valid.
func ValidFolder(pattern string) bool {
	return strings.TrimSpace(pattern) != "" && doublestar.ValidatePattern(folderPath(pattern))
}
