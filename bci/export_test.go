package bci

// RestartMeters forgets all latencies measured so far. Those that a chunk under way is
// made of may still come: call it twice, a chunk apart.
func (e *Engine) RestartMeters() {
	e.Status()
	e.statusMu.Lock()
	defer e.statusMu.Unlock()
	for _, l := range e.lanes {
		for _, h := range l.meter.total.h {
			h.Reset()
		}
	}
}
