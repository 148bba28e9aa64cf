"""Files that outlive a crash: syncing, hidden side files, and errors that name them."""

from __future__ import annotations

import os
import re

from muntin.errors import SinkError, with_hint

_STAGED = ".staged"


def failed(path: str, error: object) -> SinkError:
    """The error for a file that cannot be written.

    >>> str(failed("rows.csv", "disk full"))
    '"rows.csv" cannot be written: disk full'
    """
    return SinkError(f'"{path}" cannot be written: {error}')


def only_output(path: str, before: str | None, output: str, own: str) -> str:
    """The output that a path is for; `own` is what each should have of its own.

    Raises:
        SinkError: it is for another one already.
    """
    if before is not None and before != output:
        hint = f"give each {own} of its own: mt.output(name, pipeline, sinks=[...])"
        message = f'the outputs "{before}" and "{output}" cannot share it'
        raise failed(path, with_hint(message, hint))
    return output


def sync_directory(path: str) -> None:
    """Make names in a directory outlive a crash; nothing to do where a system cannot."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def staged_name(name: str, number: int) -> str:
    """The hidden file in which what is staged for `name` waits beside it.

    >>> staged_name("rows.csv", 7)
    '.rows.csv.7.staged'
    """
    return f".{name}.{number}{_STAGED}"


def staged_numbers(directory: str, name: str) -> list[int]:
    """The numbers of the hidden files of `name` that are there."""
    pattern = re.compile(re.escape(f".{name}.") + r"(\d+)" + re.escape(_STAGED))
    found = (pattern.fullmatch(each) for each in os.listdir(directory))
    return sorted(int(match[1]) for match in found if match)
