"""Memory of the session as arrays see it.

Arrays do not look at the library's mapping of the segment, which goes when the session
ends, and in which another run's tensors come to lie. Each tensor that is looked at gets a
mapping of its own pages. When the memory is given up (at the end of the run, of its scope,
or by `Graph.free`) and somebody still looks at it, the pages are replaced, in place, by a
private copy: arrays stay valid for ever, keep what they showed, and hold nothing of the
segment.
"""
from __future__ import annotations

import ctypes as c
import mmap as _mmap
import os
import weakref
from typing import Optional

from .errors import Error

_PAGE = _mmap.PAGESIZE
_libc = c.CDLL(None, use_errno=True)
_mmap_call = _libc.mmap
_mmap_call.restype = c.c_void_p
_mmap_call.argtypes = [c.c_void_p, c.c_size_t, c.c_int, c.c_int, c.c_int, c.c_long]
_mremap = _libc.mremap
_mremap.restype = c.c_void_p
_mremap.argtypes = [c.c_void_p, c.c_size_t, c.c_size_t, c.c_int, c.c_void_p]
_munmap = _libc.munmap
_munmap.argtypes = [c.c_void_p, c.c_size_t]

_FAILED = c.c_void_p(-1).value
_READ_WRITE = 3
_SHARED, _PRIVATE, _ANONYMOUS = 1, 2, 0x20
_MAYMOVE_FIXED = 3

_live: "weakref.WeakSet[Memory]" = weakref.WeakSet()


def _map(length: int, flags: int, descriptor: int, offset: int) -> int:
    address = _mmap_call(None, length, _READ_WRITE, flags, descriptor, offset)
    if address == _FAILED:
        error = os.strerror(c.get_errno())
        raise Error(208, f"mmap of {length} bytes for an array: {error}", needed=length)
    return address


class Memory:
    """Pages of a segment, or a copy of them."""

    __slots__ = ("address", "length", "detached", "__weakref__")

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        """Maps a range of the segment; `address` is that of its first byte."""
        inside = offset % _PAGE
        self.length = 0
        self.detached = False
        whole = (inside + max(1, length) + _PAGE - 1) // _PAGE * _PAGE
        self.address = _map(whole, _SHARED, descriptor, offset - inside) + inside
        self.length = whole
        _live.add(self)

    def detach(self) -> None:
        """Puts a copy in the place of the segment's pages. Whoever reads meanwhile sees the
        one or the other; what another process writes meanwhile may be in it or not."""
        if self.detached:
            return
        base = self.address // _PAGE * _PAGE
        copy = _map(self.length, _PRIVATE | _ANONYMOUS, -1, 0)
        c.memmove(copy, base, self.length)
        if _mremap(copy, self.length, self.length, _MAYMOVE_FIXED, base) == _FAILED:
            error = os.strerror(c.get_errno())
            _munmap(copy, self.length)
            raise Error(208, f"mremap of {self.length} bytes for an array: {error}")
        self.detached = True

    def __del__(self) -> None:
        if self.length:
            _munmap(self.address // _PAGE * _PAGE, self.length)


def _after_fork() -> None:
    # What a child writes is its own affair.
    for memory in list(_live):
        try:
            memory.detach()
        except Error:
            pass


os.register_at_fork(after_in_child=_after_fork)


class Segment:
    """The file behind the library's mapping that holds an address."""

    def __init__(self, address: int) -> None:
        with open("/proc/self/maps") as maps:
            for line in maps:
                fields = line.split(maxsplit=5)
                begin, end = (int(word, 16) for word in fields[0].split("-"))
                if begin <= address < end:
                    break
            else:
                raise Error(207, f"address {address:#x} is not mapped")
        self._base = begin - int(fields[2], 16)
        self._inode = int(fields[4])
        self._descriptor = self._open(fields[5].strip() if len(fields) > 5 else "")

    def _open(self, name: str) -> int:
        descriptor = self._attempt(name)
        if descriptor is None:
            # A memfd, or a name that was removed.
            for entry in os.listdir("/proc/self/fd"):
                descriptor = self._attempt("/proc/self/fd/" + entry)
                if descriptor is not None:
                    break
            else:
                raise Error(207, f"the segment {name} cannot be opened: its name was removed")
        return descriptor

    def _attempt(self, path: str) -> Optional[int]:
        try:
            if os.stat(path).st_ino != self._inode:
                return None
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        if os.fstat(descriptor).st_ino == self._inode:
            return descriptor
        os.close(descriptor)
        return None

    def memory(self, address: int, length: int) -> Memory:
        """The range that the library has at `address`."""
        return Memory(self._descriptor, address - self._base, length)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
