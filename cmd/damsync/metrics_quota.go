package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"damsync/store"
)

// quotaDescs describes the metrics of the ledger.
type quotaDescs struct {
	used, limit, reserved, left, deferred, share, throttled *prometheus.Desc
}

func newQuotaDescs(desc func(name, help string, labels ...string) *prometheus.Desc) quotaDescs {
	return quotaDescs{
		used:      desc("quota_used_requests", "Requests spent this month, by class.", "class"),
		limit:     desc("quota_limit_requests", "Requests that the organization may send in a month."),
		reserved:  desc("quota_reserved_requests", "Requests of the month reserved for other integrations."),
		left:      desc("quota_left_today_requests", "Requests a class may still spend today.", "class"),
		deferred:  desc("quota_deferred", "1 while the quota defers the class, otherwise 0.", "class"),
		share:     desc("pace_share", "Share of requests_per_second in use; below 1 for up to an hour after unexpected throttling."),
		throttled: desc("unexpected_throttles_total", "Requests of all replicas that the CMP throttled although damsync kept the pace."),
	}
}

func (d quotaDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.used, d.limit, d.reserved, d.left, d.deferred, d.share, d.throttled}
}

func (d quotaDescs) collect(q store.QuotaStatus, ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(d.limit, float64(q.Limit))
	gauge(d.reserved, float64(q.Reserved))
	gauge(d.share, q.Pace.Share)
	ch <- prometheus.MustNewConstMetric(d.throttled, prometheus.CounterValue, float64(q.Pace.Throttled))
	for class, used := range q.ByClass {
		gauge(d.used, float64(used), class)
	}
	for class, c := range q.Classes {
		deferred := 0.0
		if c.DeferredUntil != nil {
			deferred = 1
		}
		gauge(d.left, float64(c.LeftToday), class)
		gauge(d.deferred, deferred, class)
	}
}
