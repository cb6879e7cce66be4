"""A plugin of pytest for scene tests: ``pytest -p pto2.scene_plugin FILE --isa FOLDER``.

Makes the original's modules importable where they are not installed, and has the options of
`pto2.scene`.
"""
from __future__ import annotations

from typing import Any

from . import scene

scene.register_names()


def pytest_addoption(parser: Any) -> None:
    """The options of `pto2.scene.Settings`."""
    group = parser.getgroup("pto2 scenes")
    scene.Settings.add_options(group.addoption)


def pytest_configure(config: Any) -> None:
    """Takes the options, and knows the marks that such tests have."""
    for mark in ("platforms(names)", "runtime(name)", "device_count(n)", "manual(names)", "sdma"):
        config.addinivalue_line("markers", f"{mark}: of the original's tests")
    scene.settings.take(lambda name: config.getoption("--" + name))
