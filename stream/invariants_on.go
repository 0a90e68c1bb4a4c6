//go:build invariants

package stream

// Invariants is true in builds tagged "invariants": memory that changes hands is
// overwritten with NaN, so that a reference kept too long shows at once.
const Invariants = true
