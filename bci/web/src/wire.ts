// The page's half of the WebSocket protocol; the server's is bci/server/wire.go.
//
//  byte 0     1     2        3      4         8                16               24
//  ┌─────────┬────────┬──────┬─────────┬────────────────┬────────────────┬──────────┬───────┬────────┬───────┐
//  │ "NS"    │version │ kind │ session │ first          │ time           │ columns  │ rows  │ planes │ flags │
//  │ 2 bytes │ uint8  │ uint8│ uint32  │ float64        │ float64        │ uint32   │ uint16│ uint8  │ uint8 │
//  └─────────┴────────┴──────┴─────────┴────────────────┴────────────────┴──────────┴───────┴────────┴───────┘
//  32: bad rows, one bit each, padded to a multiple of 4 bytes; then float32[planes][rows][columns]
//
// All numbers are little-endian.

export const headerBytes = 32;
export const frameVersion = 1;

export const enum Kind {
  Signals = 1,
  Decisions = 2,
  Power = 3,
}

export const enum Flag {
  Gap = 1,
  Restart = 2,
  Skipped = 4,
}

export interface Frame {
  kind: Kind;
  session: number;
  first: number; // index of the first column
  time: number; // s, of the first column
  columns: number;
  rows: number;
  planes: number;
  flags: number;
  bad: Uint8Array; // one bit per row
  values: Float32Array; // planes × rows × columns
}

// Bounds on what a frame may announce, so that a broken one cannot make the page
// allocate without end.
const maxColumns = 1 << 22;
const maxValues = 1 << 26;

/** Reads one binary message; null when it is not exactly one well-formed frame. */
export function decodeFrame(data: ArrayBuffer): Frame | null {
  if (data.byteLength < headerBytes) return null;
  const v = new DataView(data);
  if (v.getUint8(0) !== 0x4e || v.getUint8(1) !== 0x53 || v.getUint8(2) !== frameVersion) return null;
  const kind = v.getUint8(3);
  if (kind < Kind.Signals || kind > Kind.Power) return null;
  const first = v.getFloat64(8, true);
  const time = v.getFloat64(16, true);
  const columns = v.getUint32(24, true);
  const rows = v.getUint16(28, true);
  const planes = v.getUint8(30);
  if (!Number.isSafeInteger(first) || !Number.isFinite(time)) return null;
  if (rows < 1 || planes < 1 || planes > 2 || columns > maxColumns || rows * planes * columns > maxValues) return null;
  const badBytes = Math.ceil(rows / 32) * 4;
  const count = planes * rows * columns;
  if (data.byteLength !== headerBytes + badBytes + 4 * count) return null;
  let values: Float32Array;
  if (littleEndian) {
    values = new Float32Array(data, headerBytes + badBytes, count);
  } else {
    values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = v.getFloat32(headerBytes + badBytes + 4 * i, true);
  }
  return {
    kind,
    session: v.getUint32(4, true),
    first,
    time,
    columns,
    rows,
    planes,
    flags: v.getUint8(31),
    bad: new Uint8Array(data, headerBytes, badBytes),
    values,
  };
}

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

export function isBad(f: Frame, row: number): boolean {
  return (f.bad[row >> 3] & (1 << (row & 7))) !== 0;
}

// Text messages.

export interface Channel {
  label: string;
  unit: string;
  type: string;
  position?: [number, number, number];
}

export interface PowerRow extends Channel {
  channel: string;
  band: string;
}

export interface Hello {
  type: "hello";
  version: number;
  session: number;
  idle?: string;
  signals?: { name: string; rate_hz: number; column_hz: number; planes: number; delay_s: number; channels: Channel[] };
  decisions?: { rate_hz: number; delay_s: number; rows: Channel[]; classes: string[]; truth: boolean };
  power?: { rate_hz: number; delay_s: number; rows: PowerRow[] };
}

export interface Mark {
  column: number;
  time_s: number;
  label: string;
  class?: string;
  duration_s?: number;
}

export interface EventLine {
  kind: string;
  column: number;
  time_s: number;
  count: number;
  origin: string;
  detail?: string;
}

export interface Outcome {
  column: number;
  time_s: number;
  result: "hit" | "wrong" | "missed" | "false" | "unscored";
  class?: string;
  truth?: string;
}

export interface Spread {
  n: number;
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

export interface StageStatus {
  name: string;
  work_us: Spread;
  delay_s: number;
  rows: number;
  rate_hz: number;
  lane: number;
  bytes: number;
  parts?: Part[];
  fallbacks?: { columns: number; fallbacks: number; unusable: number }; // of a decoder that can fall back
}

// What a stage computes among others, such as a feature of a window.
export interface Part {
  name: string;
  work_us: Spread;
  rows: number;
  bytes: number;
}

// A side lane.
export interface Beside {
  name: string;
  columns: number;
  digest: string;
  age_us: Spread;
}

export interface Status {
  state: string;
  pipeline: string;
  source: string;
  elapsed_s: number;
  data_s: number;
  realtime: number;
  rate_hz: number;
  rows: number;
  chunks: number;
  columns: number;
  decisions: number;
  digest: string;
  delay_s: number;
  stages: StageStatus[] | null;
  sides?: Beside[];
  engine_us: Spread;
  age_us: Spread;
  pacing_us: Spread;
  rings: { name: string; used: number; slots: number; dropped: number }[] | null;
  events: { kind: string; n: number }[] | null;
  gcs: number;
  heap_bytes: number;
  alloc_bytes: number;
}

export interface Tally {
  trials: number;
  hits: number;
  wrong: number;
  missed: number;
  false: number;
  idle_s: number;
  last_truth?: string;
  last_result?: string;
}

export interface Report {
  type: "status";
  status: Status;
  tally: Tally;
  server: { clients: number; lost_frames: number; origin_s: number };
}

export type Message =
  | Hello
  | Report
  | { type: "marks"; session: number; marks: Mark[] }
  | { type: "outcomes"; session: number; outcomes: Outcome[] }
  | { type: "events"; events: EventLine[] }
  | { type: "lost"; frames: number; total: number }
  | { type: "pong"; id: number };

const types = new Set(["hello", "status", "marks", "outcomes", "events", "lost", "pong"]);

/** Reads one text message; null when it is not one of ours. */
export function decodeMessage(text: string): Message | null {
  let v: unknown;
  try {
    v = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof v !== "object" || v === null) return null;
  const type = (v as { type?: unknown }).type;
  if (typeof type !== "string" || !types.has(type)) return null;
  const m = v as Record<string, unknown>;
  for (const list of ["marks", "outcomes", "events"]) {
    if (type === list && !Array.isArray(m[list])) return null;
  }
  if (type === "status" && (typeof m["status"] !== "object" || m["status"] === null)) return null;
  if (type === "hello" && (m["version"] !== frameVersion || typeof m["session"] !== "number")) return null;
  return v as Message;
}
