// What the decoder says: the present as words and bars, the recent past as a strip of
// probabilities with tracks for decision and truth below and marks where commands
// were given.

import uPlot from "uplot";
import { classColour, colour, onTheme } from "./palette";
import type { Frame, Hello, Outcome, Tally } from "./wire";

const keepSeconds = 120;
const trackTop = -0.19; // on the scale of the probabilities
const trackHeight = 0.15;
const trackPitch = 0.23;
const floor = -0.66;

export interface Elements {
  decision: HTMLElement;
  command: HTMLElement;
  truth: HTMLElement;
  bars: HTMLElement;
  strip: HTMLElement;
  tally: HTMLElement;
  empty: HTMLElement;
  body: HTMLElement;
}

export class Decisions {
  seconds = 30;
  paused = false;

  private classes: string[] = [];
  private idle = -1;
  private probabilities: number[] = []; // rows of the frame
  private decisionRow = -1;
  private commandRow = -1;
  private hasTruth = false;
  private times: number[] = [];
  private series: number[][] = []; // per class with a probability
  private decided: number[] = [];
  private truths: number[] = [];
  private outcomes: Outcome[] = [];
  private lastCommand: { class: number; time: number } | null = null;
  private origin = 0;
  private columnHz = 10;
  private rowCount = 0;
  private plot: uPlot | null = null;
  private barFills: HTMLElement[] = [];
  private barValues: HTMLElement[] = [];
  private dirty = false;
  private lastDraw = 0;

  constructor(private readonly el: Elements) {
    new ResizeObserver(() => this.resize()).observe(el.strip);
    onTheme(() => this.build());
    const loop = (t: number): void => {
      requestAnimationFrame(loop);
      if (!this.dirty || this.paused || t - this.lastDraw < 80) return;
      this.lastDraw = t;
      this.draw();
    };
    requestAnimationFrame(loop);
  }

  hello(h: Hello): void {
    const d = h.decisions;
    this.el.body.hidden = !d;
    this.el.empty.hidden = !!d;
    if (!d) return;
    this.classes = d.classes;
    this.idle = h.idle ? d.classes.indexOf(h.idle) : -1;
    this.hasTruth = d.truth;
    this.columnHz = d.rate_hz > 0 ? d.rate_hz : 10;
    this.rowCount = d.rows.length + 1; // the truth comes last
    this.probabilities = [];
    this.decisionRow = this.commandRow = -1;
    d.rows.forEach((r, i) => {
      if (r.type === "probability") this.probabilities.push(i);
      else if (r.type === "decision" && r.label === "command") this.commandRow = i;
      else if (r.type === "decision") this.decisionRow = i;
    });
    this.times = [];
    this.decided = [];
    this.truths = [];
    this.outcomes = [];
    this.lastCommand = null;
    this.series = this.probabilities.map(() => []);
    this.build();
  }

  setOrigin(s: number): void {
    this.origin = s;
  }

  frame(f: Frame): void {
    if (f.rows !== this.rowCount) return;
    const at = (row: number, i: number): number => f.values[row * f.columns + i];
    for (let i = 0; i < f.columns; i++) {
      const t = f.time + i / this.columnHz;
      if (this.times.length && t <= this.times[this.times.length - 1]) {
        if (t < this.times[this.times.length - 1] - 1) this.forget();
        else continue;
      }
      this.times.push(t);
      this.probabilities.forEach((row, k) => this.series[k].push(at(row, i)));
      let decision = this.decisionRow >= 0 ? Math.round(at(this.decisionRow, i)) : -1;
      if (this.decisionRow < 0) decision = this.likeliest(f, i);
      this.decided.push(decision);
      this.truths.push(this.hasTruth ? Math.round(at(f.rows - 1, i)) : -1);
      if (this.commandRow >= 0) {
        const c = Math.round(at(this.commandRow, i));
        if (c >= 0) this.lastCommand = { class: c, time: t };
      }
    }
    this.trim();
    this.dirty = true;
  }

  addOutcomes(o: Outcome[]): void {
    this.outcomes.push(...o);
    if (this.outcomes.length > 400) this.outcomes.splice(0, this.outcomes.length - 400);
    this.dirty = true;
  }

  setTally(t: Tally): void {
    if (!this.hasTruth) {
      this.el.tally.textContent = "The recording has no truth to score against.";
      return;
    }
    const perMinute = t.idle_s > 0 ? ((60 * t.false) / t.idle_s).toFixed(1) : "–";
    this.el.tally.replaceChildren(
      chip("hit", `✓ ${t.hits}`, "commands that were the true class"),
      chip("wrong", `✗ ${t.wrong}`, "commands of another class"),
      chip("missed", `○ ${t.missed}`, "trials without a command"),
      chip("false", `! ${t.false}`, "commands while idle"),
      text(` of ${t.trials} trials · ${perMinute} false per idle minute`),
    );
  }

  private likeliest(f: Frame, i: number): number {
    let best = -1;
    let most = -Infinity;
    this.probabilities.forEach((row, k) => {
      const p = f.values[row * f.columns + i];
      if (p > most) {
        most = p;
        best = k;
      }
    });
    return best;
  }

  private forget(): void {
    this.times.length = this.decided.length = this.truths.length = 0;
    for (const s of this.series) s.length = 0;
    this.outcomes = [];
  }

  private trim(): void {
    const old = this.times[this.times.length - 1] - keepSeconds;
    let n = 0;
    while (this.times[n] < old) n++;
    // In lumps: removing from the front copies everything.
    if (n < 256 && n < this.times.length / 4) return;
    for (const a of [this.times, this.decided, this.truths, ...this.series]) a.splice(0, n);
    this.outcomes = this.outcomes.filter((o) => o.time_s >= old);
  }

  private css(i: number): string {
    return classColour(i, i === this.idle);
  }

  private name(i: number): string {
    return this.classes[i] ?? "–";
  }

  // Drawing.

  private build(): void {
    this.plot?.destroy();
    this.plot = null;
    if (this.probabilities.length === 0 && this.decisionRow < 0) return;
    this.el.bars.replaceChildren();
    this.barFills = [];
    this.barValues = [];
    this.probabilities.forEach((_, k) => {
      const row = document.createElement("div");
      row.className = "bar";
      row.setAttribute("role", "meter");
      row.setAttribute("aria-label", `probability of ${this.name(k)}`);
      row.setAttribute("aria-valuemin", "0");
      row.setAttribute("aria-valuemax", "1");
      const name = document.createElement("span");
      name.className = "bar-name";
      name.textContent = this.name(k);
      const track = document.createElement("span");
      track.className = "bar-track";
      const fill = document.createElement("span");
      fill.className = "bar-fill";
      fill.style.background = this.css(k);
      track.append(fill);
      const value = document.createElement("span");
      value.className = "bar-value";
      row.append(name, track, value);
      this.el.bars.append(row);
      this.barFills.push(fill);
      this.barValues.push(value);
    });
    const size = this.size();
    const axis = { stroke: colour("muted"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    this.plot = new uPlot(
      {
        ...size,
        padding: [8, 10, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false }, y: { range: [floor, 1.04] } },
        axes: [
          { ...axis, size: 26, gap: 4, space: 50, values: (_u, v) => v.map((s, i) => (i === v.length - 1 ? `${s} s` : `${s}`)) },
          { ...axis, size: 68, gap: 6, splits: () => [0, 0.25, 0.5, 0.75, 1], values: (_u, v) => v.map((s) => (s * 4) % 2 ? "" : s.toFixed(1)) },
        ],
        series: [{}, ...this.probabilities.map((_, k) => ({ label: this.name(k), stroke: this.css(k), width: 1.75, points: { show: false } }))],
        hooks: { draw: [(u) => this.drawTracks(u)] },
      },
      [[], ...this.probabilities.map(() => [])] as unknown as uPlot.AlignedData,
      this.el.strip,
    );
    this.dirty = true;
  }

  private size(): { width: number; height: number } {
    return { width: Math.max(200, this.el.strip.clientWidth), height: Math.max(120, this.el.strip.clientHeight) };
  }

  private resize(): void {
    if (!this.plot) return;
    this.plot.setSize(this.size());
    this.dirty = true;
  }

  private draw(): void {
    this.dirty = false;
    const n = this.times.length;
    if (!n || !this.plot) return;
    const newest = this.times[n - 1];
    let from = n - 1;
    while (from > 0 && this.times[from - 1] >= newest - this.seconds) from--;
    const x = this.times.slice(from).map((t) => t - this.origin);
    this.plot.setData([x, ...this.series.map((s) => s.slice(from))] as uPlot.AlignedData, false);
    this.plot.setScale("x", { min: newest - this.origin - this.seconds, max: newest - this.origin });
    this.words(n - 1);
  }

  private words(i: number): void {
    this.series.forEach((s, k) => {
      const p = Math.max(0, Math.min(1, s[i]));
      this.barFills[k].style.transform = `scaleX(${p})`;
      this.barValues[k].textContent = p.toFixed(2);
      this.barFills[k].parentElement?.parentElement?.setAttribute("aria-valuenow", p.toFixed(2));
    });
    this.say(this.el.decision, this.decided[i], this.decided[i] < 0 ? "none" : this.name(this.decided[i]));
    const c = this.lastCommand;
    this.say(this.el.command, c?.class ?? -1, c ? `${this.name(c.class)} · ${Math.max(0, this.times[i] - c.time).toFixed(1)} s ago` : "none yet");
    const t = this.truths[i];
    this.say(this.el.truth, t, t < 0 ? "unknown" : this.name(t));
  }

  private say(el: HTMLElement, c: number, words: string): void {
    if (el.textContent !== words) el.textContent = words;
    el.style.setProperty("--class", c < 0 ? colour("muted") : this.css(c));
    el.dataset["class"] = c < 0 ? "" : this.name(c);
  }

  private drawTracks(u: uPlot): void {
    const g = u.ctx;
    const ratio = devicePixelRatio || 1;
    const now = u.scales["x"].max ?? 0;
    const tracks: [string, number[]][] = [["decision", this.decided]];
    if (this.hasTruth) tracks.push(["truth", this.truths]);
    g.save();
    g.font = `${11 * ratio}px system-ui, sans-serif`;
    g.textBaseline = "middle";
    tracks.forEach(([name, values], k) => {
      const y1 = u.valToPos(trackTop - k * trackPitch, "y", true);
      const y0 = u.valToPos(trackTop + trackHeight - 0.04 - k * trackPitch, "y", true);
      g.fillStyle = colour("muted");
      g.textAlign = "right";
      g.fillText(name, u.bbox.left - 6 * ratio, (y0 + y1) / 2);
      g.fillStyle = colour("track");
      g.fillRect(u.bbox.left, y0, u.bbox.width, y1 - y0);
      g.save();
      g.beginPath();
      g.rect(u.bbox.left, y0, u.bbox.width, y1 - y0);
      g.clip();
      this.drawRuns(u, values, y0, y1, ratio);
      g.restore();
    });
    this.drawOutcomes(u, tracks.length, now, ratio);
    g.restore();
  }

  // Stretches of one class, named where there is room.
  private drawRuns(u: uPlot, values: number[], y0: number, y1: number, ratio: number): void {
    const g = u.ctx;
    const n = values.length;
    const min = (u.scales["x"].min ?? 0) + this.origin - 1;
    let i = 0;
    while (i < n && this.times[i] < min) i++;
    while (i < n) {
      const from = i;
      while (i < n && values[i] === values[from]) i++;
      if (values[from] < 0) continue;
      const x0 = Math.max(u.bbox.left, u.valToPos(this.times[from] - this.origin, "x", true));
      const x1 = u.valToPos(this.times[Math.min(i, n - 1)] - this.origin, "x", true);
      g.fillStyle = this.css(values[from]);
      g.fillRect(x0, y0, Math.max(ratio, x1 - x0), y1 - y0);
      const name = this.name(values[from]);
      g.textAlign = "left";
      if (g.measureText(name).width + 8 * ratio < x1 - x0) {
        g.fillStyle = colour("on-class");
        g.fillText(name, x0 + 4 * ratio, (y0 + y1) / 2);
      }
    }
  }

  private drawOutcomes(u: uPlot, tracks: number, now: number, ratio: number): void {
    const g = u.ctx;
    const y = u.valToPos(trackTop + 0.02 - tracks * trackPitch, "y", true);
    g.fillStyle = colour("muted");
    g.textAlign = "right";
    g.fillText("commands", u.bbox.left - 6 * ratio, y);
    g.textAlign = "center";
    g.font = `700 ${13 * ratio}px system-ui, sans-serif`;
    for (const o of this.outcomes) {
      const t = o.time_s - this.origin;
      if (t < now - this.seconds || t > now) continue;
      const x = u.valToPos(t, "x", true);
      g.fillStyle = colour(`result-${o.result}`);
      g.fillText(glyphs[o.result] ?? "·", x, y);
    }
  }
}

const glyphs: Record<string, string> = { hit: "✓", wrong: "✗", missed: "○", false: "!", unscored: "·" };

function chip(kind: string, words: string, title: string): HTMLElement {
  const e = document.createElement("span");
  e.className = `chip result-${kind}`;
  e.textContent = words;
  e.title = title;
  return e;
}

function text(words: string): Text {
  return document.createTextNode(words);
}
