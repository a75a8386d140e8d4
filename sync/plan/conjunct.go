package plan

import (
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// conjuncts splits "a and b and c" into the sources of its parts. It returns nil
// for any other expression.
func conjuncts(n ast.Node) []string {
	binary, ok := n.(*ast.BinaryNode)
	if !ok || binary.Operator != "and" && binary.Operator != "&&" {
		return nil
	}
	var parts []string
	for _, side := range []ast.Node{binary.Left, binary.Right} {
		if inner := conjuncts(side); inner != nil {
			parts = append(parts, inner...)
		} else if source, ok := sourceOf(side); ok {
			parts = append(parts, source)
		}
	}
	return parts
}

// sourceOf prints a part of an expression. It reports false when the text does
// not parse back to the same part: a part with another meaning could exclude an
// asset that belongs.
func sourceOf(n ast.Node) (string, bool) {
	source := n.String()
	tree, err := parser.Parse(source)
	if err != nil || ast.Dump(tree.Node) != ast.Dump(n) {
		return "", false
	}
	return source, true
}
