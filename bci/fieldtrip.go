package bci

import (
	"fmt"
	"net/url"

	"neurostream/stream"
	"neurostream/stream/udp"
)

// fieldTripSource is the row of [Sources] that reads a FieldTrip buffer.
func fieldTripSource() SourceType {
	return SourceType{
		Scheme: "fieldtrip", Doc: "read a FieldTrip buffer", Example: "fieldtrip://127.0.0.1:1972?unit=uV",
		Params: textParams([][]udp.Param{udp.FieldTripParams}),
		Open: func(a Address, _ *Settings) (*Input, error) {
			values, err := url.ParseQuery(a.Query)
			if err != nil {
				return nil, fmt.Errorf("%s: the part behind ? cannot be read (%v)", a.Text, err)
			}
			s, err := udp.NewFieldTripSource(a.Place, values)
			if err != nil {
				return nil, err
			}
			return &Input{Source: s, Live: true, Name: a.Text}, nil
		},
	}
}

// fieldTripSink is the row of [Sinks] that offers a FieldTrip buffer.
func fieldTripSink() SinkType {
	return SinkType{
		Scheme: "fieldtrip", Doc: "offer as a FieldTrip buffer, for MNE, FieldTrip and others to read", Example: "fieldtrip://127.0.0.1:1972",
		Params: append([]Param{
			{Name: "seconds", Kind: Number, Unit: "s", Default: 60.0, Min: 1, Max: 86400, Doc: "how much the buffer keeps"},
			{Name: "double", Kind: Truth, Default: false, Doc: "offer float64 instead of float32"},
		}, tapParams...),
		Open: func(a Address, s *Settings) (stream.Sink, error) {
			return &udp.FieldTripServer{Address: a.Place, Seconds: s.Float("seconds"), Double: s.Bool("double")}, nil
		},
	}
}
