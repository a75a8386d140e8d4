package s3

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	const answered, minuteLater = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:37 GMT"
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "86401": 0, minuteLater: time.Minute, "Sun, 06 Nov 1994 08:40:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {header}, "Date": {answered}}); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	soon := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	if got := retryAfter(http.Header{"Retry-After": {soon}}); got <= 0 || got > time.Hour {
		t.Errorf("without a date of the answer: %s", got)
	}
}
