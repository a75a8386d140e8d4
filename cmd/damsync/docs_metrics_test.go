package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"damsync/cmp"
	"damsync/dam"
	"damsync/internal/config"
	"damsync/internal/pgtest"
	"damsync/store"
)

// metricsDoc gathers every metric once, from a database that has a row for each of them.
func metricsDoc(t *testing.T) string {
	t.Helper()
	registry := sampledMetrics(t).registry
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(tableHead("metric", "type", "labels", "meaning"))
	gathered := map[string]bool{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "damsync_") {
			continue // of Go and the process
		}
		gathered[family.GetName()] = true
		values := map[string][]string{}
		for _, m := range family.GetMetric() {
			for _, pair := range m.GetLabel() {
				values[pair.GetName()] = append(values[pair.GetName()], pair.GetValue())
			}
		}
		b.WriteString(tableRow(code(family.GetName()), strings.ToLower(family.GetType().String()), describeLabels(values), family.GetHelp()))
	}
	for _, name := range described(registry) {
		if !gathered[name] {
			t.Errorf("%s is described but was not gathered: add a sample of it to sampledMetrics", name)
		}
	}
	return b.String()
}

// sampledMetrics returns the metrics of a daemon, with at least one sample of each.
func sampledMetrics(t *testing.T) *metrics {
	t.Helper()
	pool := pgtest.Pool(t)
	for _, row := range []string{
		`INSERT INTO damsync.observation (kind, last_success) VALUES ('incremental', now())`,
		`INSERT INTO damsync.quota_day (day, class, used) VALUES (current_date, 'manual', 1)`,
		`INSERT INTO damsync.verification (target, run_id, depth, started_at, ended_at, listed, missing, changed, orphaned, foreign_objects, unverified)
			VALUES ('brand', 1, 'token', now(), now(), 0, 0, 0, 0, 0, 0)`,
	} {
		if _, err := pool.Exec(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Parse("config.yaml", []byte(`cmp: {client_id: a, client_secret: b}
targets: [{name: brand, adapter: filesystem, options: {root: out}}]
`), nil, knownAdapters())
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics(&app{cfg: cfg, store: store.New(pool, "docs")})
	m.observe(cmp.Observation{Class: "manual", Status: 200})
	m.observeTarget("brand", dam.Call{Op: dam.OpPut})
	return m
}

// describeLabels lists labels, and the values of those that have several.
func describeLabels(values map[string][]string) string {
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		label := code(name)
		if all := slices.Compact(slices.Sorted(slices.Values(values[name]))); len(all) > 1 {
			label += fmt.Sprintf(" (%s)", strings.Join(all, ", "))
		}
		labels = append(labels, label)
	}
	return strings.Join(labels, ", ")
}

var describedName = regexp.MustCompile(`fqName: "(damsync_\w+)"`)

// described returns the names of damsync's metrics in the registry.
func described(registry *prometheus.Registry) []string {
	descriptors := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptors)
		registry.Describe(descriptors)
	}()
	var names []string
	for d := range descriptors {
		if m := describedName.FindStringSubmatch(d.String()); m != nil {
			names = append(names, m[1])
		}
	}
	return names
}
