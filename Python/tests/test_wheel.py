"""The wheel, installed outside of the checkout, runs a program with nothing of it."""
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

from pto2.testing import Leftovers

from .support import PACKAGE, Case

SCRIPT = PACKAGE.parent / "Scripts" / "wheel"
BIN = os.environ.get("PTO2_TEST_BIN", str(PACKAGE.parent / ".build" / "release"))

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import pto2
assert str(pto2.library()).startswith(sys.argv[1]), pto2.library()
assert str(pto2.include()).startswith(sys.argv[1]), pto2.include()
image = pto2.kernels('''
#include "pto2_kernel.h"
static void twice(const pto2_kernel_args *args) { *(float *)args->data[0] *= 2; }
PTO2_KERNELS({"twice", twice, PTO2_AIV})
''')
with pto2.Session(image) as s:
    def program(g):
        x = g.zeros(())
        x.set(21)
        g.submit("twice", pto2.inout(x))
        with open("/proc/self/maps") as maps:
            loaded = [line.split()[-1] for line in maps if "libpto2" in line]
        assert loaded and all(name.startswith(sys.argv[1]) for name in loaded), loaded
        return x.get()
    print(s.run(program))
"""


@unittest.skipUnless(SCRIPT.exists(), "not in a checkout")
class WheelTests(Case):
    def test_wheel_has_all_it_needs(self):
        before = Leftovers()
        with tempfile.TemporaryDirectory(prefix="pto2-python-tests-") as folder:
            subprocess.run([sys.executable, str(SCRIPT), "--level", "0", "--bin", BIN, "--out",
                            folder], check=True, stdout=subprocess.DEVNULL)
            wheel, = Path(folder).glob("pto2-*-py3-none-manylinux_2_*.whl")
            with zipfile.ZipFile(wheel) as archive:
                self.assertIsNone(archive.testzip())
            target = Path(folder) / "installed"
            pip = subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
                 "--disable-pip-version-check", "--no-compile", "--target", str(target),
                 str(wheel)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if "No module named pip" in pip.stdout:
                self.skipTest("pip is not installed: apt-get install python3-pip")
            self.assertEqual(0, pip.returncode, pip.stdout)
            environment = {k: v for k, v in os.environ.items() if not k.startswith("PTO2_")}
            done = subprocess.run(
                [sys.executable, "-I", "-c", PROGRAM, str(target)], cwd=folder, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**environment, "XDG_CACHE_HOME": folder})
            self.assertEqual(("42.0\n", ""), (done.stdout, done.stderr))
        self.assertEqual("", before.problem(10))


if __name__ == "__main__":
    unittest.main()
