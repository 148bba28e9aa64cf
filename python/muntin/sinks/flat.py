"""Cuts rows into pieces, so that not all of their Python values are in memory at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from muntin.base import limits
from muntin.values import show
from muntin.values.table import Table


def pieces(rows: Table) -> Iterator[Any]:
    """The rows in short `pyarrow.Table`s.

    >>> [len(piece) for piece in pieces(Table([pa.table({"n": range(10)})]))]
    [10]
    """
    for batch in rows.to_arrow().to_batches(max_chunksize=limits.PIECE_ROWS):
        yield pa.Table.from_batches([batch])


def json_rows(rows: Table) -> Iterator[list[dict[str, Any]]]:
    """The rows as dicts of JSON values, a few thousand at a time.

    >>> next(json_rows(Table([pa.table({"n": [1]})])))
    [{'n': 1}]
    """
    for piece in pieces(rows):
        yield show.rows(piece, show.to_json)
