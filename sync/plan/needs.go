package plan

import (
	"slices"

	"damsync/internal/library"
)

// Need is a part of a rule that needs more than the summary.
type Need struct {
	Key   string        // key path as in Problem, such as "select.expired" or "metadata.alt"
	Reads []string      // the properties of asset that it reads beyond the summary, sorted
	Level library.Level // the deepest level that it needs
}

// Needs lists the parts that make the rule read assets singly, in the order of the rule: expiry, condition, path,
// metadata. When it is empty, the summary suffices.
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
