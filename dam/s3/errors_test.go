package s3

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"damsync/dam"
)

// Answers that the test server does not give have a class, too.
func TestAnswersHaveClasses(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		class  error
	}{
		{http.StatusInsufficientStorage, "", dam.ErrFull},
		{http.StatusForbidden, "QuotaExceeded", dam.ErrFull},
		{http.StatusForbidden, "AccessDenied", dam.ErrAuth},
		{http.StatusForbidden, "InvalidObjectState", dam.ErrInvalid}, // a copy of an object in GLACIER
		{http.StatusBadRequest, "EntityTooLarge", dam.ErrInvalid},
		{http.StatusBadRequest, "KeyTooLongError", dam.ErrInvalid},
		{http.StatusBadRequest, "MetadataTooLarge", dam.ErrInvalid},
		{http.StatusBadRequest, "BadDigest", dam.ErrTemporary},
		{http.StatusBadGateway, "", dam.ErrTemporary},
		{http.StatusNotFound, "NoSuchBucket", dam.ErrAuth},
		{http.StatusMovedPermanently, "PermanentRedirect", dam.ErrAuth},
	} {
		t.Run(fmt.Sprintf("%d %s is %v", c.status, c.code, c.class), func(t *testing.T) {
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				refuse(w, c.status, c.code)
			}))
			defer front.Close()
			a := newAdapter(t, map[string]any{
				"bucket": "b", "endpoint": front.URL, "path_style": true, "access_key_id": "a", "secret_access_key": "s", "sign_payload": false,
			})
			if _, err := a.Put(t.Context(), object("A", "a.bin", "body", 1), dam.Remote{}); !errors.Is(err, c.class) {
				t.Errorf("got %v", err)
			}
		})
	}
}

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
