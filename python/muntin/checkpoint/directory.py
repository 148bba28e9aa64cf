"""Stores for checkpoints: named files that are written once; a commit is atomic.

When the machine stops, file systems lose data that was not synced and keep half of a write. So a
file is synced under another name and then renamed, and the directory is synced after that (Pillai
et al., "All File Systems Are Not Created Equal", OSDI 2014).
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from contextlib import suppress
from math import inf
from typing import Protocol, runtime_checkable

from muntin.base.disk import sync_directory
from muntin.base.errors import SnapshotError, with_hint
from muntin.base.locks import Held, Lock

_LOCK = "in-use"
_TEMPORARY = ".tmp"
_OLD_S = 3_600.0


@runtime_checkable
class Store(Protocol):
    """Stores bytes under names. Errors are `OSError`."""

    def open(self) -> None:
        """Make the store ready and lock out every other run.

        Raises:
            SnapshotError: another run is using it.
        """

    def close(self) -> None:
        """Let others in."""

    def names(self) -> list[str]:
        """The names in the store."""

    def sizes(self) -> dict[str, int]:
        """The names and their lengths in bytes; called before each checkpoint.

        If a store lacks this method, `names` is called instead.
        """

    def read(self, name: str) -> bytes:
        """All bytes under a name."""

    def write(self, name: str, data: bytes) -> None:
        """Write bytes under a new name; durable once this returns.

        Raises:
            FileExistsError: the name exists. Nothing is overwritten: a run that lost its
                ownership, and does not know it yet, must not damage what its successor wrote.
        """

    def commit(self, name: str, data: bytes) -> None:
        """Write bytes atomically: after a crash the name has all of them or does not exist.

        Raises:
            FileExistsError: as `write`.
        """

    def remove(self, name: str) -> None:
        """Remove a name; a missing one is not an error."""


@runtime_checkable
class Shareable(Store, Protocol):
    """A store that several processes may use, each for partitions of its own."""

    def share(self) -> None:
        """As `open`, but other runs that share the store may have it open, too."""

    def part(self, name: str) -> Store:
        """A store within this one, for a partition.

        It locks nobody out: its owner changes, and the one before may not know yet.
        """


class Directory:
    """A store in a directory of a local file system.

    >>> import tempfile
    >>> store = Directory(tempfile.mkdtemp())
    >>> store.open(); store.commit("a", b"1"); store.names(); store.close()
    ['a']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Remember the path; `open` makes the directory."""
        self.path = os.fspath(path)
        self._lock: Lock | None = None

    def __repr__(self) -> str:
        """Its path."""
        return f"Directory({self.path!r})"

    def open(self) -> None:
        """Make the directory and lock it."""
        self._open(shared=False)
        self._remove_unfinished()

    def share(self) -> None:
        """Make the directory, and lock out runs that do not share it."""
        self._open(shared=True)

    def part(self, name: str) -> Store:
        """A store in a folder of this one."""
        return Folder(os.path.join(self.path, name))

    def _open(self, *, shared: bool) -> None:
        try:
            os.makedirs(self.path, exist_ok=True)
            self._lock = Lock.take(self._place(_LOCK), shared=shared)
        except Held as error:
            hint = "stop it, or give this run a directory of its own"
            message = f'checkpoint "{self.path}" is in use by another run: {error}'
            raise SnapshotError(with_hint(message, hint)) from error
        except (OSError, ValueError) as error:
            raise SnapshotError(f'checkpoint "{self.path}" cannot be used: {error}') from error

    def close(self) -> None:
        """Let others in."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def names(self) -> list[str]:
        """The names of the store's files, sorted, without locks and unfinished files."""
        return sorted(self.sizes())

    def sizes(self) -> dict[str, int]:
        """The files and their lengths."""
        found = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name != _LOCK and not entry.name.endswith(_TEMPORARY):
                    # a run in progress may remove it meanwhile
                    with suppress(FileNotFoundError):
                        found[entry.name] = entry.stat().st_size
        return found

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        with open(self._place(name), "rb") as file:
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        """Write a new file and sync it."""
        try:
            self.put(self._place(name), data)
        except FileExistsError:
            raise
        except OSError:
            self.remove(name)
            raise
        self.sync()

    def commit(self, name: str, data: bytes) -> None:
        """Write and sync a file under another name, rename it, sync the directory."""
        place = self._place(name)
        temporary = f"{place}.{secrets.token_hex(4)}{_TEMPORARY}"
        try:
            self.put(temporary, data)
            self.rename(temporary, place)
        except OSError:
            with suppress(OSError):
                os.remove(temporary)
            raise
        self.sync()

    def remove(self, name: str) -> None:
        """Remove a file."""
        with suppress(FileNotFoundError):
            os.remove(self._place(name))

    def put(self, place: str, data: bytes) -> None:
        """Write all of a new file and sync it."""
        with open(place, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, before: str, after: str) -> None:
        """Give a file its name, unless there is one with that name."""
        try:
            os.link(before, after)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if os.path.exists(after):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), after) from None
            os.replace(before, after)
        else:
            os.remove(before)

    def sync(self) -> None:
        """Sync the directory, if the system can."""
        sync_directory(self.path)

    def _remove_unfinished(self, before: float = inf) -> None:
        """Remove files of a run that ended during a commit, if they changed before a time."""
        try:
            for name in os.listdir(self.path):
                if not name.endswith(_TEMPORARY):
                    continue
                with suppress(FileNotFoundError):
                    if os.stat(self._place(name)).st_mtime < before:
                        os.remove(self._place(name))
        except OSError as error:
            raise SnapshotError(f'checkpoint "{self.path}" cannot be used: {error}') from error

    def _place(self, name: str) -> str:
        return os.path.join(self.path, name)


class Folder(Directory):
    """The part of a shared directory that belongs to one partition."""

    def open(self) -> None:
        """Make the folder; unfinished files are removed once nobody can still be writing them."""
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise SnapshotError(f'checkpoint "{self.path}" cannot be used: {error}') from error
        self._remove_unfinished(time.time() - _OLD_S)
