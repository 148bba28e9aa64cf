"""Shared by the sinks that append text to one file."""

from __future__ import annotations

import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

import msgspec

from muntin.base import limits
from muntin.base.disk import sync_directory
from muntin.base.errors import SinkError, with_hint
from muntin.sinks.base import Mode, When, Writes, checked_when
from muntin.sinks.files.disk import (
    ANEW,
    Count,
    Sum,
    failed,
    goes_on,
    mode_of,
    naming,
    path_of,
    staged_name,
    staged_numbers,
    state_of,
    sum_of,
    write_all,
)
from muntin.sinks.files.open_file import OpenFile
from muntin.values.table import Table


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a checkpoint keeps of the file.

    Attributes:
        number: the number of the hidden file with staged bytes.
        length: how many bytes are published.
        staged: how many bytes of the hidden file `publish` appends.
        before: the checksum of the published bytes; checkpoints of 0.1.0 have none.
        after: the checksum of the file once it is published.
    """

    number: Count
    length: Count
    staged: Count
    before: Sum | None = None
    after: Sum | None = None


class AppendedFile(ABC):
    """A durable sink that appends to a file; subclasses format rows in `_encode`.

    With checkpoints, staged bytes wait in a hidden file beside the target, which may be prepared
    any number of times until they are published. Publishing cuts the target to the length that was
    published before and appends them, so it may be done again. Once they are synced in the target,
    no checkpoint needs the hidden file: each finds its bytes in the first part of the target.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, mode: Mode = "error", when: When = None
    ) -> None:
        """Keep the arguments; the file is opened when the run starts."""
        self._path = path_of(path, type(self).__name__)
        self._directory, self._name = os.path.split(os.path.abspath(self._path))
        self._mode = mode_of(mode, type(self).__name__)
        self.when = checked_when(when, type(self).__name__)
        self._target: OpenFile | None = None
        self._side: IO[bytes] | None = None
        self._durable = self._began = False
        self._replaces = False
        self._open_line = False
        self._number = 0
        self._length = self._sum = 0
        self._staged_length = self._staged_sum = 0
        self._memory = bytearray()

    def __repr__(self) -> str:
        """Its path."""
        return f"{type(self).__name__}({self._path!r})"

    def writes(self, outputs: Sequence[str]) -> Sequence[Writes]:
        """The file, unless it is a pipe or a device."""
        special = os.path.exists(self._path) and not os.path.isfile(self._path)
        return () if special else (Writes(self._path),)

    def open(self, output: str, key: Sequence[str]) -> None:
        """Open the file, unless another output has opened it; it is not changed yet."""
        if self._target is None:
            with naming(self._path):
                self._target = OpenFile(self._path)

    def begin(self) -> None:
        """Check that the file is empty, or that the mode allows content."""
        if self._began:
            return
        with naming(self._path):
            target = self._opened()
            size = target.size() if target.regular else 0
            if goes_on(self._mode, self._path, f"{size:,} bytes" if size else ""):
                self._length = size
                self._open_line = self._is_open_line()
                if self._durable:
                    with open(self._path, "rb") as file:
                        self._sum = self._staged_sum = sum_of(file, size)
            else:
                self._replaces = size > 0
            self._began = True

    def restore(self, state: dict[str, Any] | None) -> None:
        """Cut the file to its length at the checkpoint, and append what was staged then."""
        with naming(self._path):
            target = self._opened()
            if not target.regular:
                raise failed(self._path, "with checkpoints it must be a regular file")
            self._durable = True
            if state is None:
                self.begin()
                self._replace()
                self._remove_staged(but=None)
            else:
                then = state_of(State, state, self._path)
                self._began = True
                self._remove_staged(but=then.number)
                self._go_back(then)
            target.remember()
            sync_directory(self._directory)

    def stage(self, output: str, rows: Table) -> None:
        """Encode the rows: into memory, or with checkpoints into the hidden file."""
        self.begin()
        with naming(self._path):
            self._put(self._encode(output, rows, first=self._is_empty()))

    def finish(self) -> None:
        """Write the header of a file without rows."""
        self.begin()
        with naming(self._path):
            if self._is_empty() and (head := self._head()):
                self._put(head)

    def prepare(self) -> dict[str, Any]:
        """Sync the hidden file."""
        with naming(self._path):
            self._check()
            if self._side is not None:
                os.fsync(self._side.fileno())
                sync_directory(self._directory)
        state = State(
            self._number + 1, self._length, self._staged_length, self._sum, self._staged_sum
        )
        return dict(msgspec.to_builtins(state))

    def publish(self) -> None:
        """Append what is staged."""
        self.begin()
        with naming(self._path):
            if not self._durable:
                self._write_memory()
                return
            if self._staged_length:
                self._check()
                self._move_in(self._number + 1)
            self._number += 1

    def close(self) -> None:
        """Close the file."""
        with naming(self._path):
            files = (self._target, self._side)
            self._target = self._side = None
            for file in files:
                if file is not None:
                    file.close()

    @abstractmethod
    def columns(self, output: str, rows: Table) -> None:
        """Check that rows with these columns can be written."""

    @abstractmethod
    def _encode(self, output: str, rows: Table, *, first: bool) -> bytes:
        """The bytes of rows; `first` if the file is empty before them."""

    def _head(self) -> bytes:
        """The content of a file without rows."""
        return b""

    def _is_empty(self) -> bool:
        return self._length + self._staged_length == 0

    def _put(self, data: bytes) -> None:
        if self._open_line:
            data, self._open_line = b"\n" + data, False
        if self._durable:
            if self._side is None:
                self._side = open(self._side_path(self._number + 1), "wb", buffering=0)  # noqa: SIM115
            try:
                write_all(self._side, data)
            except OSError:
                with suppress(OSError):
                    self._side.truncate(self._staged_length)
                    self._side.seek(self._staged_length)
                raise
            self._staged_sum = zlib.crc32(data, self._staged_sum)
        else:
            self._memory += data
        self._staged_length += len(data)

    def _write_memory(self) -> None:
        target = self._opened()
        target.check_place()
        self._replace()
        try:
            write_all(target.file, self._memory)
        except OSError:
            if target.regular:
                with suppress(OSError):
                    target.file.truncate(target.size_before)
            raise
        target.remember()
        self._length += len(self._memory)
        self._memory = bytearray()
        self._staged_length = 0

    def _replace(self) -> None:
        """Empty a file that is to be overwritten, once."""
        if self._replaces:
            self._opened().file.truncate(0)
            self._replaces = False

    def _check(self) -> None:
        """Check that the file is as this run left it; reads it only if its time changed."""
        target = self._opened()
        target.check_place()
        if target.is_as_remembered() and target.size() == self._length:
            return
        there = target.size()
        with open(self._path, "rb") as file:
            if there == self._length and sum_of(file, self._length) == self._sum:
                target.remember()
                return
        message = f"it was changed while the run wrote it: it has {there:,} bytes, "
        raise failed(self._path, with_hint(f"{message}and had {self._length:,}", ANEW))

    def _go_back(self, then: State) -> None:
        """Restore the file to the checkpoint's state, wherever the process died."""
        target = self._opened()
        there, end = target.size(), then.length + then.staged
        staged = then.staged > 0 and os.path.exists(self._side_path(then.number))
        if there < (then.length if staged else end):
            what = "is gone or empty" if there == 0 else f"has {there:,} bytes"
            raise self._differs(f"it {what}, and had {end:,}")
        with open(self._path, "rb") as file:
            length, wanted = (then.length, then.before) if staged else (end, then.after)
            self._sum = sum_of(file, length)
            if wanted is not None and self._sum != wanted:
                raise self._differs(f"its first {length:,} bytes have changed")
        self._keep_rest(end, then.number)
        self._length, self._staged_length = length, end - length
        self._staged_sum = then.after if then.after is not None else self._sum
        self._number = then.number - 1 if then.number else 0
        if staged:
            self._move_in(then.number, check=then.after is not None)
        else:
            target.file.truncate(end)
            os.fsync(target.file.fileno())
            self._remove_staged(but=None)
            self._staged_sum = self._sum
        self._number = then.number
        self._open_line = self._is_open_line()

    def _move_in(self, number: int, *, check: bool = True) -> None:
        """Append the hidden file to the target."""
        target, side = self._opened(), self._side_path(number)
        if self._side is not None:
            self._side.close()
            self._side = None
        target.file.truncate(self._length)
        left = self._staged_length
        with open(side, "rb") as staged:
            while left and (block := staged.read(min(limits.COPY_BYTES, left))):
                write_all(target.file, block)
                self._sum = zlib.crc32(block, self._sum)
                left -= len(block)
        if left or (check and self._sum != self._staged_sum):
            raise failed(side, with_hint("its content is not what was written", ANEW))
        os.fsync(target.file.fileno())
        os.unlink(side)
        target.remember()
        self._length, self._staged_length = self._length + self._staged_length, 0
        self._staged_sum = self._sum

    def _keep_rest(self, end: int, number: int) -> None:
        """Put aside bytes after the checkpoint's: of a later checkpoint, or of others."""
        target = self._opened()
        if target.size() <= end:
            return
        rest = f"{self._path}.behind-{number}"
        with open(self._path, "rb") as file, open(rest, "wb") as kept:
            file.seek(end)
            while block := file.read(limits.COPY_BYTES):
                kept.write(block)
        target.warn_of_rest(end, rest)

    def _is_open_line(self) -> bool:
        """Whether the file's last line has no line end."""
        if not (self._length and self._opened().regular):
            return False
        with open(self._path, "rb") as file:
            file.seek(self._length - 1)
            return file.read(1) != b"\n"

    def _remove_staged(self, *, but: int | None) -> None:
        for number in staged_numbers(self._directory, self._name):
            if number != but:
                os.unlink(self._side_path(number))

    def _differs(self, what: str) -> SinkError:
        message = f"it is not the file that the checkpoint was made with: {what}"
        return failed(self._path, with_hint(message, ANEW))

    def _side_path(self, number: int) -> str:
        return os.path.join(self._directory, staged_name(self._name, number))

    def _opened(self) -> OpenFile:
        if self._target is None:
            raise SinkError(f'"{self._path}" is not open')
        return self._target
