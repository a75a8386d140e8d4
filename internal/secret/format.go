package secret

import (
	"fmt"
	"io"
)

// Format masks every verb, also those that would print the fields of a struct;
// only %p, which vet refuses for a value, does not ask it.
func (s String) Format(f fmt.State, _ rune) { mask(f, s.String()) }

// Format masks every verb.
func (k Key) Format(f fmt.State, _ rune) { mask(f, k.String()) }

func mask(w io.Writer, text string) {
	_, _ = io.WriteString(w, text) // fmt.State keeps no error to report
}
