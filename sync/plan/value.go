package plan

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

func acceptBool(t reflect.Type) string {
	if kind := t.Kind(); kind == reflect.Bool || kind == reflect.Interface {
		return ""
	}
	return fmt.Sprintf("must be true or false, but is of type %s; compare it with something", typeName(t))
}

func acceptPathType(t reflect.Type) string {
	switch kind := t.Kind(); {
	case kind == reflect.String, kind == reflect.Interface, isNumber(kind):
		return ""
	case kind == reflect.Slice:
		return "is a list; a path needs one text or number: use first(…) or join(…, \"-\")"
	case isTime(t):
		return "is a time; a path needs a text: use for instance .Format(\"2006-01-02\")"
	default:
		return fmt.Sprintf("must be a text or a number, but is of type %s", typeName(t))
	}
}

func acceptMetadataType(t reflect.Type) string {
	switch {
	case isTime(t):
		return ""
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Pointer, t.Kind() == reflect.Func, t.Kind() == reflect.Chan:
		return fmt.Sprintf("cannot be metadata, it is of type %s; name one property, and call a function with ()", typeName(t))
	default:
		return ""
	}
}

func typeName(t reflect.Type) string {
	return strings.ReplaceAll(t.String(), "plan.assetValue", "asset")
}

func isTime(t reflect.Type) bool {
	return t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[*time.Time]()
}

func isNumber(kind reflect.Kind) bool { return kind >= reflect.Int && kind <= reflect.Float64 }

// pathText renders the value of a path expression. Nil gives an empty text, so that
// an absent custom field removes its segment.
func pathText(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", errors.New("not a finite number")
		}
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	if message := acceptPathType(reflect.TypeOf(value)); message != "" {
		return "", errors.New("the value " + message)
	}
	return fmt.Sprint(value), nil
}

// plainValue converts the value of a metadata expression to a type that JSON keeps
// unchanged: string, bool, int64, float64, []string, []any, map[string]any or
// nil. Times become RFC 3339 text in UTC. The result shares no memory with the
// asset.
func plainValue(value any) (any, error) {
	switch v := value.(type) {
	case nil, bool, int64:
		return v, nil
	case string:
		return strings.ToValidUTF8(v, "\uFFFD"), nil
	case int:
		return int64(v), nil
	case float64:
		return finite(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case *time.Time:
		if v == nil {
			return nil, nil
		}
		return plainValue(*v)
	case fmt.Stringer:
		return v.String(), nil
	case []string:
		return plainStrings(v), nil
	}
	return plainReflected(reflect.ValueOf(value))
}

func finite(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("not a finite number")
	}
	return f, nil
}

func plainStrings(list []string) []string {
	plain := make([]string, len(list))
	for i, s := range list {
		plain[i] = strings.ToValidUTF8(s, "\uFFFD")
	}
	return plain
}

func plainReflected(v reflect.Value) (any, error) {
	switch {
	case v.Kind() == reflect.Slice:
		return plainList(v)
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		return plainMap(v)
	case v.CanInt():
		return v.Int(), nil
	case v.CanFloat():
		return finite(v.Float())
	case v.CanUint() && v.Uint() <= math.MaxInt64:
		return int64(v.Uint()), nil
	default:
		return nil, fmt.Errorf("a value of type %s cannot be metadata", typeName(v.Type()))
	}
}

// plainList returns a []string when every element is text, and otherwise a []any.
func plainList(v reflect.Value) (any, error) {
	list, texts := make([]any, v.Len()), make([]string, 0, v.Len())
	for i := range list {
		element, err := plainValue(v.Index(i).Interface())
		if err != nil {
			return nil, err
		}
		if text, ok := element.(string); ok {
			texts = append(texts, text)
		}
		list[i] = element
	}
	if len(texts) == len(list) {
		return texts, nil
	}
	return list, nil
}

func plainMap(v reflect.Value) (any, error) {
	plain := make(map[string]any, v.Len())
	for entries := v.MapRange(); entries.Next(); {
		value, err := plainValue(entries.Value().Interface())
		if err != nil {
			return nil, err
		}
		plain[entries.Key().String()] = value
	}
	return plain, nil
}
