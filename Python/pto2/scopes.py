"""Scopes of a graph."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional

if TYPE_CHECKING:
    from .graph import Graph


class ScopeMemory:
    """What arrays look at that lives in one scope."""

    __slots__ = ("memories", "is_open")

    def __init__(self) -> None:
        #: weak references
        self.memories: List[Any] = []
        self.is_open = True


class Scope:
    """A scope of a graph; see `Graph.scope`."""

    def __init__(self, graph: Graph, name: str, manual: bool, on: Optional[int]) -> None:
        self._graph = graph
        self._name = name.encode("utf-8", "replace")
        self._manual = manual
        self._on = on

    def __enter__(self) -> Graph:
        graph = self._graph
        graph._refuse_recording("a scope")
        if self._on is None:
            graph._call(graph._api.scope_begin_named, self._name, int(self._manual))
        else:
            graph._call(graph._api.scope_begin_on, self._on, self._name, int(self._manual))
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
