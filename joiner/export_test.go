package joiner

// SetChildPage makes cascades go on in pages of n children.
func (e *Engine) SetChildPage(n int) { e.childPage = n }

// SetMemo makes batches remember lookups from the given number on, in so many slots.
func (e *Engine) SetMemo(after, slots int) { e.memoAfter, e.memoSlots = after, slots }
