package config

import (
	"fmt"
	"regexp"
	"strings"
)

// reference matches what expansion replaces: an escaped dollar, a variable, or the
// start of a malformed variable.
var reference = regexp.MustCompile(`\$\$|\$\{[A-Za-z_][A-Za-z0-9_]*\}|\$\{`)

// expand replaces ${NAME} by the variable and $$ by a dollar; a dollar before
// anything else is kept. It works on text that YAML has already parsed, so that a
// variable cannot add structure. faults describes what could not be replaced.
func expand(text string, env func(string) (string, bool)) (expanded string, faults []string) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	expanded = reference.ReplaceAllStringFunc(text, func(match string) string {
		switch match {
		case "$$":
			return "$"
		case "${":
			faults = append(faults, "malformed variable: want ${NAME}, or $$ for a dollar")
			return match
		}
		name := match[2 : len(match)-1]
		value, ok := env(name)
		if !ok {
			faults = append(faults, fmt.Sprintf("environment variable %s is not set", name))
		}
		return value
	})
	return expanded, faults
}
