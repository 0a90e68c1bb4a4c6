import assert from "node:assert/strict";
import { test } from "node:test";
import { Columns, Playhead } from "../src/columns";
import { Kind, type Frame } from "../src/wire";

function frame(first: number, values: number[][], flags = 0): Frame {
  return {
    kind: Kind.Signals, session: 1, first, time: 0, columns: values[0].length, rows: values.length, planes: 1, flags,
    bad: new Uint8Array(4), values: Float32Array.from(values.flat()),
  };
}

function held(c: Columns, row: number): number[] {
  const out = [];
  for (let i = c.oldest; i <= c.newest; i++) out.push(c.row(0, row)[c.slot(i)]);
  return out;
}

test("columns keep the newest and know where data are missing", () => {
  const c = new Columns(2, 1, 64);
  c.add(frame(10, [[1, 2, 3], [-1, -2, -3]]));
  c.add(frame(15, [[6, 7], [-6, -7]], 1));
  assert.deepEqual(held(c, 0), [1, 2, 3, 3, 3, 6, 7]);
  assert.deepEqual(held(c, 1), [-1, -2, -3, -3, -3, -6, -7]);
  const gaps = [];
  for (let i = c.oldest; i <= c.newest; i++) if (c.gaps[c.slot(i)]) gaps.push(i);
  assert.deepEqual(gaps, [13, 14, 15]);
});

test("columns wrap, and start anew when the index steps back", () => {
  const c = new Columns(1, 1, 64);
  for (let i = 0; i < 1000; i += 10) c.add(frame(i, [Array.from({ length: 10 }, (_, k) => i + k)]));
  assert.deepEqual(held(c, 0), Array.from({ length: 64 }, (_, k) => 936 + k));
  c.add(frame(0, [[5, NaN]]));
  assert.deepEqual(held(c, 0), [5, 0]);
  c.add(frame(2, [Array.from({ length: 200 }, (_, k) => k)]));
  assert.deepEqual(held(c, 0), Array.from({ length: 64 }, (_, k) => 136 + k));
});

test("a frame of another shape is ignored", () => {
  const c = new Columns(2, 1, 64);
  c.add(frame(0, [[1]]));
  assert.equal(c.newest, -1);
});

test("the playhead runs smoothly through lumps, never back, never ahead of the data", () => {
  const rate = 160;
  const p = new Playhead(rate);
  let newest = -1;
  let last = -Infinity;
  const steps: number[] = [];
  for (let ms = 0; ms < 20000; ms += 16) {
    // 16 columns come every 100 ms, up to 30 ms late.
    const due = 16 * Math.floor((ms - 30 * Math.abs(Math.sin(ms))) / 100);
    if (due - 1 > newest) p.arrived((newest = due - 1), ms / 1000);
    if (newest < 0) continue;
    const at = p.advance(newest, 0.016);
    assert.ok(at >= last, "it went back");
    assert.ok(at <= newest, "it is ahead");
    if (ms > 5000) steps.push(at - last);
    last = at;
  }
  const mean = steps.reduce((a, b) => a + b) / steps.length;
  assert.ok(Math.abs(mean - 0.016 * rate) < 0.02 * rate * 0.016, `mean step ${mean}`);
  assert.ok(Math.max(...steps) < 2 * mean && Math.min(...steps) > 0.3 * mean, `steps ${Math.min(...steps)} to ${Math.max(...steps)}`);
  assert.ok(newest - last < 0.4 * rate, `${newest - last} columns behind`);
});
