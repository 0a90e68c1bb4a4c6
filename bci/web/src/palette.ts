// Colours come from the style sheet, so that both themes are in one place; canvases
// read them here and again when the theme changes.

export type RGB = [number, number, number]; // 0..1

let style = getComputedStyle(document.documentElement);
const listeners: (() => void)[] = [];

export function colour(name: string): string {
  return style.getPropertyValue(`--${name}`).trim();
}

export function rgb(name: string): RGB {
  return parse(colour(name));
}

export function parse(hex: string): RGB {
  const n = parseInt(hex.slice(1), 16);
  return [((n >> 16) & 255) / 255, ((n >> 8) & 255) / 255, (n & 255) / 255];
}

export function onTheme(f: () => void): void {
  listeners.push(f);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  style = getComputedStyle(document.documentElement);
  for (const f of listeners) f();
});

/** Colour of a class by its number; the idle class is grey. */
export function classColour(i: number, idle: boolean): string {
  if (i < 0) return colour("faint");
  return colour(idle ? "class-idle" : `class-${i % 6}`);
}

// Sequential and readable in grey: dark blue over green to yellow.
const ramp: RGB[] = ["#31135f", "#3f4b8c", "#2a788e", "#22a884", "#7ad151", "#fde725"].map(parse);

/** Colour of v in 0..1. */
export function heat(v: number, out: { [i: number]: number }, at: number): void {
  const x = Math.max(0, Math.min(1, v)) * (ramp.length - 1);
  const i = Math.min(ramp.length - 2, Math.floor(x));
  for (let c = 0; c < 3; c++) out[at + c] = 255 * (ramp[i][c] + (x - i) * (ramp[i + 1][c] - ramp[i][c]));
}

export function heatCSS(v: number): string {
  const c = [0, 0, 0];
  heat(v, c, 0);
  return `rgb(${c.map(Math.round).join(" ")})`;
}
