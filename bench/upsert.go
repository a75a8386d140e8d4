package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"damsync/internal/library"
	"damsync/internal/state"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
)

type upsertOptions struct {
	rows     quantity
	nochange bool
}

func newUpsert() *cobra.Command {
	o := upsertOptions{rows: 300_000}
	cmd := &cobra.Command{
		Use:   "upsert",
		Short: "Write pages to the mirror, in turn with plain COPY and single rows",
		Long: `upsert writes a library page by page with the daemon's store and, in turn, the same rows
with COPY into a table of the same shape; some of them also row by row, each with its
own commit. With --nochange it then reads the unchanged library once more and counts
the bytes of WAL that this writes.`,
		Example: "  go run ./bench upsert --rows 300000\n  go run ./bench upsert --nochange",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s sheet
			if err := withDatabase(cmd.Context(), func(ctx context.Context, d *database) error { return o.run(ctx, d, &s) }); err != nil {
				return err
			}
			return s.report(cmd)
		},
	}
	cmd.Flags().Var(&o.rows, "rows", "assets of the library")
	cmd.Flags().BoolVar(&o.nochange, "nochange", false, "read the unchanged library again")
	return cmd
}

// Rows are written in slices, so that what else the machine does meets all methods alike.
const (
	upsertSlice  = 5000
	singlesSlice = 100 // of a slice, row by row
)

func (o *upsertOptions) run(ctx context.Context, d *database, s *sheet) error {
	for _, table := range []string{"copied", "single"} {
		if err := d.exec(ctx, `CREATE TABLE public.`+table+` (LIKE damsync.asset INCLUDING ALL)`); err != nil {
			return err
		}
	}
	var pages, copied, single pace
	for from := 0; from < int(o.rows); from += upsertSlice {
		rows := summaryRows(from, min(upsertSlice, int(o.rows)-from))
		singles := rows[:min(singlesSlice, len(rows))]
		err := inTurn(
			func() error { return pages.time(len(rows), func() error { return applyPages(ctx, d, rows) }) },
			func() error { return copied.time(len(rows), func() error { return copyRows(ctx, d, rows) }) },
			func() error { return single.time(len(singles), func() error { return insertSingly(ctx, d, singles) }) },
		)
		if err != nil {
			return err
		}
	}
	s.seen("pages of 100", pages.rate(), "rows/s")
	s.seen("plain COPY, same table", copied.rate(), "rows/s")
	s.seen("row by row", single.rate(), "rows/s")
	s.atLeast(0.55, "pages / COPY", pages.rate()/copied.rate(), "")
	s.atLeast(7, "pages / row by row", pages.rate()/single.rate(), "")
	if !o.nochange {
		return nil
	}
	return o.again(ctx, d, s, pages)
}

// again passes over what has not changed.
func (o *upsertOptions) again(ctx context.Context, d *database, s *sheet, insert pace) error {
	// What the first pass left to be done in the background would count here.
	for _, sql := range []string{`VACUUM ANALYZE damsync.asset`, `CHECKPOINT`} {
		if err := d.exec(ctx, sql); err != nil {
			return err
		}
	}
	var unchanged pace
	var written int64
	for from := 0; from < int(o.rows); from += upsertSlice {
		rows := summaryRows(from, min(upsertSlice, int(o.rows)-from))
		before, err := d.wal(ctx)
		if err != nil {
			return err
		}
		if err := unchanged.time(len(rows), func() error { return applyPages(ctx, d, rows) }); err != nil {
			return err
		}
		after, err := d.wal(ctx)
		if err != nil {
			return err
		}
		written += after - before
	}
	s.seen("unchanged pages", unchanged.rate(), "rows/s")
	s.atMost(1, "WAL of an unchanged row", float64(written)/float64(o.rows), "B")
	s.atLeast(4, "unchanged / first pass", unchanged.rate()/insert.rate(), "")
	return nil
}

// pace adds up how long how many took.
type pace struct {
	n    int
	took time.Duration
}

func (p *pace) time(n int, do func() error) error {
	begun := time.Now()
	err := do()
	p.took += time.Since(begun)
	p.n += n
	return err
}

func (p pace) rate() float64 { return float64(p.n) / p.took.Seconds() }

func inTurn(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// applyPages writes as an observation does.
func applyPages(ctx context.Context, d *database, rows []library.Asset) error {
	for from := 0; from < len(rows); from += apiPage {
		page := rows[from:min(from+apiPage, len(rows))]
		if _, err := d.store.ApplySummaries(ctx, state.Observation{Kind: state.KindSweep}, page[0].ModifiedAt, page, nil); err != nil {
			return err
		}
	}
	return nil
}

func assetColumns() []string {
	return []string{
		"id", "type", "title", "mime_type", "file_extension", "created_at", "modified_at", "folder_id", "file_location", "archived",
		"labels", "owner_organization_id", "self", "raw", "hash", "read_at", "first_seen_by",
	}
}

func assetValues(a library.Asset) ([]any, error) {
	labels, err := json.Marshal(a.Labels)
	hash := a.Digest()
	return []any{
		a.ID, a.Type, a.Title, a.MIMEType, a.FileExtension, a.CreatedAt, a.ModifiedAt, a.FolderID, a.FileLocation, a.Archived,
		string(labels), a.OwnerOrganizationID, a.Self, string(a.Raw), hash[:], a.ModifiedAt, "sweep",
	}, err
}

func copyRows(ctx context.Context, d *database, rows []library.Asset) error {
	source := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return assetValues(rows[i]) })
	if _, err := d.pool.CopyFrom(ctx, pgx.Identifier{"public", "copied"}, assetColumns(), source); err != nil {
		return fmt.Errorf("copy rows: %w", err)
	}
	return nil
}

const insertSingleSQL = `
INSERT INTO public.single (id, type, title, mime_type, file_extension, created_at, modified_at, folder_id, file_location, archived,
	labels, owner_organization_id, self, raw, hash, read_at, first_seen_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (id) DO UPDATE SET title = excluded.title, raw = excluded.raw, hash = excluded.hash, read_at = excluded.read_at`

func insertSingly(ctx context.Context, d *database, rows []library.Asset) error {
	for _, a := range rows {
		values, err := assetValues(a)
		if err != nil {
			return err
		}
		if _, err := d.pool.Exec(ctx, insertSingleSQL, values...); err != nil {
			return fmt.Errorf("insert row: %w", err)
		}
	}
	return nil
}
