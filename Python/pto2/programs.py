"""Programs written for the original: compiled by `pto2 compile`, run by pto2-orchestrator."""
from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from . import _library
from .errors import CompileError, Error

_Path = Union[str, "os.PathLike[str]"]


class Refused(CompileError):
    """What `pto2 compile` does not take.

    Attributes:
        kind: "unsupported" (pto2 does not have it), "refused-source", "refused-compiler",
            "no-tool", "no-source" or "lost-output".
    """

    def __init__(self, kind: str, message: str, command: Sequence[str]) -> None:
        super().__init__(message, command, message)
        self.kind = kind


class Program:
    """A compiled orchestration and its image.

    Attributes:
        path: of the shared object, for pto2-orchestrator.
        image: of the kernels.
        report: what `pto2 compile --json` says.
    """

    def __init__(self, report: Dict[str, Any]) -> None:
        self.path: str = report["program"]
        self.image: str = report["image"]
        self.report = report

    def __repr__(self) -> str:
        return f"<pto2 program {self.path}>"

    def run(self, arguments: Sequence[str], options: Sequence[str] = (),
            timeout: Optional[float] = None) -> Dict[str, Any]:
        """Runs it in a session of its own, in processes of its own.

        Args:
            arguments: its tensors and scalars, as docs/compat.md has them.
            options: of pto2-orchestrator, such as ``["--clusters", "2"]``.
            timeout: seconds; None for no limit.

        Returns:
            The report.

        Raises:
            Error: what ended the run; 100 after `timeout`.
        """
        command = [str(_library.tool("pto2-orchestrator")), "--program", self.path, "--quiet",
                   "--json", *options, "--", *arguments]
        # Its own children end with it.
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL) as process:
            try:
                output, words = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.terminate()
                try:
                    process.communicate(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise Error(100, f"no end after {timeout} s") from None
            except BaseException:
                process.terminate()
                raise
        text = words.decode("utf-8", "replace").strip()
        try:
            report: Dict[str, Any] = json.loads(output)
        except ValueError:
            raise Error(9, text or f"pto2-orchestrator ended with status {process.returncode}") \
                from None
        if process.returncode != 0:
            raise Error(int(report.get("code", 9)), str(report.get("message", text)))
        return report


def compile_program(orchestration: _Path, kernels: Sequence[Tuple[int, str, _Path]], *,
                    output: _Path, name: Optional[str] = None, include: Sequence[_Path] = (),
                    folders: Optional[Dict[int, Sequence[_Path]]] = None,
                    entry: str = "aicpu_orchestration_entry", compiler: Optional[str] = None,
                    flags: Sequence[str] = ()) -> Program:
    """Compiles an orchestration and its kernels, C++17 sources written for the original.

    Args:
        orchestration: path of the source.
        kernels: func_id, "aic" or "aiv", and source of each.
        output: folder for the program and its image.
        name: what they are called; otherwise as the orchestration.
        include: folders of headers; the ISA library's where kernels use it.
        folders: by func_id, folders for one kernel alone.
        entry: the orchestration's function.
        compiler: a command; otherwise $CXX, clang++ or g++.
        flags: for the compiler.

    Raises:
        Refused: with its kind and its words.
        FileNotFoundError: there is no `pto2`.
    """
    command: List[str] = [str(_library.tool("pto2")), "compile", os.fspath(orchestration),
                          "--json", "--output", os.fspath(output), "--entry", entry]
    for number, core_type, source in kernels:
        extra = [os.fspath(f) for f in (folders or {}).get(number, ())]
        command += ["--kernel", f"{number}:{core_type}:{','.join([os.fspath(source), *extra])}"]
    for folder in include:
        command += ["--include", os.fspath(folder)]
    if name:
        command += ["--name", name]
    if compiler:
        command += ["--compiler", compiler]
    command += [f"--flag={flag}" for flag in flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise Refused("no-tool", done.stderr.strip(), command) from None
    if done.returncode != 0:
        raise Refused(report["error"], report["message"], command)
    return Program(report)
