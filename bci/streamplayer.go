package bci

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"neurostream/recordings/xdf"
	"neurostream/stream"
	"neurostream/stream/lsl"
)

// StreamPlayer sends the streams of an XDF file as Lab Streaming Layer outlets, each as
// it was recorded: name, type, source id, description, format and every value.
//
//	                       ┌─► outlet
//	xdf.File ─► one clock ─┼─► outlet
//	                       └─► outlet
//
// Stamps are those of the file, brought to the recorder's clock and, at a fixed rate,
// straightened (xdf.Timing), and moved to this computer's clock by one shift for all
// streams: what lay 1.3 s apart has stamps 1.3 s apart, at every speed, and is sent
// 1.3 s / Speed apart. Gaps stay. In a loop all streams start again together, when the
// last one has ended. Samples are sent 5 ms after
// they are due at most, unless the machine is late (Late).
type StreamPlayer struct {
	Speed float64       // seconds of the recording per second; 0 = 1
	Loop  bool          // start again at the end; Run then ends with its context only
	Wait  time.Duration // how long Run waits for a receiver of every stream; 0 = not at all
	Clock stream.Clock  // nil = stream.Wall

	file    *xdf.File
	streams []*sending
	left    []string
	first   float64      // stamp at which the timeline begins
	length  float64      // seconds of one round
	at      atomic.Int64 // nanoseconds of the round that are played
	worst   atomic.Int64 // longest that a sample was late, in nanoseconds
}

// sending is one stream under way.
type sending struct {
	s      *xdf.Stream
	outlet *lsl.Outlet
	times  []float64 // seconds since the timeline began
	next   int       // sample of this round
	sent   atomic.Int64
	lost   atomic.Int64 // dropped by receivers that were too slow, when the run ended

	floats []float64
	ints   []int64
	texts  []string
}

// PlayedStream describes a stream of a StreamPlayer.
type PlayedStream struct {
	Name, Type string
	Channels   int
	Format     string
	Rate       float64 // Hz as recorded; 0 = irregular
	Samples    int64   // of one round
	Begins     float64 // seconds after the first of all streams; NaN without samples
	Sent       int64   // so far, all rounds
	Dropped    int64   // by receivers that were too slow; after Run
}

const (
	sendEvery  = stream.Time(5e6) // shortest time between two rounds of sends
	playBlock  = 256              // samples read at once
	longestXDF = 1e8              // seconds, three years: more is a broken clock
)

// OpenStreamPlayer opens an XDF file and makes an outlet of each of its streams; names,
// when there are any, choose them by name, number, type or source id. What happened to
// the recording itself (xdf.EventChannel) is sent only when it is chosen. Nothing is
// visible on the network before Run.
func OpenStreamPlayer(path string, names ...string) (*StreamPlayer, error) {
	f, err := xdf.Open(path)
	if err != nil {
		return nil, err
	}
	p := &StreamPlayer{file: f}
	if err := p.choose(names); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func (p *StreamPlayer) choose(names []string) error {
	var all []string
	found := make([]bool, len(names))
	p.first = math.Inf(1)
	for _, s := range p.file.Streams() {
		called := fmt.Sprintf("%d %s (%s)", s.ID, s.Info.Name, s.Info.Type)
		all = append(all, called)
		chosen := false
		for i, n := range names {
			if s.Called(n) {
				found[i], chosen = true, true
			}
		}
		switch own := s.Info.Format == xdf.String && s.Info.Channels[0].Label == xdf.EventChannel; {
		case len(names) == 0 && own:
			p.left = append(p.left, called+" tells what happened to the recording itself; choose it by name to send it")
			continue
		case len(names) > 0 && !chosen:
			p.left = append(p.left, called+" was not chosen")
			continue
		}
		t := s.Times(xdf.Timing{ClockSync: true, Dejitter: true, MinGap: 3}).Stamps // gaps as in File.Recording
		for _, at := range t {
			p.first = min(p.first, at)
		}
		p.streams = append(p.streams, &sending{s: s, times: t})
	}
	for i, n := range names {
		if !found[i] {
			return fmt.Errorf("no stream is called %q; there are %s", n, strings.Join(all, ", "))
		}
	}
	if math.IsInf(p.first, 1) {
		return errors.New("holds no samples to play")
	}
	for _, s := range p.streams {
		for i := range s.times {
			s.times[i] -= p.first
			p.length = max(p.length, s.times[i])
		}
		if n := len(s.times); n > 0 && s.s.Regular() {
			p.length = max(p.length, s.times[n-1]+1/s.s.Info.Rate)
		}
	}
	if p.length > longestXDF {
		return fmt.Errorf("its streams lie %.3g s apart: a clock was wrong; choose streams that belong together (bci xdf check lists them)", p.length)
	}
	p.length = max(p.length, 1) // a loop over a single marker must not spin
	return nil
}

// LeftOut says which streams are not played, and why.
func (p *StreamPlayer) LeftOut() []string { return p.left }

// Damage returns the number of stretches of the file that could not be read.
func (p *StreamPlayer) Damage() int { return len(p.file.Damage()) }

// Length returns the seconds of one round, in time of the recording.
func (p *StreamPlayer) Length() float64 { return p.length }

// Position returns how many seconds of the round have been played. It may be called
// while Run is at work.
func (p *StreamPlayer) Position() float64 { return float64(p.at.Load()) / 1e9 }

// Late returns how long after it was due the latest sample was sent. It may be called
// while Run is at work.
func (p *StreamPlayer) Late() time.Duration { return time.Duration(p.worst.Load()) }

// Streams describes what is played. It may be called while Run is at work.
func (p *StreamPlayer) Streams() []PlayedStream {
	out := make([]PlayedStream, len(p.streams))
	for i, s := range p.streams {
		info := &s.s.Info
		begins := math.NaN()
		if len(s.times) > 0 {
			begins = s.times[0]
		}
		out[i] = PlayedStream{
			Name: p.name(s), Type: info.Type, Channels: len(info.Channels), Format: info.Format.String(), Rate: info.Rate,
			Samples: int64(len(s.times)), Begins: begins, Sent: s.sent.Load(), Dropped: s.lost.Load(),
		}
	}
	return out
}

func (p *StreamPlayer) name(s *sending) string {
	if n := strings.TrimSpace(s.s.Info.Name); n != "" {
		return n
	}
	return "stream " + strconv.FormatUint(uint64(s.s.ID), 10)
}

// Run makes the streams visible, plays them and makes them invisible again. It returns
// nil at the end of the recording, and the context's error when that ended it.
func (p *StreamPlayer) Run(ctx context.Context) error {
	clock := p.Clock
	if clock == nil {
		clock = stream.Wall{}
	}
	speed := p.Speed
	if speed == 0 {
		speed = 1
	}
	if !(speed > 0) || math.IsInf(speed, 0) {
		return fmt.Errorf("speed %v is impossible: 1 is real time, 50 is fifty times faster", p.Speed)
	}
	defer p.close()
	for _, s := range p.streams {
		var err error
		if s.outlet, err = lsl.NewOutlet(p.outletInfo(s), lsl.OutletOptions{}); err != nil {
			return err
		}
	}
	if err := p.await(ctx); err != nil {
		return err
	}
	origin := clock.Now()
	timer := clock.Timer(ctx)
	defer timer.Stop()
	begin := origin + sendEvery // when the round began
	shift := lsl.ToStamp(begin) // stamp of the beginning of the round
	wake := origin
	for {
		for {
			due := math.Inf(1)
			for _, s := range p.streams {
				if s.next < len(s.times) {
					due = min(due, s.times[s.next])
				}
			}
			if math.IsInf(due, 1) {
				break
			}
			at := begin + after(due/speed)
			if err := timer.Wait(max(at, wake+sendEvery)); err != nil {
				return err
			}
			wake = clock.Now()
			p.worst.Store(max(p.worst.Load(), int64(wake-at)))
			played := (wake - begin).Seconds() * speed
			for _, s := range p.streams {
				if err := s.send(ctx, played, shift); err != nil {
					return err
				}
			}
			p.at.Store(int64(min(played, p.length) * 1e9))
		}
		begin += after(p.length / speed)
		if err := timer.Wait(begin); err != nil {
			return err
		}
		p.at.Store(int64(p.length * 1e9))
		if !p.Loop {
			return nil
		}
		shift += p.length
		for _, s := range p.streams {
			s.next = 0
		}
	}
}

// after converts seconds; what is beyond a century waits a century.
func after(seconds float64) stream.Time { return stream.Time(math.Round(min(seconds, 3e9) * 1e9)) }

// await waits for a receiver of every stream that has samples.
func (p *StreamPlayer) await(ctx context.Context) error {
	if p.Wait <= 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, p.Wait)
	defer cancel()
	for _, s := range p.streams {
		if err := s.outlet.WaitForConsumers(limited, 1); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("nobody has connected to %q within %v", p.name(s), p.Wait)
		}
	}
	return nil
}

// outletInfo describes a stream as it was recorded. One without a source id gets one
// made of name and file, so that receivers find it again.
func (p *StreamPlayer) outletInfo(s *sending) lsl.Info {
	in := &s.s.Info
	format, _ := lsl.FormatOf(in.Format.String()) // the same seven
	info := lsl.Info{Name: p.name(s), Type: in.Type, SourceID: in.SourceID, Channels: len(in.Channels), Format: format, Rate: in.Rate}
	if info.SourceID == "" {
		info.SourceID = info.Name + "@" + filepath.Base(p.file.Path())
	}
	info.Desc = &lsl.Element{Name: "desc"}
	if in.Tree != nil {
		if d := in.Tree.Child("desc"); d != nil {
			copyElements(info.Desc, d)
		}
		return info
	}
	list := info.Desc.Add("channels", "") // the header was damaged
	for _, c := range in.Channels {
		e := list.Add("channel", "")
		e.Add("label", c.Label)
		e.Add("unit", c.Unit)
		e.Add("type", c.Type)
	}
	return info
}

func copyElements(to *lsl.Element, from *xdf.Element) {
	for i := range from.Children {
		c := &from.Children[i]
		copyElements(to.Add(c.Name, c.Text), c)
	}
}

// send sends what is due up to this second of the round; shift is the stamp of its
// beginning.
func (s *sending) send(ctx context.Context, played, shift float64) error {
	for s.next < len(s.times) && s.times[s.next] <= played {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := 1
		for n < playBlock && s.next+n < len(s.times) && s.times[s.next+n] <= played {
			n++
		}
		if err := s.sendBlock(n, shift); err != nil {
			return err
		}
		s.next += n
	}
	return nil
}

func (s *sending) sendBlock(n int, shift float64) error {
	ch, from := len(s.s.Info.Channels), int64(s.next)
	var err error
	switch s.s.Info.Format {
	case xdf.String:
		s.texts = sized(s.texts, n*ch)
		err = s.s.ReadStrings(s.texts, from)
	case xdf.Float32, xdf.Double64:
		s.floats = sized(s.floats, n*ch)
		err = s.s.ReadFloats(s.floats, from)
	default:
		s.ints = sized(s.ints, n*ch)
		err = s.s.ReadInts(s.ints, from)
	}
	if err != nil {
		return err
	}
	for i := range n {
		stamp := shift + s.times[s.next+i]
		switch s.s.Info.Format {
		case xdf.String:
			err = s.outlet.PushStrings(s.texts[i*ch:][:ch], stamp)
		case xdf.Float32, xdf.Double64:
			err = s.outlet.Push(s.floats[i*ch:][:ch], stamp)
		default:
			err = s.outlet.PushInts(s.ints[i*ch:][:ch], stamp)
		}
		if err != nil {
			return fmt.Errorf("sample %d: %w", s.next+i, err)
		}
		s.sent.Add(1)
	}
	return nil
}

func sized[T any](b []T, n int) []T {
	if cap(b) < n {
		b = make([]T, n)
	}
	return b[:n]
}

// close ends the outlets and keeps their last figures.
func (p *StreamPlayer) close() {
	for _, s := range p.streams {
		if s.outlet == nil {
			continue
		}
		for _, c := range s.outlet.Consumers() {
			s.lost.Add(c.Dropped)
		}
		s.outlet.Close()
		s.outlet = nil
	}
}

// Close closes the file, after Run.
func (p *StreamPlayer) Close() error { return p.file.Close() }
