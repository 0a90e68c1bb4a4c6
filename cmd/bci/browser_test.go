package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"neurostream/bci"
	"neurostream/bci/web"
)

// TestBrowserDuringReplay opens the page of a real run in a real browser: the demo's
// pipeline and model, a recording replayed at real speed. Signals move, decisions
// change, the latency figures are those of the engine.
func TestBrowserDuringReplay(t *testing.T) {
	path := os.Getenv("NEUROSTREAM_BROWSER")
	if path == "" {
		t.Skip("set NEUROSTREAM_BROWSER to a Chromium, e.g. /usr/bin/chromium, to see the page during a replay")
	}
	if _, full := web.Files(); !full {
		t.Skip("the page is not built: make page")
	}
	shot := os.Getenv("NEUROSTREAM_SCREENSHOT")
	if shot == "" {
		shot = filepath.Join(t.TempDir(), "page.png")
	}
	p, err := bci.ParsePipeline("motor-imagery.yaml", motorImagery)
	if err != nil {
		t.Fatal(err)
	}
	c := newTrain()
	c.SetContext(t.Context())
	m, err := train(c, p, []string{"sample:S007R04", "sample:S007R08"}, true, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	pages := make(chan string, 1)
	r := runner{
		from: "sample:S007R12?speed=1&loop=true", to: []string{"ws://127.0.0.1:0"}, quiet: true,
		out: new(bytes.Buffer), errOut: new(bytes.Buffer), onPage: func(url string) { pages <- url },
	}
	ended := make(chan error, 1)
	go func() {
		report, err := r.run(ctx, p, m)
		if err == nil && report.Dropped != 0 {
			t.Errorf("the page made the engine drop %d columns", report.Dropped)
		}
		ended <- err
	}()

	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("headless", "new"),
		chromedp.Flag("use-gl", "angle"), chromedp.Flag("use-angle", "swiftshader"), chromedp.Flag("enable-unsafe-swiftshader", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
	)
	tab, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	tab, cancelBrowser := chromedp.NewExecAllocator(tab, options...)
	defer cancelBrowser()
	tab, cancelTab := chromedp.NewContext(tab)
	defer cancelTab()
	until := func(what, condition string) {
		t.Helper()
		_, err := chromedp.Run(tab, chromedp.PollFunction[bool](
			`() => { const text = id => document.querySelector('[data-testid="'+id+'"]').textContent; window.seen = window.seen || new Set(); seen.add(text("decision")); return `+condition+`; }`,
			chromedp.WithPollingInterval(50*time.Millisecond)))
		if err != nil {
			t.Fatalf("waiting until %s: %v", what, err)
		}
	}
	if err := chromedp.Do(tab, chromedp.EmulateViewport(1440, 960), chromedp.Navigate(<-pages)); err != nil {
		t.Fatal(err)
	}
	until("the engine's stages are listed", `text("link") === "connected" && text("latency").includes("tangent-space") && /[0-9]/.test(text("engine-p99"))`)
	picture := func() int {
		t.Helper()
		v, err := chromedp.Run(tab, chromedp.Evaluate[int](`new Promise(done => requestAnimationFrame(() => {
			const from = document.querySelector('[data-testid="traces"]'), to = document.createElement('canvas');
			to.width = from.width; to.height = from.height;
			const g = to.getContext('2d'); g.drawImage(from, 0, 0);
			const p = g.getImageData(0, 0, to.width, to.height).data;
			let hash = 0;
			for (let i = 3; i < p.length; i += 4) if (p[i] > 40) hash = (hash * 31 + i) % 1000003;
			done(hash);
		}))`, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := picture()
	until("decisions change", `seen.size >= 3`)
	if picture() == first {
		t.Error("the traces do not move")
	}
	until("a command was scored", `/[1-9]/.test(text("tally"))`)
	png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(shot, png, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("screenshot: %s", shot)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
