package filters

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"neurostream/stream"
)

// mix computes y = M x for every column, the sums in the order of the inputs. It has
// no memory.
type mix struct {
	inputs  []int                     // rows of the stream that enter
	weights [][][stream.Lanes]float64 // by output tile, by input
	needs   [][stream.Lanes][]uint8   // by output tile and lane: the input lanes with a weight, by input tile
	pass    []int                     // rows of the stream that follow the outputs unchanged
	rows    int                       // outputs before those
	clean   *stream.Chunk
	x       []float64
}

// open takes M by output and input.
func (m *mix) open(in *stream.Header, inputs, pass []int, matrix [][]float64) {
	*m = mix{inputs: inputs, pass: pass, rows: len(matrix), clean: stream.NewChunk(in), x: make([]float64, len(inputs))}
	n := stream.TilesFor(len(matrix))
	m.weights, m.needs = make([][][stream.Lanes]float64, n), make([][stream.Lanes][]uint8, n)
	for k := range n {
		m.weights[k] = make([][stream.Lanes]float64, len(inputs))
	}
	for o, row := range matrix {
		need := make([]uint8, stream.TilesFor(in.Rows()))
		for j, w := range row {
			m.weights[o/stream.Lanes][j][o%stream.Lanes] = w
			if w != 0 {
				need[inputs[j]/stream.Lanes] |= 1 << (inputs[j] % stream.Lanes)
			}
		}
		m.needs[o/stream.Lanes][o%stream.Lanes] = need
	}
}

// process reads in, whose samples are all numbers, and marks an output bad when one of
// its inputs is.
func (m *mix) process(dst, in *stream.Chunk) {
	for i := range dst.Len {
		for j, ch := range m.inputs {
			m.x[j] = in.Tile(ch / stream.Lanes)[i][ch%stream.Lanes]
		}
		for k, w := range m.weights {
			var a0, a1, a2, a3, a4, a5, a6, a7 float64
			for j, v := range m.x {
				u := &w[j]
				a0 += float64(u[0] * v)
				a1 += float64(u[1] * v)
				a2 += float64(u[2] * v)
				a3 += float64(u[3] * v)
				a4 += float64(u[4] * v)
				a5 += float64(u[5] * v)
				a6 += float64(u[6] * v)
				a7 += float64(u[7] * v)
			}
			dst.Tile(k)[i] = [stream.Lanes]float64{a0, a1, a2, a3, a4, a5, a6, a7}
		}
	}
	for p, ch := range m.pass {
		copyRow(dst, m.rows+p, in, ch)
	}
	if in.Flags&stream.Bad == 0 {
		return
	}
	for o := range m.rows {
		need := m.needs[o/stream.Lanes][o%stream.Lanes]
		for i := range dst.Len {
			for k, b := range need {
				if b&in.Bad(k)[i] != 0 {
					dst.MarkBad(o, i)
					break
				}
			}
		}
	}
}

// copyRow copies a row with its marks.
func copyRow(dst *stream.Chunk, to int, src *stream.Chunk, from int) {
	a, b := src.Tile(from/stream.Lanes), dst.Tile(to/stream.Lanes)
	la, lb := from%stream.Lanes, to%stream.Lanes
	for i := range a {
		b[i][lb] = a[i][la]
	}
	if src.Flags&stream.Bad == 0 {
		return
	}
	for i, m := range src.Bad(from / stream.Lanes) {
		if m>>la&1 != 0 {
			dst.MarkBad(to, i)
		}
	}
}

// Process mixes a chunk.
func (m *mix) Process(dst, src *stream.Chunk) {
	follow(dst, src)
	m.clean.Follow(src)
	quarantine(m.clean, src)
	m.process(dst, m.clean)
}

// follow is Chunk.Follow for other rows than those of src: no marks are taken over.
func follow(dst, src *stream.Chunk) {
	dst.Follow(src)
	dst.Flags &^= stream.Bad
	for k := range dst.Tiles() {
		clear(dst.Bad(k))
	}
}

// Reset does nothing: there is no memory.
func (m *mix) Reset() {}

// Matrix is any spatial filter: y = M x, such as an unmixing matrix that was found
// elsewhere. An output is bad while one of its inputs with a weight other than 0 is.
// Cost: len(Inputs) multiplications a sample and output.
type Matrix struct {
	Inputs  []string  // labels of the channels that enter; none = all
	Outputs []string  // names of the rows that come out
	Weights []float64 // row by row: len(Outputs) × len(Inputs)

	mix
}

// Open finds the channels.
func (m *Matrix) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	labels := m.Inputs
	if len(labels) == 0 {
		labels = in.Labels()
	}
	inputs, err := find("inputs", labels, &in)
	if err != nil {
		return stream.Header{}, err
	}
	if len(m.Outputs) == 0 {
		return stream.Header{}, errors.New("outputs is empty; name the rows that come out")
	}
	if len(m.Weights) != len(m.Outputs)*len(inputs) {
		return stream.Header{}, fmt.Errorf("weights has %d numbers; %d outputs of %d inputs need %d", len(m.Weights), len(m.Outputs), len(inputs), len(m.Outputs)*len(inputs))
	}
	out := in.Clone()
	out.Channels = nil
	rows := make([][]float64, len(m.Outputs))
	for o, name := range m.Outputs {
		rows[o] = m.Weights[o*len(inputs) : (o+1)*len(inputs)]
		for j, w := range rows[o] {
			if !(math.Abs(w) <= maxValue) {
				return stream.Header{}, fmt.Errorf("weight of %s in %s is %v; give finite numbers", labels[j], name, w)
			}
		}
		c := in.Channels[inputs[0]]
		out.Channels = append(out.Channels, stream.Channel{Label: name, Unit: c.Unit, Type: c.Type})
	}
	m.open(&in, inputs, nil, rows)
	return out, out.Validate()
}

// Bipolar puts out differences of channels: x_a − x_b, called "a-b". A difference is
// bad while one of the two is.
type Bipolar struct {
	Pairs []string // "C3-CP3"; labels may hold dashes as long as it is clear what is meant
	Keep  bool     // all channels, and the differences behind them

	mix
}

// Open finds the channels.
func (b *Bipolar) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	if len(b.Pairs) == 0 {
		return stream.Header{}, errors.New("pairs is empty; give differences, e.g. [C3-CP3, C4-CP4]")
	}
	out := in.Clone()
	out.Channels = nil
	inputs := make([]int, in.Rows())
	for ch := range inputs {
		inputs[ch] = ch
	}
	var rows [][]float64
	if b.Keep {
		for ch := range inputs {
			row := make([]float64, in.Rows())
			row[ch] = 1
			rows = append(rows, row)
		}
		out.Channels = append(out.Channels, in.Channels...)
	}
	for _, pair := range b.Pairs {
		plus, minus, err := splitPair(pair, &in)
		if err != nil {
			return stream.Header{}, err
		}
		row := make([]float64, in.Rows())
		row[plus], row[minus] = 1, -1
		rows = append(rows, row)
		c := in.Channels[plus]
		out.Channels = append(out.Channels, stream.Channel{Label: pair, Unit: c.Unit, Type: c.Type})
	}
	b.open(&in, inputs, nil, rows)
	return out, out.Validate()
}

// splitPair finds the dash that stands between two labels.
func splitPair(pair string, in *stream.Header) (plus, minus int, err error) {
	plus, minus = -1, -1
	for i := range pair {
		if pair[i] != '-' {
			continue
		}
		p, m := in.Index(strings.TrimSpace(pair[:i])), in.Index(strings.TrimSpace(pair[i+1:]))
		if p < 0 || m < 0 {
			continue
		}
		if plus >= 0 {
			return 0, 0, fmt.Errorf("pair %q can be read in two ways; rename a channel", pair)
		}
		plus, minus = p, m
	}
	switch {
	case plus >= 0 && plus == minus:
		return 0, 0, fmt.Errorf("pair %q is a channel minus itself", pair)
	case plus >= 0:
		return plus, minus, nil
	}
	a, b, ok := strings.Cut(pair, "-")
	if !ok {
		return 0, 0, fmt.Errorf("pair %q is not of the form A-B", pair)
	}
	if a = strings.TrimSpace(a); in.Index(a) < 0 {
		return 0, 0, unknownChannel("pairs", a, in)
	}
	return 0, 0, unknownChannel("pairs", strings.TrimSpace(b), in)
}
