package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"damsync/internal/pgserver"
	"damsync/migrations"
)

func newMigrate(p process) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database schema up to date",
		Long: `migrate applies missing migrations, as serve does when it starts. Several processes
may run it at the same time.`,
		Example: "  damsync migrate --config config.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			cfg, err := loadConfig(file, p.env)
			if err != nil {
				return err
			}
			url := cfg.Database.URL.Reveal()
			if url == "" {
				pg, err := pgserver.Open(ctx, pgserver.Options{DataDir: cfg.DataDir, Log: newLog(p, cfg.Log, true)})
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, pg.Close(ctx)) }()
				url = pg.URL()
			}
			result, err := migrations.Apply(ctx, url)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "schema at version %d, %d migrations applied\n", result.Version, result.Applied)
			return nil
		},
	}
	configFlag(cmd, &file)
	return cmd
}
