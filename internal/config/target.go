package config

import (
	"errors"
	"maps"
	"regexp"
	"slices"

	"damsync/internal/library"
	"damsync/sync/plan"
)

var targetName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func (d *decoder) targets(v value) []Target {
	first, places := map[string]int{}, map[string]int{}
	var all []Target
	for _, item := range d.items(v) {
		t := d.target(item, places)
		name := d.place(join(item.path, "name"))
		if line, ok := first[t.Spec.Name]; ok {
			d.report(name, "is already the name of the target in line %d", line)
		} else if t.Spec.Name != "" {
			first[t.Spec.Name] = name.node.Line
		}
		all = append(all, t)
	}
	return all
}

// target reads one target. places maps the places of the targets before it to the lines
// of their options.
func (d *decoder) target(v value, places map[string]int) Target {
	t := Target{OnForeign: ForeignFail, OnDrift: DriftReport, Spec: plan.Spec{
		Select:       plan.Select{Expired: plan.ExpiredExclude},
		Path:         plan.DefaultPath,
		OnRemove:     plan.RemoveArchive,
		RemovalLimit: plan.RemovalLimit{Count: 100, Percent: 10},
	}}
	if isNull(v.node) {
		d.mistyped(v, "a mapping")
		return t
	}
	d.object(v,
		field{"name", d.required(&t.Spec.Name, matching(targetName, "must be 1 to 63 of a-z, 0-9, - and _, not starting with - or _"))},
		field{"adapter", d.required(&t.Adapter, oneOf(slices.Sorted(maps.Keys(d.adapters))...))},
		field{"options", func(v value) { t.Options, t.written = d.options(v) }},
		field{"select", func(v value) { d.selection(v, &t.Spec.Select) }},
		field{"path", d.text(&t.Spec.Path)},
		field{"metadata", func(v value) { t.Spec.Metadata = d.metadata(v) }},
		field{"on_remove", d.text((*string)(&t.Spec.OnRemove), oneOf(string(plan.RemoveDelete), string(plan.RemoveArchive), string(plan.RemoveKeep)))},
		field{"on_drift", d.text(&t.OnDrift, oneOf(DriftReport, DriftRepair))},
		field{"removal_limit", func(v value) { d.removalLimit(v, &t.Spec.RemovalLimit) }},
		field{"on_foreign", d.text(&t.OnForeign, oneOf(ForeignFail, ForeignAdopt))},
		field{"requests_per_second", d.decimal(&t.RequestsPerSecond, 0.1, 1_000_000)},
	)
	t.Rules = d.compile(v, t.Spec)
	d.checkOptions(v, t, places)
	return t
}

// checkOptions lets the adapter check its options, unless the name, the adapter or the
// options have a problem already.
func (d *decoder) checkOptions(v value, t Target, places map[string]int) {
	at := join(v.path, "options")
	if t.Spec.Name == "" || t.Adapter == "" || t.Options == nil || d.faulty(join(v.path, "adapter")) || d.faulty(at) {
		return
	}
	check := d.adapters[t.Adapter]
	if check == nil {
		return
	}
	place, err := check(t)
	for _, err := range single(err) {
		d.report(d.place(at), "%v", err)
	}
	if err == nil && place != "" {
		d.samePlace(d.place(at), place, places)
	}
}

// samePlace reports options that lead to the place of another target: each would treat
// the objects of the other as foreign.
func (d *decoder) samePlace(options value, place string, places map[string]int) {
	if line, taken := places[place]; taken {
		d.report(options, "lead to the same place as those in line %d: give each target its own place", line)
		return
	}
	places[place] = options.node.Line
}

// single returns the errors that were joined, without the errors that wrap them.
func single(err error) []error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		if joined, ok := inner.(interface{ Unwrap() []error }); ok {
			return joined.Unwrap()
		}
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func (d *decoder) options(v value) (expanded, written map[string]any) {
	if v.absent {
		return map[string]any{}, map[string]any{}
	}
	return d.anyMapping(v)
}

func (d *decoder) selection(v value, s *plan.Select) {
	assetType := oneOf(library.TypeArticle, library.TypeImage, library.TypeVideo, library.TypeRawFile, library.TypeStructuredContent)
	d.object(v,
		field{"types", func(v value) { s.Types = d.choice(v, assetType) }},
		field{"folders", func(v value) { s.Folders = d.choice(v, notEmpty) }},
		field{"labels", func(v value) { s.Labels = d.labels(v) }},
		field{"when", d.text(&s.When)},
		field{"expired", d.text(&s.Expired, oneOf(plan.ExpiredExclude, plan.ExpiredIgnore))},
	)
}

// texts reads a list of texts. A bad text keeps its index, so that indexes in the
// compiled rules are those of the file.
func (d *decoder) texts(v value, checks ...check) []string {
	items := d.items(v)
	all := make([]string, len(items))
	for i, item := range items {
		d.text(&all[i], checks...)(item)
	}
	return all
}

// choice reads a list that narrows a selection. An empty list is a problem: otherwise
// commenting out the last entry would select everything.
func (d *decoder) choice(v value, checks ...check) []string {
	all := d.texts(v, checks...)
	if !v.absent && len(all) == 0 && !d.faulty(v.path) {
		d.report(v, "must not be empty: leave the key out to select all")
	}
	return all
}

// labels reads the values to select in each label group. A single value needs no list.
func (d *decoder) labels(v value) map[string][]string {
	groups := map[string][]string{}
	entries := d.ordered(v)
	if !v.absent && len(entries) == 0 && !d.faulty(v.path) {
		d.report(v, "must not be empty: leave the key out to select all")
	}
	for _, e := range entries {
		var values []string
		if len(e.node.Content) == 0 && kind(e.node) == "text" {
			var one string
			d.text(&one, notEmpty)(e.value)
			values = []string{one}
		} else if values = d.texts(e.value, notEmpty); len(values) == 0 && !d.faulty(e.path) {
			d.report(e.value, "must name at least one value")
		}
		groups[e.name] = values
	}
	return groups
}

func (d *decoder) metadata(v value) []plan.MetadataRule {
	var rules []plan.MetadataRule
	for _, e := range d.ordered(v) {
		rule := plan.MetadataRule{Key: e.name}
		d.text(&rule.Expr, notEmpty)(e.value)
		rules = append(rules, rule)
	}
	return rules
}

func (d *decoder) removalLimit(v value, l *plan.RemovalLimit) {
	d.object(v,
		field{"count", d.integer(&l.Count, 1, 1_000_000_000)},
		field{"percent", d.decimal(&l.Percent, 0.001, 100)},
	)
}

// compile compiles the rules of a target and reports problems at their place in the
// file. It skips keys that already have a problem.
func (d *decoder) compile(v value, spec plan.Spec) *plan.Target {
	rules, faults := plan.Compile(spec)
	faults = slices.DeleteFunc(faults, func(f plan.Problem) bool { return d.faulty(join(v.path, f.Field)) })
	for _, f := range faults {
		at := d.place(join(v.path, f.Field))
		p := d.at(at, f.Message)
		p.Line, p.Column = d.position(at, f.Offset)
		d.problems = append(d.problems, p)
	}
	return rules
}
