package udp

import (
	"fmt"
	"math"
	"testing"

	"neurostream/stream"
)

// TestMatrixReadsEveryLayout compares blocks of numbers with the same numbers read one
// at a time, for every type, byte order, layout, and rows that fill the last tile or not.
func TestMatrixReadsEveryLayout(t *testing.T) {
	for typ := U8; typ <= U24; typ++ {
		for _, rows := range []int{1, 7, 8, 9, 64, 169} {
			for _, columns := range []int{1, 2, 5} {
				scales := make([]Scale, rows)
				for i := range scales {
					scales[i] = Scale{Bit: 0.25 * float64(i%3), Offset: float64(i)} // each third carries values
				}
				for _, m := range []matrix{
					{typ: typ},
					{typ: typ, byRow: true},
					{typ: typ, big: true},
					{typ: typ, big: true, byRow: true},
					{typ: typ, scales: scales},
					{typ: typ, byRow: true, scales: scales},
				} {
					h := stream.Header{Rate: 1, MaxLen: columns + 1}
					for i := range rows {
						h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprint(i)})
					}
					c := stream.NewChunk(&h)
					c.Resize(1) // what is there stays
					c.Set(0, 0, 42)
					size := typ.Size()
					p := make([]byte, rows*columns*size)
					for i := range p {
						p[i] = byte(i*7 + i>>8)
					}
					if typ == F64 && !m.big { // a NaN in the first row, an infinity in the last
						at := func(ch, col int) []byte {
							if m.byRow {
								return p[(ch*columns+col)*8:]
							}
							return p[(col*rows+ch)*8:]
						}
						le.PutUint64(at(0, 0), math.Float64bits(math.NaN()))
						le.PutUint64(at(rows-1, columns-1), math.Float64bits(math.Inf(-1)))
					}
					m.decode(c, p, columns)
					if c.Len != columns+1 || c.At(0, 0) != 42 {
						t.Fatalf("%+v: %d columns, first %g", m, c.Len, c.At(0, 0))
					}
					for ch := range rows {
						for col := range columns {
							at := (col*rows + ch) * size
							if m.byRow {
								at = (ch*columns + col) * size
							}
							want := typ.number(p[at:at+size], m.big)
							if m.scales != nil && scales[ch].Bit != 0 {
								want = float64(want*scales[ch].Bit) + scales[ch].Offset
							}
							bad := !finite(want)
							if bad {
								want = 0
							}
							if got := c.At(ch, col+1); got != want || c.IsBad(ch, col+1) != bad {
								t.Fatalf("%+v, %d rows: row %d column %d is %g (bad %v), want %g (%v)", m, rows, ch, col, got, c.IsBad(ch, col+1), want, bad)
							}
						}
					}
				}
			}
		}
	}
}

func BenchmarkMatrix(b *testing.B) {
	scales := make([]Scale, 256)
	for i := range scales {
		scales[i].Bit = 0.25
	}
	for _, v := range []struct {
		rows, columns int
		m             matrix
	}{{64, 1, matrix{typ: F32, byRow: true}}, {169, 2, matrix{typ: F32, byRow: true}}, {8, 32, matrix{typ: F32, byRow: true}}, {256, 30, matrix{typ: I16}}, {256, 1, matrix{typ: I16, scales: scales}}} {
		b.Run(fmt.Sprintf("%dx%d", v.rows, v.columns), func(b *testing.B) {
			h := stream.Header{Rate: 1, MaxLen: v.columns}
			for i := range v.rows {
				h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprint(i)})
			}
			c := stream.NewChunk(&h)
			p := make([]byte, v.rows*v.columns*v.m.typ.Size())
			b.ReportAllocs()
			for b.Loop() {
				c.Clear()
				v.m.decode(c, p, v.columns)
			}
		})
	}
}
