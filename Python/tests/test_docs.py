"""What docs/python.md shows is run, block after block, as a notebook is."""
import re
import unittest
from unittest import mock

from .support import PACKAGE, Case, needs_numpy

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
        self.assertEqual("goes on", names["s"].run(lambda g: "goes on"))

    def test_public_options_are_named(self):
        import inspect
        import pto2
        text = PAGE.read_text()
        for name in inspect.signature(pto2.Session).parameters:
            self.assertIn(f"`{name}" if name != "images" else "images", text, name)


if __name__ == "__main__":
    unittest.main()
