package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

const (
	// referencesAge is how old the folders, labels and fields may get. No event tells of
	// a folder that is renamed; a row that shows an unknown path does.
	referencesAge = time.Hour
	minGap        = 2 * time.Second
	maxGap        = 15 * time.Minute
)

// refreshing remembers who wants folders, labels and fields read again, so that
// a library whose paths never agree does not cost a listing a row.
type refreshing struct {
	mu     sync.Mutex
	wanted bool
	gap    time.Duration
	next   time.Time
}

// want asks for a reading, at once or when the gap since the last is over.
func (r *refreshing) want() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = true
}

// begin takes the wish: one that comes from now on is for another reading.
func (r *refreshing) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = false
}

// wantReferences asks the leader, whoever that is, to read folders, labels and
// fields again.
func (e *Engine) wantReferences(ctx context.Context) {
	e.Wake(state.TopicReferences)
	if e.leading.Load() {
		return
	}
	if err := e.store.Notify(ctx, state.TopicReferences); err != nil {
		e.log.Warn().Err(err).Msg("the leader cannot be asked to read the folders")
	}
}

// due says how long to wait for the reading somebody wants.
func (r *refreshing) due() (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, time.Until(r.next)), r.wanted
}

// done notes a reading; one that changed nothing widens the gap.
func (r *refreshing) done(changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if changed || r.gap == 0 {
		r.gap = minGap
	} else {
		r.gap = min(2*r.gap, maxGap)
	}
	r.next = time.Now().Add(r.gap)
}

// RefreshReferences reads folders, label groups and, when a rule reads one,
// field definitions, and lets run the rules whose names the library has.
func (e *Engine) RefreshReferences(ctx context.Context, class grant.Class) error {
	ctx = grant.WithClass(ctx, class)
	if err := e.store.BeginObservation(ctx, state.KindReferences); err != nil {
		return err
	}
	e.references.begin()
	changed, err := e.refreshReferences(ctx)
	e.noteLibrary(err)
	if err != nil {
		e.references.want()
		return errors.Join(fmt.Errorf("read folders, labels and fields: %w", err),
			e.store.EndObservation(context.WithoutCancel(ctx), state.KindReferences, nil, err.Error()))
	}
	e.references.done(changed)
	if err := e.store.EndObservation(ctx, state.KindReferences, nil, ""); err != nil {
		return err
	}
	return e.CheckRules(ctx)
}

func (e *Engine) refreshReferences(ctx context.Context) (bool, error) {
	var refs state.References
	var err error
	if refs.Folders, err = e.lib.Folders(ctx); err != nil {
		return false, err
	}
	if refs.LabelGroups, err = e.lib.LabelGroups(ctx); err != nil {
		return false, err
	}
	if e.readsFields() {
		if refs.Fields, err = e.lib.FieldDefinitions(ctx); err != nil {
			return false, err
		}
	}
	applied, err := e.store.ApplyReferences(ctx, state.Observation{Kind: state.KindReferences}, refs)
	for _, kept := range applied.Kept {
		e.log.Warn().Str("kind", kept).Msg("the library lists none where assets of the mirror refer to some; what the mirror has is kept")
	}
	return applied.Changed, err
}

func (e *Engine) readsFields() bool {
	return slices.ContainsFunc(e.targets, func(t Target) bool { return t.Rule.Level() == library.LevelFields })
}

// CheckRules holds the names that rules refer to against the library. A rule
// that names what the library does not have does not run: the CMP ignores unknown names in
// filters, and a rule that silently selects too little removes too much.
func (e *Engine) CheckRules(ctx context.Context) error {
	read, err := e.store.Observation(ctx, state.KindReferences)
	if err != nil || read.LastSuccess.IsZero() {
		return err // nothing is known of the names yet, so no rule runs
	}
	names, err := e.store.Names(ctx)
	if err != nil {
		return err
	}
	problems := map[string]string{}
	for _, t := range e.targets {
		name := t.Rule.Name()
		problems[name] = strings.Join(MissingNames(t.Rule.References(), names), "; ")
		if err := e.store.SetTargetProblem(ctx, name, problems[name]); err != nil {
			return err
		}
		if e.problems.changed(name, problems[name]) {
			e.log.Error().Str("target", name).Str("problem", problems[name]).Msg("target does not run")
		}
	}
	for _, rule := range e.setActive(problems, names.LabelNames) {
		// While it did not run here, assets were decided without it.
		if err := e.store.SetTargetPlanned(ctx, rule.Name(), []byte{}, 0); err != nil {
			return err
		}
		e.bells.plan.ring()
	}
	return nil
}

// watchRules holds the rules against what any replica has read of the library,
// on every replica.
func (e *Engine) watchRules(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := e.opts.SlowPoll
		if err := e.CheckRules(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn().Err(err).Msg("rules cannot be checked")
		}
		if !e.rulesKnown() {
			wait = time.Second
		}
		if e.bells.rules.wait(ctx, wait) != nil {
			return nil
		}
	}
	return nil
}

// problems remembers what was said of each rule, to say it once.
type problems struct {
	mu   sync.Mutex
	said map[string]string
}

// changed notes a rule's problem and tells whether there is a new one.
func (p *problems) changed(rule, problem string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said == nil {
		p.said = map[string]string{}
	}
	before := p.said[rule]
	p.said[rule] = problem
	return problem != "" && problem != before
}

// MissingNames says which names a rule refers to that the library does not
// have, and what to do.
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

// some lists the first of many names.
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
