// Numbers for people: three significant digits, a unit always.

export function significant(v: number, digits = 3): string {
  if (!Number.isFinite(v)) return "–";
  if (v === 0) return "0";
  const magnitude = Math.floor(Math.log10(Math.abs(v))) + 1;
  return v.toFixed(Math.max(0, Math.min(6, digits - magnitude)));
}

/** Without zeros behind the point: 160, not 160.0. */
export function plain(v: number, digits = 4): string {
  const s = significant(v, digits);
  return s.includes(".") ? s.replace(/\.?0+$/, "") : s;
}

/** Microseconds, as µs, as ms from the given number on, or as s. */
export function duration(us: number, ms = 1e3): string {
  if (us >= 1e6) return `${significant(us / 1e6)} s`;
  if (us >= ms) return `${significant(us / 1e3)} ms`;
  return `${significant(us)} µs`;
}

export function count(n: number): string {
  return Math.round(n).toLocaleString("en").replaceAll(",", "\u202f");
}

/** A factor: two decimals near one, fewer when large. */
export function factor(v: number): string {
  return v < 10 ? v.toFixed(2) : v < 100 ? v.toFixed(1) : count(v);
}

/** With a metric prefix: 10.2 k. */
export function metric(v: number): string {
  if (v >= 1e9) return `${significant(v / 1e9)} G`;
  if (v >= 1e6) return `${significant(v / 1e6)} M`;
  if (v >= 1e4) return `${significant(v / 1e3)} k`;
  return significant(v);
}

export function bytes(n: number): string {
  if (n >= 1 << 30) return `${significant(n / (1 << 30))} GiB`;
  if (n >= 1 << 20) return `${significant(n / (1 << 20))} MiB`;
  return `${significant(n / 1024)} KiB`;
}

/** Seconds as minutes and seconds. */
export function clock(s: number): string {
  if (!Number.isFinite(s)) return "–";
  const sign = s < 0 ? "−" : "";
  s = Math.round(Math.abs(s) * 10) / 10;
  const m = Math.floor(s / 60);
  return `${sign}${m}:${(s - 60 * m).toFixed(1).padStart(4, "0")}`;
}

/** Units as they are printed: uV as µV, ^2 as ². */
export function unit(u: string): string {
  return u.replace(/\buV/g, "µV").replaceAll("^2", "²");
}

/** The 1, 2 or 5 times a power of ten nearest to and not above v. */
export function nice(v: number): number {
  if (!(v > 0)) return 1;
  const p = 10 ** Math.floor(Math.log10(v));
  for (const f of [5, 2]) if (f * p <= v * 1.0001) return f * p;
  return p;
}
