"""Writes rows to a CSV file with a header."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base.errors import with_hint
from muntin.sinks.base import Mode, When
from muntin.sinks.files.appended import AppendedFile
from muntin.sinks.files.disk import failed, only_output
from muntin.sinks.flat import pieces
from muntin.sinks.records import RECORD_OUTPUTS, as_records
from muntin.values.show import is_binary, is_string, plain_type, to_text
from muntin.values.table import Table

# a few thousand rows may have more text than 32-bit offsets can address
_TEXT = pa.large_string()


class Csv(AppendedFile):
    """A sink that writes CSV; with checkpoints exactly once.

    The first line has the column names. Text is quoted, so that `""` is an empty text and an empty
    cell is null. Times and durations are ISO 8601, zoned times in UTC; binary is base64, lists and
    structs are JSON: `docs/values.md` has all forms. The source `Csv` reads back columns that its
    `schema=` declares. A file has the rows of one output. Records of late and invalid rows of all
    inputs have the same columns: facts about the record, and last the row as JSON.

    Args:
        path: the file.
        mode: what to do with a file that is not empty: "error" refuses it, "append" continues
            after it (the columns must be the same), "overwrite" replaces it. A run that resumes
            from a checkpoint always continues after its own rows.
        when: which alerts to take; only for sinks in `alerts=`.

    Raises:
        SinkError: the file cannot be written or is not empty, or the rows do not fit: other
            columns than those in the header, a second output.

    >>> sink = Csv("orders.csv")
    """

    def __init__(
        self, path: str | os.PathLike[str], *, mode: Mode = "error", when: When = None
    ) -> None:
        """Keep the arguments; the file is opened when the run starts."""
        super().__init__(path, mode=mode, when=when)
        self._output: str | None = None
        self._header: list[str] | None = None
        self._known: list[str] | None = None

    def open(self, output: str, key: Sequence[str]) -> None:
        """Open the file.

        Raises:
            SinkError: it cannot be written, or is open for another output.
        """
        if output in RECORD_OUTPUTS and self._output in RECORD_OUTPUTS:
            return
        self._output = only_output(self._path, self._output, output, "a file")
        super().open(output, key)

    def columns(self, output: str, rows: Table) -> None:
        """Keep the columns for the header, and check that they can be written."""
        rows = _in_one_form(output, rows)
        for piece in pieces(rows):
            _lines(piece)
        self._known = rows.columns

    def _encode(self, output: str, rows: Table, *, first: bool) -> bytes:
        rows = _in_one_form(output, rows)
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
            data.write(_header_line(names))
        for piece in pieces(rows):
            data.write(_lines(piece))
        return data.getvalue()

    def _head(self) -> bytes:
        return b"" if self._known is None else _header_line(self._known)

    def _read_header(self) -> list[str]:
        with open(self._path, newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])


def _in_one_form(output: str, rows: Table) -> Table:
    return as_records(rows) if output in RECORD_OUTPUTS else rows


def _header_line(names: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(names)
    return line.getvalue().encode()


def _lines(table: Any) -> memoryview:
    """The rows as lines of text, formatted by Arrow column by column."""
    cells = [_cells(column) for column in table.columns]
    if len(cells) == 1:
        # most readers do not take an empty line for a row
        cells = [cells[0].fill_null(_text('""'))]
    joined = pc.binary_join_element_wise(
        *cells, _text(","), null_handling="replace", null_replacement=""
    )
    ended = pc.binary_join_element_wise(joined, _text(""), _text("\n"))
    offsets = pa.Array.from_buffers(pa.int64(), len(ended) + 1, [None, ended.buffers()[1]])
    first, last = offsets[ended.offset].as_py(), offsets[len(ended)].as_py()
    return memoryview(ended.buffers()[2])[first:last]


def _cells(column: Any) -> Any:
    """The texts of a column, quoted if they may contain anything or be empty."""
    texts, kind, types = to_text(column).cast(_TEXT), plain_type(column.type), pa.types
    if is_string(kind) or is_binary(kind) or types.is_nested(kind):
        doubled = pc.replace_substring(texts, '"', '""')
        return pc.binary_join_element_wise(_text('"'), doubled, _text('"'), _text(""))
    return texts


def _text(text: str) -> Any:
    return pa.scalar(text, _TEXT)
