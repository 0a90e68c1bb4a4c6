"""The peers' side of bench-peers: one JSON request per line, one JSON answer per line.

    from harness import serve, timed
    def welch(channels, rate): ...; return {"seconds": timed(step, 200)}
    serve({"welch": welch})
"""

import json
import sys
import time


def timed(step, repeats):
    """Median seconds of one call of step."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    taken.sort()
    return taken[len(taken) // 2]


def serve(does):
    """Answer requests {"do": name, ...arguments} until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = does[request.pop("do")](**request)
        except Exception as e:  # told to the other side, which stops
            answer = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)
