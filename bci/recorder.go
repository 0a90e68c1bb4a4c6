package bci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"neurostream/recordings/xdf"
	"neurostream/stream"
	"neurostream/stream/lsl"
)

// Recorder writes any number of LSL streams into one XDF file: stamps as the senders
// made them, clock offsets from the first second, every restart, gap and drop as a
// line of an events stream. What a crash can take is at most half a second old.
//
//	inlet ─┐
//	inlet ─┼─► xdf.Writer ─► file (append-only)
//	inlet ─┘
//
// A stream that goes away and comes back with its source id goes on as the same stream of
// the file. With Follow, streams that appear later are recorded from then on.
type Recorder struct {
	path   string
	w      *xdf.Writer
	clock  stream.Clock
	events uint32
	follow *lsl.Match // nil: only what was added

	mu      sync.Mutex
	streams []*recorded // only growing
	begun   stream.Time // when Run began; 0 = not yet
}

// recordEvery is how long samples wait in the sockets at most, where they are as safe as
// here. A recorder that reads each as it comes wakes a thread for each, and a decoder on
// the same computer waits for a processor more often.
const recordEvery = 200 * time.Millisecond

// recorded is one stream under way.
type recorded struct {
	inlet   *lsl.Inlet
	info    lsl.Info
	id      uint32
	samples atomic.Int64
	events  atomic.Int64
	gaps    atomic.Int64
	first   atomic.Int64 // engine time of the first and the newest sample
	newest  atomic.Int64
	marker  atomic.Pointer[string] // the newest, of an irregular stream of strings
	offsets int                    // clock measurements written
	err     atomic.Pointer[string] // why it ended before the recording
	joined  float64                // seconds after Run began; 0 = it was there
}

// marks reports whether the samples are markers.
func (s *recorded) marks() bool { return s.info.Format == lsl.String && s.info.Rate == 0 }

// RecordedStream is the state of one stream of a recording.
type RecordedStream struct {
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Host     string  `json:"host"`
	State    string  `json:"state"` // "connected", "searching", "ended"
	Channels int     `json:"channels"`
	Nominal  float64 `json:"nominal_hz"` // 0 = irregular
	Measured float64 `json:"measured_hz"`
	Samples  int64   `json:"samples"`
	Gaps     int64   `json:"gaps"`     // interruptions seen
	Missing  int64   `json:"missing"`  // samples that the stamps say were never sent to us
	Dropped  int64   `json:"dropped"`  // samples discarded here
	Restarts int64   `json:"restarts"` // of the sender
	OffsetMS float64 `json:"clock_offset_ms"`
	DriftPPM float64 `json:"clock_drift_ppm"`
	QuietS   float64 `json:"quiet_s"` // since the newest sample; 0 before the first
	Markers  int64   `json:"markers"` // samples of an irregular stream of strings; 0 of others
	Marker   string  `json:"last_marker,omitempty"`
	JoinedS  float64 `json:"joined_s"` // how long after the recording began it appeared; 0 = it was there
	Error    string  `json:"error,omitempty"`
}

// NewRecorder creates the file; it fails when it exists.
func NewRecorder(path string) (*Recorder, error) {
	w, err := xdf.Create(path, xdf.WriterOptions{FlushEvery: 500*time.Millisecond - recordEvery})
	if err != nil {
		return nil, err
	}
	r := &Recorder{path: path, w: w, clock: stream.Wall{}}
	r.events, err = w.AddStream(xdf.Info{Name: "recorder events", Type: "Events", Format: xdf.String, Channels: []xdf.Channel{{Label: xdf.EventChannel}}, SourceID: "recorder events"})
	return r, err
}

// Add connects to a stream. Before Run.
func (r *Recorder) Add(ctx context.Context, s lsl.Stream) error {
	_, err := r.add(ctx, s, 0)
	return err
}

// Follow has Run record streams that match and appear later, too. Before Run.
func (r *Recorder) Follow(m lsl.Match) { r.follow = &m }

func (r *Recorder) add(ctx context.Context, s lsl.Stream, joined float64) (*recorded, error) {
	in, err := lsl.OpenInlet(ctx, s, lsl.InletOptions{Batch: recordEvery})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	full, err := in.FullInfo(ctx)
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("%s: its description cannot be read: %w", s.Name, err)
	}
	format, ok := xdf.ParseFormat(full.Format.String())
	if !ok {
		in.Close()
		return nil, fmt.Errorf("%s: format %v cannot be recorded", s.Name, full.Format)
	}
	id, err := r.w.AddStream(xdf.Info{
		Name: full.Name, Type: full.Type, Format: format, Rate: full.Rate, Channels: make([]xdf.Channel, full.Channels),
		SourceID: full.SourceID, Hostname: full.Hostname, XML: string(full.AppendXML(nil, true)),
	})
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	added := &recorded{inlet: in, info: full, id: id, joined: joined}
	r.mu.Lock()
	r.streams = append(r.streams, added)
	r.mu.Unlock()
	return added, nil
}

// all returns the streams so far.
func (r *Recorder) all() []*recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.streams[:len(r.streams):len(r.streams)]
}

// started returns when Run began.
func (r *Recorder) started() stream.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.begun
}

// Run records until ctx ends, then closes the file. A stream that is lost for good
// ends alone; the file failing ends all.
func (r *Recorder) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r.mu.Lock()
	r.begun = r.clock.Now()
	r.mu.Unlock()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failure error
	fail := func(err error) {
		mu.Lock()
		failure = errors.Join(failure, err)
		mu.Unlock()
		stop()
	}
	start := func(s *recorded) {
		wg.Go(func() {
			if err := r.record(ctx, s); err != nil {
				fail(err)
			}
		})
	}
	for _, s := range r.all() {
		start(s)
	}
	if r.follow != nil {
		l, err := newLatecomers(r, start)
		if err != nil {
			fail(err)
		} else {
			wg.Go(func() {
				if err := l.run(ctx); err != nil {
					fail(err)
				}
			})
		}
	}
	wg.Go(func() {
		for tick := time.NewTicker(time.Second); ; {
			for _, s := range r.all() {
				if err := r.offsets(s); err != nil {
					return // the writer's error comes back to every stream
				}
			}
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	})
	wg.Wait()
	for _, s := range r.all() {
		failure = errors.Join(failure, r.offsets(s), s.inlet.Close())
	}
	return errors.Join(failure, r.w.Close())
}

// record moves one stream into the file.
func (r *Recorder) record(ctx context.Context, s *recorded) error {
	var b lsl.Batch
	var numbers []float64
	var ints []int64
	var words []string
	var raw [][]byte
	for {
		if err := s.inlet.Pull(ctx, &b, 0); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			why := err.Error()
			s.err.Store(&why) // this stream has ended; the others go on
			return r.note(stream.Event{Kind: stream.EventNote, Time: r.clock.Now(), Origin: s.info.Name, Detail: err.Error()})
		}
		for _, e := range b.Events {
			s.events.Add(1)
			if e.Kind == stream.EventGap || e.Kind == stream.EventRestart || e.Kind == stream.EventDrop {
				s.gaps.Add(1)
			}
			if err := r.note(e); err != nil {
				return err
			}
		}
		n := b.Len()
		if n == 0 {
			continue
		}
		numbers, ints, words = numbers[:0], ints[:0], words[:0]
		for i := range n {
			switch s.info.Format {
			case lsl.String:
				raw = lsl.Strings(raw[:0], b.Sample(i))
				for _, w := range raw {
					words = append(words, string(w))
				}
			case lsl.Float32, lsl.Double64:
				numbers = lsl.Numbers(numbers, s.info.Format, b.Sample(i))
			default:
				ints = lsl.Ints(ints, s.info.Format, b.Sample(i))
			}
		}
		var err error
		switch s.info.Format {
		case lsl.String:
			err = r.w.WriteStrings(s.id, b.Stamps, words)
		case lsl.Float32, lsl.Double64:
			err = r.w.Write(s.id, b.Stamps, numbers)
		default:
			err = r.w.WriteInts(s.id, b.Stamps, ints)
		}
		if err != nil {
			return err
		}
		if s.samples.Add(int64(n)) == int64(n) {
			s.first.Store(int64(b.Arrived[0]))
		}
		s.newest.Store(int64(b.Arrived[n-1]))
		if s.marks() && len(words) > 0 {
			last := strings.Clone(words[len(words)-1])
			s.marker.Store(&last)
		}
	}
}

func (r *Recorder) note(e stream.Event) error {
	b, err := json.Marshal(map[string]any{"kind": e.Kind.String(), "column": e.Seq, "count": e.Count, "origin": e.Origin, "detail": e.Detail})
	if err != nil {
		return err
	}
	return r.w.WriteStrings(r.events, []float64{lsl.ToStamp(e.Time)}, []string{string(b)})
}

// offsets writes the clock measurements that came since the last call.
func (r *Recorder) offsets(s *recorded) error {
	points := s.inlet.History()
	for ; s.offsets < len(points); s.offsets++ {
		p := points[s.offsets]
		if err := r.w.ClockOffset(s.id, xdf.Offset{Time: p.Remote, Value: p.Offset}); err != nil {
			return err
		}
	}
	return nil
}

// Size returns the bytes in the file.
func (r *Recorder) Size() int64 { return r.w.Size() }

// Streams returns the state of every stream. Any goroutine may call it.
func (r *Recorder) Streams() []RecordedStream {
	all := r.all()
	out := make([]RecordedStream, 0, len(all))
	now := r.clock.Now()
	for _, s := range all {
		st, clock := s.inlet.Stats(), s.inlet.Clock()
		row := RecordedStream{
			Name: s.info.Name, Type: s.info.Type, Host: s.info.Hostname, State: st.State, Channels: s.info.Channels, Nominal: s.info.Rate,
			Samples: s.samples.Load(), Gaps: s.gaps.Load(), Missing: st.Missing, Dropped: st.Dropped, Restarts: st.Restarts,
			OffsetMS: clock.Offset * 1e3, DriftPPM: clock.Slope * 1e6, JoinedS: s.joined,
		}
		if first, newest := s.first.Load(), s.newest.Load(); newest > first {
			row.Measured = float64(row.Samples-1) / (float64(newest-first) * 1e-9)
			row.QuietS = max(0, (now - stream.Time(newest)).Seconds())
		}
		if why := s.err.Load(); why != nil {
			row.Error = *why
		}
		if s.marks() {
			row.Markers = row.Samples
			if m := s.marker.Load(); m != nil {
				row.Marker = *m
			}
		}
		out = append(out, row)
	}
	return out
}
