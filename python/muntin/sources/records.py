"""Text files as blocks of complete records, the last file followed as it grows if asked for.

A block never cuts a record in two, so whatever decodes it needs no memory of the one before.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Lock
from typing import BinaryIO, NamedTuple, TypeAlias

from muntin import limits
from muntin.errors import SourceError, with_hint

RECORD_MAX = 16 << 20
"""A record of several lines that has not ended after so many bytes is taken as broken."""

WAIT_SECONDS = 0.05
"""How long a reader that has caught up waits before it looks again."""

Cut: TypeAlias = Callable[[bytes], int]
"""How many of the first bytes are complete records."""

_BOM = b"\xef\xbb\xbf"


class Block(NamedTuple):
    """Records that stand together in a file.

    Attributes:
        file: the file.
        line: the line its first byte is in, from 1: 1 means that a file begins.
        text: whole records.
        broken: true for one line that opens a record without an end.
    """

    file: str
    line: int
    text: bytes
    broken: bool = False


class Blocks:
    """The blocks of files, one after another, in bounded memory.

    With `follow` the last file has no end. When another file takes its name, the rest of the old
    one is read, its last line as it is, and then the new one from its start.
    """

    def __init__(self, files: Sequence[str], cut: Cut, *, follow: bool = False) -> None:
        """Read `files`, cut into records by `cut`."""
        self._names = deque(files)
        self._cut = cut
        self._follow = follow
        self._file: BinaryIO | None = None
        self._name = ""
        self._line = 1
        self._rest = b""
        self._replaced = False
        # `close` may come from another thread, in the middle of a read or of a wait
        self._lock = Lock()
        self._closed = Event()
        self.ended = False

    def next(self) -> Block | None:
        """The next block; None at the end, when `ended` is true, or where a file may yet grow.

        Raises:
            SourceError: a file cannot be read, or has become shorter than what was read of it.
        """
        with self._lock:
            try:
                return self._next()
            except OSError as error:
                if isinstance(error, SourceError):
                    raise
                raise SourceError(f'"{self._name}" cannot be read: {error}') from error

    def wait(self) -> None:
        """Give a followed file a moment to grow; `close` ends the wait."""
        self._closed.wait(WAIT_SECONDS)

    @property
    def at(self) -> str:
        """The file being read."""
        return self._name

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed.is_set()

    def close(self) -> None:
        """Let go of the file."""
        self._closed.set()
        with self._lock:
            self.ended = True
            self._leave()

    def _next(self) -> Block | None:
        while not self.ended:
            if self._file is None and not self._enter():
                self.ended = True
            elif (data := self._read()) is None:
                return None
            elif block := self._block(data):
                return block
        return None

    def _enter(self) -> bool:
        if not self._names:
            return False
        self._name = self._names.popleft()
        self._file = open(self._name, "rb")  # noqa: SIM115
        self._line, self._rest, self._replaced = 1, b"", False
        return True

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> bytes | None:
        """More bytes, none at the end of the file, None where they may still come."""
        assert self._file is not None
        start = self._file.tell()
        data = self._file.read(limits.BLOCK_BYTES)
        if start == 0:
            data = data.removeprefix(_BOM)
        if data or not self._follow or self._names or self._replaced:
            return data
        mine = os.fstat(self._file.fileno())
        if mine.st_size < start:
            hint = "what was cut off cannot be told from what came after: start a new run"
            said = f'"{self._name}" was cut to {mine.st_size} bytes after {start} had been read'
            raise SourceError(with_hint(said, hint))
        try:
            named = os.stat(self._name)
        except FileNotFoundError:
            return None
        if (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino):
            return None
        self._replaced = True
        return self._file.read(limits.BLOCK_BYTES)

    def _block(self, data: bytes) -> Block | None:
        self._rest += data
        if end := self._cut(self._rest):
            return self._taken(end)
        if data and len(self._rest) <= RECORD_MAX:
            return None
        if not self._rest:
            self._end_of_file()
            return None
        if not data and not self._rest.endswith(b"\n"):
            self._rest += b"\n"
            if end := self._cut(self._rest):
                return self._taken(end)
        line = self._rest.find(b"\n") + 1
        return self._taken(line, broken=True) if line else None

    def _taken(self, end: int, *, broken: bool = False) -> Block:
        block = Block(self._name, self._line, self._rest[:end], broken)
        self._rest = self._rest[end:]
        self._line += line_ends(block.text)
        return block

    def _end_of_file(self) -> None:
        self._leave()
        if self._replaced:
            self._names.append(self._name)


def line_ends(text: bytes) -> int:
    r"""How many lines end in the text, be it with `\n`, `\r\n` or `\r`.

    >>> line_ends(b"a\r\nb\nc\rd")
    3
    """
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def whole_lines(text: bytes) -> int:
    r"""The `Cut` of files in which each line is a record.

    >>> whole_lines(b"1\n2\n3")
    4
    """
    return text.rfind(b"\n") + 1
