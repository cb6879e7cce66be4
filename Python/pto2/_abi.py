"""The C interface (pto2.h, pto2_program.h, pto2_session.h) as ctypes sees it.

Records are packed with `struct`, which is faster than ctypes structures; the sizes
are those that the headers assert.
"""
from __future__ import annotations

import ctypes as c
import struct

PROGRAM_MAJOR = 2
KERNEL_MAJOR = 2
FOREVER = 2**64 - 1
NO_TASK = 2**64 - 1

MAX_RANK = 5
MAX_TENSORS = 32
MAX_SCALARS = 16
MAX_IMAGES = 16
MAX_RINGS = 8
MAX_BLOCKS = 1 << 20

INPUT, OUTPUT, INOUT, OUTPUT_EXISTING, NO_DEP, NO_DEP_CREATED, OUTPUT_KEPT = range(7)
AIC, AIV, ANY_CORE = 0, 1, 2

OPEN_SIGNALS, OPEN_DRAIN, OPEN_MEMFD, OPEN_NO_LAUNCH, OPEN_CONFINE = 1, 2, 4, 8, 16
OPEN_TRACE_EDGES = 32

RECOVERIES = {"automatic": 0, "again": 1, "once": 2, "snapshot": 3}
LOG_LEVELS = {"error": 0, "warning": 1, "info": 2, "debug": 3}
COMPARISONS = {"==": 0, "!=": 1, ">": 2, "<": 3, ">=": 4, "<=": 5}

#: pto2_tensor_handle: twelve words.
HANDLE_WORDS = 12
HANDLE_BYTES = 8 * HANDLE_WORDS
Handle = c.c_uint64 * HANDLE_WORDS

#: pto2_argument without its last member, the address of the handle.
ARGUMENT_HEAD = struct.Struct("<4I5II")
ARGUMENT_BYTES = 48
ADDRESS = struct.Struct("<Q")
DEPENDENCY = struct.Struct("<IIQ")
PREDICATE = struct.Struct("<IIQQqd")
#: bytes, recovery, three kernels (24 bytes), three names, arguments, scalars,
#: dependencies, predicate, counts of these, blocks, sync start, 1 + rank or 0, holes, name,
#: 1 + cluster or 0
SUBMISSION = struct.Struct("<II24s24x4Q6IQQI4x")
HOLES = struct.Struct("<IIQQII")
RING_OPTIONS = struct.Struct("<4IQ")
SESSION_OPTIONS = struct.Struct("<2I3Q4IQII10Q")
ERROR_INFO = struct.Struct("<IIQQQiI472s")
MACHINE = struct.Struct("<8I")
REPORT = struct.Struct("<4I8Q")

for _record, _bytes in (
    (ARGUMENT_HEAD, 40), (DEPENDENCY, 16), (PREDICATE, 40), (SUBMISSION, 136), (HOLES, 32),
    (RING_OPTIONS, 24), (SESSION_OPTIONS, 144), (ERROR_INFO, 512), (MACHINE, 32), (REPORT, 80),
):
    assert _record.size == _bytes, (_record.format, _record.size)

_P = c.c_void_p
_int = c.c_int32
#: Calls that may wait let other threads of Python run; the others keep the lock of the
#: interpreter, which is faster.
_waits, _quick = c.CFUNCTYPE, c.PYFUNCTYPE

#: The members of pto2_program_api, in order.
API = (
    ("kernel", _quick(_int, _P, c.c_char_p, _P)),
    ("machine", _quick(_int, _P, _P)),
    ("external_tensor", _waits(_int, _P, _int, c.c_uint32, _P, _P)),
    ("allocate", _waits(_int, _P, _int, c.c_uint32, _P, _P)),
    ("fill", _waits(_int, _P, _int, c.c_uint32, _P, _P, _P)),
    ("slice", _quick(_int, _P, _P, _P, _P, _P)),
    ("slice_steps", _quick(_int, _P, _P, _P, _P, _P, _P)),
    ("reshape", _quick(_int, _P, _P, c.c_uint32, _P, _P)),
    ("transpose", _quick(_int, _P, _P, c.c_uint32, c.c_uint32, _P)),
    ("broadcast", _quick(_int, _P, _P, c.c_uint32, _P, _P)),
    ("data", _waits(_P, _P, _P)),
    ("get", _waits(_int, _P, _P, _P, c.c_uint64, _P)),
    ("set", _waits(_int, _P, _P, _P, c.c_uint64, _P)),
    ("scope_begin", _waits(_int, _P)),
    ("scope_begin_manual", _waits(_int, _P)),
    ("scope_end", _waits(_int, _P)),
    ("submit", _waits(_int, _P, _P, _P)),
    ("submit_many", _waits(_int, _P, _P, c.c_uint32, _P, _P)),
    ("wait", _waits(_int, _P)),
    ("fail", _quick(_int, _P, c.c_char_p)),
    ("error_message", _quick(c.c_char_p, _P)),
    ("error_info", _quick(_int, _P, _P)),
    ("record_begin", _waits(_int, _P, _P)),
    ("record_end", _waits(_int, _P, _P, c.c_uint32, _P)),
    ("replay", _waits(_int, _P, c.c_uint64, _P, _P, _P)),
    ("template_free", _quick(_int, _P, c.c_uint64)),
    ("free_tensor", _waits(_int, _P, _P)),
    ("bit_cast", _quick(_int, _P, _P, _int, _P)),
    ("fail_with", _quick(_int, _P, c.c_uint32, c.c_char_p)),
    ("log", _quick(None, _P, _int, c.c_char_p)),
    ("scope_begin_named", _waits(_int, _P, c.c_char_p, _int)),
    ("external_tensor_on", _waits(_int, _P, _int, c.c_uint32, _P, c.c_uint32, _P)),
    ("scope_begin_on", _waits(_int, _P, c.c_uint32, c.c_char_p, _int)),
)
API_BYTES = 8 + 8 * len(API)

RunFunction = c.CFUNCTYPE(_int, _P, _P, _P)
WaitFunction = c.CFUNCTYPE(_int, _P)


def address_of(buffer: bytearray) -> int:
    """Of memory that is neither resized nor let go while it is used."""
    return c.addressof(c.c_char.from_buffer(buffer))


class Api:
    """The functions of a pto2_program_api, as attributes."""

    def __init__(self, address: int) -> None:
        major, size = struct.unpack("<II", c.string_at(address, 8))
        if major != PROGRAM_MAJOR or size < API_BYTES:
            raise OSError(
                f"libpto2 has a program interface of version {major} and {size} bytes; this "
                f"package needs version {PROGRAM_MAJOR} and {API_BYTES} bytes")
        pointers = struct.unpack(f"<{len(API)}Q", c.string_at(address + 8, 8 * len(API)))
        for (name, kind), pointer in zip(API, pointers):
            setattr(self, name, kind(pointer))


def declare(library: c.CDLL) -> None:
    """Gives the calls of pto2_session.h their types."""
    library.pto2_session_open.argtypes = [_P, _P, _P]
    library.pto2_session_run.argtypes = [_P, RunFunction, _P, _P]
    library.pto2_session_error.argtypes = [_P, _P]
    library.pto2_session_on_wait.argtypes = [_P, WaitFunction, _P]
    library.pto2_session_close.argtypes = [_P]
    library.pto2_session_close.restype = None
