package view

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/etlsandbox/cdc/schemas/change"
)

// semantics counts the meanings that this package has given to one text: raised whenever a plan would
// compute other rows, so that views are rebuilt.
const semantics = 1

// hashInput is what another hash means another view.
type hashInput struct {
	Semantics int
	Name, SQL string
	Inputs    []hashTable
	Output    []change.Column
	Key       []int
}

type hashTable struct {
	Table   change.TableID
	Columns []change.Column
	Key     []string
}

func hashOf(p *Plan) string {
	in := hashInput{Semantics: semantics, Name: p.Name, SQL: p.SQL, Output: p.Output.Columns, Key: p.Output.Key}
	for _, i := range p.Inputs {
		t := hashTable{Table: i.Table.ID, Key: keyNames(i.Table)}
		for _, c := range i.Columns {
			t.Columns = append(t.Columns, i.Table.Columns[c])
		}
		in.Inputs = append(in.Inputs, t)
	}
	text, err := json.Marshal(in)
	if err != nil {
		panic("hash a view: " + err.Error()) // strings and integers always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
