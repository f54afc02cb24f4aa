// Package admin is the daemon's API: health, metrics, status and the commands that act on a running daemon,
// over the control socket in its data folder and, if configured, a TCP address. The same package holds the
// client that the commands use.
package admin

import "time"

// Status is how the daemon is.
type Status struct {
	Name      string    `json:"name" doc:"name of the stream"`
	Version   string    `json:"version" doc:"version of the daemon"`
	StartedAt time.Time `json:"started_at"`
	DataDir   string    `json:"data_dir"`
	// Ready is false while NotReady gives reasons.
	Ready    bool     `json:"ready"`
	NotReady []string `json:"not_ready,omitempty" doc:"why not, a reason each"`
	Source   Source   `json:"source"`
	Streams  []Stream `json:"streams"`
	Stages   []Stage  `json:"stages"`
	Tables   []Table  `json:"tables"`
	Views    []View   `json:"views"`
	Sinks    []Sink   `json:"sinks"`
	Covers   []Cover  `json:"covers" doc:"covers that run, and those that ended lately"`
}

// Source is the captured server.
type Source struct {
	Type       string  `json:"type" doc:"mysql or mariadb"`
	Version    string  `json:"version"`
	Address    string  `json:"address"`
	Connected  bool    `json:"connected"`
	Position   string  `json:"position" doc:"place in the server's log up to which it was read"`
	LagSeconds float64 `json:"lag_seconds" doc:"age of the newest transaction when it was read; 0 once there is none to read"`
	Trouble
}

// Stream is one stream on the broker.
type Stream struct {
	Name        string `json:"name"`
	Incarnation uint64 `json:"incarnation"`
	Seq         uint64 `json:"seq" doc:"newest unit"`
	Position    string `json:"position" doc:"place in the source's log that it stands for"`
}

// Stage is one of capture, join, deliver, api.
type Stage struct {
	Name  string    `json:"name"`
	State string    `json:"state" enum:"starting,running,retrying,stopped"`
	Since time.Time `json:"since"`
	Trouble
}

// Trouble is what is wrong with a part, and the way out; empty while nothing is.
type Trouble struct {
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty" doc:"the way out"`
}

// Table is one captured table.
type Table struct {
	Name  string `json:"name" doc:"database.table"`
	State string `json:"state" enum:"waiting,covering,streaming,paused"`
	// CoveredFrom is the unit from which on the stream is complete for the table; 0: it is not yet.
	CoveredFrom uint64 `json:"covered_from"`
	Trouble
}

// View is one joined view.
type View struct {
	Name  string   `json:"name"`
	State string   `json:"state" enum:"waiting,covering,streaming,paused"`
	Key   []string `json:"key" doc:"columns that identify a row"`
	Hash  string   `json:"hash" doc:"of the definition and the shapes of its tables"`
	Trouble
}

// Sink is one destination.
type Sink struct {
	Name            string   `json:"name"`
	Type            string   `json:"type"`
	State           string   `json:"state" enum:"starting,running,retrying,paused,stopped,disabled"`
	Seq             uint64   `json:"seq" doc:"newest unit applied"`
	Position        string   `json:"position" doc:"place in the source's log that the destination shows"`
	LagSeconds      float64  `json:"lag_seconds"`
	LagTransactions uint64   `json:"lag_transactions"`
	LagUnknown      bool     `json:"lag_unknown,omitempty" doc:"it has nothing of a stream yet, so there is no lag to count"`
	Covers          []string `json:"covers" doc:"ids of the covers that it stages"`
	Quarantined     uint64   `json:"quarantined" doc:"rows that the destination refused"`
	Aside           []string `json:"aside,omitempty" doc:"tables and views that the destination refuses; it gets the others"`
	Trouble
}

// Cover is a first load, resync, heal or rebuild. Of a running one Done counts the rows read so far.
type Cover struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind" enum:"load,resync,heal,rebuild"`
	State   string    `json:"state" enum:"waiting,running,done,replaced,failed"`
	Tables  []string  `json:"tables" doc:"tables or views covered"`
	Chunks  uint64    `json:"chunks" doc:"chunks done"`
	Rows    uint64    `json:"rows" doc:"rows read so far"`
	Of      uint64    `json:"of" doc:"rows estimated; 0: unknown"`
	Started time.Time `json:"started_at,omitzero"`
	Ended   time.Time `json:"ended_at,omitzero"`
	Trouble
}

// ReloadReport says what a reload did. Nothing is applied when Refused is not empty.
type ReloadReport struct {
	Applied []Change `json:"applied" doc:"settings that are in effect now"`
	Restart []Change `json:"restart" doc:"settings that differ and need a restart"`
	Refused []string `json:"refused" doc:"why nothing was applied"`
	// Contracts were read anew from their files and are in effect now.
	Contracts []ContractChange `json:"contracts,omitempty" doc:"data contracts that differ and are in effect now"`
}

// ContractChange is the data contract of one table or view that differs.
type ContractChange struct {
	Stream string `json:"stream" doc:"view, or database.table"`
	What   string `json:"what" enum:"new,changed,removed"`
}

// Change is one setting that differs.
type Change struct {
	Path string `json:"path"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// ResyncRequest asks to make equal again what is downstream. Exactly one of Tables, View, Sink and All
// says what; View and Sink may be combined.
type ResyncRequest struct {
	Tables []string `json:"tables,omitempty" doc:"database.table each"`
	View   string   `json:"view,omitempty"`
	Sink   string   `json:"sink,omitempty"`
	All    bool     `json:"all,omitempty" doc:"everything, also from a source that is not the one captured so far"`
	Keys   string   `json:"keys,omitempty" doc:"A..B: keys from A up to B, both included; either may be missing"`
	DryRun bool     `json:"dry_run,omitempty" doc:"say what would be done"`
}

// ResyncReport names the covers that a resync began; of a dry run, those that it would begin, without ids.
type ResyncReport struct {
	Covers []Cover `json:"covers"`
	// Would says, of a dry run, what would change where.
	Would []WouldChange `json:"would,omitempty" doc:"of a dry run, what would change where"`
}

// WouldChange is what a resync would change of one table or view in one sink.
type WouldChange struct {
	Sink   string `json:"sink"`
	View   string `json:"view" doc:"view, or database.table"`
	Rows   uint64 `json:"rows" doc:"rows that would be written or deleted"`
	Moving uint64 `json:"moving" doc:"rows that changed at every look, so that nobody can say"`
	Of     uint64 `json:"of" doc:"rows that the source has"`
}

// VerifyRequest asks to compare destinations with the source's own answer. Empty names mean all.
type VerifyRequest struct {
	Sink             string  `json:"sink,omitempty"`
	View             string  `json:"view,omitempty"`
	Keys             string  `json:"keys,omitempty" doc:"A..B: keys from A up to B, both included; either may be missing"`
	MaxRowsPerSecond int     `json:"max_rows_per_second,omitempty" minimum:"0"`
	TimeoutSeconds   float64 `json:"timeout_seconds,omitempty" minimum:"0" doc:"give up after this long; 0: never"`
}

// VerifyProgress is how far one comparison is.
type VerifyProgress struct {
	Sink string `json:"sink"`
	View string `json:"view"`
	Rows uint64 `json:"rows" doc:"rows compared so far"`
	Of   uint64 `json:"of" doc:"rows estimated; 0: unknown"`
	// Differing rows so far, before they are read a second time.
	Suspect uint64 `json:"suspect" doc:"rows that differed at the first read"`
}

// VerifyReport is the outcome of the comparisons.
type VerifyReport struct {
	Results []VerifyResult `json:"results"`
}

// VerifyResult is the outcome for one view in one sink.
type VerifyResult struct {
	Sink        string  `json:"sink"`
	View        string  `json:"view"`
	Rows        uint64  `json:"rows" doc:"rows that the source's answer has"`
	Different   uint64  `json:"different_rows"`
	Unsettled   uint64  `json:"unsettled_rows" doc:"rows that never held still"`
	Quarantined uint64  `json:"quarantined_rows"`
	Digest      string  `json:"digest" doc:"of the rows in key order; equal rows give equal digests"`
	Seq         uint64  `json:"seq"`
	Position    string  `json:"position"`
	Seconds     float64 `json:"seconds"`
	// Columns name the values in Differences, which holds some of the different rows at most.
	Columns     []string     `json:"columns"`
	Differences []Difference `json:"differences"`
	Trouble
}

// Equal reports whether the destination holds the source's answer, quarantined rows aside.
func (r VerifyResult) Equal() bool { return r.Different == 0 && r.Unsettled == 0 && r.Error == "" }

// Difference is one row that differs; the side that lacks the row has no values.
type Difference struct {
	Key    string   `json:"key"`
	Source []string `json:"source" doc:"values at the source, NULL as the word"`
	Sink   []string `json:"sink" doc:"values at the destination"`
	// Unsettled rows changed at every read.
	Unsettled bool `json:"unsettled,omitempty"`
}

// VerifyEvent is one line of the answer to a verification: progress lines, then a report or a problem.
type VerifyEvent struct {
	Progress *VerifyProgress `json:"progress,omitempty"`
	Report   *VerifyReport   `json:"report,omitempty"`
	Problem  *Problem        `json:"problem,omitempty"`
}

// WaitRequest asks to wait until a sink, or every enabled one, shows the source's position of now.
type WaitRequest struct{ Sink string }

// WaitReport says what was reached.
type WaitReport struct {
	Position string  `json:"position" doc:"the source's position when the wait began"`
	Sinks    []Sink  `json:"sinks" doc:"the sinks when they had reached it"`
	Seconds  float64 `json:"seconds"`
}
