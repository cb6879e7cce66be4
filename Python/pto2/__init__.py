"""pto2: graphs of compute kernels across isolated processes.

::

    import numpy as np, pto2

    image = pto2.kernels('''
    #include "pto2_kernel.h"
    static void twice(const pto2_kernel_args *args) {
        float *x = args->data[0];
        for (uint32_t i = 0; i < args->tensor[0].element_count; i++) x[i] *= 2;
    }
    PTO2_KERNELS({"twice", twice, PTO2_AIV})
    ''')
    with pto2.Session(image) as s:
        @s.run
        def x(g):
            x = g.tensor(np.arange(4, dtype=np.float32))
            g.submit("twice", pto2.inout(x))
            return x
    print(np.asarray(x))

docs/python.md explains everything; every public name has a docstring.
"""
from ._library import include, path as library
from .dtypes import (
    DType, bfloat16, bool_, dtype, float16, float32, float8_e4m3fn, float8_e5m2, int8, int16,
    int32, int64, uint8, uint16, uint32, uint64)
from .errors import CompileError, Error
from .graph import Graph, Machine, Task
from .images import Image, kernels
from .recording import Recording, Template
from .scopes import Scope
from .session import Session
from .tensors import Tensor
from .traces import Trace, read_trace
from .uses import (
    Condition, Hole, Output, Use, double, hole, inout, out, overwrite, unordered, when)

__version__ = "1.0.0"

__all__ = [
    "CompileError", "Condition", "DType", "Error", "Graph", "Hole", "Image", "Machine", "Output",
    "Recording", "Scope", "Session", "Task", "Template", "Tensor", "Trace", "Use", "bfloat16",
    "bool_", "double", "dtype", "float16", "float32", "float8_e4m3fn", "float8_e5m2", "hole",
    "include", "inout", "int16", "int32", "int64", "int8", "kernels", "library", "out",
    "overwrite", "read_trace", "uint16", "uint32", "uint64", "uint8", "unordered", "when",
]
