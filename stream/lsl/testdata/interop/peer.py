"""A liblsl peer driven by JSON lines: one command in, one answer out.

The library is the one of PYLSL_LIB (see libraries.py). Values follow a pattern
that the Go side knows too, so that only digests travel.
"""

import hashlib
import json
import struct
import sys
import time

import pylsl
from pylsl import StreamInfo, StreamInlet, StreamOutlet

MODULUS = {"int8": 251, "int16": 65521, "int32": 2147483647, "int64": 9007199254740881, "float32": 65521, "double64": 9007199254740881}
PACK = {"int8": "b", "int16": "<h", "int32": "<i", "int64": "<q", "float32": "<f", "double64": "<d"}
CODE = {"float32": pylsl.cf_float32, "double64": pylsl.cf_double64, "string": pylsl.cf_string, "int32": pylsl.cf_int32,
        "int16": pylsl.cf_int16, "int8": pylsl.cf_int8, "int64": pylsl.cf_int64}
NAME = {v: k for k, v in CODE.items()}


def value(fmt, k, ch):
    if fmt == "string":
        return "s%d-%d" % (k, ch) + "\u00b5" * (k % 5)
    m = MODULUS[fmt]
    v = (k * 1000003 + ch * 7919) % m - m // 2
    return v / 8.0 if fmt in ("float32", "double64") else v


def digest(fmt, samples):
    h = hashlib.sha256()
    for s in samples:
        for v in s:
            if fmt == "string":
                b = v.encode("utf-8")
                h.update(struct.pack("<I", len(b)) + b)
            else:
                h.update(struct.pack(PACK[fmt], v))
    return h.hexdigest()


class Peer:
    def __init__(self):
        self.objects = {}

    def version(self, c):
        return {"library": pylsl.library_version(), "protocol": pylsl.protocol_version()}

    def clock(self, c):
        return {"clock": pylsl.local_clock()}

    def outlet(self, c):
        info = StreamInfo(c["name"], c.get("type", "EEG"), c["channels"], c["rate"], CODE[c["format"]], c.get("source_id", ""))
        if c.get("desc"):
            d = info.desc()
            d.append_child_value("manufacturer", "Gr\u00f6\u00dfe & <Sons>")
            chans = d.append_child("channels")
            for k in range(c["channels"]):
                ch = chans.append_child("channel")
                ch.append_child_value("label", "E%d" % (k + 1))
                ch.append_child_value("unit", "microvolts")
                loc = ch.append_child("location")
                for axis in "XYZ":
                    loc.append_child_value(axis, str(10 * (k + 1)))
            deep = d.append_child("a").append_child("b").append_child("c")
            deep.append_child_value("d", "it's \"deep\"")
        o = StreamOutlet(info, c.get("chunk", 0), c.get("buffer", 360))
        self.objects[c["id"]] = (o, c)
        return {"uid": o.get_info().uid()}

    def consumers(self, c):
        o, _ = self.objects[c["id"]]
        end = time.time() + c.get("timeout", 10)
        while time.time() < end:
            if o.have_consumers():
                # liblsl before 1.18 counts a consumer a moment before it serves it
                time.sleep(0.05)
                return {"consumers": True}
            time.sleep(0.005)
        return {"consumers": False}

    def push(self, c):
        o, spec = self.objects[c["id"]]
        fmt, n, k0, t0, dt, chunk = spec["format"], c["n"], c.get("from", 0), c["t0"], c["dt"], c.get("size", 1)
        begun = pylsl.local_clock()
        k = k0
        while k < k0 + n:
            m = min(chunk, k0 + n - k)
            rows = [[value(fmt, i, ch) for ch in range(spec["channels"])] for i in range(k, k + m)]
            if chunk == 1:
                o.push_sample(rows[0], t0 + dt * (k - k0))
            else:
                o.push_chunk(rows, t0 + dt * (k - k0 + m - 1))
            k += m
            if c.get("pace"):
                wait = begun + dt * (k - k0) - pylsl.local_clock()
                if wait > 0:
                    time.sleep(wait)
        return {"pushed": n}

    def resolve(self, c):
        if "prop" in c:
            found = pylsl.resolve_byprop(c["prop"], c["value"], c.get("min", 1), c.get("timeout", 1))
        elif "pred" in c:
            found = pylsl.resolve_bypred(c["pred"], c.get("min", 1), c.get("timeout", 1))
        else:
            found = pylsl.resolve_streams(c.get("timeout", 1))
        return {"found": sorted((s.name() for s in found))}

    def inlet(self, c):
        found = pylsl.resolve_bypred(c["pred"], 1, c.get("timeout", 5))
        if not found:
            return {"error": "nothing found for " + c["pred"]}
        i = StreamInlet(found[0], c.get("buffer", 360), c.get("chunk", 0), c.get("recover", True))
        i.open_stream(timeout=5)
        self.objects[c["id"]] = (i, NAME[found[0].channel_format()])
        return {"rate": found[0].nominal_srate(), "channels": found[0].channel_count(), "uid": found[0].uid()}

    def pull(self, c):
        i, fmt = self.objects[c["id"]]
        samples, stamps = [], []
        end = time.time() + c.get("timeout", 10)
        while len(samples) < c["n"] and time.time() < end:
            s, t = i.pull_chunk(0.2, c["n"] - len(samples))
            samples += s
            stamps += t
        return {"n": len(samples), "digest": digest(fmt, samples), "stamps": stamps if len(stamps) <= 4000 else [],
                "first": samples[0] if samples and fmt != "string" else None}

    def correction(self, c):
        i, _ = self.objects[c["id"]]
        best = []
        for _ in range(c.get("times", 1)):
            best.append(i.time_correction(5))
            time.sleep(0.05)
        return {"correction": best[-1]}

    def xml(self, c):
        o, _ = self.objects[c["id"]]
        info = o.info(5) if isinstance(o, StreamInlet) else o.get_info()
        d = info.desc()
        labels, ch = [], d.child("channels").child("channel")
        for _ in range(info.channel_count()):
            labels.append(ch.child_value("label"))
            ch = ch.next_sibling("channel")
        return {"xml": info.as_xml(), "labels": labels, "deep": d.child("a").child("b").child("c").child_value("d"),
                "manufacturer": d.child_value("manufacturer")}

    def close(self, c):
        o, _ = self.objects.pop(c["id"])
        if isinstance(o, StreamInlet):
            o.close_stream()
        del o
        return {}


def main():
    peer = Peer()
    for line in sys.stdin:
        c = json.loads(line)
        try:
            answer = getattr(peer, c["op"])(c)
        except Exception as e:  # the test shows it
            answer = {"error": "%s: %s" % (type(e).__name__, e)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
