package recordings

import (
	"fmt"
	"strings"

	"neurostream/stream"
)

// Types of channels that readers guess from labels and units.
const (
	TypeEEG  = "EEG"
	TypeEOG  = "EOG"
	TypeEMG  = "EMG"
	TypeECG  = "ECG"
	TypeStim = "stim" // trigger codes
	TypeMisc = "misc" // anything else
)

// DescribeChannel makes a channel of what a file says about a signal: label and unit
// in their usual spelling, the type as far as label, stated type (may be "") and
// unit tell, and the standard position of an EEG electrode.
func DescribeChannel(label, unit, stated string) stream.Channel {
	name, kind := CleanLabel(label)
	c := stream.Channel{Label: name, Unit: CleanUnit(unit), Type: kind}
	if known, ok := prefixes[strings.ToUpper(stated)]; ok {
		c.Type = known
	}
	if c.Type == "" {
		c.Type = TypeMisc
		if strings.HasSuffix(c.Unit, "V") {
			c.Type = TypeEEG
		}
	}
	if c.Type == TypeEEG {
		c.Position, c.Placed = StandardPosition(c.Label)
	}
	return c
}

// prefixes are EDF+'s standard texts for the kind of signal, and common ones.
var prefixes = map[string]string{
	"EEG": TypeEEG, "EOG": TypeEOG, "EMG": TypeEMG, "ECG": TypeECG, "EKG": TypeECG,
	"DIG": TypeStim, "STIM": TypeStim, "MISC": TypeMisc, "RESP": TypeMisc, "TEMP": TypeMisc, "SAO2": TypeMisc,
}

// stems are beginnings of labels that tell the kind without a prefix.
var stems = []struct{ stem, kind string }{
	{"HEOG", TypeEOG},
	{"VEOG", TypeEOG},
	{"EOG", TypeEOG},
	{"EMG", TypeEMG},
	{"ECG", TypeECG},
	{"EKG", TypeECG},
	{"STATUS", TypeStim},
	{"STIM", TypeStim},
	{"STI ", TypeStim},
	{"TRIG", TypeStim},
	{"MARKER", TypeStim},
	{"EVENT", TypeStim},
	{"EXG", TypeMisc},
	{"GSR", TypeMisc},
	{"ERG", TypeMisc},
	{"RESP", TypeMisc},
	{"PLET", TypeMisc},
	{"TEMP", TypeMisc},
	{"ACC", TypeMisc},
}

// references are suffixes of labels that say "against the common reference".
var references = []string{"-REF", "-LE", "-AR", "-AVG", "-CAR"}

// CleanLabel turns a label as files spell it into the usual one, and guesses the
// kind of signal ("" when the label does not tell): padding dots go, "EEG Fz-Ref"
// becomes "Fz", and labels of the 10-10 and 10-05 systems get their canonical
// spelling: "Fc5." becomes "FC5", "FPZ" becomes "Fpz". Other labels keep theirs.
func CleanLabel(raw string) (label, kind string) {
	label = strings.TrimSpace(strings.TrimRight(strings.TrimSpace(raw), "."))
	if head, rest, ok := strings.Cut(label, " "); ok {
		if k, known := prefixes[strings.ToUpper(head)]; known {
			kind = k
			if rest = strings.TrimSpace(rest); rest != "" {
				label = rest
			}
		}
	}
	if label == "" {
		return "?", kind
	}
	upper := strings.ToUpper(label)
	for _, ref := range references {
		if strings.HasSuffix(upper, ref) {
			if name, ok := canonical(label[:len(label)-len(ref)]); ok {
				label, upper = name, strings.ToUpper(name)
			}
			break
		}
	}
	if name, ok := canonical(label); ok && (kind == "" || kind == TypeEEG) {
		return name, TypeEEG
	}
	if kind == "" {
		for _, s := range stems {
			if strings.HasPrefix(upper, s.stem) {
				return label, s.kind
			}
		}
	}
	return label, kind
}

// CleanUnit spells voltages as uV, mV, nV and V whatever the file's spelling; other
// units keep theirs.
func CleanUnit(raw string) string {
	raw = strings.TrimSpace(raw)
	switch strings.ToLower(strings.ReplaceAll(raw, "μ", "µ")) {
	case "uv", "µv", "microv", "microvolt", "microvolts":
		return "uV"
	case "mv", "millivolt", "millivolts":
		if strings.HasPrefix(raw, "M") && raw != "MV" {
			return raw
		}
		return "mV"
	case "nv", "nanovolt", "nanovolts":
		return "nV"
	case "v", "volt", "volts":
		return "V"
	}
	return raw
}

// UniqueLabels renames repeated labels: the second "F1" becomes "F1 (2)".
func UniqueLabels(channels []stream.Channel) {
	taken := make(map[string]bool, len(channels))
	for i := range channels {
		taken[channels[i].Label] = true
	}
	seen := make(map[string]bool, len(channels))
	next := make(map[string]int)
	for i := range channels {
		l := channels[i].Label
		if seen[l] {
			n := max(next[l], 2)
			name := fmt.Sprintf("%s (%d)", l, n)
			for ; taken[name]; name = fmt.Sprintf("%s (%d)", l, n) {
				n++
			}
			next[l] = n + 1
			channels[i].Label, taken[name] = name, true
			l = name
		}
		seen[l] = true
	}
}
