"""What tests of programs with pto2 need: is anything left?"""
from __future__ import annotations

import os
import time
from typing import Dict, List, Set

_FOLDER = "/dev/shm"


class Leftovers:
    """Processes and segments that there were when it was made, and what came later.

    Looks at this process and its descendants alone: other sessions of the machine do not
    matter.

    Attributes:
        seconds: how long the fixture `pto2_clean` waits for what is left to go.
    """

    def __init__(self) -> None:
        self.seconds = 10.0
        self._names: Set[str] = set()
        self._processes = set(processes())
        self._segments = set(self._found())

    def watch(self, *segments: str) -> None:
        """Names of segments, as given to `Session`, that must be gone, too."""
        self._names.update(segments)

    def _found(self) -> List[str]:
        prefix = f"pto2-{os.getpid()}-"
        try:
            names = os.listdir(_FOLDER)
        except OSError:
            names = []
        return [name for name in names if name.startswith(prefix) or name in self._names]

    def problem(self, seconds: float = 0) -> str:
        """What is left after so many seconds at most, in words; "" for nothing."""
        end = time.monotonic() + seconds
        while True:
            left = {pid: name for pid, name in processes().items() if pid not in self._processes}
            segments = [name for name in self._found() if name not in self._segments]
            if not left and not segments:
                return ""
            if time.monotonic() >= end:
                words = [f"process {pid} ({name})" for pid, name in sorted(left.items())]
                words += [f"{_FOLDER}/{name}" for name in sorted(segments)]
                return "left behind: " + ", ".join(words)
            time.sleep(0.02)


def processes() -> Dict[int, str]:
    """pto2's processes among the descendants of this one: their ids and names, also of those
    that are dead and not waited for."""
    parents: Dict[int, int] = {}
    names: Dict[int, str] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                text = file.read().decode("utf-8", "replace")
        except OSError:
            continue
        # The name is in parentheses, and may have some.
        begin, end = text.index("("), text.rindex(")")
        names[int(entry)] = text[begin + 1:end]
        parents[int(entry)] = int(text[end + 2:].split()[1])
    own = os.getpid()
    found = {}
    for pid, name in names.items():
        if not name.startswith("pto2-"):
            continue
        ancestor, seen = parents[pid], 0
        while ancestor in parents and ancestor != own and seen < 64:
            ancestor, seen = parents[ancestor], seen + 1
        if ancestor == own:
            found[pid] = name
    return found
