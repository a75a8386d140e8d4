package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"damsync/internal/library"
)

// selection is the part of a rule that needs only the summary and no expressions.
type selection struct {
	types   []string
	folders []string // valid patterns with a leading slash; empty means all
	labels  []labelRule
}

type labelRule struct {
	group  string
	values []string
}

// excludes returns why the asset in that folder is not selected, or an empty string.
func (s *selection) excludes(a *library.Asset, folder string) string {
	if !slices.Contains(s.types, a.Type) {
		return "type " + a.Type + " is none of " + strings.Join(s.types, ", ")
	}
	if !s.matchesFolder(folder) {
		return "folder " + folder + " matches none of " + strings.Join(s.folders, ", ")
	}
	for i := range s.labels {
		if rule := &s.labels[i]; !rule.matches(a.Labels) {
			return "label " + rule.group + " is none of " + strings.Join(rule.values, ", ")
		}
	}
	return ""
}

func (s *selection) matchesFolder(folder string) bool {
	if len(s.folders) == 0 {
		return true
	}
	return slices.ContainsFunc(s.folders, func(pattern string) bool {
		// Patterns are validated when compiled.
		return doublestar.MatchUnvalidated(pattern, folder)
	})
}

// matches compares names exactly, as the CMP gives them.
func (r *labelRule) matches(labels []library.Label) bool {
	for _, label := range labels {
		if label.Group.Name != r.group {
			continue
		}
		for _, value := range label.Values {
			if slices.Contains(r.values, value.Name) {
				return true
			}
		}
	}
	return false
}

// compileSelection checks and normalises the part of a selection without expressions.
func compileSelection(s Select) (selection, []Problem) {
	types, problems := compileTypes(s.Types)
	folders, wrong := compileFolders(s.Folders)
	problems = append(problems, wrong...)
	labels, wrong := compileLabels(s.Labels)
	return selection{types: types, folders: folders, labels: labels}, append(problems, wrong...)
}

func compileTypes(types []string) ([]string, []Problem) {
	if len(types) == 0 {
		return library.FileTypes(), nil
	}
	documented := []string{
		library.TypeArticle, library.TypeImage, library.TypeRawFile,
		library.TypeStructuredContent, library.TypeVideo,
	}
	var problems []Problem
	for i, name := range types {
		if !slices.Contains(documented, name) {
			problems = append(problems, Problem{
				Field:   fmt.Sprintf("select.types[%d]", i),
				Message: fmt.Sprintf("unknown asset type %q; use one of %s", name, strings.Join(documented, ", ")),
			})
		}
	}
	return slices.Clone(types), problems
}

func compileFolders(patterns []string) ([]string, []Problem) {
	var compiled []string
	var problems []Problem
	for i, pattern := range patterns {
		field := fmt.Sprintf("select.folders[%d]", i)
		switch folder := folderPath(pattern); {
		case strings.TrimSpace(pattern) == "":
			problems = append(problems, Problem{Field: field, Message: `the folder is empty; write "/" for the root`})
		case !doublestar.ValidatePattern(folder):
			problems = append(problems, Problem{
				Field:   field,
				Message: fmt.Sprintf("%q is not a valid pattern; put a backslash before [ ] { } * ? that belong to a folder's name", pattern),
			})
		default:
			compiled = append(compiled, folder)
		}
	}
	return compiled, problems
}

func compileLabels(labels map[string][]string) ([]labelRule, []Problem) {
	var rules []labelRule
	var problems []Problem
	for _, group := range slices.Sorted(maps.Keys(labels)) {
		field := "select.labels." + group
		switch values := labels[group]; {
		case group == "":
			problems = append(problems, Problem{Field: "select.labels", Message: "the name of a label group is empty"})
		case len(values) == 0:
			problems = append(problems, Problem{Field: field, Message: "name at least one value of the label group"})
		case slices.Contains(values, ""):
			problems = append(problems, Problem{Field: field, Message: "a label value is empty"})
		default:
			rules = append(rules, labelRule{group: group, values: slices.Clone(values)})
		}
	}
	return rules, problems
}

// folderPath returns a folder or pattern with one leading slash and no trailing one.
func folderPath(text string) string {
	if len(text) > 1 && text[0] == '/' && text[1] != '/' && text[len(text)-1] != '/' {
		return text
	}
	return "/" + strings.Trim(text, "/")
}

// fixedPrefix returns the folder that a pattern names before its first wildcard,
// without escapes. It is empty for the root.
func fixedPrefix(pattern string) string {
	// The appended wildcard keeps the last segment of a plain path.
	base, _ := doublestar.SplitPattern(pattern + "/*")
	if base == "/" || base == "." {
		return ""
	}
	return base
}
