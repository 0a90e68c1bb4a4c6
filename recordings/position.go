package recordings

import "neurostream/stream/montage"

// HeadRadius is the radius of the spherical head model in metres.
const HeadRadius = montage.Radius

// StandardPosition returns where an electrode of the 10-20, 10-10 or 10-05 system
// sits; see montage.Position.
func StandardPosition(label string) (pos [3]float64, ok bool) { return montage.Position(label) }

// canonical returns the canonical spelling of a 10-05 label.
func canonical(label string) (string, bool) { return montage.Canonical(label) }
