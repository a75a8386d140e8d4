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

// site makes the URLs in answers. Its signer is the one that the file host checks.
type site struct {
	api, files string // base URLs
	signer     tokenSigner
}

// self returns the detail's URL: the path of the type (facts.md 12.5).
func (s site) self(a *asset) string { return s.api + "/" + a.kind.info().path + "/" + a.id }

// download returns a URL of the asset's file that works until expires (Unix seconds), or for ever
// when the asset is public (facts.md 5).
func (s site) download(a *asset, expires int64) string {
	u := s.files + "/download/" + a.id
	if a.public {
		return u
	}
	return u + "?token=" + s.signer.sign(downloadClaims{[]string{a.id}, expires})
}

// thumbnail returns "" for an asset without one.
func (s site) thumbnail(a *asset) string {
	if a.kind != kindImage {
		return ""
	}
	return s.files + "/thumbnails/" + a.id
}

// tokenSigner makes and checks JWTs signed with HS256.
type tokenSigner struct{ key []byte }

// downloadClaims is the payload of a download token, as seen live (facts.md 5).
type downloadClaims struct {
	Sub []string `json:"sub"`
	Exp int64    `json:"exp"` // Unix seconds
}

const jwtHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" // {"alg":"HS256","typ":"JWT"}

func (t tokenSigner) sign(claims any) string {
	payload, _ := json.Marshal(claims) // structs and maps of strings and numbers
	body := jwtHeader + "." + base64.RawURLEncoding.EncodeToString(payload)
	return body + "." + base64.RawURLEncoding.EncodeToString(t.mac(body))
}

func (t tokenSigner) mac(body string) []byte {
	h := hmac.New(sha256.New, t.key)
	h.Write([]byte(body))
	return h.Sum(nil)
}

var errTokenInvalid = errors.New("invalid token")

// checkDownload returns an error unless token opens the file of the asset id at now (Unix seconds).
func (t tokenSigner) checkDownload(token, id string, now int64) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errTokenInvalid
	}
	mac, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(mac, t.mac(parts[0]+"."+parts[1])) {
		return errTokenInvalid
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return errTokenInvalid
	}
	var claims downloadClaims
	if err := json.Unmarshal(payload, &claims); err != nil || !slices.Contains(claims.Sub, id) {
		return errTokenInvalid
	}
	if now >= claims.Exp {
		return fmt.Errorf("token expired at %s", stamp(claims.Exp))
	}
	return nil
}
