"""What docs/python.md shows is run, block after block, as a notebook is."""
import inspect
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import pto2

from .support import PACKAGE, Case, needs_numpy, numpy as np

PAGE = PACKAGE.parent / "docs" / "python.md"


@needs_numpy
@unittest.skipUnless(PAGE.exists(), "not in a checkout")
class DocumentTests(Case):
    def test_blocks_run(self):
        text = PAGE.read_text()
        blocks = [m for m in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S)]
        self.assertGreater(len(blocks), 7)
        names = {}
        self.addCleanup(lambda: names["s"].close())
        printed = []
        with mock.patch("builtins.print", lambda *words: printed.append(words)):
            for block in blocks:
                line = text[:block.start()].count("\n") + 1
                exec(compile("\n" * line + block.group(1), str(PAGE), "exec"), names)
        self.assertEqual([(999.0, 2)], printed)
        with tempfile.TemporaryDirectory(prefix="pto2-python-tests-") as folder:
            tasks, values = names["vector"](
                folder, PACKAGE.parent / "Tests" / "Fixtures" / "Compat")
            self.assertEqual((5, [47.0] * 8), (tasks, values.tolist()))
        self.assertEqual("goes on", names["s"].run(lambda g: "goes on"))

    def test_block_of_the_readme(self):
        text = (PACKAGE.parent / "README.md").read_text()
        kernels = re.search(r"^```c\n(.*?)^```", text, re.M | re.S).group(1)
        block = re.search(r"^```python\n(.*?)^```", text, re.M | re.S).group(1)
        printed = []
        with tempfile.TemporaryDirectory(prefix="pto2-python-tests-") as folder:
            source = Path(folder) / "kernels.c"
            source.write_text(kernels)
            with mock.patch("builtins.print", lambda *words: printed.append(words)):
                exec(block.replace('"kernels.c"', repr(str(source))), {"np": np, "pto2": pto2})
        self.assertEqual([(1998.0,)], printed)

    def test_public_options_are_named(self):
        text = PAGE.read_text()
        for name in inspect.signature(pto2.Session).parameters:
            self.assertIn(f"`{name}" if name != "images" else "images", text, name)


if __name__ == "__main__":
    unittest.main()
