package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fakeApt puts an apt-get in front of PATH that "downloads" one tiny package,
// counts its calls in a file and can be told to fail.
type fakeApt struct{ dir string }

func newFakeApt(t *testing.T) fakeApt {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("this machine has no dpkg-deb")
	}
	if _, err := debianRelease(); err != nil {
		t.Skip(err)
	}
	f := fakeApt{dir: t.TempDir()}
	tree := filepath.Join(f.dir, "tree")
	for path, text := range map[string]string{
		"DEBIAN/control":           "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: tiny\n",
		"usr/sbin/tiny":            "#!/bin/sh\necho tiny 1\n",
		"usr/share/doc/tiny/novel": "long\n",
	} {
		file := filepath.Join(tree, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(tree, "DEBIAN"), 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
	for _, name := range []string{"tiny_1_all.deb", "libc6_9_all.deb", "perl_9_all.deb", "extra_9_all.deb"} {
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "--build", tree, filepath.Join(f.dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	script := `#!/bin/sh
here=` + f.dir + `
case "$*" in
*indextargets*)
	. /etc/os-release
	echo "http://mirror.example/debian ${VERSION_CODENAME:-sid} main"
	echo "http://mirror.example/debian ${VERSION_CODENAME:-sid} contrib"
	echo "http://vendor.example/apt nodistro main"
	exit 0;;
esac
echo "$*" >> $here/calls
if [ -e $here/broken ]; then echo "no route to the mirror" >&2; exit 100; fi
case "$*" in
*install*)
	for o in "$@"; do case "$o" in Dir::Cache=*) cp $here/*.deb "${o#*=}/archives/";; esac; done;;
esac
`
	bin := filepath.Join(f.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "apt-get"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return f
}

func (f fakeApt) calls(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "calls"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

func (f fakeApt) setBroken(t *testing.T, broken bool) {
	t.Helper()
	file := filepath.Join(f.dir, "broken")
	var err error
	if broken {
		err = os.WriteFile(file, nil, 0o644)
	} else {
		err = os.Remove(file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func newTestEnv(t *testing.T, o Options) *Env {
	t.Helper()
	e, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// openTemp is a temporary folder that user nobody can enter.
func openTemp(t *testing.T) string {
	t.Helper()
	id, err := serverIdentity()
	if err != nil {
		t.Fatal(err)
	}
	base, err := tempBase(id)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(base, "cdc-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runs(u unpacked) error {
	p, err := u.program("usr/sbin/tiny")
	if err != nil {
		return err
	}
	out, err := p.command().Output()
	if err != nil || string(out) != "tiny 1\n" {
		return fmt.Errorf("the unpacked program: %q, %w", out, err)
	}
	return nil
}

var tiny = recipe{kind: "tiny", packages: []string{"tiny"}, skip: []string{"extra"}}

// TestFetchOnce: of eight starts at once, in Envs of their own as in eight
// processes, one downloads; a later one downloads nothing, also when there is
// no mirror any more.
func TestFetchOnce(t *testing.T) {
	f := newFakeApt(t)
	cache := openTemp(t)
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		e := newTestEnv(t, Options{Cache: cache})
		all.Go(func() {
			u, err := e.fetch(t.Context(), tiny, runs)
			if err == nil {
				err = runs(u)
			}
			errs[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := f.calls(t); n != 2 {
		t.Errorf("apt-get ran %d times, want 2 (update, install)", n)
	}
	f.setBroken(t, true)
	u, err := newTestEnv(t, Options{Cache: cache}).fetch(t.Context(), tiny, runs)
	if err != nil {
		t.Fatalf("without a mirror: %v", err)
	}
	if n := f.calls(t); n != 2 {
		t.Errorf("apt-get ran %d times, the last fetch must not have run it", n)
	}
	list, err := os.ReadFile(filepath.Join(filepath.Dir(u.root), "ok"))
	if err != nil || string(list) != "tiny_1_all\n" {
		t.Errorf("unpacked %q, %v; want tiny alone: libc6, perl and extra are skipped", list, err)
	}
	if _, err := os.Stat(filepath.Join(u.root, "usr/share/doc")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("documentation was unpacked: %v", err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(u.root), "apt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the downloads are still there: %v", err)
	}
}

// TestFetchAgain: a fetch that failed, or was cut off before its end, leaves
// nothing that a later one takes for complete.
func TestFetchAgain(t *testing.T) {
	f := newFakeApt(t)
	cache := openTemp(t)
	e := newTestEnv(t, Options{Cache: cache})
	f.setBroken(t, true)
	_, err := e.fetch(t.Context(), tiny, runs)
	if !errors.Is(err, errUnavailable) || !strings.Contains(err.Error(), "no route to the mirror") {
		t.Errorf("without a mirror: %v; want errUnavailable with apt's words", err)
	}
	if _, again := e.fetch(t.Context(), tiny, runs); again == nil || !strings.Contains(again.Error(), "no route to the mirror") {
		t.Errorf("the second try without a mirror: %v", again)
	}
	if n := f.calls(t); n != 1 {
		t.Errorf("apt-get ran %d times: a failure must hold for a while", n)
	}
	f.setBroken(t, false)
	if err := e.forgetFailures(); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	if _, err := e.fetch(t.Context(), tiny, func(unpacked) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("a tree that the check refuses: %v", err)
	}
	if err := e.forgetFailures(); err != nil {
		t.Fatal(err)
	}
	own, err := debianRelease()
	if err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "tiny-"+own+"-*/*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// As a run leaves it that was killed while unpacking.
	half, err := e.fetch(t.Context(), tiny, runs)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.Remove(filepath.Join(filepath.Dir(half.root), "ok")),
		os.Remove(filepath.Join(half.root, "usr/sbin/tiny")),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := e.fetch(t.Context(), tiny, runs); err != nil {
		t.Errorf("after a half-made tree: %v", err)
	}
}

// TestFetchGivesUpWaiting: a run that waits for another's unpacking obeys its
// context.
func TestFetchGivesUpWaiting(t *testing.T) {
	newFakeApt(t)
	cache := openTemp(t)
	holder := newTestEnv(t, Options{Cache: cache})
	own, err := debianRelease()
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := holder.lockCache(t.Context(), treeName(tiny.kind, own))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	var log lockedLog
	log.onLine = func(line string) {
		if strings.Contains(line, "another run is unpacking tiny") {
			cancel()
		}
	}
	_, err = newTestEnv(t, Options{Cache: cache, Log: &log}).fetch(ctx, tiny, runs)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("fetch = %v, want context.Canceled", err)
	}
}

type lockedLog struct{ onLine func(string) }

func (l *lockedLog) Write(p []byte) (int, error) {
	l.onLine(string(p))
	return len(p), nil
}

// TestSources: third parties' sources are left out, and sid comes from the
// machine's own mirror.
func TestSources(t *testing.T) {
	newFakeApt(t)
	own, err := debianRelease()
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range []string{own, sid} {
		got, err := apt{dir: t.TempDir(), release: release}.sources(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(got, "http://mirror.example/debian "+release+" main\n") || strings.Count(got, "\n") != 1 {
			t.Errorf("sources of %s:\n%s", release, got)
		}
	}
}

// TestUnreachableCache: nobody cannot enter a folder of mode 0700, so root's
// servers are unpacked elsewhere, and the folder says where.
func TestUnreachableCache(t *testing.T) {
	id, err := serverIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if !id.drop {
		t.Skip("only root changes users")
	}
	home := openTemp(t)
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	asked := filepath.Join(home, "cache")
	for range 2 {
		got, err := cacheDir(asked, id)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(got) }) // twice the same
		if !id.reaches(got) {
			t.Errorf("user %d cannot enter %s", id.uid, got)
		}
		if link, err := os.Readlink(filepath.Join(asked, "elsewhere")); err != nil || link != got {
			t.Errorf("the link says %q, %v; want %q", link, err, got)
		}
	}
}
