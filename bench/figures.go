package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// errMissed is the class of a program that ran and missed a bound.
var errMissed = errors.New("a bound is missed")

// figure is one measured value and the bound that holds it, if one does.
type figure struct {
	Measure string   `json:"measure"`
	Seen    float64  `json:"seen"`
	Unit    string   `json:"unit,omitempty"`
	AtLeast *float64 `json:"at_least,omitempty"`
	AtMost  *float64 `json:"at_most,omitempty"`
	OK      bool     `json:"ok"` // true of a figure without a bound, too
}

// seen is a figure for information.
func seen(measure string, value float64, unit string) figure {
	return figure{Measure: measure, Seen: value, Unit: unit, OK: true}
}

func atLeast(bound float64, measure string, value float64, unit string) figure {
	return figure{Measure: measure, Seen: value, Unit: unit, AtLeast: &bound, OK: value >= bound}
}

func atMost(bound float64, measure string, value float64, unit string) figure {
	return figure{Measure: measure, Seen: value, Unit: unit, AtMost: &bound, OK: value <= bound}
}

// exactly is for what has one right value, such as 0 requests above the pace.
func exactly(bound float64, measure string, value float64, unit string) figure {
	return figure{Measure: measure, Seen: value, Unit: unit, AtLeast: &bound, AtMost: &bound, OK: value == bound}
}

func (f figure) bound() string {
	switch {
	case f.AtLeast != nil && f.AtMost != nil:
		return "= " + number(*f.AtLeast)
	case f.AtLeast != nil:
		return "≥ " + number(*f.AtLeast)
	case f.AtMost != nil:
		return "≤ " + number(*f.AtMost)
	default:
		return ""
	}
}

func (f figure) verdict() string {
	switch {
	case f.AtLeast == nil && f.AtMost == nil:
		return ""
	case f.OK:
		return "ok"
	default:
		return "missed"
	}
}

// number prints four digits that count, and whole numbers whole.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// report prints the figures of a program, as a table or with --json as one array, and
// returns errMissed when a bound is missed.
func report(cmd *cobra.Command, figures []figure) error {
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		err = enc.Encode(figures)
	} else {
		err = printTable(cmd.OutOrStdout(), figures)
	}
	if err != nil {
		return fmt.Errorf("print figures: %w", err)
	}
	return missed(figures)
}

func printTable(w io.Writer, figures []figure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MEASURE\tSEEN\tBOUND\t")
	for _, f := range figures {
		fmt.Fprintf(t, "%s\t%s %s\t%s\t%s\n", f.Measure, number(f.Seen), f.Unit, f.bound(), f.verdict())
	}
	return t.Flush()
}

// missed names the first figure outside its bound.
func missed(figures []figure) error {
	for _, f := range figures {
		if !f.OK {
			return fmt.Errorf("%w: %s is %s %s, not %s", errMissed, f.Measure, number(f.Seen), f.Unit, f.bound())
		}
	}
	return nil
}

// quantity is a flag that also takes 1e6.
type quantity int

func (q *quantity) String() string { return strconv.Itoa(int(*q)) }
func (q *quantity) Type() string   { return "quantity" }

func (q *quantity) Set(text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v < 0 || v > 1e9 || v != math.Trunc(v) {
		return fmt.Errorf("%q is not a number of things", text)
	}
	*q = quantity(v)
	return nil
}
