"""Shapes and strides."""
from __future__ import annotations

from typing import Sequence, Tuple, Union

from . import _abi
from .errors import invalid

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
    """Elements of a shape."""
    count = 1
    for extent in shape:
        count *= extent
    return count


def row_major(shape: Sequence[int]) -> Tuple[int, ...]:
    """Strides of a tensor without gaps, in elements."""
    strides = [0] * len(shape)
    step = 1
    for d in range(len(shape) - 1, -1, -1):
        strides[d] = step
        step *= max(1, shape[d])
    return tuple(strides)


def span_of(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Elements from the first to the last."""
    if 0 in shape:
        return 0
    return 1 + sum((extent - 1) * stride for extent, stride in zip(shape, strides))
