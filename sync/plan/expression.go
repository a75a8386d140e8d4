package plan

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

const (
	maxExpression = 8 << 10 // bytes of source
	maxNodes      = 1000
	// memoryBudget bounds the memory of one evaluation, in elements and
	// characters as expr counts them.
	memoryBudget = 200_000
)

// expression is a compiled expression with the properties it reads.
type expression struct {
	source  string
	program *vm.Program
	uses    usage
	parts   []string // the conjuncts, when there are several
}

// fault is an error inside an expression or template.
type fault struct {
	offset  int // bytes
	message string
}

// compileExpression type-checks source against the properties of asset. accept
// checks the static type of the result and returns what is wrong with it, or an
// empty string.
func compileExpression(source string, accept func(reflect.Type) string) (*expression, []fault) {
	if strings.TrimSpace(source) == "" {
		return nil, []fault{{message: "the expression is empty"}}
	}
	if len(source) > maxExpression {
		return nil, []fault{{message: fmt.Sprintf("the expression is longer than %d bytes", maxExpression)}}
	}
	tree, err := parser.Parse(source)
	if err != nil {
		return nil, []fault{faultOf(source, err)}
	}
	uses, faults := inspect(source, tree.Node)
	if len(faults) > 0 {
		return nil, faults
	}
	parts := conjuncts(tree.Node)
	program, err := expr.Compile(source, options()...)
	if err != nil {
		return nil, []fault{faultOf(source, err)}
	}
	if message := accept(program.Node().Type()); message != "" {
		return nil, []fault{{message: message}}
	}
	return &expression{source: source, program: program, uses: uses, parts: parts}, nil
}

// options returns the definition of the language. It leaves out functions that
// depend on the clock, the machine's time zones or the order of a map, so that an
// expression always gives the same value: a changing value would be pushed again
// and again.
func options() []expr.Option {
	return []expr.Option{
		expr.Env(environment{}),
		expr.MaxNodes(maxNodes),
		expr.DisableBuiltin("now"),
		expr.DisableBuiltin("timezone"),
		expr.DisableBuiltin("values"),
		expr.DisableBuiltin("toPairs"),
		expr.DisableBuiltin("keys"),
		expr.DisableBuiltin("repeat"),
		expr.Function("keys", sortedKeys, new(func(map[string][]string) []string), new(func(map[string]any) []string)),
		expr.Function("repeat", repeat, strings.Repeat),
	}
}

// repeat replaces the built-in repeat, which builds its result before it checks
// the memory budget.
func repeat(params ...any) (any, error) {
	text, count := params[0].(string), params[1].(int)
	if count < 0 || count > memoryBudget || len(text)*count > memoryBudget {
		return nil, fmt.Errorf("repeat needs a count of at least 0 and a result of at most %d bytes", memoryBudget)
	}
	return strings.Repeat(text, count), nil
}

// sortedKeys replaces the built-in keys, whose order is random.
func sortedKeys(params ...any) (any, error) {
	var keys []string
	switch m := params[0].(type) {
	case map[string][]string:
		for key := range m {
			keys = append(keys, key)
		}
	case map[string]any:
		for key := range m {
			keys = append(keys, key)
		}
	default:
		return nil, fmt.Errorf("keys needs a map, got %T", params[0])
	}
	slices.Sort(keys)
	return keys, nil
}

// faultOf converts an error of expr into a fault. It converts positions from
// characters to bytes, and replaces Go types in messages, which mean nothing to
// the reader of a configuration.
func faultOf(source string, err error) fault {
	positioned, ok := errors.AsType[*file.Error](err)
	if !ok {
		return fault{message: err.Error()}
	}
	message := strings.ReplaceAll(positioned.Message, "plan.assetValue", "asset")
	return fault{offset: byteOffset(source, positioned.From), message: message}
}

// byteOffset converts a count of characters into a count of bytes.
func byteOffset(source string, characters int) int {
	for i := range source {
		if characters == 0 {
			return i
		}
		characters--
	}
	return len(source)
}

// evaluator runs expressions one after the other. It is reused because creating
// a virtual machine costs more than most evaluations.
type evaluator struct {
	machine     vm.VM
	environment environment
}

// run evaluates one expression. It never panics: expr converts a panic during
// the evaluation into an error.
func (e *evaluator) run(x *expression) (any, error) {
	value, err := e.machine.Run(x.program, &e.environment)
	if positioned, ok := errors.AsType[*file.Error](err); ok {
		return nil, fmt.Errorf("%s (at character %d)", readable(positioned.Message), positioned.From+1)
	}
	return value, err
}

// readable rewords the most common error: the use of a custom field that has no
// value.
func readable(message string) string {
	if strings.Contains(message, "interface {} is nil") || strings.Contains(message, "<nil>") {
		return "a value is missing here; give a default with ??"
	}
	return message
}
