"""How a task uses tensors and numbers."""
from __future__ import annotations

import struct
from typing import Any, Sequence, Tuple, Union

from . import _abi
from .dtypes import REAL, dtype as _dtype
from .errors import invalid
from .shapes import Shape, row_major, shape_of
from .tensors import Tensor


class Use:
    """How a task uses a tensor; made by `inout`, `overwrite` and `unordered`."""

    __slots__ = ("tensor", "access")

    def __init__(self, tensor: Any, access: int) -> None:
        self.tensor = tensor
        self.access = access

    def __repr__(self) -> str:
        names = ("input", "output", "inout", "overwrite", "unordered", "unordered after its creator")
        return f"<{names[self.access]} of {self.tensor!r}>"


class Output:
    """A tensor that a task is to put out; made by `out`."""

    __slots__ = ("shape", "strides", "dtype", "keep", "initial", "access", "head")

    def __init__(self, shape: Shape, dtype: Any, keep: bool = False, initial: Any = None) -> None:
        self.shape = shape_of(shape)
        self.strides = row_major(self.shape)
        self.dtype = _dtype(dtype)
        self.keep = keep
        self.initial = initial
        if keep and initial is not None:
            raise invalid("out(keep=True, initial=...): make the tensor by zeros() or tensor(), "
                          "and pass it as inout")
        self.access = _abi.OUTPUT_KEPT if keep else _abi.OUTPUT
        padded = self.shape + (0,) * (5 - len(self.shape))
        self.head = _abi.ARGUMENT_HEAD.pack(
            _abi.ARGUMENT_BYTES, self.access, self.dtype.code, len(self.shape), *padded, 0)


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


def unordered(tensor: Any, after_creator: bool = False) -> Use:
    """The kernel gets the tensor, and nobody waits for anybody because of it.

    Args:
        after_creator: the task waits for the one that put the tensor out, and for no other.
    """
    return Use(tensor, _abi.NO_DEP_CREATED if after_creator else _abi.NO_DEP)


def out(shape: Shape, dtype: Any, keep: bool = False, initial: Any = None) -> Output:
    """A new tensor that the task puts out. It lives until the scope ends in which the task was
    submitted, and is not cleared before the kernel runs. May be used for many tasks.

    Args:
        initial: a number that every element has before the kernel runs, again too, after its
            worker has died: of a task of one kernel and one block that changes nothing else
            in place. For `submit`; not in a recording.
        keep: it lives until `Graph.free` or the end of the run, whatever the scope: what goes
            from step to step. Not in a recording.
    """
    return Output(shape, dtype, keep, initial)


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
    is_real = tensor.dtype in REAL
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
