package main

import "github.com/spf13/cobra"

func (a *app) demoCommand() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use:     "demo",
		Short:   "Show everything at work on servers of its own",
		Example: "  cdc demo\n  cdc demo --keep",
		Args:    noArgs,
		Hidden:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.deps.demo(cmd.Context(), demo{
				Keep: keep, Stdout: a.stdout, Stderr: a.stderr, Terminal: isTerminal(a.stdout), Environ: a.environ,
			})
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "keep everything running until interrupted")
	return c
}
