package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"damsync/internal/state"
)

// verificationReader returns the last verification of each target.
type verificationReader interface {
	Verifications(ctx context.Context) ([]state.Verification, error)
}

// driftCollector exports the last verification of each target. A target that was never verified
// has no series.
type driftCollector struct {
	store      verificationReader
	drift, age *prometheus.Desc
}

func newDriftCollector(s verificationReader) *driftCollector {
	return &driftCollector{
		store: s,
		drift: prometheus.NewDesc("damsync_drift", "Objects that differed from what damsync stored at the last verification, without those whose repair began, by kind.",
			[]string{"target", "kind"}, nil),
		age: prometheus.NewDesc("damsync_verification_age_seconds", "Time since the last verification of a target.", []string{"target"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *driftCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.drift
	ch <- c.age
}

// Collect implements prometheus.Collector. If the database cannot be read, the scrape fails.
func (c *driftCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	all, err := c.store.Verifications(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.drift, err)
		return
	}
	for _, v := range all {
		for _, kind := range state.DriftKinds() {
			ch <- prometheus.MustNewConstMetric(c.drift, prometheus.GaugeValue, float64(v.Counts[kind]), v.Target, string(kind))
		}
		ch <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, time.Since(v.EndedAt).Seconds(), v.Target)
	}
}
