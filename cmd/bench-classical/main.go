// Bench-classical trains and judges the classical and Riemannian pipelines on real
// recordings, always on runs they have not seen, and writes a table into BENCHMARKS.md.
//
//	go run ./cmd/bench-classical [-data ../shared/data] [-document BENCHMARKS.md]
//
// Recordings: eegmmidb (imagery: R04 and R08 to learn, R12 to judge), ssvep_exo (first
// run of a person to learn, second to judge) and p300_br41n (first 120 s, the rest).
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"neurostream/bci"
	"neurostream/replay"
)

//go:embed pipelines/*.yaml
var pipelines embed.FS

func main() {
	data := flag.String("data", "../shared/data", "folder with the recordings")
	document := flag.String("document", "BENCHMARKS.md", "file whose section is replaced; - = print only")
	flag.Parse()
	if err := run(*data, *document); err != nil {
		fmt.Fprintln(os.Stderr, "bench-classical:", err)
		os.Exit(1)
	}
}

// session is what a pipeline learns from and is judged on.
type session struct {
	train []string
	test  string
}

// tally counts right answers.
type tally struct {
	name     string // of the pipeline
	right, n int
	auc      []string
}

func run(data, document string) error {
	eeg := func(s, r string) string { return "file:" + filepath.Join(data, "eegmmidb", s, s+r+".edf.gz") }
	ssvep := func(f string) string { return "file:" + filepath.Join(data, "ssvep_exo", f+".edf.gz") }
	p300 := func(s, part string) string { return "file:" + filepath.Join(data, "p300_br41n", s+".mat") + part }
	if _, err := os.Stat(data); err != nil {
		return fmt.Errorf("%s is not there: give the folder with eegmmidb, ssvep_exo and p300_br41n by -data (see cmd/bench-classical)", data)
	}
	mi := map[string]session{}
	for _, s := range []string{"S007", "S002", "S005"} {
		mi[s] = session{[]string{eeg(s, "R04"), eeg(s, "R08")}, eeg(s, "R12")}
	}
	flicker := []session{}
	for _, f := range [][2]string{
		{"S01_2012.07.06-19.02.16", "S01_2012.07.06-19.06.14"},
		{"S02_2012.07.19-17.36.23", "S02_2012.07.19-17.41.14"},
		{"S03_2012.07.11-15.25.23", "S03_2012.07.11-15.33.08"},
		{"S04_2012.07.18-17.52.30", "S04_2012.07.18-17.56.53"},
		{"S05_2012.07.19-11.24.02", "S05_2012.07.19-11.28.18"},
		{"S06_2012.07.20-12.20.55", "S06_2012.07.20-12.26.47"},
		{"S07_2012.07.18-09.15.30", "S07_2012.07.18-09.21.13"},
		{"S09_2013.04.09-17.32.29", "S09_2013.04.09-17.39.37"},
		{"S10_2014.02.26-15.32.36", "S10_2014.02.26-15.40.22"},
	} {
		flicker = append(flicker, session{[]string{ssvep(f[0])}, ssvep(f[1])})
	}
	var b strings.Builder
	b.WriteString("## Classical and Riemannian decoders on real recordings\n\nCausal streams; learned from earlier runs of the same person, judged on a later one. `go run ./cmd/bench-classical` makes this table; intervals are Clopper-Pearson, 95 %.\n\n")
	b.WriteString("Motor imagery, left or right hand (EEGMMIDB, R04 and R08 → R12), evidence averaged over a trial; a guesser gets 7.5 of 15 and stays below 12 in 95 % of sessions. S005 is at chance with the usual decoders offline, too.\n\n| pipeline | S007 | S002 | S005 | together |\n|---|---|---|---|---|\n")
	for _, name := range []string{"mi-csp-lda", "mi-csp-svm", "mi-fbcsp", "mi-mdm", "mi-fgmdm", "mi-ts-lr", "mi-ts-svm", "mi-acm"} {
		all := tally{}
		cells := ""
		for _, s := range []string{"S007", "S002", "S005"} {
			one := tally{}
			if err := judge(name, mi[s], &one); err != nil {
				return err
			}
			cells += fmt.Sprintf(" %d of %d |", one.right, one.n)
			all.name, all.right, all.n = one.name, all.right+one.right, all.n+one.n
		}
		fmt.Fprintf(&b, "| %s |%s %s |\n", all.name, cells, all.share())
		fmt.Fprintln(os.Stderr, name, all.share())
	}
	b.WriteString("\nFlicker of 13, 17 or 21 Hz (ssvep_exo, nine people, first run → second run), the one window from 0.5 to 4.5 s after the cue; chance 1 in 3. The recordings do not say that the flicker starts with the cue; TRCA, which rests on a phase that repeats, finds nothing here.\n\n| pipeline | right | 95 % interval |\n|---|---|---|\n")
	for _, name := range []string{"ssvep-cca", "ssvep-fbcca", "ssvep-ts", "ssvep-trca"} {
		all := tally{}
		for _, s := range flicker {
			if err := judge(name, s, &all); err != nil {
				return err
			}
		}
		fmt.Fprintf(&b, "| %s | %d of %d = %.3f | %s |\n", all.name, all.right, all.n, float64(all.right)/float64(all.n), all.interval())
		fmt.Fprintln(os.Stderr, name, all.share())
	}
	b.WriteString("\nP300, target or not (p300_br41n, first 120 s → from 121 s), single flashes, the window of 0.7 s after each; chance 0.5; intervals after Hanley & McNeil.\n\n| pipeline | S1: area under the ROC | S2 |\n|---|---|---|\n")
	for _, name := range []string{"p300-plain", "p300-lda", "p300-mdm", "p300-ts"} {
		all := tally{}
		for _, s := range []string{"S1", "S2"} {
			if err := judge(name, session{[]string{p300(s, "?to=120")}, p300(s, "?from=121")}, &all); err != nil {
				return err
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", all.name, strings.Join(all.auc, " | "))
		fmt.Fprintln(os.Stderr, name, all.auc)
	}
	if document == "-" {
		fmt.Print(b.String())
		return nil
	}
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	return os.WriteFile(document, []byte(withSection(string(old), b.String())), 0o644)
}

// withSection replaces the section between the marks, or appends it.
func withSection(document, text string) string {
	const begin, end = "<!-- bench-classical -->\n", "<!-- end of bench-classical -->\n"
	block := begin + strings.TrimSpace(text) + "\n" + end
	if head, rest, ok := strings.Cut(document, begin); ok {
		if _, tail, ok := strings.Cut(rest, end); ok {
			return head + block + tail
		}
	}
	return strings.TrimRight(document, "\n") + "\n\n" + block
}

func (t *tally) interval() string {
	lo, hi := replay.ClopperPearson(t.right, t.n, 0.05)
	return fmt.Sprintf("%.3f to %.3f", lo, hi)
}

func (t *tally) share() string {
	return fmt.Sprintf("%d of %d = %.3f (%s)", t.right, t.n, float64(t.right)/float64(t.n), t.interval())
}

// judge trains a pipeline when it learns, runs it, and adds to the tally.
func judge(name string, s session, t *tally) error {
	src, err := pipelines.ReadFile("pipelines/" + name + ".yaml")
	if err != nil {
		return err
	}
	p, err := bci.ParsePipeline(name+".yaml", src)
	if err != nil {
		return err
	}
	t.name = p.Name
	ctx := context.Background()
	var m *bci.Model
	if p.Learns() {
		tr := bci.Trainer{Pipeline: p}
		for _, a := range s.train {
			in, err := bci.OpenSource(a)
			if err != nil {
				return err
			}
			defer in.Recording.Close()
			tr.Recordings = append(tr.Recordings, bci.TrainingRecording{Name: in.Name, Recording: in.Recording, From: in.Player.From, To: in.Player.To})
		}
		if m, err = tr.Train(ctx); err != nil {
			return err
		}
	}
	in, err := bci.OpenSource(s.test)
	if err != nil {
		return err
	}
	c := new(replay.Collector)
	e, err := bci.NewEngine(p, m, in.Source, []bci.Output{{Name: "scores", Sink: c, Lossless: true}}, bci.Options{Slots: 2})
	if err != nil {
		return err
	}
	if err := e.Open(ctx); err != nil {
		return err
	}
	h, notes, columns := e.In(), in.Recording.Annotations(), in.Recording.Len()
	if err := e.Run(ctx); err != nil {
		return err
	}
	if p.Train.At > 0 {
		l, err := bci.JudgeLocked(p, notes, c.Decisions())
		if err != nil {
			return err
		}
		t.right, t.n = t.right+l.Correct, t.n+l.Events
		t.auc = append(t.auc, fmt.Sprintf("%.3f (%.3f to %.3f), %d flashes", l.AUC, l.AUCLow95, l.AUCHigh95, l.Events))
		return nil
	}
	task, err := p.Task()
	if err != nil {
		return err
	}
	truth, err := replay.NewTruth(task, notes, h.Rate, columns)
	if err != nil {
		return err
	}
	r, err := replay.Score(c.Decisions(), truth, replay.Options{Window: 2, Rate: h.Rate})
	if err != nil {
		return err
	}
	t.right, t.n = t.right+r.TrialsCorrect, t.n+r.Trials
	return nil
}
