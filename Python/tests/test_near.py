"""A hint where tasks run, against the cores that their kernels are told they run on."""
import os
import time
import unittest

import pto2
from pto2 import inout, out, overwrite

from .support import Case, needs_numpy, numpy as np

SOURCE = r"""
#include "pto2_kernel.h"
/* Tensor 0: int64 [1], out: the core; what else there is orders tasks. */
static void where(const pto2_kernel_args *args) { *(int64_t *)args->data[0] = args->core; }
PTO2_KERNELS({"where", where, PTO2_ANY_CORE})
"""

#: On its AIC, of which there is one in a cluster.
MATRIX = ("where", None, None)
COUNT = 200

#: With fewer CPUs than cores of a kind, as many as there are CPUs come first, hint or not.
two_cpus = unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one CPU: one core is favoured")


def started(g, cluster):
    """Waits until tasks do run in a cluster: what comes before its worker goes elsewhere."""
    end = time.monotonic() + 30
    while g.submit(MATRIX, out(1, "int64"), near=cluster).output.get(0) != 3 * cluster:
        if time.monotonic() > end:
            raise TimeoutError(f"nothing has run in cluster {cluster}")


class NearTests(Case):
    @two_cpus
    def test_tasks_run_in_the_cluster_that_they_are_to_be_near(self):
        clusters = [i * 7 % 5 % 2 for i in range(COUNT)]

        def program(g):
            for cluster in range(2):
                started(g, cluster)
            cores, x = g.zeros(COUNT, "int64"), g.zeros(1)
            # One after the other: the core is free for each.
            for i, cluster in enumerate(clusters):
                g.submit(MATRIX, overwrite(cores[i]), inout(x), near=cluster)
            return [int(cores.get(i)) for i in range(COUNT)]

        with self.session(pto2.kernels(SOURCE), clusters=2) as s:
            told = [core // 3 for core in s.run(program)]
        right = sum(a == b for a, b in zip(told, clusters))
        # A core that Linux has taken the CPU from is not waited for.
        self.assertGreater(right, COUNT * 3 // 4)

    @needs_numpy
    @two_cpus
    def test_many_have_a_cluster_each(self):
        clusters = np.arange(COUNT) // 3 % 2

        def program(g):
            for cluster in range(2):
                started(g, cluster)
            x = g.zeros(1)
            told = g.submit_many(MATRIX, out(1, "int64"), inout(x), near=clusters).outputs[0]
            return told.numpy().ravel() // 3

        with self.session(pto2.kernels(SOURCE), clusters=2) as s:
            told = s.run(program)
        self.assertGreater(int((told == clusters).sum()), COUNT * 3 // 4)

    def test_what_is_no_cluster_is_refused(self):
        def program(g):
            for near in (-1, 1 << 40, 0.5, "0"):
                with self.refused(5, "near="):
                    g.submit("where", out(1, "int64"), near=near)
            for on in (-1, "1"):
                with self.refused(5, "on="):
                    g.submit("where", out(1, "int64"), on=on)
            if np is not None:
                for near in (-1, [0, -1, 1], [[0]] * 3, 0.5):
                    with self.refused(5, "near="):
                        g.submit_many("where", out(1, "int64"), near=near, count=3)
                with self.refused(5, "columns of [2, 3]"):
                    g.submit_many("where", out(1, "int64"), near=[0, 1], count=3)

        with self.session(pto2.kernels(SOURCE), clusters=2) as s:
            s.run(program)
            with self.refused(5, "near cluster 2: expected 0 to 1"):
                s.run(lambda g: g.submit("where", out(1, "int64"), near=2))
