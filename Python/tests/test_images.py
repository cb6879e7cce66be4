"""Kernels from source: compiled once, refused with the compiler's words."""
import os
import tempfile
import unittest
from pathlib import Path

import pto2
from pto2 import inout
from pto2.images import resolve

from .support import IMAGE, Case

SOURCE = """
#include "pto2_kernel.h"
static void set(const pto2_kernel_args *args) { *(int32_t *)args->data[0] = %d; }
PTO2_KERNELS({"set", set, PTO2_AIV})
"""

CXX = """
#include "pto2_kernel.h"
#include <algorithm>
#include <stdexcept>
static void sort(const pto2_kernel_args *args) {
    int32_t *x = static_cast<int32_t *>(args->data[0]);
    std::sort(x, x + args->tensor[0].element_count);
}
static void fail(const pto2_kernel_args *) { throw std::runtime_error("out of ideas"); }
PTO2_KERNELS({"sort", sort, PTO2_AIV}, {"fail", fail, PTO2_AIV})
"""


class ImageTests(Case):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory(prefix="pto2-python-tests-")
        self.addCleanup(self.folder.cleanup)
        self.cache = Path(self.folder.name) / "cache"

    def file(self, name, text):
        path = Path(self.folder.name) / name
        path.write_text(text)
        return path

    def value(self, image):
        with self.session(image) as s:
            def program(g):
                x = g.zeros(1, "int32")
                g.submit("set", inout(x))
                return x.get(0)
            return s.run(program)

    def test_source_is_compiled_once(self):
        first = pto2.kernels(SOURCE % 1, cache=self.cache)
        stamp = os.stat(first.path).st_mtime_ns
        again = pto2.kernels(SOURCE % 1, cache=self.cache)
        self.assertEqual((first.path, stamp), (again.path, os.stat(again.path).st_mtime_ns))
        other = pto2.kernels(SOURCE % 2, cache=self.cache)
        self.assertNotEqual(first.path, other.path)
        self.assertEqual([1, 2], [self.value(first), self.value(other)])
        self.assertNotEqual(
            first.path, pto2.kernels(SOURCE % 1, cache=self.cache, flags=["-O0"]).path)
        self.assertEqual(3, len(list(self.cache.iterdir())))

    def test_header_that_changes(self):
        header = self.file("mine.h", "#define VALUE 5\n")
        source = self.file("k.c", '#include "mine.h"\n' + (SOURCE % 0).replace("0;", "VALUE;"))
        first = pto2.kernels(source, cache=self.cache)
        header.write_text("#define VALUE 6\n")
        second = pto2.kernels(source, cache=self.cache)
        self.assertEqual([5, 6], [self.value(first), self.value(second)])

    def test_several_sources_and_folders_of_headers(self):
        os.mkdir(Path(self.folder.name) / "inc")
        self.file("inc/six.h", "int six(void);\n")
        other = self.file("six.c", "int six(void) { return 6; }\n")
        main = self.file("k.c", '#include "six.h"\n' + (SOURCE % 0).replace("0;", "six();"))
        image = pto2.kernels(main, other, include=[Path(self.folder.name) / "inc"],
                             cache=self.cache)
        self.assertEqual(6, self.value(image))

    def test_cxx(self):
        image = pto2.kernels(CXX, language="c++", flags=["-std=c++17"], cache=self.cache)
        with self.session(image) as s:
            @s.run
            def result(g):
                x = g.zeros(5, "int32")
                x.memoryview()[:] = memoryview(b"".join(
                    n.to_bytes(4, "little") for n in (3, 1, 2, 5, 4))).cast("i")
                g.submit("sort", inout(x))
                g.wait()
                return list(x.memoryview())
            self.assertEqual([1, 2, 3, 4, 5], result)
            with self.refused(200, "out of ideas"):
                s.run(lambda g: g.submit("fail"))

    def test_session_compiles_sources(self):
        os.environ["PTO2_CACHE"], before = str(self.cache), os.environ["PTO2_CACHE"]
        try:
            self.assertEqual(3, self.value(str(self.file("k.c", SOURCE % 3))))
            self.assertEqual(4, self.value(SOURCE % 4))
        finally:
            os.environ["PTO2_CACHE"] = before

    def test_error_of_the_compiler(self):
        with self.assertRaises(pto2.CompileError) as caught:
            pto2.kernels((SOURCE % 1).replace("data[0]", "date[0]"), cache=self.cache)
        error = caught.exception
        self.assertEqual(205, error.code)
        self.assertIn("date", error.output)
        self.assertIn("error:", str(error))
        self.assertIn("-shared", error.command)
        self.assertEqual([], list(self.cache.iterdir()))
        # What the preprocessor finds.
        with self.assertRaises(pto2.CompileError) as caught:
            pto2.kernels('#include "nowhere.h"\n', cache=self.cache)
        self.assertIn("nowhere.h", str(caught.exception))

    def test_source_without_a_table(self):
        image = pto2.kernels('#include "pto2_kernel.h"\n', cache=self.cache)
        with self.refused(205):
            self.session(image)

    def test_what_is_missing(self):
        for call in (lambda: pto2.kernels("/no/such.c"),
                     lambda: pto2.kernels(SOURCE, compiler="no-such-compiler")):
            with self.assertRaises(FileNotFoundError):
                call()
        with self.assertRaises(ValueError):
            pto2.kernels(__file__)
        with self.assertRaises(ValueError):
            pto2.kernels(SOURCE, language="fortran")
        with self.assertRaises(TypeError):
            pto2.kernels()

    def test_names_are_looked_up(self):
        os.environ["PTO2_KERNEL_PATH"] = self.folder.name
        try:
            os.link(IMAGE.path, os.path.join(self.folder.name, "libmine.so"))
            self.assertEqual(os.path.join(self.folder.name, "libmine.so"), resolve("mine"))
            with self.session("mine") as s:
                self.assertIn("scale", s.kernels)
        finally:
            del os.environ["PTO2_KERNEL_PATH"]

    def test_two_images(self):
        image = pto2.kernels(SOURCE % 9, cache=self.cache)
        with self.session(image, IMAGE) as s:
            @s.run
            def value(g):
                x = g.zeros(1, "int32")
                g.submit("set", inout(x))
                g.submit("block", inout(x))
                return x.get(0)
        self.assertEqual(1, value)



if __name__ == "__main__":
    unittest.main()
