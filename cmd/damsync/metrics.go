package main

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"damsync/cmp"
	"damsync/dam"
	"damsync/internal/httpserver"
	"damsync/store"
)

// metrics holds the metrics for Prometheus: counters of this process, and the state that all
// replicas share, which is read from the database at each scrape.
type metrics struct {
	registry *prometheus.Registry
	webhooks *prometheus.CounterVec
	requests *prometheus.CounterVec
	duration prometheus.Histogram

	targetCalls    *prometheus.CounterVec
	targetDuration *prometheus.HistogramVec
}

func newMetrics(a *app) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "damsync_webhooks_total", Help: "Requests to the webhook path, by outcome.",
		}, []string{"outcome"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "damsync_api_requests_total", Help: "Requests to the CMP API, by class and HTTP status; the status is 0 if there was no answer.",
		}, []string{"class", "status"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "damsync_api_request_duration_seconds", Help: "Time from sending a request to the CMP API to the last byte of the answer.",
			Buckets: []float64{.02, .05, .1, .2, .5, 1, 2, 5, 10, 30},
		}),
		targetCalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "damsync_target_calls_total", Help: "Calls to a target, by operation and error class; the class is empty on success. Retries within a call are not counted.",
		}, []string{"target", "op", "error_class"}),
		targetDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "damsync_target_call_duration_seconds", Help: "Duration of calls to a target, including retries and the wait for requests_per_second.",
			Buckets: []float64{.01, .05, .2, 1, 5, 20, 60, 300, 1800},
		}, []string{"target", "op"}),
	}
	for _, outcome := range httpserver.Outcomes() {
		m.webhooks.WithLabelValues(string(outcome))
	}
	m.registry.MustRegister(m.webhooks, m.requests, m.duration, m.targetCalls, m.targetDuration, newDriftCollector(a.store), newStateCollector(a.store, a.quota(), a.targetNames()),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *metrics) countWebhook(outcome httpserver.Outcome) {
	m.webhooks.WithLabelValues(string(outcome)).Inc()
}

func (m *metrics) observe(o cmp.Observation) {
	m.requests.WithLabelValues(string(o.Class), strconv.Itoa(o.Status)).Inc()
	m.duration.Observe(o.Duration.Seconds())
}

func (m *metrics) observeTarget(target string, c dam.Call) {
	m.targetCalls.WithLabelValues(target, string(c.Op), string(c.Class)).Inc()
	m.targetDuration.WithLabelValues(target, string(c.Op)).Observe(c.Took.Seconds())
}

// stateCollector exports the status that damsync status prints.
type stateCollector struct {
	store   *store.Store
	quota   store.LedgerConfig
	targets []string

	assets, placements, age, inbox, lookups *prometheus.Desc
	spending                                quotaDescs
}

func newStateCollector(s *store.Store, quota store.LedgerConfig, targets []string) *stateCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("damsync_"+name, help, labels, nil)
	}
	return &stateCollector{
		store: s, quota: quota, targets: targets,
		assets:     desc("mirror_assets", "Assets in the mirror, without removed ones."),
		placements: desc("placements", "Placements, by target and state; the state desired counts the assets that should be at the target.", "target", "state"),
		age:        desc("observation_age_seconds", "Time since the last success of an observation.", "observation"),
		inbox:      desc("inbox_pending_events", "Webhooks that are stored but not processed."),
		lookups:    desc("lookups", "Assets to be read one by one, by state: waiting (pending) or failed for now.", "state"),
		spending:   newQuotaDescs(desc),
	}
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append(c.spending.all(), c.assets, c.placements, c.age, c.inbox, c.lookups) {
		ch <- d
	}
}

// Collect implements prometheus.Collector. If the database cannot be read, the scrape fails.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	st, err := c.store.Status(ctx, c.quota, c.targets...)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.assets, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.assets, float64(st.Mirror.Assets))
	gauge(c.inbox, float64(st.Inbox.Pending))
	gauge(c.lookups, float64(st.Lookups.Pending), "pending")
	gauge(c.lookups, float64(st.Lookups.Failed), "failed")
	c.spending.collect(st.Quota, ch)
	for _, t := range st.Targets {
		for state, n := range map[string]int64{"desired": t.Desired, "in_sync": t.InSync, "pending": t.Pending, "failed": t.Failed, "held": t.Held, "conflicts": t.Conflicts} {
			gauge(c.placements, float64(n), t.Name, state)
		}
	}
	for kind, o := range st.Observations {
		if o.LastSuccess != nil {
			gauge(c.age, time.Since(*o.LastSuccess).Seconds(), kind)
		}
	}
}
