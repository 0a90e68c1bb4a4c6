package server

import (
	"slices"
	"time"

	"neurostream/stream"
)

// Tally counts what commands were worth. A trial is an unbroken stretch of one true
// class other than idle; its first command decides it.
type Tally struct {
	Trials     int     `json:"trials"` // finished, or decided
	Hits       int     `json:"hits"`   // the first command was the true class
	Wrong      int     `json:"wrong"`  // it was another
	Missed     int     `json:"missed"` // there was none
	False      int     `json:"false"`  // commands while idle
	IdleS      float64 `json:"idle_s"` // seconds of idle seen
	LastTruth  string  `json:"last_truth,omitempty"`
	LastResult string  `json:"last_result,omitempty"`
}

// outcome is one verdict, at the column that caused it.
type outcome struct {
	Column int64   `json:"column"`
	TimeS  float64 `json:"time_s"`
	Result string  `json:"result"` // "hit", "wrong", "missed", "false"; "unscored" for a command where the truth is unknown or the trial decided
	Class  string  `json:"class,omitempty"`
	Truth  string  `json:"truth,omitempty"`
}

// scorer compares commands with the truth, column by column. It is for the eye: the
// figures of a benchmark are made by package replay.
type scorer struct {
	Tally
	classes []string
	idle    int // -1 when no class is idle

	trial   int // true class of the running trial, -1 outside
	decided bool
}

func newScorer(classes []string, idle string) scorer {
	return scorer{classes: classes, idle: slices.Index(classes, idle), trial: -1}
}

// restart forgets the running trial: the data broke off in it.
func (s *scorer) restart() { s.trial, s.decided = -1, false }

// column scores one column of the given true class and command (-1: unknown, none)
// and appends what came of it.
func (s *scorer) column(out []outcome, seq int64, at stream.Time, step time.Duration, class, command int) []outcome {
	verdict := func(result string, command, class int) {
		out = append(out, outcome{seq, at.Seconds(), result, s.name(command), s.name(class)})
		if result != "unscored" {
			s.LastTruth, s.LastResult = s.name(class), result
		}
	}
	if class != s.trial {
		if s.trial >= 0 && s.trial != s.idle && !s.decided {
			s.Trials++
			s.Missed++
			verdict("missed", -1, s.trial)
		}
		s.trial, s.decided = class, false
	}
	idle := class >= 0 && class == s.idle
	if idle {
		s.IdleS += step.Seconds()
	}
	switch {
	case command < 0 || command == s.idle:
	case idle:
		s.False++
		verdict("false", command, class)
	case class < 0 || s.decided:
		verdict("unscored", command, class)
	default:
		s.Trials++
		s.decided = true
		if command == class {
			s.Hits++
			verdict("hit", command, class)
		} else {
			s.Wrong++
			verdict("wrong", command, class)
		}
	}
	return out
}

func (s *scorer) name(class int) string {
	if class < 0 || class >= len(s.classes) {
		return ""
	}
	return s.classes[class]
}
