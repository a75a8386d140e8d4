package benchkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// ErrMissed is the error class of a figure outside its bound.
var ErrMissed = errors.New("bound missed")

// Figure is one measured value and its bound, if it has one.
type Figure struct {
	Measure string   `json:"measure"`
	Value   float64  `json:"value"`
	Unit    string   `json:"unit,omitempty"`
	AtLeast *float64 `json:"at_least,omitempty"`
	AtMost  *float64 `json:"at_most,omitempty"`
	OK      bool     `json:"ok"` // also true without a bound
}

// Sheet collects the figures of a program in printing order.
type Sheet struct{ Figures []Figure }

// Info adds a figure without a bound.
func (s *Sheet) Info(measure string, value float64, unit string) {
	s.Figures = append(s.Figures, Figure{Measure: measure, Value: value, Unit: unit, OK: true})
}

// AtLeast adds a figure with a lower bound.
func (s *Sheet) AtLeast(bound float64, measure string, value float64, unit string) {
	s.Figures = append(s.Figures, Figure{Measure: measure, Value: value, Unit: unit, AtLeast: &bound, OK: value >= bound})
}

// AtMost adds a figure with an upper bound.
func (s *Sheet) AtMost(bound float64, measure string, value float64, unit string) {
	s.Figures = append(s.Figures, Figure{Measure: measure, Value: value, Unit: unit, AtMost: &bound, OK: value <= bound})
}

// Exactly adds a figure with one correct value.
func (s *Sheet) Exactly(bound float64, measure string, value float64, unit string) {
	s.Figures = append(s.Figures, Figure{Measure: measure, Value: value, Unit: unit, AtLeast: &bound, AtMost: &bound, OK: value == bound})
}

// String returns the figure and its bound in one line.
func (f Figure) String() string {
	text := f.Measure + ": " + f.valueUnit()
	if bound := f.bound(); bound != "" {
		text += ", bound " + bound
	}
	return text
}

func (f Figure) valueUnit() string { return strings.TrimSpace(number(f.Value) + " " + f.Unit) }

func (f Figure) bound() string {
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

func (f Figure) result() string {
	switch {
	case f.bound() == "":
		return ""
	case f.OK:
		return "ok"
	default:
		return "missed"
	}
}

// number prints four significant digits, and whole numbers in full.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// report prints the figures, as a table or as one JSON array, and returns Missed.
func (s *Sheet) report(w io.Writer, asJSON bool) error {
	var err error
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		err = enc.Encode(s.Figures)
	} else {
		err = s.print(w)
	}
	if err != nil {
		return fmt.Errorf("print figures: %w", err)
	}
	return s.Missed()
}

func (s *Sheet) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MEASURE\tVALUE\tBOUND\t")
	for _, f := range s.Figures {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.Measure, f.valueUnit(), f.bound(), f.result())
	}
	return t.Flush()
}

// Missed returns one ErrMissed for each figure outside its bound.
func (s *Sheet) Missed() error {
	var errs []error
	for _, f := range s.Figures {
		if !f.OK {
			errs = append(errs, fmt.Errorf("%w: %s", ErrMissed, f))
		}
	}
	return errors.Join(errs...)
}
