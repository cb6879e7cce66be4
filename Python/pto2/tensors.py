"""Tensors, views of them, and how a task uses them."""
from __future__ import annotations

import ctypes as c
import struct
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple, Union

from . import _abi, _dlpack
from ._memory import Memory
from .dtypes import DType, bfloat16, dtype as _dtype
from .errors import invalid

if TYPE_CHECKING:
    from .graph import Graph

_words = struct.Struct("<5I")
Shape = Union[int, Sequence[int]]


def shape_of(shape: Shape) -> Tuple[int, ...]:
    """A valid shape: at most 5 extents, none negative, fewer than 2**32 elements."""
    try:
        extents = (int(shape),) if hasattr(shape, "__index__") else tuple(int(e) for e in shape)
    except (TypeError, ValueError):
        raise invalid(f"shape {shape!r}: expected a number or a sequence of numbers") from None
    count = 1
    for extent in extents:
        if extent < 0:
            raise invalid(f"shape {extents}: an extent is negative")
        count *= extent
    if len(extents) > _abi.MAX_RANK or count >= 1 << 32 or any(e >= 1 << 32 for e in extents):
        raise invalid(f"shape {extents}: expected 0 to {_abi.MAX_RANK} extents and fewer than "
                      "2**32 elements")
    return extents


def count_of(shape: Sequence[int]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def row_major(shape: Sequence[int]) -> Tuple[int, ...]:
    strides = [0] * len(shape)
    step = 1
    for d in range(len(shape) - 1, -1, -1):
        strides[d] = step
        step *= max(1, shape[d])
    return tuple(strides)


class Buffer:
    """Memory of one tensor, which its views share."""

    __slots__ = ("handle", "nbytes", "scope", "external", "used", "readonly", "memory", "freed")

    def __init__(self, handle: Any, nbytes: int, scope: Any, external: bool = False) -> None:
        #: of the whole tensor
        self.handle = handle
        self.nbytes = nbytes
        #: that it lives in, a `graph.ScopeMemory`
        self.scope = scope
        self.external = external
        #: whether a task may have been given it
        self.used = False
        self.readonly = False
        #: weak reference to what arrays look at
        self.memory: Any = None
        self.freed = False


class Tensor:
    """Memory that tasks read and write, or a view of some of it. Belongs to one run.

    Made by `Graph.tensor`, `Graph.zeros`, `Graph.empty`, `Graph.full` and by tasks
    (`Task.outputs`).

    Attributes:
        shape: extents, at most 5.
        strides: distance of neighbours in each dimension, in elements.
        dtype: element type, a `pto2.DType`.

    ``a[0:64, ::2]`` is a view, as in numpy, with positive steps; an index keeps no
    dimension, where the view has no gaps. Views cost about 2 us each and copy nothing.

    ``numpy.asarray(a)`` is an array over the same memory, without a copy; tasks submitted
    before are waited for. Array and kernels see each other's stores, so after a submit call
    `Graph.wait` before you touch the array again. The array stays valid for ever: when the
    run, the scope of an output, or the tensor ends, it keeps the contents of that moment.
    bfloat16 appears as uint16; `numpy()` has ml_dtypes' type where that is installed.
    """

    __slots__ = ("shape", "strides", "dtype", "_graph", "_buffer", "_handle", "_address",
                 "_records", "_memory", "_data", "__weakref__")

    def __init__(self, graph: "Graph", buffer: Optional[Buffer], shape: Tuple[int, ...],
                 strides: Tuple[int, ...], dtype: DType, handle: Any) -> None:
        self.shape = shape
        self.strides = strides
        self.dtype = dtype
        self._graph = graph
        self._buffer = buffer
        self._handle = handle
        self._address = c.addressof(handle)
        self._records: Optional[List[Optional[bytes]]] = None
        self._memory: Optional[Memory] = None
        self._data = 0

    # ---- what it is

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Elements."""
        return count_of(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return self.size * self.dtype.itemsize

    @property
    def contiguous(self) -> bool:
        """Whether its elements lie one after another, in row-major order."""
        expected = 1
        if 0 in self.shape:
            return True
        for extent, stride in zip(reversed(self.shape), reversed(self.strides)):
            if extent > 1:
                if stride != expected:
                    return False
                expected *= extent
        return True

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor of rank 0")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<pto2.Tensor {list(self.shape)} {self.dtype.name}>"

    # ---- views

    def __getitem__(self, key: Any) -> "Tensor":
        """A view, as numpy's basic indexing.

        Raises:
            Error: 5 for an index beyond the tensor, a step below 1, or a single index into a
                view with gaps, which cannot lose its dimension (say ``a[:, 3:4]``).
        """
        keys = key if type(key) is tuple else (key,)
        shape = self.shape
        rank = len(shape)
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            missing = rank - len(keys) + 1
            if missing < 0 or Ellipsis in keys[at + 1:]:
                raise invalid(f"index {key!r}: the tensor has {rank} dimensions")
            keys = keys[:at] + (slice(None),) * missing + keys[at + 1:]
        if len(keys) > rank:
            raise invalid(f"index {key!r}: the tensor has {rank} dimensions")
        offsets, extents, steps, kept = [], [], [], []
        stepped = False
        for extent, k in zip(shape, keys):
            if type(k) is slice:
                try:
                    begin, end, step = k.indices(extent)
                except TypeError:
                    raise invalid(f"index {key!r}: expected whole numbers") from None
                if step < 1:
                    raise invalid(f"index {key!r}: expected a step of at least 1")
                count = max(0, (end - begin + step - 1) // step)
                kept.append(count)
                if step > 1:
                    stepped = True
            else:
                try:
                    begin = k.__index__()
                except AttributeError:
                    raise invalid(f"index {key!r}: expected numbers and slices") from None
                if not -extent <= begin < extent:
                    raise invalid(f"index {begin}: the extent is {extent}")
                begin, step, count = begin % extent, 1, 1
            offsets.append(begin)
            steps.append(step)
            extents.append(count)
        rest = shape[len(keys):]
        offsets.extend((0,) * len(rest))
        extents.extend(rest)
        steps.extend((1,) * len(rest))
        kept.extend(rest)
        strides = tuple(
            stride * step if extent > 1 else stride
            for stride, step, extent in zip(self.strides, steps, extents))
        view = self._view(tuple(extents), strides)
        graph = self._graph
        if rank == 0:
            return self
        # Scratch memory of the graph: three lists of five numbers.
        scratch, at = graph._scratch, graph._scratch_address
        pad = (0,) * (5 - rank)
        _words.pack_into(scratch, 0, *offsets, *pad)
        _words.pack_into(scratch, 20, *extents, *pad)
        if stepped:
            _words.pack_into(scratch, 40, *steps, *pad)
            graph._call(graph._api.slice_steps, self._address, at, at + 20, at + 40, view._address)
        else:
            graph._call(graph._api.slice, self._address, at, at + 20, view._address)
        if len(kept) < rank:
            if not view.contiguous:
                # The numbers first: that piece may be whole.
                first = self._numbers_first(keys)
                if first is not None:
                    return first
                raise invalid(
                    f"index {key!r} of a tensor {list(shape)}: the view has gaps and cannot lose "
                    "a dimension; keep it, with slices such as 3:4")
            return view.reshape(kept)
        return view

    def __iter__(self) -> Any:
        for index in range(len(self)):
            yield self[index]

    def _numbers_first(self, keys: Tuple[Any, ...]) -> Optional["Tensor"]:
        """The view in two steps, or None when that does not go either."""
        numbers = 0
        while numbers < len(keys) and type(keys[numbers]) is not slice:
            numbers += 1
        rest = keys[numbers:]
        if numbers == 0 or not rest or not all(type(k) is slice for k in rest):
            return None
        piece = self[keys[:numbers]]
        return piece[rest]

    def _view(self, shape: Tuple[int, ...], strides: Tuple[int, ...]) -> "Tensor":
        return Tensor(self._graph, self._buffer, shape, strides, self.dtype, _abi.Handle())

    def reshape(self, *shape: Any) -> "Tensor":
        """The same elements in another shape; one extent may be -1.

        Raises:
            Error: 5 when the counts differ, or the view has gaps.
        """
        wanted = list(shape[0] if len(shape) == 1 and hasattr(shape[0], "__iter__") else shape)
        if wanted.count(-1) == 1:
            rest = count_of([e for e in wanted if e != -1])
            wanted[wanted.index(-1)] = self.size // rest if rest else 0
        extents = shape_of(wanted)
        if count_of(extents) != self.size:
            raise invalid(f"reshape of {list(self.shape)} to {wanted}: the numbers of elements "
                          "differ")
        if not self.contiguous:
            raise invalid(f"reshape of a view of {list(self.shape)}: it has gaps")
        view = self._view(extents, row_major(extents))
        graph = self._graph
        _words.pack_into(graph._scratch, 0, *extents, *(0,) * (5 - len(extents)))
        graph._call(graph._api.reshape, self._address, len(extents), graph._scratch_address,
                    view._address)
        return view

    def transpose(self, first: int = 0, second: int = 1) -> "Tensor":
        """Two dimensions swapped.

        Raises:
            Error: 5 for a dimension that the tensor does not have.
        """
        rank = len(self.shape)
        if not (-rank <= first < rank and -rank <= second < rank):
            raise invalid(f"transpose of dimensions {first} and {second} of {list(self.shape)}")
        first, second = first % rank, second % rank
        shape, strides = list(self.shape), list(self.strides)
        shape[first], shape[second] = shape[second], shape[first]
        strides[first], strides[second] = strides[second], strides[first]
        view = self._view(tuple(shape), tuple(strides))
        self._graph._call(self._graph._api.transpose, self._address, first, second, view._address)
        return view

    @property
    def T(self) -> "Tensor":
        """The transpose of a matrix."""
        return self.transpose(-2, -1)

    def broadcast(self, *shape: Any) -> "Tensor":
        """Dimensions of extent 1 repeated, outer ones added; for reading only.

        Raises:
            Error: 5 when an extent other than 1 differs.
        """
        extents = shape_of(shape[0] if len(shape) == 1 else shape)
        added = len(extents) - len(self.shape)
        strides = [0] * len(extents)
        for d in range(len(extents)):
            own = self.shape[d - added] if d >= added else 1
            if added < 0 or (own != extents[d] and own != 1):
                raise invalid(f"broadcast of {list(self.shape)} to {list(extents)}")
            if d >= added and not (own == 1 and extents[d] > 1):
                strides[d] = self.strides[d - added]
        view = self._view(extents, tuple(strides))
        graph = self._graph
        _words.pack_into(graph._scratch, 0, *extents, *(0,) * (5 - len(extents)))
        graph._call(graph._api.broadcast, self._address, len(extents), graph._scratch_address,
                    view._address)
        return view

    def tiles(self, *shape: int) -> "Any":
        """All tiles of that shape, as `Tensors` with one index for each dimension.

        Raises:
            Error: 5 when the tiles do not fill the tensor.
        """
        from .batch import tiles
        return tiles(self, shape_of(shape[0] if len(shape) == 1 else shape))

    # ---- elements

    def get(self, *index: int, timeout: float = 60.0) -> Union[int, float]:
        """One element, after waiting for the tasks that write it, at most `timeout` seconds.
        Of bfloat16 the bits.

        Raises:
            Error: 8, which ends the run, when it is not ready in time.
        """
        cell = (c.c_char * 8)()
        self._element(self._graph._api.get, index, timeout, cell)
        return struct.unpack_from("<" + self.dtype.format, cell)[0]

    def set(self, *index_and_value: Any, timeout: float = 60.0) -> None:
        """Sets one element: ``t.set(i, j, value)``; waits for the tasks that read or write it,
        at most `timeout` seconds. Errors as in `get`."""
        *index, value = index_and_value
        cell = (c.c_char * 8)()
        try:
            struct.pack_into("<" + self.dtype.format, cell, 0, value)
        except (struct.error, OverflowError) as error:
            raise invalid(f"{value!r} as {self.dtype.name}: {error}") from None
        self._element(self._graph._api.set, index, timeout, cell)

    def _element(self, call: Any, index: Sequence[int], timeout: float, cell: Any) -> None:
        graph = self._graph
        graph._refuse_recording("a look at an element")
        self._index(index)
        _words.pack_into(graph._scratch, 0, *index, *(0,) * (5 - len(index)))
        limit = min(_abi.FOREVER, int(max(0.0, timeout) * 1e9)) if timeout < 1e10 \
            else _abi.FOREVER
        graph._call(call, self._address, graph._scratch_address, limit, cell)

    def _index(self, index: Sequence[int]) -> None:
        if len(index) != len(self.shape) or not all(
                0 <= i < extent for i, extent in zip(index, self.shape)):
            raise invalid(f"index {tuple(index)} of a tensor {list(self.shape)}")

    # ---- arrays

    def _place(self) -> int:
        """Address of the first element for arrays, which stays valid as long as `_memory`."""
        if self._memory is None:
            self._memory, self._data = self._graph._memory(self)
        return self._data

    @property
    def __array_interface__(self) -> dict:
        size = self.dtype.itemsize
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.typestr,
            "data": (self._place(), self._is_readonly),
            "strides": None if self.contiguous else tuple(s * size for s in self.strides),
        }

    @property
    def _is_readonly(self) -> bool:
        return self._buffer.readonly or any(  # type: ignore[union-attr]
            s == 0 and e > 1 for s, e in zip(self.strides, self.shape))

    def numpy(self) -> Any:
        """`numpy.asarray` of it; of bfloat16 as ml_dtypes.bfloat16 where that is installed."""
        from ._numpy import numpy
        array = numpy().asarray(self)
        if self.dtype is bfloat16:
            try:
                import ml_dtypes  # type: ignore[import-not-found]
                array = array.view(ml_dtypes.bfloat16)
            except ImportError:
                pass
        return array

    def memoryview(self) -> memoryview:
        """The elements as a memoryview, for programs without numpy; same rules as for arrays.

        Raises:
            Error: 5 for a view with gaps, and for float16 before Python 3.12.
        """
        if not self.contiguous:
            raise invalid(f"a view of {list(self.shape)} has gaps: memoryview needs one piece")
        block = _block((c.c_char * self.nbytes), self._place(), self)
        view = memoryview(block).cast("B")
        if self.dtype.format not in "eB":
            view = view.cast(self.dtype.format, self.shape) if self.size and self.shape else \
                view.cast(self.dtype.format)
        elif self.dtype.format == "B" and len(self.shape) > 1 and self.size:
            view = view.cast("B", self.shape)
        elif self.dtype.format == "e":
            raise invalid("memoryview of float16: use numpy")
        return view.toreadonly() if self._is_readonly else view

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None,
                   copy: Optional[bool] = None) -> Any:
        """A DLPack capsule over the same memory; same rules as for arrays.

        Raises:
            BufferError: for what may only be read, another device, or a copy that is asked for.
        """
        if copy or (dl_device is not None and tuple(dl_device) != (1, 0)):
            raise BufferError("only the memory itself, on the CPU, can be exported")
        if self._is_readonly:
            raise BufferError("a tensor for reading only cannot be exported")
        return _dlpack.capsule(self, self._place(), self.shape, self.strides, self.dtype)

    def __dlpack_device__(self) -> Tuple[int, int]:
        return (1, 0)

    # ---- use by tasks

    def _record(self, access: int) -> bytes:
        records = self._records
        if records is None:
            records = self._records = [None] * 5
            self._buffer.used = True  # type: ignore[union-attr]
        record = records[access]
        if record is None:
            record = records[access] = _abi.ARGUMENT_HEAD.pack(
                _abi.ARGUMENT_BYTES, access, 0, 0, 0, 0, 0, 0, 0, 0
            ) + _abi.ADDRESS.pack(self._address)
        return record


def _block(kind: Any, address: int, owner: Any) -> Any:
    """A ctypes object over memory; it keeps `owner` alive."""
    holder = type("Block", (kind,), {}).from_address(address)
    holder.owner = owner
    return holder


class Use:
    """How a task uses a tensor; made by `inout`, `overwrite` and `unordered`."""

    __slots__ = ("tensor", "access")

    def __init__(self, tensor: Any, access: int) -> None:
        self.tensor = tensor
        self.access = access

    def __repr__(self) -> str:
        return f"<{('input', 'output', 'inout', 'overwrite', 'unordered')[self.access]} " \
               f"of {self.tensor!r}>"


class Output:
    """A tensor that a task is to put out; made by `out`."""

    __slots__ = ("shape", "strides", "dtype", "head")

    def __init__(self, shape: Shape, dtype: Any) -> None:
        self.shape = shape_of(shape)
        self.strides = row_major(self.shape)
        self.dtype = _dtype(dtype)
        padded = self.shape + (0,) * (5 - len(self.shape))
        self.head = _abi.ARGUMENT_HEAD.pack(
            _abi.ARGUMENT_BYTES, _abi.OUTPUT, self.dtype.code, len(self.shape), *padded, 0)


class Hole:
    """A scalar that a replay gives anew; made by `hole`."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        if not isinstance(number, int) or number < 0:
            raise invalid(f"hole {number!r}: expected a number from 0 on")
        self.number = number


class Condition:
    """When a task is to run; made by `when`."""

    __slots__ = ("tensor", "index", "comparison", "value")

    def __init__(self, tensor: Tensor, index: Tuple[int, ...], comparison: int, value: Any):
        self.tensor = tensor
        self.index = index
        self.comparison = comparison
        self.value = value


def inout(tensor: Any) -> Use:
    """The task reads and writes the tensor in place."""
    return Use(tensor, _abi.INOUT)


def overwrite(tensor: Any) -> Use:
    """The task writes all of the tensor in place and reads nothing of it."""
    return Use(tensor, _abi.OUTPUT_EXISTING)


def unordered(tensor: Any) -> Use:
    """The kernel gets the tensor, and nobody waits for anybody because of it."""
    return Use(tensor, _abi.NO_DEP)


def out(shape: Shape, dtype: Any) -> Output:
    """A new tensor that the task puts out. It lives until the scope ends in which the task was
    submitted, and is not cleared before the kernel runs. May be used for many tasks."""
    return Output(shape, dtype)


def hole(number: int) -> Hole:
    """In a recording, scalar `number` of those that `Graph.record` was given."""
    return Hole(number)


def when(tensor: Tensor, index: Union[int, Sequence[int]], comparison: str, value: Any) \
        -> Condition:
    """The task runs only if the element compares so when the task is ready; otherwise its
    consumers go on without it: ``when(flags, 3, "!=", 0)``.

    Raises:
        Error: 5 for an index beyond the tensor, or a comparison other than
            == != > < >= <=.
    """
    if comparison not in _abi.COMPARISONS:
        raise invalid(f"comparison {comparison!r}: expected one of == != > < >= <=")
    at = (index,) if hasattr(index, "__index__") else tuple(index)  # type: ignore[arg-type]
    tensor._index(at)  # type: ignore[arg-type]
    is_real = tensor.dtype.format in "fe" or tensor.dtype is bfloat16
    if not is_real and value != int(value):
        raise invalid(f"{value!r} compared with {tensor.dtype.name}: expected a whole number")
    return Condition(tensor, at, _abi.COMPARISONS[comparison],  # type: ignore[arg-type]
                     float(value) if is_real else int(value))


class Double:
    """A scalar of 64 bits; made by `double`."""

    __slots__ = ("bits",)

    def __init__(self, value: float) -> None:
        self.bits = struct.unpack("<Q", struct.pack("<d", value))[0]


def double(value: float) -> Double:
    """A scalar as 64 bits; a plain float goes to the kernel as 32 bits, for pto2_scalar_f32."""
    return Double(value)


_single = struct.Struct("<f")
_bits = struct.Struct("<I")


def scalar_bits(value: Any) -> int:
    """What a kernel finds: a float as float32 bits, a whole number as its 64 bits.

    Raises:
        Error: 5 for anything else, and for what does not fit.
    """
    kind = type(value)
    if kind is float:
        try:
            return _bits.unpack(_single.pack(value))[0]
        except OverflowError:
            raise invalid(f"scalar {value!r} does not fit into a float32: pto2.double({value!r})"
                          ) from None
    if kind is Double:
        return value.bits
    index = getattr(value, "__index__", None) if getattr(value, "ndim", 0) == 0 else None
    if index is not None:
        number = index()
        if not -(1 << 63) <= number < 1 << 64:
            raise invalid(f"scalar {value!r} does not fit into 64 bits")
        return number & _abi.FOREVER
    if kind.__name__ == "bool_":
        return int(bool(value))
    if hasattr(value, "__float__") and not isinstance(value, (str, bytes)) \
            and getattr(value, "ndim", 0) == 0:
        return scalar_bits(float(value))
    if getattr(value, "dtype", None) is not None and getattr(value, "ndim", 1) != 0:
        raise invalid(
            f"argument {type(value).__name__}: tasks use tensors; make one with g.tensor(array)")
    raise invalid(f"argument {value!r}: expected a tensor, inout(), overwrite(), unordered(), "
                  "out(), or a number")
