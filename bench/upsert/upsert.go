package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"damsync/bench/internal/benchkit"
	"damsync/internal/library"
	"damsync/internal/state"

	"github.com/jackc/pgx/v5"
)

type options struct {
	rows     benchkit.Quantity
	noChange bool
}

// Rows are written in slices, so that other load on the machine affects all methods alike.
const (
	sliceRows  = 5000
	singleRows = 100 // of a slice, written row by row
	pageRows   = 100 // of one API request
)

func (o *options) run(ctx context.Context, s *benchkit.Sheet) error {
	return benchkit.WithDatabase(ctx, func(ctx context.Context, d *benchkit.Database) error {
		pages, err := o.compare(ctx, d, s)
		if err != nil || !o.noChange {
			return err
		}
		return o.repeat(ctx, d, s, pages)
	})
}

// compare writes all rows by each method and returns the pace of pages.
func (o *options) compare(ctx context.Context, d *benchkit.Database, s *benchkit.Sheet) (pages pace, err error) {
	for _, table := range []string{"copied", "single"} {
		if err := d.Exec(ctx, `CREATE TABLE public.`+table+` (LIKE damsync.asset INCLUDING ALL)`); err != nil {
			return pages, err
		}
	}
	var copied, single pace
	err = o.slices(func(rows []library.Asset) error {
		if err := pages.time(len(rows), func() error { return applyPages(ctx, d, rows) }); err != nil {
			return err
		}
		if err := copied.time(len(rows), func() error { return d.CopyAssets(ctx, pgx.Identifier{"public", "copied"}, rows) }); err != nil {
			return err
		}
		some := rows[:min(singleRows, len(rows))]
		return single.time(len(some), func() error { return insertSingly(ctx, d, some) })
	})
	if err != nil {
		return pages, err
	}
	s.Info("pages of 100", pages.rate(), "rows/s")
	s.Info("plain COPY, same table", copied.rate(), "rows/s")
	s.Info("row by row", single.rate(), "rows/s")
	s.AtLeast(0.55, "pages / COPY", pages.rate()/copied.rate(), "")
	s.AtLeast(7, "pages / row by row", pages.rate()/single.rate(), "")
	return pages, nil
}

func (o *options) slices(write func([]library.Asset) error) error {
	for from := 0; from < int(o.rows); from += sliceRows {
		if err := write(summaryRows(from, min(sliceRows, int(o.rows)-from))); err != nil {
			return err
		}
	}
	return nil
}

// repeat applies the library again, in which nothing has changed.
func (o *options) repeat(ctx context.Context, d *benchkit.Database, s *benchkit.Sheet, first pace) error {
	// The first pass leaves work for the background, whose WAL would count here.
	for _, sql := range []string{`VACUUM ANALYZE damsync.asset`, `CHECKPOINT`} {
		if err := d.Exec(ctx, sql); err != nil {
			return err
		}
	}
	var unchanged pace
	var written int64
	err := o.slices(func(rows []library.Asset) error {
		before, err := walPosition(ctx, d)
		if err != nil {
			return err
		}
		if err := unchanged.time(len(rows), func() error { return applyPages(ctx, d, rows) }); err != nil {
			return err
		}
		after, err := walPosition(ctx, d)
		written += after - before
		return err
	})
	if err != nil {
		return err
	}
	s.Info("unchanged pages", unchanged.rate(), "rows/s")
	s.AtMost(1, "WAL of an unchanged row", float64(written)/float64(o.rows), "B")
	s.AtLeast(4, "unchanged / first pass", unchanged.rate()/first.rate(), "")
	return nil
}

// walPosition returns how many bytes of WAL the server has ever written.
func walPosition(ctx context.Context, d *benchkit.Database) (n int64, err error) {
	err = d.Pool.QueryRow(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read WAL position: %w", err)
	}
	return n, nil
}

// pace sums up rows and the time they took.
type pace struct {
	rows int
	took time.Duration
}

func (p *pace) time(rows int, write func() error) error {
	began := time.Now()
	err := write()
	p.took += time.Since(began)
	p.rows += rows
	return err
}

func (p pace) rate() float64 { return float64(p.rows) / p.took.Seconds() }

// applyPages writes pages as an observation does.
func applyPages(ctx context.Context, d *benchkit.Database, rows []library.Asset) error {
	for from := 0; from < len(rows); from += pageRows {
		page := rows[from:min(from+pageRows, len(rows))]
		if _, err := d.Store.ApplySummaries(ctx, state.Observation{Kind: state.KindSweep}, page[0].ModifiedAt, page, nil); err != nil {
			return err
		}
	}
	return nil
}

func insertSingly(ctx context.Context, d *benchkit.Database, rows []library.Asset) error {
	columns := benchkit.AssetColumns()
	places := make([]string, len(columns))
	for i := range places {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	insert := `INSERT INTO public.single (` + strings.Join(columns, ", ") + `) VALUES (` + strings.Join(places, ", ") + `)
		ON CONFLICT (id) DO UPDATE SET title = excluded.title, raw = excluded.raw, hash = excluded.hash, read_at = excluded.read_at`
	for _, a := range rows {
		values, err := benchkit.AssetValues(a)
		if err != nil {
			return err
		}
		if _, err := d.Pool.Exec(ctx, insert, values...); err != nil {
			return fmt.Errorf("insert row: %w", err)
		}
	}
	return nil
}
