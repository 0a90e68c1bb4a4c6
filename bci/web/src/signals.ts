// Scrolling signals: traces by WebGL, everything with letters on 2D canvases around
// and above them.
//
//   gutter │ grid (below) · traces (WebGL) · overlay: marks, scale bar · cursor
//   labels │
//          └ time axis
//
// In sweep motion only the strip between the last and the present place of the cursor
// is drawn, inside a scissor: a frame costs a few columns whatever is on screen, and
// the overlay is drawn when something on it changes. A new sweep, another gain or size
// redraws everything; so does every frame of scroll motion.

import { ColorRGBA, WebglLine, WebglPlot } from "webgl-plot";
import { Columns, Playhead } from "./columns";
import { nice, plain, unit } from "./format";
import { classColour, colour, onTheme, rgb } from "./palette";
import { follow, surface, type Surface } from "./surface";
import { isBad, type Channel, type Frame, type Hello, type Mark } from "./wire";

// The sensitivities that EEG machines have offered since paper.
const gainSteps = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 5000, 10000];
export const timeBases = [2, 5, 10, 20];
const keepSeconds = 24;
const labelMargin = 4; // px by which the labels' canvas is taller at either end, as in the style sheet
const seamShare = 0.012; // width of the empty band before the sweep, as a share of the time base

export type Motion = "sweep" | "scroll";

interface Trace {
  past: WebglLine; // the previous sweep, right of the cursor
  now: WebglLine; // this sweep, left of it
  mean: number; // of what is on screen: the trace is drawn around it
  badUntil: number; // column until which its label warns
}

export class Signals {
  seconds = 10; // time base
  motion: Motion = "sweep";
  paused = false;
  perRow = 0; // signal units per row; 0 = automatic
  page = 0;
  shown = 64; // rows at once
  fps = 0;
  cost = 0; // ms of computing per frame drawn, smoothed

  private columns: Columns | null = null;
  private playhead = new Playhead(0);
  private channels: Channel[] = [];
  private classes: string[] = [];
  private idle = "";
  private columnHz = 0;
  private originTime = 0; // s at column 0
  private marks: Mark[] = [];
  private traces: Trace[] = [];
  private plot: WebglPlot | null = null;
  private scratch = new Float32Array(0);
  private automatic = 0; // units per row, 0 before there is something to measure
  private width = 0;
  private height = 0;
  private lastDraw = 0;
  private frames = 0;
  private framesSince = 0;
  private gridKey = "";
  private overlayKey = "";
  private drawn = NaN; // column that the traces are drawn up to; NaN: all is to be redrawn
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");
  private readonly grid: Surface;
  private readonly overlay: Surface;
  private readonly labels: Surface;

  constructor(
    private readonly gl: HTMLCanvasElement,
    grid: HTMLCanvasElement,
    overlay: HTMLCanvasElement,
    labels: HTMLCanvasElement,
    private readonly cursor: HTMLElement,
    private readonly changed: () => void,
  ) {
    this.grid = surface(grid, () => (this.gridKey = ""));
    this.overlay = surface(overlay, () => (this.overlayKey = ""));
    this.labels = surface(labels, () => (this.gridKey = ""));
    this.plot = start(gl);
    follow(gl, (w, h) => {
      this.width = w;
      this.height = h;
      this.plot?.viewport(0, 0, gl.width, gl.height);
      this.drawn = NaN;
    });
    gl.addEventListener("webglcontextlost", (e) => {
      e.preventDefault();
      this.plot = null;
    });
    gl.addEventListener("webglcontextrestored", () => {
      this.plot = start(gl);
      this.build();
    });
    onTheme(() => this.build());
    const loop = (t: number): void => {
      requestAnimationFrame(loop);
      if (this.calm.matches && t - this.lastDraw < 100) return;
      const before = performance.now();
      this.draw(t / 1000);
      this.cost += 0.05 * (performance.now() - before - this.cost);
      this.lastDraw = t;
    };
    requestAnimationFrame(loop);
  }

  /** Draws everything anew with the next frame. */
  refresh(): void {
    this.drawn = NaN;
    this.gridKey = this.overlayKey = "";
  }

  get drawable(): boolean {
    return this.plot !== null;
  }

  get total(): number {
    return this.channels.length;
  }

  get pages(): number {
    return Math.max(1, Math.ceil(this.channels.length / this.shown));
  }

  /** Signal units per row now. */
  get sensitivity(): number {
    return this.perRow || this.automatic || 100;
  }

  get unit(): string {
    return unit(this.channels[0]?.unit ?? "");
  }

  hello(h: Hello): void {
    this.classes = h.decisions?.classes ?? [];
    this.idle = h.idle ?? "";
    const s = h.signals;
    if (!s) return;
    this.channels = s.channels;
    this.columnHz = s.column_hz || 1;
    this.columns = new Columns(s.channels.length, s.planes, keepSeconds * this.columnHz);
    this.playhead = new Playhead(this.columnHz);
    this.marks = [];
    this.page = 0;
    this.automatic = 0;
    this.build();
  }

  frame(f: Frame): void {
    const c = this.columns;
    if (!c) return;
    c.add(f);
    this.originTime = f.time - f.first / this.columnHz;
    this.playhead.arrived(c.newest, performance.now() / 1000);
    for (let r = 0; r < this.traces.length; r++) {
      const row = this.page * this.shown + r;
      if (isBad(f, row)) {
        this.traces[r].badUntil = c.newest + 2 * this.columnHz;
        this.gridKey = "";
      }
    }
  }

  addMarks(m: Mark[]): void {
    this.marks.push(...m);
    if (this.marks.length > 512) this.marks.splice(0, this.marks.length - 512);
  }

  louder(steps: number): void {
    const now = this.sensitivity;
    let i = gainSteps.findIndex((g) => g >= now * 0.999);
    if (i < 0) i = gainSteps.length - 1;
    this.perRow = gainSteps[Math.max(0, Math.min(gainSteps.length - 1, i - steps))];
    this.refresh();
    this.changed();
  }

  autoGain(): void {
    this.perRow = 0;
    this.automatic = 0;
    this.refresh();
    this.changed();
  }

  setShown(n: number): void {
    this.shown = n;
    this.page = 0;
    this.build();
  }

  setPage(p: number): void {
    this.page = Math.max(0, Math.min(this.pages - 1, p));
    this.build();
  }

  /** Makes the lines for the channels on this page. */
  build(): void {
    this.refresh();
    this.traces = [];
    if (!this.columns) return;
    const n = Math.min(this.shown, this.channels.length - this.page * this.shown);
    this.plot?.removeAllLines();
    for (let r = 0; r < n; r++) {
      const c = rgb(sideColour(this.channels[this.page * this.shown + r].label));
      const line = (): WebglLine => {
        const l = new WebglLine(new ColorRGBA(c[0], c[1], c[2], 1), 2);
        this.plot?.addDataLine(l);
        return l;
      };
      this.traces.push({ past: line(), now: line(), mean: 0, badUntil: -1 });
    }
    this.changed();
  }

  private draw(now: number): void {
    const dt = Math.min(0.25, Math.max(0, now - this.lastDraw / 1000));
    this.frames++;
    if (now - this.framesSince >= 1) {
      this.fps = this.frames / (now - this.framesSince);
      this.frames = 0;
      this.framesSince = now;
    }
    const c = this.columns;
    if (!c || c.newest < 0 || this.width === 0) return;
    const before = this.playhead.position;
    if (!this.paused) this.playhead.advance(c.newest, dt);
    const p = this.playhead.position;
    if (this.motion === "scroll" || Math.abs(p - before) > this.columnHz || this.sweepStart(p) !== this.sweepStart(before)) this.drawn = NaN;
    if (!(p > this.drawn) && !Number.isNaN(this.drawn)) return;
    if (Number.isNaN(this.drawn) && !this.paused) this.measure(p);
    this.drawTraces(p);
    this.drawGrid(p);
    this.drawOverlay(p);
  }

  /** First column of the sweep that column p is in. */
  private sweepStart(p: number): number {
    const span = this.seconds * this.columnHz;
    return Math.floor(p / span) * span;
  }

  private drawTraces(p: number): void {
    const c = this.columns;
    const plot = this.plot;
    if (!c || !plot) return;
    const span = this.seconds * this.columnHz;
    const rows = this.traces.length;
    const points = 2 * c.planes * (Math.ceil(span) + 2);
    if (this.scratch.length < rows * 2 * points) this.scratch = new Float32Array(rows * 2 * points);
    // A vertical unit of the canvas is half its height; a row is a rows-th of it.
    const scale = 2 / (rows * this.sensitivity);
    const sweep = this.motion === "sweep";
    const start = sweep ? this.sweepStart(p) : p - span;
    const seam = sweep ? seamShare * span : 0;
    const whole = Number.isNaN(this.drawn);
    const first = whole ? start : Math.max(start, this.drawn - 2);
    for (let r = 0; r < rows; r++) {
      const t = this.traces[r];
      const y0 = 1 - (2 * r + 1) / rows;
      const row = this.page * this.shown + r;
      const at = 2 * r * points;
      this.fill(t.now, c, row, Math.ceil(first), Math.floor(p), start, span, y0, scale, t.mean, at);
      t.past.visible = false;
      if (whole && sweep) this.fill(t.past, c, row, Math.ceil(p - span + seam), Math.ceil(start) - 1, start - span, span, y0, scale, t.mean, at + points);
    }
    this.scissor(whole, (first - start) / span, (p + seam - start) / span);
    plot.update();
    this.drawn = p;
  }

  // scissor keeps the drawing to a strip, given as shares of the width. Pixels of the
  // column at its left edge are drawn again, so that the traces join.
  private scissor(whole: boolean, from: number, to: number): void {
    const g = this.gl.getContext("webgl");
    if (!g) return;
    if (whole) {
      g.disable(g.SCISSOR_TEST);
      return;
    }
    const x0 = Math.floor(from * this.gl.width) + 1;
    g.enable(g.SCISSOR_TEST);
    g.scissor(x0, 0, Math.ceil(to * this.gl.width) - x0, this.gl.height);
  }

  // fill writes columns from..to of a row into the scratch memory at the given place
  // and points the line there.
  private fill(
    line: WebglLine, c: Columns, row: number, from: number, to: number,
    start: number, span: number, y0: number, scale: number, mean: number, at: number,
  ): void {
    from = Math.max(from, c.oldest);
    to = Math.min(to, c.newest);
    const n = to - from + 1;
    line.visible = n > 1;
    if (n <= 1) return;
    const xy = this.scratch;
    const lo = c.row(0, row);
    const hi = c.planes > 1 ? c.row(1, row) : null;
    const mask = c.capacity - 1;
    const step = 2 / span;
    let x = (from - start) * step - 1;
    let k = at;
    let slot = c.slot(from);
    for (let i = 0; i < n; i++) {
      xy[k++] = x;
      xy[k++] = y0 + (lo[slot] - mean) * scale;
      if (hi) {
        xy[k++] = x;
        xy[k++] = y0 + (hi[slot] - mean) * scale;
      }
      slot = (slot + 1) & mask;
      x += step;
    }
    line.xy = xy.subarray(at, k);
    line.webglNumPoints = (k - at) / 2;
  }

  // measure finds the mean of every trace on screen and, for the automatic gain, how
  // far the traces reach: the median over channels of their standard deviations.
  private measure(p: number): void {
    const c = this.columns;
    if (!c) return;
    const from = Math.max(c.oldest, Math.ceil(p - this.seconds * this.columnHz));
    const to = Math.min(c.newest, Math.floor(p));
    if (to - from < 8) return;
    const deviations: number[] = [];
    const step = Math.max(1, Math.floor((to - from) / 400));
    for (let r = 0; r < this.traces.length; r++) {
      const lo = c.row(0, this.page * this.shown + r);
      const hi = c.row(c.planes - 1, this.page * this.shown + r);
      let sum = 0;
      let squares = 0;
      let n = 0;
      for (let i = from; i <= to; i += step) {
        const a = lo[c.slot(i)];
        const b = hi[c.slot(i)];
        sum += a + b;
        squares += a * a + b * b;
        n += 2;
      }
      const mean = sum / n;
      const t = this.traces[r];
      t.mean = mean;
      deviations.push(Math.sqrt(Math.max(0, squares / n - mean * mean)));
    }
    deviations.sort((a, b) => a - b);
    const typical = deviations[deviations.length >> 1] * 4;
    if (!(typical > 0) || this.perRow) return;
    // Change only when clearly wrong: a gain that breathes cannot be read.
    if (this.automatic === 0 || typical > 1.6 * this.automatic || typical < 0.4 * this.automatic) {
      this.automatic = gainSteps.find((g) => g >= typical) ?? nice(typical * 2);
      this.gridKey = this.overlayKey = "";
      this.changed();
    }
  }

  /** x of column i on screen, or -1 when it is not there. */
  private place(i: number, p: number): number {
    const span = this.seconds * this.columnHz;
    const age = p - i;
    if (age < 0 || age > span * (this.motion === "sweep" ? 1 - seamShare : 1)) return -1;
    const x = this.motion === "sweep" ? (((i % span) + span) % span) / span : 1 - age / span;
    return x * this.width;
  }

  // Labels, rows and, in sweep motion, the time axis change seldom: they are drawn
  // when their key does.
  private drawGrid(p: number): void {
    const sweep = this.motion === "sweep";
    const first = sweep ? this.sweepStart(p) / this.columnHz : 0;
    const key = `${this.motion} ${this.seconds} ${sweep ? first : "-"} ${this.traces.length} ${this.page} ${this.width} ${this.height} ${this.originTime > 0}`;
    if (key === this.gridKey) return;
    this.gridKey = key;
    const g = this.grid.context;
    const h = this.height;
    g.clearRect(0, 0, this.grid.width, this.grid.height);
    const least = (36 / this.width) * this.seconds; // s between two labels that do not touch
    const step = [0.5, 1, 2, 5, 10].find((s) => s >= least && this.seconds / s <= 10) ?? this.seconds;
    g.font = "11px system-ui, sans-serif";
    g.textBaseline = "top";
    for (let s = 0; s <= this.seconds + 1e-9; s += step) {
      const x = Math.min(this.width - 0.5, Math.round((s / this.seconds) * this.width) + 0.5);
      g.strokeStyle = colour("grid");
      g.beginPath();
      g.moveTo(x, 0);
      g.lineTo(x, h + 4);
      g.stroke();
      g.fillStyle = colour("muted");
      const value = sweep ? first + s : s - this.seconds;
      const text = `${value < 0 ? "−" : ""}${plain(Math.abs(value), 5)}`;
      g.textAlign = s === 0 ? "left" : s + step > this.seconds + 1e-9 ? "right" : "center";
      g.fillText(s + step > this.seconds + 1e-9 ? `${text} s` : text, x, h + 6);
    }
    this.drawLabels();
  }

  private drawLabels(): void {
    const g = this.labels.context;
    const rows = this.traces.length;
    const pitch = this.height / rows;
    const size = Math.max(8, Math.min(12, Math.floor(pitch * 1.02)));
    // Rows closer than their letters are tall take turns in two columns.
    const columns = pitch < size * 0.86 ? 2 : 1;
    const every = Math.max(1, Math.ceil((size * 0.86) / (pitch * columns)));
    g.clearRect(0, 0, this.labels.width, this.labels.height);
    g.font = `${size}px system-ui, sans-serif`;
    g.textAlign = "right";
    g.textBaseline = "middle";
    for (let r = 0; r < rows; r++) {
      if (r % every) continue;
      const label = this.channels[this.page * this.shown + r].label;
      const bad = this.columns !== null && this.traces[r].badUntil > this.columns.newest;
      g.fillStyle = bad ? colour("warn") : colour(sideColour(label));
      const column = columns === 2 && (r / every) % 2 === 0 ? 1 : 0;
      g.fillText((bad ? "⚠ " : "") + label, this.labels.width - 5 - column * 27, labelMargin + (r + 0.5) * pitch, 60);
    }
  }

  private drawOverlay(p: number): void {
    const sweep = this.motion === "sweep";
    this.cursor.hidden = !sweep;
    if (sweep) this.cursor.style.transform = `translateX(${Math.round(this.place(p, p))}px)`;
    const visible: [number, Mark][] = [];
    for (const m of this.marks) {
      const x = this.place(m.column, p);
      if (x >= 0) visible.push([x, m]);
    }
    const gaps = this.findGaps(p);
    if (sweep) {
      const key = [this.width, this.height, this.sensitivity, this.traces.length, ...visible.map((v) => v[0]), "g", ...gaps].join(" ");
      if (key === this.overlayKey) return;
      this.overlayKey = key;
    }
    const g = this.overlay.context;
    g.clearRect(0, 0, this.overlay.width, this.overlay.height);
    g.fillStyle = colour("gap");
    const columnWidth = this.width / (this.seconds * this.columnHz);
    for (let i = 0; i < gaps.length; i += 2) g.fillRect(gaps[i], 0, Math.max(2, gaps[i + 1] + columnWidth - gaps[i]), this.height);
    g.font = "600 11px system-ui, sans-serif";
    g.textBaseline = "middle";
    for (const [x, m] of visible) this.drawMark(g, x, m);
    this.drawScaleBar(g);
  }

  private drawMark(g: CanvasRenderingContext2D, x: number, m: Mark): void {
    const { width: w, height: h } = this;
    const index = m.class ? this.classes.indexOf(m.class) : -1;
    const c = index < 0 ? colour("muted") : classColour(index, m.class === this.idle);
    g.strokeStyle = c;
    g.setLineDash([4, 3]);
    g.beginPath();
    g.moveTo(Math.round(x) + 0.5, 0);
    g.lineTo(Math.round(x) + 0.5, h);
    g.stroke();
    g.setLineDash([]);
    const text = m.class ? `${m.label} ${m.class}` : m.label;
    const tw = g.measureText(text).width + 10;
    const left = Math.min(x, w - tw);
    g.fillStyle = c;
    g.fillRect(left, 0, tw, 17);
    g.fillStyle = colour("on-class");
    g.textAlign = "left";
    g.fillText(text, left + 5, 9);
  }

  // findGaps returns where columns are missing on screen: left and right, pairwise.
  private findGaps(p: number): number[] {
    const c = this.columns;
    const out: number[] = [];
    if (!c) return out;
    const from = Math.max(c.oldest + 1, Math.ceil(p - this.seconds * this.columnHz));
    let last = -2;
    for (let i = from; i <= p; i++) {
      if (!c.gaps[c.slot(i)]) continue;
      const x = this.place(i, p);
      if (x < 0) continue;
      if (i === last + 1 && x > out[out.length - 1]) out[out.length - 1] = x;
      else out.push(x, x);
      last = i;
    }
    return out;
  }

  private drawScaleBar(g: CanvasRenderingContext2D): void {
    const pitch = this.height / Math.max(1, this.traces.length);
    const perPixel = this.sensitivity / pitch;
    const value = nice(Math.min(44, this.height / 5) * perPixel);
    const length = value / perPixel;
    const text = `${plain(value)} ${this.unit}`;
    g.font = "600 12px system-ui, sans-serif";
    const tw = g.measureText(text).width;
    const right = this.width - 8;
    const bottom = this.height - 8;
    g.fillStyle = colour("veil");
    g.fillRect(right - tw - 24, bottom - length - 8, tw + 28, length + 14);
    g.strokeStyle = colour("ink");
    g.lineWidth = 1.5;
    g.beginPath();
    g.moveTo(right - 6, bottom - length);
    g.lineTo(right, bottom - length);
    g.moveTo(right - 3, bottom - length);
    g.lineTo(right - 3, bottom);
    g.moveTo(right - 6, bottom);
    g.lineTo(right, bottom);
    g.stroke();
    g.lineWidth = 1;
    g.fillStyle = colour("ink");
    g.textAlign = "right";
    g.textBaseline = "middle";
    g.fillText(text, right - 12, bottom - length / 2);
  }
}

/** Starts WebGL; null when the browser has none. */
function start(gl: HTMLCanvasElement): WebglPlot | null {
  // Made here, because the library knows no way to keep what has been drawn; it gets
  // the same context when it asks.
  if (!gl.getContext("webgl", { antialias: !drawnBySoftware(), preserveDrawingBuffer: true })) return null;
  try {
    return new WebglPlot(gl);
  } catch {
    return null;
  }
}

// Without a graphics card, smooth edges cost more than the traces themselves.
function drawnBySoftware(): boolean {
  const probe = document.createElement("canvas").getContext("webgl");
  const info = probe?.getExtension("WEBGL_debug_renderer_info");
  const name = info ? String(probe?.getParameter(info.UNMASKED_RENDERER_WEBGL)) : "";
  probe?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

/** Odd electrodes are on the left of the head, even ones on the right, z between. */
function sideColour(label: string): string {
  const m = /(\d+|z)\.*$/i.exec(label.trim());
  if (!m || /z/i.test(m[1])) return "trace-mid";
  return Number(m[1]) % 2 ? "trace-left" : "trace-right";
}
