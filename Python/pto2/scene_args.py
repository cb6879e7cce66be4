"""Arguments of scene tests: tensors of numpy or torch, scalars of ctypes, and the files and
words that stand for them on a command line."""
from __future__ import annotations

import copy
import ctypes
import enum
import os
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

_NAMES = ("float32", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16",
          "uint32", "uint64", "bool", "float8_e4m3fn")
_SCALARS: Tuple[Tuple[Any, str], ...] = (
    (ctypes.c_float, "float32"), (ctypes.c_int8, "int8"), (ctypes.c_int16, "int16"),
    (ctypes.c_int32, "int32"), (ctypes.c_int64, "int64"), (ctypes.c_uint8, "uint8"),
    (ctypes.c_uint16, "uint16"), (ctypes.c_uint32, "uint32"), (ctypes.c_uint64, "uint64"))


class ArgDirection(enum.IntEnum):
    """What an orchestration does with a tensor of its entry."""

    SCALAR = 0
    IN = 1
    OUT = 2
    INOUT = 3


class TensorArg(NamedTuple):
    """A tensor of the entry: a name, and an array of numpy or a tensor of torch on the CPU."""

    name: str
    value: Any


class Scalar(NamedTuple):
    """A scalar of the entry: a name, and a value of ctypes (or an int, or a float for a
    float32)."""

    name: str
    value: Any


class TaskArgsBuilder:
    """The arguments of an entry, tensors first; ``args.name`` is the value of one.

    Attributes:
        specs: `TensorArg` and `Scalar`, in their order.
    """

    def __init__(self, *specs: Any) -> None:
        self.specs: List[Any] = []
        for spec in specs:
            self._add(spec)

    def _add(self, spec: Any) -> "TaskArgsBuilder":
        if isinstance(spec, TensorArg):
            if any(isinstance(s, Scalar) for s in self.specs):
                raise ValueError(f"tensor {spec.name!r} after a scalar: tensors come first")
        elif not isinstance(spec, Scalar):
            raise TypeError(f"{spec!r}: expected TensorArg(name, tensor) or Scalar(name, value)")
        if any(s.name == spec.name for s in self.specs):
            raise ValueError(f"two arguments are called {spec.name!r}")
        self.specs.append(spec)
        return self

    def add_tensor(self, name: str, value: Any) -> "TaskArgsBuilder":
        """One more tensor."""
        return self._add(TensorArg(name, value))

    def add_scalar(self, name: str, value: Any) -> "TaskArgsBuilder":
        """One more scalar."""
        return self._add(Scalar(name, value))

    def tensor_names(self) -> List[str]:
        """Of the tensors, in their order."""
        return [s.name for s in self.specs if isinstance(s, TensorArg)]

    def clone(self) -> "TaskArgsBuilder":
        """The same with copies of the tensors."""
        return TaskArgsBuilder(*(
            TensorArg(s.name, _copied(s.value)) if isinstance(s, TensorArg) else s
            for s in self.specs))

    def __getattr__(self, name: str) -> Any:
        for spec in self.__dict__.get("specs", ()):
            if spec.name == name:
                return spec.value
        raise AttributeError(f"no argument {name!r}")


def _copied(value: Any) -> Any:
    return value.clone() if hasattr(value, "clone") else copy.deepcopy(value)


def dtype_name(tensor: Any) -> str:
    """pto2's name for the elements of a tensor.

    Raises:
        TypeError: pto2 has no such type.
    """
    name = str(tensor.dtype).replace("torch.", "")
    if name not in _NAMES:
        raise TypeError(f"elements of type {name}: pto2 has {', '.join(_NAMES)}")
    return name


def _bytes(tensor: Any) -> bytes:
    if hasattr(tensor, "data_ptr"):
        whole = tensor.contiguous()
        size = whole.numel() * whole.element_size()
        return ctypes.string_at(whole.data_ptr(), size) if size else b""
    return tensor.tobytes()  # type: ignore[no-any-return]


def _fill(tensor: Any, contents: bytes) -> None:
    if hasattr(tensor, "data_ptr"):
        if not tensor.is_contiguous():
            raise ValueError("a tensor with gaps: give a contiguous one")
        if contents:
            ctypes.memmove(tensor.data_ptr(), contents, len(contents))
    else:
        import numpy

        tensor[...] = numpy.frombuffer(contents, tensor.dtype).reshape(tensor.shape)


def _scalar(spec: Scalar) -> str:
    value = spec.value
    for kind, name in _SCALARS:
        if isinstance(value, kind):
            return f"{name}:{value.value!r}"
    if isinstance(value, ctypes.c_bool):
        return f"uint8:{int(value.value)}"
    if isinstance(value, ctypes.c_double):
        return f"uint64:{int.from_bytes(bytes(value), 'little')}"
    if isinstance(value, float):
        return f"float32:{value!r}"
    if isinstance(value, int):
        return f"int64:{int(value)}"
    raise TypeError(f"scalar {spec.name!r}: {value!r} is no value of ctypes")


class Files:
    """The tensors as files of a folder, and the words that name them.

    Attributes:
        words: for the command line of the program.
    """

    def __init__(self, args: TaskArgsBuilder, signature: Sequence[Any], folder: str) -> None:
        self.words: List[str] = []
        self._written: Dict[str, Tuple[str, Any]] = {}
        tensors = [s for s in args.specs if isinstance(s, TensorArg)]
        if len(tensors) != len(signature):
            raise ValueError(f"{len(tensors)} tensors; the orchestration's signature has "
                             f"{len(signature)}")
        for number, (spec, direction) in enumerate(zip(tensors, signature)):
            path = os.path.join(folder, f"{number}.bin")
            shape = "x".join(str(n) for n in spec.value.shape) or "1"
            kind = {ArgDirection.IN: "in", ArgDirection.OUT: "out"}.get(direction, "inout")
            if kind != "out":
                with open(path, "wb") as file:
                    file.write(_bytes(spec.value))
            if kind != "in":
                self._written[spec.name] = (path, spec.value)
            self.words.append(f"{kind}:{dtype_name(spec.value)}:{shape}:{path}")
        self.words += [_scalar(s) for s in args.specs if isinstance(s, Scalar)]

    def read_back(self) -> List[str]:
        """Puts what was written into the tensors; the names of these."""
        for path, tensor in self._written.values():
            with open(path, "rb") as file:
                _fill(tensor, file.read())
        return list(self._written)


def as_doubles(tensor: Any) -> Any:
    """An array of numpy with the values of a tensor, of any type."""
    import numpy

    if hasattr(tensor, "detach"):
        return tensor.detach().cpu().double().numpy()
    if str(tensor.dtype) == "bool":
        return numpy.asarray(tensor, dtype=numpy.float64)
    return numpy.asarray(tensor).astype(numpy.float64)
