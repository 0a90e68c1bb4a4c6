package features

import (
	"fmt"

	"neurostream/stream"
)

// BandCovariance is the covariance of the channels within each of Bands equal blocks of
// rows, as a filter bank puts them out: the upper triangle of the first band, then of the
// next, labelled as by Covariance. Estimators are those of Covariance. What fbcsp takes.
// Cost: O(bands · length · C²) for C channels per band.
type BandCovariance struct {
	Bands     int
	Estimator string  // "scm" (default), "lwf" or "oas"
	Shrinkage float64 // with scm: fixed share of tr(S)/C I, 0 to 1

	c       int // channels per band
	x       [][]float64
	full    []float64
	squares []float64 // per sample: Σ over the channels of x²
}

// Open implements Extractor.
func (x *BandCovariance) Open(p *Plan) ([]Row, error) {
	one := Covariance{Estimator: x.Estimator, Shrinkage: x.Shrinkage} // checks the settings
	if _, err := one.Open(&Plan{In: stream.Header{Rate: p.In.Rate, Channels: p.In.Channels[:1]}, Length: p.Length, Hop: p.Hop}); err != nil {
		return nil, err
	}
	if x.Bands < 1 || p.In.Rows()%x.Bands != 0 {
		return nil, fmt.Errorf("bands: %d do not divide %d rows; give as many as the filter-bank has", x.Bands, p.In.Rows())
	}
	x.c = p.In.Rows() / x.Bands
	if n := x.Bands * x.c * (x.c + 1) / 2; n > stream.MaxChannels {
		return nil, fmt.Errorf("%d bands of %d channels are %d rows; the limit is %d: select channels", x.Bands, x.c, n, stream.MaxChannels)
	}
	x.x, x.full, x.squares = make([][]float64, x.c), make([]float64, x.c*x.c), make([]float64, p.Length)
	for i := range x.x {
		x.x[i] = make([]float64, p.Length)
	}
	var rows []Row
	for b := range x.Bands {
		for i := range x.c {
			for j := i; j < x.c; j++ {
				from := []int{b*x.c + i, b*x.c + j}
				label := "cov " + p.In.Channels[from[0]].Label + " " + p.In.Channels[from[1]].Label
				rows = append(rows, Row{Channel: stream.Channel{Label: label, Unit: p.squared(), Type: TypeCovariance}, From: from})
			}
		}
	}
	return rows, nil
}

// Extract implements Extractor.
func (x *BandCovariance) Extract(out Out, e *Epoch) {
	n, row := float64(e.Len), 0
	shrunk := x.Estimator == "lwf" || x.Estimator == "oas"
	divisor := n - 1
	if shrunk {
		divisor = n
	}
	for b := range x.Bands {
		for i := range x.c {
			v := e.Row(x.x[i], b*x.c+i)
			mean := 0.0
			for _, s := range v {
				mean += s
			}
			mean /= n
			for t := range v {
				v[t] -= mean
			}
			for j := range i + 1 {
				s := dotProduct(v, x.x[j]) / divisor
				x.full[i*x.c+j], x.full[j*x.c+i] = s, s
			}
		}
		share := x.Shrinkage
		switch x.Estimator {
		case "lwf":
			share = x.ledoitWolf(n)
		case "oas":
			share = oas(x.full, x.c, n)
		}
		shrink(x.full, x.c, share)
		for i := range x.c {
			flat := !(x.full[i*x.c+i] > 0)
			for j := i; j < x.c; j++ {
				out.Set(row, x.full[i*x.c+j])
				if flat || !(x.full[j*x.c+j] > 0) {
					out.Bad[row] = true
				}
				row++
			}
		}
	}
}

// ledoitWolf is the shrinkage of the band whose centred samples are in x.
func (x *BandCovariance) ledoitWolf(n float64) float64 {
	p := float64(x.c)
	var trace, squares, fourth float64
	for i := range x.c {
		trace += x.full[i*x.c+i]
	}
	for _, v := range x.full {
		squares += float64(v * v)
	}
	clear(x.squares)
	for _, v := range x.x {
		for t, s := range v {
			x.squares[t] += float64(s * s)
		}
	}
	for _, q := range x.squares {
		fourth += float64(q * q)
	}
	mu := trace / p
	delta := (squares - 2*mu*trace + p*mu*mu) / p
	beta := min((fourth/n-squares)/(n*p), delta)
	if !(beta > 0) {
		return 0
	}
	return beta / delta
}

// dotProduct sums in four strands, in a fixed order.
func dotProduct(a, b []float64) float64 {
	var s0, s1, s2, s3 float64
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += float64(a[i] * b[i])
		s1 += float64(a[i+1] * b[i+1])
		s2 += float64(a[i+2] * b[i+2])
		s3 += float64(a[i+3] * b[i+3])
	}
	for ; i < len(a); i++ {
		s0 += float64(a[i] * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}
