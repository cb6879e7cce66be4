"""Outputs with an initial value, which a task finds again when its worker has died."""
import os
import tempfile
import unittest

import pto2
from pto2 import inout, out

from .support import Case, needs_numpy

STRIKES = """
#include "pto2_kernel.h"
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* 0 f32 in place: adds 5; the first time its worker is killed then. The constants are a path. */
static void strike(const pto2_kernel_args *args) {
    float *x = args->data[0];
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++) x[i] += 5;
    if (open(args->constants, O_CREAT | O_EXCL, 0600) >= 0) raise(SIGKILL);
}
PTO2_KERNELS({"strike", strike, PTO2_AIV})
"""


class InitialValueTests(Case):
    def struck(self, blocks=1):
        """The output of a task that loses its worker once, and how often one was restarted."""
        with tempfile.TemporaryDirectory(prefix="pto2-python-tests-") as folder:
            s = self.session(pto2.kernels(STRIKES),
                             constants=os.path.join(folder, "struck").encode() + b"\0")

            def program(g):
                x = g.submit("strike", out((2, 3), "float32", initial=2), blocks=blocks).output
                return [x.get(i, j) for i in range(2) for j in range(3)]

            return s.run(program), s.report["worker_restarts"]

    def test_output_begins_with_its_initial_value_again(self):
        self.assertEqual(([7.0] * 6, 1), self.struck())

    def test_blocks_cannot_begin_again(self):
        with self.refused(200, "may have changed its tensors"):
            self.struck(blocks=2)

    def test_what_has_no_initial_value_is_refused(self):
        s = self.session()

        def program(g):
            x = g.zeros(4)
            for words, call in (
                    ("'two' as float32",
                     lambda: g.submit("scale", out(4, "float32", initial="two"))),
                    ("300 as int8", lambda: g.submit("nothing", out(4, "int8", initial=300))),
                    ("keep=True", lambda: out(4, "float32", keep=True, initial=1))):
                with self.refused(5, words):
                    call()
            with g.record([x], []) as r:
                with self.refused(5, "initial value"):
                    g.submit("scale", out(4, "float32", initial=1), 1.0)
                g.submit("scale", inout(x), 1.0)
                r.outputs = []
            assert [g.submit("add", x, x, out(0, "float32", initial=1)).output.shape] == [(0,)]

        s.run(program)

    @needs_numpy
    def test_many_have_none(self):
        s = self.session()
        with self.refused(5, "is for submit"):
            s.run(lambda g: g.submit_many("scale", out(4, "float32", initial=1), [1.0]))


if __name__ == "__main__":
    unittest.main()
