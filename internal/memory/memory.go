// Package memory keeps processes small that move much and hold little.
package memory

import "runtime/debug"

// percent is how much garbage may come on top of what is in use. With 64 transfers
// under way half the default saves 6 of 40 MB, and costs no processor time that can
// be told from noise, since little is in use.
const percent = 50

// Save has the garbage collector come earlier than by default. What GOGC says goes.
func Save(env func(string) (string, bool)) {
	if _, set := env("GOGC"); !set {
		debug.SetGCPercent(percent)
	}
}
