package bci

import (
	"sort"

	"neurostream/stream"
)

// StageType is a word of the pipeline vocabulary: a stage's name, its settings and
// its constructor.
type StageType struct {
	Name   string
	Doc    string // one line
	Params []Param
	New    func(*Settings) stream.Stage
	// Example is the stage as it stands in a pipeline file, in one line; `bci
	// stages` prints it, and the contract test runs it.
	Example string
	// Input says what the contract test feeds it: "" = 8 EEG channels at 250 Hz,
	// "covariance", "features", "probabilities", "samples".
	Input string
	// Decides: it puts out class probabilities although it does not learn.
	Decides bool
	// Regression stages are fitted on targets instead of classes.
	Regression bool
	// Either: it is fitted on targets where the pipeline names some, else on classes.
	Either bool
}

// StageGroup is a part of the vocabulary: one table, in one file.
type StageGroup struct {
	Doc    string // what goes in and what comes out
	Stages []StageType
}

// StageGroups is the whole vocabulary in the order of a pipeline. To add a stage,
// write it in its package and add a row to the table it belongs to.
func StageGroups() []StageGroup {
	return []StageGroup{
		{"filters: samples to samples", filterStages},
		{"features: windows of samples to rows of numbers", featureStages},
		{"decoders, classical and Riemannian: features to probabilities, decisions and commands", classicalStages},
		{"decoders, Kalman family: features to movement", kalmanStages},
		{"decoders, spiking; confidence and stopping", spikingStages},
	}
}

// Stages is the whole vocabulary as one list.
func Stages() []StageType {
	var all []StageType
	for _, g := range StageGroups() {
		all = append(all, g.Stages...)
	}
	return all
}

// FindStage returns the stage with this name, or nil.
func FindStage(name string) *StageType {
	for _, t := range Stages() {
		if t.Name == name {
			return &t
		}
	}
	return nil
}

// StageNames returns all names, sorted, with "lane" and "side", which are not stages but
// stand among them.
func StageNames() []string {
	names := []string{"lane", "side"}
	for _, t := range Stages() {
		names = append(names, t.Name)
	}
	sort.Strings(names)
	return names
}
