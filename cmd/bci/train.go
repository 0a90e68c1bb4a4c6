package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"neurostream/bci"
)

func newTrain() *cobra.Command {
	var from []string
	var out, update string
	var asJSON, quiet, force bool
	var folds int
	c := &cobra.Command{
		Use:   "train PIPELINE",
		Short: "Fit the stages of a pipeline that learn",
		Long: `train streams recordings through a pipeline exactly as a live run would, and fits
every stage that learns on the windows that lie within one labelled stretch, or,
when the pipeline names targets, on every column with the targets at its time. It
writes a model file that says what it was trained on and behind which stages, and
that is refused where it does not fit.

The same recordings and settings give the same model, byte for byte.`,
		Example: "  bci train mi.yaml --from sample:S007R04 --from sample:S007R08 --out mi.model",
		Args:    exactly("a pipeline file"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := bci.ReadPipeline(args[0])
			if err != nil {
				return err
			}
			if len(from) == 0 || out == "" {
				return usageError{fmt.Errorf("give the recordings with --from and the model's file name with --out; see: bci train --help")}
			}
			if _, err := os.Stat(out); err == nil && !force {
				return fmt.Errorf("%s exists already; choose another name, or give --force to replace it", out)
			}
			m, err := train(c, p, from, quiet, folds, update)
			if err != nil {
				return err
			}
			if err := m.Write(out); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(trainReport{out, m.Classes, m.Examples, m.Targets, m.Columns, m.Recordings, m.Hash, m.Scores})
			}
			learned := "windows per class: " + perClass(m)
			if len(m.Classes) == 0 {
				learned = "no labels were needed"
			}
			if len(m.Targets) > 0 {
				learned = fmt.Sprintf("%d columns; targets: %s", m.Columns, m.DescribeTargets())
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: trained on %d recordings; %s\n", out, len(m.Recordings), learned)
			if s := m.Scores; s != nil {
				fmt.Fprintf(c.OutOrStdout(), "cross-validated on them, %.0f folds: trials %.3f of %.0f (95%% interval %.3f to %.3f, chance %.3f), balanced accuracy of windows %.3f (chance %.3f)\n",
					s["folds"], s["trial_accuracy"], s["trials"], s["trial_low95"], s["trial_high95"], s["trial_chance"], s["balanced_accuracy"], s["balanced_accuracy_chance"])
			}
			return nil
		},
	}
	f := c.Flags()
	f.IntVar(&folds, "folds", 0, "cross-validate on the training recordings with this many folds and write the scores into the model; 0 = no")
	f.StringArrayVar(&from, "from", nil, "recording to learn from (`address`); may be given more than once")
	f.StringVar(&update, "update", "", "model `file` to learn on top of: what it knows stays (needs a stage with protect)")
	f.StringVar(&out, "out", "", "model `file` to write")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.BoolVar(&force, "force", false, "replace the model file")
	f.BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return c
}

// perClass lists how many windows of each class were learnt from.
func perClass(m *bci.Model) string {
	parts := make([]string, len(m.Classes))
	for i, name := range m.Classes {
		parts[i] = fmt.Sprintf("%s %d", name, m.Examples[name])
	}
	return strings.Join(parts, ", ")
}

type trainReport struct {
	Model        string             `json:"model"`
	Classes      []string           `json:"classes"`
	Examples     map[string]int     `json:"examples"`
	Targets      []bci.ModelChannel `json:"targets,omitempty"`
	Columns      int                `json:"columns"`
	Recordings   []bci.TrainedOn    `json:"recordings"`
	PipelineHash string             `json:"pipeline_hash"`
	Scores       map[string]float64 `json:"scores,omitempty"`
}

// train opens the recordings and fits the pipeline.
func train(c *cobra.Command, p *bci.Pipeline, from []string, quiet bool, folds int, update string) (*bci.Model, error) {
	t := bci.Trainer{Pipeline: p, Folds: folds}
	if update != "" {
		base, err := bci.ReadModel(update)
		if err != nil {
			return nil, err
		}
		t.Base = base
	}
	for _, a := range from {
		in, err := bci.OpenSource(a)
		if err != nil {
			return nil, err
		}
		if in.Recording == nil {
			return nil, usageError{fmt.Errorf("%s is a live stream; record it first, then train on the recording", a)}
		}
		defer in.Recording.Close()
		t.Recordings = append(t.Recordings, bci.TrainingRecording{Name: in.Name, Recording: in.Recording, From: in.Player.From, To: in.Player.To})
	}
	bar := newProgress(quiet)
	t.Progress = bar.show
	m, err := t.Train(c.Context())
	bar.done()
	return m, err
}
