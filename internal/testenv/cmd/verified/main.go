// Command verified reads what `go test -json` prints of the destinations' suites and of the end-to-end tests,
// and the report of servers that the tests wrote, and prints docs/verified.md: what was proven where. It claims
// nothing that it has not read.
//
//	go test -json ./sinks/... ./internal/e2e | verified -servers .cache/servers.tsv > docs/verified.md
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "verified:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("verified", flag.ContinueOnError)
	servers := flags.String("servers", "", "report of servers that the tests wrote")
	if err := flags.Parse(args); err != nil {
		return err
	}
	seen, err := readResults(in)
	if err != nil {
		return err
	}
	used, err := readServers(*servers)
	if err != nil {
		return err
	}
	return page{results: seen, servers: used}.write(out)
}
