// Band power over the head: a map interpolated between electrodes, or one bar for
// each of them, with a colour bar in the unit of the feature.

import { placeOf, project, type Place } from "./electrodes";
import { significant, unit } from "./format";
import { colour, heat, heatCSS, onTheme } from "./palette";
import { surface, type Surface } from "./surface";
import { isBad, type Frame, type Hello, type PowerRow } from "./wire";

const cells = 72; // of the map, a side

interface Site {
  row: number; // of the frame
  label: string;
  place: Place | null;
}

export class Power {
  view: "map" | "bars" = "map";
  band = "";
  bands: string[] = [];

  private rows: PowerRow[] = [];
  private sites: Site[] = [];
  private last: Frame | null = null;
  private weights = new Float32Array(0); // cells² × placed sites, rows sum to 1
  private low = NaN; // ends of the colour bar, moving slowly
  private high = NaN;
  private readonly image = document.createElement("canvas");
  private readonly pixels: ImageData;
  private readonly surface: Surface;
  private dirty = false;
  private lastDraw = 0;

  constructor(
    canvas: HTMLCanvasElement,
    private readonly changed: () => void,
  ) {
    this.image.width = this.image.height = cells;
    this.pixels = new ImageData(cells, cells);
    this.surface = surface(canvas, () => this.draw());
    onTheme(() => this.draw());
    const loop = (t: number): void => {
      requestAnimationFrame(loop);
      if (!this.dirty || t - this.lastDraw < 100) return;
      this.lastDraw = t;
      this.draw();
    };
    requestAnimationFrame(loop);
  }

  get mappable(): boolean {
    return this.sites.filter((s) => s.place).length >= 4;
  }

  get unit(): string {
    return unit(this.rows[this.sites[0]?.row ?? 0]?.unit ?? "");
  }

  hello(h: Hello): void {
    this.rows = h.power?.rows ?? [];
    this.bands = [...new Set(this.rows.map((r) => r.band))];
    if (!this.bands.includes(this.band)) this.band = this.bands[0] ?? "";
    this.last = null;
    this.select(this.band);
  }

  select(band: string): void {
    this.band = band;
    this.sites = [];
    this.rows.forEach((r, i) => {
      if (r.band !== band) return;
      this.sites.push({ row: i, label: r.channel, place: r.position ? project(r.position) : placeOf(r.channel) });
    });
    this.low = this.high = NaN;
    this.weigh();
    this.draw();
    this.changed();
  }

  frame(f: Frame): void {
    if (f.rows !== this.rows.length || f.columns < 1) return;
    this.last = f;
    this.dirty = true;
  }

  redraw(): void {
    this.dirty = true;
  }

  // weigh computes the share of every electrode in every cell of the map: inverse
  // fourth power of the distance.
  private weigh(): void {
    const placed = this.sites.filter((s) => s.place);
    this.weights = new Float32Array(cells * cells * placed.length);
    for (let y = 0; y < cells; y++) {
      for (let x = 0; x < cells; x++) {
        const px = ((x + 0.5) / cells) * 2 - 1;
        const py = 1 - ((y + 0.5) / cells) * 2;
        const at = (y * cells + x) * placed.length;
        let sum = 0;
        placed.forEach((s, i) => {
          const [sx, sy] = s.place as Place;
          const d = (px - sx) ** 2 + (py - sy) ** 2 + 1e-3;
          sum += this.weights[at + i] = 1 / (d * d);
        });
        for (let i = 0; i < placed.length; i++) this.weights[at + i] /= sum;
      }
    }
  }

  private value(f: Frame, s: Site): number {
    return f.values[s.row * f.columns + f.columns - 1];
  }

  // The colour bar spans the values of the good electrodes and follows slowly.
  private range(f: Frame): void {
    let lo = Infinity;
    let hi = -Infinity;
    for (const s of this.sites) {
      if (isBad(f, s.row)) continue;
      const v = this.value(f, s);
      lo = Math.min(lo, v);
      hi = Math.max(hi, v);
    }
    if (!(lo <= hi)) return;
    if (hi - lo < 1e-9) hi = lo + 1e-9 + Math.abs(lo) * 0.01;
    const follow = (was: number, now: number): number => (Number.isNaN(was) ? now : was + 0.08 * (now - was));
    this.low = follow(this.low, lo);
    this.high = follow(this.high, hi);
  }

  private draw(): void {
    this.dirty = false;
    const { context: g, width: w, height: h } = this.surface;
    g.clearRect(0, 0, w, h);
    if (w === 0) return;
    if (this.last) this.range(this.last);
    if (this.view === "map" && this.mappable) this.drawMap(g, w, h);
    else this.drawBars(g, w, h);
  }

  private drawMap(g: CanvasRenderingContext2D, w: number, h: number): void {
    const bar = 74; // room for the colour bar
    const size = Math.min(w - bar, h);
    const scale = size / 2.3; // pixels per head radius: nose and ears need room
    const cx = (w - bar) / 2;
    const cy = h / 2 + scale * 0.04;
    if (this.last) {
      this.paintImage(this.last);
      g.save();
      g.beginPath();
      g.arc(cx, cy, scale, 0, 2 * Math.PI);
      g.clip();
      g.imageSmoothingEnabled = true;
      g.imageSmoothingQuality = "high";
      g.drawImage(this.image, cx - scale, cy - scale, 2 * scale, 2 * scale);
      g.restore();
    }
    this.drawHead(g, cx, cy, scale);
    this.drawSites(g, cx, cy, scale);
    this.drawColourBar(g, w - bar + 14, cy - scale, 2 * scale);
  }

  private paintImage(f: Frame): void {
    const placed = this.sites.filter((s) => s.place);
    const values = placed.map((s) => this.value(f, s));
    const d = this.pixels.data;
    const span = this.high - this.low || 1;
    for (let c = 0; c < cells * cells; c++) {
      let v = 0;
      for (let i = 0; i < values.length; i++) v += this.weights[c * values.length + i] * values[i];
      heat((v - this.low) / span, d, 4 * c);
      d[4 * c + 3] = 255;
    }
    this.image.getContext("2d")?.putImageData(this.pixels, 0, 0);
  }

  private drawHead(g: CanvasRenderingContext2D, cx: number, cy: number, r: number): void {
    g.strokeStyle = colour("muted");
    g.lineWidth = 1.5;
    g.beginPath();
    g.arc(cx, cy, r, 0, 2 * Math.PI);
    g.moveTo(cx - 0.1 * r, cy - 0.995 * r);
    g.lineTo(cx, cy - 1.1 * r);
    g.lineTo(cx + 0.1 * r, cy - 0.995 * r);
    for (const side of [-1, 1]) {
      g.moveTo(cx + side * r * 0.985, cy - 0.17 * r);
      g.bezierCurveTo(cx + side * r * 1.1, cy - 0.2 * r, cx + side * r * 1.1, cy + 0.2 * r, cx + side * r * 0.985, cy + 0.17 * r);
    }
    g.stroke();
    g.lineWidth = 1;
  }

  private drawSites(g: CanvasRenderingContext2D, cx: number, cy: number, r: number): void {
    const named = r > 190;
    g.font = "9px system-ui, sans-serif";
    g.textAlign = "center";
    g.textBaseline = "middle";
    for (const s of this.sites) {
      if (!s.place) continue;
      const x = cx + s.place[0] * r;
      const y = cy - s.place[1] * r;
      const bad = this.last !== null && isBad(this.last, s.row);
      const main = /^(FP[12]|F[3478z]|C[34z]|T[78]|P[3478z]|O[12])\.*$/i.test(s.label);
      if (named || main) {
        const text = s.label.replace(/\.+$/, "");
        const tw = g.measureText(text).width;
        g.fillStyle = "rgb(0 0 0 / 0.45)";
        g.fillRect(x - tw / 2 - 2, y - 6, tw + 4, 12);
        g.fillStyle = bad ? "#ffb454" : "#ffffff";
        g.fillText(text, x, y + 0.5);
      } else {
        g.fillStyle = bad ? "#ffb454" : "rgb(255 255 255 / 0.75)";
        g.beginPath();
        g.arc(x, y, bad ? 3 : 1.6, 0, 2 * Math.PI);
        g.fill();
      }
    }
  }

  private drawColourBar(g: CanvasRenderingContext2D, x: number, y: number, h: number): void {
    const top = y + 16;
    h -= 18;
    for (let i = 0; i < h; i++) {
      g.fillStyle = heatCSS(1 - i / h);
      g.fillRect(x, top + i, 12, 1.5);
    }
    g.font = "11px system-ui, sans-serif";
    g.fillStyle = colour("muted");
    g.textAlign = "left";
    g.textBaseline = "middle";
    g.fillText(this.unit || "no unit", x, top - 10, 60);
    if (Number.isNaN(this.low)) return;
    for (const f of [0, 0.5, 1]) {
      g.fillText(significant(this.low + f * (this.high - this.low)), x + 17, top + 2 + (h - 4) * (1 - f));
    }
  }

  private drawBars(g: CanvasRenderingContext2D, w: number, h: number): void {
    const left = 46;
    const bottom = 40;
    const top = 16;
    g.font = "11px system-ui, sans-serif";
    g.fillStyle = colour("muted");
    g.textAlign = "left";
    g.textBaseline = "top";
    g.fillText(this.unit || "no unit", 2, 0);
    const f = this.last;
    const n = this.sites.length;
    if (!f || n === 0 || Number.isNaN(this.low)) return;
    // Powers in linear units start at 0; in decibels any value may be the base.
    const base = this.low >= 0 && !/dB|log/i.test(this.unit) ? 0 : this.low - 0.1 * (this.high - this.low);
    const span = (this.high - base) * 1.1 || 1;
    const plot = h - bottom - top;
    g.textAlign = "right";
    g.textBaseline = "middle";
    for (const share of [0, 0.5, 1]) {
      const y = top + plot * (1 - share);
      g.fillStyle = colour("muted");
      g.fillText(significant(base + share * span), left - 6, y);
      g.strokeStyle = colour("grid");
      g.beginPath();
      g.moveTo(left, Math.round(y) + 0.5);
      g.lineTo(w, Math.round(y) + 0.5);
      g.stroke();
    }
    const pitch = (w - left) / n;
    const size = Math.max(7, Math.min(11, pitch * 0.95));
    g.font = `${size}px system-ui, sans-serif`;
    const stagger = pitch < size ? 2 : 1;
    const every = Math.max(1, Math.ceil(size / (pitch * stagger)));
    this.sites.forEach((s, i) => {
      const v = Math.max(0, Math.min(1.05, (this.value(f, s) - base) / span));
      g.fillStyle = isBad(f, s.row) ? colour("warn") : heatCSS((this.value(f, s) - this.low) / (this.high - this.low || 1));
      g.fillRect(left + i * pitch + 0.5, top + plot * (1 - v), Math.max(1, pitch - 1), plot * v);
      if (i % every) return;
      g.save();
      g.translate(left + (i + 0.5) * pitch, h - bottom + 3 + ((i / every) % stagger) * 18);
      g.rotate(-Math.PI / 2);
      g.fillStyle = colour("muted");
      g.fillText(s.label.replace(/\.+$/, ""), 0, 0);
      g.restore();
    });
  }
}
