package main

import (
	"fmt"
	"os"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/contract"
)

// loadContracts reads the data contracts; a folder that is not there holds none.
func loadContracts(c *config.Config) (*contract.Set, error) {
	set, err := contract.Load(os.DirFS(c.Contracts.Dir))
	if err != nil {
		return nil, fmt.Errorf("contracts.dir %s: %w", c.Contracts.Dir, err)
	}
	return set, nil
}

// violated counts a row that broke a contract.
func (s *service) violated(v contract.Violation) {
	s.metrics.Sink.Violations.WithLabelValues(v.Stream, v.Rule, string(v.Action)).Inc()
}
