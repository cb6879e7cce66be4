"""Traces as record arrays of numpy."""
from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import Any, Dict, List

from . import _library
from ._numpy import numpy
from .errors import invalid


class Trace:
    """What a trace has: who, when. Times are nanoseconds of CLOCK_MONOTONIC
    (``time.monotonic_ns()``), 0 where nothing was recorded. Every array is a recarray of one
    dimension: ``trace.runs.ended - trace.runs.begun``.

    Attributes:
        tasks: ring, id, submitted, wired, ready, dispatched, completed, released, consumed,
            cause (the task whose end has made it ready, as an index of `tasks`, or -1), scope
            (of `scopes`, counted from 1; 0 for none), name (of `names`, in the same way).
        runs: a kernel, once: task (an index of `tasks`), kernel (of `kernels`), core (3 for each
            cluster: AIC, AIV, AIV), lane, slot (0 AIC, 1 AIV0, 2 AIV1), attempt (from 1),
            block, dispatched, begun, ended, lost (its worker has died).
        edges: producer and consumer, indexes of `tasks`; with trace_edges alone.
        events: time, core (or -1), kind, text: workers and schedulers that are ready or dead,
            faults.
        kernels: names of kernels.
        scopes: names of scopes.
        names: names of tasks.
        summary: what ``pto2 trace --json`` says, as a dictionary: counts, distributions, what
            was dropped.
    """

    tasks: Any
    runs: Any
    edges: Any
    events: Any
    kernels: List[str]
    scopes: List[str]
    names: List[str]
    summary: Dict[str, Any]

    def __repr__(self) -> str:
        return f"<pto2.Trace: {len(self.tasks)} tasks, {len(self.runs)} kernel runs>"


def read_trace(path: Any) -> Trace:
    """The trace in a file that ``Session(trace=...)``, or ``--trace`` of an orchestrator, has
    written in Perfetto's format when the session was closed.

    Raises:
        Error: 5 when the file is no such trace; says why.
        FileNotFoundError: the tool pto2 is not there.
        ImportError: without numpy.
    """
    np = numpy()
    with tempfile.TemporaryDirectory(prefix="pto2-trace-") as folder:
        done = subprocess.run(
            [str(_library.tool("pto2")), "trace", "--json", "--npy", folder, "--",
             os.fspath(path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # 1: complete, but for what was dropped.
        if done.returncode not in (0, 1):
            raise invalid(f"read_trace({os.fspath(path)!r}): " +
                          done.stderr.strip().replace("pto2: error: ", ""))
        arrays = {name: np.load(os.path.join(folder, name + ".npy"))
                  for name in ("tasks", "runs", "edges", "events", "kernels", "scopes", "names")}
    trace = Trace()
    trace.summary = json.loads(done.stdout)
    for name in ("tasks", "runs", "edges", "events"):
        setattr(trace, name, arrays[name].view(np.recarray))
    trace.kernels, trace.scopes, trace.names = (
        [text.decode() for text in arrays[name].tolist()]
        for name in ("kernels", "scopes", "names"))
    return trace
