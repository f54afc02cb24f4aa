package view

import (
	_ "embed" // the signatures that the golden test has proven
	"strings"
	"sync"
)

//go:embed proven.txt
var provenText string

// provenSignatures returns what expressions may use: each line of proven.txt was answered by MySQL and
// MariaDB as Eval answers it. The golden test writes the file, and fails when a line is no longer true.
var provenSignatures = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(provenText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			set[line] = true
		}
	}
	if len(set) == 0 {
		return nil
	}
	return set
})
