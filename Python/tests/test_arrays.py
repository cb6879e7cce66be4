"""Tensors as arrays: no copy, valid for ever."""
import gc
import unittest

import pto2
from pto2 import inout, out, overwrite

from .support import Case, needs_numpy, numpy as np

ARRAY_DTYPES = ["float32", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16",
                "uint32", "uint64"]


@needs_numpy
class ArrayTests(Case):
    def test_every_type_there_and_back(self):
        with self.session() as s:
            for name in ARRAY_DTYPES:
                given = np.arange(24).reshape(2, 3, 4).astype(name)

                def program(g):
                    a = g.tensor(given)
                    b = g.zeros(given.shape, given.dtype)
                    g.submit("bytes", a, overwrite(b))
                    self.assertEqual(name, a.dtype.name)
                    return b
                np.testing.assert_array_equal(given, np.asarray(s.run(program)))
                self.assertEqual(given.dtype, np.asarray(s.run(program)).dtype)

    def test_bfloat16(self):
        with self.session() as s:
            @s.run
            def result(g):
                t = g.zeros(3, "bfloat16")
                np.asarray(t)[:] = [0x3F80, 0x4000, 0]
                self.assertEqual(0x4000, t.get(1))
                return t
        self.assertEqual("uint16", np.asarray(result).dtype.name)
        try:
            import ml_dtypes
        except ImportError:
            return
        self.assertEqual([1, 2, 0], [float(v) for v in result.numpy()])
        self.assertEqual("bfloat16", pto2.dtype(ml_dtypes.bfloat16).name)

    def test_no_copy(self):
        with self.session() as s:
            @s.run
            def _(g):
                t = g.zeros((4, 4))
                a, b = np.asarray(t), np.asarray(t[1:3, ::2])
                self.assertTrue(np.shares_memory(a, b))
                a[1, 2] = 5
                self.assertEqual(5, b[0, 1])
                g.submit("scale", inout(t), 2.0)
                g.wait()
                self.assertEqual(10, b[0, 1])
                self.assertFalse(a.flags.owndata)
                self.assertTrue(a.flags.writeable)

    def test_views_as_numpy_has_them(self):
        keys = [np.s_[0], np.s_[1:3], np.s_[::2], np.s_[:, 1:2], np.s_[..., ::3], np.s_[-1],
                np.s_[2, ..., 0:2], np.s_[1, 2], np.s_[1, 2, 3], np.s_[5:2], np.s_[:, :, -2:],
                np.s_[0:100, 1::2], np.s_[()], np.s_[...]]
        with self.session() as s:
            @s.run
            def _(g):
                given = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
                t = g.tensor(given)
                for key in keys:
                    expected, view = given[key], t[key]
                    self.assertEqual(expected.shape, view.shape, key)
                    np.testing.assert_array_equal(expected, np.asarray(view))
                    copied = g.zeros(expected.shape)
                    g.submit("copy", view, overwrite(copied))
                    np.testing.assert_array_equal(expected, np.asarray(copied), str(key))
                pairs = [(t.reshape(20, 6), given.reshape(20, 6)), (t.T, given.swapaxes(1, 2)),
                         (t.reshape(-1, 12), given.reshape(-1, 12)),
                         (t.transpose(0, 2), given.swapaxes(0, 2)),
                         (t[0:1].broadcast(3, 5, 6), np.broadcast_to(given[0:1], (3, 5, 6)))]
                for view, expected in pairs:
                    self.assertEqual(expected.shape, view.shape)
                    np.testing.assert_array_equal(expected, np.asarray(view))
                    copied = g.zeros(expected.shape)
                    g.submit("copy", view, overwrite(copied))
                    np.testing.assert_array_equal(expected, np.asarray(copied))
                self.assertEqual(4, len(t))
                self.assertEqual(4, len(list(t)))

    @needs_numpy
    def test_views_of_another_type(self):
        with self.session() as s:
            @s.run
            def _(g):
                for values in (np.arange(24, dtype=np.float32).reshape(2, 3, 4),
                               np.arange(8, dtype=np.uint16), np.float32(1.5)):
                    values = np.asarray(values)
                    x = g.tensor(values)
                    for name in ("int32", "uint8", "float16", "uint64", "int16"):
                        same = np.dtype(name).itemsize == values.dtype.itemsize
                        if values.ndim == 0 and not same:
                            with self.refused(5):
                                x.view(name)
                            continue
                        seen, expected = np.asarray(x.view(name)), values.view(name)
                        self.assertEqual((expected.dtype, expected.shape, expected.tobytes()),
                                         (seen.dtype, seen.shape, seen.tobytes()))
                m = g.tensor(np.arange(32, dtype=np.float32).reshape(4, 8))
                array = np.asarray(m)
                np.testing.assert_array_equal(np.asarray(m[::2, 2:6].view("uint16")),
                                              array[::2, 2:6].view(np.uint16))
                np.testing.assert_array_equal(np.asarray(m[:, ::2].view("int32")),
                                              array[:, ::2].view(np.int32))
                # A task writes through it, and a reader of the floats waits for that.
                floats = g.zeros(2, "float32")
                g.submit("scalars", pto2.overwrite(floats.view("uint64")), 0x40000000_3F800000)
                self.assertEqual(2.0, floats.get(1))
                for word, call in (("has gaps", lambda: m[:, ::2].view("uint8")),
                                   ("no whole number", lambda: g.zeros(3).view("uint64")),
                                   ("no whole number", lambda: g.zeros((2, 3)).view("uint64")),
                                   ("float64", lambda: m.view("float64"))):
                    with self.refused(5, word):
                        call()
                with self.refused(5):
                    m[:, 1:3].view("uint64")
                g.wait()

    def test_view_outlives_run_and_session(self):
        given = np.arange(5000, dtype=np.float32)
        s = self.session()
        kept = {}

        def first(g):
            t = g.tensor(given)
            kept["array"] = np.asarray(t)
            kept["part"] = np.asarray(t[10:20])
            g.submit("scale", inout(t), 2.0)
            with g.scope():
                kept["output"] = np.asarray(g.submit("add", t, t, out(5000, "float32")).output)
                self.assertEqual(4, kept["output"][1])
        s.run(first)

        def second(g):
            # The same place in the segment, with other contents.
            np.asarray(g.zeros(5000))[:] = -1
            g.submit("nap", 1, g.submit("nothing", out(5000, "float32")).output)
        s.run(second)
        np.testing.assert_array_equal(2 * given, kept["array"])
        s.close()
        gc.collect()
        np.testing.assert_array_equal(2 * given, kept["array"])
        np.testing.assert_array_equal(2 * given[10:20], kept["part"])
        np.testing.assert_array_equal(4 * given, kept["output"])
        kept["array"][10] = 7
        self.assertEqual(7, kept["part"][0])
        del s
        gc.collect()
        self.assertEqual(7, kept["part"][0])

    def test_view_of_a_run_that_failed(self):
        kept = []
        s = self.session()
        with self.assertRaises(ZeroDivisionError):
            @s.run
            def _(g):
                kept.append(np.asarray(g.tensor(np.arange(10, dtype=np.int32))))
                raise ZeroDivisionError
        s.close()
        self.assertEqual(list(range(10)), list(kept[0]))

    def test_tensors_that_are_returned(self):
        s = self.session()
        result = s.run(lambda g: {"a": [g.tensor(np.ones(3, np.float32))],
                                  "b": (g.tensor(np.zeros(2, np.int8)), 5)})
        other = s.run(lambda g: [g.tensor(np.full(3, 9, np.float32))])
        s.close()
        self.assertEqual([1, 1, 1], list(np.asarray(result["a"][0])))
        self.assertEqual([0, 0], list(np.asarray(result["b"][0])))
        self.assertEqual([9, 9, 9], list(np.asarray(other[0])))

    def test_tensor_of_a_run_that_is_over(self):
        kept = []
        with self.session() as s:
            s.run(lambda g: kept.append(g.zeros(3)))
            with self.refused(5, "is over"):
                np.asarray(kept[0])
            with self.refused(5, "is over"):
                kept[0][1:]
            with self.refused(5, "another run"):
                s.run(lambda g: g.submit("nothing", kept[0]))

    def test_array_waits_for_tasks(self):
        with self.session() as s:
            @s.run
            def _(g):
                t = g.zeros(4)
                g.submit("nap", inout(t), 50)
                self.assertEqual([1, 1, 1, 1], list(np.asarray(t)))

    def test_what_can_be_read_only(self):
        with self.session() as s:
            @s.run
            def _(g):
                t = g.full((3, 4), 2.5)
                self.assertEqual(30, np.asarray(t).sum())
                self.assertFalse(np.asarray(t).flags.writeable)
                self.assertFalse(np.asarray(g.zeros((1, 3)).broadcast(2, 3)).flags.writeable)
                total = g.submit("add", t, t, out((3, 4), "float32")).output
                self.assertEqual(60, np.asarray(total).sum())

    def test_empty(self):
        with self.session() as s:
            @s.run
            def result(g):
                t = g.tensor(np.zeros((0, 3), np.float32))
                g.submit("add", t, t, out((0, 3), "float32"))
                self.assertEqual((0, 3), np.asarray(t).shape)
                return t
        self.assertEqual(0, np.asarray(result).size)

    def test_what_becomes_a_tensor(self):
        import array
        given = [np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4)),
                 np.arange(24, dtype=np.int32).reshape(4, 6)[::2, ::-1],
                 memoryview(bytes(range(10))), array.array("i", [1, 2, 3]), np.float32(3)]
        with self.session() as s:
            @s.run
            def _(g):
                for value in given:
                    np.testing.assert_array_equal(np.asarray(value), np.asarray(g.tensor(value)))
                t = g.tensor([[1, 2], [3, 4]], dtype="float16")
                self.assertEqual([[1, 2], [3, 4]], np.asarray(t).tolist())

    def test_dlpack_out_and_in(self):
        class Exporter:
            def __init__(self, array):
                self.array = array

            def __dlpack__(self, **options):
                return self.array.__dlpack__(**options)

            def __dlpack_device__(self):
                return (1, 0)

        given = np.arange(12, dtype=np.float32).reshape(3, 4)
        s = self.session()

        @s.run
        def kept(g):
            t = g.tensor(Exporter(given))
            there = np.from_dlpack(t[:, 1::2])
            np.testing.assert_array_equal(given[:, 1::2], there)
            self.assertTrue(np.shares_memory(there, np.asarray(t)))
            t.__dlpack__()  # nobody takes it
            with self.assertRaises(BufferError):
                g.full(3, 1.0).__dlpack__()
            with self.assertRaises(BufferError):
                t.__dlpack__(dl_device=(2, 0))
            return there
        s.close()
        gc.collect()
        np.testing.assert_array_equal(given[:, 1::2], kept)
        held = len(pto2._dlpack._held)
        self.assertGreater(held, 0)
        del kept
        gc.collect()
        self.assertEqual(held - 1, len(pto2._dlpack._held))

    def test_mappings_go_with_their_arrays(self):
        def mappings():
            with open("/proc/self/maps") as maps:
                return sum(1 for _ in maps)

        with self.session() as s:
            s.run(lambda g: np.asarray(g.zeros(10)).sum())
            gc.collect()
            before = mappings()

            @s.run
            def _(g):
                for _ in range(300):
                    np.asarray(g.zeros(10))[:] = 1
            s.run(lambda g: [np.asarray(g.zeros(10)) for _ in range(300)])
            gc.collect()
            self.assertLess(mappings(), before + 20)


if __name__ == "__main__":
    unittest.main()
