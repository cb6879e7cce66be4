"""Kernel images: compiled from C or C++ into a cache, or there already."""
from __future__ import annotations

import ctypes as c
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

from . import _abi, _library
from .errors import CompileError, Error

_Path = Union[str, "os.PathLike[str]"]

C_SUFFIXES = (".c",)
CXX_SUFFIXES = (".cc", ".cpp", ".cxx", ".C", ".c++")
_TABLE = "pto2_kernel_table_v2"


class Image:
    """A kernel image on disk; a path for whoever wants one.

    Attributes:
        path: absolute.
        command: the compiler's command line, where it was compiled.
    """

    def __init__(self, path: _Path, command: Sequence[str] = ()) -> None:
        self.path = os.path.abspath(path)
        self.command = list(command)

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"<pto2.Image {self.path}>"


def kernels(*sources: _Path, language: Optional[str] = None, compiler: Optional[str] = None,
            flags: Sequence[str] = (), include: Sequence[_Path] = (),
            libraries: Sequence[str] = (), cache: Optional[_Path] = None) -> Image:
    """Compiles kernel sources into an image, unless the cache has it.

    The key of the cache is what the compiler reads (the preprocessed sources, headers
    included), its version and its flags: a change of any of these compiles again.

    Args:
        sources: paths of C or C++ files, or texts of C (a string with a line break). One of
            them has ``PTO2_KERNELS(...)``; pto2_kernel.h is found.
        language: "c" or "c++"; otherwise by the suffix, and "c" for a text.
        compiler: a command; otherwise $CC or cc, $CXX or c++.
        flags: added behind ``-O2 -g -fPIC -shared -Wall``.
        include: folders of headers.
        libraries: names, as in ``-lm``; libm is always there.
        cache: folder; otherwise $PTO2_CACHE, $XDG_CACHE_HOME/pto2 or ~/.cache/pto2.

    Raises:
        CompileError: with the compiler's output.
        FileNotFoundError: a source, the compiler, or pto2_kernel.h is not there.
    """
    if not sources:
        raise TypeError("kernels(): at least one source")
    if language not in (None, "c", "c++"):
        raise ValueError(f"language {language!r}: expected \"c\" or \"c++\"")
    with tempfile.TemporaryDirectory(prefix="pto2-kernels-") as folder:
        files = _files(sources, language, folder)
        is_cxx = language == "c++" or any(f.suffix in CXX_SUFFIXES for f in files)
        command = shlex.split(compiler or os.environ.get("CXX" if is_cxx else "CC", "") or
                              ("c++" if is_cxx else "cc"))
        if not command or shutil.which(command[0]) is None:
            raise FileNotFoundError(
                f"no compiler {command[0] if command else compiler!r} for kernels: install one, "
                "or say compiler=, $CC or $CXX")
        options = ["-O2", "-g", "-fPIC", "-Wall", *map(str, flags)]
        options += [f"-I{os.fspath(path)}" for path in (_library.include(), *include)]
        # A text has no name of its own: the same text, the same image.
        if any(str(f).startswith(folder) for f in files):
            options.append(f"-ffile-prefix-map={folder}=.")
        read = _run([*command, *options, "-E", *map(str, files)]).replace(
            folder.encode(), b".")
        version = _run([*command, "--version"])
        end = ["-shared", "-Wl,--build-id", *(f"-l{name}" for name in libraries), "-lm"]
        key = hashlib.sha256()
        for part in (read, version, repr([o for o in options if folder not in o]).encode(),
                     repr(end).encode(), str(_abi.KERNEL_MAJOR).encode()):
            key.update(len(part).to_bytes(8, "little") + part)
        store = _cache(cache)
        target = store / f"lib{files[0].stem}-{key.hexdigest()[:24]}.so"
        whole = [*command, *options, *map(str, files), *end]
        if not target.exists():
            # Beside it, so that it comes there whole.
            handle, made = tempfile.mkstemp(dir=store, prefix=".", suffix=".so")
            os.close(handle)
            try:
                _run([*whole, "-o", made])
                os.chmod(made, 0o755)
                os.replace(made, target)
            finally:
                if os.path.exists(made):
                    os.unlink(made)
        return Image(target, whole)


def _files(sources: Sequence[_Path], language: Optional[str], folder: str) -> List[Path]:
    files = []
    for number, source in enumerate(sources):
        if isinstance(source, str) and "\n" in source:
            suffix = ".cpp" if language == "c++" else ".c"
            file = Path(folder) / f"kernels{number or ''}{suffix}"
            file.write_text(source)
        else:
            file = Path(source)
            if not file.is_file():
                raise FileNotFoundError(f"no kernel source {os.fspath(source)}")
            if file.suffix not in C_SUFFIXES + CXX_SUFFIXES:
                raise ValueError(f"kernel source {os.fspath(source)}: expected a suffix of "
                                 f"{' '.join(C_SUFFIXES + CXX_SUFFIXES)}")
            file = file.absolute()
        files.append(file)
    return files


def _cache(folder: Optional[_Path]) -> Path:
    chosen = folder or os.environ.get("PTO2_CACHE")
    if not chosen:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        chosen = os.path.join(base, "pto2")
    path = Path(chosen).absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


def _run(command: Sequence[str]) -> bytes:
    # In the C locale, so that messages are the same everywhere.
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        output = done.stderr.decode("utf-8", "replace")
        raise CompileError(
            f"the compiler refuses the kernels:\n{output.rstrip()}\n"
            f"  command: {' '.join(map(shlex.quote, command))}", command, output)
    return done.stdout


def resolve(image: Any) -> str:
    """The absolute path of an image: an `Image`, a path, a source, or a name that is looked up
    as NAME and libNAME.so in $PTO2_KERNEL_PATH and beside libpto2.so.

    Raises:
        Error: 205 when there is none.
    """
    try:
        text = os.fspath(image)
    except TypeError:
        raise Error(205, f"image {image!r}: expected a path, a name or pto2.kernels(...)") from None
    if isinstance(image, str) and "\n" in image:
        return kernels(image).path
    if text.endswith(C_SUFFIXES + CXX_SUFFIXES):
        return kernels(text).path
    if "/" in text or os.path.exists(text) or text.endswith(".so"):
        if not os.path.exists(text):
            raise Error(205, f"kernel image {text}: no such file")
        return os.path.abspath(text)
    folders = [f for f in os.environ.get("PTO2_KERNEL_PATH", "").split(":") if f]
    folders.append(str(_library.path().parent))
    for folder in folders:
        for name in (text, f"lib{text}.so"):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return os.path.abspath(path)
    raise Error(205, f"kernel image {text}: no {text} and no lib{text}.so in {', '.join(folders)}")


class _Entry(c.Structure):
    _fields_ = [("name", c.c_char_p), ("function", c.c_void_p), ("core_type", c.c_uint32)]


class _Table(c.Structure):
    _fields_ = [
        ("magic", c.c_uint32), ("major", c.c_uint32), ("bytes", c.c_uint32),
        ("entry_bytes", c.c_uint32), ("args_bytes", c.c_uint32), ("count", c.c_uint32),
        ("entries", c.c_void_p),
    ]


def table(path: str) -> Dict[str, int]:
    """The kernels of an image that the library has loaded and found valid, and their core
    types."""
    library = c.CDLL(path)
    found = _Table.in_dll(library, _TABLE)
    result = {}
    for index in range(found.count):
        entry = _Entry.from_address(found.entries + index * found.entry_bytes)
        result[entry.name.decode("utf-8", "replace")] = entry.core_type
    return result
