"""Errors: one class, with the code and the fields of the C interface."""
from __future__ import annotations

from typing import Any, Optional, Union, Sequence

from . import _abi

NAMES = {
    1: "SCOPE_DEADLOCK",
    2: "HEAP_RING_DEADLOCK",
    3: "FLOW_CONTROL_DEADLOCK",
    4: "DEP_POOL_OVERFLOW",
    5: "INVALID_ARGS",
    7: "REQUIRE_SYNC_START_INVALID",
    8: "TENSOR_WAIT_TIMEOUT",
    9: "EXPLICIT_ORCH_FATAL",
    11: "TENSORMAP_OVERFLOW",
    100: "SCHEDULER_TIMEOUT",
    101: "ENCODING_OVERFLOW",
    200: "WORKER_DIED",
    201: "SCHEDULER_DIED",
    202: "ORCHESTRATOR_DIED",
    203: "WORKER_MISSING",
    204: "SCHEDULER_MISSING",
    205: "IMAGE_REFUSED",
    206: "GARBAGE_WORD",
    207: "PROTOCOL",
    208: "OUT_OF_MEMORY",
    209: "INTERRUPTED",
    210: "SEGMENT_TRUNCATED",
    211: "RANK_DIED",
    212: "DIVERGED",
    213: "LINK_DIED",
    214: "PEER_SILENT",
}

#: A program's own.
PROGRAM_CODES = range(1000, 1040)


class Error(Exception):
    """What pto2 refuses, or what ended a run. docs/operations.md says what to do about a code.

    Attributes:
        code: the number of the error, as in pto2.h.
        name: its name, such as ``"INVALID_ARGS"``.
        message: what happened and what to do, without code and name.
        task: id of the task it is about, or None.
        ring: the ring it is about, or None.
        needed, available: bytes or items that were needed, and that there were; None when
            it is not about a size.
        submitted: after `Graph.submit_many`, how many tasks went in; else None.

    A call that is refused before it reaches the graph (a wrong dtype, a shape, a slice, an
    unknown kernel) leaves the run as it was: catch it and go on. Otherwise the first error
    is the run's, and every later call of that graph raises it again.
    """

    def __init__(self, code: int, message: str, *, task: Optional[int] = None,
                 ring: Optional[int] = None, needed: Optional[int] = None,
                 available: Optional[int] = None, submitted: Optional[int] = None) -> None:
        self.code = code
        self.name = NAMES.get(code, "PROGRAM" if code in PROGRAM_CODES else "UNKNOWN")
        prefix = f"error {code} {self.name}: "
        self.message = message[len(prefix):] if message.startswith(prefix) else message
        self.task = task
        self.ring = ring
        self.needed = needed
        self.available = available
        self.submitted = submitted
        super().__init__(prefix + self.message)

    def __reduce__(self) -> Any:
        return (_again, (type(self), self.code, self.message, self.__dict__))


class CompileError(Error):
    """A kernel source that the compiler refuses; code 205.

    Attributes:
        command: the compiler's command line.
        output: what it printed.
    """

    def __init__(self, message: str, command: Sequence[str] = (), output: str = "") -> None:
        super().__init__(205, message)
        self.command = list(command)
        self.output = output


def _again(kind: Any, code: int, message: str, fields: Any) -> Any:
    error = Error.__new__(kind)
    Error.__init__(error, code, message)
    error.__dict__.update(fields)
    return error


def invalid(message: str) -> Error:
    """An error 5 that the run has not seen."""
    return Error(5, message)


def of_info(info: Union[bytes, bytearray]) -> Error:
    """The error of a pto2_error_info."""
    _, code, task, needed, available, ring, _, text = _abi.ERROR_INFO.unpack(info)
    size = bool(needed or available)
    return Error(
        code, text.split(b"\0", 1)[0].decode("utf-8", "replace"),
        task=None if task == _abi.NO_TASK else task, ring=None if ring < 0 else ring,
        needed=needed if size else None, available=available if size else None)
