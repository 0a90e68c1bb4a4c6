// Scrolling signals: traces by WebGL, everything with letters on 2D canvases around
// and above them.
//
//   gutter │ grid (below) · traces (WebGL) · overlay: cursor, marks, scale bar
//   labels │
//          └ time axis

import { ColorRGBA, WebglLine, WebglPlot } from "webgl-plot";
import { Columns, Playhead } from "./columns";
import { nice, significant, unit } from "./format";
import { classColour, colour, onTheme, rgb } from "./palette";
import { follow, surface, type Surface } from "./surface";
import { isBad, type Channel, type Frame, type Hello, type Mark } from "./wire";

const gainSteps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
export const timeBases = [2, 5, 10, 20];
const keepSeconds = 24;
const seamSeconds = 0.12; // width of the empty band before the sweep, as a share of 10 s

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
  private automatic = 100;
  private width = 0;
  private height = 0;
  private lastDraw = 0;
  private lastMeasure = 0;
  private frames = 0;
  private framesSince = 0;
  private gridKey = "";
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");
  private readonly grid: Surface;
  private readonly overlay: Surface;
  private readonly labels: Surface;

  constructor(
    gl: HTMLCanvasElement,
    grid: HTMLCanvasElement,
    overlay: HTMLCanvasElement,
    labels: HTMLCanvasElement,
    private readonly changed: () => void,
  ) {
    this.grid = surface(grid, () => (this.gridKey = ""));
    this.overlay = surface(overlay, () => {});
    this.labels = surface(labels, () => (this.gridKey = ""));
    try {
      this.plot = new WebglPlot(gl, { antialias: true });
    } catch {
      this.plot = null;
    }
    follow(gl, (w, h) => {
      this.width = w;
      this.height = h;
      this.plot?.viewport(0, 0, gl.width, gl.height);
    });
    gl.addEventListener("webglcontextlost", (e) => {
      e.preventDefault();
      this.plot = null;
    });
    gl.addEventListener("webglcontextrestored", () => {
      this.plot = new WebglPlot(gl, { antialias: true });
      this.build();
    });
    onTheme(() => this.build());
    const loop = (t: number): void => {
      requestAnimationFrame(loop);
      if (this.calm.matches && t - this.lastDraw < 100) return;
      this.draw(t / 1000);
      this.lastDraw = t;
    };
    requestAnimationFrame(loop);
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
    return this.perRow || this.automatic;
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
    this.lastMeasure = 0;
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
    this.gridKey = "";
    this.changed();
  }

  autoGain(): void {
    this.perRow = 0;
    this.lastMeasure = 0;
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
    this.gridKey = "";
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
    this.lastMeasure = 0;
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
    if (!this.paused) this.playhead.advance(c.newest, dt);
    const p = this.playhead.position;
    if (!this.paused && now - this.lastMeasure > 0.5) {
      this.measure(p);
      this.lastMeasure = now;
    }
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
    const start = this.motion === "sweep" ? this.sweepStart(p) : p - span;
    const seam = this.motion === "sweep" ? seamSeconds * 0.1 * span : 0;
    for (let r = 0; r < rows; r++) {
      const t = this.traces[r];
      const y0 = 1 - (2 * r + 1) / rows;
      const row = this.page * this.shown + r;
      const half = 2 * r * points;
      this.fill(t.now, c, row, Math.ceil(start), Math.floor(p), start, span, y0, scale, t.mean, half);
      const from = Math.ceil(p - span + seam);
      const to = this.motion === "sweep" ? Math.ceil(start) - 1 : -1;
      this.fill(t.past, c, row, from, to, start - span, span, y0, scale, t.mean, half + points);
    }
    plot.update();
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
      // Follow slowly, so that the trace does not jump when the mean moves.
      t.mean = this.lastMeasure === 0 ? mean : t.mean + 0.2 * (mean - t.mean);
      deviations.push(Math.sqrt(Math.max(0, squares / n - mean * mean)));
    }
    deviations.sort((a, b) => a - b);
    const typical = deviations[deviations.length >> 1] * 4;
    if (!(typical > 0) || this.perRow) return;
    // Change only when clearly wrong: a gain that breathes cannot be read.
    if (this.lastMeasure === 0 || typical > 2.2 * this.automatic || typical < 0.25 * this.automatic) {
      const next = gainSteps.find((g) => g >= typical) ?? nice(typical * 2);
      if (next !== this.automatic) {
        this.automatic = next;
        this.gridKey = "";
        this.changed();
      }
    }
  }

  /** x of column i on screen, or -1 when it is not there. */
  private place(i: number, p: number): number {
    const span = this.seconds * this.columnHz;
    const age = p - i;
    if (age < 0 || age > span * (this.motion === "sweep" ? 1 - seamSeconds * 0.1 : 1)) return -1;
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
    const step = this.seconds <= 2 ? 0.5 : this.seconds <= 10 ? 1 : 2;
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
      const text = `${value < 0 ? "−" : ""}${significant(Math.abs(value), 4).replace(/\.?0+$/, (m) => (m.startsWith(".") ? "" : m))}`;
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
      g.fillText((bad ? "⚠ " : "") + label, this.labels.width - 5 - column * 27, (r + 0.5) * pitch, 60);
    }
  }

  private drawOverlay(p: number): void {
    const g = this.overlay.context;
    const { width: w, height: h } = this;
    g.clearRect(0, 0, this.overlay.width, this.overlay.height);
    this.shadeGaps(g, p);
    if (this.motion === "sweep") {
      const x = this.place(p, p);
      g.fillStyle = colour("accent");
      g.fillRect(Math.round(x), 0, 1.5, h);
    }
    g.font = "600 11px system-ui, sans-serif";
    g.textBaseline = "middle";
    for (const m of this.marks) {
      const x = this.place(m.column, p);
      if (x < 0) continue;
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
    this.drawScaleBar(g);
  }

  private shadeGaps(g: CanvasRenderingContext2D, p: number): void {
    const c = this.columns;
    if (!c) return;
    const span = this.seconds * this.columnHz;
    const from = Math.max(c.oldest + 1, Math.ceil(p - span));
    let x0 = -1;
    g.fillStyle = colour("gap");
    for (let i = from; i <= p; i++) {
      if (!c.gaps[c.slot(i)]) continue;
      x0 = this.place(i, p);
      if (x0 >= 0) g.fillRect(x0, 0, Math.max(2, this.width / span), this.height);
    }
  }

  private drawScaleBar(g: CanvasRenderingContext2D): void {
    const pitch = this.height / Math.max(1, this.traces.length);
    const perPixel = this.sensitivity / pitch;
    const value = nice(Math.min(64, this.height / 5) * perPixel);
    const length = value / perPixel;
    const text = `${significant(value)
      .replace(/(\.\d*?)0+$/, "$1")
      .replace(/\.$/, "")} ${this.unit}`;
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

/** Odd electrodes are on the left of the head, even ones on the right, z between. */
function sideColour(label: string): string {
  const m = /(\d+|z)\.*$/i.exec(label.trim());
  if (!m || /z/i.test(m[1])) return "trace-mid";
  return Number(m[1]) % 2 ? "trace-left" : "trace-right";
}
