package plan

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestSafePath(t *testing.T) {
	long := strings.Repeat("x", 300)
	tests := map[string]string{
		"/Brand/Summer/Poster.jpg": "Brand/Summer/Poster.jpg",
		"../../etc/passwd":         "etc/passwd",
		"//a///b/":                 "a/b",
		"a/./../b":                 "a/b",
		"..hidden/.archive":        "__hidden/_archive",
		" .ssh/x ":                 "_ssh/x",
		"a. . ./b":                 "a/b",
		`C:\Windows\x`:             "C__Windows_x",
		`a<b>c"d|e?f*g`:            "a_b_c_d_e_f_g",
		"a\x00b\nc\x7fd\u0085e":    "a_b_c_d_e",
		"a\u2028b":                 "a_b",
		"CON":                      "CON_",
		"con.txt":                  "con_.txt",
		"Nul .tar.gz":              "Nul _.tar.gz",
		"com1/lpt9.x/COM²":         "com1_/lpt9_.x/COM²_",
		"conin$":                   "conin$_",
		"COM10/CONE/AUXILIARY":     "COM10/CONE/AUXILIARY",
		"x.damsync.json":           "x.damsync_.json",
		"X.DamSync.JSON":           "X.DamSync_.JSON",
		"e\u0301t\u00e9":           "\u00e9t\u00e9",
		"a\u202egpj.exe":           "agpj.exe",
		"a\u200bb\ufeffc\u2066d":   "abcd",
		"\xff\xfea":                "_a",
		"":                         "",
		"...":                      "",
		" / . / ":                  "",
		long + ".jpeg":             strings.Repeat("x", 186) + "~64ec09ff.jpeg",
		"日本/ภาษาไทย/العربية":         "日本/ภาษาไทย/العربية",
		"50% off & more; it's (new)": "50% off & more; it's (new)",
	}
	for in, want := range tests {
		if got := SafePath(in); got != want {
			t.Errorf("SafePath(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSafeSegment(t *testing.T) {
	for in, want := range map[string]string{
		"AC/DC": "AC_DC", "../../etc/passwd": "___.._etc_passwd", "": "_", "..": "_", "\u200b": "_", "aux": "aux_",
	} {
		if got := SafeSegment(in); got != want {
			t.Errorf("SafeSegment(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSafeSegmentKeepsLongNamesApart(t *testing.T) {
	emoji := strings.Repeat("🎉", 100)
	a, b := SafeSegment(emoji+"1.png"), SafeSegment(emoji+"2.png")
	if a == b {
		t.Errorf("both became %q", a)
	}
	for _, got := range []string{a, b} {
		if len(got) > maxSegment || !strings.HasSuffix(got, ".png") || !utf8.ValidString(got) {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
	// A letter stays with its marks.
	if got := SafeSegment(strings.Repeat("q\u0323\u0307", 60)); strings.Contains(got, "q~") || strings.Contains(got, "\u0323~") {
		t.Errorf("cut between a letter and its mark: %q", got)
	}
}

func TestSafePathKeepsDeepPathsApart(t *testing.T) {
	deep := strings.Repeat(strings.Repeat("d", 150)+"/", 10)
	a, b := SafePath(deep+"1/x.jpg"), SafePath(deep+"2/x.jpg")
	if a == b || len(a) > maxPath || !strings.HasSuffix(a, "/x.jpg") || !strings.HasPrefix(a, deep[:151]) {
		t.Errorf("got %q and %q", a, b)
	}
}

// checkSafe checks the guarantees of SafePath for one input.
func checkSafe(t interface{ Fatalf(string, ...any) }, in string) {
	got := SafePath(in)
	if again := SafePath(got); again != got {
		t.Fatalf("not idempotent: %q, then %q, then %q", in, got, again)
	}
	if !utf8.ValidString(got) || !norm.NFC.IsNormalString(got) || len(got) > maxPath {
		t.Fatalf("%q: invalid, not NFC or too long: %q", in, got)
	}
	if got == "" {
		return
	}
	if !filepath.IsLocal(got) {
		t.Fatalf("%q leaves the root: %q", in, got)
	}
	for segment := range strings.SplitSeq(got, "/") {
		checkSafeSegment(t, in, segment)
	}
}

func checkSafeSegment(t interface{ Fatalf(string, ...any) }, in, segment string) {
	base, _, _ := strings.Cut(segment, ".")
	switch {
	case segment == "", len(segment) > maxSegment,
		strings.HasPrefix(segment, "."), strings.HasSuffix(segment, "."),
		strings.TrimSpace(segment) != segment,
		strings.ContainsAny(segment, `<>:"|?*\`),
		strings.ContainsFunc(segment, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }),
		strings.HasSuffix(strings.ToLower(segment), ".damsync.json"):
		t.Fatalf("%q has the unsafe segment %q", in, segment)
	}
	for _, device := range strings.Fields("CON PRN AUX NUL COM1 COM9 LPT1 LPT9 CONIN$ CONOUT$") {
		if strings.EqualFold(strings.TrimSpace(base), device) {
			t.Fatalf("%q has the reserved name %q", in, segment)
		}
	}
}

// oddText draws texts of ordinary letters and characters that break paths.
func oddText() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.String(),
		rapid.StringOfN(rapid.Rune(), 0, 80, -1),
		rapid.SampledFrom([]string{
			"/", "//", ".", "..", "../", " ", "\\", "\x00", "\xff", "CON", "nul.", "aux .x", "com1", ".archive", ".damsync.json",
			"e\u0301", "\u200d", "\u202e", "\u0338", "<\u0338", "\u2028", "🎉", "한", "\u1112\u1161\u11ab", "\u2000", "\u0085",
			strings.Repeat("x", 199), strings.Repeat("é", 120), strings.Repeat("\u0301", 120), strings.Repeat("d/", 300), ".jpeg",
		}),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 0, 8).Draw(t, "parts"), "")
	})
}

func TestSafePathProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := oddText().Draw(t, "text")
		checkSafe(t, text)
		segment := SafeSegment(text)
		if strings.Contains(segment, "/") || SafeSegment(segment) != segment {
			t.Fatalf("SafeSegment(%q) = %q", text, segment)
		}
		checkSafeSegment(t, text, segment)
	})
}

func FuzzSafePath(f *testing.F) {
	for _, seed := range []string{"a/b", "../x", "CON.txt", "e\u0301\u200d", "\xff", strings.Repeat("ab/", 400), strings.Repeat("é", 150) + ".png"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { checkSafe(t, text) })
}
