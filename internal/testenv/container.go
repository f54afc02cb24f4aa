package testenv

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// container runs a server in a container. Its data is in a volume of the same
// name, so that a restart, also with other arguments, finds it. Unlike a
// process it does not end with us when we are killed: its name (cdct-...)
// tells where it came from.
type container struct {
	name  string
	image string
	inner int      // the server's port inside
	data  string   // the data folder inside
	env   []string // the image's variables for the first start, NAME=value
	args  []string // the server's arguments but the extras
}

// dockerTimeout bounds calls of docker that wait for nothing.
const dockerTimeout = time.Minute

// newContainer names a container after the Env's folder, which is unique.
// Its error is errNotHere where Docker does not answer.
func (e *Env) newContainer(ctx context.Context, kind, image string) (*container, error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return nil, fmt.Errorf("%w: no docker on PATH", errNotHere)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := run(ctx, "docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		return nil, fmt.Errorf("%w: Docker does not answer: %w", errNotHere, err)
	}
	e.mu.Lock()
	e.next++
	name := fmt.Sprintf("%s-%s%d", filepath.Base(e.dir), kind, e.next)
	e.mu.Unlock()
	return &container{name: name, image: image}, nil
}

func docker(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), dockerTimeout)
	defer cancel()
	return run(ctx, "docker", args...)
}

// pull fetches the image, so that starts are quick.
func (c *container) pull(ctx context.Context, e *Env) error {
	if docker("image", "inspect", c.image) == nil {
		return nil
	}
	done := e.step("pull %s", c.image)
	if err := run(ctx, "docker", "pull", "--quiet", c.image); err != nil {
		done("no")
		return fmt.Errorf("%w: %w", errUnavailable, err)
	}
	done("done")
	return nil
}

func (c *container) run(port int, extra []string) error {
	if err := docker("rm", "--force", c.name); err != nil {
		return fmt.Errorf("make way for container %s: %w", c.name, err)
	}
	args := []string{
		"run", "--detach", "--name", c.name,
		"--publish", fmt.Sprintf("127.0.0.1:%d:%d", port, c.inner),
		"--volume", c.name + ":" + c.data,
	}
	for _, v := range c.env {
		args = append(args, "--env", v)
	}
	args = append(args, c.image)
	args = append(args, c.args...)
	if err := docker(append(args, extra...)...); err != nil {
		return fmt.Errorf("start container %s: %w", c.name, err)
	}
	return nil
}

func (c *container) signal(sig syscall.Signal) error {
	status, err := c.inspect("{{.State.Status}}")
	if err != nil || status == "exited" || status == "dead" {
		return err
	}
	switch {
	case sig == syscall.SIGCONT && status == "paused":
		return docker("unpause", c.name)
	case sig == syscall.SIGCONT:
		return nil
	case sig == syscall.SIGSTOP:
		return docker("pause", c.name)
	default:
		return docker("kill", "--signal", strconv.Itoa(int(sig)), c.name)
	}
}

func (c *container) end(_ context.Context, hard bool) error {
	if hard {
		return docker("stop", "--time", "0", c.name)
	}
	return docker("stop", "--time", strconv.Itoa(int(stopTimeout.Seconds())/2), c.name)
}

func (c *container) state() (exited bool, tail string) {
	status, err := c.inspect("{{.State.Status}}")
	if err != nil {
		return true, err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), dockerTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "logs", "--tail", "30", c.name).CombinedOutput()
	if err != nil {
		out = append(out, err.Error()...)
	}
	return status == "exited" || status == "dead", strings.TrimSpace(string(out))
}

func (c *container) inspect(format string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dockerTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "inspect", "--format", format, c.name).Output()
	if err != nil {
		return "", fmt.Errorf("inspect container %s: %w", c.name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// remove deletes the container and its data.
func (c *container) remove() error {
	return errors.Join(docker("rm", "--force", "--volumes", c.name), docker("volume", "rm", "--force", c.name))
}

// runContainer starts the image of a flavor.
func (s *MySQLServer) runContainer(ctx context.Context, f flavor, extra []string) error {
	c, err := s.env.newContainer(ctx, f.kind, f.image)
	if err != nil {
		return err
	}
	c.inner, c.data = 3306, "/var/lib/mysql"
	// Both images make root for any address with this password.
	prefix := strings.ToUpper(f.family)
	c.env = []string{prefix + "_ROOT_PASSWORD=" + s.Password, prefix + "_ROOT_HOST=%"}
	for _, arg := range f.args {
		if !strings.HasPrefix(arg, "--bind-address=") { // inside, loopback is not ours
			c.args = append(c.args, arg)
		}
	}
	s.User = "root"
	return s.beginContainer(ctx, c, extra)
}

// runContainer starts the official image.
func (s *PostgresServer) runContainer(ctx context.Context, args []string) error {
	c, err := s.env.newContainer(ctx, "pg", "postgres:17")
	if err != nil {
		return err
	}
	c.inner, c.data = 5432, "/var/lib/postgresql/data"
	c.env = []string{
		"POSTGRES_USER=" + s.User, "POSTGRES_PASSWORD=" + s.Password,
		"POSTGRES_INITDB_ARGS=--locale-provider=icu --icu-locale=en-US",
	}
	c.args = []string{"-c", "max_connections=100", "-c", "timezone=UTC"}
	return s.beginContainer(ctx, c, args)
}

func (s *Server) beginContainer(ctx context.Context, c *container, extra []string) error {
	if err := c.pull(ctx, s.env); err != nil {
		return err
	}
	s.engine, s.remove = c, c.remove
	return s.begin(ctx, extra)
}
