package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newApprove(p process) *cobra.Command {
	var file, target string
	cmd := &cobra.Command{
		Use:   "approve",
		Short: "Approve the held removals of a target",
		Long: `approve lists the removals that removal_limit holds at a target, the first 50 by path,
and approves exactly the removals that are held at that moment. Removals that are held
meanwhile stay held; approve prints their number. The limit applies again to later
removals.`,
		Example: "  damsync approve --target brand-images",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if target == "" {
				return usage("approve needs --target NAME; damsync status shows which target holds removals")
			}
			a, err := openApp(cmd.Context(), p, appOptions{configFile: file, quiet: true})
			if err != nil {
				return err
			}
			defer a.closing(&err)
			if err := a.knownTarget(target); err != nil {
				return err
			}
			return a.approve(cmd.Context(), p, target)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&target, "target", "", "the target's `NAME`")
	return cmd
}

func (a *app) approve(ctx context.Context, p process, target string) error {
	const shown = 50
	wave, err := a.store.Held(ctx, target, shown)
	if err != nil {
		return err
	}
	for _, h := range wave.First {
		fmt.Fprintf(p.stdout, "- %s  [%s %q]  %s\n", h.Path, h.AssetID, h.Title, h.Reason)
	}
	if more := len(wave.AssetIDs) - len(wave.First); more > 0 {
		fmt.Fprintf(p.stdout, "… and %d more\n", more)
	}
	approved, left, err := a.store.Approve(ctx, target, wave)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%d removals approved at %s\n", approved, target)
	if left > 0 {
		fmt.Fprintf(p.stdout, "%d more were held meanwhile and stay held; see damsync plan, then approve again\n", left)
	}
	return nil
}

func newRetry(p process) *cobra.Command {
	var file, target string
	cmd := &cobra.Command{
		Use:   "retry",
		Short: "Try failed placements again now instead of after their back-off",
		Example: `  damsync retry
  damsync retry --target brand-images`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			a, err := openApp(cmd.Context(), p, appOptions{configFile: file, quiet: true})
			if err != nil {
				return err
			}
			defer a.closing(&err)
			if target != "" {
				if err := a.knownTarget(target); err != nil {
					return err
				}
			}
			n, err := a.store.Retry(cmd.Context(), target)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%d are due again; a running daemon or damsync resync carries them out\n", n)
			return nil
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&target, "target", "", "only the target `NAME`")
	return cmd
}
