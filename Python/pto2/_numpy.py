"""numpy, where it is needed."""
from __future__ import annotations

from typing import Any


def numpy() -> Any:
    """Raises ImportError with words where there is none."""
    try:
        import numpy
    except ImportError:
        raise ImportError(
            "this call of pto2 needs numpy, which is not installed: pip install numpy") from None
    return numpy
