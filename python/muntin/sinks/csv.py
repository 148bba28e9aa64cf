"""Rows to a CSV file with a header."""

from __future__ import annotations

import base64
import csv
import io
import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv

from muntin.errors import with_hint
from muntin.result import Table
from muntin.sinks.appended import AppendedFile
from muntin.sinks.base import When
from muntin.sinks.disk import failed, only_output
from muntin.sinks.flat import flat, is_nested

_OPTIONS = pyarrow.csv.WriteOptions(include_header=False)


class Csv(AppendedFile):
    """A sink that writes CSV; with checkpoints each row is there exactly once.

    The first line has the column names. Text is quoted, so that `""` is an empty text and nothing
    is null. Times are ISO 8601 with a space, zoned ones in UTC; durations are microseconds,
    binary is base64. A file has the rows of one output.

    Args:
        path: the file.
        append: go on after what is there, which must have the same columns; by default the file
            starts empty. A run that goes on from a checkpoint always goes on after its own rows.
        when: which alerts to take, if it stands in `alerts=`.

    Raises:
        SinkError: the file cannot be written, or the rows do not fit: a nested column, other
            columns than those in the header, a second output.

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
        table = flat(rows, self._path)
        names = table.column_names
        for field in table.schema:
            if is_nested(field.type):
                hint = "leave it out by select, or write JsonLines or Parquet"
                message = f'column "{field.name}" of type {field.type} has no place in a cell'
                raise failed(self._path, with_hint(message, hint))
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
        try:
            pyarrow.csv.write_csv(_as_cells(table), data, _OPTIONS)
        except pa.ArrowException as error:
            raise failed(self._path, error) from error
        return data.getvalue()

    def _read_header(self) -> list[str]:
        with open(self._path, newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])


def _as_cells(table: Any) -> Any:
    columns = [_text_of_binary(column) for column in table.columns]
    if len(columns) == 1:
        # a line without anything is no row to most readers
        columns = [columns[0].cast(pa.string()).fill_null("")]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _text_of_binary(column: Any) -> Any:
    kind = column.type
    if not (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    ):
        return column
    values = column.to_pylist()
    texts = [None if value is None else base64.b64encode(value).decode() for value in values]
    return pa.chunked_array([pa.array(texts, pa.string())])
