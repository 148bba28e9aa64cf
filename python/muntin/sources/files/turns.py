"""Picks the next file to read: from a known list, or from a watched folder."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from muntin.base.errors import SourceError, with_hint
from muntin.sources.files.marks import SAMPLE, Mark, digest
from muntin.sources.files.opened import unreadable
from muntin.sources.files.paths import Paths, files_of, is_finished, natural

_log = logging.getLogger("muntin.sources")

_RECENT = 100


class Listed:
    """Files that are known from the start, read one after another.

    Attributes:
        names: all of them.
        read: those that have been read, in order, each with its digest.
        ended: true, since no more files come.
    """

    ended = True

    def __init__(self, names: Sequence[str]) -> None:
        """Start with nothing read."""
        self.names = list(names)
        self._at = -1
        self.read: tuple[tuple[str, str], ...] = ()

    def next(self) -> str | None:
        """The next file, or None after the last."""
        self._at = min(self._at + 1, len(self.names))
        return self.names[self._at] if self._at < len(self.names) else None

    @property
    def last(self) -> bool:
        """Whether the current file is the last."""
        return self._at + 1 >= len(self.names)

    def was_read(self, name: str) -> None:
        """Note that the current file was read to its end."""
        self.read = (*self.read, (name, print_of(name)))

    def vanished(self, name: str) -> bool:
        """Whether a file may be missing when its turn comes."""
        return False

    def go_to(self, mark: Mark) -> None:
        """Resume in the file of a mark.

        Raises:
            SourceError: it is missing, or one before it is not the file that was read.
        """
        self._at = len(mark.read)
        if mark.file not in self.names[self._at : self._at + 1]:
            hint = "files may be added after those that were read, not before them"
            raise SourceError(with_hint(f'"{mark.file}" is not where it was read', hint))
        check_prints(mark.read)
        self.read = tuple(mark.read)


class Watched:
    """Files of a folder or a pattern, each read when its name appears; more may always come.

    A file is complete when it appears: it is written under another name, such as `.a.csv.tmp`, and
    renamed. Those that appear together are read in natural order.

    Attributes:
        read: those that have been read and still exist, each with its digest.
        ended: false, since more files may come.
        last: false, since no file is followed.
    """

    ended = False
    last = False

    def __init__(self, paths: Paths) -> None:
        """Start with nothing read."""
        self._paths = paths
        self._read: dict[str, str] = {}
        self._ready: deque[str] = deque()
        self._present: str | None = None
        self._recent: deque[tuple[str, int]] = deque(maxlen=_RECENT)

    @property
    def read(self) -> tuple[tuple[str, str], ...]:
        """The files that were read."""
        return tuple(self._read.items())

    def next(self) -> str | None:
        """The next file, or None if there is none now."""
        if not self._ready:
            self._look()
        self._present = self._ready.popleft() if self._ready else None
        return self._present

    def was_read(self, name: str) -> None:
        """Note that the current file was read to its end."""
        try:
            self._read[name] = seal = print_of(name)
        except SourceError:
            # a writer may remove files that have been read
            if os.path.lexists(name):
                raise
            return
        self._recent.append((name, int(seal.partition(":")[0])))

    def vanished(self, name: str) -> bool:
        """Whether a file is missing when its turn comes; it is then skipped with a warning."""
        if os.path.lexists(name):
            return False
        _log.warning('"%s" was removed before it was read', name)
        return True

    def go_to(self, mark: Mark) -> None:
        """Resume in the file of a mark.

        Raises:
            SourceError: a file that was read has changed.
        """
        there = [each for each in mark.read if os.path.lexists(each[0])]
        check_prints(there)
        self._read = dict(there)
        self._present = mark.file

    def _look(self) -> None:
        for name, size in self._recent:
            if _size(name, size) != size:
                hint = (
                    "a file in a watched folder must be complete when it appears: write it under "
                )
                hint += 'another name, such as ".a.tmp", and rename it'
                message = f'"{name}" has changed after it was read: it had {size:,} bytes'
                raise SourceError(with_hint(message, hint))
        found = [name for name in files_of(self._paths, empty=True) if is_finished(name)]
        gone = self._read.keys() - set(found)
        for name in gone:
            if not os.path.lexists(name):
                del self._read[name]
        new = [name for name in found if name not in self._read and name != self._present]
        self._ready.extend(sorted(new, key=natural))


Turns: TypeAlias = Listed | Watched
"""Files, one after another."""


def _size(name: str, otherwise: int) -> int:
    try:
        return os.stat(name).st_size
    except FileNotFoundError:
        return otherwise
    except OSError as error:
        raise unreadable(name, error) from error


def check_prints(read: Iterable[tuple[str, str]]) -> None:
    """Check that files are still those that were read.

    Raises:
        SourceError: one is not.
    """
    for name, before in read:
        if print_of(name) != before:
            hint = "files that were read must not change; restore it, or start with an "
            message = f'"{name}" is not the file that was read: its length or start differs'
            raise SourceError(with_hint(message, f"{hint}empty checkpoint and empty outputs"))


def print_of(name: str) -> str:
    """The length of a file and a digest of its first bytes."""
    try:
        with open(name, "rb") as file:
            return f"{os.fstat(file.fileno()).st_size}:{digest(file.read(SAMPLE))}"
    except OSError as error:
        raise unreadable(name, error) from error
