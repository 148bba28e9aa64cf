"""Checks the arguments of sources when a source is made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from muntin.base import arguments
from muntin.base.errors import SourceError, with_hint


def check_paths(paths: Any, place: str) -> None:
    """Check that the value is a path, a pattern, or a list of these.

    Raises:
        SourceError: it is something else, or an empty list.
    """
    if isinstance(paths, str | os.PathLike):
        arguments.path(paths, place, error=SourceError)
        return
    if not isinstance(paths, Sequence) or isinstance(paths, bytes):
        hint = 'give a path, a pattern such as "2024/*.csv", or a list of paths'
        if hasattr(paths, "__arrow_c_stream__") or hasattr(paths, "__arrow_c_array__"):
            hint = "rows in memory are mt.sources.Arrow(...)"
        raise SourceError(with_hint(f"{place}: {arguments.shown(paths)} is not a path", hint))
    if not paths:
        raise SourceError(f"{place}: no path")
    for each in paths:
        arguments.path(each, place, error=SourceError)


def check_roles(place: str, **columns: Any) -> None:
    """Check that the value is a column name or None.

    Raises:
        SourceError: it is something else.
    """
    for word, name in columns.items():
        if name is not None and (not isinstance(name, str) or not name):
            message = f"{place}: {word}={arguments.shown(name)} is not the name of a column"
            raise SourceError(with_hint(message, f'write {word}="column"'))


def check_rows(value: Any, place: str) -> None:
    """Check that the value is a number of rows.

    Raises:
        SourceError: it is not a whole number of at least 1.
    """
    arguments.whole(value, f"{place}: batch_rows", 1, 2**62, error=SourceError)


def check_schema(schema: Any, place: str) -> None:
    """Check that the value is a dict of column to type, or None.

    Raises:
        SourceError: it is something else.
    """
    if schema is not None and not isinstance(schema, Mapping):
        hint = 'write a dict: schema={"at": "timestamp[us, UTC]", "amount": "f64"}'
        message = f"{place}: schema={arguments.shown(schema)} is not a dict"
        raise SourceError(with_hint(message, hint))


def texts(values: Any, place: str, what: str) -> list[str]:
    """Check that the value is a list of texts, not a single text.

    Raises:
        SourceError: it is something else.
    """
    found = arguments.several(values, place, what, error=SourceError)
    for each in found:
        if not isinstance(each, str):
            raise SourceError(f"{place}: {arguments.shown(each)} is not a text")
    return list(found)
