"""Print what pyxdf reads from the files named as arguments, one JSON object a line.

Numbers are spelled as strings so that they survive to the last bit, and so that
infinities do. TestInterop runs this and compares.
"""

import json
import logging
import sys

import pyxdf

MODES = {
    "raw": {"synchronize_clocks": False, "dejitter_timestamps": False},
    "sync": {"synchronize_clocks": True, "dejitter_timestamps": False},
    "full": {"synchronize_clocks": True, "dejitter_timestamps": True},
}


def describe(stream, values):
    info = stream["info"]
    out = {
        "name": info["name"][0] or "",
        "type": info["type"][0] or "",
        "format": info["channel_format"][0],
        "channels": int(info["channel_count"][0]),
        "rate": float(info["nominal_srate"][0]),
        "effective": repr(float(info["effective_srate"])),
        "segments": [[int(a), int(b)] for a, b in info["segments"]],
        "clock_segments": [[int(a), int(b)] for a, b in info["clock_segments"]],
        "stamps": [repr(float(t)) for t in stream["time_stamps"]],
        "clock_times": [repr(float(t)) for t in stream["clock_times"]],
        "clock_values": [repr(float(t)) for t in stream["clock_values"]],
        "footer": "footer" in stream and bool(stream["footer"]),
    }
    if values:
        series = stream["time_series"]
        if info["channel_format"][0] == "string":
            out["values"] = [list(row) for row in series]
        elif "int" in info["channel_format"][0]:
            out["values"] = [[str(int(v)) for v in row] for row in series]
        else:
            out["values"] = [[repr(float(v)) for v in row] for row in series]
    return out


def main():
    logging.disable(logging.CRITICAL)
    for path in sys.argv[1:]:
        result = {"path": path}
        for mode, options in MODES.items():
            streams, _ = pyxdf.load_xdf(path, verbose=False, **options)
            result[mode] = {
                str(s["info"]["stream_id"]): describe(s, mode == "raw") for s in streams
            }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
