"""The graph of a run: what a program submits."""
from __future__ import annotations

import ctypes as c
import operator
import struct
import threading
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

from . import _abi
from ._abi import address_of
from .errors import PROGRAM_CODES, invalid
from .graph_memory import GraphMemory
from .recording import Recording, Template, kind_of
from .scopes import Scope
from .shapes import count_of, span_of
from .tensors import Buffer, Tensor
from .uses import Condition, Hole, Output, Use, scalar_bits

_get_thread = threading.get_ident
_NOTHING = ()
KernelName = Union[str, None, Sequence[Optional[str]]]


class Machine(NamedTuple):
    """What a graph runs on."""

    clusters: int
    cores: int
    lanes: int
    rings: int
    scheduler_threads: int
    #: Which of the ranks that run the program this one is, and how many there are.
    rank: int
    ranks: int


class Task:
    """A submitted task.

    Attributes:
        id: ring * 2**32 + number in the ring.
        outputs: the tensors of its `out` arguments, in order.
    """

    __slots__ = ("id", "outputs")

    def __init__(self, id: int, outputs: Sequence[Tensor]) -> None:
        self.id = id
        self.outputs = outputs

    @property
    def output(self) -> Tensor:
        """Its only output.

        Raises:
            Error: 5 when it has none, or several.
        """
        if len(self.outputs) != 1:
            raise invalid(f"the task has {len(self.outputs)} outputs: say task.outputs[i]")
        return self.outputs[0]

    def __repr__(self) -> str:
        return f"<pto2.Task {self.id >> 32}:{self.id & 0xFFFFFFFF}>"


class Graph(GraphMemory):
    """The tasks of one run; `Session.run` makes it. Use it on the thread of that call.

    Tasks start as soon as what they need is there. Their order follows from the tensors they
    use: a task waits for the last writers of what it reads, and for the last writers and
    readers of what it writes, views included. After an error that ended the run every call
    raises it again.
    """

    def __repr__(self) -> str:
        return f"<pto2.Graph {'over' if self._is_over else 'open'}>"

    # ---- the machine

    @property
    def machine(self) -> Machine:
        """Clusters, cores, lanes, rings and scheduler threads of the session."""
        info = bytearray(_abi.MACHINE.size)
        struct.pack_into("<I", info, 0, len(info))
        self._call(self._api.machine, address_of(info))
        return Machine(*_abi.MACHINE.unpack(info)[1:])

    @property
    def rank(self) -> int:
        """Which of the ranks that run this program together this one is; 0 without mpirun."""
        return self.machine.rank

    @property
    def ranks(self) -> int:
        """How many ranks run this program together; 1 without mpirun."""
        return self.machine.ranks

    # ---- tasks

    def submit(self, kernel: KernelName, *arguments: Any, after: Any = _NOTHING,
               retain: Any = _NOTHING, when: Optional[Condition] = None, blocks: int = 1,
               sync_start: bool = False, recovery: str = "automatic",
               on: Optional[int] = None, name: Optional[str] = None,
               near: Optional[int] = None) -> Task:
        """Submits a task; blocks while a ring is full.

        Args:
            kernel: a kernel's name, which goes to the place of its core type; or up to three
                names or None for the AIC, AIV0 and AIV1 place; or None for a task that runs
                nothing and orders others.
            arguments: the kernel's tensors, in its order: a `Tensor` is read; `inout`,
                `overwrite`, `unordered` and `out` say otherwise. Numbers among them are its
                scalars, in their order: a float as float32 bits, a whole number as 64 bits,
                `double` as 64 bits. At most 32 tensors and 16 scalars.
            after: tasks (or ids) that must be done before.
            retain: the same, and their outputs stay alive until this task is done.
            when: a condition made by `pto2.when`.
            blocks: SPMD: how many blocks to run, at most 2**20.
            sync_start: SPMD: all blocks start together.
            recovery: whether a task whose worker died is run again: "automatic" if it has no
                inout and no unordered tensor, "again" always, "once" never, "snapshot" with
                the old contents of its inout tensors.
            on: the rank on which it runs, of a program that mpirun has started on several;
                by default where most of its bytes are.
            name: of the task, which its error, traces, ``pto2 stuck`` and ``pto2 inspect`` show.
                60 bytes of UTF-8 are kept; a session has room for 511 names, of tasks in scopes
                of each name and of scopes together: what has more has none.
            near: a hint where: the cluster, below ``graph.machine.clusters``, whose cores come
                first, as far as they are free. For tasks that use the same data.

        Raises:
            Error: 5 for what is not valid; 7 for more blocks to start together than there
                are cores; what has ended the run.
        """
        pointer = self._pointer
        if pointer is None or self._thread != _get_thread():
            self._handle()
        kernels = self._kernels.get(kernel)
        if kernels is None:
            kernels = self._look_up(kernel)
        records: List[bytes] = []
        scalars: List[int] = []
        outputs: List[Tensor] = []
        keeps: List[bool] = []
        holes: Optional[Dict[int, int]] = None
        filled = changes = False
        for argument in arguments:
            kind = type(argument)
            if kind is Tensor:
                if argument._graph is not self:
                    self._own(argument)
                records.append(argument._record(0))
            elif kind is Use:
                changes = True
                tensor = argument.tensor
                if type(tensor) is not Tensor or tensor._graph is not self:
                    self._own(tensor)
                records.append(tensor._record(argument.access))
            elif kind is Output and argument.initial is not None:
                output = self._filled(argument)
                outputs.append(output)
                keeps.append(False)
                filled = True
                records.append(output._record(_abi.INOUT))
            elif kind is Output:
                handle = _abi.Handle()
                output = Tensor(self, None, argument.shape, argument.strides, argument.dtype,
                                handle)
                outputs.append(output)
                keeps.append(argument.keep)
                if argument.keep:
                    self._refuse_recording("a kept output")
                records.append(argument.head + _abi.ADDRESS.pack(output._address))
            elif kind is Hole:
                if holes is None:
                    holes = {}
                holes[len(scalars)] = self._hole(argument)
                scalars.append(0)
            else:
                scalars.append(scalar_bits(argument))
        count = len(records)
        if count > _abi.MAX_TENSORS or len(scalars) > _abi.MAX_SCALARS:
            raise invalid(f"{count} tensors and {len(scalars)} scalars: a task has "
                          f"{_abi.MAX_TENSORS} and {_abi.MAX_SCALARS} at most")
        self._arguments[:48 * count] = b"".join(records)
        if scalars:
            struct.pack_into(f"<{len(scalars)}Q", self._scalars, 0, *scalars)
        # Kept until the call returns.
        dependencies, dependency_count = self._dependencies(after, retain) \
            if after is not _NOTHING or retain is not _NOTHING else (None, 0)
        predicate = self._predicate(when) if when is not None else None
        hole_list = _holes(holes, len(scalars)) if holes else None
        text = _name(name) if name is not None else None
        if blocks != 1 or sync_start:
            self._check_blocks(blocks)
        if filled and not changes and blocks == 1 and recovery == "automatic" \
                and sum(map(bool, struct.unpack("<3Q", kernels))) == 1:
            recovery = "snapshot"
        try:
            _abi.SUBMISSION.pack_into(
                self._submission, 0, 136, _abi.RECOVERIES[recovery], kernels,
                self._arguments_address, self._scalars_address,
                address_of(dependencies) if dependencies else 0,
                address_of(predicate[0]) if predicate else 0,
                count, len(scalars), dependency_count, blocks, 1 if sync_start else 0,
                0 if on is None else _place("on", on), address_of(hole_list) if hole_list else 0,
                address_of(text) if text else 0, 0 if near is None else _place("near", near))
        except KeyError:
            raise invalid(f"recovery {recovery!r}: expected one of "
                          f"{', '.join(_abi.RECOVERIES)}") from None
        # Before: who is interrupted in the call must not take it for nothing.
        self._dirty = True
        self._pointer = None
        try:
            code = self._api.submit(pointer, self._submission_address, self._task_address)
        finally:
            self._pointer = pointer
        if code:
            self._raise()
        for output, keep in zip(outputs, keeps):
            if output._buffer is not None:
                continue
            buffer = Buffer(output._handle, count_of(output.shape) * output.dtype.itemsize,
                            self._scopes[0 if keep else -1], keep)
            buffer.used = True
            output._buffer = buffer
        task = Task(self._task.value, outputs)
        if self._recording is not None:
            self._recording.count += 1
        return task

    def submit_many(self, kernel: Any, *columns: Any, count: Optional[int] = None,
                    after: Any = None, retain: Any = None, blocks: int = 1,
                    sync_start: bool = False, recovery: str = "automatic",
                    name: Optional[str] = None, near: Any = None) -> Any:
        """Submits many tasks of one kind in one call; needs numpy.

        Each argument is a column: a `Tensors` (from `Tensor.tiles`, `Tensors` indexed by
        arrays, or outputs of another `submit_many`) or a list of tensors, one for each task;
        or one tensor, number or `out` for all; an array of numbers for scalars. `inout`,
        `overwrite` and `unordered` go around a column.

        Args:
            kernel: as in `submit`.
            columns: as the arguments of `submit`, each of one or of as many as there are tasks.
            count: how many tasks, where no column says it.
            after, retain: tasks for all, or an array of ids of shape (tasks,) or (tasks, n).
            name: of all of them.
            near: a cluster for all, or an array of one for each.

        Returns:
            `Tasks`: ``ids``, an array of uint64, and ``outputs``, a `Tensors` for each `out`.

        Raises:
            Error: 5 for columns of different lengths, and as `submit`; `Error.submitted` says
                how many tasks went in.
        """
        from .batch import Batch
        batch = kernel if isinstance(kernel, Batch) else Batch(
            self, kernel, columns, count=count, after=after, retain=retain, blocks=blocks,
            sync_start=sync_start, recovery=recovery, name=name, near=near)
        return batch._submit(self)

    def batch(self, kernel: KernelName, *columns: Any, **options: Any) -> Any:
        """What `submit_many` would submit, as records: change them, submit them several
        times with ``submit_many(batch)``. See `Batch`."""
        from .batch import Batch
        return Batch(self, kernel, columns, **options)

    def _look_up(self, kernel: KernelName) -> bytes:
        """Handles for the three places, packed."""
        places: List[Optional[str]] = [None, None, None]
        if isinstance(kernel, str):
            places[0 if self._session._core_type(kernel) == _abi.AIC else 1] = kernel
        elif kernel is not None:
            try:
                names = tuple(kernel)
            except TypeError:
                raise invalid(f"kernel {kernel!r}: expected a name, up to three, or None"
                              ) from None
            if len(names) > 3:
                raise invalid(f"kernel {kernel!r}: a task has places for AIC, AIV0 and AIV1")
            for place, name in enumerate(names):
                if name is None:
                    continue
                wanted = _abi.AIC if place == 0 else _abi.AIV
                if self._session._core_type(name) not in (wanted, _abi.ANY_CORE):
                    raise invalid(f"kernel {name!r} in place {('AIC', 'AIV0', 'AIV1')[place]}: it "
                                  f"is for {('AIC', 'AIV')[1 - wanted]}")
                places[place] = name
            kernel = names
        words = []
        for name in places:
            handle = c.c_uint64(0)
            if name is not None:
                self._call(self._api.kernel, name.encode(), c.addressof(handle))
            words.append(handle.value)
        packed = struct.pack("<3Q", *words)
        self._kernels[kernel] = packed
        return packed

    def _dependencies(self, after: Any, retain: Any) -> Tuple[Optional[bytearray], int]:
        ids = [(task, 0) for task in _ids(after)] + [(task, 1) for task in _ids(retain)]
        if not ids:
            return None, 0
        return bytearray(b"".join(
            _abi.DEPENDENCY.pack(16, keeps, task) for task, keeps in ids)), len(ids)

    def _predicate(self, when: Condition) -> Tuple[bytearray, bytearray]:
        if not isinstance(when, Condition):
            raise invalid(f"when={when!r}: expected pto2.when(tensor, index, comparison, value)")
        self._own(when.tensor)
        index = bytearray(struct.pack("<5I", *when.index, *(0,) * (5 - len(when.index))))
        is_real = type(when.value) is float
        when.tensor._buffer.used = True  # type: ignore[union-attr]
        try:
            return bytearray(_abi.PREDICATE.pack(
                40, when.comparison, when.tensor._address, address_of(index),
                0 if is_real else when.value, when.value if is_real else 0.0)), index
        except struct.error:
            raise invalid(f"{when.value} to compare with: expected 64 bits") from None

    def _check_blocks(self, blocks: int) -> None:
        if not isinstance(blocks, int) or not 1 <= blocks <= _abi.MAX_BLOCKS:
            raise invalid(f"blocks={blocks!r}: expected 1 to {_abi.MAX_BLOCKS}")

    def _hole(self, hole: Hole) -> int:
        if self._recording is None:
            raise invalid("a hole outside of a recording")
        if hole.number >= self._recording.scalar_count:
            raise invalid(f"hole({hole.number}): the recording has "
                          f"{self._recording.scalar_count} scalars")
        return hole.number + 1

    def barrier(self, *tensors: Tensor, after: Any = ()) -> Task:
        """A task without kernels: it waits for all who use these tensors so far and all of
        `after`, and whoever uses them later waits for it."""
        return self.submit(None, *(Use(tensor, _abi.INOUT) for tensor in tensors), after=after)

    def wait(self) -> None:
        """Blocks until every task submitted so far is done. Ctrl-C ends the run.

        Raises:
            Error: 200 with the root cause when a task has failed; what has ended the run.
        """
        self._refuse_recording("a wait")
        self._call(self._api.wait)
        self._dirty = False

    def fail(self, message: str, code: int = 9) -> None:
        """Ends the run.

        Args:
            code: 9, or one of the program's own, 1000 to 1039.

        Raises:
            Error: with this code and message, or the run's first error.
        """
        text = message.encode("utf-8", "replace")
        if code == 9:
            return self._call(self._api.fail, text)
        if code not in PROGRAM_CODES:
            raise invalid(f"code {code!r}: expected 9, or {PROGRAM_CODES[0]} to "
                          f"{PROGRAM_CODES[-1]}")
        self._call(self._api.fail_with, code, text)

    def log(self, message: str, level: str = "info") -> None:
        """A line on standard error, after the level: "error", "warning" or "info". "debug" is
        shown only by programs that pto2-orchestrator runs. Also after an error."""
        if level not in _abi.LOG_LEVELS:
            raise invalid(f"level {level!r}: expected one of {', '.join(_abi.LOG_LEVELS)}")
        self._api.log(self._handle(), _abi.LOG_LEVELS[level], message.encode("utf-8", "replace"))

    # ---- scopes

    def scope(self, name: str = "", *, manual: bool = False, on: Optional[int] = None) -> "Scope":
        """``with g.scope():``: outputs of tasks submitted in it live until its end. Scopes nest
        64 deep.

        Args:
            name: for ``pto2 stuck``, ``stat``, ``inspect`` and traces, which count scopes of a
                name together; without one it is that of the scope around it.
            manual: only explicit dependencies (`after`, `retain`) order the tasks in it; a
                scope inside it has its own mode.
            on: of a program on several ranks, the one on which its tasks run, and those of
                scopes in it, unless their bytes or they say something else.
        """
        if not isinstance(name, str) or "\0" in name:
            raise invalid(f"the name of a scope is {name!r}: expected a text without NUL")
        return Scope(self, name, manual, on)

    # ---- recordings

    def record(self, tensors: Iterable[Tensor] = (), scalars: Iterable[Any] = ()) -> "Recording":
        """``with g.record([x], [1.0]) as r:``: the tasks submitted in it run, and are kept as a
        template: ``r.template``, to be given to `replay`.

        Args:
            tensors: those that a replay has others for; no two with an element in common.
            scalars: those that a replay gives anew; `pto2.hole(n)` stands for the n-th in the
                arguments of a task.

        Set ``r.outputs`` to the outputs of recorded tasks that a replay is to return.
        """
        return Recording(self, list(tensors), list(scalars))

    def replay(self, template: "Template", tensors: Iterable[Tensor] = (),
               scalars: Iterable[Any] = ()) -> List[Tensor]:
        """Submits the recorded tasks again, with these tensors and scalars in its holes.

        Returns:
            New outputs, in the order of ``r.outputs``, which live until the scope ends.

        Raises:
            Error: 5 for other numbers, shapes or types than were recorded.
        """
        self._refuse_recording("a replay")
        if not isinstance(template, Template) or template._session is not self._session:
            raise invalid(f"{template!r} is no template of this session")
        if template._freed:
            raise invalid("the template was freed")
        given = list(tensors)
        numbers = list(scalars)
        if [kind_of(t) for t in given] != template.tensors or len(numbers) != template.scalars:
            raise invalid(
                f"replay of {[kind_of(t) for t in given]} and {len(numbers)} scalars: recorded "
                f"were {template.tensors} and {template.scalars}")
        holes = self._hole_record(given, numbers)
        count = len(template.outputs)
        handles = (c.c_uint64 * (12 * max(1, count)))()
        self._dirty = True
        self._call(self._api.replay, template._handle, address_of(holes[0]), c.addressof(handles),
                   None)
        outputs = []
        for number, (shape, strides, kind) in enumerate(template.outputs):
            handle = _abi.Handle(*handles[12 * number:12 * number + 12])
            buffer = Buffer(handle, span_of(shape, strides) * kind.itemsize, self._scopes[-1])
            buffer.used = True
            outputs.append(Tensor(self, buffer, shape, strides, kind, handle))
        return outputs

    def _hole_record(self, tensors: List[Tensor], scalars: List[Any]) \
            -> Tuple[bytearray, Any, Any]:
        for tensor in tensors:
            self._own(tensor).used = True
        handles = bytearray(b"".join(bytes(t._handle) for t in tensors)) or bytearray(8)
        bits = bytearray(b"".join(struct.pack("<Q", scalar_bits(s)) for s in scalars)) or \
            bytearray(8)
        record = bytearray(_abi.HOLES.pack(
            32, len(tensors), address_of(handles), address_of(bits), len(scalars), 0))
        return record, handles, bits

    # ---- the end

    def _keep(self, result: Any) -> None:
        """Tensors that a program returns can be looked at after the run."""
        if isinstance(result, Tensor):
            if result._graph is self:
                result._place()
        elif isinstance(result, Task):
            self._keep(result.outputs)
        elif isinstance(result, dict):
            for value in result.values():
                self._keep(value)
        elif isinstance(result, (list, tuple)):
            for value in result:
                self._keep(value)

    def _end(self, settle: bool) -> None:
        """Nothing can be called any more; arrays get copies."""
        try:
            for scope in reversed(self._scopes):
                self._release(scope, settle)
        finally:
            self._pointer = None
            self._is_over = True
            if self._segment is not None:
                self._segment.close()


def _holes(holes: Dict[int, int], count: int) -> bytearray:
    return bytearray(struct.pack(f"<{count}I", *(holes.get(i, 0) for i in range(count))))


def _place(option: str, number: int) -> int:
    """A rank or a cluster, as pto2_submission has it."""
    try:
        number = operator.index(number)
    except TypeError:
        number = -1
    if not 0 <= number < 1 << 31:
        raise invalid(f"{option}={number!r}: expected a whole number from 0 on")
    return 1 + number


def _name(name: Any) -> bytearray:
    """As the library reads a task's name."""
    if not isinstance(name, str):
        raise invalid(f"name={name!r}: expected a str")
    return bytearray(name.encode("utf-8", "replace") + b"\0")


def _ids(tasks: Any) -> List[int]:
    """The ids of a task, an id, or many."""
    if isinstance(tasks, Task):
        return [tasks.id]
    if hasattr(tasks, "__index__"):
        return [tasks.__index__()]
    try:
        return [t.id if isinstance(t, Task) else t.__index__() for t in tasks]
    except (TypeError, AttributeError):
        raise invalid(f"{tasks!r}: expected tasks or ids of tasks") from None
