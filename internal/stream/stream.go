// Package stream moves changes exactly: data topics, a progress topic that alone says what is committed,
// and a compacted meta topic that tells a start everything it needs.
//
// The package holds the protocol as decisions without effects (protocol.go), and a Writer and a Reader
// that carry them out over two small interfaces, Producer and Log. Writer and Reader start no goroutine,
// read no clock but the one they are given, and do the same thing again when the same answers come; that
// is what lets a simulation drive them. Package kafka implements the interfaces over franz-go, package
// memlog in memory, package embedded runs a broker inside the process.
package stream

import (
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// ProgressTopic is the stream's progress topic: one partition, cleanup.policy=delete.
func ProgressTopic(stream string) string { return stream + ".progress" }

// MetaTopic is the stream's meta topic: one partition, compacted.
func MetaTopic(stream string) string { return stream + ".meta" }

// DataTopic is the topic of a captured table or of a view. As Debezium does, it writes _ for every
// character that Kafka does not allow in a name, so two tables may get the same one: kafka.Ensure refuses
// that.
func DataTopic(stream string, id change.TableID) string {
	return stream + "." + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, id.String())
}
