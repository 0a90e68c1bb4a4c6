// Package replay plays finished recordings as if they were live, and judges what a
// pipeline made of them: labels with the idle state, splits that share no sample,
// scores, and the statistics that say what a score is worth.
//
//	Recording ─► Player ─► (Impair) ─► pipeline ─► Collector ─► Decisions ┐
//	    └─► annotations ─► Truth ─────────────────────────────────────────┴─► Score ─► Report
//
// Times of truth and decisions are seconds on the player's timeline: column/rate
// from the start of the first recording. Samples and windows are counted in columns.
package replay
