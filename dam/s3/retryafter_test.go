package s3

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfterUsesTheServersClock(t *testing.T) {
	const answered, minuteLater = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:37 GMT"
	for name, c := range map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"no header":    {http.Header{}, 0},
		"seconds":      {http.Header{"Retry-After": {"7"}}, 7 * time.Second},
		"date":         {http.Header{"Retry-After": {minuteLater}, "Date": {answered}}, time.Minute},
		"past date":    {http.Header{"Retry-After": {answered}, "Date": {minuteLater}}, 0},
		"without Date": {http.Header{"Retry-After": {minuteLater}}, 0}, // long past by this machine's clock
	} {
		t.Run(name, func(t *testing.T) {
			if got := retryAfter(c.header); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
