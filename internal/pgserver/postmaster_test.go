package pgserver

import (
	"testing"
	"unicode/utf8"
)

func TestParsePostmaster(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want postmaster
	}{
		"running server": {
			"4711\n/data/postgres/cluster\n1795449600\n5432\n/run/x\n\n  1179650    3\nready   \n",
			postmaster{pid: 4711, port: "5432", socketDir: "/run/x", status: "ready"},
		},
		"server early in its start": {"4711\n/data\n1795449600\n5432\n", postmaster{pid: 4711, port: "5432"}},
		"stand-alone backend":       {"-4711\n/data\n", postmaster{pid: 4711}},
		"empty file":                {"", postmaster{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parsePostmaster(c.text); got != c.want {
				t.Errorf("parsePostmaster = %+v, want %+v", got, c.want)
			}
		})
	}
}

func FuzzParsePostmaster(f *testing.F) {
	f.Add("4711\n/data\n1795449600\n5432\n/run/x\n\n 1 3\nready   \n")
	f.Add("-9223372036854775808\n")
	f.Fuzz(func(t *testing.T, text string) {
		// kill(2) sends to a process group if the pid is negative.
		if pm := parsePostmaster(text); pm.pid < 0 {
			t.Errorf("pid = %d", pm.pid)
		}
	})
}

func FuzzLastLines(f *testing.F) {
	f.Add([]byte("a\nb\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := lastLines(text)
		n := 1
		for _, r := range got {
			if r == '\n' {
				n++
			}
		}
		if n > tailLines || utf8.Valid(text) && !utf8.ValidString(got) {
			t.Errorf("%d lines: %q", n, got)
		}
	})
}
