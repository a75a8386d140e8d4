package plan

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"

	"damsync/internal/library"
	"damsync/internal/state"
)

// usage records what an expression reads.
type usage struct {
	asset          bool // reads anything of the asset
	folder         bool // reads asset.folder
	labels, fields bool // reads asset.labels, asset.fields
	detail         bool // reads a property that only the detail knows

	labelGroups, fieldNames []string // names written as constants
	beyond                  []string // properties that the summary lacks
}

// read records a property and reports whether it exists.
func (u *usage) read(property string) bool {
	level, ok := propertyLevel(property)
	if !ok {
		return false
	}
	u.asset = true
	u.folder = u.folder || property == "folder"
	u.labels = u.labels || property == "labels"
	u.fields = u.fields || level == library.LevelFields
	u.detail = u.detail || level == library.LevelDetail
	if level > library.LevelSummary {
		u.beyond = append(u.beyond, property)
	}
	return true
}

// merge adds the usage of another expression.
func (u *usage) merge(other usage) {
	u.asset = u.asset || other.asset
	u.folder = u.folder || other.folder
	u.labels = u.labels || other.labels
	u.fields = u.fields || other.fields
	u.detail = u.detail || other.detail
	u.labelGroups = append(u.labelGroups, other.labelGroups...)
	u.fieldNames = append(u.fieldNames, other.fieldNames...)
	u.beyond = append(u.beyond, other.beyond...)
}

// known reports whether a snapshot has all levels that the expression reads.
func (u *usage) known(v *state.Snapshot) bool {
	return (!u.detail || v.Detail != nil) && (!u.fields || v.Fields != nil)
}

// cheaperThan reports whether u needs fewer of the levels that cost a request.
func (u *usage) cheaperThan(other usage) bool {
	return !u.detail && other.detail || !u.fields && other.fields
}

// inspect walks a parsed expression. It returns what the expression reads, and
// faults for constructs that the language does not have.
func inspect(source string, root ast.Node) (usage, []fault) {
	i := inspector{source: source}
	ast.Walk(&root, &i)
	if i.mentions > i.members {
		for _, property := range propertyNames() {
			i.uses.read(property)
		}
	}
	return i.uses, i.faults
}

type inspector struct {
	source   string
	uses     usage
	faults   []fault
	mentions int // occurrences of the name asset
	members  int // those that a constant property follows
}

// Visit implements ast.Visitor.
func (i *inspector) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		i.identifier(n)
	case *ast.MemberNode:
		i.member(n)
	case *ast.BinaryNode:
		i.binary(n)
	case *ast.BuiltinNode:
		i.builtin(n)
	case *ast.CallNode:
		i.call(n)
	}
}

func (i *inspector) identifier(n *ast.IdentifierNode) {
	switch n.Value {
	case "asset":
		i.mentions++
	case "$env":
		i.reject(n, "$env is not available; read the properties of asset")
	}
}

// member records asset.X and the constant names in asset.labels.X and
// asset.fields["X"].
func (i *inspector) member(n *ast.MemberNode) {
	name, ok := n.Property.(*ast.StringNode)
	if !ok {
		return
	}
	if isAsset(n.Node) {
		i.members++
		if !i.uses.read(name.Value) {
			i.reject(name, fmt.Sprintf("asset has no property %s; it has %s", name.Value, strings.Join(propertyNames(), ", ")))
		}
		return
	}
	i.reference(n.Node, name)
}

// binary records the constant name in "X" in asset.fields. It rejects ranges:
// they make endless loops easy to write, and comparisons can replace them.
func (i *inspector) binary(n *ast.BinaryNode) {
	if n.Operator == ".." {
		i.reject(n, "ranges (..) are not available; compare with >= and <=")
	}
	if name, ok := n.Left.(*ast.StringNode); ok && n.Operator == "in" {
		i.reference(n.Right, name)
	}
}

// builtin records the constant name in get(asset.fields, "X").
func (i *inspector) builtin(n *ast.BuiltinNode) {
	if n.Name == "get" && len(n.Arguments) == 2 {
		if name, ok := n.Arguments[1].(*ast.StringNode); ok {
			i.reference(n.Arguments[0], name)
		}
	}
	if n.Name == "date" && len(n.Arguments) > 2 {
		i.reject(n, "date with a time zone is not available; write the offset into the text, such as 2026-01-31T00:00:00+01:00")
	}
}

// call rejects Local, the one method of a time that depends on the machine.
func (i *inspector) call(n *ast.CallNode) {
	if callee, ok := n.Callee.(*ast.MemberNode); ok {
		if name, ok := callee.Property.(*ast.StringNode); ok && name.Value == "Local" {
			i.reject(name, "Local() is not available; times are in UTC")
		}
	}
}

func (i *inspector) reference(container ast.Node, name *ast.StringNode) {
	switch propertyOf(container) {
	case "labels":
		i.uses.labelGroups = append(i.uses.labelGroups, name.Value)
	case "fields":
		i.uses.fieldNames = append(i.uses.fieldNames, name.Value)
	}
}

func (i *inspector) reject(n ast.Node, message string) {
	i.faults = append(i.faults, fault{offset: byteOffset(i.source, n.Location().From), message: message})
}

func isAsset(n ast.Node) bool {
	identifier, ok := n.(*ast.IdentifierNode)
	return ok && identifier.Value == "asset"
}

// propertyOf returns X when n is asset.X, and otherwise an empty string.
func propertyOf(n ast.Node) string {
	member, ok := n.(*ast.MemberNode)
	if !ok || !isAsset(member.Node) {
		return ""
	}
	if name, ok := member.Property.(*ast.StringNode); ok {
		return name.Value
	}
	return ""
}
