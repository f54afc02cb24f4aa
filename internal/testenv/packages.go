package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// sid is the Debian release that carries a current MySQL.
const sid = "sid"

// recipe says which Debian packages make a server.
type recipe struct {
	kind     string
	release  string // "" is the machine's own release
	packages []string
	// skip lists name prefixes of packages that the server's package asks
	// for and the server does not need.
	skip []string
}

// unpacked is a tree of packages in the cache.
type unpacked struct {
	root    string
	release string
	foreign bool // of another release than the machine's: needs its own libc
}

// libs are the library folders of the tree, for the dynamic linker.
func (u unpacked) libs() string {
	var dirs []string
	for _, pattern := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*"} {
		found, err := filepath.Glob(filepath.Join(u.root, pattern))
		if err != nil {
			continue // only a malformed pattern can fail
		}
		dirs = append(dirs, found...)
	}
	return strings.Join(dirs, ":")
}

// program is an executable of the tree.
func (u unpacked) program(path string) (program, error) {
	p := program{path: filepath.Join(u.root, path), libs: u.libs()}
	if !u.foreign {
		return p, nil
	}
	var err error
	p.loader, err = u.loader()
	return p, err
}

// loader is the dynamic linker of the tree's libc.
func (u unpacked) loader() (string, error) {
	for _, dir := range []string{"usr/lib", "lib"} {
		found, err := filepath.Glob(filepath.Join(u.root, dir, "*-linux-gnu*/ld-linux-*.so.*"))
		if err == nil && len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("find the dynamic linker below %s: the libc6 package of %s has none there", u.root, u.release)
}

// fetch returns the unpacked tree of r, downloading it first if the cache
// does not hold it. check must accept a tree before it is kept. Two runs that
// need the same tree at once do the work once. Its errors are errUnavailable.
func (e *Env) fetch(ctx context.Context, r recipe, check func(unpacked) error) (unpacked, error) {
	u, err := e.fetchTree(ctx, r, check)
	if err != nil {
		return unpacked{}, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return u, nil
}

func (e *Env) fetchTree(ctx context.Context, r recipe, check func(unpacked) error) (unpacked, error) {
	own, err := debianRelease()
	if err != nil {
		return unpacked{}, err
	}
	u := unpacked{release: r.release, foreign: r.release != ""}
	if !u.foreign {
		u.release = own
	}
	what := fmt.Sprintf("%s (%s of Debian %s)", r.kind, strings.Join(r.packages, " "), u.release)
	name := treeName(r.kind, u.release)
	u.root = filepath.Join(e.cache, name, "root")
	_, err = e.cached(ctx, name, what, func(dir string) (string, error) {
		for _, tool := range []string{"apt-get", "dpkg-deb", "tar"} {
			if _, err := exec.LookPath(tool); err != nil {
				return "", fmt.Errorf("download Debian packages: %w", err)
			}
		}
		a := apt{dir: dir, release: u.release}
		if err := a.download(ctx, r.packages); err != nil {
			return "", err
		}
		list, err := a.unpack(ctx, u, r.skip)
		if err != nil {
			return "", err
		}
		return strings.Join(list, "\n"), check(u)
	})
	return u, err
}

// treeName names a tree and its lock in the cache.
func treeName(kind, release string) string {
	return fmt.Sprintf("%s-%s-%s", kind, release, runtime.GOARCH)
}

// apt downloads packages with folders of its own: nothing of the machine's
// package state is read, changed or locked, and no root is needed.
type apt struct {
	dir     string
	release string
}

func (a apt) download(ctx context.Context, packages []string) error {
	for _, d := range []string{"root", "apt/lists/partial", "apt/cache/archives/partial"} {
		if err := makeOpenDir(filepath.Join(a.dir, d)); err != nil {
			return fmt.Errorf("make the folders of a download: %w", err)
		}
	}
	// An empty package state makes apt fetch everything that the server needs.
	if err := os.WriteFile(filepath.Join(a.dir, "apt/status"), nil, 0o644); err != nil {
		return fmt.Errorf("make an empty package state: %w", err)
	}
	sources, err := a.sources(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(a.dir, "apt/sources.list"), []byte(sources), 0o644); err != nil {
		return fmt.Errorf("write the list of package sources: %w", err)
	}
	if err := a.get(ctx, "update"); err != nil {
		return err
	}
	return a.get(ctx, append([]string{"-y", "--download-only", "install"}, packages...)...)
}

func (a apt) get(ctx context.Context, args ...string) error {
	apt := filepath.Join(a.dir, "apt")
	all := []string{"-qq"}
	for _, o := range []string{
		"Dir::Etc::SourceList=" + filepath.Join(apt, "sources.list"),
		"Dir::Etc::SourceParts=/dev/null",
		"Dir::State::Lists=" + filepath.Join(apt, "lists"),
		"Dir::State::status=" + filepath.Join(apt, "status"),
		"Dir::Cache=" + filepath.Join(apt, "cache"),
		"APT::Install-Recommends=false",
		"APT::Update::Error-Mode=any", // an index that cannot be had is an error, not a warning
		"Acquire::Retries=1",
		"Acquire::http::Timeout=20",
		"Acquire::https::Timeout=20",
		"Debug::NoLocking=1",
		"APT::Sandbox::User=root",
	} {
		all = append(all, "-o", o)
	}
	return run(ctx, "apt-get", append(all, args...)...)
}

// sources writes apt's sources for the release, from the mirror that the
// machine itself uses. Third parties' sources are left out.
func (a apt) sources(ctx context.Context) (string, error) {
	own, err := debianRelease()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for the machine's package sources: %w", err)
	}
	signed := ""
	for _, keyring := range []string{"/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"} {
		if _, err := os.Stat(keyring); err == nil {
			signed = "[signed-by=" + keyring + "] "
			break
		}
	}
	var mirror string
	var list []string
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 3 || f[2] != "main" || !strings.HasPrefix(f[1], own) {
			continue
		}
		if f[1] == own || mirror == "" {
			mirror = f[0]
		}
		list = append(list, fmt.Sprintf("deb %s%s %s main", signed, f[0], f[1]))
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if mirror == "" {
		return "", fmt.Errorf("find a mirror of Debian %s: apt's sources on this machine name none; add one to /etc/apt/sources.list.d", own)
	}
	if a.release != own {
		list = []string{fmt.Sprintf("deb %s%s %s main", signed, mirror, a.release)}
	}
	return strings.Join(list, "\n") + "\n", nil
}

// unpack lays the downloaded packages out below u.root, without running any
// of their scripts, deletes the downloads and returns the packages' names.
func (a apt) unpack(ctx context.Context, u unpacked, skip []string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(a.dir, "apt/cache/archives/*.deb"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("find downloaded packages below %s: there are none", a.dir)
	}
	// Interpreters that only maintainer scripts use.
	skip = append([]string{"perl", "libperl", "libgdbm", "libdb5"}, skip...)
	if !u.foreign {
		// The machine's own libc is of the same release and fits its dynamic
		// linker, which a second copy of another patch level might not.
		skip = append(skip, "libc6")
	}
	var list []string
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".deb")
		if slices.ContainsFunc(skip, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		if err := unpackOne(ctx, file, u.root); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	if err := os.RemoveAll(filepath.Join(a.dir, "apt")); err != nil {
		return nil, fmt.Errorf("remove downloaded packages: %w", err)
	}
	return list, nil
}

func unpackOne(ctx context.Context, file, root string) error {
	read := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", file)
	write := exec.CommandContext(ctx, "tar", "-x", "--no-same-owner", "-C", root,
		"--exclude=./usr/share/doc", "--exclude=./usr/share/man", "--exclude=./usr/share/locale")
	read.SysProcAttr, write.SysProcAttr = diesWithUs(), diesWithUs()
	pipe, err := read.StdoutPipe()
	if err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
	}
	write.Stdin = pipe
	var said strings.Builder
	write.Stderr = &said
	if err := read.Start(); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
	}
	errWrite := write.Run()
	if errWrite != nil {
		errWrite = fmt.Errorf("%w: %s", errWrite, strings.TrimSpace(said.String()))
	}
	if err := errors.Join(read.Wait(), errWrite); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
	}
	return nil
}

// run runs a command to its end; its output is part of the error. What it
// makes can be read by everybody, whatever our umask: the servers run as
// another user if we are root.
func run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `umask 022 && exec "$@"`, "sh", name}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	cmd.SysProcAttr = diesWithUs()
	out, err := cmd.CombinedOutput()
	if err != nil {
		text := strings.TrimSpace(string(out))
		if len(text) > 2000 {
			text = "... " + text[len(text)-2000:]
		}
		return fmt.Errorf("run %s: %w: %s", name, err, text)
	}
	return nil
}

// debianRelease is the code name of the machine's Debian release.
func debianRelease() (string, error) {
	text, err := os.ReadFile("/etc/os-release")
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("use Debian packages: this machine has no /etc/os-release")
	}
	if err != nil {
		return "", fmt.Errorf("find out the Debian release: %w", err)
	}
	fields := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			fields[k] = strings.Trim(v, `"'`)
		}
	}
	if fields["ID"] != "debian" {
		return "", fmt.Errorf("use Debian packages: this machine runs %q, not Debian", fields["ID"])
	}
	if fields["VERSION_CODENAME"] == "" {
		return sid, nil
	}
	return fields["VERSION_CODENAME"], nil
}
