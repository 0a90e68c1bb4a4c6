package replay

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// num is a number of the vector files: "NaN" and null are NaN.
type num float64

func (n *num) UnmarshalJSON(b []byte) error {
	if s := string(b); s == "null" || s == `"NaN"` {
		*n = num(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

type vector[In, Want any] struct {
	Case     string `json:"case"`
	Input    In     `json:"input"`
	Expected Want   `json:"expected"`
}

// vectors loads a file's cases whose name begins with prefix, and its tolerance.
func vectors[In, Want any](t *testing.T, file, prefix string) (cases []vector[In, Want], tolerance float64) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Tolerance struct{ Abs float64 }
		Cases     []vector[json.RawMessage, json.RawMessage]
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range all.Cases {
		if !strings.HasPrefix(c.Case, prefix) {
			continue
		}
		v := vector[In, Want]{Case: c.Case}
		if err := json.Unmarshal(c.Input, &v.Input); err != nil {
			t.Fatalf("%s: %v", c.Case, err)
		}
		if err := json.Unmarshal(c.Expected, &v.Expected); err != nil {
			t.Fatalf("%s: %v", c.Case, err)
		}
		cases = append(cases, v)
	}
	if len(cases) == 0 || all.Tolerance.Abs == 0 {
		t.Fatalf("%s has no cases %q, or no tolerance", file, prefix)
	}
	return cases, all.Tolerance.Abs
}

func near(t *testing.T, what string, got float64, want num, tolerance float64) {
	t.Helper()
	w := float64(want)
	if math.IsNaN(got) && math.IsNaN(w) {
		return
	}
	if !(math.Abs(got-w) <= tolerance) {
		t.Errorf("%s: %.17g, want %.17g", what, got, w)
	}
}

func TestMetricsVectors(t *testing.T) {
	type in struct {
		N    int   `json:"n_classes"`
		True []int `json:"y_true"`
		Pred []int `json:"y_pred"`
	}
	type want struct {
		Confusion [][]int64 `json:"confusion_rows_true"`
		Accuracy  num
		Balanced  num `json:"balanced_accuracy"`
		MCC       num
		NMCC      num
		Kappa     num
		F1        num   `json:"macro_f1"`
		Recall    []num `json:"recall_per_class"`
		Precision []num `json:"precision_per_class"`
	}
	cases, tol := vectors[in, want](t, "metrics.json", "")
	for _, v := range cases {
		t.Run(v.Case, func(t *testing.T) {
			c := Count(v.Input.N, v.Input.True, v.Input.Pred)
			for i := range c {
				if !slices.Equal(c[i], v.Expected.Confusion[i]) {
					t.Errorf("row %d: %v, want %v", i, c[i], v.Expected.Confusion[i])
				}
				near(t, "recall", c.Recall(i), v.Expected.Recall[i], tol)
				near(t, "precision", c.Precision(i), v.Expected.Precision[i], tol)
			}
			near(t, "accuracy", c.Accuracy(), v.Expected.Accuracy, tol)
			near(t, "balanced accuracy", c.BalancedAccuracy(), v.Expected.Balanced, tol)
			near(t, "MCC", c.MCC(), v.Expected.MCC, tol)
			near(t, "nMCC", c.NMCC(), v.Expected.NMCC, tol)
			near(t, "kappa", c.Kappa(), v.Expected.Kappa, tol)
			near(t, "macro F1", c.MacroF1(), v.Expected.F1, tol)
		})
	}
}

func TestProbabilityVectors(t *testing.T) {
	type in struct {
		True  []int     `json:"y_true"`
		Score []float64 `json:"score_class1"`
		Proba [][]float64
	}
	type want struct {
		AUC      *num `json:"roc_auc"`
		FPR, TPR []num
		AP       num  `json:"average_precision"`
		LogLoss  num  `json:"log_loss_nats"`
		Brier    num  `json:"brier_multiclass"`
		ECE      num  `json:"ece_10_equal_width_bins"`
		OVR      *num `json:"auc_ovr_macro"`
		OVO      *num `json:"auc_ovo_macro"`
	}
	cases, tol := vectors[in, want](t, "auc_proba.json", "")
	for _, v := range cases {
		t.Run(v.Case, func(t *testing.T) {
			if v.Expected.AUC != nil {
				positive := equals(v.Input.True, 1)
				near(t, "AUC", AUC(v.Input.Score, positive), *v.Expected.AUC, tol)
				near(t, "average precision", AveragePrecision(v.Input.Score, positive), v.Expected.AP, tol)
				roc := ROC(v.Input.Score, positive)
				if len(roc) != len(v.Expected.FPR) {
					t.Fatalf("ROC has %d points, want %d", len(roc), len(v.Expected.FPR))
				}
				for i, p := range roc {
					near(t, "FPR", p.FPR, v.Expected.FPR[i], tol)
					near(t, "TPR", p.TPR, v.Expected.TPR[i], tol)
				}
				return
			}
			near(t, "log loss", LogLoss(v.Input.True, v.Input.Proba), v.Expected.LogLoss, tol)
			near(t, "Brier", Brier(v.Input.True, v.Input.Proba), v.Expected.Brier, tol)
			near(t, "ECE", ECE(v.Input.True, v.Input.Proba, 10), v.Expected.ECE, tol)
			if v.Expected.OVR != nil {
				near(t, "one versus rest", AUCOneVersusRest(v.Input.True, v.Input.Proba), *v.Expected.OVR, tol)
				near(t, "one versus one", AUCOneVersusOne(v.Input.True, v.Input.Proba), *v.Expected.OVO, tol)
			}
		})
	}
}

func TestITRVectors(t *testing.T) {
	type wolpaw struct {
		N       int `json:"n_classes"`
		P       float64
		Seconds float64 `json:"seconds_per_selection"`
	}
	type bits struct {
		Raw     num `json:"bits_raw"`
		Clipped num `json:"bits_clipped"`
		PerMin  num `json:"bits_per_min_clipped"`
	}
	cases, tol := vectors[wolpaw, bits](t, "itr.json", "wolpaw")
	for _, v := range cases {
		near(t, v.Case+" raw", WolpawRaw(v.Input.N, v.Input.P), v.Expected.Raw, tol)
		b := Wolpaw(v.Input.N, v.Input.P)
		near(t, v.Case+" clipped", b, v.Expected.Clipped, tol)
		near(t, v.Case+" per minute", BitsPerMinute(b, v.Input.Seconds), v.Expected.PerMin, tol)
	}
	type confusion struct {
		C       Confusion `json:"confusion_rows_true"`
		Seconds float64   `json:"seconds_per_selection"`
	}
	type information struct {
		Observed num     `json:"mi_bits_observed_prior"`
		Uniform  num     `json:"mi_bits_uniform_prior"`
		Capacity num     `json:"capacity_bits"`
		Prior    []num   `json:"capacity_prior"`
		Wolpaw   num     `json:"wolpaw_bits_from_accuracy"`
		Balanced num     `json:"wolpaw_bits_from_balanced_accuracy"`
		PerMin   float64 `json:"mi_bits_per_min_observed_prior"`
	}
	more, tol := vectors[confusion, information](t, "itr.json", "confusion")
	for _, v := range more {
		c := v.Input.C
		near(t, v.Case+" observed", c.MutualInformation(), v.Expected.Observed, tol)
		near(t, v.Case+" uniform", c.MutualInformationUniform(), v.Expected.Uniform, tol)
		near(t, v.Case+" Wolpaw", Wolpaw(len(c), c.Accuracy()), v.Expected.Wolpaw, tol)
		near(t, v.Case+" Wolpaw balanced", Wolpaw(len(c), c.BalancedAccuracy()), v.Expected.Balanced, tol)
		near(t, v.Case+" per minute", BitsPerMinute(c.MutualInformation(), v.Input.Seconds), num(v.Expected.PerMin), 60*tol)
		bits, prior := c.Capacity()
		near(t, v.Case+" capacity", bits, v.Expected.Capacity, 1e-8)
		if bits > 0.01 { // where the channel is useless every prior reaches the capacity
			for i, p := range prior {
				near(t, v.Case+" capacity prior", p, v.Expected.Prior[i], 1e-5)
			}
		}
	}
}

func TestStatisticsVectors(t *testing.T) {
	type paired struct {
		A []float64 `json:"scores_pipeline1_milli"`
		B []float64 `json:"scores_pipeline2_milli"`
	}
	type result struct {
		Perm12   *num `json:"p_perm_one_sided_1_gt_2"`
		Perm21   num  `json:"p_perm_one_sided_2_gt_1"`
		Greater  num  `json:"p_wilcoxon_one_sided_1_gt_2"`
		Less     num  `json:"p_wilcoxon_one_sided_2_gt_1"`
		TwoSided num  `json:"wilcoxon_two_sided"`
		Rank     num  `json:"wilcoxon_statistic"`
		Normal   num  `json:"wilcoxon_two_sided_normal_approximation"`
		SMD      num  `json:"smd_1_minus_2"`
	}
	pairs, tol := vectors[paired, result](t, "stats.json", "paired")
	for _, v := range pairs {
		d, back := make([]float64, len(v.Input.A)), make([]float64, len(v.Input.A))
		for i := range d {
			d[i], back[i] = v.Input.A[i]-v.Input.B[i], v.Input.B[i]-v.Input.A[i]
		}
		near(t, v.Case+" SMD", SMD(d), v.Expected.SMD, tol)
		if v.Expected.Perm12 != nil {
			near(t, v.Case+" sign flip", SignFlip(d, 1), *v.Expected.Perm12, 0)
			near(t, v.Case+" sign flip back", SignFlip(back, 1), v.Expected.Perm21, 0)
			continue
		}
		w := SignedRank(d)
		near(t, v.Case+" rank sum", w.Statistic, v.Expected.Rank, 0)
		near(t, v.Case+" two-sided", w.TwoSided, v.Expected.TwoSided, tol)
		near(t, v.Case+" normal", w.Normal, v.Expected.Normal, tol)
		near(t, v.Case+" greater", w.Greater, v.Expected.Greater, tol)
		near(t, v.Case+" less", SignedRank(back).Greater, v.Expected.Less, tol)
	}
	type studies struct {
		P        []float64
		Subjects []float64 `json:"n_subjects"`
		SMD      []float64
	}
	type combined struct {
		Z   num
		P   num `json:"p_combined"`
		SMD num `json:"smd_combined"`
	}
	many, tol := vectors[studies, combined](t, "stats.json", "stouffer")
	for _, v := range many {
		w := make([]float64, len(v.Input.Subjects))
		for i, n := range v.Input.Subjects {
			w[i] = math.Sqrt(n)
		}
		z, p := Stouffer(v.Input.P, w)
		near(t, v.Case+" z", z, v.Expected.Z, tol)
		near(t, v.Case+" p", p, v.Expected.P, tol)
		near(t, v.Case+" SMD", WeightedMean(v.Input.SMD, w), v.Expected.SMD, tol)
	}
	type guess struct {
		Correct, N int
		Classes    int `json:"n_classes"`
		Alpha      float64
	}
	type bound struct {
		P     num `json:"binomial_p_at_least"`
		Bound num `json:"chance_threshold_accuracy"`
	}
	chance, tol := vectors[guess, bound](t, "stats.json", "chance")
	for _, v := range chance {
		p := 1 / float64(v.Input.Classes)
		near(t, v.Case+" p", Binomial(v.Input.Correct, v.Input.N, p), v.Expected.P, tol)
		near(t, v.Case+" bound", ChanceBound(v.Input.N, p, v.Input.Alpha), v.Expected.Bound, tol)
	}
}

func TestWindowVectors(t *testing.T) {
	type in struct {
		Samples int64      `json:"n_samples"`
		Window  int64      `json:"window_samples"`
		Step    int64      `json:"step_samples"`
		First   int64      `json:"first_window_start"`
		Idle    int        `json:"idle_label"`
		Changes [][2]int64 `json:"change_points"`
	}
	type want struct {
		N      int `json:"n_windows"`
		Starts []int64
		Labels []int
		Purity []num
		Last   []int `json:"label_of_last_sample"`
	}
	for _, prefix := range []string{"graz_like", "short_task", "back_to_back"} {
		cases, tol := vectors[in, want](t, "windows.json", prefix)
		for _, v := range cases {
			track := Track{Before: v.Input.Idle, Len: v.Input.Samples}
			for _, c := range v.Input.Changes {
				track.Changes = append(track.Changes, Change{c[0], int(c[1])})
			}
			got := track.Windows(v.Input.First, v.Input.Window, v.Input.Step)
			if len(got) != v.Expected.N {
				t.Errorf("%s: %d windows, want %d", v.Case, len(got), v.Expected.N)
				continue
			}
			for i, w := range got {
				if w.Start != v.Expected.Starts[i] || w.Class != v.Expected.Labels[i] || w.Last != v.Expected.Last[i] {
					t.Errorf("%s window %d: %+v, want start %d, label %d, last %d", v.Case, i, w, v.Expected.Starts[i], v.Expected.Labels[i], v.Expected.Last[i])
				}
				near(t, v.Case+" purity", w.Purity, v.Expected.Purity[i], tol)
			}
		}
	}
}

func TestPurgedFoldVectors(t *testing.T) {
	type in struct {
		Starts  []int64
		Window  int64 `json:"window_samples"`
		Folds   int
		Purge   int64 `json:"purge_samples"`
		Embargo int64 `json:"embargo_samples"`
	}
	type want struct {
		Folds []struct {
			Test, Train []int
			Sharing     []int `json:"windows_sharing_samples_with_test_if_not_purged"`
		}
	}
	cases, _ := vectors[in, want](t, "windows.json", "purged")
	for _, v := range cases {
		var spans []Span
		for _, s := range v.Input.Starts {
			spans = append(spans, Span{From: s, To: s + v.Input.Window})
		}
		got, err := PurgedFolds(spans, v.Input.Folds, v.Input.Purge, v.Input.Embargo)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range v.Expected.Folds {
			if !slices.Equal(got[i].Train, f.Train) || !slices.Equal(got[i].Test, f.Test) {
				t.Errorf("fold %d: %v, want train %v, test %v", i, got[i], f.Train, f.Test)
			}
			var sharing []int
			for j := range spans {
				if !slices.Contains(f.Test, j) && SharedColumns(spans, Split{Train: []int{j}, Test: f.Test}, 0) > 0 {
					sharing = append(sharing, j)
				}
			}
			if !slices.Equal(sharing, f.Sharing) {
				t.Errorf("fold %d: windows %v share samples, want %v", i, sharing, f.Sharing)
			}
		}
	}
}

func TestEventVectors(t *testing.T) {
	type in struct {
		Use        string       `json:"use_data_of"`
		Decisions  [][3]float64 `json:"decisions"`
		Events     [][3]float64 `json:"events"`
		Duration   float64
		Dwell      int
		Refractory float64
		Tolerance  float64
		Confidence float64 `json:"confidence_min"`
		Idle       int     `json:"idle_label"`
	}
	type want struct {
		Events    int
		Hits      int   `json:"true_positive_events"`
		Missed    int   `json:"missed_events"`
		TPR       num   `json:"event_tpr"`
		Wrong     int   `json:"wrong_class_commands"`
		Repeats   int   `json:"repeat_commands"`
		False     int   `json:"false_activations"`
		Idle      num   `json:"idle_seconds"`
		Rate      num   `json:"false_activations_per_idle_minute"`
		Precision num   `json:"event_precision"`
		F1        num   `json:"event_f1"`
		Latencies []num `json:"latencies"`
		Median    num   `json:"median_latency_detected"`
		P95       num   `json:"p95_latency_detected"`
		Penalised num   `json:"mean_penalised_latency"`
		Commands  [][2]float64
	}
	cases, tol := vectors[in, want](t, "event_scoring.json", "")
	byName := map[string]in{}
	for _, v := range cases {
		byName[v.Case] = v.Input
	}
	for _, v := range cases {
		t.Run(v.Case, func(t *testing.T) {
			data := v.Input
			if data.Use != "" {
				data = byName[data.Use]
			}
			var decisions []Decision
			for _, d := range data.Decisions {
				decisions = append(decisions, Decision{d[0], int(d[1]), d[2]})
			}
			var trials []Trial
			for _, e := range data.Events {
				trials = append(trials, Trial{e[0], e[1], int(e[2])})
			}
			p := v.Input
			commands := Rule{Idle: p.Idle, Dwell: p.Dwell, Refractory: p.Refractory, Confidence: p.Confidence}.Commands(decisions)
			if len(commands) != len(v.Expected.Commands) {
				t.Fatalf("%d commands, want %d", len(commands), len(v.Expected.Commands))
			}
			for i, c := range commands {
				if c.Time != v.Expected.Commands[i][0] || c.Class != int(v.Expected.Commands[i][1]) {
					t.Errorf("command %d: %v, want %v", i, c, v.Expected.Commands[i])
				}
			}
			s := ScoreEvents(commands, trials, p.Tolerance, Interval{0, p.Duration})
			got := []int{s.Trials, s.Hits, s.Trials - s.Hits, s.Wrong, s.Repeats, s.False}
			e := v.Expected
			if w := []int{e.Events, e.Hits, e.Missed, e.Wrong, e.Repeats, e.False}; !slices.Equal(got, w) {
				t.Errorf("events, hits, missed, wrong, repeats, false: %v, want %v", got, w)
			}
			near(t, "TPR", s.TPR(), e.TPR, tol)
			near(t, "idle", s.Idle, e.Idle, tol)
			near(t, "FA/min", s.FalsePerMinute(), e.Rate, tol)
			near(t, "precision", s.Precision(), e.Precision, tol)
			near(t, "F1", s.F1(), e.F1, tol)
			for i, l := range s.Latencies {
				near(t, "latency", l, e.Latencies[i], tol)
			}
			near(t, "median", Quantile(s.Detected(), 0.5), e.Median, tol)
			near(t, "p95", Quantile(s.Detected(), 0.95), e.P95, tol)
			near(t, "penalised", s.PenalisedMean(), e.Penalised, tol)
		})
	}
}
