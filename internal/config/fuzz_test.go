package config

import (
	"errors"
	"os"
	"testing"
)

// For every file, Parse returns a configuration, or problems with their place. It never panics.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte(minimal))
	f.Add([]byte("cmp: &a {client_id: *a, <<: *a}\ntargets: [*a, {select: {labels: [}}]"))
	f.Add([]byte(minimal + "targets:\n- name: a\n  select:\n    when: |2-\n      asset.id == \"${HOME}\" + $$\n"))
	f.Add([]byte(minimal + "schedule: {audit: 'TZ=\t* * * * *', sweep: '@every 99999999h'}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("c", data, environment("CMP_CLIENT_ID", "id", "CMP_CLIENT_SECRET", "s", "HOME", "/"), known)
		var problems Problems
		switch {
		case err == nil && c == nil, err != nil && c != nil:
			t.Fatalf("both or neither: %v %v", c, err)
		case err != nil && (!errors.As(err, &problems) || len(problems) == 0):
			t.Fatalf("not problems: %T", err)
		}
		for _, p := range problems {
			if p.Message == "" || p.File != "c" || p.Line < 0 || p.Column < 0 {
				t.Errorf("incomplete problem %+v", p)
			}
		}
		if c != nil {
			c.Redacted()
		}
	})
}
