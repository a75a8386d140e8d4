package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"damsync/cmp/cmpsim"
)

func newSimulate(p process) *cobra.Command {
	o := cmpsim.DefaultOptions()
	var listen string
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Run a simulated CMP to develop integrations with",
		Long: `simulate serves the documented part of the CMP Open API with a generated library:
OAuth, the organization's limits per second and month, live paging, expiring download
URLs, webhooks with retries, and faults on demand through control_url. Once it
listens, it prints one JSON line: api_url, auth_url, token_url, client_id,
client_secret, webhook_secret, control_url.`,
		Example: "  damsync simulate --listen 127.0.0.1:9000 --assets 500 --seed 7",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Assets < 0 {
				return usage("--assets must not be negative")
			}
			sim := cmpsim.New(o)
			endpoints, err := sim.Start(cmd.Context(), listen)
			if err != nil {
				return fmt.Errorf("start simulated CMP: %w", err)
			}
			defer func() { err = errors.Join(err, sim.Close()) }()
			line, err := json.Marshal(endpoints)
			if err != nil {
				return fmt.Errorf("encode endpoints: %w", err)
			}
			if _, err := fmt.Fprintf(p.stdout, "%s\n", line); err != nil {
				return err
			}
			<-cmd.Context().Done()
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "`ADDR` of the API; the other servers use free ports")
	cmd.Flags().IntVar(&o.Assets, "assets", o.Assets, "number of assets in the library")
	cmd.Flags().Int64Var(&o.Seed, "seed", o.Seed, "seed of the library and the credentials")
	return cmd
}
