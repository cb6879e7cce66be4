"""Scene tests: programs written for the original, with the class that their tests have.

::

    from pto2.scene import ArgDirection as D, SceneTestCase, TaskArgsBuilder, TensorArg, scene_test

    @scene_test(level=2, runtime="tensormap_and_ringbuffer")
    class TestAdd(SceneTestCase):
        CALLABLE = {
            "orchestration": {"source": "orchestration.cpp", "signature": [D.IN, D.IN, D.OUT]},
            "incores": [{"func_id": 0, "source": "add.cpp", "core_type": "aiv"}],
        }
        CASES = [{"name": "small", "platforms": ["a2a3sim"], "params": {"n": 1000}}]

        def generate_args(self, params):
            n = params["n"]
            return TaskArgsBuilder(TensorArg("a", np.ones(n, "f4")), ...)

        def compute_golden(self, args, params):
            args.sum[:] = args.a + args.b

Each case is a test of unittest, so pytest has them, too. A case that pto2 cannot run is skipped,
with the reason. ``python -m pto2.scene FILE`` runs a file that imports the original's names
(``simpler_setup``, ``simpler.task_interface``) as it is.
"""
from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shlex
import sys
import tempfile
import types
import unittest
from pathlib import Path
from typing import Any, Callable, ClassVar, Dict, List, Optional, Sequence, Tuple, Type, TypeVar

from . import _library
from .programs import Program, Refused, compile_program
from .scene_args import (ArgDirection, Files, Scalar, TaskArgsBuilder, TensorArg, as_doubles)

__all__ = ["ArgDirection", "Scalar", "SceneTestCase", "SceneTestLevel", "TaskArgsBuilder",
           "TensorArg", "register_names", "scene_level", "scene_test", "settings"]

RUNTIME = "tensormap_and_ringbuffer"
_SIZES = {"ring_task_window": "--task-window", "ring_heap": "--heap",
          "ring_dep_pool": "--dep-pool"}
_HEADER = re.compile(r'#\s*include\s*[<"]pto/')


class SceneTestLevel:
    """Levels of a scene: 2 is one chip, 3 several workers."""

    CHIP = 2
    HOST = 3


class Settings:
    """What is run, and how.

    Attributes:
        platform: "a2a3sim", "a2a3" or "any": cases that name it.
        case: "Class::case" or "case"; None for all.
        manual: "exclude", "include" or "only".
        rounds: of each case in one session.
        clusters: of each session.
        isa: folder of the ISA library, or None.
        options: further ones of pto2-orchestrator.
        timeout: seconds a case may take.
    """

    def __init__(self) -> None:
        get = os.environ.get
        self.platform: str = get("PTO2_SCENE_PLATFORM", "a2a3sim")
        self.case: Optional[str] = get("PTO2_SCENE_CASE")
        self.manual: str = get("PTO2_SCENE_MANUAL", "exclude")
        self.rounds: int = int(get("PTO2_SCENE_ROUNDS", "1"))
        self.clusters: int = int(get("PTO2_SCENE_CLUSTERS", "6"))
        self.isa: Optional[str] = get("PTO2_ISA")
        self.options: List[str] = shlex.split(get("PTO2_SCENE_OPTIONS", ""))
        self.timeout: float = float(get("PTO2_SCENE_TIMEOUT", "300"))

    @staticmethod
    def add_options(add: Callable[..., Any]) -> None:
        """The same as options of a command line; `add` is `ArgumentParser.add_argument` or the
        like of pytest."""
        add("--platform", choices=("a2a3sim", "a2a3", "any"), default=None,
            help="cases for this platform (a2a3sim)")
        add("--case", default=None, help="Class::case, or case")
        add("--manual", choices=("exclude", "include", "only"), default=None,
            help="cases that are marked manual (exclude)")
        add("--rounds", type=int, default=None, help="runs of each case in one session (1)")
        add("--clusters", type=int, default=None, help="of each session (6)")
        add("--isa", default=None, help="folder of the ISA library, where kernels use it")
        add("--pto2", default=None, metavar="OPTIONS",
            help='further options of pto2-orchestrator, as in --pto2 "--faults f.json"')

    def take(self, get: Callable[[str], Any]) -> None:
        """Takes the options that were given."""
        for name in ("platform", "case", "manual", "rounds", "clusters", "isa"):
            value = get(name)
            if value is not None:
                setattr(self, name, value)
        more = get("pto2")
        if more is not None:
            self.options = shlex.split(more)


settings = Settings()
_Class = TypeVar("_Class", bound=type)


def scene_test(level: int = 2, runtime: str = RUNTIME, **more: Any) -> Callable[[_Class], _Class]:
    """Says what a class of scenes is for."""
    def mark(kind: _Class) -> _Class:
        kind.LEVEL, kind.RUNTIME = level, runtime  # type: ignore[attr-defined]
        return kind
    return mark


def scene_level(level: int) -> Callable[[_Class], _Class]:
    """As `scene_test`, the level alone."""
    return scene_test(level=level)


class SceneTestCase(unittest.TestCase):
    """Scenes: a callable, its cases, their arguments and what must come out.

    Attributes:
        CALLABLE: "orchestration" (source, function_name, signature of its tensors) and
            "incores" (func_id, source, core_type, extra_include_dirs); sources are relative to
            the test's file.
        CASES: each with name, platforms, params, manual, skip_golden, config.
        RTOL, ATOL: a value passes within ``ATOL + RTOL * abs(golden)``.
        SKIP_GOLDEN: True: nothing is compared.
        RUNTIME_ENV: sizes of rings for all cases, as a case's config["runtime_env"].
    """

    CALLABLE: ClassVar[Dict[str, Any]] = {}
    CASES: ClassVar[List[Dict[str, Any]]] = []
    RTOL: ClassVar[float] = 1e-5
    ATOL: ClassVar[float] = 1e-5
    SKIP_GOLDEN: ClassVar[bool] = False
    RUNTIME_ENV: ClassVar[Dict[str, Any]] = {}
    LEVEL: ClassVar[int] = 2
    RUNTIME: ClassVar[str] = RUNTIME
    _compiled: ClassVar[Any] = None
    _folder: ClassVar[Any] = None

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls._compiled = None
        for case in cls.__dict__.get("CASES", ()):
            name = "test_" + re.sub(r"\W", "_", str(case["name"]))
            if name not in cls.__dict__:
                setattr(cls, name, _test_of(case, name))

    def generate_args(self, params: Dict[str, Any]) -> TaskArgsBuilder:
        """The arguments of a case."""
        raise NotImplementedError(f"{type(self).__name__}.generate_args")

    def compute_golden(self, args: TaskArgsBuilder, params: Dict[str, Any]) -> None:
        """Puts what must come out into a copy of the arguments."""
        raise NotImplementedError(f"{type(self).__name__}.compute_golden")

    def compare_outputs(self, test_args: TaskArgsBuilder, golden_args: TaskArgsBuilder,
                        names: Sequence[str], params: Dict[str, Any]) -> None:
        """Compares the tensors that were written; raises AssertionError."""
        for name in names:
            difference = difference_of(getattr(test_args, name), getattr(golden_args, name),
                                       self.RTOL, self.ATOL)
            if difference:
                raise AssertionError(f"{name}: {difference}")

    @classmethod
    def reason(cls, case: Dict[str, Any]) -> str:
        """Why a case is not run, without compiling it; "" when it is."""
        name = f"{cls.__name__}::{case['name']}"
        if settings.case not in (None, name, case["name"]):
            return f"not asked for (--case {settings.case})"
        if cls.LEVEL != SceneTestLevel.CHIP:
            return f"level {cls.LEVEL}: several workers and devices are not in pto2"
        if cls.RUNTIME != RUNTIME:
            return f"runtime {cls.RUNTIME}: pto2 has what {RUNTIME} does"
        platforms = case.get("platforms", ["a2a3sim"])
        if settings.platform != "any" and settings.platform not in platforms:
            return f"for {', '.join(platforms)}, not for {settings.platform} (--platform any)"
        manual = case.get("manual", False)
        is_manual = manual if isinstance(manual, bool) else \
            settings.platform in ([manual] if isinstance(manual, str) else manual)
        if is_manual and settings.manual == "exclude":
            return "manual (--manual include)"
        if not is_manual and settings.manual == "only":
            return "not manual (--manual only)"
        config = case.get("config") or {}
        if config.get("device_count", 1) > 1 or config.get("num_sub_workers", 0) > 0:
            return "several devices or sub-workers are not in pto2"
        uses_isa = any(_HEADER.search(Path(source).read_text(errors="replace"))
                       for _, _, source in cls._kernels() if os.path.isfile(source))
        if uses_isa and not settings.isa:
            return "its kernels use the ISA library: say where it is (--isa, PTO2_ISA)"
        return ""

    @classmethod
    def _place(cls) -> Path:
        file = sys.modules[cls.__module__].__file__
        return Path(file or ".").resolve().parent

    @classmethod
    def _kernels(cls) -> List[Tuple[int, str, str]]:
        return [(k["func_id"], k["core_type"], str(cls._place() / k["source"]))
                for k in cls.CALLABLE.get("incores", ())]

    @classmethod
    def program(cls) -> Program:
        """The callable, compiled once for all cases.

        Raises:
            Refused: `pto2 compile` does not take it.
        """
        if cls._compiled is None:
            about = cls.CALLABLE["orchestration"]
            cls._folder = tempfile.TemporaryDirectory(prefix="pto2-scene-")
            folders = {k["func_id"]: [str(cls._place() / f) for f in
                                      k.get("extra_include_dirs", ())]
                       for k in cls.CALLABLE.get("incores", ())}
            try:
                cls._compiled = compile_program(
                    cls._place() / about["source"], cls._kernels(), output=cls._folder.name,
                    entry=about.get("function_name", "aicpu_orchestration_entry"),
                    folders=folders, include=[settings.isa] if settings.isa else [])
            except Refused as error:
                cls._compiled = error
        if isinstance(cls._compiled, Refused):
            raise cls._compiled
        return cls._compiled  # type: ignore[no-any-return]

    @classmethod
    def tearDownClass(cls) -> None:
        """Removes what was compiled."""
        if cls._folder is not None:
            cls._folder.cleanup()
            cls._folder = cls._compiled = None

    def run_case(self, case: Dict[str, Any]) -> None:
        """Runs one case and compares; skips it, with the reason, when pto2 cannot."""
        reason = self.reason(case)
        if reason:
            self.skipTest(reason)
        try:
            program = self.program()
        except Refused as error:
            if error.kind in ("unsupported", "refused-compiler", "no-tool"):
                self.skipTest(error.message)
            raise
        params = case.get("params") or {}
        args = self.generate_args(params)
        golden = args.clone()
        options = ["--clusters", str(settings.clusters), *self._sizes(case), *settings.options]
        with tempfile.TemporaryDirectory(prefix="pto2-scene-") as folder:
            try:
                files = Files(args, self.CALLABLE["orchestration"].get("signature", ()), folder)
            except TypeError as error:
                self.skipTest(str(error))
            words = list(files.words)
            if settings.rounds > 1:
                words.append(f"--rounds={settings.rounds}")
            program.run(words, options, timeout=settings.timeout)
            names = files.read_back()
        if case.get("skip_golden", self.SKIP_GOLDEN):
            return
        self.compute_golden(golden, params)
        self.compare_outputs(args, golden, names, params)

    @classmethod
    def _sizes(cls, case: Dict[str, Any]) -> List[str]:
        sizes = {**cls.RUNTIME_ENV, **((case.get("config") or {}).get("runtime_env") or {})}
        words: List[str] = []
        for name, value in sizes.items():
            if name not in _SIZES:
                continue
            values = value if isinstance(value, (list, tuple)) else [value]
            words += [_SIZES[name], ",".join(str(int(v)) for v in values)]
        return words

    @classmethod
    def run_module(cls, name: str) -> None:
        """Runs the scenes of a module, with its command line: the last line of a test's file."""
        _main(sys.modules[name], sys.argv[1:])


def _test_of(case: Dict[str, Any], name: str) -> Callable[[SceneTestCase], None]:
    def test(self: SceneTestCase) -> None:
        self.run_case(case)
    test.__name__ = name
    return test


def difference_of(found: Any, golden: Any, rtol: float, atol: float) -> str:
    """Where a tensor differs from its golden, in words; "" when it does not. NaN equals NaN."""
    import numpy

    a, b = as_doubles(found), as_doubles(golden)
    if a.shape != b.shape:
        return f"shape {a.shape}, golden {b.shape}"
    with numpy.errstate(invalid="ignore"):
        is_near = (numpy.abs(a - b) <= atol + rtol * numpy.abs(b)) | (a == b) | \
            (numpy.isnan(a) & numpy.isnan(b))
    if bool(numpy.all(is_near)):
        return ""
    wrong = numpy.argwhere(~is_near)
    at = tuple(int(i) for i in wrong[0])
    return (f"{len(wrong)} of {a.size} elements differ; the first at {list(at)} is {a[at]!r}, "
            f"golden {b[at]!r} (rtol {rtol}, atol {atol})")


def register_names() -> None:
    """Makes the original's modules importable where they are not installed: simpler_setup, and
    task_interface of simpler."""
    for name in ("simpler", "simpler.task_interface", "simpler_setup"):
        if name not in sys.modules:
            module = types.ModuleType(name, "Names of the original, by pto2.scene.")
            # A copy that is there has modules of its own: goldens.
            found = importlib.util.find_spec(name) if "." not in name else None
            places = found.submodule_search_locations if found else None
            module.__path__ = list(places or ())  # type: ignore[attr-defined]
            sys.modules[name] = module
    for name in ("Scalar", "SceneTestCase", "SceneTestLevel", "TaskArgsBuilder", "TensorArg",
                 "scene_level", "scene_test"):
        setattr(sys.modules["simpler_setup"], name, globals()[name])
    sys.modules["simpler.task_interface"].ArgDirection = ArgDirection  # type: ignore[attr-defined]


def scenes_of(module: Any) -> List[Type[SceneTestCase]]:
    """The classes of scenes that a module defines."""
    return [kind for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, SceneTestCase)
            and kind.__module__ == module.__name__ and kind.CASES]


def _main(module: Any, words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=os.path.basename(str(module.__file__)),
        description="Runs the scenes of this file on pto2; exit status 1 when one fails.")
    Settings.add_options(parser.add_argument)
    parser.add_argument("--list", action="store_true",
                        help="say of each case whether it is run, and why not")
    options = parser.parse_args(words)
    settings.take(lambda name: getattr(options, name))
    if options.list:
        for kind in scenes_of(module):
            for case in kind.CASES:
                print(f"{kind.__name__}::{case['name']}: {kind.reason(case) or 'runs'}")
        sys.exit(0)
    suite = unittest.TestSuite(
        unittest.defaultTestLoader.loadTestsFromTestCase(kind) for kind in scenes_of(module))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(0 if result.wasSuccessful() else 1)


def main(words: Sequence[str]) -> None:
    """``python -m pto2.scene FILE [options]``."""
    if not words or words[0].startswith("-"):
        print("usage: python -m pto2.scene FILE [options]; FILE --help shows the options",
              file=sys.stderr)
        sys.exit(2)
    register_names()
    file = os.path.abspath(words[0])
    sys.path.insert(0, os.path.dirname(file))
    sys.argv = [file, *words[1:]]
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None:
        sys.exit(f"{file}: no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        if not (error.name or "").startswith("simpler"):
            raise
        sys.exit(f"{file}: not run: {error}. pto2.scene has the names of scene tests alone; "
                 "goldens are found in a copy of the original on PYTHONPATH")
    _main(module, words[1:])


if __name__ == "__main__":
    # One module, whatever name it was started under.
    from pto2 import scene

    scene.main(sys.argv[1:])
