package joiner

// SetChildPage makes cascades go on in pages of n children.
func (e *Engine) SetChildPage(n int) { e.childPage = n }

// SetMemo makes batches remember lookups from the given number on, in so many slots.
func (e *Engine) SetMemo(after, slots int) { e.memoAfter, e.memoSlots = after, slots }

// SetLoadStep makes a batch of so many rows try to read them by a scan.
func (e *Engine) SetLoadStep(n int) { e.loadStep = n }
