package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"damsync/internal/state"
	"damsync/sync/plan"
)

// MissingNames returns a message for each name a rule refers to that the library does not have.
func MissingNames(refs plan.References, names state.Names) []string {
	var missing []string
	for _, folder := range refs.FolderPatterns {
		if !hasFolder(names.Folders, folder) {
			missing = append(missing, fmt.Sprintf("the library has no folder %q", folder))
		}
	}
	for _, group := range slices.Sorted(maps.Keys(refs.Labels)) {
		values, known := names.Labels[group]
		if !known {
			missing = append(missing, fmt.Sprintf("the library has no label group %q (it has %s)", group, some(names.Labels)))
			continue
		}
		for _, value := range refs.Labels[group] {
			if !values[value] {
				missing = append(missing, fmt.Sprintf("label group %q has no value %q (it has %s)", group, value, some(values)))
			}
		}
	}
	for _, field := range refs.Fields {
		if !names.Fields[field] {
			missing = append(missing, fmt.Sprintf("the library has no field %q (it has %s)", field, some(names.Fields)))
		}
	}
	return missing
}

func hasFolder(folders map[string]bool, path string) bool {
	if path == "" || path == "/" {
		return true
	}
	for have := range folders {
		if strings.Trim(have, "/") == strings.Trim(path, "/") {
			return true
		}
	}
	return false
}

// some lists the first few of many names.
func some[V any](names map[string]V) string {
	all := slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(s string) bool { return s == "" })
	switch {
	case len(all) == 0:
		return "none"
	case len(all) > 8:
		return strings.Join(all[:8], ", ") + ", …"
	default:
		return strings.Join(all, ", ")
	}
}
