package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// printJSON writes what --json asks for, indented, with a newline behind it.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}
