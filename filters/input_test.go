package filters

import (
	"math"
	"strings"
	"testing"

	"neurostream/stream"
)

// TestBadInputs: what cannot work is refused in one line that says what is allowed.
func TestBadInputs(t *testing.T) {
	in := header([]string{"C3", "Cz", "C4", "Pz", "Oz", "X7"}, 250)
	placed := header([]string{"C3", "Cz", "C4", "Pz", "Oz"}, 250)
	irregular := in.Clone()
	irregular.Rate, irregular.MaxLen = 0, 1
	twice := header([]string{"C3", "C1", "C4", "Pz", "Oz"}, 250)
	twice.Channels[1].Position, twice.Channels[1].Placed = [3]float64{}, true
	for name, c := range map[string]struct {
		stage stream.Stage
		in    stream.Header
		want  []string
	}{
		"cut-off at half the rate":     {&Lowpass{High: 125}, in, []string{"125", "below 125 Hz"}},
		"cut-off above half the rate":  {&Bandpass{Low: 8, High: 130}, in, []string{"130 Hz", "below 125 Hz"}},
		"negative cut-off":             {&Highpass{Low: -1}, in, []string{"-1 Hz", "above 0"}},
		"not a number":                 {&Highpass{Low: math.NaN()}, in, []string{"NaN"}},
		"edges swapped":                {&Bandstop{Low: 52, High: 48}, in, []string{"lower edge must be below"}},
		"order":                        {&Bandpass{Low: 8, High: 30, Order: 17}, in, []string{"order 17", "1 to 16"}},
		"irregular":                    {&Bandpass{Low: 8, High: 30}, irregular, []string{"regular"}},
		"too narrow for floats":        {&Highpass{Low: 1e-9}, in, []string{"resample"}},
		"notch above half the rate":    {&Notch{Freq: 150}, in, []string{"150"}},
		"peak without width":           {&Peak{Freq: 10, Q: -3}, in, []string{"q -3"}},
		"iir order too high":           {&IIR{Pass: []float64{8, 30}, Stop: []float64{7.5, 31}, Attenuation: 80}, in, []string{"elliptic"}},
		"iir both ways":                {&IIR{Pass: []float64{8, 30}, Stop: []float64{5, 35}, Order: 3}, in, []string{"leave out order"}},
		"iir low of a low-pass":        {&IIR{Kind: LowPass, Low: 3, High: 30}, in, []string{"high alone"}},
		"iir family":                   {&IIR{Family: "gauss", Low: 8, High: 30, Kind: BandPass}, in, []string{"gauss", "bessel"}},
		"bank without bands":           {&FilterBank{}, in, []string{"empty"}},
		"bank beyond half the rate":    {&FilterBank{Bands: []Band{{"high", 100, 140}}}, in, []string{"band high", "140"}},
		"fir even high-pass":           {&FIR{Kind: HighPass, Low: 10, Taps: 64}, in, []string{"64 taps", "odd"}},
		"fir narrower than its edge":   {&FIR{Kind: BandPass, Low: 8, High: 30, Transition: 200}, in, []string{"200 Hz"}},
		"fir method":                   {&FIR{Kind: LowPass, High: 30, Method: "remez"}, in, []string{"least-squares"}},
		"fir nothing":                  {&FIR{Coefficients: []float64{0, 0}}, in, []string{"nothing would come out"}},
		"decimate":                     {&Decimate{Factor: 1}, in, []string{"2 to 1000"}},
		"decimate too far":             {&Decimate{Factor: 20}, in, []string{"twice", "fir"}},
		"decimate phase":               {&Decimate{Factor: 4, Phase: 4}, in, []string{"0 to 3"}},
		"resample":                     {&Resample{Rate: 123.4567}, in, []string{"up and down"}},
		"resample both ways":           {&Resample{Rate: 100, Up: 2, Down: 5}, in, []string{"either"}},
		"csd without position":         {&CurrentSourceDensity{}, in, []string{`"X7"`, "10-05", "select"}},
		"interpolate without position": {&Interpolate{}, in, []string{`"X7"`, "no position"}},
		"laplacian without position":   {&Laplacian{}, in, []string{`"X7"`, "no position"}},
		"laplacian without neighbour":  {&Laplacian{Channels: []string{"Oz"}}, placed, []string{"Oz has", "neighbours"}},
		"laplacian of nothing":         {&Laplacian{Neighbours: []string{"C3 Cz"}}, in, []string{"C3 = "}},
		"laplacian unknown neighbour":  {&Laplacian{Neighbours: []string{"C3 = Q9"}}, in, []string{`"Q9"`}},
		"wrong position":               {&CurrentSourceDensity{}, twice, []string{`"C1"`, "position is wrong"}},
		"reference unknown":            {&Linked{Channels: []string{"M1"}}, in, []string{`"M1"`}},
		"reference spelled otherwise":  {&Linked{Channels: []string{"c3"}}, in, []string{`did you mean "C3"`}},
		"bipolar unknown":              {&Bipolar{Pairs: []string{"C3-Q1"}}, in, []string{`"Q1"`}},
		"bipolar with itself":          {&Bipolar{Pairs: []string{"C3-C3"}}, in, []string{"itself"}},
		"bipolar without dash":         {&Bipolar{Pairs: []string{"C3"}}, in, []string{"A-B"}},
		"matrix of the wrong size":     {&Matrix{Outputs: []string{"a"}, Weights: []float64{1, 2}}, in, []string{"6"}},
		"matrix not finite":            {&Matrix{Inputs: []string{"C3"}, Outputs: []string{"a"}, Weights: []float64{math.NaN()}}, in, []string{"C3", "NaN"}},
		"matrix same name twice":       {&Matrix{Inputs: []string{"C3"}, Outputs: []string{"a", "a"}, Weights: []float64{1, 2}}, in, []string{`both called "a"`}},
		"no EOG":                       {&EOGAdaptive{}, in, []string{"EOG", "channels: [...]"}},
		"all EOG":                      {&EOGAdaptive{Channels: []string{"C3", "Cz", "C4", "Pz", "Oz", "X7"}}, in, []string{"nothing to clean"}},
		"regression without a model":   {&EOGRegression{}, in, []string{"bci train"}},
		"asr without a model":          {&ASR{}, in, []string{"bci train"}},
		"everything excluded":          {&CommonAverage{Exclude: []string{"C3", "Cz", "C4", "Pz", "Oz"}}, in, []string{"exclude fewer"}},
		"median of one":                {&CommonMedian{Exclude: []string{"C3", "Cz", "C4", "Pz", "Oz"}}, in, []string{"exclude fewer"}},
	} {
		_, err := c.stage.Open(c.in)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %v", name, err)
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", name, err, w)
			}
		}
	}
}

// TestFlatAndWildInputs: a channel of zero variance, and the largest numbers there are,
// give numbers.
func TestFlatAndWildInputs(t *testing.T) {
	labels := []string{"Fz", "C3", "Cz", "C4", "FCz", "CPz", "Pz", "Oz", "EOG"}
	in := header(labels, 250)
	in.Channels[8].Type = "EOG"
	const columns = 1500
	x := make([][]float64, len(labels))
	for ch := range x {
		x[ch] = make([]float64, columns)
		for i := range x[ch] {
			switch ch {
			case 1: // never moves
			case 2: // rails and worse
				x[ch][i] = []float64{1e99, -1e99, math.MaxFloat64, math.Inf(-1), math.NaN(), 5e-324, math.Copysign(0, -1)}[i%7]
			default:
				x[ch][i] = 10 * math.Sin(float64(i*(ch+1))/9)
			}
		}
	}
	for name, s := range map[string]stream.Stage{
		"bandpass": &Bandpass{Low: 8, High: 30}, "elliptic": &IIR{Family: EllipticFamily, Kind: LowPass, High: 40}, "bank": &FilterBank{Bands: []Band{{"a", 8, 12}}},
		"notch": &Notch{Freq: 50}, "peak": &Peak{Freq: 10}, "fir": &FIR{Kind: BandPass, Low: 8, High: 30}, "fir long": &FIR{Kind: HighPass, Low: 1, Transition: 1},
		"decimate": &Decimate{Factor: 4}, "resample": &Resample{Rate: 100}, "car": &CommonAverage{}, "median": &CommonMedian{}, "linked": &Linked{Channels: []string{"Cz"}},
		"bipolar": &Bipolar{Pairs: []string{"C3-Cz"}}, "laplacian": &Laplacian{Channels: []string{"Cz"}, Neighbours: []string{"Cz = C3 C4"}},
		"csd": &CurrentSourceDensity{}, "interpolate": &Interpolate{}, "eog": &EOGAdaptive{Threshold: -1}, "quality": &Quality{Checks: everyCheck()},
		"gap-repair": &GapRepair{}, "select": &Select{Channels: []string{"Cz", "C3"}}, "matrix": &Matrix{Inputs: []string{"Cz", "C3"}, Outputs: []string{"a"}, Weights: []float64{1, 1}},
	} {
		_, y, _ := through(t, s, in, x, 0, []int{100})
		for ch := range y {
			for i, v := range y[ch] {
				if v-v != 0 {
					t.Errorf("%s: row %d, column %d is %v", name, ch, i, v)
					break
				}
			}
		}
	}
}

// TestBank: every band is what its own band-pass makes, for rows that do and do not
// fill tiles.
func TestBank(t *testing.T) {
	for _, n := range []int{3, 8, 16} {
		x := brainlike(n, 600, uint64(n))
		x[1][50] = math.NaN()
		in := header(names(n), 250)
		bands := []Band{{"low", 4, 8}, {"high", 12, 30}}
		out, y, _ := through(t, &FilterBank{Bands: bands, Order: 3}, in, x, 0, []int{7, 64})
		for b, band := range bands {
			one, want, _ := through(t, &Bandpass{Low: band.Low, High: band.High, Order: 3}, in, x, 0, []int{100})
			if out.Delay < one.Delay || out.Settle < one.Settle {
				t.Errorf("band %s: delay %v, settle %v", band.Name, out.Delay, out.Settle)
			}
			for ch := range want {
				for i := range want[ch] {
					if y[b*n+ch][i] != want[ch][i] {
						t.Fatalf("%d channels, band %s: channel %d, column %d differs", n, band.Name, ch, i)
					}
				}
			}
			if l := out.Channels[b*n+1].Label; l != in.Channels[1].Label+" "+band.Name {
				t.Errorf("row is called %q", l)
			}
		}
	}
}

// TestGaps: a short gap is bridged by a straight line, a long one restarts everything
// behind; both say so.
func TestGaps(t *testing.T) {
	in := header(names(1), 250)
	f := &GapRepair{Max: 0.02}
	out, err := f.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&in), stream.NewChunk(&out)
	put := func(seq int64, values ...float64) {
		src.Clear()
		src.Resize(len(values))
		src.Seq, src.T0 = seq, stream.Time(seq*4e6)
		src.SetRow(0, values)
		f.Process(dst, src)
	}
	put(0, 1, 2)
	put(5, 8, 9) // columns 2, 3, 4 are missing
	if got := dst.Row(nil, 0); dst.Seq != 2 || dst.Flags.Broken() || len(got) != 5 || got[0] != 3.5 || got[2] != 6.5 || got[4] != 9 || dst.T0 != 8e6 {
		t.Errorf("bridge %v from %d at %d", got, dst.Seq, dst.T0)
	}
	if len(dst.Events) != 1 || dst.Events[0].Kind != stream.EventBridge || dst.Events[0].Count != 3 {
		t.Errorf("events %v", dst.Events)
	}
	put(100, 1)
	if !dst.Flags.Broken() || dst.Len != 1 || len(dst.Events) != 1 || dst.Events[0].Kind != stream.EventRestart || dst.Events[0].Count != 93 {
		t.Errorf("a long gap: %d columns, %v", dst.Len, dst.Events)
	}
}

// TestSlowFiltersSaySo: a filter that rings for minutes is announced once.
func TestSlowFiltersSaySo(t *testing.T) {
	in := header(names(1), 1000)
	f := &Highpass{Low: 0.05, Order: 2}
	out, err := f.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&in), stream.NewChunk(&out)
	src.Resize(10)
	f.Process(dst, src)
	if len(dst.Events) != 1 || dst.Events[0].Kind != stream.EventNote || !strings.Contains(dst.Events[0].Detail, "settle") {
		t.Errorf("events %v", dst.Events)
	}
	if f.Process(dst, src); len(dst.Events) != 0 {
		t.Errorf("said again: %v", dst.Events)
	}
}
