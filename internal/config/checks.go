package config

import (
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"damsync/sync/plan"
)

// The messages of checks never repeat the checked text, which may contain a secret from
// a variable.

func notEmpty(text string) string {
	if strings.TrimSpace(text) == "" {
		return "must not be empty"
	}
	return ""
}

func oneOf(allowed ...string) check {
	return func(text string) string {
		if slices.Contains(allowed, text) {
			return ""
		}
		return "must be one of " + strings.Join(allowed, ", ")
	}
}

func matching(pattern *regexp.Regexp, fault string) check {
	return func(text string) string {
		if pattern.MatchString(text) {
			return ""
		}
		return fault
	}
}

// folderPattern accepts the patterns that select.folders accepts.
func folderPattern(text string) string {
	if !plan.ValidFolder(text) {
		return `must be a pattern of folders like "/Brand/**"`
	}
	return ""
}

// url reads the address of a CMP service and removes slashes at its end.
func (d *decoder) url(dst *string) func(value) {
	return func(v value) {
		var text string
		d.text(&text, serviceURL)(v)
		if text != "" {
			*dst = strings.TrimRight(text, "/")
		}
	}
}

// serviceURL accepts https, and http on this machine only, because the client secret and
// the token are sent there.
func serviceURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "must be an absolute https URL"
	case u.User != nil:
		return "must not contain a user name or password"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "must not contain a query or fragment"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "must be https: http would send secrets unencrypted, and is for loopback hosts only"
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func databaseURL(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "must be a postgres:// URL, or empty for a private PostgreSQL"
	}
	return ""
}

func listenAddress(text string) string {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "must be host:port"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "must end with a port between 0 and 65535"
	}
	return ""
}

var pathPattern = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

func webhookPath(text string) string {
	switch {
	case !strings.HasPrefix(text, "/"):
		return "must start with /"
	case !pathPattern.MatchString(text) || path.Clean(text) != text:
		return "must be segments of letters, digits and . _ ~ -, like /webhooks/cmp"
	case slices.Contains([]string{"/healthz", "/readyz", "/metrics"}, text):
		return "is reserved: damsync itself answers /healthz, /readyz and /metrics"
	}
	return ""
}

// cronSpec accepts specifications that cron's standard parser reads and that fire at some time.
func cronSpec(text string) string {
	if text == "" {
		return ""
	}
	const fault = `must be a cron specification like "*/5 * * * *", "@hourly" or "@every 5m", or empty for off`
	// The parser panics on a time zone that no space follows.
	zoned := strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=")
	if zoned && !strings.Contains(text, " ") {
		return fault
	}
	s, err := cron.ParseStandard(text)
	if err != nil {
		return fault
	}
	if s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return "names a date that never comes"
	}
	// The parser rounds an interval that is too short, or negative, up.
	if every, ok := strings.CutPrefix(text, "@every "); ok {
		if interval, err := time.ParseDuration(every); err != nil || interval < time.Second {
			return "must be at least @every 1s"
		}
	}
	return ""
}
