"""Images that link libraries with threads of their own."""
import ctypes
import glob
import os
import subprocess
import unittest
from pathlib import Path
from unittest import mock

import pto2
from pto2 import overwrite

from .support import Case, needs_numpy, numpy as np

OPENMP = """
#include "pto2_kernel.h"
#include <dirent.h>
#include <omp.h>

/* 0 int64 [2]: threads of a parallel region, and tasks of this process. */
static void count(const pto2_kernel_args *args) {
    int64_t *counts = args->data[0], threads = 0;
#pragma omp parallel reduction(+ : threads)
    threads += 1;
    counts[0] = threads;
    DIR *folder = opendir("/proc/self/task");
    for (counts[1] = -2; readdir(folder);) counts[1]++;
    closedir(folder);
}
PTO2_KERNELS({"count", count, PTO2_AIV})
"""

BLAS = """
#include "pto2_kernel.h"

void SGEMM(int order, int a, int b, INTEGER m, INTEGER n, INTEGER k, float alpha, const float *x,
           INTEGER ldx, const float *y, INTEGER ldy, float beta, float *z, INTEGER ldz);
int THREADS(void);

/* 0 x [m, k], 1 y [k, n], 2 z [m, n]: z = x y; 3 int32 [1]: threads of the library. */
static void gemm(const pto2_kernel_args *args) {
    const uint32_t m = args->tensor[0].shape[0], k = args->tensor[0].shape[1];
    const uint32_t n = args->tensor[1].shape[1];
    SGEMM(101, 111, 111, m, n, k, 1, args->data[0], k, args->data[1], n, 0, args->data[2], n);
    *(int32_t *)args->data[3] = THREADS();
}
PTO2_KERNELS({"gemm", gemm, PTO2_AIC})
"""


def openblas():
    """Flags and library for an OpenBLAS: the one that numpy brings, or the system's; None
    without any."""
    folders = [Path(np.__file__).parent.parent / "numpy.libs", "/usr/lib/*/openblas-pthread",
               "/usr/lib/*"]
    names = {"libscipy_openblas64_*.so": ("scipy_cblas_sgemm64_",
                                          "scipy_openblas_get_num_threads64_", "int64_t"),
             "libopenblas.so*": ("cblas_sgemm", "openblas_get_num_threads", "int")}
    for folder in folders:
        for name, (sgemm, threads, integer) in names.items():
            for path in sorted(glob.glob(f"{folder}/{name}")):
                if hasattr(ctypes.CDLL(path), sgemm):
                    folder = Path(path).parent
                    flags = [f"-DSGEMM={sgemm}", f"-DTHREADS={threads}",
                             f"-DINTEGER={integer}", f"-L{folder}", f"-Wl,-rpath,{folder}"]
                    return flags, ":" + Path(path).name
    return None


class LibraryTests(Case):
    def counts(self, image, **variables):
        """What the kernel sees, with these variables in the environment and no others of OpenMP."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "OPENBLAS_"))}
        with mock.patch.dict(os.environ, {**kept, **variables}, clear=True):
            session = self.session(image)

        def program(g):
            counts = g.zeros(2, "int64")
            g.submit("count", overwrite(counts))
            return counts.get(0), counts.get(1)
        return session.run(program)

    def test_one_thread_of_openmp_unless_somebody_says_more(self):
        try:
            image = pto2.kernels(OPENMP, flags=["-fopenmp"])
        except pto2.CompileError as error:
            self.skipTest(f"the compiler has no OpenMP: {error.output.splitlines()[0]}")
        threads, alone = self.counts(image)
        self.assertEqual(1, threads)
        self.assertEqual((3, alone + 2), self.counts(image, OMP_NUM_THREADS="3"))

    @needs_numpy
    def test_image_links_openblas(self):
        found = openblas()
        if found is None:
            self.skipTest("no OpenBLAS: apt-get install libopenblas0-pthread")
        image = pto2.kernels(BLAS, flags=found[0], libraries=[found[1]])
        random = np.random.default_rng(7)
        # Large enough for several threads of OpenBLAS.
        x, y = (random.standard_normal((300, 300), dtype=np.float32) for _ in range(2))
        # OPENBLAS_CORETYPE and its like stay.
        kept = {k: v for k, v in os.environ.items()
                if k not in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}

        def program(g):
            a, b, threads = g.tensor(x), g.tensor(y), g.zeros(1, "int32")
            products = [g.zeros((300, 300)) for _ in range(4)]
            for product in products:
                g.submit("gemm", a, b, overwrite(product), overwrite(threads))
            return products, threads.get(0)

        expected = x.astype(float) @ y.astype(float)
        several = min(2, len(os.sched_getaffinity(0)))
        for count, more in (1, {}), (several, {"OPENBLAS_NUM_THREADS": "2"}):
            with mock.patch.dict(os.environ, {**kept, **more}, clear=True):
                session = self.session(image, clusters=2)
            products, threads = session.run(program)
            self.assertEqual(count, threads)
            for product in products:
                error = np.abs(np.asarray(product) - expected).max()
                self.assertLess(error, 1e-3)
            session.close()
        doctor = subprocess.run(
            [str(pto2._library.tool("pto2")), "doctor", image.path], stdout=subprocess.PIPE,
            text=True)
        self.assertEqual(0, doctor.returncode, doctor.stdout)
        self.assertIn("its constructors start none", doctor.stdout)


if __name__ == "__main__":
    unittest.main()
