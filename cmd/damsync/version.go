package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"damsync/internal/buildinfo"
)

func newVersion(p process) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.stdout, "damsync %s (%s)\n", buildinfo.Version(), buildinfo.GoVersion())
			return err
		},
	}
}
