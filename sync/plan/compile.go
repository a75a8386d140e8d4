package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"

	"damsync/internal/library"
)

// semantics is part of every fingerprint. Raise it when this package evaluates
// the same rule differently, so that every target is planned again.
const semantics = 1

// Compile checks a rule and prepares it. It returns all problems at once; the
// target is nil when there are any.
func Compile(spec Spec) (*Target, []Problem) {
	spec.Path = cmp.Or(spec.Path, DefaultPath)
	spec.OnRemove = cmp.Or(spec.OnRemove, RemoveArchive)
	spec.Select.Expired = cmp.Or(spec.Select.Expired, ExpiredExclude)

	selection, problems := compileSelection(spec.Select)
	problems = append(problems, checkModes(spec)...)
	target := &Target{
		name: spec.Name, selection: selection, excludeExpired: spec.Select.Expired == ExpiredExclude,
		onRemove: spec.OnRemove, removalLimit: spec.RemovalLimit.orDefault(),
	}
	problems = append(problems, target.compileWhen(spec.Select.When)...)

	path, faults := compileTemplate(spec.Path)
	target.path = path
	problems = append(problems, atField("path", faults)...)
	problems = append(problems, target.compileMetadata(spec.Metadata)...)
	if len(problems) > 0 {
		return nil, problems
	}
	target.mergeUses()
	target.fingerprint = fingerprint(spec)
	return target, nil
}

func checkModes(spec Spec) []Problem {
	var problems []Problem
	switch spec.Select.Expired {
	case ExpiredExclude, ExpiredIgnore:
	default:
		problems = append(problems, Problem{Field: "select.expired", Message: fmt.Sprintf("%q is unknown; use exclude or ignore", spec.Select.Expired)})
	}
	switch spec.OnRemove {
	case RemoveDelete, RemoveArchive, RemoveKeep:
	default:
		problems = append(problems, Problem{Field: "on_remove", Message: fmt.Sprintf("%q is unknown; use delete, archive or keep", string(spec.OnRemove))})
	}
	if p := spec.RemovalLimit.Percent; math.IsNaN(p) || p > 100 {
		problems = append(problems, Problem{Field: "removal_limit.percent", Message: fmt.Sprintf("%v is not a percentage; use at most 100", p)})
	}
	return problems
}

// compileWhen compiles the condition. It also compiles each part of a
// conjunction that reads fewer levels: such a part can exclude an asset before
// the more expensive levels are requested.
func (t *Target) compileWhen(source string) []Problem {
	if source == "" {
		return nil
	}
	when, faults := compileExpression(source, acceptBool)
	if len(faults) > 0 {
		return atField("select.when", faults)
	}
	t.when = when
	for _, part := range when.parts {
		prefilter, faults := compileExpression(part, acceptBool)
		if len(faults) == 0 && prefilter.uses.cheaperThan(when.uses) {
			t.prefilters = append(t.prefilters, prefilter)
		}
	}
	return nil
}

func (t *Target) compileMetadata(rules []MetadataRule) []Problem {
	var problems []Problem
	seen := make(map[string]bool, len(rules))
	for _, rule := range rules {
		field := "metadata." + rule.Key
		if rule.Key == "" {
			problems = append(problems, Problem{Field: "metadata", Message: "a metadata key is empty"})
		}
		if seen[rule.Key] {
			problems = append(problems, Problem{Field: field, Message: "the key is given twice"})
		}
		seen[rule.Key] = true
		value, faults := compileExpression(rule.Expr, acceptMetadataType)
		problems = append(problems, atField(field, faults)...)
		t.metadata = append(t.metadata, metadataRule{key: rule.Key, value: value})
	}
	return problems
}

func atField(field string, faults []fault) []Problem {
	problems := make([]Problem, 0, len(faults))
	for _, f := range faults {
		problems = append(problems, Problem{Field: field, Offset: f.offset, Message: f.message})
	}
	return problems
}

// fingerprint hashes the parts of a rule that change decisions: neither the
// name nor the remove mode. JSON writes maps in the order of their keys.
func fingerprint(spec Spec) library.Hash {
	text, err := json.Marshal(struct {
		Semantics int
		Select    Select
		Path      string
		Metadata  []MetadataRule
	}{semantics, spec.Select, spec.Path, spec.Metadata})
	if err != nil {
		// Texts, lists and maps of texts always have a JSON form.
		panic(fmt.Sprintf("hash rule of target %q: %v", spec.Name, err))
	}
	return sha256.Sum256(text)
}
