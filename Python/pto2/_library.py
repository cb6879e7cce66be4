"""Where libpto2.so, its processes and its headers are."""
from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import threading
from pathlib import Path
from typing import Iterator, Optional

from . import _abi

_HERE = Path(__file__).resolve().parent
_lock = threading.Lock()
_loaded: Optional[ctypes.CDLL] = None


def _candidates() -> Iterator[Path]:
    # A wheel has everything inside; its library finds the executables in ../bin.
    yield _HERE / "native" / "lib" / "libpto2.so.1"
    home = os.environ.get("PTO2_HOME")
    if home:
        yield Path(home) / "lib" / "libpto2.so.1"
        return
    yield _HERE.parent.parent / ".build" / "release" / "libpto2.so.1"
    for prefix in ("/usr/local", "/usr"):
        yield Path(prefix) / "lib" / "libpto2.so.1"


def path() -> Path:
    """libpto2.so: in the installed package, in ``$PTO2_HOME/lib``, in the checkout's release
    build, in /usr/local/lib, in /usr/lib; the first that is there.

    Raises:
        FileNotFoundError: there is none; says where it was looked for.
    """
    tried = []
    for candidate in _candidates():
        if candidate.exists():
            return candidate
        tried.append(str(candidate))
    raise FileNotFoundError(
        "libpto2.so.1 is in none of " + ", ".join(tried) +
        ": install the wheel, set PTO2_HOME to the prefix of `make install`, or `make build`")


def include() -> Path:
    """The folder of pto2_kernel.h that belongs to the library.

    Raises:
        FileNotFoundError: there is none beside this library.
    """
    library = path()
    prefix = library.parent.parent
    checkout = _HERE.parent.parent
    for folder in (prefix / "include" / "pto2", checkout / "Sources" / "CPTO2" / "include"):
        if (folder / "pto2_kernel.h").exists():
            return folder
    raise FileNotFoundError(f"no pto2_kernel.h in {prefix}/include/pto2, which {library} is of")


def _find_link() -> None:
    """What pto2-link loads under mpirun, where the package pto2-mpi has it."""
    if "PTO2_LINK" in os.environ:
        return
    found = importlib.util.find_spec("pto2_mpi")
    if found is not None and found.origin is not None:
        os.environ["PTO2_LINK"] = str(Path(found.origin).parent / "libpto2-link-mpi.so")


def load() -> ctypes.CDLL:
    """Loads the library, once.

    Raises:
        FileNotFoundError: as `path`.
        OSError: it cannot be loaded, or is of another version.
    """
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                where = path()
                _find_link()
                library = ctypes.CDLL(str(where))
                try:
                    _abi.declare(library)
                except AttributeError as error:
                    raise OSError(f"{where} is of another version: {error}") from None
                _loaded = library
    return _loaded


def tool(name: str) -> Path:
    """An executable such as pto2 or pto2-orchestrator that belongs to the library.

    Raises:
        FileNotFoundError: there is none beside this library, and none on the PATH.
    """
    library = path()
    _find_link()
    for folder in (library.parent, library.parent.parent / "bin"):
        # A folder has the executable's name in lib.
        if (folder / name).is_file() and os.access(folder / name, os.X_OK):
            return folder / name
    found = shutil.which(name)
    if found:
        return Path(found)
    raise FileNotFoundError(
        f"no {name} beside {library} or in ../bin from there, and none on the PATH: "
        "install pto2 again, or `make build`")
