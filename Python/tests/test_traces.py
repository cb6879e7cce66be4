"""Traces as record arrays, against what the program knows of its own tasks."""
import os
import tempfile
import time
import unittest

import pto2
from pto2 import inout, out

from .support import Case, needs_numpy, numpy as np

STEPS = 12


def program(g):
    """A chain in a named scope, of which nothing runs before all of it is submitted, for who is
    done is waited for by nobody; and a task of its own on another tensor."""
    x, y = g.zeros(64), g.zeros(64)
    first = x.memoryview()
    with g.scope("chain"):
        g.submit("until", inout(x), 60000)
        for _ in range(STEPS - 1):
            g.submit("scale", inout(x), 2.0, name="double")
    g.submit("add", y, y, out(64, "float32"))
    first[0] = 1


@needs_numpy
class TraceTests(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="pto2-python-tests-")
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "run.pftrace")

    def test_arrays_have_what_was_run(self):
        before = time.monotonic_ns()
        session = self.session(trace=self.file, trace_edges=True, clusters=2)
        session.run(program)
        session.close()
        after = time.monotonic_ns()
        trace = pto2.read_trace(self.file)
        tasks, runs = trace.tasks, trace.runs
        self.assertEqual((STEPS + 1, STEPS + 1), (len(tasks), len(runs)))
        self.assertEqual(STEPS + 1, trace.summary["tasks"])
        self.assertEqual({"chain": STEPS}, {
            trace.scopes[s - 1]: int((tasks.scope == s).sum()) for s in set(tasks.scope) if s})
        self.assertEqual({"double": STEPS - 1}, {
            trace.names[n - 1]: int((tasks.name == n).sum()) for n in set(tasks.name) if n})
        kernels = [trace.kernels[k] for k in runs.kernel]
        self.assertEqual((1, STEPS - 1, 1), tuple(
            kernels.count(name) for name in ("until", "scale", "add")))
        # Each of the chain but the first waits for the one before it, and nobody else for anybody.
        chain = np.flatnonzero(tasks.scope != 0)
        edges = sorted(zip(trace.edges.producer.tolist(), trace.edges.consumer.tolist()))
        self.assertEqual(list(zip(chain[:-1].tolist(), chain[1:].tolist())), edges)
        for first, last in (("submitted", "wired"), ("completed", "released"),
                            ("released", "consumed")):
            self.assertTrue((tasks[first] <= tasks[last]).all(), (first, last))
        self.assertTrue((runs.dispatched <= runs.begun).all())
        self.assertTrue((runs.begun <= runs.ended).all())
        begun = np.empty(len(tasks), np.uint64)
        ended = np.empty(len(tasks), np.uint64)
        begun[runs.task], ended[runs.task] = runs.begun, runs.ended
        self.assertTrue((ended[chain[:-1]] <= begun[chain[1:]]).all())
        self.assertTrue((before < tasks.submitted).all() and (tasks.consumed < after).all())
        self.assertTrue((runs.attempt == 1).all() and not runs.lost.any())
        # A cluster's cores are AIC, AIV, AIV; both kernels are vector kernels.
        self.assertTrue((runs.core % 3 != 0).all())
        kinds = [kind.decode() for kind in trace.events.kind]
        # Some may come too late for a session as short as this.
        self.assertIn(kinds.count("worker ready"), range(1, 7))
        self.assertEqual(1, kinds.count("scheduler ready"))

    def test_what_is_no_trace_is_refused(self):
        with open(self.file, "w") as file:
            file.write("no trace")
        with self.refused(5, "run.pftrace"):
            pto2.read_trace(self.file)
        with self.refused(5, "No such file"):
            pto2.read_trace(self.file + ".missing")
        with self.refused(5, "--trace /no/such/folder"):
            self.session(trace="/no/such/folder/run.pftrace")


if __name__ == "__main__":
    unittest.main()
