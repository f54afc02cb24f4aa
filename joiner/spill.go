package joiner

func (b *Batch) spillIfFull() error                                  { return nil }
func (b *Batch) spillOutputsIfFull(*viewState) error                 { return nil }
func (b *Batch) spilledView(*viewState) bool                         { return false }
func (b *Batch) spilledOutputs(*viewState, func(Output, error) bool) {}
func (b *Batch) moveRows() error                                     { return nil }
func (b *Batch) flushScratch(Writer) error                           { return nil }
