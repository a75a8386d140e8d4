// Package memory reduces the memory of processes that transfer a lot of data but
// keep little of it.
package memory

import "runtime/debug"

// percent is the allowed garbage, relative to the memory in use. With 64 transfers
// in progress, half of the default saves 6 of 40 MB. Little memory is in use, so
// the additional processor time is below the noise.
const percent = 50

// Save makes the garbage collector run earlier than by default, unless GOGC is
// set. env has the signature of os.LookupEnv.
func Save(env func(string) (string, bool)) {
	if _, set := env("GOGC"); !set {
		debug.SetGCPercent(percent)
	}
}
