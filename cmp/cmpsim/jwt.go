package cmpsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// jwtSigner makes and checks the HS256 tokens of private download URLs, and the
// id_token.
type jwtSigner struct{ key []byte }

const jwtHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" // {"alg":"HS256","typ":"JWT"}

func (j jwtSigner) sign(payload []byte) string {
	body := jwtHeader + "." + base64.RawURLEncoding.EncodeToString(payload)
	return body + "." + base64.RawURLEncoding.EncodeToString(j.mac(body))
}

func (j jwtSigner) mac(body string) []byte {
	h := hmac.New(sha256.New, j.key)
	h.Write([]byte(body))
	return h.Sum(nil)
}

func (j jwtSigner) download(guid string, expires int64) string {
	return j.sign([]byte(`{"sub":["` + guid + `"],"exp":` + itoa(expires) + `}`))
}

var (
	errTokenInvalid = errors.New("invalid token")
	errTokenExpired = errors.New("expired token")
)

// checkDownload reports whether token opens guid at now (Unix seconds).
func (j jwtSigner) checkDownload(token, guid string, now int64) error {
	body, mac, ok := cutLast(token, ".")
	got, err := base64.RawURLEncoding.DecodeString(mac)
	if !ok || err != nil || !hmac.Equal(got, j.mac(body)) {
		return errTokenInvalid
	}
	_, payload, _ := strings.Cut(body, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return errTokenInvalid
	}
	var claims struct {
		Sub []string `json:"sub"`
		Exp int64    `json:"exp"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil || !slices.Contains(claims.Sub, guid) {
		return errTokenInvalid
	}
	if now >= claims.Exp {
		return fmt.Errorf("%w: %s", errTokenExpired, stamp(claims.Exp))
	}
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
