"""Marks in a checkpoint, with which the place in a file is found and verified again.

A path does not identify a file: logs are rotated, files are replaced. A mark identifies the file by
its device and inode and by samples of its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import msgspec

from muntin.base.errors import SourceError, with_hint

SAMPLE = 1024
"""How many bytes of a file's start, and how many before a place in it, are compared."""


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""A count."""


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place in a file.

    Attributes:
        file: the name it was read by.
        next: for each partition, the position of the first record after the place.
        device: the device that the file is on.
        inode: its number there.
        at: how many bytes of its text are before the place; of Parquet, 0.
        line: the line that the place is at the start of, from 1.
        head: a digest of the first bytes before the place.
        tail: a digest of the last bytes before the place.
        unended: whether the last line before it had no line end, since the file ended there.
        whole: whether the place is known to be the end of the file.
        read: the files that had been read before, in order, each with a digest of it.
        memory: the state of the decoder.
    """

    file: str
    next: dict[int, Count]
    device: int = 0
    inode: int = 0
    at: Count = 0
    line: Annotated[int, msgspec.Meta(ge=1, le=2**62)] = 1
    head: str = ""
    tail: str = ""
    unended: bool = False
    whole: bool = False
    read: tuple[tuple[str, str], ...] = ()
    memory: dict[str, Any] = {}


def mark_of(value: Mapping[str, Any]) -> Mark:
    """The mark that was kept as plain values.

    Raises:
        SourceError: it is not a mark.
    """
    try:
        return msgspec.convert(value, Mark, strict=False)
    except msgspec.ValidationError as error:
        hint = "it was written by another version; start with an empty checkpoint"
        message = f"the checkpoint's place in the source cannot be read: {error}"
        raise SourceError(with_hint(message, hint)) from error


def digest(data: bytes) -> str:
    """A short digest of bytes, with their number."""
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:24]}"


@dataclass(slots=True)
class Seen:
    """How much of a file has been passed, with samples of its start and of its last bytes.

    >>> seen = Seen()
    >>> seen.take(b"abc"); seen.at
    3
    """

    at: int = 0
    head: bytes = b""
    tail: bytes = b""

    def take(self, data: bytes) -> None:
        """Pass these bytes."""
        self.at += len(data)
        if len(self.head) < SAMPLE:
            self.head += data[: SAMPLE - len(self.head)]
        tail = data[-SAMPLE:]
        self.tail = (self.tail + tail)[-SAMPLE:]

    def copy(self) -> Seen:
        """The same, on its own."""
        return Seen(self.at, self.head, self.tail)

    def is_at(self, mark: Mark) -> bool:
        """Whether this is the place of a mark."""
        return (self.at, digest(self.head), digest(self.tail)) == (mark.at, mark.head, mark.tail)
