"""Tasks, scopes, order, conditions, blocks, recordings."""
import struct
import unittest

import pto2
from pto2 import inout, out, overwrite

from .support import Case, needs_numpy, numpy as np


class GraphTests(Case):
    """Without numpy: memoryviews."""

    def floats(self, graph, values):
        tensor = graph.zeros(len(values))
        view = tensor.memoryview()
        for i, value in enumerate(values):
            view[i] = value
        return tensor

    def test_result_without_numpy(self):
        with self.session() as s:
            @s.run
            def result(g):
                x = self.floats(g, [1, 2, 3])
                g.submit("scale", inout(x), 2.0)
                total = g.submit("add", x, x, out(3, "float32")).output
                g.wait()
                return list(total.memoryview())
        self.assertEqual([4, 8, 12], result)

    def test_order_follows_from_tensors(self):
        with self.session(clusters=2) as s:
            @s.run
            def result(g):
                log = g.zeros(200, "int32")
                for i in range(100):
                    g.submit("append", inout(log), i)
                g.wait()
                return list(log.memoryview())
        self.assertEqual([100, *range(100)], result[:101])

    def test_report(self):
        with self.session() as s:
            self.assertEqual({}, s.report)

            def program(g):
                for _ in range(10):
                    g.submit("nothing")

            s.run(program)
            self.assertEqual(10, s.report["tasks"])
            self.assertEqual(10, s.report["kernels"])
            self.assertEqual(0, s.report["worker_restarts"])
            self.assertGreater(s.report["nanoseconds"], 0)

    def test_arguments_of_a_program(self):
        with self.session() as s:
            self.assertEqual((1, 2), s.run(lambda g, a, b: (a, b), 1, b=2))

    def test_machine(self):
        with self.session(clusters=2, lanes=3, rings=2, threads=2) as s:
            machine = s.run(lambda g: g.machine)
        self.assertEqual((2, 6, 3, 2, 2, 0, 1), tuple(machine))

    def test_scalars(self):
        given = [1.5, 7, -1, True, 2**64 - 1, pto2.double(0.1)]
        with self.session() as s:
            @s.run
            def bits(g):
                t = g.submit("scalars", out(6, "uint64"), *given).output
                g.wait()
                return list(t.memoryview())
        single = struct.unpack("<I", struct.pack("<f", 1.5))[0]
        double = struct.unpack("<Q", struct.pack("<d", 0.1))[0]
        self.assertEqual([single, 7, 2**64 - 1, 1, 2**64 - 1, double], bits)

    def test_scopes_give_memory_back(self):
        # 64 outputs of 64 KiB in a heap of 256 KiB: only with scopes.
        with self.session(heap=256 << 10) as s:
            @s.run
            def _(g):
                for _ in range(64):
                    with g.scope():
                        g.submit("nothing", out(16384, "float32"))
            with self.refused(2):
                s.run(lambda g: [g.submit("nothing", out(16384, "float32")) for _ in range(64)])

    def test_output_of_an_ended_scope(self):
        with self.session() as s:
            @s.run
            def _(g):
                with g.scope():
                    t = g.submit("nothing", out(4, "float32")).output
                with self.refused(5, "scope has ended"):
                    t.memoryview()

    def test_manual_scope_and_dependencies(self):
        with self.session(clusters=2) as s:
            @s.run
            def result(g):
                log = g.zeros(16, "int32")
                entry = g.barrier(log)
                with g.scope("names are for tools", manual=True):
                    last = g.submit("nap", 30, after=entry)
                    last = g.submit("append", inout(log), 1, after=[last, entry])
                    last = g.submit("append", inout(log), 2, after=last.id)
                    last = g.submit("append", inout(log), 3, after=last)
                g.barrier(log, after=last)
                g.submit("append", inout(log), 4)
                g.wait()
                return list(log.memoryview())[:5]
        self.assertEqual([4, 1, 2, 3, 4], result)

    def test_retain_keeps_outputs(self):
        with self.session() as s:
            @s.run
            def value(g):
                first = g.submit("scalars", out(1, "uint64"), 42)
                t = g.submit("nothing", retain=first)
                g.wait()
                self.assertNotEqual(first.id, t.id)
                return first.output.get(0)
        self.assertEqual(42, value)

    def test_blocks(self):
        with self.session(clusters=2) as s:
            @s.run
            def result(g):
                x, y = g.zeros(10, "int32"), g.zeros(4, "int32")
                g.submit("block", inout(x), blocks=10)
                g.submit("block", inout(y), blocks=4, sync_start=True)
                g.wait()
                return list(x.memoryview()), list(y.memoryview())
            self.assertEqual((list(range(1, 11)), [1, 2, 3, 4]), result)
            with self.refused(7):
                s.run(lambda g: g.submit("block", inout(g.zeros(9, "int32")), blocks=9,
                                         sync_start=True))

    def test_mixed_task(self):
        with self.session() as s:
            @s.run
            def result(g):
                x = g.zeros(3, "int32")
                g.submit(("mark_aic", "mark", "mark"), inout(x))
                y = g.zeros(3, "int32")
                g.submit("mark_aic", inout(y))
                g.wait()
                return list(x.memoryview()), list(y.memoryview())
        self.assertEqual(([1, 2, 3], [1, 0, 0]), result)

    def test_conditions(self):
        comparisons = {"==": lambda a, b: a == b, "!=": lambda a, b: a != b,
                       ">": lambda a, b: a > b, "<": lambda a, b: a < b,
                       ">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b}
        cases = [(name, element, value) for name in comparisons for element in (-1, 2, 3)
                 for value in (2, -1)]
        with self.session() as s:
            @s.run
            def logs(g):
                found = []
                for name, element, value in cases:
                    flag, log = g.zeros((2, 2), "int32"), g.zeros(2, "int32")
                    flag.set(1, 0, element)
                    g.submit("append", inout(log), 5,
                             when=pto2.when(flag, (1, 0), name, value))
                    found.append(log)
                g.wait()
                return [log.get(0) for log in found]
            self.assertEqual([int(comparisons[n](e, v)) for n, e, v in cases], logs)

            @s.run
            def real(g):
                flag, log = g.zeros(()), g.zeros(2, "int32")
                flag.set(0.5)
                g.submit("append", inout(log), 1, when=pto2.when(flag, (), ">", 0.25))
                g.submit("append", inout(log), 1, when=pto2.when(flag, (), ">", 0.75))
                return log.get(0)
            self.assertEqual(1, real)

    def test_elements(self):
        values = {"int8": -7, "uint16": 65535, "int64": -2**62, "float16": 0.5, "float32": 1.25,
                  "uint64": 2**64 - 1}
        with self.session() as s:
            @s.run
            def _(g):
                for name, value in values.items():
                    t = g.zeros((3, 4), name)
                    t.set(2, 3, value)
                    self.assertEqual(value, t.get(2, 3))
                    self.assertEqual(0, t.get(0, 0))
                self.assertEqual(2.5, g.full((4,), 2.5).get(3))
                with self.refused(5, "as uint16"):
                    g.zeros(1, "uint16").set(0, 70000)

    def test_element_that_is_not_ready(self):
        with self.session() as s, self.refused(8):
            @s.run
            def _(g):
                x = g.zeros(1)
                g.submit("nap", inout(x), 300)
                x.get(0, timeout=0.01)

    def test_replay(self):
        with self.session() as s:
            @s.run
            def template(g):
                x = self.floats(g, [1, 2])
                with g.scope():
                    with g.record([x], [3.0]) as r:
                        a = g.submit("add", x, x, out(2, "float32")).output
                        g.submit("scale", inout(a), pto2.hole(0))
                        r.outputs = [a]
                    g.wait()
                    self.assertEqual([6, 12], list(a.memoryview()))
                    first, = g.replay(r.template, [a], [0.5])
                    again, = g.replay(r.template, [first], [1.0])
                    g.wait()
                    self.assertEqual([12, 24], list(again.memoryview()))
                    with self.refused(5, "recorded were"):
                        g.replay(r.template, [g.zeros(3)], [1.0])
                return r.template
            # In another run of the session.
            @s.run
            def result(g):
                y, = g.replay(template, [self.floats(g, [5, 6])], [10.0])
                g.wait()
                template.free(g)
                with self.refused(5, "freed"):
                    g.replay(template, [y], [1.0])
                return list(y.memoryview())
        self.assertEqual([100, 120], result)

    def test_only_tasks_are_recorded(self):
        with self.session() as s:
            @s.run
            def _(g):
                x = g.zeros(2)
                with g.record([x]):
                    g.submit("nothing", x)
                    for call in (g.wait, lambda: g.zeros(1), lambda: x.memoryview(),
                                 lambda: g.scope().__enter__(), lambda: x.get(0)):
                        with self.refused(5, "only tasks can be recorded"):
                            call()
                g.wait()

    def test_free_gives_memory_back(self):
        with self.session(arena=1 << 20) as s:
            @s.run
            def kept(g):
                views = []
                for i in range(8):
                    t = g.zeros(150000)
                    view = t.memoryview()
                    self.assertEqual(0, view[7])
                    view[7] = i + 1
                    g.free(t)
                    with self.refused(5, "freed"):
                        g.free(t)
                    views.append(view)
                # What is looked at keeps its contents, whoever has the memory now.
                return views
            self.assertEqual(list(range(1, 9)), [view[7] for view in kept])
            with self.refused(208, "arena"):
                s.run(lambda g: [g.zeros(150000) for _ in range(3)])

    def test_kept_output_goes_from_step_to_step(self):
        with self.session(arena=1 << 12, heap=1 << 12) as s:
            def steps(g, count):
                state = self.floats(g, [1, 2])
                for i in range(count):
                    with g.scope():
                        half = g.submit("copy", state, out(2, "float32")).output
                        following = g.submit("copy", half, out(2, "float32", keep=True)).output
                    g.free(state)
                    state = following
                with self.refused(5, "kept output"):
                    g.free(half)
                return list(state.memoryview())
            self.assertEqual([1, 2], s.run(lambda g: steps(g, 500)))
            with self.refused(208, "kept output"):
                s.run(lambda g: g.submit(
                    "copy", self.floats(g, [1]), out(2000, "float32", keep=True)))

            def recorded(g):
                x = self.floats(g, [1])
                with g.record([x]):
                    with self.refused(5, "only tasks can be recorded"):
                        g.submit("copy", x, out(1, "float32", keep=True))
                    g.submit("nothing", x)
            s.run(recorded)

    @needs_numpy
    def test_kept_outputs_of_many(self):
        with self.session() as s:
            @s.run
            def result(g):
                x = g.tensor(np.arange(8, dtype=np.float32))
                with g.scope():
                    kept = g.submit_many("copy", x.tiles((2,)), out(2, "float32", keep=True)).output
                rows = kept.numpy().tolist()
                # What is looked at keeps its contents, whichever way the tensor was got.
                view = np.asarray(kept[1])
                g.free(kept[1:3][0])
                for use in (lambda: g.free(kept[1]), kept.numpy, kept[:2].numpy):
                    with self.refused(5, "freed"):
                        use()
                self.assertEqual([[4, 5], [6, 7]], kept[2:].numpy().tolist())
                for tensor in kept[0], kept[2], kept[3]:
                    g.free(tensor)
                g.wait()
                others = [g.zeros(2) for _ in range(8)]
                self.assertEqual([0, 0], list(others[0].memoryview()))
                return rows, view.tolist()
        self.assertEqual(([[0, 1], [2, 3], [4, 5], [6, 7]], [2, 3]), result)

    @needs_numpy
    def test_kept_outputs_are_not_recorded(self):
        with self.session() as s:
            def program(g):
                x = g.tensor(np.arange(4, dtype=np.float32))
                batch = g.batch("copy", x.tiles((2,)), out(2, "float32", keep=True))
                with g.record([x]):
                    with self.refused(5, "only tasks can be recorded"):
                        g.submit_many(batch)
                    g.submit("nothing", x)
            s.run(program)

    def test_overwrite_and_unordered(self):
        with self.session() as s:
            @s.run
            def result(g):
                x = self.floats(g, [1, 2])
                y = g.zeros(2)
                g.submit("copy", x, overwrite(y))
                g.submit("nothing", pto2.unordered(y))
                g.wait()
                return list(y.memoryview())
        self.assertEqual([1, 2], result)

    def test_unordered_after_its_creator(self):
        with self.session(clusters=2) as s:
            @s.run
            def result(g):
                x = g.submit("late", out(1, "float32"), 200).output
                seen = g.submit("copy", pto2.unordered(x, after_creator=True), out(1, "float32"))
                return seen.output.get(0)
        self.assertEqual(41.0, result)


@needs_numpy
class RandomGraphTests(Case):
    """Programs made by chance, against numpy that does the same in order."""

    def test_against_numpy(self):
        for seed in range(3):
            rng = np.random.default_rng(seed)
            with self.session(clusters=2) as s:
                arrays = [rng.integers(0, 4, (6, 8)).astype(np.float32) for _ in range(4)]

                def program(g):
                    tensors = [g.tensor(a) for a in arrays]
                    for _ in range(150):
                        a, b, c = rng.integers(0, 4, 3)
                        i, j = rng.integers(0, 4, 2)
                        piece = np.s_[i:i + 3, j:j + 5:2]
                        if rng.random() < 0.5:
                            factor = float(rng.integers(0, 3)) / 2
                            g.submit("scale", inout(tensors[a][piece]), factor)
                            arrays[a][piece] *= np.float32(factor)
                        else:
                            with g.scope():
                                t = g.submit("add", tensors[a][piece], tensors[b][piece],
                                             out((3, 3), "float32")
                                             if arrays[a][piece].shape == (3, 3) else
                                             out(arrays[a][piece].shape, "float32")).output
                                g.submit("add", t, t, overwrite(tensors[c][piece]))
                            total = arrays[a][piece] + arrays[b][piece]
                            arrays[c][piece] = total + total
                    return tensors
                for expected, tensor in zip(arrays, s.run(program)):
                    np.testing.assert_array_equal(expected, np.asarray(tensor))


if __name__ == "__main__":
    unittest.main()
