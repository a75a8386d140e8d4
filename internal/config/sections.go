package config

import (
	"slices"
)

func (d *decoder) config(root value, c *Config) {
	d.object(root,
		field{"cmp", func(v value) { d.cmp(v, &c.CMP) }},
		field{"database", func(v value) { d.object(v, d.secret("url", &c.Database.URL, false, databaseURL)...) }},
		field{"data_dir", d.text(&c.DataDir, notEmpty)},
		field{"http", func(v value) { d.object(v, field{"listen", d.text(&c.HTTP.Listen, listenAddress)}) }},
		field{"webhook", func(v value) { d.webhook(v, &c.Webhook) }},
		field{"schedule", func(v value) { d.schedule(v, &c.Schedule) }},
		field{"log", func(v value) { d.log(v, &c.Log) }},
		field{"targets", func(v value) { c.Targets = d.targets(v) }},
	)
}

func (d *decoder) cmp(v value, c *CMP) {
	d.object(v, slices.Concat(
		[]field{
			{"api_url", d.url(&c.APIURL)},
			{"auth_url", d.url(&c.AuthURL)},
			{"token_url", d.url(&c.TokenURL)},
			{"grant", d.text(&c.Grant, oneOf(GrantClientCredentials, GrantAuthorizationCode))},
			{"client_id", d.required(&c.ClientID)},
		},
		d.secret("client_secret", &c.ClientSecret, true),
		[]field{
			{"requests_per_second", d.integer(&c.RequestsPerSecond, 1, 1_000_000)},
			{"requests_per_month", d.integer(&c.RequestsPerMonth, 1, 1_000_000_000_000)},
			{"requests_reserved", d.reserved(c)},
			{"month", d.text(&c.Month, oneOf(MonthCalendar, MonthRolling))},
		},
	)...)
}

// reserved leaves at least one request a month; requests_per_month has been read.
func (d *decoder) reserved(c *CMP) func(value) {
	return func(v value) { d.integer(&c.RequestsReserved, 0, c.RequestsPerMonth-1)(v) }
}

func (d *decoder) webhook(v value, c *Webhook) {
	d.object(v, append(
		d.secret("secret", &c.Secret, false),
		field{"path", d.text(&c.Path, webhookPath)},
	)...)
}

func (d *decoder) schedule(v value, c *Schedule) {
	d.object(v,
		field{"incremental", d.text(&c.Incremental, cronSpec)},
		field{"audit", d.text(&c.Audit, cronSpec)},
		field{"backfill_order", func(v value) { d.backfillOrder(v, c) }},
		field{"sweep", d.text(&c.Sweep, cronSpec)},
		field{"verify", d.text(&c.Verify, cronSpec)},
	)
}

func (d *decoder) backfillOrder(v value, c *Schedule) {
	if patterns := d.texts(v, folderPattern); len(patterns) > 0 {
		c.BackfillOrder = patterns
	}
}

func (d *decoder) log(v value, c *Log) {
	d.object(v,
		field{"level", d.text(&c.Level, oneOf("trace", "debug", "info", "warn", "error"))},
		field{"format", d.text(&c.Format, oneOf("json", "console"))},
	)
}
