package bci

// kalmanStages: Kalman filters and their discriminative relatives.
var kalmanStages = []StageType{}
