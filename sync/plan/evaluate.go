package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"damsync/internal/library"
	"damsync/internal/state"
)

// Evaluate decides whether an asset belongs at the target, and how. It first
// tries to exclude the asset by the known levels, the cheapest first, and asks
// for the next level only when that fails: detail before fields. It is
// deterministic and never panics.
//
// An exclusion by the summary does not depend on the other levels, so the
// decision does not change when a detail becomes outdated.
func (t *Target) Evaluate(v state.Snapshot, now time.Time) Decision {
	folder := folderPath(cmp.Or(v.Folder, v.Asset.FileLocation))
	if reason := t.excludedBySummary(&v, folder); reason != "" {
		return Decision{Outcome: NotSelected, Reason: reason}
	}
	e := t.acquireEvaluator()
	defer t.evaluators.Put(e)
	e.environment.load(&v, folder, t.uses.labels, t.uses.fields)

	if d, done := t.exclude(e, &v, now); done {
		return d
	}
	if t.needsDetail() && v.Detail == nil {
		return Decision{Outcome: NeedsDetail, Reason: "the detail is not known"}
	}
	if t.uses.fields && v.Fields == nil {
		return Decision{Outcome: NeedsFields, Reason: "the fields are not known"}
	}
	return t.selected(e, &v)
}

func (t *Target) excludedBySummary(v *state.Snapshot, folder string) string {
	switch {
	case v.Gone:
		return "removed from the library"
	case v.Asset.Archived:
		return "archived"
	default:
		return t.selection.excludes(&v.Asset, folder)
	}
}

// exclude evaluates expiry and condition with the known levels. It ignores an
// error in a part of the condition: the whole condition reports it once all
// levels that it reads are known.
func (t *Target) exclude(e *evaluator, v *state.Snapshot, now time.Time) (Decision, bool) {
	if t.excludeExpired && v.Detail != nil && v.Detail.ExpiresAt != nil && !now.Before(*v.Detail.ExpiresAt) {
		return Decision{Outcome: NotSelected, Reason: "expired " + v.Detail.ExpiresAt.UTC().Format(time.DateOnly)}, true
	}
	for _, prefilter := range t.prefilters {
		if !prefilter.uses.known(v) {
			continue
		}
		if value, err := e.run(prefilter); err == nil && value == false {
			return t.conditionFalse(), true
		}
	}
	if t.when == nil || !t.when.uses.known(v) {
		return Decision{}, false
	}
	d, done := t.condition(e)
	if d.Outcome == Failed && t.excludeExpired && v.Detail == nil {
		// The detail may show that the asset is expired. An error in the
		// condition must not keep an expired asset at the target.
		return Decision{}, false
	}
	return d, done
}

func (t *Target) condition(e *evaluator) (Decision, bool) {
	value, err := e.run(t.when)
	if err != nil {
		return failed("select.when", err), true
	}
	holds, ok := value.(bool)
	if !ok {
		return failed("select.when", fmt.Errorf("the result %v is neither true nor false", value)), true
	}
	if !holds {
		return t.conditionFalse(), true
	}
	return Decision{}, false
}

func (t *Target) conditionFalse() Decision {
	return Decision{Outcome: NotSelected, Reason: "the condition does not hold: " + t.when.source}
}

func failed(field string, err error) Decision {
	return Decision{Outcome: Failed, Reason: field + ": " + err.Error()}
}

// selected computes the desired state of an asset that belongs at the target.
func (t *Target) selected(e *evaluator, v *state.Snapshot) Decision {
	path, err := e.render(t.path)
	if err != nil {
		return failed("path", err)
	}
	metadata := make(map[string]any, len(t.metadata))
	for _, rule := range t.metadata {
		value, err := e.metadata(rule.value)
		if err != nil {
			return failed("metadata."+rule.key, err)
		}
		if value != nil {
			metadata[rule.key] = value
		}
	}
	text, err := json.Marshal(metadata)
	if err != nil {
		return failed("metadata", err)
	}
	return Decision{
		Outcome: Selected, Path: path, Version: t.version(v), Metadata: text, MetadataHash: metadataHash(v.Asset.Title, text),
	}
}

// metadataHash covers everything a target writes beside the bytes. The title is
// included because targets write it whether or not a rule maps it.
func metadataHash(title string, metadata []byte) library.Hash {
	h := sha256.New()
	h.Write([]byte(title))
	h.Write([]byte{0})
	h.Write(metadata)
	return library.Hash(h.Sum(nil))
}

func (e *evaluator) metadata(x *expression) (any, error) {
	value, err := e.run(x)
	if err != nil {
		return nil, err
	}
	return plainValue(value)
}

// version identifies the content: by the CMP's version id, or by the time of
// modification when the rule needs no detail. Such a rule ignores a detail that
// happens to be known; otherwise every asset would be pushed again whenever a
// detail is read or becomes outdated.
func (t *Target) version(v *state.Snapshot) string {
	if t.needsDetail() && v.Detail.VersionID != "" {
		return v.Detail.VersionID
	}
	return "modified:" + v.Asset.ModifiedAt.UTC().Format(time.RFC3339Nano)
}

// acquireEvaluator returns an evaluator for exclusive use; the caller puts it back into t.evaluators.
func (t *Target) acquireEvaluator() *evaluator {
	if e, ok := t.evaluators.Get().(*evaluator); ok {
		return e
	}
	e := &evaluator{}
	e.machine.MemoryBudget = memoryBudget
	return e
}
