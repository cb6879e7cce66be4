#!/usr/bin/env python3
"""What a submit costs from Python, one by one and many in a call (docs/python.md).

    python3 Benchmarks/Python/submit_cost.py [--tasks 10000] [--rounds 5] [--json]

Of each way the least of the rounds, in microseconds a task: the time until the calls have
returned; what the tasks then still take is not in it. Their kernel does nothing.
"""
import argparse
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "Python"))

import pto2  # noqa: E402
from pto2 import out  # noqa: E402

KERNEL = '''
#include "pto2_kernel.h"
static void nothing(const pto2_kernel_args *args) { (void)args; }
PTO2_KERNELS({"nothing", nothing, PTO2_AIV})
'''


def one_by_one(g, tasks, tensors):
    x, y = tensors
    for _ in range(tasks):
        g.submit("nothing", x, y)


def with_output(g, tasks, tensors):
    x, _ = tensors
    for _ in range(tasks):
        g.submit("nothing", x, out(16, "float32"))


def tiles(g, tasks, tensors):
    tensors[0].tiles(1, 16)


def many(g, tasks, tensors):
    x, y = tensors
    g.submit_many("nothing", x, y)


def records(g, tasks, tensors):
    x, y = tensors
    g.batch("nothing", x, y)


def prepared(g, tasks, batch):
    g.submit_many(batch)


WAYS = {
    "submit of 2 tensors": one_by_one,
    "submit of 1 tensor and 1 out": with_output,
    "submit_many of 2 tensors": many,
    "making its records (part of it)": records,
    "submitting them (the rest)": prepared,
    "a grid of views, one a task (tiles)": tiles,
}


def measure(session, way, tasks):
    """Seconds a task."""
    def program(g):
        x, y = g.zeros((tasks, 16)), g.zeros(16)
        given = x, y
        if way in (one_by_one, with_output):
            given = x[0], y
        elif way in (many, records):
            given = x.tiles(1, 16), y
        elif way is prepared:
            given = g.batch("nothing", x.tiles(1, 16), y)
        g.wait()
        begin = time.perf_counter()
        way(g, tasks, given)
        end = time.perf_counter()
        return (end - begin) / tasks

    return session.run(program)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    if not 1 <= options.tasks <= 1 << 20 or options.rounds < 1:
        parser.error("--tasks 1 to 1048576, --rounds 1 or more")
    window = 1 << options.tasks.bit_length()
    least = {}
    with pto2.Session(pto2.kernels(KERNEL), task_window=window,
                      consumed_window=2 * window) as session:
        for _ in range(options.rounds):
            for name, way in WAYS.items():
                seconds = measure(session, way, options.tasks)
                least[name] = min(seconds, least.get(name, seconds))
    if options.json:
        print(json.dumps({"tasks": options.tasks, "rounds": options.rounds,
                          "microseconds": {k: round(v * 1e6, 3) for k, v in least.items()}}))
    else:
        print(f"{options.tasks} tasks, the least of {options.rounds} rounds, us a task")
        for name, seconds in least.items():
            print(f"  {name:40}{seconds * 1e6:8.2f}")


if __name__ == "__main__":
    main()
