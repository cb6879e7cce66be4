"""Tensors, views of them, and how a task uses them."""
from __future__ import annotations

import ctypes as c
import struct
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Union

from . import _abi, _dlpack
from ._memory import Memory
from .dtypes import DType, FROM_ML_DTYPES, dtype as _dtype
from .errors import invalid
from .shapes import count_of, row_major, shape_of

if TYPE_CHECKING:
    from .graph import Graph

_words = struct.Struct("<5I")


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
    dimension, where the view has no gaps. A view costs some microseconds and copies nothing.

    ``numpy.asarray(a)`` is an array over the same memory, without a copy; tasks submitted
    before are waited for. Array and kernels see each other's stores, so after a submit call
    `Graph.wait` before you touch the array again. The array stays valid for ever: when the
    run, the scope of an output, or the tensor ends, it keeps the contents of that moment.
    bfloat16 appears as uint16 and 8-bit floats as uint8; `numpy()` has ml_dtypes' type where
    that is installed.
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

    def view(self, dtype: Any) -> "Tensor":
        """The same bytes as elements of another type, as `numpy.ndarray.view`: if that has
        another size, the innermost dimension becomes so much longer or shorter.

        Raises:
            Error: 5 when the innermost dimension has gaps, or is no whole number of such
                elements, or these would not lie at multiples of their size.
        """
        kind = _dtype(dtype)
        old, new = self.dtype.itemsize, kind.itemsize
        shape, strides = self.shape, self.strides
        if old != new and shape:
            # What is no whole number is refused by the call.
            shape = shape[:-1] + (shape[-1] * old // new,)
            strides = tuple(stride * old // new for stride in strides[:-1]) + (1,)
        view = Tensor(self._graph, self._buffer, shape, strides, kind, _abi.Handle())
        self._graph._call(self._graph._api.bit_cast, self._address, kind.code, view._address)
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
        Of bfloat16 and 8-bit floats the bits.

        Raises:
            Error: 8, which ends the run, when it is not ready in time.
        """
        cell = (c.c_char * 8)()
        self._element(self._graph._api.get, index, timeout, cell)
        value: Union[int, float] = struct.unpack_from("<" + self.dtype.format, cell)[0]
        return value

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
    def __array_interface__(self) -> Dict[str, Any]:
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
        """`numpy.asarray` of it; bfloat16 and 8-bit floats as ml_dtypes has them, where that
        is installed."""
        from ._numpy import numpy
        array = numpy().asarray(self)
        if self.dtype in FROM_ML_DTYPES:
            try:
                import ml_dtypes  # type: ignore[import-not-found]
                array = array.view(getattr(ml_dtypes, self.dtype.name))
            except ImportError:
                pass
        return array

    def memoryview(self) -> memoryview:
        """The elements as a memoryview, for programs without numpy; same rules as for arrays.

        Raises:
            Error: 5 for a view with gaps, and for float16, which memoryviews do not have.
        """
        if self.dtype.format == "e":
            raise invalid("memoryview of float16: use numpy, or uint16")
        if not self.contiguous:
            raise invalid(f"a view of {list(self.shape)} has gaps: memoryview needs one piece")
        block = _block((c.c_char * self.nbytes), self._place(), self)
        view = memoryview(block).cast("B")
        cast: Any = view.cast
        if self.size and len(self.shape) > 1:
            view = cast(self.dtype.format, self.shape)
        elif self.dtype.format != "B":
            view = cast(self.dtype.format)
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
            records = self._records = [None] * 6
            self._buffer.used = True  # type: ignore[union-attr]
        record = records[access]
        if record is None:
            record = records[access] = _abi.ARGUMENT_HEAD.pack(
                _abi.ARGUMENT_BYTES, access, 0, 0, 0, 0, 0, 0, 0, 0
            ) + _abi.ADDRESS.pack(self._address)
        return record


def _block(kind: Any, address: int, owner: Any) -> Any:
    """A ctypes object over memory; it keeps `owner` alive."""
    holder: Any = type("Block", (kind,), {})
    holder = holder.from_address(address)
    holder.owner = owner
    return holder
