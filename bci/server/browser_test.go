package server

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"neurostream/bci/web"
	"neurostream/stream"
)

// TestBrowser opens the page in a real browser while 64 channels play, and sees what
// a person would: traces that move, decisions that change, figures, no error, no
// request to anywhere else. NEUROSTREAM_BROWSER names the Chromium to use,
// NEUROSTREAM_SCREENSHOT where the picture goes.
func TestBrowser(t *testing.T) {
	browser := os.Getenv("NEUROSTREAM_BROWSER")
	if browser == "" {
		t.Skip("set NEUROSTREAM_BROWSER to a Chromium, e.g. /usr/bin/chromium, to see the page in it")
	}
	if _, full := web.Files(); !full {
		t.Skip("the page is not built: cd bci/web && npm ci && npm run build")
	}
	shot := os.Getenv("NEUROSTREAM_SCREENSHOT")
	if shot == "" {
		shot = filepath.Join(t.TempDir(), "page.png")
	}
	s := serving(t, Options{Addr: "127.0.0.1:0", Truth: testTruth, Idle: "rest"})
	engine := newSynthetic(t, s, 160, 16)
	engine.events = append(engine.events,
		stream.Event{Kind: stream.EventNote, Origin: "session", Detail: "model trained on R04, R08: 30 trials"},
		stream.Event{Kind: stream.EventGap, Seq: 320, Time: 2e9, Count: 16, Origin: "replay"})
	for range 300 { // thirty seconds that happened before the page came
		engine.step(t)
	}
	playing, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); engine.play(playing, t) }()
	defer func() { stop(); <-done }()

	p := openPage(t, browser)
	p.do("open", look("dark", 1280, 800), chromedp.Navigate(s.URL()))
	p.until(`text("link") === "connected" && text("decision").length > 1 && text("latency").includes("gate")`)

	// Signals move: the picture of the traces differs after a moment.
	const picture = `new Promise(done => requestAnimationFrame(() => {
		const from = document.querySelector('[data-testid="traces"]'), to = document.createElement('canvas');
		to.width = from.width; to.height = from.height;
		const g = to.getContext('2d'); g.drawImage(from, 0, 0);
		const p = g.getImageData(0, 0, to.width, to.height).data;
		let lit = 0, hash = 0;
		for (let i = 3; i < p.length; i += 4) if (p[i] > 40) { lit++; hash = (hash * 31 + i) % 1000003; }
		done([lit, hash]);
	}))`
	before := evaluate[[2]int](p, picture)
	time.Sleep(700 * time.Millisecond)
	after := evaluate[[2]int](p, picture)
	if before[0] < 5000 || before[1] == after[1] {
		t.Errorf("the traces do not move: %d then %d pixels lit, hash %d then %d", before[0], after[0], before[1], after[1])
	}

	seen := map[string]bool{}
	for end := time.Now().Add(25 * time.Second); time.Now().Before(end) && (!seen["left"] || !seen["right"]); time.Sleep(100 * time.Millisecond) {
		seen[p.text("decision")] = true
	}
	if !seen["left"] || !seen["right"] {
		t.Errorf("the decisions do not change: saw %v", seen)
	}
	for id, want := range map[string]string{
		"engine-p99": "µs", "age-p99": "s", "delay": "ms", "realtime": "×", "latency": "covariance", "events": "gap",
		"digest": "9f2c", "tally": "trials", "rings": "none dropped", "fps": "frames/s",
	} {
		if got := p.text(id); !strings.Contains(got, want) {
			t.Errorf("%s shows %q, without %q", id, got, want)
		}
	}
	if outside := evaluate[[]string](p, `performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(location.origin))`); len(outside) > 0 {
		t.Errorf("the page loads from elsewhere: %v", outside)
	}
	p.save(shot, chromedp.CaptureScreenshot())
	t.Logf("drawn at %s in this browser", p.text("fps"))

	p.do("keys", chromedp.KeyEvent(" "))
	p.until(`document.getElementById("pause").getAttribute("aria-pressed") === "true"`)
	p.do("scroll and time base", chromedp.Evaluate[chromedp.Void](`(() => {
		const m = document.getElementById("motion"); m.value = "scroll"; m.dispatchEvent(new Event("change"));
		const n = document.getElementById("shown"); n.value = "16"; n.dispatchEvent(new Event("change")); })()`), chromedp.KeyEvent("["), chromedp.Sleep(700*time.Millisecond))
	if os.Getenv("NEUROSTREAM_SCREENSHOT") != "" {
		p.save(strings.TrimSuffix(shot, filepath.Ext(shot))+"-scroll.png", chromedp.CaptureScreenshot())
	}
	p.do("back", chromedp.Evaluate[chromedp.Void](`(() => {
		const m = document.getElementById("motion"); m.value = "sweep"; m.dispatchEvent(new Event("change"));
		const n = document.getElementById("shown"); n.value = "64"; n.dispatchEvent(new Event("change")); })()`), chromedp.KeyEvent("]"))
	p.do("keys", chromedp.KeyEvent(" "), chromedp.KeyEvent("m"))
	p.until(`document.getElementById("view-bars").getAttribute("aria-pressed") === "true"`)

	if os.Getenv("NEUROSTREAM_SCREENSHOT") != "" { // the other theme and shapes
		base := strings.TrimSuffix(shot, filepath.Ext(shot))
		p.do("light", look("light", 1280, 800), chromedp.Sleep(time.Second))
		p.save(base+"-light.png", chromedp.CaptureScreenshot())
		p.do("map", chromedp.KeyEvent("m"), chromedp.Sleep(500*time.Millisecond))
		p.save(base+"-light-whole.png", chromedp.FullScreenshot(100))
		p.do("wide", look("dark", 1600, 1000), chromedp.Sleep(time.Second))
		p.save(base+"-whole.png", chromedp.FullScreenshot(100))
	}
	p.do("narrow", look("dark", 420, 900), chromedp.Sleep(700*time.Millisecond))
	if evaluate[bool](p, `document.documentElement.scrollWidth > innerWidth`) {
		t.Error("on a narrow screen the page scrolls sideways")
	}
	if os.Getenv("NEUROSTREAM_SCREENSHOT") != "" {
		p.save(strings.TrimSuffix(shot, filepath.Ext(shot))+"-narrow.png", chromedp.FullScreenshot(100))
	}
	if c := p.complaints(); len(c) > 0 {
		t.Errorf("the page complains: %v", c)
	}
}

// TestBrowserPlain opens the page of a binary that was built without the full one.
func TestBrowserPlain(t *testing.T) {
	browser := os.Getenv("NEUROSTREAM_BROWSER")
	if browser == "" {
		t.Skip("set NEUROSTREAM_BROWSER to a Chromium, e.g. /usr/bin/chromium, to see the plain page in it")
	}
	s := serving(t, Options{Addr: "127.0.0.1:0", Truth: testTruth, Idle: "rest", Page: os.DirFS("../web/fallback")})
	newSynthetic(t, s, 160, 16)
	p := openPage(t, browser)
	p.do("open", look("light", 1000, 900), chromedp.Navigate(s.URL()))
	p.until(`text("figures").includes("µs") && text("latency").includes("covariance") && text("session-line").startsWith("running")`)
	if shot := os.Getenv("NEUROSTREAM_SCREENSHOT"); shot != "" {
		p.save(strings.TrimSuffix(shot, filepath.Ext(shot))+"-plain.png", chromedp.CaptureScreenshot())
	}
	if c := p.complaints(); len(c) > 0 {
		t.Errorf("the page complains: %v", c)
	}
}

// page is a browser's tab under test.
type page struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	errors []string
}

// openPage starts a browser without a screen, without a graphics card (WebGL is drawn
// by SwiftShader) and without conversations of its own.
func openPage(t *testing.T, path string) *page {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("headless", "new"),
		chromedp.Flag("use-gl", "angle"), chromedp.Flag("use-angle", "swiftshader"), chromedp.Flag("enable-unsafe-swiftshader", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("mute-audio", true),
	)
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	t.Cleanup(cancel)
	ctx, cancelBrowser := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelBrowser)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	p := &page{t: t, ctx: ctx}
	p.do("start "+path, look("dark", 1280, 800))
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException {
				p.mu.Lock()
				p.errors = append(p.errors, m.Text)
				p.mu.Unlock()
			}
		}
	}()
	return p
}

func (p *page) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.errors...)
}

func (p *page) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v (the page said: %v)", what, err, p.complaints())
	}
}

// text returns what the element with this data-testid shows.
func (p *page) text(id string) string {
	p.t.Helper()
	return evaluate[string](p, `document.querySelector('[data-testid="`+id+`"]').textContent`)
}

// until waits for a condition, in which text(id) is the text of an element.
func (p *page) until(condition string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.PollFunction[bool](
		`() => { const text = id => document.querySelector('[data-testid="'+id+'"]').textContent; return `+condition+`; }`,
		chromedp.WithPollingInterval(50*time.Millisecond)))
	if err != nil {
		p.t.Fatalf("waiting for %s: %v (the page said: %v)", condition, err, p.complaints())
	}
}

func (p *page) save(path string, picture chromedp.Action[[]byte]) {
	p.t.Helper()
	png, err := chromedp.Run(p.ctx, picture)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("screenshot: %s", path)
}

func evaluate[T any](p *page, script string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v (the page said: %v)", script, err, p.complaints())
	}
	return v
}

// look sets the theme and the size of the window.
func look(theme string, width, height int64) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(
		chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
			})
			return err
		}),
		chromedp.EmulateViewport(width, height),
	)
}
