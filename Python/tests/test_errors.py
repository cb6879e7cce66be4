"""Every wrong use is an Error with a code and words, and the session goes on."""
import pickle
import unittest

import pto2
from pto2 import inout, out

from .support import Case, needs_numpy, numpy as np


class ErrorTests(Case):
    def test_what_is_refused_leaves_the_run_as_it_was(self):
        with self.session() as s:
            @s.run
            def result(g):
                x = g.zeros((4, 6))
                refused = [
                    ("no kernel 'axpy'", lambda: g.submit("axpy", x)),
                    ("expected a name", lambda: g.submit(7, x)),
                    ("there is add,", lambda: g.submit((None, "7", None), x)),
                    ("is for AIV", lambda: g.submit(("add", None, None), x)),
                    ("places for AIC", lambda: g.submit(("add",) * 4, x)),
                    ("float64", lambda: g.zeros(3, "float64")),
                    ("astype('float32')", lambda: g.zeros(3, "float64")),
                    ("extent is negative", lambda: g.zeros(-1)),
                    ("0 to 5 extents", lambda: g.zeros((1,) * 6)),
                    ("fewer than 2**32", lambda: g.zeros((1 << 20, 1 << 20))),
                    ("expected a number", lambda: g.zeros("wide")),
                    ("the extent is 4", lambda: x[4]),
                    ("has 2 dimensions", lambda: x[0, 0, 0]),
                    ("step of at least 1", lambda: x[::-1]),
                    ("expected numbers and slices", lambda: x["a"]),
                    ("lose a dimension", lambda: x[:, 2]),
                    ("numbers of elements", lambda: x.reshape(5, 5)),
                    ("has gaps", lambda: x[:, ::2].reshape(12)),
                    ("transpose of dimensions", lambda: x.transpose(0, 2)),
                    ("broadcast", lambda: x.broadcast(3, 6)),
                    ("does not fit into a float32", lambda: g.submit("scale", inout(x), 1e300)),
                    ("does not fit into 64", lambda: g.submit("scale", inout(x), 1 << 64)),
                    ("expected a tensor", lambda: g.submit("scale", "x")),
                    ("expected a tensor", lambda: g.submit("scale", inout(5))),
                    ("33 tensors", lambda: g.submit("add", *[x] * 33)),
                    ("17 scalars", lambda: g.submit("add", *[1] * 17)),
                    ("recovery 'never'", lambda: g.submit("add", x, recovery="never")),
                    ("blocks=0", lambda: g.submit("add", x, blocks=0)),
                    ("tasks or ids", lambda: g.submit("add", x, after="first")),
                    ("pto2.when", lambda: g.submit("add", x, when=True)),
                    ("comparison '<>'", lambda: pto2.when(x, (0, 0), "<>", 1)),
                    ("index (9, 0)", lambda: pto2.when(x, (9, 0), "<", 1)),
                    ("whole number", lambda: pto2.when(g.zeros(1, "int8"), 0, "<", 1.5)),
                    ("outside of a recording", lambda: g.submit("add", pto2.hole(0))),
                    ("0 outputs", lambda: g.submit("nothing").output),
                    ("neither external nor", lambda: g.free(g.empty(3))),
                    ("index (4, 0)", lambda: x.get(4, 0)),
                    ("no template", lambda: g.replay(None)),
                ]
                for word, call in refused:
                    with self.refused(5, word):
                        call()
                g.submit("scale", inout(x), 1.0)
                g.wait()
                return "as ever"
        self.assertEqual("as ever", result)

    @needs_numpy
    def test_arrays_that_are_refused(self):
        with self.session() as s:
            @s.run
            def _(g):
                for word, value in [("float64", np.zeros(3)), ("complex64", np.zeros(3, "c8")),
                                    (">f4", np.zeros(3, ">f4")),
                                    ("0 to 5", np.zeros((1,) * 6, np.int8)),
                                    ("no array", [[1, 2], [3]]), ("object", [object()])]:
                    with self.refused(5, word):
                        g.tensor(value)
                with self.refused(5, "g.tensor(array)"):
                    g.submit("scale", inout(g.zeros(1)), np.zeros(3, np.float32))

    def test_error_that_ends_the_run(self):
        with self.session() as s:
            with self.refused(9, "enough") as refused:
                @s.run
                def _(g):
                    with self.refused(9, "enough"):
                        g.fail("enough")
                    # From now on every call has it.
                    with self.refused(9, "enough"):
                        g.zeros(1)
            self.assertEqual("EXPLICIT_ORCH_FATAL", refused.error.name)
            self.assertEqual("enough", refused.error.message)
            self.assertEqual(7, s.run(lambda g: 7))

    def test_codes_of_a_program(self):
        with self.session() as s:
            with self.refused(1007, "mine") as refused:
                s.run(lambda g: g.fail("mine", code=1007))
            self.assertEqual("PROGRAM", refused.error.name)
            for code in (0, 5, 999, 1040):
                with self.refused(5, f"code {code}"):
                    s.run(lambda g: g.fail("no", code=code))
            self.assertEqual(7, s.run(lambda g: 7))

    def test_log(self):
        output, errors = self.script("""
with pto2.Session(IMAGE) as s:
    @s.run
    def _(g):
        g.log("so far")
        g.log("look at this", "warning")
        g.log("not this", "debug")
        try:
            g.log("x", "loud")
        except pto2.Error as error:
            print(error.code, "expected one of error, warning" in error.message)
""").communicate(timeout=60)
        self.assertEqual("5 True\n", output)
        self.assertEqual("pto2: info: so far\npto2: warning: look at this\n", errors)

    def test_fields(self):
        with self.session(heap=1 << 16) as s:
            with self.refused(2) as refused:
                s.run(lambda g: g.submit("nothing", out(1 << 20, "float32")))
        error = refused.error
        self.assertEqual(("HEAP_RING_DEADLOCK", 4 << 20, 1 << 16),
                         (error.name, error.needed, error.available))
        self.assertEqual(0, error.ring)
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((str(error), error.needed), (str(again), again.needed))

    def test_program_that_raises(self):
        with self.session() as s:
            for _ in range(3):
                with self.assertRaisesRegex(ValueError, "mine"):
                    @s.run
                    def _(g):
                        with g.scope():
                            g.submit("nap", 5)
                            raise ValueError("mine")
                self.assertEqual(1, s.run(lambda g: 1))
            with self.assertRaises(SystemExit):
                s.run(lambda g: exit(3))
            with self.assertRaises(GeneratorExit):
                s.run(self.ends)
            self.assertEqual(1, s.run(lambda g: 1))

    def ends(self, graph):
        raise GeneratorExit

    def test_exception_that_is_caught_in_the_program(self):
        with self.session() as s:
            @s.run
            def result(g):
                x = g.zeros(2)
                try:
                    with g.scope():
                        with g.scope(manual=True):
                            raise KeyError
                except KeyError:
                    pass
                g.submit("nap", inout(x), 1)
                return x.get(0)
        self.assertEqual(1, result)

    def test_name_of_a_scope_is_a_text(self):
        with self.session() as s:
            @s.run
            def result(g):
                for name in (b"x", True, "a\0b"):
                    with self.refused(5, "the name of a scope is"):
                        g.scope(name)
                with g.scope("\u00e9" * 100):
                    return 1
        self.assertEqual(1, result)

    def test_kernel_that_crashes(self):
        with self.session() as s:
            with self.refused(200, "crash", "SIGABRT") as refused:
                s.run(lambda g: g.submit("crash"))
            self.assertIsNotNone(refused.error.task)
            with self.refused(200):
                @s.run
                def _(g):
                    g.submit("crash")
                    g.wait()
            self.assertEqual(5, s.run(lambda g: g.submit("nothing") and 5))

    def test_failed_task_is_said_with_its_name(self):
        with self.session() as s:
            with self.refused(200, '"r\u00f6w 7" failed'):
                s.run(lambda g: g.submit("crash", name="r\u00f6w 7"))
            for name in (7, b"row"):
                with self.refused(5, f"name={name!r}: expected a str"):
                    s.run(lambda g: g.submit("crash", name=name))

    def test_sessions_that_cannot_be(self):
        # None of these leaves anything.
        for code, options in [
                (5, dict(clusters=41)), (5, dict(clusters=0)), (5, dict(clusters="2")),
                (5, dict(rings=9)), (5, dict(heap=100)), (5, dict(task_window=3)),
                (5, dict(heap=[1 << 20] * 3, dep_pool=[16] * 4)), (5, dict(rings=2, heap=[64])),
                (5, dict(segment="-no")), (5, dict(attach_timeout=-1)), (5, dict(lanes=65)),
                (5, dict(memfd=True, segment="both")), (5, dict(arena=-5)),
                (204, dict(executables="/no/such/folder"))]:
            with self.refused(code):
                self.session(**options)
        for word, image in [("no such file", "/no/such.so"), ("no lib", "nosuchimage"),
                            ("expected a path", 7)]:
            with self.refused(205, word):
                self.session(image)
        with self.refused(205, "17"):
            self.session(*["/bin/true"] * 17)
        with self.refused(205):
            self.session("/bin/true")

    def test_closed_session(self):
        s = self.session()
        s.close()
        s.close()
        self.assertTrue(s.closed)
        with self.refused(5, "closed"):
            s.run(lambda g: 1)

    def test_one_run_at_a_time(self):
        with self.session() as s:
            @s.run
            def _(g):
                with self.refused(5, "one at a time"):
                    s.run(lambda g: 1)
                with self.refused(5, "inside a run"):
                    s.close()
            with self.assertRaises(TypeError):
                s.run(5)

    def test_graph_on_another_thread(self):
        import threading
        with self.session() as s:
            @s.run
            def result(g):
                codes = []

                def other():
                    for call in (lambda: g.zeros(1), lambda: g.submit("nothing"), g.wait):
                        try:
                            call()
                        except pto2.Error as error:
                            codes.append(error.code)
                thread = threading.Thread(target=other)
                thread.start()
                thread.join()
                return codes
        self.assertEqual([5, 5, 5], result)

    def test_sessions_of_several_threads(self):
        import threading
        results = {}

        def work(number, session):
            for _ in range(5):
                def program(g):
                    log = g.zeros(60, "int32")
                    for i in range(50):
                        g.submit("append", inout(log), i + number)
                    g.wait()
                    return list(log.memoryview())[1:51]
                results.setdefault(number, []).append(session.run(program))
        with self.session() as a, self.session() as b:
            threads = [threading.Thread(target=work, args=(n, s)) for n, s in ((0, a), (7, b))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for number in (0, 7):
            self.assertEqual([list(range(number, number + 50))] * 5, results[number])

    def test_two_sessions(self):
        with self.session() as a, self.session(clusters=2) as b:
            def program(g):
                x = g.zeros(4)
                g.submit("nap", inout(x), 1)
                return b.run(lambda h: h.machine.clusters), x.get(3)
            self.assertEqual((2, 1), a.run(program))


if __name__ == "__main__":
    unittest.main()
