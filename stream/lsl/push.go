package lsl

import (
	"fmt"
	"net"

	"neurostream/stream"
)

// Push sends one sample of numbers. The stamp is in seconds of the LSL clock; 0
// means now. Integer formats round half to even and saturate.
func (o *Outlet) Push(values []float64, stamp float64) error {
	if err := o.fits(len(values), false); err != nil {
		return err
	}
	o.mu.Lock()
	if len(o.logs) > 0 {
		p := o.scratch[:0]
		for _, v := range values {
			p = appendValue(p, o.info.Format, v)
		}
		o.scratch = p
	}
	return o.finish(stamp)
}

// PushInts sends one sample of integers; Int64 streams keep all 64 bits.
func (o *Outlet) PushInts(values []int64, stamp float64) error {
	if err := o.fits(len(values), false); err != nil {
		return err
	}
	o.mu.Lock()
	p := o.scratch[:0]
	for _, v := range values {
		p = appendInt(p, o.info.Format, v)
	}
	o.scratch = p
	return o.finish(stamp)
}

// PushStrings sends one sample of a string stream. Strings are bytes: they need
// not be UTF-8 and may hold anything.
func (o *Outlet) PushStrings(values []string, stamp float64) error {
	if err := o.fits(len(values), true); err != nil {
		return err
	}
	total := 0
	for _, s := range values {
		total += len(s)
		if len(s) > maxString || total > maxSample {
			return fmt.Errorf("lsl: outlet %q: a string of %d bytes; the limit is %d", o.info.Name, len(s), maxString)
		}
	}
	o.mu.Lock()
	p := o.scratch[:0]
	for _, s := range values {
		p = appendString(p, s)
	}
	o.scratch = p
	return o.finish(stamp)
}

// PushChunk sends all columns of a chunk, stamped T0 + i/Rate, in as few writes as
// possible. It does not allocate in steady state.
func (o *Outlet) PushChunk(c *stream.Chunk) error {
	if err := o.fits(c.Rows(), false); err != nil {
		return err
	}
	o.mu.Lock()
	for i := range c.Len {
		o.pushed++
		if len(o.logs) == 0 {
			continue
		}
		stamp := ToStamp(c.T0)
		if o.info.Rate > 0 {
			stamp += float64(i) / o.info.Rate
		}
		if o.config.ForceStamps {
			stamp = o.now()
		}
		o.scratch = appendColumn(o.scratch[:0], o.info.Format, c, i)
		for _, l := range o.logs {
			l.append(stamp, o.scratch)
		}
	}
	closed := o.closed
	o.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	o.flush()
	return nil
}

func (o *Outlet) fits(n int, strings bool) error {
	if n != o.info.Channels {
		return fmt.Errorf("lsl: outlet %q has %d channels and is given %d values", o.info.Name, o.info.Channels, n)
	}
	if strings != (o.info.Format == String) {
		return fmt.Errorf("lsl: outlet %q carries %v values", o.info.Name, o.info.Format)
	}
	return nil
}

// finish logs the sample in o.scratch, unlocks and sends.
func (o *Outlet) finish(stamp float64) error {
	if o.closed {
		o.mu.Unlock()
		return net.ErrClosed
	}
	o.pushed++
	if len(o.logs) == 0 {
		o.mu.Unlock()
		return nil
	}
	if stamp == 0 || o.config.ForceStamps {
		stamp = o.now()
	}
	for _, l := range o.logs {
		l.append(stamp, o.scratch)
	}
	o.mu.Unlock()
	o.flush()
	return nil
}

// flush gets new samples on their way to every consumer.
func (o *Outlet) flush() {
	now := o.clock.Now()
	all := *o.consumers.Load()
	for _, c := range all {
		c.flush(now, len(all) <= maxInline)
	}
}
