// Where electrodes of the extended 10-20 system lie on a head seen from above: a
// disc of radius 1, nose up. Positions follow from the system's own construction:
// the rim (Fpz, T7, Oz, T8) at radius 0.8 in steps of a tenth, the midline in steps
// of a tenth of the arc from nasion to inion, and rows bent through both.

export type Place = [x: number, y: number];

const rim = 0.8;

// Rows from front to back: name of the midline, y of the midline, and how many tenths
// of the half rim, counted from Fpz, their outermost (7, 8) electrode lies at.
const rows: { names: string[]; y: number; tenths: number }[] = [
  { names: ["FP"], y: 0.8, tenths: 0 },
  { names: ["AF"], y: 0.6, tenths: 2 },
  { names: ["F"], y: 0.4, tenths: 3 },
  { names: ["FC", "FT"], y: 0.2, tenths: 4 },
  { names: ["C", "T"], y: 0, tenths: 5 },
  { names: ["CP", "TP"], y: -0.2, tenths: 6 },
  { names: ["P"], y: -0.4, tenths: 7 },
  { names: ["PO"], y: -0.6, tenths: 8 },
  { names: ["O"], y: -0.8, tenths: 10 },
  { names: ["I"], y: -1, tenths: 10 },
];

// The older names of four electrodes.
const aliases: Record<string, string> = { T3: "T7", T4: "T8", T5: "P7", T6: "P8" };

/** Place of an electrode by its name, as 10-20 spells it or padded with dots; null for others. */
export function placeOf(label: string): Place | null {
  let name = label.trim().replace(/^EEG\s+/i, "").replace(/[.\s]+$/, "").toUpperCase();
  name = aliases[name] ?? name;
  const m = /^([A-Z]+?)(Z|\d+)$/.exec(name);
  if (!m) return null;
  const row = rows.find((r) => r.names.includes(m[1]));
  if (!row) return null;
  if (m[2] === "Z") return [0, row.y];
  const number = Number(m[2]);
  if (number < 1 || number > 10) return null;
  const side = number % 2 ? -1 : 1;
  const rank = Math.ceil(number / 2); // 1 nearest to the midline
  if (row.names[0] === "FP") return onRim(1, side);
  if (row.names[0] === "O" || row.names[0] === "I") {
    const [x, y] = onRim(9, side);
    return row.names[0] === "O" ? [x, y] : [x * 1.25, y * 1.25];
  }
  const [xr, yr] = onRim(row.tenths, side);
  if (rank === 5) return [xr * 1.22, yr * 1.22]; // 9 and 10: below the rim
  const f = rank / 4;
  return [xr * f, row.y + (yr - row.y) * f * f];
}

function onRim(tenths: number, side: number): Place {
  const a = (tenths * Math.PI) / 10;
  return [side * rim * Math.sin(a), rim * Math.cos(a)];
}

/** Place of an electrode with known head coordinates (metres, x right, y front, z up). */
export function project(p: [number, number, number]): Place {
  const r = Math.hypot(p[0], p[1], p[2]);
  if (r === 0) return [0, 0];
  const polar = Math.acos(Math.max(-1, Math.min(1, p[2] / r))); // 0 at the vertex, π/2 at the rim
  const flat = Math.hypot(p[0], p[1]) || 1;
  const radius = (polar / (Math.PI / 2)) * rim;
  return [(p[0] / flat) * radius, (p[1] / flat) * radius];
}
