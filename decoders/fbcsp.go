package decoders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// FBCSP is common spatial patterns in every band of a filter bank, and then the Select
// features that say most about the class (Ang et al. 2008): of each, the mutual
// information with the class
//
//	I(f; c) = H(c) - H(c|f)    p(c|f) from Gaussian kernels of width σ (4/(3n))^(1/5)
//
// over the trials, each the mean of its windows, so that windows of a trial are not taken
// for independent. Its input is the covariance rows of one band after the other; it puts
// out "csp k" of its band, the most telling first. Filters and selection are learned from
// the training examples alone. Cost per column: Select × n(n+1)/2 multiplications.
type FBCSP struct {
	Components int      // filters per band; 0 = 4
	Select     int      // features kept; 0 = 10, or as many as there are if fewer
	Classes    []string // as in CSP
	Reg        float64  // as in CSP
	Multi      string   // as in CSP

	columnwise
	model *fbcspFile
}

type fbcspFile struct {
	modelHead
	Channels int         `json:"channels"` // in a band
	Filters  [][]float64 `json:"filters"`  // one per feature
	From     []int       `json:"from"`     // first row of the band of each
	Number   []int       `json:"number"`   // of each filter in its band, from 1
	Info     []float64   `json:"info"`     // mutual information in bits
}

var _ Fitter = (*FBCSP)(nil)

// covarianceBlocks finds the covariance matrices that lie one after the other in the
// rows: the first row of each, and the number of channels, equal in all.
func covarianceBlocks(h *stream.Header) (first []int, channels int, err error) {
	for n := 1; n*(n+1)/2 <= len(h.Channels); n++ {
		size := n * (n + 1) / 2
		if len(h.Channels)%size != 0 {
			continue
		}
		first = first[:0]
		for at := 0; at < len(h.Channels); at += size {
			part := stream.Header{Channels: h.Channels[at : at+size]}
			if _, e := covarianceChannels(&part); e != nil {
				err = e
				break
			}
			first = append(first, at)
		}
		// A triangle of n channels is no row of smaller ones: their diagonals would have
		// to bear two names.
		if len(first)*size == len(h.Channels) && (n > 1 || len(h.Channels) == 1) {
			return first, n, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%d rows are no covariance matrices of equal size", len(h.Channels))
	}
	return nil, 0, fmt.Errorf("%w; put filter-bank and window: {features: [band-covariance]} before this stage", err)
}

// Fit learns the filters of every band and chooses among them.
func (c *FBCSP) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	if c.Select < 0 || c.Components < 0 {
		return fmt.Errorf("select %d, components %d: give positive numbers, or 0 for 10 and 4", c.Select, c.Components)
	}
	first, n, err := covarianceBlocks(&rows.Header)
	if err != nil {
		return err
	}
	rows, err = rows.only(c.Classes)
	if err != nil {
		return err
	}
	if _, err := checkLabelled(rows); err != nil {
		return err
	}
	components := c.Components
	if components == 0 {
		components = min(4, n)
	}
	m := &fbcspFile{modelHead: head("fbcsp", rows), Channels: n}
	size := n * (n + 1) / 2
	var values [][]float64 // by feature, by example
	for b, at := range first {
		part := &Rows{Header: rows.Header, Classes: rows.Classes, Y: rows.Y, Group: rows.Group}
		part.Header.Channels = rows.Header.Channels[at : at+size]
		for _, x := range rows.X {
			part.X = append(part.X, x[at:at+size])
		}
		csp := &CSP{Components: components, Reg: c.Reg, Multi: c.Multi}
		if err := csp.Fit(ctx, part, nil); err != nil {
			return fmt.Errorf("band %d (%s …): %w", b+1, part.Header.Channels[0].Label, err)
		}
		for k, q := range csp.model.quadratics() {
			v := make([]float64, len(rows.X))
			for i := range v {
				p := dense.Dot(q, part.X[i])
				if !(p > 0) {
					return fmt.Errorf("band %d: window %d has no power behind filter %d; leave it out", b+1, i+1, k+1)
				}
				v[i] = math.Log(p)
			}
			values = append(values, v)
			m.Filters, m.From, m.Number = append(m.Filters, csp.model.Filters[k]), append(m.From, at), append(m.Number, k+1)
		}
		if progress != nil {
			progress(b+1, len(first))
		}
	}
	m.Info = make([]float64, len(values))
	for f, v := range values {
		m.Info[f] = informationOf(v, rows)
	}
	keep := c.Select
	if keep == 0 {
		keep = min(10, len(values))
	}
	if keep > len(values) {
		return fmt.Errorf("select %d: %d bands with %d filters give only %d features", keep, len(first), components, len(values))
	}
	by := descending(m.Info)[:keep]
	pick := *m
	pick.Filters, pick.From, pick.Number, pick.Info = nil, nil, nil, nil
	for _, f := range by {
		pick.Filters, pick.From = append(pick.Filters, m.Filters[f]), append(pick.From, m.From[f])
		pick.Number, pick.Info = append(pick.Number, m.Number[f]), append(pick.Info, m.Info[f])
	}
	if err := pick.check(); err != nil {
		return err
	}
	c.model = &pick
	return nil
}

// informationOf is the mutual information, in bits, of a feature (a value per example)
// and the class, over the means of groups.
func informationOf(value []float64, rows *Rows) float64 {
	type key struct{ class, group int }
	at := map[key]int{}
	var f, n []float64
	var y []int
	for i, v := range value {
		k := key{rows.Y[i], i}
		if rows.Group != nil {
			k.group = rows.Group[i]
		}
		j, ok := at[k]
		if !ok {
			j = len(f)
			at[k] = j
			f, n, y = append(f, 0), append(n, 0), append(y, k.class)
		}
		f[j] += v
		n[j]++
	}
	for j := range f {
		f[j] /= n[j]
	}
	return mutualInformation(f, y, len(rows.Classes))
}

// mutualInformation is I(f; y) in bits by Gaussian kernels.
func mutualInformation(f []float64, y []int, classes int) float64 {
	n := float64(len(f))
	count := make([]float64, classes)
	mean, sum := 0.0, 0.0
	for i, v := range f {
		mean += v / n
		count[y[i]]++
	}
	for _, v := range f {
		sum += float64((v - mean) * (v - mean))
	}
	sigma := math.Sqrt(sum / max(1, n-1))
	if !(sigma > 0) {
		return 0
	}
	h := sigma * math.Pow(4/(3*n), 0.2)
	info := 0.0
	for _, c := range count {
		if c > 0 {
			info -= c / n * math.Log2(c/n)
		}
	}
	p := make([]float64, classes)
	for _, v := range f {
		clear(p)
		total := 0.0
		for j, u := range f {
			d := (v - u) / h
			k := math.Exp(-0.5 * d * d)
			p[y[j]] += k
			total += k
		}
		for _, q := range p {
			if q > 0 {
				info += q / total * math.Log2(q/total) / n
			}
		}
	}
	return info
}

func (m *fbcspFile) check() error {
	if err := m.validate(0); err != nil {
		return err
	}
	size := m.Channels * (m.Channels + 1) / 2
	if m.Channels < 1 || m.Channels > 1<<12 || size > len(m.Rows) || len(m.Filters) == 0 || len(m.From) != len(m.Filters) || len(m.Number) != len(m.Filters) {
		return fmt.Errorf("the model has %d filters of %d channels for %d rows", len(m.Filters), m.Channels, len(m.Rows))
	}
	seen := map[[2]int]bool{}
	for i := range m.Filters {
		if err := checkNumbers(fmt.Sprintf("filter %d", i+1), m.Filters[i], m.Channels); err != nil {
			return err
		}
		at := [2]int{m.From[i], m.Number[i]}
		if m.From[i] < 0 || m.From[i]%size != 0 || m.From[i]+size > len(m.Rows) || seen[at] {
			return fmt.Errorf("filter %d of the model belongs to row %d, number %d, which is no band or used twice", i+1, m.From[i], m.Number[i])
		}
		seen[at] = true
	}
	return checkNumbers("info", m.Info, len(m.Filters))
}

// SaveModel returns the chosen filters.
func (c *FBCSP) SaveModel() (json.RawMessage, error) { return saveModel(c.model) }

// LoadModel sets them after checking.
func (c *FBCSP) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "fbcsp", &c.model, (*fbcspFile).check)
}

// Open prepares the filters for a stream of covariance rows.
func (c *FBCSP) Open(in stream.Header) (stream.Header, error) {
	m := c.model
	if m == nil {
		return stream.Header{}, ErrUntrained
	}
	if err := m.fits(&in); err != nil {
		return stream.Header{}, err
	}
	first, n, err := covarianceBlocks(&in)
	if err != nil {
		return stream.Header{}, err
	}
	if n != m.Channels {
		return stream.Header{}, errors.New("the bands have other numbers of channels than in training; train on this pipeline")
	}
	out := in
	out.Channels = nil
	for i := range m.Filters {
		out.Channels = append(out.Channels, stream.Channel{Label: fmt.Sprintf("csp %d of band %d", m.Number[i], 1+slices.Index(first, m.From[i])), Unit: "ln power", Type: "feature"})
	}
	q := (&cspFile{Filters: m.Filters}).quadratics()
	size := n * (n + 1) / 2
	c.openColumns(in.Rows(), make([]float64, len(q)), func(y, x []float64) bool {
		for i := range q {
			p := dense.Dot(q[i], x[m.From[i]:m.From[i]+size])
			if !(p > 0) {
				return false
			}
			y[i] = math.Log(p)
		}
		return true
	})
	return out, nil
}
