import assert from "node:assert/strict";
import { test } from "node:test";
import { placeOf, project } from "../src/electrodes";
import { clock, duration, nice, plain, significant, unit } from "../src/format";

test("numbers read as a person writes them", () => {
  assert.deepEqual([0, 0.9, 118, 1083, NaN].map((v) => significant(v)), ["0", "0.900", "118", "1083", "–"]);
  assert.deepEqual([160, 0.5, 2500, 10].map((v) => plain(v)), ["160", "0.5", "2500", "10"]);
  assert.deepEqual([0.4, 509, 1166, 2e6].map((v) => duration(v)), ["0.400 µs", "509 µs", "1.17 ms", "2.00 s"]);
  assert.equal(duration(1166, 1e4), "1166 µs");
  assert.deepEqual([5.25, 65].map(clock), ["0:05.3", "1:05.0"]);
  assert.deepEqual([1, 4.9, 5, 99, 0.03].map(nice), [1, 2, 5, 50, 0.02]);
  assert.equal(unit("dB(uV^2)"), "dB(µV²)");
});

test("electrodes lie where the 10-20 system puts them", () => {
  const near = (label: string, x: number, y: number): void => {
    const p = placeOf(label);
    assert.ok(p && Math.hypot(p[0] - x, p[1] - y) < 0.02, `${label} at ${p}`);
  };
  near("Cz", 0, 0);
  near("C3..", -0.4, 0);
  near("c4", 0.4, 0);
  near("T7", -0.8, 0);
  near("T3", -0.8, 0);
  near("Fpz.", 0, 0.8);
  near("Oz", 0, -0.8);
  near("Iz", 0, -1);
  near("O1", -0.247, -0.761);
  assert.equal(placeOf("EOG1"), null);
  assert.equal(placeOf("A1"), null);
  assert.equal(placeOf("7"), null);
  const left = placeOf("FC5");
  const right = placeOf("FC6");
  assert.ok(left && right && left[0] === -right[0] && left[1] === right[1]);
  assert.deepEqual(project([0, 0, 0.09]), [0, 0]);
  assert.ok(Math.abs(project([0.09, 0, 0])[0] - 0.8) < 1e-9);
});
