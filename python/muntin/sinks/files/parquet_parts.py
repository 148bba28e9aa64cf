"""Checks that the published parts of a Parquet directory exist and are unchanged.

A directory may have millions of parts, so only four bytes are kept of each: a checksum of its
length and modification time. All parts are checked when a run starts, and some before each
checkpoint. If the times differ, as in a copy, the bytes decide.
"""

from __future__ import annotations

import os
import re
import zlib
from array import array
from collections.abc import Callable

from muntin.base.errors import SinkError, with_hint
from muntin.sinks.files.disk import ANEW, failed, sum_of
from muntin.sinks.files.parquet_part import Written, mark_of, print_of

_PART = re.compile(r"part-([0-9]{7,})\.parquet")
_STAGED = re.compile(r"\.part-([0-9]{7,})\.parquet\.staged")
_LOOKED_AT = 256


def part_path(directory: str, number: int) -> str:
    """The path of a part."""
    return os.path.join(directory, f"part-{number:07}.parquet")


def staged_path(directory: str, number: int) -> str:
    """The path of a hidden part."""
    return os.path.join(directory, f".part-{number:07}.parquet.staged")


def part_numbers(directory: str) -> list[int]:
    """The numbers of the visible parts."""
    return _numbers(directory, _PART)


def staged_numbers(directory: str) -> list[int]:
    """The numbers of the hidden parts."""
    return _numbers(directory, _STAGED)


class Published:
    """The parts from `first` on that this sink has published.

    Attributes:
        first: the number of the first.
        quick: the checksum of all lengths and modification times.
        sum: the checksum of all bytes.
    """

    def __init__(self, directory: str, first: int = 0) -> None:
        """Start without parts."""
        self._directory = directory
        self._prints = array("I")
        self._next = 0
        self.first = first
        self.quick = 0
        self.sum = 0

    @property
    def end(self) -> int:
        """The number of the next part."""
        return self.first + len(self._prints)

    def add(self, part: Written) -> None:
        """Note one more published part."""
        self._add_print(print_of(part_path(self._directory, self.end)))
        self.sum = zlib.crc32(f"{part.size}:{part.sum};".encode(), self.sum)

    def look(self) -> None:
        """Check that the newest parts are unchanged, and in turn some of the others.

        Raises:
            SinkError: one is gone or was changed.
        """
        count = len(self._prints)
        newest = range(max(0, count - _LOOKED_AT), count)
        others = range(self._next, min(self._next + _LOOKED_AT, newest.start))
        self._next = others.stop if others and others.stop < newest.start else 0
        for index in (*newest, *others):
            self._check(index)

    def restore(self, count: int, quick: int | None, total: int | None, mark: str) -> None:
        """Accept the existing parts, if they are those of a checkpoint.

        Args:
            count: how many there were.
            quick: the checksum of their lengths and times; None if the checkpoint has none.
            total: the checksum of their bytes; None if it has none.
            mark: the mark of the sink that made them.

        Raises:
            SinkError: one is gone or was changed.
        """
        for number in range(self.first, self.first + count):
            path = part_path(self._directory, number)
            try:
                self._add_print(print_of(path))
            except FileNotFoundError:
                raise _wrong(path, "is gone") from None
        if total is None:
            return
        if self.quick != quick and self._sum_of_bytes() != total:
            for number in range(self.first, self.end):
                if mark_of(path := part_path(self._directory, number)) != mark:
                    raise _wrong(path, "was changed")
            what = "has a part that was changed"
            raise _wrong(self._directory, what)
        self.sum = total

    def _sum_of_bytes(self) -> int:
        total = 0
        for number in range(self.first, self.end):
            path = part_path(self._directory, number)
            size = os.path.getsize(path)
            with open(path, "rb") as file:
                total = zlib.crc32(f"{size}:{sum_of(file, size)};".encode(), total)
        return total

    def _check(self, index: int) -> None:
        path = part_path(self._directory, self.first + index)
        try:
            now = print_of(path)
        except FileNotFoundError:
            raise _wrong(path, "was removed while the run wrote others") from None
        if now != self._prints[index]:
            raise _wrong(path, "was changed while the run wrote others")

    def _add_print(self, one: int) -> None:
        self._prints.append(one)
        self.quick = zlib.crc32(one.to_bytes(4, "little"), self.quick)


def clear(directory: str, removable: Callable[[str], bool]) -> None:
    """Remove the parts of a directory that is to be overwritten.

    Raises:
        SinkError: a part was not made by this kind of sink.
    """
    for number in part_numbers(directory):
        path = part_path(directory, number)
        if not removable(path):
            raise of_others(directory, os.path.basename(path))
        os.unlink(path)


def of_others(directory: str, name: str) -> SinkError:
    """The error for another program's file that would look like a part."""
    hint = 'write to another directory, or keep these files: mode="append"'
    return failed(
        directory, with_hint(f'it has Parquet files of another program, such as "{name}"', hint)
    )


def _wrong(path: str, what: str) -> SinkError:
    return failed(path, with_hint(f"it belongs to the checkpoint and {what}", ANEW))


def _numbers(directory: str, pattern: re.Pattern[str]) -> list[int]:
    found = (pattern.fullmatch(each) for each in os.listdir(directory))
    return sorted(int(match[1]) for match in found if match)
