// Package buildinfo identifies the binary and its process.
package buildinfo

import (
	"crypto/rand"
	"runtime/debug"
)

// Version returns the module version or, in a build from a checkout, the
// revision, followed by +modified if files differ from it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+modified"
		}
	}
	switch {
	case info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	case revision != "":
		return revision[:min(len(revision), 12)] + modified
	default:
		return "devel"
	}
}

// GoVersion returns the version of Go that built the binary.
func GoVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.GoVersion
	}
	return "unknown"
}

// Unique returns a short random text. Process ids are not unique across hosts and
// restarts.
func Unique() string { return rand.Text()[:8] }
