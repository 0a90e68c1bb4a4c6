package server

import (
	"encoding/json"
	"testing"
	"time"
)

func numbered(n byte) *frame {
	f := newFrame(kindSignals, 1)
	f.buf[0] = n
	return f
}

func TestOutboxLosesTheOldestAndSaysSo(t *testing.T) {
	o := newOutbox(3)
	var all []*frame
	for i := range byte(8) {
		f := numbered(i)
		all = append(all, f)
		o.put(f)
	}
	var n lostNotice
	if f := o.take(); f.kind != kindText || json.Unmarshal(f.buf, &n) != nil || n != (lostNotice{"lost", 5, 5}) {
		t.Fatalf("first came %q, not the notice of 5 lost frames", f.buf)
	}
	for want := range byte(3) {
		f := o.take()
		if f == nil || f.buf[0] != want+5 {
			t.Fatalf("frame %v, not %d", f, want+5)
		}
		f.release()
	}
	if f := o.take(); f != nil {
		t.Errorf("one more: %q", f.buf)
	}
	for i, f := range all {
		if refs := f.refs.Load(); refs != 1 {
			t.Errorf("frame %d is held %d times, once by this test", i, refs)
		}
	}
	for range 5 {
		o.put(all[0])
	}
	if f := o.take(); json.Unmarshal(f.buf, &n) != nil || n != (lostNotice{"lost", 2, 7}) {
		t.Errorf("second notice %q: it counts anew, and in total", f.buf)
	}
	o.close()
	o.put(all[0])
	o.replace(latestPower, all[0])
	if refs := all[0].refs.Load(); refs != 1 {
		t.Errorf("a closed outbox holds a frame %d times", refs-1)
	}
}

func TestOutboxKeepsTheLatest(t *testing.T) {
	o := newOutbox(4)
	first, second, queued, hello := numbered(1), numbered(2), numbered(3), numbered(4)
	o.put(queued)
	o.replace(latestPower, first)
	o.replace(latestPower, second)
	o.replace(latestHello, hello)
	for _, want := range []byte{4, 2, 3} {
		if f := o.take(); f == nil || f.buf[0] != want {
			t.Fatalf("took %v, not %d", f, want)
		}
	}
	if o.lostFrames() != 0 || first.refs.Load() != 1 {
		t.Errorf("a replaced message counts as lost (%d) or is kept (%d)", o.lostFrames(), first.refs.Load())
	}
}

// TestSlowPage connects a page that does not read. The sinks return at once, a page
// that reads gets everything, and the slow one is told how much it missed.
func TestSlowPage(t *testing.T) {
	now := time.Now()
	s := serving(t, Options{
		Addr:  "127.0.0.1:0",
		now:   func() time.Time { now = now.Add(frameInterval); return now }, // every chunk becomes a frame
		stuck: time.Hour,                                                     // slow, not gone, however busy the machine
	})
	g := s.Signals()
	chunk := open(t, g, header(160, 64, 160))
	chunk.Resize(160)
	slow := dial(t, s)
	fast := dial(t, s)
	next(t, slow)
	next(t, fast)

	const chunks = 1200 // 41 kB each: beyond any socket buffer and the outbox
	got := make(chan int)
	go func() {
		n, last := 0, -1.0
		for last < (chunks-1)*160 {
			m := next(t, fast)
			if m.kind == "frame" && m.Kind == kindSignals {
				n, last = n+1, m.First
			}
			if m.kind == "lost" {
				t.Errorf("the reading page lost frames: %s", m.text)
			}
		}
		got <- n
	}()
	var longest time.Duration
	for i := range chunks {
		before := time.Now()
		chunk.Seq = int64(i) * 160
		if err := g.Write(chunk); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(before))
		if i%32 == 31 { // let the reading page keep up; the outbox holds 256
			for waiting := true; waiting; {
				waiting = false
				s.hub.mu.Lock()
				for c := range s.hub.clients {
					c.out.mu.Lock()
					waiting = waiting || (c.conn.RemoteAddr().String() == fast.LocalAddr().String() && c.out.n > 0)
					c.out.mu.Unlock()
				}
				s.hub.mu.Unlock()
				time.Sleep(time.Millisecond)
			}
		}
	}
	if n := <-got; n != chunks {
		t.Errorf("the reading page got %d frames of %d", n, chunks)
	}
	t.Logf("longest write with a page that does not read: %v", longest)
	lost := wait(t, slow, func(m heard) bool { return m.kind == "lost" })
	var notice lostNotice
	if err := json.Unmarshal(lost.text, &notice); err != nil || notice.Frames == 0 || notice.Frames != notice.Total {
		t.Errorf("notice %s", lost.text)
	}
	if _, total := s.hub.counts(); total < notice.Total {
		t.Errorf("the server counts %d lost frames, the page %d", total, notice.Total)
	}
	t.Logf("the slow page is told of %d lost frames", notice.Total)
}
