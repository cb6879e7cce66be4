"""Sessions: the processes and their shared memory."""
from __future__ import annotations

import ctypes as c
import math
import os
import struct
import threading
import weakref
from typing import Any, Callable, Dict, Generator, List, Optional, Sequence, Tuple, TypeVar, Union

from . import _abi, _library, errors, images as _images
from .errors import Error, invalid
from ._abi import address_of
from .graph import Graph

Result = TypeVar("Result")
Sizes = Union[None, int, Sequence[int]]

REPORT_FIELDS = (
    "bytes", "worker_restarts", "scheduler_restarts", "reserved", "nanoseconds",
    "graph_nanoseconds", "tasks", "edges", "kernels", "kernel_nanoseconds", "waits",
    "wait_nanoseconds")


class Session:
    """A scheduler, a worker for each core, and the memory between them.

    ::

        with pto2.Session("kernels.c", clusters=2) as s:
            @s.run
            def result(g):
                x = g.tensor(array)
                g.submit("twice", pto2.inout(x))
                return x
            print(numpy.asarray(result))

    Opened once, it runs many graphs, one after another; an error in one does not spoil the
    next. Use it from one thread at a time, and not in a child of fork.

    Args:
        images: kernel images: one or a list of `pto2.kernels` (...), paths of images, paths of
            C or C++ sources, names that are looked up; at most 16.
        clusters: of one AIC and two AIV cores each, 1 to 40.
        lanes: dispatches that a core can hold at once, 1 to 64.
        threads: of the scheduler, 1 to 8.
        segment: name of the shared memory; otherwise a fresh one.
        executables: folder of pto2-scheduler and pto2-worker; otherwise those of the library.
        rings: how many, 1 to 8; 4 otherwise.
        task_window, consumed_window, heap, dep_pool: sizes of the rings, one for all or a
            list with one for each: tasks, tasks, bytes, edges.
        tensor_map: records of the TensorMap.
        arena: bytes for external tensors.
        constants: bytes that every kernel sees as ``args->constants``: anything with a buffer, at
            most 64 MiB, copied. An image's init function sees them first.
        attach_timeout, stall_limit, kernel_deadline, stop_grace: seconds; math.inf for no
            limit. docs/operations.md says what they mean and their defaults.
        memfd: shared memory without a name in /dev/shm.
        confine: workers give up what a kernel could harm the session with. Needs Landlock;
            not with memfd.
        pin: where workers run: "auto", "none" (as Linux likes), or CPUs for the cores in
            turn: "0,2-5", or numbers.
        drain: when this process dies, what it submitted is still done.
        launch: False: somebody else starts scheduler and workers.
        trace: a file for what becomes of each task, and when: written when the session is closed,
            for `read_trace`, ``pto2 report`` and ui.perfetto.dev; Chrome's format where it
            ends in .json.
        trace_edges: the trace has every dependency, too.
        signals: True: the library takes SIGINT, SIGTERM, SIGHUP and SIGQUIT while the session
            is open. Otherwise signals are Python's: Ctrl-C raises KeyboardInterrupt wherever
            the program is, also while it waits.

    Raises:
        Error: 5 for sizes that are not valid; 205 for images; 204 when there are no
            executables; 208 when /dev/shm is full.
        CompileError: for kernel sources.
        FileNotFoundError: when there is no libpto2.so.
    """

    def __init__(
        self, images: Any = (), *, clusters: int = 1, lanes: Optional[int] = None,
        threads: Optional[int] = None, segment: Optional[str] = None,
        executables: Union[None, str, "os.PathLike[str]"] = None, rings: Optional[int] = None,
        task_window: Sizes = None, consumed_window: Sizes = None, heap: Sizes = None,
        dep_pool: Sizes = None, tensor_map: Optional[int] = None, arena: Optional[int] = None,
        attach_timeout: Optional[float] = None, stall_limit: Optional[float] = None,
        kernel_deadline: Optional[float] = None, stop_grace: Optional[float] = None,
        memfd: bool = False, drain: bool = False, launch: bool = True, signals: bool = False,
        confine: bool = False, pin: Union[None, str, Sequence[int]] = None,
        constants: Any = None, trace: Union[None, str, "os.PathLike[str]"] = None,
        trace_edges: bool = False,
    ) -> None:
        self._handle = 0
        self._state = _State()
        if isinstance(images, (str, os.PathLike, _images.Image)):
            images = [images]
        paths = [_images.resolve(image) for image in images]
        if len(paths) > _abi.MAX_IMAGES:
            raise Error(205, f"{len(paths)} kernel images: expected {_abi.MAX_IMAGES} at most")
        texts = [path.encode() for path in paths]
        image_list = (c.c_char_p * max(1, len(texts)))(*texts)
        ring_count, ring_list = _rings(rings, task_window, consumed_window, heap, dep_pool)
        flags = (_abi.OPEN_SIGNALS if signals else 0) | (_abi.OPEN_DRAIN if drain else 0) | \
            (_abi.OPEN_MEMFD if memfd else 0) | (0 if launch else _abi.OPEN_NO_LAUNCH) | \
            (_abi.OPEN_CONFINE if confine else 0) | \
            (_abi.OPEN_TRACE_EDGES if trace_edges else 0)
        name = c.create_string_buffer(segment.encode()) if segment is not None else None
        folder = c.create_string_buffer(os.fsencode(executables)) \
            if executables is not None else None
        where = c.create_string_buffer(_cpus(pin)) if pin is not None else None
        shared = _constants(constants)
        record = c.create_string_buffer(os.fsencode(trace)) if trace is not None else None
        options = bytearray(_abi.SESSION_OPTIONS.pack(
            _abi.SESSION_OPTIONS.size, flags, c.addressof(name) if name else 0,
            c.addressof(folder) if folder else 0, c.addressof(image_list), len(texts),
            _number("clusters", clusters, 1), _number("lanes", lanes),
            _number("threads", threads), address_of(ring_list) if ring_list else 0, ring_count,
            _number("tensor_map", tensor_map), _number("arena", arena, limit=2**64),
            _seconds("attach_timeout", attach_timeout), _seconds("stall_limit", stall_limit),
            _seconds("kernel_deadline", kernel_deadline), _seconds("stop_grace", stop_grace),
            c.addressof(where) if where else 0,
            address_of(shared) if shared else 0, len(shared),
            c.addressof(record) if record else 0, 0))
        self._library = _library.load()
        handle = c.c_void_p()
        info = bytearray(_abi.ERROR_INFO.size)
        struct.pack_into("<I", info, 0, len(info))
        if self._library.pto2_session_open(
                address_of(options), c.addressof(handle), address_of(info)):
            raise errors.of_info(info)
        self._handle = handle.value or 0
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._api: Optional[_abi.Api] = None
        #: kernels of three places, by what `Graph.submit` was given
        self._packed: Dict[Any, bytes] = {}
        on_wait = _abi.WaitFunction(self._state.watch())
        self._closer = weakref.finalize(
            self, _close, self._library, self._handle, self._pid, on_wait)
        self._library.pto2_session_on_wait(self._handle, on_wait, None)
        #: names of the kernels, and 0 for AIC, 1 for AIV, 2 for either
        self.kernels: Dict[str, int] = {}
        for path in paths:
            self.kernels.update(_images.table(path))
        #: what the last run did; empty before the first
        self.report: Dict[str, int] = {}

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<pto2.Session {'closed' if self.closed else 'open'}, {len(self.kernels)} kernels>"

    @property
    def closed(self) -> bool:
        return not self._handle

    @property
    def _pending(self) -> Optional[BaseException]:
        return self._state.pending

    @_pending.setter
    def _pending(self, value: Optional[BaseException]) -> None:
        self._state.pending = value

    def run(self, program: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """Calls ``program(graph, *args, **options)`` and waits until every task is done.

        As a decorator it runs the function at once, and the name is its result.

        Returns:
            What the program returns. Tensors in it (also in lists, tuples and dicts) can be
            looked at with ``numpy.asarray`` for ever; they are copies then.

        Raises:
            Error: the run's first error.
            BaseException: what the program raised; the run ends, and the next one can begin.
            KeyboardInterrupt: within a tenth of a second after Ctrl-C, also while the library
                waits. What was submitted may still run until the next run or `close`.

        Afterwards `report` says what the run did: worker_restarts, scheduler_restarts,
        nanoseconds (from the call to its return), graph_nanoseconds (in which submitted tasks
        were unfinished), tasks, edges, kernels, kernel_nanoseconds (over all cores), waits (of
        the program for a full ring) and wait_nanoseconds.
        """
        self._usable()
        if not callable(program):
            raise TypeError(f"run() needs a function of a graph, not {program!r}")
        if not self._lock.acquire(blocking=False):
            raise invalid("a run of this session has not returned: one at a time, and none "
                          "inside another")
        try:
            return self._run(lambda graph: program(graph, *args, **options))
        finally:
            self._lock.release()

    def _run(self, program: Callable[[Graph], Result]) -> Result:
        outcome = _Outcome()

        def build(api: int, pointer: int, _: Any) -> int:
            try:
                if self._api is None:
                    self._api = _abi.Api(api)
                graph = Graph(self, self._api, pointer)
                try:
                    if self._pending is not None:
                        raise self._pending
                    outcome.result = program(graph)
                    graph._keep(outcome.result)
                    graph._end(settle=True)
                finally:
                    if not graph._is_over:
                        graph._end(settle=False)
                outcome.finished = True
                return 0
            except BaseException as error:  # noqa: B902 - raised again below
                outcome.error = error
                return 1

        self._pending = None
        report = bytearray(_abi.REPORT.size)
        struct.pack_into("<I", report, 0, len(report))
        code = self._library.pto2_session_run(
            self._handle, _abi.RunFunction(build), None, address_of(report))
        values = dict(zip(REPORT_FIELDS, _abi.REPORT.unpack(report)))
        del values["bytes"], values["reserved"]
        self.report = values
        error, self._pending = self._pending or outcome.error, None
        try:
            if error is not None:
                raise error
            if code:
                info = bytearray(_abi.ERROR_INFO.size)
                struct.pack_into("<I", info, 0, len(info))
                self._library.pto2_session_error(self._handle, address_of(info))
                raise errors.of_info(info)
            if not outcome.finished:
                # Python was interrupted before it had begun with the function.
                raise KeyboardInterrupt
            result: Result = outcome.result
            return result
        finally:
            # Its traceback holds this frame.
            error = outcome.error = None

    def _core_type(self, name: Any) -> int:
        kind = self.kernels.get(name) if isinstance(name, str) else None
        if kind is None:
            known = ", ".join(sorted(self.kernels)) or "none"
            raise invalid(f"no kernel {name!r} in the images of this session; there is {known}")
        return kind

    def _usable(self) -> None:
        if not self._handle:
            raise invalid("the session is closed")
        if os.getpid() != self._pid:
            raise invalid("this process was made by fork(2) and has no part in the session: "
                          "use the start method \"spawn\" of multiprocessing")

    def close(self) -> None:
        """Ends the processes, within seconds, and removes the shared memory. Arrays stay valid.
        What `with` does at its end; a session that nobody refers to is closed, too.

        Raises:
            Error: 5 inside a run.
        """
        if not self._handle:
            return
        if os.getpid() == self._pid and not self._lock.acquire(blocking=False):
            raise invalid("close() inside a run")
        self._handle = 0
        self._closer()


class _State:
    """What signals do while the library waits."""

    def __init__(self) -> None:
        self.pending: Optional[BaseException] = None

    def watch(self) -> Callable[[Any], int]:
        """A function that the library calls now and then while it waits. Signal handlers of
        Python run as soon as Python runs: a generator is inside its `try` then, where a
        function would still be outside."""
        generator = self._loop()
        next(generator)
        return generator.send

    def _loop(self) -> Generator[int, Any, None]:
        gives_up = 0
        while True:
            try:
                while True:
                    yield gives_up
                    gives_up = 0
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: B902 - Graph and Session raise it
                # Who clears the frames of a traceback, as unittest does, would end this one.
                self.pending = error.with_traceback(None)
                gives_up = 1


class _Outcome:
    """What became of a program."""

    result: Any = None
    error: Optional[BaseException] = None
    finished = False


def _close(library: c.CDLL, handle: int, pid: int, on_wait: Any) -> None:
    # A child of fork has no part in it.
    if os.getpid() == pid:
        library.pto2_session_close(handle)


def _constants(value: Any) -> bytearray:
    """A copy of the bytes."""
    if value is None:
        return bytearray()
    try:
        return bytearray(memoryview(value).tobytes())
    except TypeError:
        raise invalid(f"constants {value!r}: expected bytes, or anything with a buffer") from None


def _number(name: str, value: Any, least: int = 0, limit: int = 2**32) -> int:
    """0 is the default."""
    if value is None:
        return 0
    try:
        number = value.__index__()
    except AttributeError:
        raise invalid(f"{name}={value!r}: expected a whole number") from None
    if not max(1, least) <= number < limit:
        raise invalid(f"{name}={value!r}: expected {max(1, least)} to {limit - 1}")
    return number


def _cpus(pin: Union[str, Sequence[int]]) -> bytes:
    """As the library takes it, which says what is wrong with a text."""
    if isinstance(pin, str):
        return pin.encode()
    try:
        return ",".join(str(cpu.__index__()) for cpu in pin).encode()
    except (TypeError, AttributeError):
        raise invalid(
            f"pin={pin!r}: expected 'auto', 'none', or CPUs as '0,2-5' or [0, 2]") from None


def _seconds(name: str, value: Optional[float]) -> int:
    if value is None:
        return 0
    if not isinstance(value, (int, float)) or not value > 0:
        raise invalid(f"{name}={value!r}: expected seconds above 0, or math.inf")
    nanoseconds = _abi.FOREVER if math.isinf(value) else max(1, int(value * 1e9))
    return min(nanoseconds, _abi.FOREVER)


def _rings(count: Optional[int], *sizes: Sizes) -> Tuple[int, Optional[bytearray]]:
    """How many, and a pto2_ring_options for each; none where all is default."""
    names = ("task_window", "consumed_window", "heap", "dep_pool")
    lists: List[Optional[Sequence[int]]] = []
    lengths = set()
    for size in sizes:
        if size is None or hasattr(size, "__index__"):
            lists.append(None)
        else:
            values = list(size)
            lists.append(values)
            lengths.add(len(values))
    if count is not None:
        lengths.add(_number("rings", count))
    if len(lengths) > 1:
        raise invalid(f"rings: lists of {sorted(lengths)} sizes: expected one for each ring")
    number = lengths.pop() if lengths else 4
    if not 1 <= number <= _abi.MAX_RINGS:
        raise invalid(f"{number} rings: expected 1 to {_abi.MAX_RINGS}")
    if all(size is None for size in sizes):
        return (number if count is not None else 0), None
    records = b""
    for ring in range(number):
        window, consumed, heap, pool = (
            _number(name, values[ring] if values is not None else size,
                    limit=2**64 if name == "heap" else 2**32)
            for name, size, values in zip(names, sizes, lists))
        records += _abi.RING_OPTIONS.pack(_abi.RING_OPTIONS.size, window, consumed, pool, heap)
    return number, bytearray(records)
