"""DLPack capsules of memory on the CPU."""
from __future__ import annotations

import ctypes as c
from typing import Any, Dict, Sequence, Tuple

from .dtypes import DType, bfloat16, float8_e4m3fn, float8_e5m2

_NAME = b"dltensor"


class _Device(c.Structure):
    _fields_ = [("type", c.c_int32), ("id", c.c_int32)]


class _Type(c.Structure):
    _fields_ = [("code", c.c_uint8), ("bits", c.c_uint8), ("lanes", c.c_uint16)]


class _Tensor(c.Structure):
    _fields_ = [
        ("data", c.c_void_p), ("device", _Device), ("ndim", c.c_int32), ("dtype", _Type),
        ("shape", c.POINTER(c.c_int64)), ("strides", c.POINTER(c.c_int64)),
        ("byte_offset", c.c_uint64),
    ]


class _Managed(c.Structure):
    pass


_Deleter = c.CFUNCTYPE(None, c.c_void_p)
_Managed._fields_ = [("tensor", _Tensor), ("context", c.c_void_p), ("deleter", _Deleter)]

#: What consumers still hold, by the address of its record.
_held: Dict[int, Tuple[Any, ...]] = {}


@_Deleter
def _delete(address: Any) -> None:
    _held.pop(address, None)


_api = c.pythonapi
_api.PyCapsule_New.restype = c.py_object
_api.PyCapsule_New.argtypes = [c.c_void_p, c.c_char_p, c.c_void_p]
_is_valid = c.PYFUNCTYPE(c.c_int, c.c_void_p, c.c_char_p)(("PyCapsule_IsValid", _api))
_pointer = c.PYFUNCTYPE(c.c_void_p, c.c_void_p, c.c_char_p)(("PyCapsule_GetPointer", _api))


@c.PYFUNCTYPE(None, c.c_void_p)
def _destroy(capsule: Any) -> None:
    # One that was consumed has another name, and its consumer calls the deleter.
    if _is_valid(capsule, _NAME):
        _held.pop(_pointer(capsule, _NAME), None)

#: kDLBfloat, kDLFloat8_e4m3fn, kDLFloat8_e5m2
_CODES = {bfloat16: 4, float8_e4m3fn: 10, float8_e5m2: 12}


def capsule(owner: Any, address: int, shape: Sequence[int], strides: Sequence[int],
            dtype: DType) -> Any:
    """A capsule for consumers of DLPack; `owner` lives as long as they do."""
    code = _CODES.get(dtype)
    if code is None:
        code = {"f": 2, "i": 0, "u": 1, "b": 6}[dtype.typestr[1]]
    rank = len(shape)
    extents = (c.c_int64 * max(1, rank))(*shape)
    steps = (c.c_int64 * max(1, rank))(*strides)
    managed = _Managed(
        _Tensor(address, _Device(1, 0), rank, _Type(code, 8 * dtype.itemsize, 1), extents, steps,
                0), None, _delete)
    at = c.addressof(managed)
    _held[at] = (managed, extents, steps, owner)
    return _api.PyCapsule_New(at, _NAME, c.cast(_destroy, c.c_void_p))
