package main

import "testing"

// A month of 100,000 assets keeps the bounds of one of a million, with webhooks and without them.
func TestMonth(t *testing.T) {
	if testing.Short() {
		t.Skip("a month takes some seconds")
	}
	for name, change := range map[string]func(*monthOptions){
		"webhooks":    func(*monthOptions) {},
		"no webhooks": func(o *monthOptions) { o.hook = 0 },
		"details":     func(o *monthOptions) { o.details = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := monthDefaults()
			o.assets = 100_000
			change(&o)
			m, err := simulateMonth(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.sheet(o).missed(); err != nil {
				t.Error(err)
			}
		})
	}
}
