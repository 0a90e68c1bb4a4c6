package udp

import (
	"math"

	"neurostream/stream"
)

// sampleClock says when columns happened, from when their datagrams arrived. The
// sender's time x is the column's index divided by the nominal rate, or the device's
// own stamp; y is the arrival on the engine's timeline. With weights w that halve in
// halfTime, and b the slope:
//
//	b = (Σw(x−x̄)(y−ȳ) + κ) / (Σw(x−x̄)² + κ)      y(x) = ȳ + b·(x−x̄) + r
//
// κ is the trust in the nominal rate before there are data: about ten seconds of them
// outweigh it. r is the least residual of the last half minute: networks only delay, so
// the earliest arrivals tell the time, and no column is said to have happened after its
// arrival. What is put out follows y(x) by at most 0.2 % of elapsed time, so that
// stamps within a run stay a straight line for every reader behind us.
type sampleClock struct {
	begun          bool
	first          stream.Time // arrival that y counts from
	x0             float64     // sender's time that x counts from
	x, w           float64     // newest x; sum of weights
	mx, my         float64
	sxx, sxy       float64
	slope          float64
	low, lowBefore float64 // least residuals of this and the previous quarter minute
	lowSince       float64
	out            float64 // what was put out for x
}

const (
	halfTime    = 60.0 // s
	priorWeight = 83.0 // κ: Σw(x−x̄)² of ten seconds, 10³/12
	lowSpan     = 15.0 // s
	slewLimit   = 0.002
	jumpLimit   = 1.0 // s
)

// place takes the sender's time of the newest column, in seconds, and the arrival of
// its datagram, and returns when that column happened. jumped is by how much the time
// had to be set anew because the two clocks parted: 0 in regular operation.
func (c *sampleClock) place(x float64, arrived stream.Time) (t stream.Time, jumped stream.Time) {
	if !c.begun {
		*c = sampleClock{begun: true, first: arrived, x0: x, slope: 1, low: math.Inf(1), lowBefore: math.Inf(1)}
	}
	x -= c.x0
	y := (arrived - c.first).Seconds()
	dx := x - c.x
	if dx < 0 {
		dx = 0
	}
	weight := math.Min(math.Max(dx, 1e-6), 1)
	decay := math.Exp2(-dx / halfTime)
	c.w = c.w*decay + weight
	c.sxx *= decay
	c.sxy *= decay
	ex, ey := x-c.mx, y-c.my
	c.mx += ex * weight / c.w
	c.my += ey * weight / c.w
	c.sxx += weight * ex * (x - c.mx)
	c.sxy += weight * ex * (y - c.my)
	c.slope = (c.sxy + priorWeight) / (c.sxx + priorWeight)
	residual := y - (c.my + c.slope*(x-c.mx))
	if x-c.lowSince > lowSpan {
		c.lowBefore, c.low, c.lowSince = c.low, math.Inf(1), x
	}
	c.low = math.Min(c.low, residual)
	target := c.my + c.slope*(x-c.mx) + math.Min(c.low, c.lowBefore)
	before := c.out
	c.out += c.slope * dx
	switch e := target - c.out; {
	case math.Abs(e) > jumpLimit:
		c.out = math.Max(before, target)
		jumped = stream.Time(e * 1e9)
		c.refit(x, y)
	default:
		c.out += math.Max(-slewLimit*dx, math.Min(e, slewLimit*dx))
	}
	c.x = x
	return c.first + stream.Time(math.Round(c.out*1e9)), jumped
}

// refit forgets the line but not its slope.
func (c *sampleClock) refit(x, y float64) {
	c.w, c.mx, c.my, c.sxx, c.sxy = 1e-6, x, y, 0, 0
	c.low, c.lowBefore, c.lowSince = 0, math.Inf(1), x
}

// rate returns the measured rate for a nominal one, and whether enough has been seen
// to tell it (ten seconds).
func (c *sampleClock) rate(nominal float64) (hz float64, ok bool) {
	return nominal / c.slope, c.begun && c.x >= 10 && c.sxx > priorWeight
}

// arrivals estimates loss for formats without counter or stamp. Nothing but the times
// of arrival speaks of it: a lost datagram makes all that follow late by its duration,
// where jitter makes single ones late. So the lateness of arrivals
//
//	v = y − p·x        y arrival, x columns so far, p seconds per column
//
// is compared, by its minimum over the last window (0.2 s, 8 datagrams at least), with
// the level o that it had before: a rise of k datagrams is k datagrams lost. o and the
// rate follow slowly (time constant 2 s), so that a nominal rate that is off by 1 %
// makes no loss. Exact while one datagram of each window is less than half a datagram
// late; the estimate comes a window late, and is never a jump of the column index.
type arrivals struct {
	period float64 // nominal seconds per column

	begun  bool
	origin stream.Time
	x      float64 // columns, the lost ones included
	y      float64
	level  float64 // o
	drift  float64 // seconds per second by which o grows
	late   []float64
	head   int // oldest entry of late
	n      int
	credit int64 // datagrams taken for lost that came after all
	lost   int64 // columns, in all
}

const (
	arrivalWindow = 0.2 // s
	arrivalTime   = 2.0 // s
)

// add takes a datagram of n columns and returns how many columns are found to have
// been lost, up to a window before it. silent says that the datagrams stopped for more
// than a second instead.
func (a *arrivals) add(at stream.Time, n int) (lost int64, silent bool) {
	if !(a.period > 0) || n <= 0 {
		return 0, false
	}
	span := a.period * float64(n) // of a datagram
	if !a.begun {
		*a = arrivals{period: a.period, begun: true, origin: at, late: a.late}
		if want := min(max(8, int(math.Ceil(arrivalWindow/span))), 4096); len(a.late) < want {
			a.late = make([]float64, want)
		}
	}
	y := (at - a.origin).Seconds()
	dt := math.Max(0, y-a.y)
	a.y = y
	a.x += float64(n)
	v := y - a.period*a.x
	if dt-span > 1 { // a pause: what it lacks is its length
		k := math.Round((v - a.level - a.drift*dt) / span)
		if k > 0 {
			lost = int64(k) * int64(n)
			a.x += float64(lost)
			v = y - a.period*a.x
		}
		a.level = v
		a.n, a.head = 0, 0
		a.lost += lost
		a.push(v)
		return lost, true
	}
	a.push(v)
	if a.n < len(a.late) {
		if a.n == 1 {
			a.level = v
		}
		a.level = math.Min(a.level, v)
		return 0, false
	}
	a.level += a.drift * dt
	return a.settle(a.least(a.n), dt, span, n), false
}

// settle compares the least lateness with the level.
func (a *arrivals) settle(least, dt, span float64, n int) (lost int64) {
	e := least - a.level
	if k := math.Round(e / span); k != 0 {
		shift := k * float64(n)
		a.x += shift
		for i := range a.late {
			a.late[i] -= a.period * shift
		}
		e -= a.period * shift
		switch {
		case k < 0:
			a.credit -= int64(k)
		case a.credit >= int64(k):
			a.credit -= int64(k)
		default:
			lost = (int64(k) - a.credit) * int64(n)
			a.credit = 0
		}
	}
	g := math.Min(dt/arrivalTime, 0.5)
	a.level += g * e
	a.drift += g / (4 * arrivalTime) * e
	a.drift = math.Max(-0.02, math.Min(a.drift, 0.02))
	a.lost += lost
	return lost
}

// finish looks at what a window had not settled when the stream ended.
func (a *arrivals) finish(n int) (lost int64) {
	if !a.begun || n <= 0 || a.n < 3 {
		return 0
	}
	return a.settle(a.least(min(a.n, max(3, len(a.late)/8))), 0, a.period*float64(n), n)
}

// told says that n columns are known to be lost from better evidence.
func (a *arrivals) told(n int64) {
	if a.begun {
		a.x += float64(n)
	}
}

func (a *arrivals) push(v float64) {
	if a.n < len(a.late) {
		a.late[(a.head+a.n)%len(a.late)] = v
		a.n++
		return
	}
	a.late[a.head] = v
	a.head = (a.head + 1) % len(a.late)
}

// least returns the minimum of the newest k entries.
func (a *arrivals) least(k int) float64 {
	m := math.Inf(1)
	for i := a.n - k; i < a.n; i++ {
		m = math.Min(m, a.late[(a.head+i)%len(a.late)])
	}
	return m
}
