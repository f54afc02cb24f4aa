package testenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeDocker puts a docker in front of PATH that notes its calls and keeps
// the state of one container in a file.
func fakeDocker(t *testing.T) (calls func() string) {
	t.Helper()
	dir := t.TempDir()
	script := `#!/bin/sh
cd ` + dir + `
case "$1" in
version|image) exit 0;;
inspect) cat status 2>/dev/null; exit;;
logs) echo words; exit 0;;
esac
echo "$*" >> calls
case "$1" in
run|unpause) echo running > status;;
pause) echo paused > status;;
kill|stop) echo exited > status;;
rm) rm -f status;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		text, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// TestContainerCommands holds the docker commands of a server's whole life:
// a restart keeps the volume, the end removes it.
func TestContainerCommands(t *testing.T) {
	calls := fakeDocker(t)
	e := newTestEnv(t, Options{})
	s := &MySQLServer{Server: &Server{Kind: KindMySQL, env: e}, Password: "secret"}
	s.alive = func(context.Context, *Server) (string, error) { return "8.4.0", nil }
	f := mysqlFlavor
	f.args = []string{"--bind-address=127.0.0.1", "--log-bin=binlog"}
	if err := s.runContainer(t.Context(), f, []string{"--a"}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{
		s.Pause, s.Continue, s.Kill9,
		func() error { return s.Restart(t.Context(), "--b") },
		func() error { return s.Stop(t.Context()) },
		s.destroy,
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Base(e.Dir()) + "-mysql1"
	_, port, _ := strings.Cut(s.Addr, ":")
	want := strings.NewReplacer("NAME", name, "PORT", port).Replace(`rm --force NAME
run --detach --name NAME --publish 127.0.0.1:PORT:3306 --volume NAME:/var/lib/mysql --env MYSQL_ROOT_PASSWORD=secret --env MYSQL_ROOT_HOST=% mysql:8.4 --log-bin=binlog --a
pause NAME
unpause NAME
kill --signal 9 NAME
stop --time 0 NAME
rm --force NAME
run --detach --name NAME --publish 127.0.0.1:PORT:3306 --volume NAME:/var/lib/mysql --env MYSQL_ROOT_PASSWORD=secret --env MYSQL_ROOT_HOST=% mysql:8.4 --log-bin=binlog --b
stop --time 30 NAME
stop --time 0 NAME
rm --force --volumes NAME
volume rm --force NAME
`)
	if diff := cmp.Diff(want, calls()); diff != "" {
		t.Errorf("docker commands (-want +got):\n%s", diff)
	}
}

// TestContainerWithoutDocker: no docker is no error of its own.
func TestContainerWithoutDocker(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	e := newTestEnv(t, Options{})
	if _, err := e.newContainer(t.Context(), KindMySQL, "mysql:8.4"); !errors.Is(err, errNotHere) {
		t.Errorf("newContainer = %v, want errNotHere", err)
	}
}
