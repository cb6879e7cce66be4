"""Element types of tensors."""
from __future__ import annotations

from typing import Any

from .errors import invalid


class DType:
    """An element type: `name`, `itemsize` in bytes, `code` as in pto2.h."""

    __slots__ = ("name", "code", "itemsize", "typestr", "format")

    def __init__(self, name: str, code: int, typestr: str, format: str) -> None:
        self.name = name
        self.code = code
        self.itemsize = int(typestr[2:])
        #: of numpy's array interface; bfloat16 and 8-bit floats appear as their bits
        self.typestr = typestr
        #: of the struct module
        self.format = format

    def __repr__(self) -> str:
        return f"pto2.{self.name}"

    def __str__(self) -> str:
        return self.name


float32 = DType("float32", 0, "<f4", "f")
float16 = DType("float16", 1, "<f2", "e")
bfloat16 = DType("bfloat16", 2, "<u2", "H")
int8 = DType("int8", 3, "|i1", "b")
int16 = DType("int16", 4, "<i2", "h")
int32 = DType("int32", 5, "<i4", "i")
int64 = DType("int64", 6, "<i8", "q")
uint8 = DType("uint8", 7, "|u1", "B")
uint16 = DType("uint16", 8, "<u2", "H")
uint32 = DType("uint32", 9, "<u4", "I")
uint64 = DType("uint64", 10, "<u8", "Q")
#: a byte, 0 or 1
bool_ = DType("bool", 11, "|b1", "?")
#: 8-bit floats; appear as uint8
float8_e4m3fn = DType("float8_e4m3fn", 12, "|u1", "B")
float8_e5m2 = DType("float8_e5m2", 13, "|u1", "B")

ALL = (float32, float16, bfloat16, int8, int16, int32, int64, uint8, uint16, uint32, uint64,
       bool_, float8_e4m3fn, float8_e5m2)
#: What numpy has through ml_dtypes alone.
FROM_ML_DTYPES = (bfloat16, float8_e4m3fn, float8_e5m2)
REAL = (float32, float16, *FROM_ML_DTYPES)
_BY_NAME = {dtype.name: dtype for dtype in ALL}
_FORMATS = {"f": float32, "e": float16, "b": int8, "h": int16, "i": int32, "q": int64, "l": int64,
            "?": bool_, "B": uint8, "H": uint16, "I": uint32, "Q": uint64, "L": uint64}


def dtype(value: Any) -> DType:
    """The element type of that name: a `DType`, ``"float32"``, ``numpy.float32``, a
    ``numpy.dtype``, ``ml_dtypes.bfloat16``, ``torch.float32``, ``bool``.

    Raises:
        Error: 5 for a type that tensors do not have, such as float64.
    """
    if type(value) is DType:
        return value
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str):
        name = getattr(value, "__name__", None) or str(value).split(".")[-1]
    if name == "bool_":
        name = "bool"
    found = _BY_NAME.get(name)
    if found is None or getattr(value, "byteorder", "=") == ">":
        hint = {"float64": ": convert with .astype('float32')",
                "float": ": a Python float has 64 bits; say \"float32\"",
                "float8_e4m3": ": say float8_e4m3fn, the one without infinities"}.get(name, "")
        raise invalid(f"dtype {value}: tensors have {', '.join(_BY_NAME)}{hint}")
    return found


def of_format(format: str) -> DType:
    """The element type of a buffer's format."""
    found = _FORMATS.get(format.lstrip("@=<")) if format else uint8
    if found is None:
        raise invalid(f"elements of format '{format}': tensors have {', '.join(_BY_NAME)}")
    return found
