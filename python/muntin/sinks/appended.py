"""What the sinks share that append text to one file."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import IO, Any

from muntin import limits
from muntin.errors import SinkError, with_hint
from muntin.result import Table
from muntin.sinks.base import When
from muntin.sinks.disk import failed, staged_name, staged_numbers, sync_directory


class AppendedFile(ABC):
    """A durable sink that appends to a file; subclasses say in `_encode` what a row looks like.

    With checkpoints, staged bytes wait in a hidden file beside the target. Publishing cuts the
    target to the length that was published before and appends them, so it may be done again. Once
    they are safe in the target no checkpoint needs the hidden file: each then finds its bytes in
    the first part of the target.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, append: bool = False, when: When = None
    ) -> None:
        """Remember the file; it is opened when the run starts."""
        self._path = os.fspath(path)
        self._directory, self._name = os.path.split(os.path.abspath(self._path))
        self._append = append
        self.when = when
        self._file: IO[bytes] | None = None
        self._side: IO[bytes] | None = None
        self._durable = False
        self._began = False
        self._number = 0
        self._length = 0
        self._staged_length = 0
        self._memory = bytearray()

    def open(self, output: str, key: Sequence[str]) -> None:
        """Open the file, unless another output has done so; nothing of it is changed yet."""
        if self._file is not None:
            return
        try:
            # unbuffered: a sink that is dropped must not write behind the back of its successor
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise failed(self._path, error) from error
        self._length = self._base()

    def restore(self, state: dict[str, Any] | None) -> None:
        """Cut the file to where the checkpoint left it, and append what was staged then."""
        if not self._is_regular():
            raise failed(self._path, "with checkpoints it must be a regular file")
        self._durable = True
        if state is not None:
            self._number, self._length = state["number"], state["length"]
            self._staged_length = state["staged"]
        try:
            for number in staged_numbers(self._directory, self._name):
                if number != self._number:
                    os.unlink(self._side_path(number))
            self._move_in()
            sync_directory(self._directory)
        except OSError as error:
            raise failed(self._path, error) from error

    def stage(self, output: str, rows: Table) -> None:
        """Encode the rows: into memory, or with checkpoints into the hidden file."""
        data = self._encode(output, rows, first=self._length + self._staged_length == 0)
        if self._staged_length == 0 and self._is_unended():
            data = b"\n" + data
        if not self._durable:
            self._memory += data
        else:
            try:
                if self._side is None:
                    path = self._side_path(self._number + 1)
                    self._side = open(path, "wb", buffering=0)  # noqa: SIM115
                _write(self._side, data)
            except OSError as error:
                raise failed(self._path, error) from error
        self._staged_length += len(data)

    def prepare(self) -> dict[str, Any]:
        """Make the hidden file safe."""
        self._number += 1
        if self._side is not None:
            try:
                os.fsync(self._side.fileno())
                self._side.close()
                sync_directory(self._directory)
            except OSError as error:
                raise failed(self._path, error) from error
            self._side = None
        return {
            "number": self._number,
            "length": self._length,
            "staged": self._staged_length,
        }

    def publish(self) -> None:
        """Append what is staged."""
        try:
            if self._durable:
                if self._staged_length:
                    self._move_in()
            else:
                self._write_memory()
        except OSError as error:
            raise failed(self._path, error) from error

    def close(self) -> None:
        """Close the file."""
        for file in (self._file, self._side):
            if file is not None:
                file.close()
        self._file = self._side = None

    @abstractmethod
    def _encode(self, output: str, rows: Table, *, first: bool) -> bytes:
        """The bytes of rows; `first` if nothing stands before them in the file."""

    def _write_memory(self) -> None:
        file = self._opened()
        if not self._began:
            self._began = True
            if not self._append and self._is_regular():
                file.truncate(0)
        _write(file, self._memory)
        self._length += len(self._memory)
        self._memory = bytearray()
        self._staged_length = 0

    def _move_in(self) -> None:
        """Bring the hidden file into the target; may be done again at any point."""
        file, side = self._opened(), self._side_path(self._number)
        there, end = os.fstat(file.fileno()).st_size, self._length + self._staged_length
        if os.path.exists(side) and there >= self._length:
            file.truncate(self._length)
            with open(side, "rb") as staged:
                left = self._staged_length
                while left and (block := staged.read(min(limits.COPY_BYTES, left))):
                    _write(file, block)
                    left -= len(block)
            there = end - left
        if there < end:
            hint = "the file was changed, or is not the one the checkpoint was made with"
            message = f"it has {there:,} of the {end:,} bytes that the checkpoint speaks of"
            raise failed(self._path, with_hint(message, hint))
        file.truncate(end)
        os.fsync(file.fileno())
        if os.path.exists(side):
            os.unlink(side)
        self._length, self._staged_length = end, 0

    def _base(self) -> int:
        """The length of what is kept at a fresh start."""
        return os.fstat(self._opened().fileno()).st_size if self._append else 0

    def _is_unended(self) -> bool:
        """True if a line that somebody else wrote has no end yet."""
        if not (self._append and self._length and self._is_regular()):
            return False
        with open(self._path, "rb") as file:
            file.seek(self._length - 1)
            return file.read(1) != b"\n"

    def _is_regular(self) -> bool:
        return stat.S_ISREG(os.fstat(self._opened().fileno()).st_mode)

    def _side_path(self, number: int) -> str:
        return os.path.join(self._directory, staged_name(self._name, number))

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            raise SinkError(f'"{self._path}" is not open')
        return self._file


def _write(file: IO[bytes], data: bytes | bytearray) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
