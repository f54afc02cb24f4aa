package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/telemetry"
)

// referencePages returns the pages of docs/reference by file name.
func referencePages(root *cobra.Command) map[string]string {
	return map[string]string{
		"config.md":   config.Reference(),
		"commands.md": commandReference(root),
		"metrics.md":  telemetry.Reference(),
	}
}

func commandReference(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Commands\n\n<!-- Generated from cmd/cdc; do not edit. -->\n\n%s\n\n## Global flags\n\n", root.Long)
	flagTable(&b, root.PersistentFlags())
	writeCommands(&b, root)
	return b.String()
}

func writeCommands(b *strings.Builder, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		if c.HasSubCommands() {
			writeCommands(b, c)
			continue
		}
		long := c.Long
		if long == "" {
			long = c.Short + "."
		}
		path := strings.TrimSuffix(c.CommandPath(), c.Name()) + c.Use
		fmt.Fprintf(b, "\n## %s\n\n%s\n\n```\n%s\n```\n", path, long, strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
		if c.LocalNonPersistentFlags().HasAvailableFlags() {
			b.WriteByte('\n')
			flagTable(b, c.LocalNonPersistentFlags())
		}
	}
}

func flagTable(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("| flag | meaning |\n|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", `\|`))
	})
}
