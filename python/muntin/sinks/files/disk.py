"""Shared by the file sinks: syncing, hidden side files, fresh starts, errors with names."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Annotated, TypeAlias, TypeVar, get_args

import msgspec
import pyarrow as pa

from muntin.base import limits
from muntin.base.errors import MuntinError, SinkError, unknown, with_hint
from muntin.sinks.base import Mode

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A count in a checkpoint's state."""
Sum: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
"""A checksum: the CRC-32 of some bytes."""

State = TypeVar("State")

ANEW = 'restore it, or start again with an empty checkpoint directory and mode="overwrite"'
"""The hint for a file that differs from what the checkpoint recorded."""

_STAGED = ".staged"


def failed(path: str, error: object) -> SinkError:
    """The error for a file that cannot be written.

    >>> str(failed("rows.csv", "disk full"))
    '"rows.csv" cannot be written: disk full'
    """
    return SinkError(f'"{path}" cannot be written: {error}')


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Convert errors of the system and of Arrow to a `SinkError` that names the file."""
    try:
        yield
    except MuntinError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise failed(path, error) from error


def path_of(value: str | os.PathLike[str], sink: str) -> str:
    """A path as text.

    Raises:
        SinkError: it is not one.

    >>> path_of("", "Csv")
    Traceback (most recent call last):
        ...
    muntin.SinkError: Csv: '' is not a path
    """
    path = os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else ""
    if not path or "\0" in path:
        raise SinkError(f"{sink}: {value!r} is not a path")
    return path


def mode_of(mode: Mode, sink: str) -> Mode:
    """The mode, if it is one.

    Raises:
        SinkError: it is not.
    """
    if mode not in get_args(Mode):
        raise SinkError(unknown("mode", str(mode), get_args(Mode), sink))
    return mode


def goes_on(mode: Mode, path: str, there: str) -> bool:
    """Whether a fresh start continues after existing content; else it replaces it.

    Args:
        mode: what the user wants.
        path: the file, directory or table.
        there: a description of its content; empty if there is none.

    Raises:
        SinkError: there is content, and the mode is "error".

    >>> goes_on("append", "a.csv", "12 bytes"), goes_on("error", "b.csv", "")
    (True, False)
    """
    if there and mode == "error":
        hint = 'mode="append" continues after it, mode="overwrite" replaces it; or write to another'
        raise SinkError(with_hint(f'"{path}" already exists, with {there}', hint))
    return mode == "append"


def state_of(kind: type[State], state: object, path: str) -> State:
    """Decode a sink's state from a checkpoint.

    Raises:
        SinkError: it is damaged, forged or from another version.
    """
    try:
        return msgspec.convert(state, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        hint = "use the version that made the checkpoint, or start again with an empty directory"
        message = f'"{path}": this version cannot read its state in the checkpoint: {error}'
        raise SinkError(with_hint(message, hint)) from error


def sum_of(file: IO[bytes], length: int, start: int = 0) -> int:
    """The CRC-32 of the next bytes of a file, after bytes whose sum is `start`."""
    while length and (block := file.read(min(limits.COPY_BYTES, length))):
        start = zlib.crc32(block, start)
        length -= len(block)
    return start


def write_all(file: IO[bytes], data: bytes | bytearray) -> None:
    """Write all of it to an unbuffered file."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def only_output(path: str, before: str | None, output: str, own: str) -> str:
    """The only output that a path is for; `own` is what each output needs.

    Raises:
        SinkError: the path is already used for another output.
    """
    if before is not None and before != output:
        hint = f"give each {own} of its own: mt.output(name, pipeline, sinks=[...])"
        message = f'the outputs "{before}" and "{output}" cannot share it'
        raise failed(path, with_hint(message, hint))
    return output


def staged_name(name: str, number: int) -> str:
    """The hidden file beside `name` that contains what is staged for it.

    >>> staged_name("rows.csv", 7)
    '.rows.csv.7.staged'
    """
    return f".{name}.{number}{_STAGED}"


def staged_numbers(directory: str, name: str) -> list[int]:
    """The numbers of the existing hidden files of `name`."""
    pattern = re.compile(re.escape(f".{name}.") + r"(\d+)" + re.escape(_STAGED))
    found = (pattern.fullmatch(each) for each in os.listdir(directory))
    return sorted(int(match[1]) for match in found if match)
