package telemetry

// HintOf returns the way out of the first error in the chain that knows one, or "".
func HintOf(err error) string {
	for err != nil {
		if h, ok := err.(hinter); ok { // the chain is walked here, joined errors included
			if s := h.Hint(); s != "" {
				return s
			}
		}
		switch x := err.(type) { //nolint:errorlint // see above
		case interface{ Unwrap() error }:
			err = x.Unwrap()
		case interface{ Unwrap() []error }:
			for _, e := range x.Unwrap() {
				if s := HintOf(e); s != "" {
					return s
				}
			}
			return ""
		default:
			return ""
		}
	}
	return ""
}
