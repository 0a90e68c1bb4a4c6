// A ring of columns that a view draws from: rows × planes of float32, addressed by
// the absolute index of a column.

import type { Frame } from "./wire";

export class Columns {
  readonly capacity: number;
  newest = -1; // index of the newest column, -1 when empty
  oldest = 0; // index of the oldest column still held
  /** gaps[i % capacity] is 1 when columns are missing before column i. */
  readonly gaps: Uint8Array;
  private readonly data: Float32Array;
  private readonly mask: number;

  constructor(
    readonly rows: number,
    readonly planes: number,
    atLeast: number,
  ) {
    let n = 64;
    while (n < atLeast) n *= 2;
    this.capacity = n;
    this.mask = n - 1;
    this.data = new Float32Array(rows * planes * n);
    this.gaps = new Uint8Array(n);
  }

  /** Plane p of row r: column i is at index i & mask. */
  row(p: number, r: number): Float32Array {
    const at = (p * this.rows + r) * this.capacity;
    return this.data.subarray(at, at + this.capacity);
  }

  slot(i: number): number {
    return ((i % this.capacity) + this.capacity) & this.mask;
  }

  /** Adds a frame. A frame that lies before the newest column starts anew. */
  add(f: Frame): void {
    if (f.rows !== this.rows || f.planes !== this.planes || f.columns === 0) return;
    let first = f.first;
    const fresh = this.newest < 0 || first <= this.newest || first > this.newest + this.capacity;
    if (fresh) {
      this.oldest = first;
      this.newest = first - 1;
    }
    const missing = first - this.newest - 1;
    if (missing > 0) this.bridge(missing);
    this.gaps[this.slot(first)] = missing > 0 || (f.flags !== 0 && !fresh) ? 1 : 0;
    const skip = Math.max(0, f.columns - this.capacity);
    first += skip;
    for (let pr = 0; pr < this.planes * this.rows; pr++) {
      const row = this.data.subarray(pr * this.capacity, (pr + 1) * this.capacity);
      const from = pr * f.columns;
      for (let i = skip; i < f.columns; i++) {
        const v = f.values[from + i];
        row[this.slot(f.first + i)] = Number.isFinite(v) ? v : 0;
      }
    }
    for (let i = Math.max(1, skip); i < f.columns; i++) this.gaps[this.slot(f.first + i)] = 0;
    this.newest = f.first + f.columns - 1;
    this.oldest = Math.max(this.oldest, this.newest - this.capacity + 1);
  }

  // Missing columns repeat the last value, so that a trace stays where it was; the
  // view shades them.
  private bridge(n: number): void {
    const last = this.slot(this.newest);
    for (let pr = 0; pr < this.planes * this.rows; pr++) {
      const row = this.data.subarray(pr * this.capacity, (pr + 1) * this.capacity);
      const v = row[last];
      for (let i = 1; i <= n; i++) row[this.slot(this.newest + i)] = v;
    }
    for (let i = 1; i <= n; i++) this.gaps[this.slot(this.newest + i)] = 1;
  }
}

/**
 * The column to draw up to, moving smoothly although columns arrive in lumps: it
 * runs at the rate at which they arrive, a little behind, and is pulled towards
 * where it should be.
 */
export class Playhead {
  position = NaN; // column, fractional
  private rate: number; // columns per second of wall time
  private lump = 0.02; // s between arrivals, smoothed
  private arrivals: { at: number; column: number }[] = [];

  constructor(readonly nominal: number) {
    this.rate = nominal;
  }

  /** Newest column known at wall time now, seconds. */
  arrived(newest: number, now: number): void {
    const a = this.arrivals;
    const last = a[a.length - 1];
    if (last && newest <= last.column) a.length = 0;
    else if (last && now > last.at) this.lump += 0.1 * (Math.min(1, now - last.at) - this.lump);
    a.push({ at: now, column: newest });
    while (a.length > 2 && now - a[0].at > 3) a.shift();
    const span = now - a[0].at;
    if (span > 0.5) this.rate = (newest - a[0].column) / span;
  }

  /** Moves on by dt seconds; returns the position. */
  advance(newest: number, dt: number): number {
    const target = newest - Math.min(1, 1.5 * this.lump) * this.rate;
    const off = target - this.position;
    if (!(Math.abs(off) < 2 * Math.max(this.rate, this.nominal))) {
      this.position = target;
    } else {
      const moved = this.position + this.rate * dt + off * Math.min(1, 2 * dt);
      // Time runs forwards: when it is ahead it waits.
      this.position = Math.min(Math.max(moved, this.position), newest);
    }
    return this.position;
  }
}
