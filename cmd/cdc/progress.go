package main

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows how far long work is: bars on a terminal, a line every 10 s elsewhere, nothing with
// --quiet. It is used by one goroutine.
type progress struct {
	out  io.Writer
	now  func() time.Time
	from time.Time     // when the work began
	pool *mpb.Progress // nil: lines
	bars map[string]*mpb.Bar
	last map[string]time.Time
}

// lineEvery is the pace of progress lines where there is no terminal.
const lineEvery = 10 * time.Second

func (a *app) newProgress() *progress {
	p := &progress{out: a.stderr, now: time.Now, from: time.Now(), bars: map[string]*mpb.Bar{}, last: map[string]time.Time{}}
	switch {
	case a.quiet:
		p.out = nil
	case isTerminal(a.stderr):
		p.pool = mpb.New(mpb.WithOutput(a.stderr), mpb.WithWidth(40))
	}
	return p
}

// show says that a piece of work has done so many of so many; of 0 is unknown.
func (p *progress) show(name string, done, of uint64) {
	switch {
	case p.out == nil:
	case p.pool != nil:
		p.bar(name).SetTotal(int64(max(of, done+1)), false)
		p.bar(name).SetCurrent(int64(done))
	case p.due(name):
		p.last[name] = p.now()
		if of > 0 {
			fmt.Fprintf(p.out, "%s: %d of about %d rows\n", name, done, of)
			return
		}
		fmt.Fprintf(p.out, "%s: %d rows\n", name, done)
	}
}

// due reports whether it is time for a line about a piece of work. Short work gets none.
func (p *progress) due(name string) bool {
	last := p.last[name]
	if last.IsZero() {
		last = p.from
	}
	return p.now().Sub(last) >= lineEvery
}

func (p *progress) bar(name string) *mpb.Bar {
	if b := p.bars[name]; b != nil {
		return b
	}
	b := p.pool.AddBar(0,
		mpb.PrependDecorators(decor.Name(name+" ", decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.CountersNoUnit("%d of %d "), decor.AverageSpeed(0, "%.0f/s")))
	p.bars[name] = b
	return b
}

// end removes or completes the bars; call it before the result is printed.
func (p *progress) end() {
	if p.pool == nil {
		return
	}
	for _, b := range p.bars {
		b.SetTotal(-1, true)
	}
	p.pool.Wait()
}
