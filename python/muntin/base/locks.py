"""Locks on files with one holder, named in the file. The lock ends with the process.

A lock is a small file that is locked while it is open. A killed process leaves the file behind,
but not the lock. A child made by `fork` releases its parent's locks at once, or it would hold them
after the parent's death.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import os
import socket
import sys
import weakref

_HELD_ELSEWHERE = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_ABOUT_MAX = 4096
_FAR = 0x7FFF_0000  # the byte that is locked on Windows, behind what is written there


class Held(Exception):
    """Another process, or another run of this one, holds the lock; the text says who."""


class Lock:
    """A lock that this process holds, from `take` to `release`."""

    def __init__(self, path: str, file: int) -> None:
        """Use `take`."""
        self.path = path
        self._file: int | None = file
        _locks.add(self)

    @classmethod
    def take(cls, path: str, about: str = "", *, shared: bool = False) -> Lock:
        """Lock a file, which is made if it is not there; `about` says what for.

        With `shared` others may take it, too, if they share it. On Windows nothing is locked then.

        Raises:
            Held: somebody else has it.
            OSError: the file cannot be made or locked.
        """
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _share(file) if shared else _exclusive(file)
                # a holder may have removed the file between the two calls
                if _is_at(file, path):
                    os.ftruncate(file, 0)
                    os.write(file, _said(about))
                    return cls(path, file)
            except OSError as error:
                holder = _holder(file)
                os.close(file)
                if error.errno in _HELD_ELSEWHERE:
                    raise Held(holder) from None
                raise
            os.close(file)

    def release(self, *, remove: bool = False) -> None:
        """Let others have it; with `remove` without leaving the file."""
        file, self._file = self._file, None
        if file is None:
            return
        if remove and sys.platform != "win32":
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        os.close(file)
        if remove and sys.platform == "win32":
            with contextlib.suppress(OSError):
                os.unlink(self.path)

    def forget(self) -> None:
        """Let go of a parent's lock, which it keeps."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_locks):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _said(about: str) -> bytes:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    words = {"pid": os.getpid(), "host": socket.gethostname(), "since": now, "about": about}
    return json.dumps(words).encode() + b"\n"


def _holder(file: int) -> str:
    """Who has locked a file, by what it wrote there."""
    try:
        os.lseek(file, 0, os.SEEK_SET)
        words = json.loads(os.read(file, _ABOUT_MAX))
        about = f" ({words['about']})" if words["about"] else ""
        return f"process {words['pid']} on {words['host']}{about}, since {words['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _is_at(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _share(file: int) -> None:
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _exclusive(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, _FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
