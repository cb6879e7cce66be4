"""The tutorial notebook, cell after cell, without Jupyter."""
import json
import unittest
from unittest import mock

from .support import PACKAGE, Case, needs_numpy

NOTEBOOK = PACKAGE.parent / "Examples" / "Python" / "tutorial.ipynb"


@needs_numpy
@unittest.skipUnless(NOTEBOOK.exists(), "not in a checkout")
class TutorialTests(Case):
    def test_every_cell_runs(self):
        book = json.loads(NOTEBOOK.read_text())
        self.assertEqual(4, book["nbformat"])
        names = {"__name__": "__main__"}
        printed = []
        count = 0
        with mock.patch("builtins.print", lambda *words: printed.append(" ".join(map(str, words)))):
            for number, cell in enumerate(book["cells"]):
                self.assertIn(cell["cell_type"], ("code", "markdown"))
                if cell["cell_type"] == "code":
                    # What is committed has no outputs of somebody's machine.
                    self.assertEqual(([], None), (cell["outputs"], cell["execution_count"]))
                    exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
                    count += 1
        self.assertGreater(count, 6)
        self.assertEqual("all as it should be", printed[-1])
        self.assertIn("error", printed[0])


if __name__ == "__main__":
    unittest.main()
