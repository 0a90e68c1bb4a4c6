package replay

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"neurostream/recordings"
	"neurostream/stream"
)

// session is 15 trials of 4 s with 4 s of rest around them: 128 s at 100 Hz.
func session(t testing.TB, seed uint64) *Truth {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	var a []recordings.Annotation
	for i := range 15 {
		a = append(a, recordings.Annotation{Onset: 4 + 8*float64(i), Duration: 4, Label: []string{"T1", "T2"}[r.IntN(2)]})
	}
	truth, err := NewTruth(hands, a, 100, 12800)
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

// decide makes a decision every 0.1 s from 2 s on; p returns the three probabilities
// for a window of 2 s whose truth is w.
func decide(truth *Truth, p func(w WindowLabel, end float64) [3]float64) *Decisions {
	d := &Decisions{Classes: []string{"left", "rest", "right"}, Step: 0.1} // not in the truth's order
	for i := range 1260 {
		end := 1.99 + 0.1*float64(i)
		q := p(truth.WindowAt(end, 2), end)
		d.Time = append(d.Time, end)
		d.P = append(d.P, q[1], q[0], q[2])
		d.Bad = append(d.Bad, false)
	}
	return d
}

var standard = Options{Window: 2, Rate: 100, Rule: Rule{Dwell: 3, Refractory: 1, Confidence: 0.6}}

func oracle(w WindowLabel, _ float64) (p [3]float64) {
	p = [3]float64{0.1, 0.1, 0.1}
	p[w.Class] = 0.8
	return p
}

func scoreOf(t testing.TB, d *Decisions, truth *Truth, o Options) *Report {
	t.Helper()
	r, err := Score(d, truth, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestScoreOfAnOracle(t *testing.T) {
	truth := session(t, 1)
	d := decide(truth, oracle)
	d.Delay = 1.3 // a filter of 0.3 s and half a window
	o := standard
	o.Compute, o.Shifts = 0.01, 200
	r := scoreOf(t, d, truth, o)
	if r.Trials != 15 || r.TrialsCorrect != 15 || r.TrialAccuracy != 1 || r.TrialsSkipped != 0 || r.TrialChance != 0.5 {
		t.Errorf("trials: %d of %d right, %d skipped", r.TrialsCorrect, r.Trials, r.TrialsSkipped)
	}
	if math.Abs(float64(r.TrialP)-math.Pow(0.5, 15)) > 1e-12 || math.Abs(float64(r.TrialLow95)-math.Pow(0.025, 1.0/15)) > 1e-9 || r.TrialHigh95 != 1 {
		t.Errorf("15 of 15: p %v, interval %v to %v", r.TrialP, r.TrialLow95, r.TrialHigh95)
	}
	if r.NMCC != 1 || r.BalancedAccuracy != 1 || r.Windows != 1260 || r.Kappa != 1 {
		t.Errorf("windows: %d, nMCC %v, balanced accuracy %v", r.Windows, r.NMCC, r.BalancedAccuracy)
	}
	if !(r.NMCCLast < 0.95) || r.NMCCPure != 1 || r.WindowsPure >= r.Windows {
		t.Errorf("nMCC at the last sample %v, of pure windows %v", r.NMCCLast, r.NMCCPure)
	}
	if !(r.NMCCP < 0.01) || !(r.NMCCChance95 < 0.9) {
		t.Errorf("chance by shifts: %v, 95 %% below %v, p %v", r.NMCCChance, r.NMCCChance95, r.NMCCP)
	}
	if r.EventTPR != 1 || r.Hits != 15 || r.Missed != 0 || r.Wrong != 0 || r.False != 0 || r.FAPerMin != 0 {
		t.Errorf("commands: %d hits, %d wrong, %d false", r.Hits, r.Wrong, r.False)
	}
	// Observed from 1.99 s to 127.99 s, less 15 intervals of 4 s and 1 s of tolerance.
	idle := (126.0 - 75) / 60
	if math.Abs(float64(r.IdleMinutes)-idle) > 1e-9 || math.Abs(float64(r.FAUpper95)+math.Log(0.05)/idle) > 1e-9 {
		t.Errorf("idle %v min (want %v), at most %v false activations a minute", r.IdleMinutes, idle, r.FAUpper95)
	}
	// Half of a window has turned 1 s after the cue; two more decisions must agree.
	if l := r.Latency; l.N != 15 || math.Abs(float64(l.Median)-1.21) > 0.011 || l.IQR > 1e-9 || math.Abs(float64(l.PenalisedMean-l.Median)) > 1e-9 {
		t.Errorf("latency %+v", l)
	}
	p := r.Latency.Parts
	if math.Abs(float64(p.Filter)-0.3) > 1e-12 || p.Window != 1 || math.Abs(float64(p.Dwell)-0.2) > 1e-12 || p.Compute != 0.01 || math.Abs(float64(p.Filter+p.Window+p.Dwell+p.Compute+p.Rest-r.Latency.Median)) > 1e-12 {
		t.Errorf("the parts %+v do not make up the median %v", p, r.Latency.Median)
	}
	if x := r.TrialDetail[0]; x.Windows != 21 || x.Decided != x.Class || len(x.Evidence) != 2 {
		t.Errorf("first trial: %+v, want 21 windows of 2 s inside its 4 s", x)
	}
}

func TestScoreOfConstants(t *testing.T) {
	truth := session(t, 2)
	idle := scoreOf(t, decide(truth, func(WindowLabel, float64) [3]float64 { return [3]float64{0.9, 0.05, 0.05} }), truth, standard)
	if idle.NMCC != 0.5 || math.Abs(float64(idle.BalancedAccuracy)-1.0/3) > 1e-12 || idle.EventTPR != 0 || idle.Missed != 15 || idle.Accuracy != idle.IdleShare {
		t.Errorf("always idle: nMCC %v, balanced %v, TPR %v, accuracy %v of %v idle", idle.NMCC, idle.BalancedAccuracy, idle.EventTPR, idle.Accuracy, idle.IdleShare)
	}
	if !math.IsNaN(float64(idle.Latency.Median)) || math.Abs(float64(idle.Latency.PenalisedMean)-5) > 1e-9 {
		t.Errorf("always idle: latency %v, penalised %v, want none and the 5 s of an interval", idle.Latency.Median, idle.Latency.PenalisedMean)
	}
	b, err := json.Marshal(idle)
	if err != nil || !strings.Contains(string(b), `"detection_latency_s":{"n":0,"median":null`) {
		t.Errorf("JSON of an undefined latency: %v %s", err, b)
	}
	var keys map[string]any
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"trial_accuracy", "trials", "nmcc", "balanced_accuracy", "event_tpr", "fa_per_min", "fa_per_min_upper95", "idle_minutes", "detection_latency_s"} {
		if _, ok := keys[k]; !ok {
			t.Errorf("JSON has no %q", k)
		}
	}
	left := scoreOf(t, decide(truth, func(WindowLabel, float64) [3]float64 { return [3]float64{0.05, 0.9, 0.05} }), truth, standard)
	var want int
	for _, v := range truth.Trials {
		if v.Class == 1 {
			want++
		}
	}
	// Deaf for 1 s and then three decisions: a command every 1.2 s, in idle time too.
	if left.TrialsCorrect != want || left.Hits != want || left.Missed != 15-want || math.Abs(float64(left.FAPerMin)-60/1.2) > 6 {
		t.Errorf("always left: %d of %d trials, %d hits, %v false activations a minute", left.TrialsCorrect, want, left.Hits, left.FAPerMin)
	}
}

// TestScoreKnowsNothing: decisions that do not depend on the labels stay at chance, and
// so does an oracle whose labels were permuted: nothing of the truth leaks into scores.
func TestScoreKnowsNothing(t *testing.T) {
	const rounds = 40
	var nmcc, trials, permuted, permutedTPR float64
	significant := 0
	for seed := range uint64(rounds) {
		truth, other := session(t, seed), session(t, seed+1000)
		r := rand.New(rand.NewPCG(seed, 2))
		state := [3]float64{}
		drift := decide(truth, func(WindowLabel, float64) (p [3]float64) {
			var sum float64
			for k := range p {
				state[k] = 0.9*state[k] + r.NormFloat64()
				p[k] = math.Exp(state[k])
				sum += p[k]
			}
			for k := range p {
				p[k] /= sum
			}
			return p
		})
		o := standard
		o.Shifts = 60
		x := scoreOf(t, drift, truth, o)
		nmcc += float64(x.NMCC) / rounds
		trials += float64(x.TrialAccuracy) / rounds
		if x.NMCCP <= 0.05 {
			significant++
		}
		y := scoreOf(t, decide(other, oracle), truth, standard)
		permuted += float64(y.TrialAccuracy) / rounds
		permutedTPR += float64(y.EventTPR) / rounds
	}
	// 600 trials: the standard error of an accuracy at chance is 0.02.
	if math.Abs(nmcc-0.5) > 0.02 || math.Abs(trials-0.5) > 0.07 || significant > 8 {
		t.Errorf("uninformed decisions: nMCC %.3f, trial accuracy %.3f, significant in %d of %d", nmcc, trials, significant, rounds)
	}
	if math.Abs(permuted-0.5) > 0.07 || math.Abs(permutedTPR-0.5) > 0.07 {
		t.Errorf("permuted labels: trial accuracy %.3f, event TPR %.3f", permuted, permutedTPR)
	}
}

// TestScoreTakesOnlyWindowsInsideTheTrial flips what straddling windows say.
func TestScoreTakesOnlyWindowsInsideTheTrial(t *testing.T) {
	truth := session(t, 3)
	inside := func(end float64) bool {
		for _, v := range truth.Trials {
			if end-1.99 >= v.Start-1e-6 && end <= v.End+1e-6 {
				return true
			}
		}
		return false
	}
	d := decide(truth, func(w WindowLabel, end float64) [3]float64 {
		p := oracle(w, end)
		if !inside(end) {
			p[1], p[2] = p[2]*1e-9, 0.9-p[1] // loud and wrong
		}
		return p
	})
	if r := scoreOf(t, d, truth, standard); r.TrialsCorrect != 15 {
		t.Errorf("%d of 15 trials right: windows outside the trials were heard", r.TrialsCorrect)
	}
}

// TestScoreTrialEvidence: the mean log-probability decides, not the majority of windows
// nor the idle probability.
func TestScoreTrialEvidence(t *testing.T) {
	truth, err := NewTruth(hands, []recordings.Annotation{{Onset: 2, Duration: 2, Label: "T1"}}, 10, 60)
	if err != nil {
		t.Fatal(err)
	}
	d := &Decisions{Classes: []string{"rest", "left", "right"}, Step: 0.5}
	for i, p := range [][3]float64{{1, 0, 0}, {0.9, 0.09, 0.01}, {0.2, 0.35, 0.45}, {0.2, 0.35, 0.45}, {0, 0, 1}} {
		d.Time = append(d.Time, 2+0.5*float64(i))
		d.P = append(d.P, p[:]...)
		d.Bad = append(d.Bad, i == 4)
	}
	r := scoreOf(t, d, truth, Options{Window: 0})
	want := []float64{(math.Log(0.9) + 2*math.Log(0.35/0.8)) / 3, (math.Log(0.1) + 2*math.Log(0.45/0.8)) / 3}
	x := r.TrialDetail[0]
	if x.Windows != 3 || x.Decided != "left" || math.Abs(float64(x.Evidence[0])-want[0]) > 1e-12 || math.Abs(float64(x.Evidence[1])-want[1]) > 1e-12 {
		t.Errorf("%+v, want left by %v over 3 windows", x, want)
	}
}

// TestScoreCountsOnlyWhatWasObserved: a gap over a trial takes the trial out, and its
// time is not idle either.
func TestScoreCountsOnlyWhatWasObserved(t *testing.T) {
	truth := session(t, 4)
	whole := decide(truth, oracle)
	d := &Decisions{Classes: whole.Classes, Step: 0.1, Settle: 2.5}
	for i, at := range whole.Time {
		if at > 30 && at < 36 { // a gap in the fourth trial, 28 to 32 s
			continue
		}
		if i > 0 && len(d.Time) > 0 && at > 36 && d.Time[len(d.Time)-1] < 31 {
			d.Breaks = append(d.Breaks, len(d.Time))
		}
		d.Time, d.P, d.Bad = append(d.Time, at), append(d.P, whole.Row(i)...), append(d.Bad, false)
	}
	r := scoreOf(t, d, truth, standard)
	// Settling takes 2.5 s from the first sample of a window of 2 s: half a second of
	// decisions at the start and after the gap; trial 5 (36 to 40 s) begins before that.
	if r.Trials != 13 || r.TrialsSkipped != 2 || r.Events != 13 || r.Hits != 13 || r.False != 0 {
		t.Errorf("%d trials, %d skipped, %d scored as events, %d hits, %d false", r.Trials, r.TrialsSkipped, r.Events, r.Hits, r.False)
	}
	before := 28 - 2.49 - 3*5
	after := 127.99 - 36.49 - (41 - 36.49) - 10*5
	if math.Abs(float64(r.IdleMinutes)*60-before-after) > 0.11 {
		t.Errorf("idle %v s, want %v", r.IdleMinutes*60, before+after)
	}
}

func TestScoreWithoutAnIdleClass(t *testing.T) {
	truth := session(t, 5)
	d := decide(truth, oracle)
	two := &Decisions{Classes: []string{"right", "left"}, Step: d.Step, Time: d.Time, Bad: d.Bad}
	for i := range d.Time {
		q := d.Row(i)
		two.P = append(two.P, (q[2]+0.5*q[1])/(q[0]+q[1]+q[2]), (q[0]+0.5*q[1])/(q[0]+q[1]+q[2]))
	}
	o := standard
	o.Rule.Confidence = 0.7
	r := scoreOf(t, two, truth, o)
	if r.NMCC != 1 || r.TrialAccuracy != 1 || r.EventTPR != 1 || !math.IsNaN(float64(r.Brier)) {
		t.Errorf("idle by doubt: nMCC %v, trials %v, TPR %v, Brier %v", r.NMCC, r.TrialAccuracy, r.EventTPR, r.Brier)
	}
	two.Decided = make([]int, len(d.Time)) // a gate that says idle at every other decision
	for i := range two.Decided {
		two.Decided[i] = argmax(two.Row(i))
		if i%2 == 0 {
			two.Decided[i] = -1
		}
	}
	gated := scoreOf(t, two, truth, o)
	if got, all := gated.Confusion[1][0]+gated.Confusion[2][0], r.Confusion[1][1]+r.Confusion[2][2]; got < all*2/5 || got > all*3/5 {
		t.Errorf("%d of %d task windows are decided idle by a gate that says so half of the time", got, all)
	}
}

func TestScoreRefuses(t *testing.T) {
	truth := session(t, 6)
	d := decide(truth, oracle)
	unknown, missing, cold := *d, *d, *d
	unknown.Classes = []string{"left", "rest", "feet"}
	missing.Classes, missing.P = []string{"left", "rest"}, make([]float64, 2*len(d.Time))
	cold.Settle = 1e6
	long, short := standard, standard
	long.Window = math.Inf(1)
	short.Shifts = 10
	few := *d
	few.Time, few.P, few.Bad = d.Time[:40], d.P[:120], d.Bad[:40]
	for want, err := range map[string]error{
		`knows a class "feet", which is not in the truth (rest, left, right)`: second(Score(&unknown, truth, standard)),
		`does not know the class "right": it knows left, rest`:                second(Score(&missing, truth, standard)),
		"all within the 1e+06 s of settling":                                  second(Score(&cold, truth, standard)),
		"window +Inf s is impossible":                                         second(Score(d, truth, long)),
		"leave too few shifts":                                                second(Score(&few, truth, short)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func second[A any](_ A, err error) error { return err }

// TestCollectorKeepsTheStream: whatever the chunks, Score sees the same decisions; and
// the commands of the stream are used when it has them.
func TestCollectorKeepsTheStream(t *testing.T) {
	truth := session(t, 7)
	want := decide(truth, oracle)
	rule := standard.Rule
	var plain []Decision
	for i := range want.Time {
		k := argmax(want.Row(i))
		plain = append(plain, Decision{want.Time[i], k, want.Row(i)[k]})
	}
	rule.Idle = 1
	want.Command = make([]int, len(want.Time))
	for i := range want.Command {
		want.Command[i] = -1
	}
	for _, c := range rule.Commands(plain) {
		want.Command[int(math.Round((c.Time-1.99)*10))] = c.Class
	}
	h := stream.Header{Name: "decisions", Rate: 10, MaxLen: 64, Channels: []stream.Channel{
		{Label: "left", Type: "probability"},
		{Label: "command", Type: "decision"},
		{Label: "rest", Type: "probability"},
		{Label: "decision", Type: "decision"},
		{Label: "right", Type: "probability"},
	}}
	own := want
	var first *Report
	for _, block := range []int{1, 7, 64} {
		c := &Collector{}
		if err := c.Open(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		src := stream.NewChunk(&h)
		for at := 0; at < len(want.Time); at += block {
			n := min(block, len(want.Time)-at)
			src.Clear()
			src.Resize(n)
			src.T0 = nanoseconds(want.Time[at])
			for i := range n {
				q := want.Row(at + i)
				src.SetColumn(i, []float64{q[0], float64(want.Command[at+i]), q[1], float64(argmax(q)), q[2]})
			}
			if err := c.Write(src); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		r := scoreOf(t, c.Decisions(), truth, standard)
		if first == nil {
			first = r
			direct := scoreOf(t, own, truth, standard)
			if r.Hits != direct.Hits || r.NMCC != direct.NMCC || r.TrialAccuracy != direct.TrialAccuracy || r.Dwell != 0 {
				t.Errorf("collected: %d hits, nMCC %v; directly: %d hits, nMCC %v", r.Hits, r.NMCC, direct.Hits, direct.NMCC)
			}
			without := *own
			without.Command = nil
			if derived := scoreOf(t, &without, truth, standard); derived.Hits != r.Hits || derived.Dwell != 3 {
				t.Errorf("%d hits by the stream's commands, %d by the same rule applied here", r.Hits, derived.Hits)
			}
			continue
		}
		a, errA := json.Marshal(r)
		b, errB := json.Marshal(first)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("blocks of %d give another report", block)
		}
	}
}

func TestCollectorIsBounded(t *testing.T) {
	h := stream.Header{Name: "decisions", Rate: 10, MaxLen: 8, Channels: []stream.Channel{{Label: "a", Type: "probability"}, {Label: "b", Type: "probability"}}}
	c := &Collector{Limit: 20}
	if err := c.Open(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	src := stream.NewChunk(&h)
	for i := range 10 {
		src.Clear()
		src.Resize(8)
		if i == 0 || i == 2 {
			src.Flags = stream.Restart
		}
		src.MarkBad(1, 3)
		if err := c.Write(src); err != nil {
			t.Fatal(err)
		}
	}
	d := c.Decisions()
	if d.Len() != 20 || d.Skipped != 60 || len(d.Breaks) != 1 || d.Breaks[0] != 16 || !d.Bad[3] || d.Bad[2] || d.Command != nil {
		t.Errorf("%d decisions, %d skipped, breaks %v, bad %v", d.Len(), d.Skipped, d.Breaks, d.Bad)
	}
	if err := (&Collector{Limit: -1}).Open(t.Context(), h); err == nil {
		t.Error("a limit of -1 is accepted")
	}
	h.Channels[0].Type = "EEG"
	if err := new(Collector).Open(t.Context(), h); err == nil || !strings.Contains(err.Error(), "1 rows of type probability") {
		t.Errorf("a stream without classes: %v", err)
	}
}
