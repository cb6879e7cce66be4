"""One program while its workers are killed from outside, at random moments: same results."""
import os
import random
import re
import signal
import threading
import time
import unittest

from pto2 import inout, out
from pto2.testing import processes

from .support import Case

KILLS = 50
WIDTH, STEPS = 8, 12


def program(g):
    """Waves over `WIDTH` columns: new outputs, and tensors that change in place."""
    columns = [g.empty(4) for _ in range(WIDTH)]
    for place, column in enumerate(columns):
        for index in range(4):
            column.set(index, float(place + index))
    for step in range(STEPS):
        columns = [
            g.submit("add", columns[i], columns[(i + 1) % WIDTH], out(4, "float32")).output
            for i in range(WIDTH)]
        for column in columns:
            g.submit("nap", inout(column), 2, recovery="snapshot")
            g.submit("scale", inout(column), 0.5, recovery="snapshot")
    return [[column.get(i) for i in range(4)] for column in columns]


def expected():
    """The same in plain Python; every number is exact in 32 bits."""
    columns = [[float(place + index) for index in range(4)] for place in range(WIDTH)]
    for _ in range(STEPS):
        columns = [
            [(a + b + 1) / 2 for a, b in zip(columns[i], columns[(i + 1) % WIDTH])]
            for i in range(WIDTH)]
    return columns


class Killer:
    """Kills workers that have lived for a while, and have run and slept in it, whatever else the
    machine does: a task that is run again gets on."""

    #: seconds
    AGE = 0.06
    #: times that it has gone to sleep
    SLEEPS = 6

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.met = 0
        self.seen = {}
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.wait(self.random.uniform(0.002, 0.02)):
            now = time.monotonic()
            alive = [pid for pid, name in processes().items() if name == "pto2-worker"]
            for pid in alive:
                self.seen.setdefault(pid, (now, sleeps(pid)))
            old = [pid for pid in alive if now - self.seen[pid][0] > self.AGE
                   and sleeps(pid) - self.seen[pid][1] >= self.SLEEPS and is_alive(pid)]
            if old:
                # Never the same process twice: `seen` says it is young for good.
                pid = self.random.choice(old)
                self.seen[pid] = (float("inf"), 0)
                os.kill(pid, signal.SIGKILL)
                self.met += 1


def sleeps(pid):
    """How often a process has gone to sleep; 0 of one that is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", file.read(), re.M)[1])
    except (OSError, TypeError):
        return 0


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


class ManyKillsTests(Case):
    def test_same_results_under_fifty_kills(self):
        seed = int(os.environ.get("PTO2_TEST_SEED", "0")) or random.randrange(1, 1 << 30)
        wanted, restarts, end = expected(), 0, time.monotonic() + 120
        with self.session(clusters=2) as s:
            self.assertEqual(wanted, s.run(program), "without kills")
            self.assertEqual(0, s.report["worker_restarts"])
            killer = Killer(seed)
            self.addCleanup(killer.stop.set)
            killer.thread.start()
            runs = 0
            while killer.met < KILLS or restarts < KILLS:
                self.assertLess(time.monotonic(), end, f"seed {seed}: {killer.met} kills")
                self.assertEqual(wanted, s.run(program), f"seed {seed}, run {runs}")
                restarts += s.report["worker_restarts"]
                runs += 1
            killer.stop.set()
            killer.thread.join()
            self.assertEqual(wanted, s.run(program), f"seed {seed}, after the kills")
        self.assertGreaterEqual(restarts, KILLS)


if __name__ == "__main__":
    unittest.main()
