// Package retryafter parses the Retry-After header of HTTP (RFC 9110, section
// 10.2.3).
package retryafter

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Max is the longest wait that Parse returns. A wrong date must not stop a client for
// years; one request a day finds out.
const Max = 24 * time.Hour

// Parse returns the wait that a Retry-After header asks for: a number of seconds,
// fractions included, or the time from now until an HTTP date. A date in the past
// is a wait of zero; a longer wait than Max is Max. Parse reports false when the
// header is empty, negative or neither a number nor a date.
//
// Servers write the date by their own clock, so pass the Date of the response as
// now where there is one.
func Parse(header string, now time.Time) (time.Duration, bool) {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseFloat(header, 64); err == nil {
		if !(seconds >= 0) { // negative or NaN
			return 0, false
		}
		return time.Duration(min(seconds, Max.Seconds()) * float64(time.Second)), true
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), Max), true
}
