"""A program on several ranks, under a real mpirun."""
import importlib.util
import os
import shutil
import subprocess
import sys
import unittest

import pto2

PROGRAM = '''
import os
import sys
import pto2
from pto2 import inout, out

image = pto2.kernels(r"""
#include "pto2_kernel.h"
/* 0 int64 [n] inout: adds scalar 0. */
static void add(const pto2_kernel_args *args) {
    int64_t *x = args->data[0];
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++) x[i] += (int64_t)args->scalar[0];
}
/* 0 int64 [n] out: scalar 0 + i. */
static void count(const pto2_kernel_args *args) {
    int64_t *x = args->data[0];
    for (uint32_t i = 0; i < args->tensor[0].element_count; i++) x[i] = (int64_t)args->scalar[0] + i;
}
PTO2_KERNELS({"add", add, PTO2_AIV}, {"count", count, PTO2_AIV})
""")

def program(g):
    assert g.rank < g.ranks == int(sys.argv[1]), (g.rank, g.ranks)
    # By the buffer interface, with numpy or without.
    x = g.zeros(16, "int64", on=g.ranks - 1)
    seen = x.memoryview()
    for i in range(16):
        seen[i] = i
    for step in range(3 * g.ranks):
        g.submit("add", inout(x), 1, on=step % g.ranks)
    g.submit("add", inout(x), 100)                       # at home
    g.wait()
    assert list(seen) == [i + 100 + 3 * g.ranks for i in range(16)], list(seen)
    with g.scope(on=g.ranks - 1):
        made = g.submit("count", out(8, "int64"), 5).output
        g.submit("add", inout(made), 1, on=0)
        assert list(made.memoryview()) == [6 + i for i in range(8)]
    try:
        g.zeros(4, on=g.ranks)
    except pto2.Error as error:
        return str(error)

try:
    with pto2.Session(image) as session:
        session.run(program)
        print("not refused")
except pto2.Error as error:
    os.write(1, b"rank refused: %d\\n" % error.code)
'''


def environment():
    variables = dict(os.environ)
    variables.update(
        OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none",
        OMPI_MCA_mpi_yield_when_idle="1", OMPI_MCA_btl_vader_single_copy_mechanism="none")
    variables["PYTHONPATH"] = os.getcwd()
    return variables


LIBRARY = pto2.library().parent
HAS_LINK = importlib.util.find_spec("pto2_mpi") is not None or any(
    (folder / "libpto2-link-mpi.so").exists() for folder in (LIBRARY, LIBRARY / "pto2"))


@unittest.skipUnless(shutil.which("mpirun") and HAS_LINK,
                     "no mpirun, or no libpto2-link-mpi.so (make link, or pip install pto2-mpi)")
class RankTests(unittest.TestCase):
    def test_program_on_several_ranks(self):
        for ranks in (1, 2, 3):
            with self.subTest(ranks=ranks):
                done = subprocess.run(
                    ["mpirun", "-n", str(ranks), sys.executable, "-c", PROGRAM, str(ranks)],
                    env=environment(), capture_output=True, text=True, timeout=120)
                self.assertEqual(
                    ["rank refused: 5"] * ranks, done.stdout.split("\n")[:-1], done.stderr)
                self.assertEqual(0, done.returncode, done.stderr)


if __name__ == "__main__":
    unittest.main()
