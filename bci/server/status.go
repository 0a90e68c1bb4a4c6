package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"neurostream/bci"
)

const statusInterval = 250 * time.Millisecond

// report is the engine's status with what only the server knows: the answer of
// /api/status, and, with a type, a message to the pages.
type report struct {
	Type   string       `json:"type,omitempty"` // "status"
	Status bci.Status   `json:"status"`
	Tally  Tally        `json:"tally"`
	Server serverStatus `json:"server"`
}

type serverStatus struct {
	Clients    int     `json:"clients"`
	LostFrames uint64  `json:"lost_frames"` // by pages too slow to take them, in total
	OriginS    float64 `json:"origin_s"`    // time of the session's first column, seconds
}

func (s *Server) report() report {
	var r report
	s.statusMu.Lock()
	if s.status != nil {
		r.Status = s.status()
	}
	r.Tally = s.tally
	s.statusMu.Unlock()
	settle(&r.Status)
	r.Server.Clients, r.Server.LostFrames = s.hub.counts()
	r.Server.OriginS = finite(s.hub.sessionStart())
	return r
}

func (s *Server) setTally(t Tally) {
	s.statusMu.Lock()
	s.tally = t
	s.statusMu.Unlock()
}

// poll sends the status around until ctx ends.
func (s *Server) poll(ctx context.Context) {
	tick := time.NewTicker(statusInterval)
	defer tick.Stop()
	for {
		s.sendStatus()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) sendStatus() {
	r := s.report()
	r.Type = "status"
	s.hub.replace(latestStatus, textFrame(r))
}

func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(s.report())
}

// serveMetrics answers in the text format that Prometheus scrapes.
func (s *Server) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	r := s.report()
	var b strings.Builder
	line := func(name, labels string, v float64) { fmt.Fprintf(&b, "bci_%s%s %g\n", name, labels, v) }
	spread := func(name, labels string, v bci.Spread) {
		for _, q := range []struct {
			name  string
			value float64
		}{{"0.5", v.P50}, {"0.99", v.P99}, {"0.999", v.P999}, {"1", v.Max}} {
			line(name, "{"+labels+`quantile="`+q.name+`"}`, q.value/1e6)
		}
		if labels != "" {
			labels = "{" + strings.TrimSuffix(labels, ",") + "}"
		}
		line(name+"_count", labels, float64(v.N))
	}
	st := &r.Status
	line("chunks_total", "", float64(st.Chunks))
	line("columns_total", "", float64(st.Columns))
	line("decisions_total", "", float64(st.Decisions))
	line("realtime_factor", "", st.Realtime)
	line("algorithmic_delay_seconds", "", st.DelayS)
	spread("engine_latency_seconds", "", st.Engine)
	spread("age_seconds", "", st.Age)
	spread("pacing_lateness_seconds", "", st.Pacing)
	for i, g := range st.Stages {
		spread("stage_work_seconds", fmt.Sprintf("stage=%q,position=\"%d\",", g.Name, i+1), g.Work)
	}
	for _, g := range st.Rings {
		label := fmt.Sprintf("{ring=%q}", g.Name)
		line("ring_used_chunks", label, float64(g.Used))
		line("ring_slots", label, float64(g.Slots))
		line("dropped_columns_total", label, float64(g.Dropped))
	}
	for _, e := range st.Events {
		line("events_total", fmt.Sprintf("{kind=%q}", e.Kind), float64(e.N))
	}
	line("heap_bytes", "", float64(st.HeapBytes))
	line("allocated_bytes_total", "", float64(st.AllocBytes))
	line("gc_cycles_total", "", float64(st.GCs))
	line("page_clients", "", float64(r.Server.Clients))
	line("page_lost_frames_total", "", float64(r.Server.LostFrames))
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(b.String()))
}

// settle replaces numbers that JSON cannot carry.
func settle(s *bci.Status) {
	spread := func(v *bci.Spread) {
		v.P50, v.P99, v.P999, v.Max = finite(v.P50), finite(v.P99), finite(v.P999), finite(v.Max)
	}
	for _, f := range []*float64{&s.ElapsedS, &s.DataS, &s.Realtime, &s.Rate, &s.DelayS} {
		*f = finite(*f)
	}
	spread(&s.Engine)
	spread(&s.Age)
	spread(&s.Pacing)
	s.Stages = append([]bci.Stage{}, s.Stages...) // the caller keeps its own
	for i := range s.Stages {
		g := &s.Stages[i]
		g.DelayS, g.RateHz = finite(g.DelayS), finite(g.RateHz)
		spread(&g.Work)
	}
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
