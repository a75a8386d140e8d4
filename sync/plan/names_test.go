package plan

import (
	"fmt"
	"strings"
	"testing"
)

// TestNamesForLogs: every state has a name of its own, and one that is not
// known is told as such instead of passing for another.
func TestNamesForLogs(t *testing.T) {
	groups := [][]fmt.Stringer{
		{NotSelected, Selected, NeedsDetail, NeedsFields, Failed, Verdict(99)},
		{Unchanged, Added, Updated, Removed, Change(99)},
		{OpNone, OpPut, OpMove, OpSetMetadata, OpRetire, Op(99)},
		{Hold, Wait, Release, Gate(99)},
	}
	for _, group := range groups {
		seen := make(map[string]bool)
		for i, name := range group {
			text := name.String()
			if seen[text] || strings.HasPrefix(text, "unknown") != (i == len(group)-1) {
				t.Errorf("%T %d is called %q", name, i, text)
			}
			seen[text] = true
		}
	}
}
