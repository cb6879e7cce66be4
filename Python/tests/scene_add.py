"""A file as the original's tests are: run by test_scene.py under its own names."""
import ctypes

import numpy as np
from simpler.task_interface import ArgDirection as D
from simpler_setup import Scalar, SceneTestCase, TaskArgsBuilder, TensorArg, scene_test

SOURCES = "../../Tests/Fixtures/Compat/"


@scene_test(level=2, runtime="tensormap_and_ringbuffer")
class TestVector(SceneTestCase):
    CALLABLE = {
        "orchestration": {
            "source": SOURCES + "vector.cpp",
            "function_name": "aicpu_orchestration_entry",
            "signature": [D.IN, D.IN, D.OUT],
        },
        "incores": [
            {"func_id": 0, "source": SOURCES + "kernels/combine.cpp", "core_type": "aiv",
             "signature": [D.IN, D.IN, D.OUT]},
            {"func_id": 1, "source": SOURCES + "kernels/affine.cpp", "core_type": "aiv"},
        ],
    }
    CASES = [
        {"name": "small", "platforms": ["a2a3sim", "a2a3"], "params": {"n": 300}},
        {"name": "wrong", "platforms": ["a2a3sim"], "params": {"n": 8, "wrong": True}},
        {"name": "hardware", "platforms": ["a2a3"], "params": {"n": 4}},
        {"name": "by hand", "platforms": ["a2a3sim"], "manual": ["a2a3sim"], "params": {"n": 4},
         "config": {"runtime_env": {"ring_task_window": [16, 16, 16, 16], "ring_heap": 65536}}},
        {"name": "two devices", "platforms": ["a2a3sim"], "params": {},
         "config": {"device_count": 2}},
    ]
    RTOL = 1e-6

    def generate_args(self, params):
        n = params["n"]
        return TaskArgsBuilder(
            TensorArg("a", np.arange(n, dtype=np.float32) / 7),
            TensorArg("b", np.full(n, 3, np.float32)),
            TensorArg("f", np.zeros(n, np.float32)))

    def compute_golden(self, args, params):
        args.f[:] = (args.a + args.b + 1) * (args.a + args.b + 2) + (args.a + args.b)
        if params.get("wrong"):
            args.f[5] += 1


@scene_test(level=2, runtime="tensormap_and_ringbuffer")
class TestScalars(SceneTestCase):
    CALLABLE = {
        "orchestration": {"source": SOURCES + "scalar_data.cpp", "signature": [D.INOUT, D.OUT]},
        "incores": [
            {"func_id": 0, "source": SOURCES + "kernels/bits.cpp", "core_type": "aiv"},
            {"func_id": 1, "source": SOURCES + "kernels/change.cpp", "core_type": "aiv"},
        ],
    }
    CASES = [{"name": "all", "platforms": ["a2a3sim"]}]

    def generate_args(self, params):
        return TaskArgsBuilder(
            TensorArg("x", np.arange(1, 5, dtype=np.float32)),
            TensorArg("out", np.zeros(8, np.uint64)),
            Scalar("last", ctypes.c_uint64(0xFEDCBA9876543210)))

    def compute_golden(self, args, params):
        args.x[:] = [463, 464, 7, 10]
        args.out[:] = np.array([0x3FC00000, 0xFFFFFFFE, 2**64 - 3, 3, 1, 2**64 - 1, 2**32 - 1,
                                args.last.value], np.uint64)


@scene_test(level=2, runtime="tensormap_and_ringbuffer")
class TestDMA(SceneTestCase):
    CALLABLE = {
        "orchestration": {"source": SOURCES + "mixed.cpp", "signature": [D.IN, D.OUT]},
        "incores": [{"func_id": 0, "source": SOURCES + "kernels/dma.cpp", "core_type": "aiv"}],
    }
    CASES = [{"name": "engine", "platforms": ["a2a3sim"]}]


@scene_test(level=2, runtime="tensormap_and_ringbuffer")
class TestISA(SceneTestCase):
    CALLABLE = {
        "orchestration": {"source": SOURCES + "round.cpp", "signature": [D.IN, D.OUT]},
        "incores": [{"func_id": 0, "source": SOURCES + "kernels/rounded.cpp",
                     "core_type": "aiv"}],
    }
    CASES = [{"name": "none", "platforms": ["a2a3sim"]}]


@scene_test(level=3, runtime="tensormap_and_ringbuffer")
class TestWorkers(SceneTestCase):
    CASES = [{"name": "several", "platforms": ["a2a3sim"]}]


if __name__ == "__main__":
    SceneTestCase.run_module(__name__)
