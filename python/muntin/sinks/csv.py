"""Rows to a CSV file with a header."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.errors import with_hint
from muntin.result import Table
from muntin.sinks.appended import AppendedFile
from muntin.sinks.base import When
from muntin.sinks.disk import failed, only_output
from muntin.sinks.flat import pieces
from muntin.values import is_binary, is_string, plain_type, to_text

# a few thousand rows may have more text than 32-bit offsets reach
_TEXT = pa.large_string()


class Csv(AppendedFile):
    """A sink that writes CSV; with checkpoints each row is there exactly once.

    The first line has the column names. Text is quoted, so that `""` is an empty text and nothing
    is null. Times and durations are ISO 8601, zoned times in UTC; binary is base64, lists and
    structs are JSON: `docs/values.md` has all forms. The source `Csv` reads back what has a type
    in its `schema=`. A file has the rows of one output.

    Args:
        path: the file.
        append: go on after what is there, which must have the same columns; by default the file
            starts empty. A run that goes on from a checkpoint always goes on after its own rows.
        when: which alerts to take, if it stands in `alerts=`.

    Raises:
        SinkError: the file cannot be written, or the rows do not fit: other columns than
            those in the header, a second output.

    >>> sink = Csv("orders.csv")
    """

    def __init__(
        self, path: str | os.PathLike[str], *, append: bool = False, when: When = None
    ) -> None:
        """Remember the file; it is opened when the run starts."""
        super().__init__(path, append=append, when=when)
        self._output: str | None = None
        self._header: list[str] | None = None

    def open(self, output: str, key: Sequence[str]) -> None:
        """Open the file.

        Raises:
            SinkError: it cannot be written, or is open for another output.
        """
        self._output = only_output(self._path, self._output, output, "a file")
        super().open(output, key)

    def _encode(self, output: str, rows: Table, *, first: bool) -> bytes:
        names = rows.columns
        if first:
            self._header = names
        elif self._header is None:
            self._header = self._read_header()
        if names != self._header:
            message = f"it has the columns {self._header}, and {output} has {names}"
            raise failed(self._path, with_hint(message, "write another file"))
        data = io.BytesIO()
        if first:
            header = io.StringIO()
            csv.writer(header, lineterminator="\n").writerow(names)
            data.write(header.getvalue().encode())
        for piece in pieces(rows):
            data.write(_lines(piece))
        return data.getvalue()

    def _read_header(self) -> list[str]:
        with open(self._path, newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])


def _lines(table: Any) -> memoryview:
    """The rows as lines of text, made by Arrow a column at a time."""
    cells = [_cells(column) for column in table.columns]
    if len(cells) == 1:
        # a line without anything is no row to most readers
        cells = [cells[0].fill_null(_text('""'))]
    joined = pc.binary_join_element_wise(
        *cells, _text(","), null_handling="replace", null_replacement=""
    )
    ended = pc.binary_join_element_wise(joined, _text(""), _text("\n"))
    offsets = pa.Array.from_buffers(pa.int64(), len(ended) + 1, [None, ended.buffers()[1]])
    first, last = offsets[ended.offset].as_py(), offsets[len(ended)].as_py()
    return memoryview(ended.buffers()[2])[first:last]


def _cells(column: Any) -> Any:
    """The texts of a column; those that may hold anything, or nothing, in quotes."""
    texts, kind, types = to_text(column).cast(_TEXT), plain_type(column.type), pa.types
    if is_string(kind) or is_binary(kind) or types.is_nested(kind):
        doubled = pc.replace_substring(texts, '"', '""')
        return pc.binary_join_element_wise(_text('"'), doubled, _text('"'), _text(""))
    return texts


def _text(text: str) -> Any:
    return pa.scalar(text, _TEXT)
