package plan

import (
	"slices"
	"sync"

	"damsync/internal/library"
)

// Target is a compiled rule. It is immutable and safe for concurrent use.
type Target struct {
	name           string
	selection      selection
	excludeExpired bool
	when           *expression   // nil: no condition
	prefilters     []*expression // parts of when that read fewer levels
	path           []piece
	metadata       []metadataRule
	onRemove       RemoveMode
	removalLimit   RemovalLimit

	uses        usage // of all expressions
	fingerprint library.Hash
	evaluators  sync.Pool // of *evaluator
}

type metadataRule struct {
	key   string
	value *expression
}

// Name returns the name of the target as configured.
func (t *Target) Name() string { return t.name }

// OnRemove returns the remove mode with its default filled in.
func (t *Target) OnRemove() RemoveMode { return t.onRemove }

// RemovalLimit returns the limit with its default filled in.
func (t *Target) RemovalLimit() RemovalLimit { return t.removalLimit }

// Fingerprint returns a hash of everything that changes decisions. When it differs
// from the stored one, every asset must be evaluated again for this target.
func (t *Target) Fingerprint() library.Hash { return t.fingerprint }

// Level returns the deepest level that the rule may need. A rule that reads fields,
// ignores expiry and reads nothing of the detail needs only the fields.
func (t *Target) Level() library.Level {
	switch {
	case t.uses.fields:
		return library.LevelFields
	case t.needsDetail():
		return library.LevelDetail
	default:
		return library.LevelSummary
	}
}

func (t *Target) needsDetail() bool { return t.excludeExpired || t.uses.detail }

// ExcludesExpired reports whether an asset leaves the target at its expiry.
func (t *Target) ExcludesExpired() bool { return t.excludeExpired }

// References returns the names in the library that the rule relies on.
func (t *Target) References() References {
	labels := make(map[string][]string)
	for _, rule := range t.selection.labels {
		labels[rule.group] = slices.Compact(slices.Sorted(slices.Values(rule.values)))
	}
	for _, group := range t.uses.labelGroups {
		if _, named := labels[group]; !named {
			labels[group] = nil
		}
	}
	var prefixes []string
	for _, pattern := range t.selection.folders {
		if prefix := fixedPrefix(pattern); prefix != "" {
			prefixes = append(prefixes, prefix)
		}
	}
	return References{
		Labels:         labels,
		Fields:         slices.Compact(slices.Sorted(slices.Values(t.uses.fieldNames))),
		FolderPatterns: prefixes,
	}
}

func (t *Target) mergeUses() {
	if t.when != nil {
		t.uses.merge(t.when.uses)
	}
	for _, p := range t.path {
		if p.program != nil {
			t.uses.merge(p.program.uses)
		}
	}
	for _, rule := range t.metadata {
		t.uses.merge(rule.value.uses)
	}
}
