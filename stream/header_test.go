package stream

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestHeaderValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(h *Header)
		want   string // "" = valid
	}{
		{"as it is", func(*Header) {}, ""},
		{"irregular", func(h *Header) { h.Rate, h.MaxLen = 0, 1 }, ""},
		{"delay and settling", func(h *Header) { h.Delay, h.Settle = 0.5, 2 }, ""},
		{"no channels", func(h *Header) { h.Channels = nil }, `stream "test" has no channels`},
		{"too many channels", func(h *Header) { h.Channels = make([]Channel, MaxChannels+1) }, "announces 65537 channels; the limit is 65536"},
		{"empty chunks", func(h *Header) { h.MaxLen = 0 }, "chunks of up to 0 columns; allowed are 1 to 4194304"},
		{"long chunks", func(h *Header) { h.MaxLen = MaxColumns + 1 }, "chunks of up to 4194305 columns"},
		{"too much memory", func(h *Header) { *h = *header(100, MaxColumns) }, "100 x 4194304 cells; the limit is 268435456 cells"},
		{"negative rate", func(h *Header) { h.Rate = -1 }, "rate of -1 Hz; a rate is positive, or 0 for irregular"},
		{"no rate", func(h *Header) { h.Rate = math.NaN() }, "rate of NaN Hz"},
		{"endless rate", func(h *Header) { h.Rate = math.Inf(1) }, "rate of +Inf Hz"},
		{"irregular blocks", func(h *Header) { h.Rate = 0 }, "is irregular, so its chunks hold one column, not 40"},
		{"negative delay", func(h *Header) { h.Delay = -1 }, "a delay of -1 s"},
		{"no delay", func(h *Header) { h.Delay = math.NaN() }, "a delay of NaN s"},
		{"endless settling", func(h *Header) { h.Settle = math.Inf(1) }, "a settling time of +Inf s"},
		{"no label", func(h *Header) { h.Channels[1].Label = " \t" }, "channel 2 has no label"},
		{"one label twice", func(h *Header) { h.Channels[2].Label = "ch1" }, `channels 1 and 3 are both called "ch1"`},
	} {
		h := header(3, 40)
		c.change(h)
		err := h.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: the error has more than one line", c.name)
		}
	}
}

func TestHeaderLooksUpAndClones(t *testing.T) {
	h := header(3, 40)
	if h.Rows() != 3 || h.Index("ch2") != 1 || h.Index("CH2") != -1 || !slices.Equal(h.Labels(), []string{"ch1", "ch2", "ch3"}) {
		t.Errorf("rows %d, index %d and %d, labels %v", h.Rows(), h.Index("ch2"), h.Index("CH2"), h.Labels())
	}
	c := h.Clone()
	c.Channels[0].Label = "other"
	if h.Channels[0].Label != "ch1" || c.Name != "test" || c.Rate != 250 || c.MaxLen != 40 {
		t.Error("a clone shares memory or lost a field")
	}
}

// TestKindNumbers: the numbers stand in recordings, so none may ever change.
func TestKindNumbers(t *testing.T) {
	names := []string{"none", "gap", "double", "reorder", "clock-jump", "drop", "restart", "rate-change", "malformed", "stale", "bad-samples", "bridge", "model-swap", "note", "channel-bad", "channel-good", "artifact", "fallback"}
	for i, want := range names {
		k := Kind(i)
		if k.String() != want {
			t.Errorf("kind %d is %q, want %q", i, k, want)
		}
		if back, ok := KindOf(want); !ok || back != k {
			t.Errorf("%q is kind %d", want, back)
		}
	}
	if EventFallback != Kind(len(kindNames)-1) || len(names) != len(kindNames) {
		t.Error("a kind has no name")
	}
	if Kind(200).String() != "kind-200" {
		t.Errorf("an unknown kind is %q", Kind(200))
	}
	if _, ok := KindOf("nonsense"); ok {
		t.Error("nonsense is a kind")
	}
	e := Event{Kind: EventGap, Seq: 7, Count: 3, Origin: "udp"}
	if e.String() != "udp gap at column 7: 3" {
		t.Errorf("event %q", e)
	}
	e.Detail = "datagram 9 after 5"
	if e.String() != "udp gap at column 7: 3 (datagram 9 after 5)" {
		t.Errorf("event %q", e)
	}
}
