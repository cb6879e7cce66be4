"""What a graph has besides tasks: its calls of the library, its tensors, memory of arrays."""
from __future__ import annotations

import ctypes as c
import struct
import threading
import weakref
from typing import TYPE_CHECKING, Any, Optional, Tuple, cast

from . import _abi, _memory, errors
from ._abi import address_of
from .dtypes import DType, FROM_ML_DTYPES, dtype as _dtype, of_format
from .errors import invalid
from .scopes import ScopeMemory
from .shapes import Shape, count_of, row_major, shape_of
from .tensors import Buffer, Tensor

if TYPE_CHECKING:
    from .graph import Graph
    from .recording import Recording
    from .session import Session
    from .uses import Output

_get_thread = threading.get_ident


class GraphMemory:
    """The base of `Graph`."""

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
        self._submission_address = address_of(self._submission)
        self._arguments = bytearray(_abi.ARGUMENT_BYTES * _abi.MAX_TENSORS)
        self._arguments_address = address_of(self._arguments)
        self._scalars = bytearray(8 * _abi.MAX_SCALARS)
        self._scalars_address = address_of(self._scalars)
        self._task = c.c_uint64()
        self._task_address = c.addressof(self._task)
        self._kernels = session._packed
        self._dirty = False
        self._recording: Optional["Recording"] = None
        self._scopes = [ScopeMemory()]
        self._segment: Optional[_memory.Segment] = None

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
        self._api.error_info(self._handle(), address_of(info))
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

    # ---- tensors

    def zeros(self, shape: Shape, dtype: Any = "float32", on: Optional[int] = None) -> Tensor:
        """External memory: zero-filled, in the session's shared memory, until the end of the
        run or `free`. ``numpy.asarray`` of it writes it without a copy.

        Args:
            on: of a program on several ranks, the one on which tasks that write it run unless
                they say something else; by default rank 0.

        Raises:
            Error: 5 for a shape or type that is not valid; 208 when the arena or /dev/shm is
                full.
        """
        self._refuse_recording("an external tensor")
        if on is None:
            return self._new(self._api.external_tensor, shape, dtype, external=True)
        return self._new(self._api.external_tensor_on, shape, dtype, on, external=True)

    def tensor(self, array: Any, dtype: Any = None, on: Optional[int] = None) -> Tensor:
        """External memory with a copy of an array: anything with a buffer, numpy's array
        interface or DLPack, or nested lists with numpy there; converted when `dtype` is given.

        Raises:
            Error: 5 for element types that tensors do not have (float64: say
                ``dtype="float32"``) and more than 5 dimensions; 208 as `zeros`.
        """
        try:
            import numpy
        except ImportError:
            return self._of_buffer(array, dtype, on)
        if not isinstance(array, numpy.ndarray):
            if hasattr(array, "__dlpack__") and not hasattr(array, "__array_interface__"):
                array = numpy.from_dlpack(array)
            else:
                try:
                    array = numpy.asarray(array)
                except (TypeError, ValueError) as error:
                    raise invalid(f"{type(array).__name__} is no array: {error}") from None
        wanted = _dtype(array.dtype if dtype is None else dtype)
        tensor = self.zeros(array.shape, wanted, on)
        if array.size == 0:
            return tensor
        address = self._api.data(self._handle(), tensor._address)
        if dtype is None or array.dtype.name == wanted.name:
            array = numpy.ascontiguousarray(array)
            c.memmove(address, array.ctypes.data, array.nbytes)
        else:
            # Of these without ml_dtypes there is no conversion.
            if wanted in FROM_ML_DTYPES:
                try:
                    import ml_dtypes  # type: ignore[import-not-found]
                except ImportError:
                    raise invalid(f"conversion to {wanted.name} needs ml_dtypes") from None
                array = numpy.ascontiguousarray(array.astype(getattr(ml_dtypes, wanted.name)))
            else:
                array = numpy.ascontiguousarray(array.astype(wanted.name))
            c.memmove(address, array.ctypes.data, array.nbytes)
        return tensor

    def _of_buffer(self, array: Any, dtype: Any, on: Optional[int]) -> Tensor:
        try:
            view = memoryview(array)
        except TypeError:
            raise invalid(f"{type(array).__name__} has no buffer, and there is no numpy") from None
        own = of_format(view.format)
        if dtype is not None and _dtype(dtype).itemsize != own.itemsize:
            raise invalid(f"elements of {own.name} as {_dtype(dtype).name}: conversion needs numpy")
        tensor = self.zeros(view.shape or (), own if dtype is None else dtype, on)
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
            Error: 5 for a value that the type cannot hold, for bfloat16 and 8-bit floats.
        """
        self._refuse_recording("a filled tensor")
        kind = _dtype(dtype)
        cell = (c.c_char * 8).from_buffer_copy(_element(value, kind).ljust(8, b"\0"))
        tensor = self._new(self._api.fill, shape, kind, cell)
        tensor._buffer.readonly = True  # type: ignore[union-attr]
        # One element that is repeated.
        tensor._buffer.nbytes = kind.itemsize  # type: ignore[union-attr]
        tensor.strides = (0,) * len(tensor.shape)
        return tensor

    def _filled(self, output: Output) -> Tensor:
        """Memory for an output with an initial value, before its task is submitted."""
        self._refuse_recording("an output with an initial value")
        element = _element(output.initial, output.dtype)
        tensor = self._new(self._api.allocate, output.shape, output.dtype)
        count = count_of(output.shape)
        if count:
            c.memmove(self._api.data(self._handle(), tensor._address), element * count,
                      len(element) * count)
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
        return Tensor(cast("Graph", self), buffer, extents, row_major(extents), kind, handle)

    def free(self, tensor: Tensor) -> None:
        """Gives an external tensor or a kept output back before the run ends. Waits for nothing,
        but for tasks submitted before when an array of it is alive, which keeps its contents.
        Tasks that were submitted before use the tensor to their end.

        Raises:
            Error: 5 for a tensor that was freed, and for an output that is not kept.
        """
        buffer = self._own(tensor)
        if not buffer.external or buffer.freed:
            raise invalid("free of a tensor that is freed, or neither external nor a kept output")
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

    def wait(self) -> None:
        """See `Graph`."""
        raise NotImplementedError

    # ---- memory of arrays

    def _settle(self) -> None:
        """Waits for all tasks if any may still run."""
        if self._dirty:
            self.wait()

    def _memory(self, tensor: Tensor) -> Tuple[_memory.Memory, int]:
        """What an array of this tensor looks at, and the address of its first element."""
        if self._is_over:
            raise invalid(f"the run of this graph is over: look at {tensor!r} before, with "
                          "numpy.asarray, or return it from the program")
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


def _element(value: Any, kind: DType) -> bytes:
    """A number as an element."""
    if kind in FROM_ML_DTYPES:
        raise invalid(f"{value!r} as {kind.name}: use a tensor")
    try:
        return struct.pack("<" + kind.format, value)
    except (struct.error, OverflowError, TypeError) as error:
        raise invalid(f"{value!r} as {kind.name}: {error}") from None
