package config

import (
	"regexp"

	"damsync/internal/secret"
	"damsync/sync/plan"
)

// secretName matches the names of options whose literal values a dump masks.
var secretName = regexp.MustCompile(`(?i)(secret|password|passwd|token|credential|private|access_?key|api_?key)`)

// Redacted returns the configuration in force, for a log or a dump in YAML or JSON.
// The type of secrets masks them. The options of adapters are shown as in the file,
// so that the contents of variables stay hidden.
func (c *Config) Redacted() any {
	targets := make([]any, len(c.Targets))
	for i, t := range c.Targets {
		targets[i] = t.redacted()
	}
	return map[string]any{
		"cmp": map[string]any{
			"api_url": c.CMP.APIURL, "auth_url": c.CMP.AuthURL, "token_url": c.CMP.TokenURL,
			"grant": c.CMP.Grant, "client_id": c.CMP.ClientID, "client_secret": c.CMP.ClientSecret,
			"requests_per_second": c.CMP.RequestsPerSecond, "requests_per_month": c.CMP.RequestsPerMonth,
			"requests_reserved": c.CMP.RequestsReserved, "month": c.CMP.Month,
		},
		"database": map[string]any{"url": c.Database.URL},
		"data_dir": c.DataDir,
		"http":     map[string]any{"listen": c.HTTP.Listen},
		"webhook":  map[string]any{"path": c.Webhook.Path, "secret": c.Webhook.Secret},
		"schedule": map[string]any{
			"incremental": c.Schedule.Incremental, "backfill_order": c.Schedule.BackfillOrder,
			"audit": c.Schedule.Audit, "sweep": c.Schedule.Sweep, "verify": c.Schedule.Verify,
		},
		"log":     map[string]any{"level": c.Log.Level, "format": c.Log.Format},
		"targets": targets,
	}
}

func (t Target) redacted() any {
	s := t.Spec
	return map[string]any{
		"name": s.Name, "adapter": t.Adapter, "options": masked("", t.written),
		"select": map[string]any{
			"types": s.Select.Types, "folders": s.Select.Folders, "labels": s.Select.Labels,
			"when": s.Select.When, "expired": s.Select.Expired,
		},
		"path": s.Path, "metadata": metadataDump(s.Metadata), "on_remove": s.OnRemove,
		"removal_limit": map[string]any{"count": s.RemovalLimit.Count, "percent": s.RemovalLimit.Percent},
		"on_drift":      t.OnDrift,
		"on_foreign":    t.OnForeign, "requests_per_second": t.RequestsPerSecond,
	}
}

// metadataDump returns a list, because a map would lose the order of the rules.
func metadataDump(rules []plan.MetadataRule) []map[string]string {
	all := make([]map[string]string, len(rules))
	for i, r := range rules {
		all[i] = map[string]string{r.Key: r.Expr}
	}
	return all
}

// masked masks literal secrets: values of options that are named like a secret, unless
// they are a reference to a variable.
func masked(key string, written any) any {
	switch v := written.(type) {
	case map[string]any:
		all := make(map[string]any, len(v))
		for k, inner := range v {
			all[k] = masked(k, inner)
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i, inner := range v {
			all[i] = masked(key, inner)
		}
		return all
	case string:
		if onlyReference.MatchString(v) {
			return v
		}
	}
	if secretName.MatchString(key) {
		return secret.New("masked")
	}
	return written
}

var onlyReference = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)
