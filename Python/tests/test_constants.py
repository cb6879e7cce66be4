"""Constants of a session, init functions of images, kernels for any core."""
import os
import signal
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import pto2
from pto2 import _library, inout, out
from pto2.testing import processes

from .support import Case

SOURCE = r"""
#include "pto2_kernel.h"
#include <stdlib.h>
#include <unistd.h>

static _Thread_local uint64_t known;

/* Constants: a number, and the path of a file that must not be there. */
static int32_t start(const pto2_kernel_args *args) {
    if (args->tensor_count || args->scalar_count) return 1;
    if (args->slot != args->core % 3 || args->core_count != 3 * args->cluster_count) return 2;
    if (args->constant_bytes < 9 || known != 0) return 3;
    if (access((const char *)args->constants + 8, F_OK) == 0) return 77;
    memcpy(&known, args->constants, 8);
    return 0;
}

/* Tensor 0: u64 [4], out: what init has kept, the number now, slot, pid. */
static void tell(const pto2_kernel_args *args) {
    uint64_t *x = args->data[0];
    x[0] = known;
    memcpy(&x[1], args->constants, 8);
    x[2] = args->slot;
    x[3] = (uint64_t)getpid();
}

/* Tensor 0: u64 [2], out: what init has kept, slot. */
static void place(const pto2_kernel_args *args) {
    uint64_t *x = args->data[0];
    x[0] = known;
    x[1] = args->slot;
}

PTO2_KERNELS_INIT(start, {"tell", tell, PTO2_ANY_CORE}, {"place", place, PTO2_ANY_CORE})
"""

PLAIN = r"""
#include "pto2_kernel.h"
static void count(const pto2_kernel_args *args) {
    uint64_t *x = args->data[0];
    x[0] = args->constant_bytes;
    x[1] = args->constants != NULL;
}
PTO2_KERNELS({"count", count, PTO2_AIV})
"""

#: An image as the first headers made it: its table ends before `init`.
OLD = r"""
#include "pto2.h"
typedef struct { void *const *data; } args;
static void old(const args *a) { *(uint64_t *)a->data[0] = 5; }
static const struct { const char *name; void (*function)(const args *); uint32_t type, pad; }
    entries[] = {{"old", old, 1, 0}};
PTO2_EXPORT extern const struct table {
    uint32_t magic, major, bytes, entry_bytes, args_bytes, count;
    const void *entries;
    uint64_t behind;
} pto2_kernel_table_v2;
const struct table pto2_kernel_table_v2 = {0x324B5450u, 2, 32, 24, 48, 1, entries, 7};
"""


#: An image whose init function ends the worker.
CRASHING = r"""
#include "pto2_kernel.h"
#include <stdlib.h>
static int32_t start(const pto2_kernel_args *args) {
    (void)args;
    abort();
}
static void nothing(const pto2_kernel_args *args) { (void)args; }
PTO2_KERNELS_INIT(start, {"nothing", nothing, PTO2_AIV})
"""

#: What the kernel says of the constants, on a core of each kind.
SCRIPT = """
images: {image}
session: {{constants: {constants}}}
tensors:
  x: {{type: uint64, shape: [2]}}
  y: {{type: uint64, shape: [2]}}
graph:
  - {{aic: place, args: [{{overwrite: x}}]}}
  - {{aiv1: place, args: [{{overwrite: y}}]}}
expect: {{results: {{x: [77, 0], y: [77, 2]}}}}
"""


def tell(g, place="tell"):
    x = g.submit(place, out(4, "uint64")).output
    return [x.get(i) for i in range(4)]


def workers():
    return {pid for pid, name in processes().items() if name == "pto2-worker"}


class ConstantsTests(Case):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory(prefix="pto2-python-tests-")
        self.addCleanup(self.folder.cleanup)
        self.flag = Path(self.folder.name) / "flag"

    def constants(self, number=123456789):
        return struct.pack("<Q", number) + os.fsencode(self.flag) + b"\0"

    def test_every_core_has_begun_with_the_constants(self):
        image = pto2.kernels(SOURCE)
        with self.session(image, clusters=2, constants=self.constants()) as s:
            def program(g):
                return [tell(g, place) for place in (
                    "tell", ("tell", None, None), (None, "tell", None), (None, None, "tell"))]
            told = s.run(program)
        self.assertEqual([[123456789, 123456789]] * 4, [row[:2] for row in told])
        self.assertEqual([0, 1, 2], [row[2] for row in told[1:]])

    def test_a_worker_that_was_started_again_has_them_too(self):
        with self.session(pto2.kernels(SOURCE), constants=self.constants(7)) as s:
            before = s.run(tell)
            for pid in workers():
                os.kill(pid, signal.SIGKILL)
            after = s.run(tell)
            self.assertEqual([7, 7], after[:2])
            self.assertNotEqual(before[3], after[3])

    def test_init_that_fails_names_the_image(self):
        self.flag.write_text("")
        image = pto2.kernels(SOURCE)
        with self.session(image, constants=self.constants()) as s:
            with self.refused(205, image.path, "returned 77", "worker a"):
                s.run(tell)

    def test_init_that_fails_when_a_worker_is_started_again(self):
        image = pto2.kernels(SOURCE)
        with self.session(image, constants=self.constants()) as s:
            s.run(tell)
            self.flag.write_text("")
            for pid in workers():
                os.kill(pid, signal.SIGKILL)
            with self.refused(205, image.path, "returned 77"):
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    s.run(tell)

    def test_init_that_crashes_ends_the_run(self):
        with self.session(pto2.kernels(CRASHING)) as s:
            with self.refused(200, "worker a", "SIGABRT"):
                s.run(lambda g: g.submit("nothing"))

    def run_script(self, constants):
        script = Path(self.folder.name) / "script.yaml"
        script.write_text(SCRIPT.format(image=pto2.kernels(SOURCE).path, constants=constants))
        return subprocess.run([str(_library.tool("pto2")), "test", str(script)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)

    def test_command_line_gives_a_file(self):
        file = Path(self.folder.name) / "constants"
        file.write_bytes(self.constants(77))
        done = self.run_script(file)
        self.assertEqual(0, done.returncode, done.stdout)
        done = self.run_script(str(file) + ".none")
        self.assertEqual(1, done.returncode)
        self.assertIn("expected a file that can be read, at most 64 MiB", done.stdout)

    def test_without_constants_there_are_none(self):
        with self.session(pto2.kernels(PLAIN)) as s:
            def program(g):
                x = g.submit("count", out(2, "uint64")).output
                return x.get(0), x.get(1)
            self.assertEqual((0, 0), s.run(program))

    def test_constants_are_bytes(self):
        with self.refused(5, "constants 7", "bytes"):
            self.session(constants=7)
        with self.refused(5, "constants", "64 MiB"):
            self.session(constants=bytes((64 << 20) + 1))

    def test_image_of_older_headers(self):
        with self.session(pto2.kernels(OLD)) as s:
            def program(g):
                x = g.zeros(1, "uint64")
                g.submit("old", inout(x))
                return x.get(0)
            self.assertEqual(5, s.run(program))


if __name__ == "__main__":
    unittest.main()
