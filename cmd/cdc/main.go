// Command cdc keeps joined tables in several databases equal to SQL queries over a live MySQL database. One
// file holds one command; wire.go alone knows every part.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop // the first asks to end in good order, the second does not ask
		cancel()
		<-stop
		os.Exit(exitKilled)
	}()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	os.Exit(run(ctx, os.Args[1:], process{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(), hangup: hangup, deps: parts(),
	}))
}
