package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"damsync/internal/pgtest"
)

// docsMarker ends the part of a reference document that people write.
const docsMarker = "<!-- The rest of this page is generated: go test ./cmd/damsync -run Docs -update -->\n"

var updateDocs = flag.Bool("update", false, "rewrite the generated part of the reference documents")

// The reference documents below docs are generated from what they describe.
func TestDocs(t *testing.T) {
	t.Parallel()
	for name, generate := range map[string]func(*testing.T) string{
		"commands.md": commandsDoc, "configuration.md": configurationDoc, "metrics.md": metricsDoc, "reporting.md": reportingDoc,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("..", "..", "docs", name)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			introduction, have, found := strings.Cut(string(text), docsMarker)
			if !found {
				t.Fatalf("%s lacks the line %q", path, docsMarker)
			}
			want := "\n" + generate(t)
			if *updateDocs {
				writeFile(t, path, introduction+docsMarker+want)
				return
			}
			if diff := gocmp.Diff(want, have); diff != "" {
				t.Errorf("%s is stale; run go test ./cmd/damsync -run Docs -update (-want +have):\n%s", path, diff)
			}
		})
	}
}

// tableHead returns the head of a Markdown table.
func tableHead(columns ...string) string {
	return tableRow(columns...) + "|" + strings.Repeat("---|", len(columns)) + "\n"
}

func tableRow(cells ...string) string {
	escaped := make([]string, len(cells))
	for i, cell := range cells {
		escaped[i] = strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(cell)
	}
	return "| " + strings.Join(escaped, " | ") + " |\n"
}

// code marks text as code. Empty text stays empty.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// codeBlock indents text to be a block of code.
func codeBlock(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		b.WriteString("    " + line)
	}
	return b.String() + "\n\n"
}

func commandsDoc(*testing.T) string {
	var overview, details strings.Builder
	overview.WriteString(tableHead("command", "what it does"))
	root := newRoot(process{})
	for _, cmd := range root.Commands() {
		overview.WriteString(tableRow(fmt.Sprintf("[%s](#%s)", cmd.Name(), strings.ReplaceAll(cmd.CommandPath(), " ", "-")), cmd.Short))
		details.WriteString(commandDoc(cmd))
	}
	return root.Long + "\n\n" + overview.String() + "\n" + strings.TrimSpace(details.String()) + "\n"
}

func commandDoc(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s.\n\n", cmd.CommandPath(), cmd.Short)
	if cmd.Long != "" {
		b.WriteString(cmd.Long + "\n\n")
	}
	if flags := cmd.Flags().FlagUsages(); flags != "" {
		b.WriteString("Flags:\n\n" + codeBlock(flags))
	}
	if cmd.Example != "" {
		b.WriteString("Examples:\n\n" + codeBlock(cmd.Example))
	}
	return b.String()
}

// reportingDoc reads the views and their comments from PostgreSQL's catalog.
func reportingDoc(t *testing.T) string {
	t.Helper()
	const columns = `SELECT c.relname::text, coalesce(obj_description(c.oid, 'pg_class'), ''), a.attname::text,
			format_type(a.atttypid, a.atttypmod), coalesce(col_description(c.oid, a.attnum), '')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace = 'report'::regnamespace AND c.relkind = 'v'
		ORDER BY c.relname, a.attnum`
	rows, err := pgtest.Pool(t).Query(t.Context(), columns)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var current, view, about, column, kind, meaning string
	_, err = pgx.ForEachRow(rows, []any{&view, &about, &column, &kind, &meaning}, func() error {
		if about == "" || meaning == "" {
			t.Errorf("report.%s or its column %s has no comment in the migrations", view, column)
		}
		if view != current {
			current = view
			fmt.Fprintf(&b, "\n## report.%s\n\n%s\n\n%s", view, about, tableHead("column", "type", "meaning"))
		}
		b.WriteString(tableRow(code(column), kind, meaning))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(b.String(), "\n")
}
