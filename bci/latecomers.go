package bci

import (
	"context"
	"fmt"
	"sync"
	"time"

	"neurostream/stream"
	"neurostream/stream/lsl"
)

// latecomers finds streams that appear while a recording is under way and adds them.
//
//	Resolver ─► known? ─► comes back as one that is recorded? ─► Add, note in the file
//
// A stream with the source id of one that is recorded is left to that one's inlet, which
// reconnects by itself: the same stream of the file goes on. Only when it is there for
// secondTime and the inlet has not taken it (two devices with one id, or the old sender is
// still connected) it becomes a stream of its own.
type latecomers struct {
	r       *Recorder
	start   func(*recorded)
	find    *lsl.Resolver
	joining sync.WaitGroup

	mu    sync.Mutex
	seen  map[string]time.Time // by uid: first heard of, without those that are recorded
	tried map[string]time.Time // by uid: the latest attempt to connect
	told  map[string]bool      // uids of which it was noted that they cannot be recorded
	full  bool                 // it was noted that there are too many
}

const (
	lookEvery   = time.Second      // time between two questions to the network
	joinWithin  = 5 * time.Second  // for connecting to one
	tryAgain    = 5 * time.Second  // after an attempt that failed
	secondTime  = 10 * time.Second // see latecomers
	maxRecorded = 1024             // streams of one recording; more is a flood
)

func newLatecomers(r *Recorder, start func(*recorded)) (*latecomers, error) {
	find, err := lsl.NewResolver(*r.follow, lsl.ResolveOptions{Every: lookEvery})
	if err != nil {
		return nil, err
	}
	return &latecomers{r: r, start: start, find: find, seen: map[string]time.Time{}, tried: map[string]time.Time{}, told: map[string]bool{}}, nil
}

// run looks until ctx ends. It returns the error of a file that cannot be written.
func (l *latecomers) run(ctx context.Context) error {
	defer l.find.Close()
	defer l.joining.Wait()
	failed := make(chan error, 1)
	tick := time.NewTicker(lookEvery / 4)
	defer tick.Stop()
	for {
		for _, s := range l.find.Streams() {
			if !l.wanted(&s) {
				continue
			}
			l.joining.Go(func() {
				if err := l.join(ctx, s); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		}
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// wanted reports whether to connect to a stream now.
func (l *latecomers) wanted(s *lsl.Stream) bool {
	twin := false
	all := l.r.all()
	for _, known := range all {
		if known.inlet.Stream().UID == s.UID {
			return false
		}
		twin = twin || known.err.Load() == nil && comesBackAs(&known.info, &s.Info)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	first, heard := l.seen[s.UID]
	if !heard {
		l.seen[s.UID], first = now, now
	}
	if twin && now.Sub(first) < secondTime || now.Sub(l.tried[s.UID]) < tryAgain {
		return false
	}
	if len(all) >= maxRecorded {
		if !l.full {
			l.full = true
			_ = l.r.note(stream.Event{Kind: stream.EventNote, Time: l.r.clock.Now(), Origin: s.Name, Detail: fmt.Sprintf("is not recorded: %d streams are, which is the limit", maxRecorded)})
		}
		return false
	}
	l.tried[s.UID] = now
	return true
}

// comesBackAs reports whether an inlet to old takes the stream s for the same one.
func comesBackAs(old, s *lsl.Info) bool {
	return old.SourceID != "" && old.SourceID == s.SourceID && old.Name == s.Name && old.Type == s.Type &&
		old.Format == s.Format && old.Channels == s.Channels && old.Rate == s.Rate && old.SessionID == s.SessionID
}

// join adds a stream. That it cannot be reached is noted once, and tried again.
func (l *latecomers) join(ctx context.Context, s lsl.Stream) error {
	limited, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	at := l.r.clock.Now()
	after := max(1e-3, (at - l.r.started()).Seconds())
	added, err := l.r.add(limited, s, after)
	switch {
	case ctx.Err() != nil: // if it is in the file, it stays empty; Run closes it
		return nil
	case err != nil:
		l.mu.Lock()
		again := l.told[s.UID]
		l.told[s.UID] = true
		l.mu.Unlock()
		if again {
			return nil
		}
		return l.r.note(stream.Event{Kind: stream.EventNote, Time: at, Origin: s.Name, Detail: "has appeared, but cannot be recorded: " + err.Error()})
	}
	l.start(added)
	return l.r.note(stream.Event{Kind: stream.EventNote, Time: at, Origin: s.Name, Detail: fmt.Sprintf("has appeared %.1f s after the recording began", after)})
}
