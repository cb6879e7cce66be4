"""A plugin of pytest: ``pytest -p pto2.pytest_plugin``, or in conftest.py
``pytest_plugins = ["pto2.pytest_plugin"]``.

The fixture `pto2_clean` fails a test that leaves a process or a segment of pto2 behind.
"""
from __future__ import annotations

from typing import Iterator

import pytest

from .testing import Leftovers


@pytest.fixture
def pto2_clean() -> Iterator[Leftovers]:
    """After the test: no process that it started is there, and no name in /dev/shm. Give the
    names of segments that you choose yourself to ``pto2_clean.watch``; ``pto2_clean.seconds`` is
    how long it waits for them to go."""
    before = Leftovers()
    yield before
    problem = before.problem(before.seconds)
    if problem:
        pytest.fail(problem)
