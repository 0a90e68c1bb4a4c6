import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { decodeFrame, decodeMessage, Flag, isBad, Kind } from "../src/wire";

// Frames written by the server's encoder (bci/server, TestFramesForPage) with what
// they must decode to beside them.
const folder = new URL("../../test/frames/", import.meta.url);

function buffer(b: Uint8Array): ArrayBuffer {
  return b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength) as ArrayBuffer;
}

const names = readdirSync(folder).filter((n) => n.endsWith(".bin"));

test("the server's frames decode to what went in", () => {
  assert.ok(names.length >= 3, "frames are missing");
  for (const name of names) {
    const f = decodeFrame(buffer(readFileSync(new URL(name, folder))));
    const want = JSON.parse(readFileSync(new URL(name.replace(".bin", ".json"), folder), "utf8"));
    assert.ok(f, name);
    const bad = Array.from({ length: f.rows }, (_, r) => r).filter((r) => isBad(f, r));
    const { values, ...rest } = f;
    assert.deepEqual({ ...rest, bad, values: Array.from(values) }, want, name);
  }
});

test("a frame cut short, made longer or changed in its counts is refused", () => {
  for (const name of names) {
    const whole = readFileSync(new URL(name, folder));
    for (let n = 0; n < whole.length; n++) assert.equal(decodeFrame(buffer(whole.subarray(0, n))), null, `${name} cut at ${n}`);
    assert.equal(decodeFrame(buffer(Buffer.concat([whole, Buffer.alloc(4)]))), null);
    for (const at of [0, 1, 2, 3, 24, 27, 28, 29, 30]) {
      const other = Buffer.from(whole);
      other[at] ^= 0x85;
      assert.equal(decodeFrame(buffer(other)), null, `${name} changed at ${at}`);
    }
    for (const [at, value] of [[8, NaN], [8, 1e300], [8, 0.5], [16, Infinity]] as const) {
      const other = Buffer.from(whole);
      other.writeDoubleLE(value, at);
      assert.equal(decodeFrame(buffer(other)), null, `${name} with ${value} at ${at}`);
    }
  }
});

test("random bytes never throw", () => {
  let seed = 7;
  const random = (): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
  for (let i = 0; i < 5000; i++) {
    const b = Buffer.alloc(Math.floor(random() * 96));
    for (let k = 0; k < b.length; k++) b[k] = random() * 256;
    if (random() < 0.9 && b.length > 4) b.set([0x4e, 0x53, 1, 1 + Math.floor(random() * 3)]);
    decodeFrame(buffer(b));
  }
});

test("text messages: ours pass, everything else is null", () => {
  assert.equal(decodeMessage('{"type":"lost","frames":3,"total":4}')?.type, "lost");
  assert.equal(decodeMessage('{"type":"events","events":[]}')?.type, "events");
  for (const bad of ["", "{", "null", "7", "[]", '"hello"', "{}", '{"type":7}', '{"type":"other"}', '{"type":"events"}', '{"type":"marks","marks":{}}', '{"type":"status"}', '{"type":"hello","version":2,"session":1}']) {
    assert.equal(decodeMessage(bad), null, bad);
  }
});

test("kinds and flags are the protocol's", () => {
  assert.deepEqual([Kind.Signals, Kind.Decisions, Kind.Power, Flag.Gap, Flag.Restart, Flag.Skipped], [1, 2, 3, 1, 2, 4]);
});
