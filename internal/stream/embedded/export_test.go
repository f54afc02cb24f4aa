package embedded

import "context"

// Tend does now what Run does every second.
func (b *Broker) Tend(ctx context.Context) error { return b.tend(ctx) }
