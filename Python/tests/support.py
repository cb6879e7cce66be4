"""What all tests need."""
from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

import pto2
from pto2.testing import Leftovers

FOLDER = Path(__file__).resolve().parent
PACKAGE = Path(pto2.__file__).resolve().parent.parent
_numbers = itertools.count()

if numpy is None and os.environ.get("PTO2_TEST_NUMPY") == "required":
    raise ImportError("the tests need numpy: pip install numpy, or make test-python NUMPY=optional")

#: CI has numpy; on a bare machine the tests that need it say so.
needs_numpy = unittest.skipIf(numpy is None, "numpy is not installed: pip install numpy")

_cache = tempfile.TemporaryDirectory(prefix="pto2-python-tests-")
os.environ["PTO2_CACHE"] = _cache.name
IMAGE = pto2.kernels(FOLDER / "kernels.c", flags=["-Werror"])


class Case(unittest.TestCase):
    """A test that leaves nothing: no process, no name in /dev/shm, no descriptor."""

    def setUp(self) -> None:
        self.before = Leftovers()
        self.descriptors = len(os.listdir("/proc/self/fd"))
        # The first cleanup runs last, after the sessions are closed.
        self.addCleanup(self.check)

    def check(self) -> None:
        self.assertEqual("", self.before.problem(seconds=10))
        self.assertEqual(self.descriptors, len(os.listdir("/proc/self/fd")), "descriptors")

    def session(self, *images: Any, **options: Any) -> pto2.Session:
        """A session that is closed when the test ends, under a name that is checked."""
        name = f"pto2-python-test-{os.getpid()}-{next(_numbers)}"
        self.before.watch(name)
        if not options.get("memfd"):
            options.setdefault("segment", name)
        opened = pto2.Session(images or IMAGE, **options)
        self.addCleanup(opened.close)
        return opened

    def refused(self, code: int, *words: str) -> Any:
        """A context in which an error of this code is raised, with these words."""
        return _Refused(self, code, words)

    def script(self, text: str, **options: Any) -> "subprocess.Popen[str]":
        """A Python program beside this one; its standard output is a pipe."""
        head = f"import os, sys, signal, time\nimport pto2\nIMAGE = {IMAGE.path!r}\n"
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen(
            [sys.executable, "-c", head + text], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(PACKAGE)}, **options)


class _Refused:
    def __init__(self, case: unittest.TestCase, code: int, words: Any) -> None:
        self.case, self.code, self.words = case, code, words

    def __enter__(self) -> "_Refused":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if kind is None:
            self.case.fail(f"no error {self.code}")
        if not isinstance(error, pto2.Error):
            return False
        self.error = error
        self.case.assertEqual(self.code, error.code, str(error))
        for word in self.words:
            self.case.assertIn(word, str(error))
        return True
