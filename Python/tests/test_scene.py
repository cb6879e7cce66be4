"""Scene tests: files of the original's shape, alone and under pytest, and what they cannot run."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from pto2 import _library, scene
from pto2.programs import Refused, compile_program
from pto2.scene_args import Files, Scalar, TaskArgsBuilder, TensorArg

from .support import FOLDER, PACKAGE, Case, needs_numpy, numpy

FILE = FOLDER / "scene_add.py"
SOURCES = Path(os.environ.get("PTO2_TEST_COMPAT",
                              PACKAGE.parent / "Tests" / "Fixtures" / "Compat"))
try:
    _library.tool("pto2")
    HAS_TOOL = SOURCES.exists()
except FileNotFoundError:
    HAS_TOOL = False


@needs_numpy
@unittest.skipUnless(HAS_TOOL, "no pto2 executable: make build")
class SceneTests(Case):
    def scene(self, *words, **environment):
        return subprocess.run(
            [sys.executable, "-m", "pto2.scene", str(FILE), "--clusters", "2", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONPATH": str(PACKAGE), **environment})

    def test_file_runs_as_it_is(self):
        done = self.scene()
        self.assertEqual(1, done.returncode, done.stdout)
        for words in (
                "TestVector.test_small) ... ok", "TestScalars.test_all) ... ok",
                "TestVector.test_wrong) ... FAIL",
                "f: 1 of 8 elements differ; the first at [5] is",
                "for a2a3, not for a2a3sim (--platform any)", "manual (--manual include)",
                "several devices or sub-workers are not in pto2",
                "device DMA (get_dma_workspace) is not in pto2",
                "its kernels use the ISA library: say where it is (--isa, PTO2_ISA)",
                "level 3: several workers and devices are not in pto2",
                "FAILED (failures=1, skipped=6)"):
            self.assertIn(words, done.stdout)

    def test_one_case_of_many_rounds(self):
        done = self.scene("--case", "TestVector::by hand", "--manual", "only", "--rounds", "3",
                          "--pto2", "--lanes 2")
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertIn("test_by_hand) ... ok", done.stdout)
        bad = self.scene("--case", "TestVector::small", "--pto2", "--lanes 99")
        self.assertIn("--lanes", bad.stdout)
        self.assertEqual(1, bad.returncode, bad.stdout)

    def test_list_says_what_is_run(self):
        done = self.scene("--list")
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertIn("TestVector::small: runs\n", done.stdout)
        self.assertIn("TestWorkers::several: level 3: several workers", done.stdout)

    def test_pytest_has_each_case(self):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "pto2.scene_plugin", "-p",
             "no:cacheprovider", "--clusters", "2", "--case", "small", str(FILE)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONPATH": str(PACKAGE)})
        if "No module named pytest" in done.stdout:
            self.skipTest("pytest is not installed: pip install pytest")
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertIn("1 passed, 8 skipped", done.stdout)
        self.assertIn("not asked for (--case small)", done.stdout)

    def test_refusals_have_kind_and_words(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaises(Refused) as caught:
                compile_program(SOURCES / "mixed.cpp",
                                [(0, "aiv", SOURCES / "kernels" / "wrong.cpp")], output=folder)
            self.assertEqual("refused-source", caught.exception.kind)
            program = compile_program(
                SOURCES / "errors.cpp", [(0, "aiv", SOURCES / "kernels" / "crash.cpp")],
                output=folder, flags=["-O0"])
            with self.refused(1005, "wrong shape 8"):
                program.run(["in:float32:8", "1"])
            with self.refused(200, "k0_crash"):
                program.run(["in:float32:8", "4"])
            report = program.run(["in:float32:8", "99"])
            self.assertEqual(0, report["tasks"])


@needs_numpy
class ArgumentTests(unittest.TestCase):
    def test_words_and_files(self):
        args = TaskArgsBuilder(TensorArg("x", numpy.arange(6, dtype="i4").reshape(2, 3)),
                               TensorArg("y", numpy.zeros(2, "f2")))
        args.add_scalar("n", 3).add_scalar("scale", 0.5)
        with self.assertRaisesRegex(ValueError, "tensors come first"):
            args.add_tensor("z", numpy.zeros(1))
        with self.assertRaisesRegex(ValueError, "two arguments"):
            args.add_scalar("n", 3)
        self.assertEqual(["x", "y"], args.tensor_names())
        copy = args.clone()
        copy.x[0, 0] = 9
        self.assertEqual(0, args.x[0, 0])
        with tempfile.TemporaryDirectory() as folder:
            files = Files(args, [scene.ArgDirection.INOUT, scene.ArgDirection.OUT], folder)
            self.assertEqual(
                [f"inout:int32:2x3:{folder}/0.bin", f"out:float16:2:{folder}/1.bin", "int64:3",
                 "float32:0.5"], files.words)
            self.assertEqual(args.x.tobytes(), Path(folder, "0.bin").read_bytes())
            Path(folder, "0.bin").write_bytes(copy.x.tobytes())
            Path(folder, "1.bin").write_bytes(numpy.ones(2, "f2").tobytes())
            self.assertEqual(["x", "y"], files.read_back())
        self.assertEqual(9, args.x[0, 0])
        self.assertEqual([1, 1], args.y.tolist())
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(TypeError, "type float64"):
                Files(TaskArgsBuilder(TensorArg("x", numpy.zeros(1))), [scene.ArgDirection.IN],
                      folder)

    def test_tolerances(self):
        a = numpy.array([1, 2, numpy.nan, numpy.inf], "f4")
        b = a + numpy.array([0, 1e-4, 0, 0], "f4")
        self.assertEqual("", scene.difference_of(a, b, 1e-3, 0))
        self.assertEqual("", scene.difference_of(a, b, 0, 1e-3))
        self.assertIn("1 of 4 elements differ; the first at [1]",
                      scene.difference_of(a, b, 1e-6, 1e-6))
        self.assertIn("3 of 4", scene.difference_of(a, numpy.zeros(4), 0, 1.5))
        self.assertIn("shape", scene.difference_of(a, a[:2], 1, 1))


if __name__ == "__main__":
    unittest.main()
