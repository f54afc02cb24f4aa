package joiner

import (
	"github.com/etlsandbox/cdc/schemas/change"
)

// Fits says whether rows of this shape can be applied to what the engine was made for; the error, which is
// ErrShape, names what stands in the way. A table that no view reads fits in any shape.
func (e *Engine) Fits(shape *change.Table) error {
	t := e.byID[shape.ID]
	if t == nil {
		return nil
	}
	_, err := t.remap(shape)
	return err
}
