package config

import (
	"reflect"
	"slices"
	"strings"
)

// notYet lists the keys whose feature this version does not have. They may stand in a file at their default
// value, so that a complete file is valid; any other value is refused instead of being ignored in silence.
var notYet = [...]string{
	"source.columns.mask", "source.columns.hash", "source.columns.truncate",
	"source.snapshot.where",
	"topics.transaction", "topics.heartbeat", "topics.schema_changes", "topics.oversize",
	"publish",
	"admin.auth.issuer", "admin.auth.audience", "admin.auth.metrics", "admin.tls.cert", "admin.tls.key",
	"views.on_change",
	"telemetry.otlp_endpoint", "telemetry.traces", "telemetry.logs", "telemetry.openlineage_url",
	"config.consul.address",
	"vault.address", "vault.auth", "vault.role_id", "vault.secret_id",
	"run.standby",
}

// isLater reports whether a key of the reference, such as views.on_change, has no effect yet.
func isLater(path string) bool {
	return slices.Contains(notYet[:], path) || strings.HasPrefix(path, "publish[].")
}

func (d *decoder) checkLater(c *Config) {
	defaults := Default()
	defaults.complete()
	for _, path := range notYet {
		got, _ := find(reflect.ValueOf(c).Elem(), path)
		want, _ := find(reflect.ValueOf(defaults).Elem(), path)
		if !same(got, want) {
			d.failAt(path, "comes with a later version: remove the key")
		}
	}
	if c.Source.Start.Kind != StartSnapshot && c.Source.Start.Kind != "" {
		d.failAt("source.start", "a start other than snapshot comes with a later version: remove the key")
	}
	if m := c.Source.Snapshot.Mode; m != "initial" {
		d.failAt("source.snapshot.mode", "%s comes with a later version: remove the key", m)
	}
	if len(c.Run.Stages) < 4 && !slices.Equal(c.Run.Stages, defaults.Run.Stages) {
		d.failAt("run.stages", "stages in processes of their own come with a later version: remove the key")
	}
}
