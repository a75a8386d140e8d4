package plan

import (
	"math"
	"strconv"
	"time"

	"damsync/internal/library"
)

// fieldValues maps field names to values as expressions see them. A field
// without a value is absent, so reading it gives nil. The first of several fields
// with the same name is used.
func fieldValues(values []library.FieldValue) map[string]any {
	named := make(map[string]any, len(values))
	for _, field := range values {
		if _, taken := named[field.Name]; taken {
			continue
		}
		if value := fieldValue(field); value != nil {
			named[field.Name] = value
		}
	}
	return named
}

// fieldValue converts a field by its type, because GET /assets/{id}/fields
// delivers every value as text: a choice type to the list of choice names, a date
// to a time, a number type to a float64. Other types, and dates and numbers that
// do not parse, stay text.
func fieldValue(field library.FieldValue) any {
	switch field.Type {
	case "checkbox", "radio_button", "dropdown", "label":
		if len(field.Names) > 0 {
			return field.Names
		}
		return listOrNil(field.Values)
	}
	if len(field.Values) > 1 {
		return field.Values
	}
	if len(field.Values) == 0 {
		return nil
	}
	return scalarValue(field.Type, field.Values[0])
}

func scalarValue(kind, text string) any {
	switch kind {
	case "date":
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return t.UTC()
		}
	case "simple_number", "percentage_number", "currency_number":
		if n, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n
		}
	}
	return text
}

func listOrNil(values []string) any {
	if len(values) == 0 {
		return nil
	}
	return values
}
