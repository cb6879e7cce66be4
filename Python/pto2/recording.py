"""Recorded tasks."""
from __future__ import annotations

import ctypes as c
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from ._abi import address_of
from .tensors import Tensor

if TYPE_CHECKING:
    from .graph import Graph
    from .session import Session


class Template:
    """Recorded tasks, good for every run of its session; see `Graph.record`."""

    def __init__(self, session: "Session", handle: int, tensors: List[Any], scalars: int,
                 outputs: List[Any]) -> None:
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
        graph._call(graph._api.record_begin, address_of(holes[0]))
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
            graph._handle(), address_of(handles), len(outputs), c.addressof(handle))
        if kind is not None:
            return
        if code:
            graph._raise()
        self.template = Template(
            graph._session, handle.value, [kind_of(t) for t in self._tensors], self.scalar_count,
            [(t.shape, t.strides, t.dtype) for t in outputs])


def kind_of(tensor: Tensor) -> Tuple[Tuple[int, ...], str, Tuple[int, ...]]:
    """What must be the same of a tensor that takes the place of another."""
    strides = tuple(s if e > 1 else 0 for s, e in zip(tensor.strides, tensor.shape))
    return tensor.shape, tensor.dtype.name, strides
