"""The graph of a run: what a program submits."""
from __future__ import annotations

import ctypes as c
import struct
import threading
import weakref
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, \
    Union

from . import _abi, _memory, errors
from .dtypes import DType, dtype as _dtype, of_format
from .errors import Error, invalid
from .tensors import Buffer, Condition, Hole, Output, Shape, Tensor, Use, count_of, row_major, \
    scalar_bits, shape_of

if TYPE_CHECKING:
    from .session import Session

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


class ScopeMemory:
    """What arrays look at that lives in one scope."""

    __slots__ = ("memories", "is_open")

    def __init__(self) -> None:
        #: weak references
        self.memories: List[Any] = []
        self.is_open = True


class Graph:
    """The tasks of one run; `Session.run` makes it. Use it on the thread of that call.

    Tasks start as soon as what they need is there. Their order follows from the tensors they
    use: a task waits for the last writers of what it reads, and for the last writers and
    readers of what it writes, views included. After an error that ended the run every call
    raises it again.
    """

    def __init__(self, session: "Session", api: Any, pointer: int) -> None:
        self._session = session
        self._api = api
        self._pointer: Optional[int] = pointer
        self._is_over = False
        self._thread = _get_thread()
        self._scratch = c.create_string_buffer(64)
        self._scratch_address = c.addressof(self._scratch)
        # One submission, its arguments, scalars, holes: written anew for each.
        self._submission = bytearray(_abi.SUBMISSION.size)
        self._submission_address = _address(self._submission)
        self._arguments = bytearray(_abi.ARGUMENT_BYTES * _abi.MAX_TENSORS)
        self._arguments_address = _address(self._arguments)
        self._scalars = bytearray(8 * _abi.MAX_SCALARS)
        self._scalars_address = _address(self._scalars)
        self._task = c.c_uint64()
        self._task_address = c.addressof(self._task)
        self._kernels = session._packed
        self._dirty = False
        self._recording: Optional["Recording"] = None
        self._scopes = [ScopeMemory()]
        self._segment: Optional[_memory.Segment] = None

    def __repr__(self) -> str:
        return f"<pto2.Graph {'over' if self._is_over else 'open'}>"

    # ---- calls

    def _handle(self) -> int:
        pointer = self._pointer
        if pointer is None:
            raise invalid("the run of this graph is over" if self._is_over else
                          "a call of this graph has not returned: a signal handler may make none")
        if self._thread != _get_thread():
            raise invalid("a graph belongs to the thread of Session.run")
        return pointer

    def _call(self, function: Any, *arguments: Any) -> None:
        # None meanwhile: while it waits, signal handlers run, which may not call.
        pointer = self._handle()
        self._pointer = None
        try:
            code = function(pointer, *arguments)
        finally:
            self._pointer = pointer
        if code:
            self._raise()

    def _check(self) -> None:
        """Raises the run's error, if there is one."""
        info = self._error_info()
        if struct.unpack_from("<I", info, 4)[0]:
            raise errors.of_info(info)

    def _error_info(self) -> bytearray:
        info = bytearray(_abi.ERROR_INFO.size)
        struct.pack_into("<I", info, 0, len(info))
        self._api.error_info(self._handle(), _address(info))
        return info

    def _raise(self, submitted: Optional[int] = None) -> None:
        """The run's error; what a signal raised while the library waited goes first."""
        pending = self._session._pending
        if pending is not None:
            self._session._pending = None
            raise pending
        error = errors.of_info(self._error_info())
        error.submitted = submitted
        raise error

    def _refuse_recording(self, what: str) -> None:
        if self._recording is not None:
            raise invalid(f"{what} in a recording: only tasks can be recorded")

    # ---- the machine

    @property
    def machine(self) -> Machine:
        """Clusters, cores, lanes, rings and scheduler threads of the session."""
        info = bytearray(_abi.MACHINE.size)
        struct.pack_into("<I", info, 0, len(info))
        self._call(self._api.machine, _address(info))
        return Machine(*_abi.MACHINE.unpack(info)[1:])

    # ---- tensors

    def zeros(self, shape: Shape, dtype: Any = "float32") -> Tensor:
        """External memory: zero-filled, in the session's shared memory, until the end of the
        run or `free`. ``numpy.asarray`` of it writes it without a copy.

        Raises:
            Error: 5 for a shape or type that is not valid; 208 when the arena or /dev/shm is
                full.
        """
        self._refuse_recording("an external tensor")
        return self._new(self._api.external_tensor, shape, dtype, external=True)

    def tensor(self, array: Any, dtype: Any = None) -> Tensor:
        """External memory with a copy of an array: anything with a buffer, numpy's array
        interface or DLPack, or nested lists with numpy there; converted when `dtype` is given.

        Raises:
            Error: 5 for element types that tensors do not have (float64: say
                ``dtype="float32"``) and more than 5 dimensions; 208 as `zeros`.
        """
        try:
            import numpy
        except ImportError:
            return self._of_buffer(array, dtype)
        if not isinstance(array, numpy.ndarray):
            if hasattr(array, "__dlpack__") and not hasattr(array, "__array_interface__"):
                array = numpy.from_dlpack(array)
            else:
                try:
                    array = numpy.asarray(array)
                except (TypeError, ValueError) as error:
                    raise invalid(f"{type(array).__name__} is no array: {error}") from None
        wanted = _dtype(array.dtype if dtype is None else dtype)
        tensor = self.zeros(array.shape, wanted)
        if array.size == 0:
            return tensor
        address = self._api.data(self._handle(), tensor._address)
        if dtype is None or array.dtype.name == wanted.name:
            array = numpy.ascontiguousarray(array)
            c.memmove(address, array.ctypes.data, array.nbytes)
        else:
            # Of bfloat16 without ml_dtypes there is no conversion.
            if wanted.name == "bfloat16":
                try:
                    import ml_dtypes  # type: ignore[import-not-found]
                except ImportError:
                    raise invalid("conversion to bfloat16 needs ml_dtypes") from None
                array = numpy.ascontiguousarray(array.astype(ml_dtypes.bfloat16))
            else:
                array = numpy.ascontiguousarray(array.astype(wanted.name))
            c.memmove(address, array.ctypes.data, array.nbytes)
        return tensor

    def _of_buffer(self, array: Any, dtype: Any) -> Tensor:
        try:
            view = memoryview(array)
        except TypeError:
            raise invalid(f"{type(array).__name__} has no buffer, and there is no numpy") from None
        own = of_format(view.format)
        if dtype is not None and _dtype(dtype).itemsize != own.itemsize:
            raise invalid(f"elements of {own.name} as {_dtype(dtype).name}: conversion needs numpy")
        tensor = self.zeros(view.shape, own if dtype is None else dtype)
        data = view.tobytes()
        if data:
            c.memmove(self._api.data(self._handle(), tensor._address), data, len(data))
        return tensor

    def empty(self, shape: Shape, dtype: Any = "float32") -> Tensor:
        """Memory from the heap ring, until the scope ends; not cleared.

        Raises:
            Error: 5 as `zeros`; 1 to 3 when the ring is full of what open scopes hold.
        """
        self._refuse_recording("an allocation")
        return self._new(self._api.allocate, shape, dtype)

    def full(self, shape: Shape, value: Any, dtype: Any = "float32") -> Tensor:
        """A tensor whose every element is `value`, for reading only, until the scope ends.

        Raises:
            Error: 5 for a value that the type cannot hold, or bfloat16.
        """
        self._refuse_recording("a filled tensor")
        kind = _dtype(dtype)
        if kind.name == "bfloat16":
            raise invalid("full() of bfloat16: use a tensor")
        cell = (c.c_char * 8)()
        try:
            struct.pack_into("<" + kind.format, cell, 0, value)
        except (struct.error, OverflowError, TypeError) as error:
            raise invalid(f"{value!r} as {kind.name}: {error}") from None
        tensor = self._new(self._api.fill, shape, kind, cell)
        tensor._buffer.readonly = True  # type: ignore[union-attr]
        # One element that is repeated.
        tensor._buffer.nbytes = kind.itemsize  # type: ignore[union-attr]
        tensor.strides = (0,) * len(tensor.shape)
        return tensor

    def _new(self, call: Any, shape: Shape, dtype: Any, *rest: Any, external: bool = False) \
            -> Tensor:
        extents, kind = shape_of(shape), _dtype(dtype)
        handle = _abi.Handle()
        struct.pack_into("<5I", self._scratch, 0, *extents, *(0,) * (5 - len(extents)))
        self._call(call, kind.code, len(extents), self._scratch_address, *rest,
                   c.addressof(handle))
        buffer = Buffer(handle, count_of(extents) * kind.itemsize,
                        self._scopes[0 if external else -1], external)
        return Tensor(self, buffer, extents, row_major(extents), kind, handle)

    def free(self, tensor: Tensor) -> None:
        """Gives an external tensor back before the run ends. Waits for nothing, but for tasks
        submitted before when an array of it is alive, which keeps its contents. Tasks that
        were submitted before use the tensor to their end.

        Raises:
            Error: 5 for a tensor that was freed, or is no external one.
        """
        buffer = self._own(tensor)
        if not buffer.external or buffer.freed:
            raise invalid("free of a tensor that is freed, or not external")
        self._refuse_recording("free")
        memory = buffer.memory and buffer.memory()
        if memory is not None:
            self._settle()
            memory.detach()
        self._call(self._api.free_tensor, tensor._address)
        buffer.freed = True

    def _own(self, tensor: Tensor) -> Buffer:
        if not isinstance(tensor, Tensor):
            raise invalid(f"{tensor!r}: expected a tensor")
        if tensor._graph is not self:
            raise invalid(f"{tensor!r} belongs to another run")
        return tensor._buffer  # type: ignore[return-value]

    # ---- memory of arrays

    def _settle(self) -> None:
        """Waits for all tasks if any may still run."""
        if self._dirty:
            self.wait()

    def _memory(self, tensor: Tensor) -> Tuple[_memory.Memory, int]:
        """What an array of this tensor looks at, and the address of its first element."""
        if self._is_over:
            raise invalid(f"the run of this graph is over: look at {tensor!r} before, with numpy.asarray, or return "
                          "it from the program")
        buffer = self._own(tensor)
        if buffer.freed:
            raise invalid(f"{tensor!r} was freed")
        if not buffer.scope.is_open:
            raise invalid(f"{tensor!r} has no memory: its scope has ended")
        self._refuse_recording("an array of a tensor")
        if buffer.used:
            self._settle()
        pointer = self._handle()
        base = self._api.data(pointer, buffer.handle)
        first = self._api.data(pointer, tensor._address)
        if not base or not first:
            # The library says why, unless the scope has ended.
            self._check()
            raise invalid(f"{tensor!r} has no memory")
        memory = buffer.memory and buffer.memory()
        if memory is None:
            if self._segment is None:
                self._segment = _memory.Segment(base)
            memory = self._segment.memory(base, buffer.nbytes)
            buffer.memory = weakref.ref(memory)
            buffer.scope.memories.append(buffer.memory)
        return memory, memory.address + first - base

    def _release(self, scope: ScopeMemory, settle: bool = True) -> None:
        """Gives up the memory of that scope: arrays that live on get copies."""
        try:
            if settle and any(memory() is not None for memory in scope.memories):
                self._settle()
        finally:
            scope.is_open = False
            for reference in scope.memories:
                memory = reference()
                if memory is not None:
                    memory.detach()

    # ---- tasks

    def submit(self, kernel: KernelName, *arguments: Any, after: Any = _NOTHING, retain: Any = _NOTHING,
               when: Optional[Condition] = None, blocks: int = 1, sync_start: bool = False,
               recovery: str = "automatic") -> Task:
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
        holes: Optional[Dict[int, int]] = None
        for argument in arguments:
            kind = type(argument)
            if kind is Tensor:
                if argument._graph is not self:
                    self._own(argument)
                records.append(argument._record(0))
            elif kind is Use:
                tensor = argument.tensor
                if type(tensor) is not Tensor or tensor._graph is not self:
                    self._own(tensor)
                records.append(tensor._record(argument.access))
            elif kind is Output:
                handle = _abi.Handle()
                output = Tensor(self, None, argument.shape, argument.strides, argument.dtype,
                                handle)
                outputs.append(output)
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
        if blocks != 1 or sync_start:
            self._check_blocks(blocks)
        try:
            _abi.SUBMISSION.pack_into(
                self._submission, 0, 120, _abi.RECOVERIES[recovery], kernels,
                self._arguments_address, self._scalars_address,
                _address(dependencies) if dependencies else 0,
                _address(predicate[0]) if predicate else 0,
                count, len(scalars), dependency_count, blocks, 1 if sync_start else 0, 0,
                _address(hole_list) if hole_list else 0)
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
        for output in outputs:
            buffer = Buffer(output._handle, count_of(output.shape) * output.dtype.itemsize,
                            self._scopes[-1])
            buffer.used = True
            output._buffer = buffer
        task = Task(self._task.value, outputs)
        if self._recording is not None:
            self._recording.count += 1
        return task

    def submit_many(self, kernel: Any, *columns: Any, count: Optional[int] = None,
                    after: Any = None, retain: Any = None, blocks: int = 1,
                    sync_start: bool = False, recovery: str = "automatic") -> Any:
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

        Returns:
            `Tasks`: ``ids``, an array of uint64, and ``outputs``, a `Tensors` for each `out`.

        Raises:
            Error: 5 for columns of different lengths, and as `submit`; `Error.submitted` says
                how many tasks went in.
        """
        from .batch import Batch
        batch = kernel if isinstance(kernel, Batch) else Batch(
            self, kernel, columns, count=count, after=after, retain=retain, blocks=blocks,
            sync_start=sync_start, recovery=recovery)
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
            places[1 if self._session._core_type(kernel) == _abi.AIV else 0] = kernel
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
                if self._session._core_type(name) != wanted:
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
                40, when.comparison, when.tensor._address, _address(index),
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

    def fail(self, message: str) -> None:
        """Ends the run.

        Raises:
            Error: 9 with this message, or the run's first error.
        """
        self._call(self._api.fail, message.encode("utf-8", "replace"))

    # ---- scopes

    def scope(self, manual: bool = False) -> "Scope":
        """``with g.scope():``: outputs of tasks submitted in it live until its end. Scopes nest
        64 deep.

        Args:
            manual: only explicit dependencies (`after`, `retain`) order the tasks in it; a
                scope inside it has its own mode.
        """
        return Scope(self, manual)

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
        if [_kind(t) for t in given] != template.tensors or len(numbers) != template.scalars:
            raise invalid(
                f"replay of {[_kind(t) for t in given]} and {len(numbers)} scalars: recorded were "
                f"{template.tensors} and {template.scalars}")
        holes = self._hole_record(given, numbers)
        count = len(template.outputs)
        handles = (c.c_uint64 * (12 * max(1, count)))()
        self._dirty = True
        self._call(self._api.replay, template._handle, _address(holes[0]), c.addressof(handles),
                   None)
        outputs = []
        for number, (shape, strides, kind) in enumerate(template.outputs):
            handle = _abi.Handle(*handles[12 * number:12 * number + 12])
            buffer = Buffer(handle, _span(shape, strides) * kind.itemsize, self._scopes[-1])
            buffer.used = True
            outputs.append(Tensor(self, buffer, shape, strides, kind, handle))
        return outputs

    def _hole_record(self, tensors: List[Tensor], scalars: List[Any]) -> Tuple[bytearray, Any, Any]:
        for tensor in tensors:
            self._own(tensor).used = True
        handles = bytearray(b"".join(bytes(t._handle) for t in tensors)) or bytearray(8)
        bits = bytearray(b"".join(struct.pack("<Q", scalar_bits(s)) for s in scalars)) or \
            bytearray(8)
        return bytearray(_abi.HOLES.pack(
            32, len(tensors), _address(handles), _address(bits), len(scalars), 0)), handles, bits

    # ---- the end

    def _keep(self, result: Any) -> None:
        """Tensors that a program returns can be looked at after the run."""
        if isinstance(result, Tensor):
            if result._graph is self:
                result._place()
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


class Scope:
    """A scope of a graph; see `Graph.scope`."""

    def __init__(self, graph: Graph, manual: bool) -> None:
        self._graph = graph
        self._manual = manual

    def __enter__(self) -> Graph:
        graph = self._graph
        graph._refuse_recording("a scope")
        graph._call(graph._api.scope_begin_manual if self._manual else graph._api.scope_begin)
        graph._scopes.append(ScopeMemory())
        return graph

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        graph = self._graph
        try:
            graph._release(graph._scopes[-1], settle=kind is None)
        finally:
            graph._scopes.pop()
            if not graph._is_over:
                code = graph._api.scope_end(graph._handle())
                if code and kind is None:
                    graph._raise()


class Template:
    """Recorded tasks, good for every run of its session; see `Graph.record`."""

    def __init__(self, session: "Session", handle: int, tensors: list, scalars: int,
                 outputs: list) -> None:
        self._session = session
        self._handle = handle
        self._freed = False
        self.tensors = tensors
        self.scalars = scalars
        self.outputs = outputs

    def free(self, graph: Graph) -> None:
        """Forgets the tasks; what was submitted of them runs."""
        if not self._freed:
            graph._call(graph._api.template_free, self._handle)
            self._freed = True


class Recording:
    """A recording that lasts; see `Graph.record`."""

    def __init__(self, graph: Graph, tensors: List[Tensor], scalars: List[Any]) -> None:
        self._graph = graph
        self._tensors = tensors
        self._scalars = scalars
        self.scalar_count = len(scalars)
        self.count = 0
        self.outputs: Sequence[Tensor] = ()
        self.template: Optional[Template] = None

    def __enter__(self) -> "Recording":
        graph = self._graph
        graph._refuse_recording("another recording")
        holes = graph._hole_record(self._tensors, self._scalars)
        graph._call(graph._api.record_begin, _address(holes[0]))
        graph._recording = self
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        graph = self._graph
        graph._recording = None
        outputs = () if kind is not None else self.outputs
        if isinstance(outputs, Tensor):
            outputs = [outputs]
        handles = bytearray(b"".join(bytes(t._handle) for t in outputs)) or bytearray(8)
        handle = c.c_uint64()
        if graph._is_over:
            return
        code = graph._api.record_end(
            graph._handle(), _address(handles), len(outputs), c.addressof(handle))
        if kind is not None:
            return
        if code:
            graph._raise()
        self.template = Template(
            graph._session, handle.value, [_kind(t) for t in self._tensors], self.scalar_count,
            [(t.shape, t.strides, t.dtype) for t in outputs])


def _kind(tensor: Tensor) -> Tuple[Tuple[int, ...], str, Tuple[int, ...]]:
    strides = tuple(s if e > 1 else 0 for s, e in zip(tensor.strides, tensor.shape))
    return tensor.shape, tensor.dtype.name, strides


def _span(shape: Sequence[int], strides: Sequence[int]) -> int:
    if 0 in shape:
        return 0
    return 1 + sum((extent - 1) * stride for extent, stride in zip(shape, strides))


def _address(buffer: bytearray) -> int:
    """Of memory that is neither resized nor let go while it is used."""
    return c.addressof(c.c_char.from_buffer(buffer))


def _holes(holes: Dict[int, int], count: int) -> bytearray:
    return bytearray(struct.pack(f"<{count}I", *(holes.get(i, 0) for i in range(count))))


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
