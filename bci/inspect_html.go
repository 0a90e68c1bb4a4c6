package bci

import (
	"bytes"
	"fmt"
	"html/template"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// HTML renders an inspection as one self-contained page: tables, and spectra as
// vector graphics.
func (in *Inspection) HTML() ([]byte, error) {
	svg, err := in.spectra()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = inspectionPage.Execute(&b, struct {
		*Inspection
		Plot template.HTML
	}{in, template.HTML(svg)}) // #nosec: made by gonum/plot from numbers and escaped labels
	return b.Bytes(), err
}

func (in *Inspection) spectra() ([]byte, error) {
	p := plot.New()
	p.Title.Text = "Power spectral density, whole file (Welch, 2-s Hann windows)"
	p.X.Label.Text = "frequency (Hz)"
	p.Y.Label.Text = "dB re 1 unit²/Hz"
	if len(in.Channels) > 0 && in.Channels[0].Unit != "" {
		p.Y.Label.Text = "dB re 1 " + in.Channels[0].Unit + "²/Hz"
	}
	p.Add(plotter.NewGrid())
	for i := range in.Channels {
		var xy plotter.XYs
		for k, v := range in.Channels[i].Spectrum {
			if k > 0 && v > 0 {
				xy = append(xy, plotter.XY{X: in.FrequenciesHz[k], Y: 10 * math.Log10(v)})
			}
		}
		if len(xy) == 0 {
			continue
		}
		l, err := plotter.NewLine(xy)
		if err != nil {
			return nil, fmt.Errorf("plotting %s: %w", in.Channels[i].Label, err)
		}
		l.Color = hue(float64(i) / float64(len(in.Channels)))
		l.Width = vg.Points(0.6)
		p.Add(l)
	}
	w, err := p.WriterTo(24*vg.Centimeter, 11*vg.Centimeter, "svg")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		return nil, err
	}
	if i := bytes.Index(b.Bytes(), []byte("<svg")); i > 0 { // a page holds no XML prolog
		return b.Bytes()[i:], nil
	}
	return b.Bytes(), nil
}

// hue is a colour of medium lightness, 0 ≤ x < 1 around the circle.
func hue(x float64) rgb {
	f := func(shift float64) uint8 {
		return uint8(110 + 90*math.Cos(2*math.Pi*(x+shift)))
	}
	return rgb{f(0), f(1.0 / 3), f(2.0 / 3)}
}

type rgb struct{ r, g, b uint8 }

func (c rgb) RGBA() (r, g, b, a uint32) {
	return uint32(c.r) * 257, uint32(c.g) * 257, uint32(c.b) * 257, 0xffff
}

var inspectionPage = template.Must(template.New("inspection").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Name}}</title><style>
body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}caption{text-align:left;font-weight:600}
</style></head><body><h1>{{.Name}}</h1>
<p>{{.Format}}, {{len .Channels}} channels at {{.RateHz}} Hz, {{printf "%.3f" .Seconds}} s ({{.Columns}} columns){{with .Start}}, started {{.}}{{end}}</p>
{{.Plot}}
<table><caption>Annotations</caption><tr><th>label</th><th>count</th><th>first (s)</th><th>last (s)</th><th>median duration (s)</th></tr>
{{range .Annotations}}<tr><td>{{.Label}}</td><td>{{.Count}}</td><td>{{printf "%.3f" .First}}</td><td>{{printf "%.3f" .Last}}</td><td>{{printf "%.3f" .Duration}}</td></tr>{{else}}<tr><td>none</td></tr>{{end}}</table>
<table><caption>Gaps</caption>{{range .Gaps}}<tr><td>at {{printf "%.3f" .At}} s</td><td>{{printf "%.3f" .Seconds}} s missing</td></tr>{{else}}<tr><td>none</td></tr>{{end}}</table>
<table><caption>Channels</caption><tr><th>channel</th><th>type</th><th>unit</th><th>min</th><th>max</th><th>mean</th><th>SD</th><th>8-13 Hz (unit²)</th><th>mains (dB)</th><th>longest flat (s)</th><th>bad samples</th></tr>
{{range .Channels}}<tr><td>{{.Label}}</td><td>{{.Type}}</td><td>{{.Unit}}</td><td>{{printf "%.1f" .Min}}</td><td>{{printf "%.1f" .Max}}</td><td>{{printf "%.2f" .Mean}}</td><td>{{printf "%.2f" .SD}}</td><td>{{printf "%.3g" .Alpha}}</td><td>{{printf "%.1f" .Mains}} @ {{.MainsHz}} Hz</td><td>{{printf "%.2f" .Flat}}</td><td>{{.Bad}}</td></tr>
{{end}}</table>
<table><caption>Header</caption>{{range .Fields}}<tr><td>{{index . 0}}</td><td>{{index . 1}}</td></tr>{{end}}{{range .Skipped}}<tr><td>left out</td><td>{{.}}</td></tr>{{end}}</table>
</body></html>
`))
