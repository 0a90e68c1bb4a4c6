package bci

import (
	"context"

	"neurostream/stream"
)

// inlineLimit is how long a chain may take on the source's goroutine, which cannot read
// meanwhile: what comes then waits in the socket's buffer, stamped by the kernel. A chain
// has to show for 177 chunks that it is as quick.
const inlineLimit = stream.Time(200e3)

// hand gives the chunk just read to the first lane. When that is idle and what it does
// takes less time than waking it, the source's goroutine does it. No bit depends on that.
func (e *Engine) hand(ctx context.Context) error {
	if !e.inline || !e.intake.Borrow() {
		e.intake.Commit(1)
		return nil
	}
	l := e.lanes[0]
	if l.cost > inlineLimit {
		e.intake.Return()
		e.intake.Commit(1)
		return nil
	}
	e.intake.Commit(1)
	l.failed = e.guard(l.chain.Current, func() error { return e.process(ctx, l, l.ring.Ready()) })
	e.intake.Return()
	return l.failed
}

// mayInline reports whether nothing behind the source can make its goroutine wait.
func (e *Engine) mayInline() bool {
	for _, o := range e.outputs {
		if o.Lossless {
			return false
		}
	}
	return e.options.Live && len(e.lanes) == 1
}
