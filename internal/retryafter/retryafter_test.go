package retryafter_test

import (
	"testing"
	"time"

	"damsync/internal/retryafter"
)

func TestParse(t *testing.T) {
	now := time.Date(1994, time.November, 6, 8, 49, 37, 0, time.UTC)
	for _, c := range []struct {
		name, header string
		want         time.Duration
		ok           bool
	}{
		{"seconds", "7", 7 * time.Second, true},
		{"zero seconds", "0", 0, true},
		{"fraction of a second", "1.5", 1500 * time.Millisecond, true},
		{"surrounding space", " 7 ", 7 * time.Second, true},
		{"more than a day is a day", "86401", 24 * time.Hour, true},
		{"overflow is a day", "99999999999999999999", 24 * time.Hour, true},
		{"date", "Sun, 06 Nov 1994 08:50:37 GMT", time.Minute, true},
		{"past date is no wait", "Sun, 06 Nov 1994 08:40:00 GMT", 0, true},
		{"date years ahead is a day", "Sun, 06 Nov 2033 08:49:37 GMT", 24 * time.Hour, true},
		{"asctime date", "Sun Nov  6 08:49:47 1994", 10 * time.Second, true},
		{"empty", "", 0, false},
		{"negative", "-1", 0, false},
		{"not a number", "NaN", 0, false},
		{"words", "soon", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := retryafter.Parse(c.header, now); got != c.want || ok != c.ok {
				t.Errorf("Parse(%q) = %s, %t; want %s, %t", c.header, got, ok, c.want, c.ok)
			}
		})
	}
}
