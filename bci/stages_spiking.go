package bci

// spikingStages: spiking networks, confidence and stopping rules.
var spikingStages = []StageType{}
