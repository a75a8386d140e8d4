package plan

import (
	"slices"

	"damsync/internal/library"
)

// Need is one part of a rule that a summary does not answer.
type Need struct {
	Key   string        // key path as in Problem, such as "select.expired" or "metadata.alt"
	Reads []string      // the properties of asset that ask for it, sorted
	Level library.Level // the deepest it may ask for
}

// Needs lists what makes the rule read assets singly, in the order of the rule: the expiry, the
// condition, the path, the metadata. Without any, the summary suffices.
func (t *Target) Needs() []Need {
	var needs []Need
	add := func(key string, uses usage) {
		if len(uses.beyond) == 0 {
			return
		}
		need := Need{Key: key, Reads: slices.Compact(slices.Sorted(slices.Values(uses.beyond))), Level: library.LevelDetail}
		if uses.fields {
			need.Level = library.LevelFields
		}
		needs = append(needs, need)
	}
	if t.excludeExpired {
		add("select.expired", usage{beyond: []string{"expires_at"}})
	}
	if t.when != nil {
		add("select.when", t.when.uses)
	}
	var path usage
	for _, p := range t.path {
		if p.program != nil {
			path.merge(p.program.uses)
		}
	}
	add("path", path)
	for _, rule := range t.metadata {
		add("metadata."+rule.key, rule.value.uses)
	}
	return needs
}
