"""Many tasks in one call: tensors in rows, submissions in record arrays. Needs numpy."""
from __future__ import annotations

import ctypes as c
import struct
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple

from . import _abi
from ._numpy import numpy
from .errors import invalid
from .graph import Task, _ids, _name
from .shapes import count_of, span_of
from .tensors import Buffer, Tensor
from .uses import Output, Use, scalar_bits

if TYPE_CHECKING:
    from .graph import Graph

#: Tasks in one call of the library: between two, signals are seen to.
CHUNK = 8192

#: pto2_argument, pto2_dependency and pto2_submission as numpy's fields.
ARGUMENT_FIELDS = [
    ("bytes", "<u4"), ("access", "<u4"), ("dtype", "<u4"), ("rank", "<u4"), ("shape", "<u4", (5,)),
    ("reserved", "<u4"), ("tensor", "<u8")]
DEPENDENCY_FIELDS = [("bytes", "<u4"), ("retain", "<u4"), ("task", "<u8")]
SUBMISSION_FIELDS = [
    ("bytes", "<u4"), ("recovery", "<u4"), ("kernels", "<u8", (3,)), ("kernel_names", "<u8", (3,)),
    ("arguments", "<u8"), ("scalars", "<u8"), ("dependencies", "<u8"), ("predicate", "<u8"),
    ("argument_count", "<u4"), ("scalar_count", "<u4"), ("dependency_count", "<u4"),
    ("block_count", "<u4"), ("require_sync_start", "<u4"), ("run_on", "<u4"),
    ("scalar_holes", "<u8"), ("name", "<u8"), ("near", "<u4"), ("reserved", "<u4")]


class Tensors:
    """Tensors of one shape and type, in a grid: from `Tensor.tiles`, `Graph.submit_many`.

    Attributes:
        grid: extents of the grid.
        shape, strides, dtype: of each tensor, as in `Tensor`.

    ``t[i, j]`` is a `Tensor`; with slices and index arrays, as numpy's, a `Tensors`. `numpy`
    copies all of them.
    """

    def __init__(self, graph: "Graph", handles: Any, shape: Tuple[int, ...],
                 strides: Tuple[int, ...], dtype: Any, buffer: Optional[Buffer],
                 kept: Optional[Dict[bytes, Buffer]] = None) -> None:
        #: of shape grid + (12,), contiguous
        self._handles = handles
        self._graph = graph
        #: of all, or None: each has its own
        self._buffer = buffer
        self._scope = buffer.scope if buffer else graph._scopes[-1 if kept is None else 0]
        #: of kept outputs: by handle, what each that was looked at lies in
        self._kept = kept
        self.shape = shape
        self.strides = strides
        self.dtype = dtype

    @property
    def grid(self) -> Tuple[int, ...]:
        return self._handles.shape[:-1]

    @property
    def count(self) -> int:
        return count_of(self.grid)

    def __len__(self) -> int:
        return len(self._handles)

    def __repr__(self) -> str:
        return f"<pto2.Tensors {list(self.grid)} of {list(self.shape)} {self.dtype.name}>"

    def __getitem__(self, key: Any) -> Any:
        try:
            handles = self._handles[key]
        except IndexError as error:
            raise invalid(f"index {key!r} of {self!r}: {error}") from None
        if handles.ndim < 1 or handles.shape[-1] != _abi.HANDLE_WORDS:
            raise invalid(f"index {key!r} of {self!r}")
        if handles.ndim > 1:
            result = Tensors(self._graph, numpy().ascontiguousarray(handles), self.shape,
                             self.strides, self.dtype, self._buffer, self._kept)
            result._scope = self._scope
            return result
        words = handles.tobytes()
        handle = _abi.Handle.from_buffer_copy(words)
        buffer = self._buffer or (self._kept and self._kept.get(words))
        if not buffer:
            buffer = Buffer(handle, self.nbytes, self._scope, self._kept is not None)
            buffer.used = True
            if self._kept is not None:
                self._kept[words] = buffer
        return Tensor(self._graph, buffer, self.shape, self.strides, self.dtype, handle)

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self)):
            yield self[index]

    def numpy(self) -> Any:
        """A copy of all, an array of shape grid + shape, after waiting for the tasks that were
        submitted before; bfloat16 as uint16.

        Raises:
            Error: 5 when the run or the scope of the tensors has ended; what has ended the run.
        """
        np = numpy()
        graph = self._graph
        if not self._scope.is_open or graph._is_over or self._is_freed():
            raise invalid(f"{self!r} have no memory: their run or scope has ended, or one is freed")
        graph._refuse_recording("a look at tensors")
        graph._settle()
        size = self.dtype.itemsize
        result = np.empty((self.count, *self.shape), dtype=self.dtype.typestr)
        strides = [stride * size for stride in self.strides]
        block = c.c_char * (span_of(self.shape, self.strides) * size)
        data, pointer = graph._api.data, graph._handle()
        for place, address in zip(result, self._addresses().tolist() if result.size else ()):
            first = data(pointer, address)
            if not first:
                graph._check()
            place[...] = np.ndarray(self.shape, self.dtype.typestr, block.from_address(first),
                                    strides=strides)
        return result.reshape(self.grid + self.shape)

    def _is_freed(self) -> bool:
        """Whether any is."""
        if self._buffer:
            return self._buffer.freed
        freed = {words for words, buffer in (self._kept or {}).items() if buffer.freed}
        return bool(freed) and any(
            handle.tobytes() in freed for handle in self._handles.reshape(-1, _abi.HANDLE_WORDS))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    @property
    def nbytes(self) -> int:
        """Of one tensor."""
        return count_of(self.shape) * self.dtype.itemsize

    def _addresses(self) -> Any:
        np = numpy()
        first = self._handles.ctypes.data
        return first + _abi.HANDLE_BYTES * np.arange(self.count, dtype=np.uint64)


class Tasks:
    """Tasks of one `Graph.submit_many`.

    Attributes:
        ids: their ids, an array of uint64; good for ``after=``.
        outputs: a `Tensors` for each `out` argument.
    """

    def __init__(self, ids: Any, outputs: List[Tensors]) -> None:
        self.ids = ids
        self.outputs = outputs

    @property
    def output(self) -> Tensors:
        """The tensors of the only `out` argument."""
        if len(self.outputs) != 1:
            raise invalid(f"the tasks have {len(self.outputs)} outputs: say .outputs[i]")
        return self.outputs[0]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Task:
        return Task(int(self.ids[index]), [column[index] for column in self.outputs])


def tiles(tensor: Tensor, shape: Tuple[int, ...]) -> Tensors:
    """See `Tensor.tiles`."""
    np = numpy()
    rank = len(tensor.shape)
    if len(shape) != rank or rank == 0 or any(
            t < 1 or e % t for t, e in zip(shape, tensor.shape)):
        raise invalid(f"tiles of {list(shape)} do not fill a tensor {list(tensor.shape)}")
    graph = tensor._graph
    grid = tuple(e // t for t, e in zip(shape, tensor.shape))
    handles = np.zeros(grid + (_abi.HANDLE_WORDS,), dtype=np.uint64)
    corners = np.stack(np.meshgrid(
        *(t * np.arange(g) for t, g in zip(shape, grid)), indexing="ij"), axis=-1)
    corners = np.ascontiguousarray(corners.reshape(-1, rank).astype(np.uint32))
    extents = struct.pack(f"<{rank}I", *shape)
    call, pointer = graph._api.slice, graph._handle()
    at, out = corners.ctypes.data, handles.ctypes.data
    for _ in range(count_of(grid)):
        if call(pointer, tensor._address, at, extents, out):
            graph._raise()
        at += 4 * rank
        out += _abi.HANDLE_BYTES
    tensor._buffer.used = True  # type: ignore[union-attr]
    strides = tuple(s if e > 1 else 1 for s, e in zip(tensor.strides, shape))
    return Tensors(graph, handles, shape, strides, tensor.dtype, tensor._buffer)


class Batch:
    """Submissions as records; made by `Graph.batch`.

    Attributes:
        submissions: structured array of pto2_submission, one for each task.
        arguments: structured array of pto2_argument, of shape (tasks, tensors of a task).
        scalars: array of uint64, of shape (tasks, scalars of a task).
        dependencies: structured array of pto2_dependency, or None.

    Fields are those of pto2_program.h. What you change there is what is submitted; addresses
    in them must stay valid.
    """

    def __init__(self, graph: "Graph", kernel: Any, columns: Sequence[Any], *,
                 count: Optional[int] = None, after: Any = None, retain: Any = None,
                 blocks: int = 1, sync_start: bool = False, recovery: str = "automatic",
                 name: Optional[str] = None, near: Any = None) -> None:
        np = numpy()
        self._graph = graph
        #: what the addresses in the records lead to
        self._kept: List[Any] = []
        lengths = {len_ for len_ in (_length(column) for column in columns) if len_ is not None}
        if _is_column(kernel):
            lengths.add(len(kernel))
        clusters = None if near is None else np.asarray(near)
        if clusters is not None and clusters.ndim == 1:
            lengths.add(len(clusters))
        if count is not None:
            lengths.add(count)
        if len(lengths) != 1:
            raise invalid(f"columns of {sorted(lengths)} tasks: expected one length")
        self.count = n = lengths.pop()
        tensors = [column for column in columns if _is_tensors(column)]
        numbers = [column for column in columns if not _is_tensors(column)]
        if len(tensors) > _abi.MAX_TENSORS or len(numbers) > _abi.MAX_SCALARS:
            raise invalid(f"{len(tensors)} tensors and {len(numbers)} scalars: a task has "
                          f"{_abi.MAX_TENSORS} and {_abi.MAX_SCALARS} at most")
        if recovery not in _abi.RECOVERIES:
            raise invalid(f"recovery {recovery!r}: expected one of {', '.join(_abi.RECOVERIES)}")
        graph._check_blocks(blocks)

        # One row is made in words, and repeated; then the addresses that differ go in.
        self._outputs: List[Tuple[int, Output]] = []
        row = np.zeros(len(tensors), dtype=ARGUMENT_FIELDS)
        addresses = [self._fill(row, place, column) for place, column in enumerate(tensors)]
        self.arguments = _repeat(row, n)
        for place, column in enumerate(addresses):
            if column is not None:
                self.arguments["tensor"][:, place] = column
        bits = [_bits(column) for column in numbers]
        self.scalars = np.empty((n, len(numbers)), dtype=np.uint64)
        for place, column in enumerate(bits):
            self.scalars[:, place] = column
        self.dependencies = self._depend(after, retain)

        one = np.zeros(1, dtype=SUBMISSION_FIELDS)
        one["bytes"] = _abi.SUBMISSION.size
        one["recovery"] = _abi.RECOVERIES[recovery]
        one["argument_count"] = len(tensors)
        one["scalar_count"] = len(numbers)
        one["block_count"] = blocks
        one["require_sync_start"] = 1 if sync_start else 0
        if name is not None:
            text = _name(name)
            self._kept.append(text)
            one["name"] = _abi.address_of(text)
        if self.dependencies is not None:
            one["dependency_count"] = self.dependencies.shape[1]
        handles = self._kernels(kernel)
        if handles.ndim == 1:
            one["kernels"] = handles
        self.submissions = records = _repeat(one, n)[:, 0]
        if handles.ndim == 2:
            records["kernels"] = handles
        if clusters is not None:
            if clusters.ndim > 1 or clusters.dtype.kind not in "iu" \
                    or (clusters < 0).any() or (clusters > 0xFFFF).any():
                raise invalid(f"near={near!r}: expected the number of a cluster, or {n} of them")
            records["near"] = 1 + clusters
        steps = np.arange(n, dtype=np.uint64)
        for name, array in (("arguments", self.arguments), ("scalars", self.scalars),
                            ("dependencies", self.dependencies)):
            if array is not None and array.size:
                records[name] = array.ctypes.data + array.strides[0] * steps

    def _fill(self, row: Any, place: int, column: Any) -> Any:
        """Describes a column in the row of arguments.

        Returns:
            The addresses of its handles, or None where all is in the row, or comes later.
        """
        np = numpy()
        graph = self._graph
        access, value = (column.access, column.tensor) if isinstance(column, Use) else \
            (_abi.INPUT, column)
        record = row[place]
        record["bytes"] = _abi.ARGUMENT_BYTES
        if isinstance(value, Output):
            if value.initial is not None:
                raise invalid("out(initial=...) is for submit: pass tensors that are filled, as "
                              "inout, to submit_many")
            record["access"] = value.access
            record["dtype"] = value.dtype.code
            record["rank"] = len(value.shape)
            record["shape"][:len(value.shape)] = value.shape
            self._outputs.append((place, value))
            return None
        record["access"] = access
        if isinstance(value, Tensors):
            if value._graph is not graph:
                raise invalid(f"{value!r} belongs to another run")
            if value._buffer is not None:
                value._buffer.used = True
            self._kept.append(value._handles)
            return value._addresses()
        if isinstance(value, Tensor):
            graph._own(value).used = True
            record["tensor"] = value._address
            self._kept.append(value)
            return None
        for tensor in value:
            graph._own(tensor).used = True
        self._kept.append(list(value))
        return np.fromiter((t._address for t in value), dtype=np.uint64, count=len(value))

    def _kernels(self, kernel: Any) -> Any:
        np = numpy()
        graph = self._graph

        def handles(name: Any) -> Any:
            packed = graph._kernels.get(name) or graph._look_up(name)
            return np.frombuffer(packed, dtype=np.uint64)

        if _is_column(kernel):
            return np.stack([handles(name) for name in kernel]) if len(kernel) else \
                np.zeros((0, 3), dtype=np.uint64)
        return handles(kernel)

    def _depend(self, after: Any, retain: Any) -> Any:
        np = numpy()
        columns = []
        for tasks, keeps in ((after, 0), (retain, 1)):
            if tasks is None:
                continue
            if isinstance(tasks, Tasks):
                tasks = tasks.ids
            if isinstance(tasks, np.ndarray):
                ids = tasks.reshape(len(tasks), -1).astype(np.uint64)
                if len(ids) != self.count:
                    raise invalid(f"dependencies of {len(ids)} tasks for {self.count}")
            else:
                ids = np.array(_ids(tasks), dtype=np.uint64)[None, :].repeat(self.count, 0)
            column = np.zeros(ids.shape, dtype=DEPENDENCY_FIELDS)
            column["bytes"] = _abi.DEPENDENCY.size
            column["retain"] = keeps
            column["task"] = ids
            columns.append(column)
        return np.ascontiguousarray(np.concatenate(columns, axis=1)) if columns else None

    def _submit(self, graph: "Graph") -> Tasks:
        np = numpy()
        if graph is not self._graph:
            raise invalid("a batch belongs to the graph that it was made for")
        n = self.count
        outputs = []
        for place, output in self._outputs:
            if output.keep:
                graph._refuse_recording("a kept output")
            handles = np.zeros((n, _abi.HANDLE_WORDS), dtype=np.uint64)
            column = Tensors(graph, handles, output.shape, output.strides, output.dtype, None,
                             {} if output.keep else None)
            self.arguments["tensor"][:, place] = column._addresses()
            outputs.append(column)
        ids = np.zeros(n, dtype=np.uint64)
        done = c.c_uint32()
        submit, pointer = graph._api.submit_many, graph._handle()
        graph._dirty = True
        for begin in range(0, n, CHUNK):
            count = min(CHUNK, n - begin)
            graph._pointer = None
            try:
                code = submit(
                    pointer, self.submissions.ctypes.data + _abi.SUBMISSION.size * begin, count,
                    ids.ctypes.data + 8 * begin, c.addressof(done))
            finally:
                graph._pointer = pointer
            if code:
                graph._raise(submitted=begin + done.value)
        if graph._recording is not None:
            graph._recording.count += n
        return Tasks(ids, outputs)


def _repeat(row: Any, count: int) -> Any:
    """An array of so many rows, each as this one of records."""
    np = numpy()
    words = row.view(np.uint64)
    rows = np.empty((count, len(words)), dtype=np.uint64)
    rows[:] = words
    return rows.view(row.dtype)


def _is_tensors(column: Any) -> bool:
    if isinstance(column, (Use, Output, Tensor, Tensors)):
        return True
    return isinstance(column, (list, tuple)) and bool(column) and isinstance(column[0], Tensor)


def _is_column(kernel: Any) -> bool:
    """A list of kernels; a tuple is the kernels of one task."""
    return isinstance(kernel, list)


def _length(column: Any) -> Optional[int]:
    """How many tasks a column is for; None for any."""
    value = column.tensor if isinstance(column, Use) else column
    if isinstance(value, Tensors):
        return value.count
    if isinstance(value, (Tensor, Output)):
        return None
    if isinstance(value, (list, tuple)):
        return len(value)
    if getattr(value, "ndim", 0) == 1:
        return len(value)
    return None


def _bits(column: Any) -> Any:
    """Scalars as 64 bits each."""
    np = numpy()
    if getattr(column, "ndim", 0) == 0 and not isinstance(column, (list, tuple)):
        return np.uint64(scalar_bits(column))
    array = np.asarray(column)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        raise invalid(f"a column of scalars of {array.dtype} and shape {list(array.shape)}: "
                      "expected numbers, one for each task")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            narrow = array.astype(np.float32)
        if np.any(np.isinf(narrow) & np.isfinite(array)):
            raise invalid("a scalar of the column does not fit into a float32")
        return narrow.view(np.uint32)
    return array.astype(np.int64).view(np.uint64) if array.dtype.kind in "ib" else array


__all__ = ["Batch", "Tasks", "Tensors", "tiles"]

