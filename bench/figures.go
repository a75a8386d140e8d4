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

// sheet is what a program has measured, in the order of printing.
type sheet struct{ figures []figure }

// seen adds a figure for information.
func (s *sheet) seen(measure string, value float64, unit string) {
	s.figures = append(s.figures, figure{Measure: measure, Seen: value, Unit: unit, OK: true})
}

func (s *sheet) atLeast(bound float64, measure string, value float64, unit string) {
	s.figures = append(s.figures, figure{Measure: measure, Seen: value, Unit: unit, AtLeast: &bound, OK: value >= bound})
}

func (s *sheet) atMost(bound float64, measure string, value float64, unit string) {
	s.figures = append(s.figures, figure{Measure: measure, Seen: value, Unit: unit, AtMost: &bound, OK: value <= bound})
}

// exactly adds a figure that has one right value, such as 0 requests above the pace.
func (s *sheet) exactly(bound float64, measure string, value float64, unit string) {
	s.figures = append(s.figures, figure{Measure: measure, Seen: value, Unit: unit, AtLeast: &bound, AtMost: &bound, OK: value == bound})
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

// report prints the figures, as a table or with --json as one array, and returns errMissed
// when a bound is missed.
func (s *sheet) report(cmd *cobra.Command) error {
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		err = enc.Encode(s.figures)
	} else {
		err = s.print(cmd.OutOrStdout())
	}
	if err != nil {
		return fmt.Errorf("print figures: %w", err)
	}
	return s.missed()
}

func (s *sheet) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MEASURE\tSEEN\tBOUND\t")
	for _, f := range s.figures {
		fmt.Fprintf(t, "%s\t%s %s\t%s\t%s\n", f.Measure, number(f.Seen), f.Unit, f.bound(), f.verdict())
	}
	return t.Flush()
}

// missed names each figure outside its bound.
func (s *sheet) missed() error {
	var errs []error
	for _, f := range s.figures {
		if !f.OK {
			errs = append(errs, fmt.Errorf("%w: %s is %s %s, not %s", errMissed, f.Measure, number(f.Seen), f.Unit, f.bound()))
		}
	}
	return errors.Join(errs...)
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
