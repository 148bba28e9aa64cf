"""Converts what a user passes as a source, and explains what cannot be one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from muntin.base.errors import SourceError, with_hint
from muntin.sources.base import Source
from muntin.sources.files.formats import ending_of
from muntin.sources.memory.arrow import Arrow
from muntin.sources.memory.rows import Row, Rows
from muntin.values.protocols import ArrowArrayExportable, ArrowStreamExportable

Given: TypeAlias = (
    Source
    | ArrowStreamExportable
    | ArrowArrayExportable
    | Iterable[Row]
    | Callable[[], Iterable[Row]]
)
"""A source, or rows: an Arrow object, a list or generator of dicts, a function that makes one."""

_READERS = {
    **dict.fromkeys((".parquet", ".pq"), "Parquet"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json", ".log"), "JsonLines"),
    **dict.fromkeys((".csv", ".tsv", ".txt"), "Csv"),
}


def source_of(value: Any) -> Source:
    """The value itself if it is a source, else a source of the given rows.

    Raises:
        SourceError: it is neither; the message names the source that fits.

    >>> source_of([{"n": 1}])
    Rows(list)
    """
    if isinstance(value, type):
        hint = f"make one: mt.sources.{value.__name__}(...)"
        raise SourceError(with_hint(f"{value.__name__} is a class, not a source", hint))
    # testing all members of the protocol would read the footers of Parquet files
    if callable(getattr(value, "open", None)) and hasattr(value, "partitions"):
        found: Source = value
        return found
    if isinstance(value, (str, bytes, os.PathLike)):
        raise SourceError(_path_message(os.fspath(value)))
    if isinstance(value, (ArrowStreamExportable, ArrowArrayExportable)):
        return Arrow(value)
    if callable(value) or (isinstance(value, Iterable) and not isinstance(value, Mapping)):
        return Rows(value)
    hint = "give rows (a list of dicts, a generator, an Arrow object) or one of mt.sources"
    raise SourceError(with_hint(f"a {type(value).__name__} is not a source", hint))


def _path_message(path: str | bytes) -> str:
    shown = path.decode("utf-8", "replace") if isinstance(path, bytes) else path
    bare, _ = ending_of(shown)
    kind = _READERS.get(os.path.splitext(bare)[1].lower())
    if kind is None and shown == "-":
        hint = 'standard input is read by mt.sources.JsonLines("-") or mt.sources.Csv("-")'
    elif kind is None:
        hint = f'say how it is read: mt.sources.Parquet("{shown}"), JsonLines(...) or Csv(...)'
    else:
        more = ', delimiter="\\t"' if bare.lower().endswith(".tsv") else ""
        hint = f'write mt.sources.{kind}("{shown}"{more})'
    return with_hint(f'the path "{shown}" is not a source', hint)
