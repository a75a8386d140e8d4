package s3

import (
	"fmt"
	"net/url"
	"strings"
)

// encode returns s as a header value that every server and proxy leaves unchanged: printable
// ASCII, with % and hexadecimal digits for everything else. Spaces at the ends or in a row would
// be trimmed, and =? begins an encoded word of RFC 2047.
func encode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		badSpace := c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ')
		if c < ' ' || c > '~' || c == '%' || c == '?' || badSpace {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// decode is the inverse of encode.
func decode(s string) (string, error) { return url.PathUnescape(s) }
