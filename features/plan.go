package features

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Plan is what the extractors of one Windows stage know and share. Products are
// asked for in Open and computed at most once per window, when first used.
type Plan struct {
	In     stream.Header // the samples
	Length int           // columns of a window
	Hop    int           // columns from one window to the next

	products []product
}

// product is something that several extractors of a window may use.
type product interface {
	alloc(p *Plan) // called once, after all extractors were opened
	forget()       // the stream starts anew: nothing computed so far may be reused
}

// Epoch is one window and what is shared of it.
type Epoch struct {
	stream.Window
	Index int64 // number of the window: it covers columns Index*Hop to Index*Hop+Length-1
	Rate  float64
}

// Seconds converts columns to seconds.
func (p *Plan) Seconds(columns int) float64 { return float64(columns) / p.In.Rate }

// share returns the product that same recognises, or registers a new one.
func share[T product](p *Plan, same func(T) bool, make func() T) T {
	for _, q := range p.products {
		if t, ok := q.(T); ok && same(t) {
			return t
		}
	}
	t := make()
	p.products = append(p.products, t)
	return t
}

// alloc allocates every product, dependants before what they depend on: a product is
// registered after the products that its own constructor asked for.
func (p *Plan) alloc() {
	for i := len(p.products) - 1; i >= 0; i-- {
		p.products[i].alloc(p)
	}
}

func (p *Plan) forget() {
	for _, q := range p.products {
		q.forget()
	}
}

// columns converts a setting in seconds into a whole number of columns.
func columns(setting string, seconds, rate float64) (int, error) {
	if !(seconds > 0) || math.IsInf(seconds, 0) {
		return 0, fmt.Errorf("%s: %v s; give a positive number of seconds", setting, seconds)
	}
	exact := seconds * rate
	n := math.Round(exact)
	if n > stream.MaxColumns {
		return 0, fmt.Errorf("%s: %v s are %.0f samples at %v Hz; the limit is %d", setting, seconds, exact, rate, stream.MaxColumns)
	}
	if n < 1 {
		return 0, fmt.Errorf("%s: %v s are less than one sample at %v Hz; the shortest is %v s", setting, seconds, rate, 1/rate)
	}
	if math.Abs(exact-n) > 1e-6*max(1, n*1e-3) {
		return 0, fmt.Errorf("%s: %v s are %.4g samples at %v Hz, which is not a whole number; the nearest is %.9g s (%.0f samples)", setting, seconds, exact, rate, n/rate, n)
	}
	return int(n), nil
}

// channelRows names one row per input channel.
func (p *Plan) channelRows(kind, unit, detail string) []Row {
	rows := make([]Row, p.In.Rows())
	for i, c := range p.In.Channels {
		label := kind + " " + c.Label
		if detail != "" {
			label += " " + detail
		}
		rows[i] = Row{Channel: stream.Channel{Label: label, Unit: unit, Type: "feature", Position: c.Position, Placed: c.Placed}, From: []int{i}}
	}
	return rows
}

// unit returns the unit of the input, "" when the channels differ.
func (p *Plan) unit() string {
	u := p.In.Channels[0].Unit
	for _, c := range p.In.Channels {
		if c.Unit != u {
			return ""
		}
	}
	return u
}

// squared names the square of the input's unit, "power" when it has none.
func (p *Plan) squared() string {
	if u := p.unit(); u != "" {
		return u + "^2"
	}
	return ""
}
