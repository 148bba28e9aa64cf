"""An open text file: its decompressed bytes and its identity."""

from __future__ import annotations

import os
import select
import sys
from time import monotonic
from typing import Any, BinaryIO

import pyarrow as pa

from muntin.base import limits
from muntin.base.errors import SourceError, with_hint
from muntin.sources.files.formats import SAMPLE_BYTES, check_text, compression_of, ending_of
from muntin.sources.files.marks import SAMPLE, Mark, Seen, digest

STDIN = "-"
"""The name of standard input."""


def unreadable(name: str, error: BaseException, at: int | None = None) -> SourceError:
    """The error for a file that cannot be read."""
    place = "" if at is None else f" at byte {at:,}"
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    hint = None
    if isinstance(error, PermissionError):
        hint = "give the user of this process the right to read it"
    return SourceError(with_hint(f'"{name}" cannot be read{place}: {message.lower()}', hint))


class Opened:
    """A file being read.

    Attributes:
        name: its name.
        compression: how it is compressed, or None.
        seen: samples of the text read so far.
    """

    def __init__(self, name: str) -> None:
        """Open it.

        Raises:
            SourceError: it cannot be read, or is not text.
        """
        self.name = name
        self.seen = Seen()
        try:
            self._raw: BinaryIO = open(name, "rb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise unreadable(name, error) from error
        try:
            self._stat = os.fstat(self._raw.fileno())
            start = self._raw.read(SAMPLE_BYTES)
            self._raw.seek(0)
            self.compression = self._checked(start)
            # compressed or empty files are checked when they are read
            self._checked_text = bool(start) and not self.compression
            if self._checked_text:
                check_text(name, start)
            self._stream: Any = self._raw
            if self.compression:
                self._stream = pa.CompressedInputStream(pa.PythonFile(self._raw), self.compression)
        except (OSError, pa.ArrowException) as error:
            self._raw.close()
            if isinstance(error, SourceError):
                raise
            raise unreadable(name, error) from error

    @property
    def device(self) -> int:
        """The device it is on."""
        return self._stat.st_dev

    @property
    def inode(self) -> int:
        """Its number on the device."""
        return self._stat.st_ino

    def is_same(self, other: os.stat_result) -> bool:
        """Whether this is the file of that entry."""
        return (self.device, self.inode) == (other.st_dev, other.st_ino)

    def read(self, size: int) -> bytes | None:
        """More of its text; no bytes at its end.

        Raises:
            SourceError: it cannot be read.
        """
        at = self.seen.at
        try:
            data: bytes = self._stream.read(size)
        except (OSError, pa.ArrowException) as error:
            if self.compression:
                hint = "it may be cut short or still being written"
                message = f'"{self.name}" cannot be read as {self.compression}, behind byte {at:,} '
                raise SourceError(with_hint(f"{message}of its text: {error}", hint)) from error
            raise unreadable(self.name, error, at) from error
        if at == 0 and not self._checked_text:
            check_text(self.name, data[:SAMPLE_BYTES])
        self.seen.take(data)
        return data

    def size(self) -> int:
        """How long the file is now, in bytes on the disk."""
        return os.fstat(self._raw.fileno()).st_size

    def shorter_than(self) -> int | None:
        """The length the file had when it was opened, if it has become shorter."""
        return self._stat.st_size if self.size() < self._stat.st_size else None

    def was_rewritten(self) -> bool:
        """Whether an uncompressed file no longer contains what was read of it."""
        tail = self.seen.tail
        if self.size() < self.seen.at:
            return True
        self._raw.seek(self.seen.at - len(tail))
        now = self._raw.read(len(tail))
        self._raw.seek(self.seen.at)
        return now != tail

    def go_to(self, mark: Mark) -> bool:
        """Read up to a mark; False if the file is not the one of the mark."""
        if not self.compression and self.size() < mark.at:
            return False
        try:
            if not self.compression and mark.at > 2 * SAMPLE:
                head = self._stream.read(SAMPLE)
                self._raw.seek(mark.at - SAMPLE)
                self.seen = Seen(mark.at - SAMPLE, head)
                if digest(head) != mark.head:
                    return False
            while self.seen.at < mark.at:
                data = self._stream.read(min(mark.at - self.seen.at, limits.BLOCK_BYTES))
                if not data:
                    return False
                self.seen.take(data)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self.name, error, self.seen.at) from error
        return self.seen.is_at(mark)

    def close(self) -> None:
        """Close it."""
        self._raw.close()

    def _checked(self, start: bytes) -> str | None:
        kind = compression_of(start)
        _, named = ending_of(self.name)
        if kind is None and named:
            what = "is empty" if not start else f"does not begin as {named} does"
            hint = "it may be still being written, or not be compressed: rename it"
            message = f'"{self.name}" cannot be read as {named}: it {what}'
            raise SourceError(with_hint(message, hint))
        return kind


class StandardInput:
    """Standard input, read as it comes."""

    name = STDIN
    compression = None
    device = inode = 0

    def __init__(self, wait: float) -> None:
        """Wait for input, up to a number of seconds."""
        self.seen = Seen()
        self.waited = 0.0
        """Seconds that were spent waiting for input."""
        self._wait = wait
        try:
            self._number = sys.stdin.buffer.fileno()
        except (AttributeError, OSError, ValueError) as error:
            raise SourceError(f"standard input cannot be read: {error}") from error

    def read(self, size: int) -> bytes | None:
        """The available bytes; None if there are none now, no bytes at the end."""
        try:
            if not self._has_input():
                return None
            data = os.read(self._number, size)
        except OSError as error:
            raise unreadable("standard input", error, self.seen.at) from error
        if not self.seen.at and data:
            if kind := compression_of(data):
                hint = "unpack it on the way: zcat FILE | ..., zstdcat FILE | ..."
                raise SourceError(with_hint(f"standard input is compressed with {kind}", hint))
            check_text("standard input", data[:SAMPLE_BYTES])
        self.seen.take(data)
        return data

    def _has_input(self) -> bool:
        """Wait for input for a while; on Windows a read waits."""
        if sys.platform == "win32":
            return True
        start = monotonic()
        ready = select.select([self._number], [], [], self._wait)[0]
        self.waited += monotonic() - start
        return bool(ready)

    def shorter_than(self) -> int | None:
        """A pipe has no length."""
        return None

    def close(self) -> None:
        """Standard input stays open: others may use it."""
