package testenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// Where a server comes from, as reports show it.
const (
	fromEnvironment = "environment"
	fromMachine     = "machine"
	fromPackages    = "packages"
	fromNPM         = "npm"
	fromArchive     = "archive"
	fromDouble      = "double"
	fromContainer   = "container"
)

// program is an executable with what it needs to run from where it lies.
type program struct {
	path string
	// libs is put into LD_LIBRARY_PATH; empty for a program of the machine.
	libs string
	// loader is the dynamic linker of the program's own libc, for packages
	// of another Debian release than the machine's; empty: the machine's.
	loader string
	env    []string
}

func (p program) name() string { return filepath.Base(p.path) }

func (p program) command(args ...string) *exec.Cmd {
	var cmd *exec.Cmd
	if p.loader != "" {
		args = append([]string{"--argv0", p.path, "--library-path", p.libs, p.path}, args...)
		cmd = exec.Command(p.loader, args...)
	} else {
		cmd = exec.Command(p.path, args...)
	}
	cmd.Env = append(serverEnvironment(), p.env...)
	if p.libs != "" && p.loader == "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+p.libs)
	}
	return cmd
}

// serverEnvironment is what servers see of our environment: not the variables
// by which a shell tells database programs their defaults (MYSQL_*, PG*).
func serverEnvironment() []string {
	var env []string
	for _, name := range []string{"PATH", "TZ", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, "LC_ALL=C.UTF-8", "HOME=/")
}

// installation is where a server was found.
type installation struct {
	server program
	root   string // folder that stands for / ; empty for the machine's own
}

// finder looks for a server in one source. Its errors are errNotHere or
// errUnavailable.
type finder func(ctx context.Context, e *Env) (installation, error)

// namedFinder is a finder with the name of its source.
type namedFinder struct {
	from string
	find finder
}

// sibling is another program of the same installation, beside the server.
func (i installation) sibling(name string) program {
	p := i.server
	p.path = filepath.Join(filepath.Dir(i.server.path), name)
	return p
}
