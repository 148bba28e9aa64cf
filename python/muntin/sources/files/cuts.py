"""Finds where records end in the bytes of a file, and keeps the incomplete rest."""

from __future__ import annotations

from typing import Protocol


class Cut(Protocol):
    """Finds where records end."""

    def whole(self, text: bytes) -> int:
        """The number of bytes at the start in complete records."""

    def line_end(self, text: bytes) -> tuple[int, int] | None:
        """Where the first line ends, and where the rest begins; None if it does not end."""

    def line_ends(self, text: bytes) -> int:
        """How many lines end in the text."""


class Lines:
    r"""The `Cut` of files in which each line is a record.

    >>> Lines().whole(b"1\n2\n3")
    4
    """

    def whole(self, text: bytes) -> int:
        """How many bytes are whole lines."""
        return text.rfind(b"\n") + 1

    def line_end(self, text: bytes) -> tuple[int, int] | None:
        """Where the first line ends, and the next begins."""
        end = text.find(b"\n")
        return None if end < 0 else (end, end + 1)

    def line_ends(self, text: bytes) -> int:
        """How many lines end."""
        return text.count(b"\n")


class Pending:
    """Bytes that have been read and are not in a block yet."""

    def __init__(self) -> None:
        """Nothing."""
        self._data = bytearray()

    def __len__(self) -> int:
        """How many bytes there are."""
        return len(self._data)

    def add(self, data: bytes) -> None:
        """Append bytes."""
        self._data += data

    def first(self, size: int) -> bytes:
        """The first bytes, up to a number."""
        with memoryview(self._data) as view:
            return bytes(view[:size])

    def take(self, size: int) -> bytes:
        """Remove and return a number of first bytes."""
        taken = self.first(size)
        del self._data[:size]
        return taken
