package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// maxSegment leaves room below the usual limit of 255 bytes for the suffixes
	// that an adapter appends to sidecars and temporary files.
	maxSegment = 200
	// maxPath stays below the 1024 bytes of an S3 key with room for a prefix.
	maxPath = 900
	// maxExtension is the longest part after the last dot that counts as a file
	// extension when a name is cut.
	maxExtension = 32

	sidecarSuffix = ".damsync.json"
)

// SafePath converts any text into a relative slash-separated path that is safe on
// the usual file systems and object stores: Unicode NFC, valid UTF-8, no empty,
// "." or ".." segment, no hidden or reserved name, no control, bidirectional or
// zero-width character, at most 200 bytes for each segment and 900 in total. A
// hash of the whole replaces what is cut. SafePath is pure and idempotent. The
// result is empty when no segment is left.
func SafePath(text string) string {
	var segments []string
	for part := range strings.SplitSeq(text, "/") {
		if segment := cleanSegment(part); segment != "" {
			segments = append(segments, segment)
		}
	}
	return capPath(segments)
}

// SafeSegment converts any text into one path segment by the rules of SafePath.
// It replaces slashes by "_". The result is never empty.
func SafeSegment(text string) string {
	if segment := cleanSegment(text); segment != "" {
		return segment
	}
	return "_"
}

// cleanSegment returns the safe form of a segment. The result is empty when the
// text has only dots and spaces.
func cleanSegment(text string) string {
	s := text
	if strings.ContainsFunc(s, needsMapping) {
		s = norm.NFC.String(strings.Map(safeRune, strings.ToValidUTF8(s, "_")))
	}
	s = strings.TrimLeftFunc(s, unicode.IsSpace)
	s = strings.TrimRightFunc(s, func(r rune) bool { return r == '.' || unicode.IsSpace(r) })
	s = showDots(s)
	s = renameDevice(s)
	s = renameSidecar(s)
	return capSegment(s)
}

// needsMapping reports whether a text with this character must be mapped and
// normalised. Most names are plain ASCII and need neither.
func needsMapping(r rune) bool {
	return r < ' ' || r >= 0x7f || isReserved(r)
}

func isReserved(r rune) bool {
	switch r {
	case '<', '>', ':', '"', '|', '?', '*', '\\', '/':
		return true
	}
	return false
}

// safeRune replaces the characters that confuse a file system or a reader.
// Format characters (bidirectional and zero-width controls) are dropped: they
// are invisible and let one name look like another.
func safeRune(r rune) rune {
	switch {
	case isReserved(r), unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp):
		return '_'
	case unicode.Is(unicode.Cf, r):
		return -1
	default:
		return r
	}
}

// showDots replaces leading dots, so that nothing is hidden and nothing meets
// a directory that an adapter keeps for itself, such as .archive.
func showDots(s string) string {
	rest := strings.TrimLeft(s, ".")
	return strings.Repeat("_", len(s)-len(rest)) + rest
}

// renameDevice changes the names that Windows reserves, with any extension and
// in any case: "con.txt" becomes "con_.txt".
func renameDevice(s string) string {
	base, _, _ := strings.Cut(s, ".")
	name := strings.TrimRightFunc(base, unicode.IsSpace)
	if len(name) > len("CONOUT$") || !isDevice(strings.ToUpper(name)) {
		return s
	}
	return base + "_" + s[len(base):]
}

func isDevice(name string) bool {
	switch name {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(name, "COM")
	if !ok {
		port, ok = strings.CutPrefix(name, "LPT")
	}
	// Windows treats superscript digits as digits.
	return ok && utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port)
}

// renameSidecar prevents an asset from having the name of another asset's sidecar.
func renameSidecar(s string) string {
	cut := len(s) - len(sidecarSuffix)
	if cut < 0 || !strings.EqualFold(s[cut:], sidecarSuffix) {
		return s
	}
	extension := path.Ext(s)
	return strings.TrimSuffix(s, extension) + "_" + extension
}

// capSegment cuts a long segment before its extension and appends a hash of the
// whole, so that two long titles keep different names.
func capSegment(s string) string {
	if len(s) <= maxSegment {
		return s
	}
	extension := path.Ext(s)
	if len(extension) > maxExtension {
		extension = ""
	}
	mark := "~" + digest(s, 4)
	stem := cutText(strings.TrimSuffix(s, extension), maxSegment-len(mark)-len(extension))
	return stem + mark + extension
}

// cutText returns the longest prefix of at most limit bytes that splits neither
// a character nor a letter from its combining marks.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 {
		r, _ := utf8.DecodeRuneInString(s[limit:])
		if utf8.RuneStart(s[limit]) && !unicode.IsMark(r) {
			break
		}
		limit--
	}
	return s[:limit]
}

// capPath joins the segments. When the path is too long, it keeps the outer folders
// and the last segment, with a hash of the whole in between.
func capPath(segments []string) string {
	whole := strings.Join(segments, "/")
	if len(whole) <= maxPath {
		return whole
	}
	mark, last := "~"+digest(whole, 8), segments[len(segments)-1]
	left := maxPath - len(mark) - 1 - len(last)
	var kept []string
	for _, segment := range segments {
		if left -= len(segment) + 1; left < 0 {
			break
		}
		kept = append(kept, segment)
	}
	return strings.Join(append(kept, mark, last), "/")
}

// digest returns the first n bytes of the SHA-256 of s in hex.
func digest(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:n])
}
