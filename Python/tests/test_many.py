"""submit_many: columns, tiles, records."""
import unittest

from pto2 import inout, out, overwrite, unordered

from .support import Case, needs_numpy, numpy as np


@needs_numpy
class ManyTests(Case):
    def test_tiles(self):
        given = np.arange(48, dtype=np.float32).reshape(6, 8)
        with self.session() as s:
            @s.run
            def _(g):
                tiles = g.tensor(given).tiles(3, 2)
                self.assertEqual(((2, 4), (3, 2), 8), (tiles.grid, tiles.shape, tiles.count))
                for i in range(2):
                    for j in range(4):
                        np.testing.assert_array_equal(
                            given[3 * i:3 * i + 3, 2 * j:2 * j + 2], np.asarray(tiles[i, j]))
                np.testing.assert_array_equal(given[3:6, 2:4], np.asarray(tiles[1][1]))
                self.assertEqual(4, len(list(tiles[0])))
                for word, call in [("do not fill", lambda: g.zeros((6, 8)).tiles(4, 2)),
                                   ("do not fill", lambda: g.zeros((6, 8)).tiles(3)),
                                   ("index", lambda: tiles[2, 0]),
                                   ("index", lambda: tiles[0, 0, 0])]:
                    with self.refused(5, word):
                        call()

    def test_name_of_all(self):
        with self.session() as s:
            with self.refused(200, '"all of them" failed'):
                s.run(lambda g: g.submit_many("crash", count=1, name="all of them"))

    def test_in_place_by_tiles(self):
        given = np.random.default_rng(1).random((64, 64), dtype=np.float32)
        factors = np.arange(64, dtype=np.float32)
        with self.session(clusters=2) as s:
            @s.run
            def result(g):
                a = g.tensor(given)
                tasks = g.submit_many("scale", inout(a.tiles(8, 8)), factors)
                self.assertEqual(64, len(tasks))
                self.assertEqual(64, len(set(tasks.ids.tolist())))
                return a
        expected = given * np.kron(factors.reshape(8, 8), np.ones((8, 8), np.float32))
        np.testing.assert_array_equal(expected, np.asarray(result))

    def test_outputs_and_columns_of_tensors(self):
        rng = np.random.default_rng(2)
        arrays = rng.random((50, 3, 4), dtype=np.float32)
        order = rng.permutation(50)
        with self.session() as s:
            @s.run
            def _(g):
                one = g.tensor(np.ones((3, 4), np.float32))
                tensors = [g.tensor(a) for a in arrays]
                first = g.submit_many("add", tensors, one, out((3, 4), "float32"))
                second = g.submit_many("add", first.output, first.output[order],
                                       out((3, 4), "float32"), after=first, retain=first[0])
                third = g.submit("add", second.output[7], one, out((3, 4), "float32"))
                for i in range(50):
                    expected = (arrays[i] + 1) + (arrays[order[i]] + 1)
                    np.testing.assert_array_equal(expected, np.asarray(second.output[i]))
                    np.testing.assert_array_equal(expected, np.asarray(second[i].output))
                np.testing.assert_array_equal(
                    (arrays[7] + 1) + (arrays[order[7]] + 1) + 1, np.asarray(third.output))

    def test_scalars(self):
        with self.session() as s:
            @s.run
            def result(g):
                t = g.submit_many("scalars", out(4, "uint64"), np.arange(3, dtype=np.int32) - 1,
                                  [1.5, 2.5, -1.0], 7, np.array([0, 2**63, 5], np.uint64)).output
                return [np.array(np.asarray(x)) for x in t]
        singles = np.array([1.5, 2.5, -1.0], np.float32).view(np.uint32)
        for i in range(3):
            self.assertEqual([(i - 1) % 2**64, singles[i], 7, [0, 2**63, 5][i]],
                             result[i].tolist())

    def test_several_kernels_and_dependencies(self):
        with self.session() as s:
            @s.run
            def result(g):
                x = g.zeros(3, "int32")
                log = g.zeros(64, "int32")
                g.submit_many([("mark_aic", None, None), "mark", (None, None, "mark")], inout(x))
                with g.scope(manual=True):
                    first = g.submit_many("append", inout(log), [1], after=None)
                    last = first.ids
                    for n in range(2, 9):
                        last = g.submit_many("append", inout(log), [n], after=last).ids
                    g.submit_many("append", inout(log), [9],
                                  after=np.array([[last[0], first.ids[0]]]))
                g.wait()
                return list(x.memoryview()), list(log.memoryview())[:10]
        self.assertEqual(([1, 2, 3], [9, *range(1, 10)]), result)

    def test_more_than_a_chunk(self):
        with self.session() as s:
            @s.run
            def result(g):
                log = g.zeros(9001, "int32")
                tasks = g.submit_many("append", inout(log), np.arange(9000))
                self.assertEqual(9000, len(tasks))
                return np.asarray(log)
            self.assertEqual([9000, *range(9000)], result.tolist())
            self.assertEqual(9000, s.report["tasks"])

    def test_records_that_are_changed_and_used_again(self):
        with self.session() as s:
            @s.run
            def result(g):
                x = g.zeros(8)
                batch = g.batch("nap", inout(x.tiles(1)), 0)
                self.assertEqual((8, 1), batch.arguments.shape)
                g.submit_many(batch)
                batch.submissions["kernels"][4:] = 0
                g.submit_many(batch)
                g.submit_many(batch)
                g.wait()
                return list(x.memoryview())
        self.assertEqual([3] * 4 + [1] * 4, result)

    def test_copy_of_all(self):
        given = np.arange(48, dtype=np.float32).reshape(6, 8)
        with self.session() as s:
            @s.run
            def kept(g):
                tiles = g.tensor(given).tiles(3, 2)
                expected = given.reshape(2, 3, 4, 2).swapaxes(1, 2)
                np.testing.assert_array_equal(expected, tiles.numpy())
                g.submit_many("scale", inout(tiles), 2.0)
                np.testing.assert_array_equal(2 * expected, np.asarray(tiles))
                with g.scope():
                    flat = g.zeros((8, 3)).tiles(1, 3)
                    sums = g.submit_many("add", flat, flat, out((1, 3), "float32")).output
                    self.assertEqual((8, 1, 3), sums.numpy().shape)
                    self.assertEqual(0, sums.numpy().sum())
                for row in sums, sums[2:4]:
                    with self.refused(5, "has ended"):
                        row.numpy()
                g.submit_many("nothing", tiles)
                return tiles
            with self.refused(5, "has ended"):
                kept.numpy()
            empty = s.run(lambda g: g.zeros((0, 3)).tiles(1, 3).numpy())
            self.assertEqual((0, 1, 1, 3), empty.shape)

    def test_none(self):
        with self.session() as s:
            self.assertEqual(0, s.run(lambda g: len(g.submit_many("nothing", count=0))))

    def test_what_is_refused(self):
        with self.session() as s:
            @s.run
            def _(g):
                x = g.zeros((4, 4)).tiles(1, 4)
                for word, call in [
                        ("one length", lambda: g.submit_many("nothing")),
                        ("[3, 4] tasks", lambda: g.submit_many("scale", x, [1, 2, 3])),
                        ("no kernel", lambda: g.submit_many("axpy", x)),
                        ("expected a tensor", lambda: g.submit_many("add", inout([1, 2]))),
                        ("float32", lambda: g.submit_many("scale", x, [1e300, 1, 1, 1])),
                        ("one for each task", lambda: g.submit_many("scale", x, ["a"] * 4)),
                        ("for 4", lambda: g.submit_many("scale", x, after=np.zeros(3, int))),
                        ("recovery", lambda: g.submit_many("scale", x, recovery="no"))]:
                    with self.refused(5, word):
                        call()
                g.submit_many("nothing", unordered(x))

    def test_one_that_fails_is_counted(self):
        with self.session() as s, self.refused(5, "recovery 9"):
            @s.run
            def _(g):
                batch = g.batch("nothing", overwrite(g.zeros(100).tiles(1)))
                batch.submissions["recovery"][37] = 9
                with self.refused(5, "recovery 9") as refused:
                    g.submit_many(batch)
                self.assertEqual(37, refused.error.submitted)


if __name__ == "__main__":
    unittest.main()
