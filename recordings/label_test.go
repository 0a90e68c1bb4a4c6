package recordings

import (
	"testing"

	"neurostream/stream"
)

func TestCleanLabel(t *testing.T) {
	for _, c := range []struct{ raw, label, kind string }{
		{"Fc5.", "FC5", TypeEEG},
		{"C3..", "C3", TypeEEG},
		{"FPZ", "Fpz", TypeEEG},
		{"Afz.", "AFz", TypeEEG},
		{"EEG Fp1-Ref", "Fp1", TypeEEG},
		{"EEG T3-LE", "T3", TypeEEG},
		{"EEG Fpz-Cz", "Fpz-Cz", TypeEEG},
		{"EEG ffc5h", "FFC5h", TypeEEG},
		{"EOG horizontal", "horizontal", TypeEOG},
		{"VEOG", "VEOG", TypeEOG},
		{"EMG submental", "submental", TypeEMG},
		{"ECG ECG1", "ECG1", TypeECG},
		{"DIG DTRIG", "DTRIG", TypeStim},
		{"Status", "Status", TypeStim},
		{"Temp rectal", "rectal", TypeMisc},
		{"POL $A1", "POL $A1", ""},
		{"Ch 1", "Ch 1", ""},
		{"A12", "A12", ""},
		{"EEG", "EEG", ""},
		{"  ....", "?", ""},
	} {
		if label, kind := CleanLabel(c.raw); label != c.label || kind != c.kind {
			t.Errorf("CleanLabel(%q) = %q, %q; want %q, %q", c.raw, label, kind, c.label, c.kind)
		}
	}
	for raw, want := range map[string]string{"uV": "uV", "µV": "uV", "μV": "uV", "microV": "uV", "mV": "mV", "V": "V", "Boolean": "Boolean", " DegC ": "DegC"} {
		if got := CleanUnit(raw); got != want {
			t.Errorf("CleanUnit(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestUniqueLabels(t *testing.T) {
	channels := []stream.Channel{{Label: "a"}, {Label: "a"}, {Label: "a (2)"}, {Label: "a"}, {Label: "a (2)"}}
	UniqueLabels(channels)
	seen := map[string]bool{}
	for _, c := range channels {
		if seen[c.Label] {
			t.Errorf("%q twice in %v", c.Label, channels)
		}
		seen[c.Label] = true
	}
	if channels[0].Label != "a" || channels[2].Label != "a (2)" {
		t.Errorf("first owners renamed: %v", channels)
	}
}
