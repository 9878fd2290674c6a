"""What the clients in Python share: arguments, and what a run prints.

The same as client.js does for JavaScript.
"""

import argparse
import json
import sys
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url")
    parser.add_argument("--queue")
    parser.add_argument("--reply", choices=["direct", "queue"], default="queue")
    parser.add_argument("--n", default="30")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--warm-up", type=int, default=0)
    return parser.parse_args()


class Stopwatch:
    """Waits for the word, then measures until it prints."""

    def __init__(self):
        self.times = []
        print("ready", flush=True)
        sys.stdin.readline()
        self.cpu = time.process_time()
        self.start = time.perf_counter()

    def print(self):
        seconds = time.perf_counter() - self.start
        cpu_seconds = time.process_time() - self.cpu
        times = sorted(self.times)
        result = {
            "seconds": seconds,
            "cpuSeconds": cpu_seconds,
            "firstMs": self.times[0] * 1000,
            "p50Ms": times[int(len(times) * 0.5)] * 1000,
            "p99Ms": times[int(len(times) * 0.99)] * 1000,
        }
        print(json.dumps(result), flush=True)
