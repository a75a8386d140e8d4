// Package buildinfo tells what was built, and names this process.
package buildinfo

import (
	"crypto/rand"
	"runtime/debug"
)

// Version is the module version or, in a build from a checkout, the revision
// with a mark when files were changed.
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

// GoVersion is the toolchain the binary was built with.
func GoVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.GoVersion
	}
	return "unknown"
}

// Unique is a short random text: process ids repeat across hosts and restarts.
func Unique() string { return rand.Text()[:8] }
