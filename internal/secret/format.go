package secret

import (
	"fmt"
	"io"
)

// Format prints the mask for every verb, including those that would print the
// fields of a struct. Only %p does not call it, and vet rejects %p for a value.
func (s String) Format(f fmt.State, _ rune) { mask(f, s.String()) }

// Format prints the mask for every verb.
func (k Key) Format(f fmt.State, _ rune) { mask(f, k.String()) }

func mask(w io.Writer, text string) {
	_, _ = io.WriteString(w, text) // fmt.State has no way to report an error
}
