// Throughput: how much goes through, how full the rings are, what was dropped.

import { put } from "./budget";
import { bytes, clock, count, factor, metric } from "./format";
import type { Report } from "./wire";

const window = 2; // s over which rates are measured

export class Throughput {
  private samples: { at: number; columns: number; chunks: number; decisions: number }[] = [];

  constructor(
    private readonly get: (id: string) => HTMLElement,
    private readonly rings: HTMLElement,
  ) {}

  /** Samples per second of the whole engine: columns times rows. */
  rate = NaN;

  reset(): void {
    this.samples = [];
  }

  update(r: Report): void {
    const s = r.status;
    const now = performance.now() / 1000;
    const a = this.samples;
    if (a.length && s.columns < a[a.length - 1].columns) a.length = 0;
    a.push({ at: now, columns: s.columns, chunks: s.chunks, decisions: s.decisions });
    while (a.length > 2 && now - a[0].at > window) a.shift();
    const span = now - a[0].at;
    const per = (f: (x: (typeof a)[0]) => number): number => (span > 0.4 ? (f(a[a.length - 1]) - f(a[0])) / span : NaN);
    const columns = per((x) => x.columns);
    this.rate = columns * s.rows;
    const rate = (v: number, what: string): string => (Number.isFinite(v) ? `${metric(v)} ${what}` : "–");
    put(this.get("t-samples"), rate(this.rate, "samples/s"));
    put(this.get("t-columns"), `${rate(columns, "Hz")} × ${s.rows} channels`);
    put(this.get("t-chunks"), `${count(s.chunks)} (${rate(per((x) => x.chunks), "per s")})`);
    put(this.get("t-decisions"), `${count(s.decisions)} (${rate(per((x) => x.decisions), "per s")})`);
    put(this.get("t-data"), `${clock(s.data_s)} in ${clock(s.elapsed_s)}`);
    put(this.get("t-realtime"), `× ${factor(s.realtime)}`);
    put(this.get("t-memory"), `${bytes(s.heap_bytes)} heap, ${s.gcs} collections`);
    put(this.get("t-pages"), `${r.server.clients} connected, ${count(r.server.lost_frames)} frames lost in total`);
    this.showRings(s.rings ?? []);
  }

  private showRings(rings: { name: string; used: number; slots: number; dropped: number }[]): void {
    while (this.rings.children.length > rings.length) this.rings.lastElementChild?.remove();
    rings.forEach((g, i) => {
      let li = this.rings.children[i] as HTMLElement | undefined;
      if (!li) {
        li = document.createElement("li");
        for (const c of ["ring-name", "ring-track", "ring-words"]) {
          const e = document.createElement("span");
          e.className = c;
          li.append(e);
        }
        const fill = document.createElement("span");
        fill.className = "ring-fill";
        li.children[1].append(fill);
        this.rings.append(li);
      }
      const [name, track, words] = Array.from(li.children) as HTMLElement[];
      put(name, g.name);
      const share = g.slots ? g.used / g.slots : 0;
      (track.firstElementChild as HTMLElement).style.transform = `scaleX(${share})`;
      track.classList.toggle("full", share > 0.75);
      put(words, `${g.used} of ${g.slots} · ${g.dropped ? `${count(g.dropped)} columns dropped` : "none dropped"}`);
      words.classList.toggle("bad", g.dropped > 0);
    });
  }
}
