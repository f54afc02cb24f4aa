package joiner

// SetChildPage makes cascades go on in pages of n children.
func (e *Engine) SetChildPage(n int) { e.childPage = n }
