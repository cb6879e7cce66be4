"""The package as a whole: where it finds its parts, the example, the plugin, types."""
import importlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import pto2
from pto2 import _abi, _library
from pto2.testing import Leftovers

from .support import PACKAGE, Case, needs_numpy

ROOT = PACKAGE.parent
HEADERS = ROOT / "Sources" / "CPTO2" / "include"


class PackageTests(Case):
    @unittest.skipIf((_library._HERE / "native").exists(), "a wheel has its own")
    def test_where_the_library_is(self):
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "lib" / "libpto2.so.1"
            with mock.patch.dict(os.environ, PTO2_HOME=folder):
                with self.assertRaisesRegex(FileNotFoundError, folder):
                    _library.path()
                library.parent.mkdir()
                library.touch()
                self.assertEqual(library, _library.path())

    def test_every_public_name_has_a_docstring(self):
        for module in ("", ".graph", ".tensors", ".uses", ".scopes", ".recording", ".shapes",
                       ".session", ".batch", ".images", ".errors",
                       ".testing", ".dtypes", ".programs", ".scene", ".scene_args", ".traces"):
            module = importlib.import_module("pto2" + module)
            self.assertTrue(module.__doc__, module)
            for name, value in vars(module).items():
                if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
                    continue
                if inspect.isfunction(value) or inspect.isclass(value):
                    self.assertTrue(value.__doc__, f"{module.__name__}.{name}")
        for kind in (pto2.Graph, pto2.Tensor, pto2.Session, pto2.Task):
            for name, value in vars(kind).items():
                if not name.startswith("_") and callable(value):
                    self.assertTrue(value.__doc__, f"{kind.__name__}.{name}")

    @unittest.skipUnless(HEADERS.exists(), "not in a checkout")
    def test_headers_say_the_same(self):
        text = (HEADERS / "pto2.h").read_text()
        for code, name in pto2.errors.NAMES.items():
            self.assertIn(f"PTO2_ERROR_{name} = {code},", text)
        # NONE, the first and the last of a program's own, WIDEST.
        self.assertEqual(text.count("    PTO2_ERROR_") - 4, len(pto2.errors.NAMES))
        own = pto2.errors.PROGRAM_CODES
        self.assertIn(f"PTO2_ERROR_PROGRAM = {own[0]},", text)
        self.assertIn(f"PTO2_ERROR_PROGRAM_LAST = {own[-1]},", text)
        self.assertEqual("PROGRAM", pto2.Error(own[3], "mine").name)
        for dtype in pto2.dtypes.ALL:
            self.assertIn(f"PTO2_{dtype.name.upper()} = {dtype.code}", text)
        program = (HEADERS / "pto2_program.h").read_text()
        fields = program[program.index("#define PTO2_PROGRAM_API_FIELDS"):]
        fields = fields[:fields.index("PTO2_ASSERT_LAYOUT")]
        at = 8
        for name, _ in _abi.API:
            self.assertIn(f"F(T, {name}, {at})", fields)
            at += 8
        session = (HEADERS / "pto2_session.h").read_text()
        report = session[session.index("#define PTO2_REPORT_FIELDS"):]
        at = [report.index(f"F(T, {name},") for name in pto2.session.REPORT_FIELDS]
        self.assertEqual(sorted(at), at)

    @needs_numpy
    @unittest.skipUnless((ROOT / "Examples").exists(), "not in a checkout")
    def test_example(self):
        before = Leftovers()
        done = subprocess.run(
            [sys.executable, str(ROOT / "Examples" / "Python" / "cholesky.py"), "--size", "256",
             "--tile", "32", "--clusters", "2"], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(PACKAGE)})
        self.assertEqual(0, done.returncode)
        self.assertIn("120 tasks", done.stdout)
        self.assertIn("verified", done.stdout)
        self.assertEqual("", before.problem(10))

    @needs_numpy
    @unittest.skipUnless((ROOT / "Benchmarks").exists(), "not in a checkout")
    def test_cost_of_a_submit_is_measured(self):
        done = subprocess.run(
            [sys.executable, str(ROOT / "Benchmarks" / "Python" / "submit_cost.py"), "--json",
             "--tasks", "500", "--rounds", "2"], stdout=subprocess.PIPE, text=True)
        self.assertEqual(0, done.returncode)
        costs = json.loads(done.stdout)["microseconds"]
        self.assertEqual(6, len(costs))
        self.assertTrue(all(value > 0 for value in costs.values()), costs)

    def test_plugin_of_pytest(self):
        try:
            import pytest  # noqa: F401
        except ImportError:
            self.skipTest("pytest is not installed: pip install pytest")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "test_it.py").write_text(f"""
import pto2
kept = []
def test_good(pto2_clean):
    with pto2.Session({pto2.kernels(Path(__file__).parent / 'kernels.c').path!r}) as s:
        s.run(lambda g: g.submit("nothing"))
def test_bad(pto2_clean):
    pto2_clean.seconds = 0
    kept.append(pto2.Session())
def test_close():
    kept.pop().close()
""")
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "pto2.pytest_plugin", "-p",
                 "no:cacheprovider", "test_it.py"], cwd=folder, stdout=subprocess.PIPE, text=True,
                env={**os.environ, "PYTHONPATH": str(PACKAGE)})
        self.assertIn("3 passed, 1 error", done.stdout)
        self.assertIn("left behind: process", done.stdout)
        self.assertIn("(pto2-scheduler)", done.stdout)

    def test_typed(self):
        self.assertTrue((Path(pto2.__file__).parent / "py.typed").exists())


if __name__ == "__main__":
    unittest.main()
