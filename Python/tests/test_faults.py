"""Deaths, signals, forks: what happens is said, and nothing is left."""
import os
import signal
import subprocess
import threading
import time
import unittest

import pto2
from pto2 import inout
from pto2.testing import Leftovers, processes

from .support import Case, needs_numpy, numpy as np


def workers():
    return [pid for pid, name in processes().items() if name == "pto2-worker"]


class DeathTests(Case):
    def kill_when_changed(self, tensor, pids):
        """Kills these as soon as a task has written the first element."""
        view = tensor.memoryview()

        def kill():
            while view[0] == 0:
                time.sleep(0.001)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        thread = threading.Thread(target=kill)
        thread.start()
        self.addCleanup(thread.join)

    def test_worker_that_is_killed(self):
        with self.session() as s:
            s.run(lambda g: g.submit("nothing"))

            def program(g):
                x = g.zeros(3)
                self.kill_when_changed(x, workers())
                for _ in range(6):
                    g.submit("nap", inout(x), 60, recovery="snapshot")
                return x.get(2)
            self.assertEqual(6, s.run(program))
            self.assertGreater(s.report["worker_restarts"], 0)

    def said_of_workers(self, field):
        """What /proc/PID/status says of each worker."""
        texts = [open(f"/proc/{pid}/status").read() for pid in workers()]
        self.assertEqual(3, len(texts))
        return {line.split(":")[1].strip() for text in texts for line in text.splitlines()
                if line.startswith(field + ":")}

    def test_pinned_workers(self):
        cpus = sorted(os.sched_getaffinity(0))
        for pin in ([cpus[-1]], str(cpus[-1])):
            with self.subTest(pin=pin), self.session(pin=pin) as s:
                s.run(lambda g: g.submit("nothing"))
                self.assertEqual({str(cpus[-1])}, self.said_of_workers("Cpus_allowed_list"))
        for pin, word in (("1-", "--pin=1- is not valid"), ([4095], "--pin=4095"),
                          (3, "pin=3: expected"), ([], "--pin= is not valid")):
            with self.subTest(pin=pin), self.refused(5, word):
                self.session(pin=pin)

    def test_confined_workers(self):
        try:
            s = self.session(confine=True)
        except pto2.Error as error:
            self.assertEqual(5, error.code)
            self.assertIn("needs Landlock", str(error))
            self.skipTest(str(error))
        with s:
            s.run(lambda g: g.submit("nothing"))
            self.assertEqual({"1"}, self.said_of_workers("NoNewPrivs"))
        with self.refused(5, "--memfd"):
            self.session(confine=True, memfd=True)

    def test_worker_that_is_killed_in_a_task_that_runs_once(self):
        with self.session() as s:
            s.run(lambda g: g.submit("nothing"))

            def program(g):
                x = g.zeros(3)
                self.kill_when_changed(x, workers())
                g.submit("hold", inout(x), 60000, recovery="once")
            with self.refused(200, "hold"):
                s.run(program)
            self.assertEqual(3, s.run(lambda g: g.submit("nothing") and 3))

    def test_scheduler_that_is_killed(self):
        with self.session() as s:
            s.run(lambda g: g.submit("nothing"))

            def program(g):
                x = g.zeros(3)
                self.kill_when_changed(
                    x, [p for p, n in processes().items() if n == "pto2-scheduler"])
                for _ in range(6):
                    g.submit("nap", inout(x), 60)
                return x.get(2)
            self.assertEqual(6, s.run(program))
            self.assertEqual(1, s.report["scheduler_restarts"])


class SignalTests(Case):
    """In this process: the main thread gets the signal."""

    def signal_soon(self, number=signal.SIGINT, delay=0.15):
        timer = threading.Timer(delay, os.kill, (os.getpid(), number))
        timer.start()
        self.addCleanup(timer.join)

    def end_kernels(self):
        """So that nobody has to wait 2 s until they are ended."""
        for pid in workers():
            os.kill(pid, signal.SIGKILL)

    def interrupted(self, session, program, *then):
        self.signal_soon()
        with self.assertRaises(KeyboardInterrupt):
            session.run(program)
        self.assertIs(signal.default_int_handler, signal.getsignal(signal.SIGINT))
        self.end_kernels()
        # And then it goes on.
        self.assertEqual("on", session.run(lambda g: g.submit("nothing") and "on"))

    def test_interrupt_while_the_program_waits(self):
        with self.session() as s:
            def program(g):
                g.submit("endless", recovery="once")
                g.wait()
                self.fail("it came back")
            self.interrupted(s, program)

    def test_interrupt_while_the_run_ends(self):
        with self.session() as s:
            self.interrupted(s, lambda g: g.submit("endless", recovery="once"))

    def test_interrupt_while_a_ring_is_full(self):
        with self.session(task_window=16, consumed_window=16) as s:
            def program(g):
                x = g.zeros(1)
                g.submit("endless", inout(x), recovery="once")
                while True:
                    g.submit("nothing", inout(x))
            self.interrupted(s, program)

    def test_interrupt_in_python(self):
        with self.session() as s:
            def program(g):
                g.submit("nothing")
                while True:
                    time.sleep(0.01)
            self.interrupted(s, program)

    def test_interrupt_of_an_element(self):
        with self.session() as s:
            def program(g):
                x = g.zeros(1)
                g.submit("endless", inout(x), recovery="once")
                x.get(0)
            self.interrupted(s, program)

    def test_interrupt_that_is_swallowed(self):
        with self.session() as s:
            def program(g):
                g.submit("endless", recovery="once")
                try:
                    g.wait()
                except KeyboardInterrupt:
                    pass
                return 1
            self.signal_soon()
            with self.refused(209):
                s.run(program)
            self.end_kernels()

    def test_other_signals_disturb_nothing(self):
        got = []
        with self.session() as s:
            @s.run
            def value(g):
                def handler(number, frame):
                    try:
                        g.zeros(1)
                    except pto2.Error as error:
                        got.append(str(error))
                    seen[0] = 1
                before = signal.signal(signal.SIGUSR1, handler)
                self.addCleanup(signal.signal, signal.SIGUSR1, before)
                x = g.zeros(1)
                seen = x.memoryview()
                # The task ends when the handler has run, however late that is.
                g.submit("until", inout(x), 60000)
                self.signal_soon(signal.SIGUSR1)
                g.wait()
                return x.get(0)
        self.assertEqual(2, value)
        # It came while the library waited, which is no time for calls.
        self.assertEqual(1, len(got))
        self.assertIn("has not returned", got[0])

    def test_no_handler_is_stolen(self):
        def handlers():
            with open("/proc/self/status") as status:
                return [line for line in status if line[:6] in ("SigBlk", "SigIgn", "SigCgt")]
        before = handlers()
        with self.session() as s:
            s.run(lambda g: g.submit("nothing"))
            self.assertEqual(before, handlers())


class ProcessTests(Case):
    """Programs of their own: how they end."""

    def test_interrupt_from_the_terminal(self):
        child = self.script("""
with pto2.Session(IMAGE) as s:
    def program(g):
        g.submit("endless")
        print("waits", flush=True)
        g.wait()
    s.run(program)
""", start_new_session=True)
        before = Leftovers()
        self.assertEqual("waits\n", child.stdout.readline())
        os.killpg(child.pid, signal.SIGINT)
        output, errors = child.communicate(timeout=60)
        self.assertIn("KeyboardInterrupt", errors)
        self.assertNotIn("Exception ignored", errors)
        self.assertEqual(-signal.SIGINT, child.returncode)
        self.assertEqual([], self.left(child.pid))
        self.assertEqual("", before.problem(10))

    def left(self, pid):
        """Names in /dev/shm of that process, after a while."""
        end = time.monotonic() + 10
        while True:
            found = [n for n in os.listdir("/dev/shm") if n.startswith(f"pto2-{pid}-")]
            if not found or time.monotonic() > end:
                return found
            time.sleep(0.02)

    def test_program_that_forgets_to_close(self):
        child = self.script("""
s = pto2.Session(IMAGE)
s.run(lambda g: g.submit("nothing"))
kept = s.run(lambda g: g.zeros(3))
print("done", flush=True)
""")
        output, errors = child.communicate(timeout=60)
        self.assertEqual(("done\n", ""), (output, errors))
        self.assertEqual(0, child.returncode)
        self.assertEqual([], self.left(child.pid))

    def test_program_that_is_killed(self):
        child = self.script("""
from pto2.testing import processes
s = pto2.Session(IMAGE)
def program(g):
    g.submit("endless")
    print(*processes(), flush=True)
    g.wait()
s.run(program)
""")
        pids = [int(word) for word in child.stdout.readline().split()]
        self.assertEqual(4, len(pids))
        child.kill()
        child.communicate()
        self.assertEqual([], self.left(child.pid))
        end = time.monotonic() + 20
        while any(self.is_pto2(pid) for pid in pids) and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual([], [pid for pid in pids if self.is_pto2(pid)])

    def is_pto2(self, pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                text = file.read()
        except OSError:
            return False
        return "(pto2-" in text and text[text.rindex(")") + 2] != "Z"

    def test_kernel_output_goes_to_standard_error(self):
        source = ('#include "pto2_kernel.h"\\n#include <stdio.h>\\n'
                  'static void hello(const pto2_kernel_args *a) { (void)a; puts("hello"); }\\n'
                  'PTO2_KERNELS({"hello", hello, PTO2_AIV})\\n')
        child = self.script(f"""
with pto2.Session('{source}') as s:
    s.run(lambda g: g.submit("hello"))
""")
        output, errors = child.communicate(timeout=60)
        self.assertEqual(("", "hello\n"), (output, errors))


class ForkTests(Case):
    def child(self, body):
        """Runs the body in a child of fork; its status."""
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                status = body() or 0
            except BaseException:
                import traceback
                traceback.print_exc()
            finally:
                os._exit(status)
        return os.WEXITSTATUS(os.waitpid(pid, 0)[1])

    def code_of(self, call):
        try:
            call()
        except pto2.Error as error:
            return error.code
        return 0

    def test_child_has_no_part(self):
        with self.session() as s:
            @s.run
            def result(g):
                x = g.zeros(2)
                codes = [self.child(lambda: self.code_of(call)) for call in (
                    lambda: g.zeros(1), lambda: g.submit("nothing"), g.wait,
                    lambda: g.scope().__enter__())]
                g.submit("nap", inout(x), 1)
                return codes, x.get(0)
            self.assertEqual(([5, 5, 5, 5], 1), result)
            self.assertEqual(5, self.child(lambda: self.code_of(lambda: s.run(lambda g: 1))))
            # The child closes nothing of its parent's.
            self.assertEqual(0, self.child(s.close))
            self.assertEqual(2, s.run(lambda g: g.submit("nothing") and 2))

    def test_child_can_open_no_session(self):
        with self.session() as s:
            s.run(lambda g: 1)

            def body():
                try:
                    with pto2.Session() as mine:
                        mine.run(lambda g: 1)
                except pto2.Error as error:
                    return error.code
            self.assertEqual(5, self.child(body))

    @needs_numpy
    def test_arrays_of_a_child_are_its_own(self):
        with self.session() as s:
            @s.run
            def _(g):
                array = np.asarray(g.zeros(4))
                array[0] = 1

                def body():
                    seen = array[0]
                    array[:] = 5
                    return 0 if seen == 1 and array.sum() == 20 else 1
                self.assertEqual(0, self.child(body))
                self.assertEqual([1, 0, 0, 0], list(array))

    def test_subprocess_in_a_run(self):
        with self.session() as s:
            @s.run
            def output(g):
                g.submit("nothing")
                return subprocess.run(["echo", "here"], stdout=subprocess.PIPE).stdout
        self.assertEqual(b"here\n", output)


if __name__ == "__main__":
    unittest.main()
