package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
)

// pauses is what an operator has paused. It is kept in the data folder, so that a pause outlives a restart of
// the daemon until somebody resumes; with the folder it is forgotten, and everything runs.
type pauses struct {
	file string

	mu      sync.Mutex // guards what follows
	state   pausedState
	changed chan struct{}
}

type pausedState struct {
	Daemon bool     `json:"daemon,omitempty"`
	Sinks  []string `json:"sinks,omitempty"`
	// Meant is an operator's word that the source is meant as it is, until the cover that it asks for has begun.
	Meant bool `json:"meant,omitempty"`
}

// pausedFile is the file's name in the data folder.
const pausedFile = "paused.json"

func openPauses(dataDir string) (*pauses, error) {
	p := &pauses{file: filepath.Join(dataDir, pausedFile), changed: make(chan struct{})}
	b, err := os.ReadFile(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &p.state)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is paused from %s: %w (remove the file to let everything run)", p.file, err)
	}
	return p, nil
}

// sink reports whether a sink is paused.
func (p *pauses) sink(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.state.Sinks, name)
}

// daemon reports whether the daemon as a whole is paused, and gives a channel that is closed when that, or
// anything else here, changes.
func (p *pauses) daemon() (paused bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.Daemon, p.changed
}

// set writes a pause down before it holds.
func (p *pauses) set(change func(*pausedState)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.state
	next.Sinks = slices.Clone(p.state.Sinks)
	change(&next)
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := replaceFile(p.file, b); err != nil {
		return fmt.Errorf("write down what is paused: %w", err)
	}
	p.state = next
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

func (p *pauses) setSink(name string, paused bool) error {
	return p.set(func(s *pausedState) {
		s.Sinks = slices.DeleteFunc(s.Sinks, func(o string) bool { return o == name })
		if paused {
			s.Sinks = append(s.Sinks, name)
			slices.Sort(s.Sinks)
		}
	})
}

// keepSinks forgets the pauses of sinks that are not configured any more: one of that name that comes later is
// another one.
func (p *pauses) keepSinks(configured map[string]config.Sink) error {
	gone := func(name string) bool { _, there := configured[name]; return !there }
	p.mu.Lock()
	stale := slices.ContainsFunc(p.state.Sinks, gone)
	p.mu.Unlock()
	if !stale {
		return nil
	}
	return p.set(func(s *pausedState) { s.Sinks = slices.DeleteFunc(s.Sinks, gone) })
}

// meant reports whether an operator's word has not been followed yet.
func (p *pauses) meant() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.Meant
}

func (p *pauses) setMeant(given bool) error {
	return p.set(func(s *pausedState) { s.Meant = given })
}

func (p *pauses) setDaemon(paused bool) error {
	return p.set(func(s *pausedState) { s.Daemon = paused })
}

// replaceFile writes a file that a crash leaves either as it was or as it shall be.
func replaceFile(file string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// unlessPaused runs the pipeline while the daemon is not paused; a pause ends it as a stop does, and a resume
// starts it where it stood.
func (s *service) unlessPaused(ctx context.Context, run func(context.Context) error) error {
	for {
		paused, changed := s.pauses.daemon()
		if paused {
			s.mu.Lock()
			s.why = errDaemonPaused
			s.mu.Unlock()
			s.metrics.Active.Set(0)
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
				continue
			}
		}
		s.metrics.Active.Set(1)
		work, stop := context.WithCancel(ctx)
		ended := false // by a pause, which may be over by now
		var watch sync.WaitGroup
		watch.Go(func() {
			for {
				paused, changed := s.pauses.daemon()
				if paused {
					ended = true
					stop()
					return
				}
				select {
				case <-work.Done():
					return
				case <-changed:
				}
			}
		})
		err := run(work)
		stop()
		watch.Wait()
		if ctx.Err() != nil || !ended || err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		s.log.Info("paused: nothing is read, joined or delivered until cdc resume")
	}
}

var errDaemonPaused = errors.New("the daemon is paused: cdc resume")

// PauseSink implements admin.Operator.
func (s *service) PauseSink(_ context.Context, name string, paused bool) (admin.Sink, error) {
	if _, ok := s.settings().Sinks[name]; !ok {
		return admin.Sink{}, admin.NotFound(fmt.Sprintf("sink %q is not configured", name), "cdc status lists the sinks")
	}
	if err := s.pauses.setSink(name, paused); err != nil {
		return admin.Sink{}, err
	}
	if !paused {
		s.endStopped(name)
	}
	if err := s.followSinks(); err != nil {
		return admin.Sink{}, err
	}
	st, err := s.Status(context.Background())
	if err != nil {
		return admin.Sink{}, err
	}
	for _, k := range st.Sinks {
		if k.Name == name {
			return k, nil
		}
	}
	return admin.Sink{Name: name}, nil
}

// Pause implements admin.Operator: of the daemon as a whole.
func (s *service) Pause(_ context.Context, paused bool) error { return s.pauses.setDaemon(paused) }

// endStopped lets go of a sink that stopped on something to mend, as a whole or in part, so that it is started anew:
// the operator says that it is mended.
func (s *service) endStopped(name string) {
	s.mu.Lock()
	deliver := s.deliver
	s.mu.Unlock()
	lines, _ := s.asideAt(name)
	if deliver != nil && (len(lines) > 0 || s.sup.States()["deliver/"+name].State == "stopped") {
		deliver.mu.Lock()
		defer deliver.mu.Unlock()
		deliver.end(name)
	}
}

// followSinks makes what runs agree with the settings and pauses.
func (s *service) followSinks() error {
	s.mu.Lock()
	deliver := s.deliver
	s.mu.Unlock()
	if deliver == nil {
		return nil // the start looks itself
	}
	return deliver.follow()
}
