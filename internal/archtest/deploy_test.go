package archtest

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/etlsandbox/cdc/internal/config"
)

// TestComposeConfig loads the configuration inside docker-compose.yml as the
// daemon in the container would.
func TestComposeConfig(t *testing.T) {
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
		}
		Configs map[string]struct{ Content string }
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	content := strings.ReplaceAll(compose.Configs["cdc"].Content, "$$", "$") // as compose does
	var environ []string
	for name, value := range compose.Services["cdc"].Environment {
		environ = append(environ, name+"="+value)
	}
	c, err := config.Parse("docker-compose.yml", []byte(content), config.Options{Environ: environ, ReadFile: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "jupiter" {
		t.Errorf("name %q: the test looks at the wrong place", c.Name)
	}
}

var metricName = regexp.MustCompile(`\bcdc_[a-z_]+`)

// TestAlertsUseRealMetrics: an alert on a metric that does not exist never fires.
func TestAlertsUseRealMetrics(t *testing.T) {
	source, err := os.ReadFile("../telemetry/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, name := range metricName.FindAllString(string(source), -1) {
		known[name] = true
	}
	rules, err := os.ReadFile("../../deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	used := metricName.FindAllString(string(rules), -1)
	if len(used) < 5 || len(known) < 20 {
		t.Fatalf("found %d metrics in rules, %d in the code: the test looks at the wrong place", len(used), len(known))
	}
	for _, name := range used {
		if !known[name] {
			t.Errorf("rules.yml uses %s, which internal/telemetry does not export", name)
		}
	}
}
