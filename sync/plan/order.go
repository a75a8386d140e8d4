package plan

import (
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// FolderOrder ranks folders by the first of its patterns that matches; patterns are those of
// Select.Folders. The zero value ranks all alike.
type FolderOrder struct {
	patterns []string
}

// CompileOrder prepares patterns. What is wrong with one is told by ValidFolder.
func CompileOrder(patterns []string) FolderOrder {
	var o FolderOrder
	for _, pattern := range patterns {
		o.patterns = append(o.patterns, folderPath(pattern))
	}
	return o
}

// Rank is the position of the first pattern that matches folder, or how many there are.
func (o FolderOrder) Rank(folder string) int {
	folder = folderPath(folder)
	i := slices.IndexFunc(o.patterns, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, folder) })
	if i < 0 {
		return len(o.patterns)
	}
	return i
}

// ValidFolder tells whether a pattern is one of folders.
func ValidFolder(pattern string) bool {
	return strings.TrimSpace(pattern) != "" && doublestar.ValidatePattern(folderPath(pattern))
}
