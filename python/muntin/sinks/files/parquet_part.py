"""One part file of a Parquet sink: written under a hidden name, synced, and described."""

from __future__ import annotations

import io
import os
import zlib
from contextlib import suppress
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from muntin.base import limits
from muntin.base.errors import with_hint
from muntin.sinks.files.disk import Count, Sum, failed, sum_of
from muntin.values import show

_MARK = b"muntin.sink"


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part that is complete and synced.

    Attributes:
        size: its length in bytes.
        sum: the checksum of its bytes.
    """

    size: Count
    sum: Sum

    @classmethod
    def of(cls, path: str) -> Written:
        """The part's current size and checksum."""
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            return cls(size, sum_of(file, size))


def without_views(table: Any) -> Any:
    """The same columns, with text and binary in layouts that every version of Arrow writes."""
    plain = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    if plain.keys().isdisjoint(table.schema.types):
        return table
    fields = [field.with_type(plain.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))


class Part:
    """A file being written, in large row groups even if the steps are small."""

    def __init__(self, path: str, schema: Any, compression: str, mark: str) -> None:
        """Make the file; `mark` says which sink made it."""
        self.schema = schema
        self.rows = 0
        self._gathered: list[Any] = []
        self._file: IO[bytes] = open(path, "wb")  # noqa: SIM115
        try:
            self._writer = pq.ParquetWriter(self._file, schema, compression=compression)
            self._writer.add_key_value_metadata({_MARK: mark})
        except BaseException as error:
            self.abandon()
            os.unlink(path)
            if isinstance(error, pa.ArrowException) and (refused := _refused(schema)):
                raise failed(path, refused) from error
            raise
        self._path = path

    def write(self, table: Any) -> None:
        """Add rows."""
        self.rows += table.num_rows
        self._gathered.append(table)
        rows = sum(each.num_rows for each in self._gathered)
        held = sum(each.nbytes for each in self._gathered)
        if rows >= limits.GROUP_ROWS or held >= limits.GROUP_BYTES:
            self._flush()

    def finish(self) -> Written:
        """Complete and sync the file."""
        try:
            self._flush()
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except BaseException:
            self.abandon()
            raise
        return Written.of(self._path)

    def abandon(self) -> None:
        """Close a file that is discarded, ignoring errors."""
        for each in (getattr(self, "_writer", None), self._file):
            if each is not None:
                with suppress(OSError, ValueError, pa.ArrowException):
                    each.close()

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            table = pa.concat_tables(gathered)
            try:
                self._writer.write_table(table)
            except pa.ArrowException as error:
                if refused := _refused_value(table):
                    raise failed(self._path, refused) from error
                raise


def mark_of(path: str) -> str | None:
    """The mark of the sink that made a file; None if no sink made it."""
    try:
        mark = (pq.read_metadata(path).metadata or {}).get(_MARK)
    except (pa.ArrowException, OSError):
        return None
    return None if mark is None else str(mark.decode(errors="replace"))


def check_schema(schema: Any, place: str) -> None:
    """Check that Parquet can store every column.

    Raises:
        SinkError: a column cannot be stored; the message names it.
    """
    if refused := _refused(schema):
        raise failed(place, refused)


def print_of(path: str) -> int:
    """A checksum of a file's length and modification time, which are cheap to read."""
    found = os.stat(path)
    return zlib.crc32(f"{found.st_size}:{found.st_mtime_ns};".encode())


def _refused_value(table: Any) -> str | None:
    """An error for a value that Parquet cannot store, such as a very distant time in seconds."""
    for name in table.column_names:
        rows = table.select([name])
        if _is_writable(rows):
            continue
        while len(rows) > 1:
            half = rows.slice(0, len(rows) // 2)
            rows = rows.slice(len(half)) if _is_writable(half) else half
        kind = table.schema.field(name).type
        text = show.to_text(rows[name].combine_chunks())[0]
        message = f'column "{name}": {text} of type {kind} cannot be stored in Parquet'
        return with_hint(message, 'filter it out, or write text: with_columns(x="x::text")')
    return None


def _is_writable(table: Any) -> bool:
    try:
        pq.write_table(table, io.BytesIO())
    except pa.ArrowException:
        return False
    return True


def _refused(schema: Any) -> str | None:
    for field in schema:
        try:
            pq.ParquetWriter(io.BytesIO(), pa.schema([field])).close()
        except pa.ArrowException:
            message = f'column "{field.name}" of type {field.type} cannot be stored in Parquet'
            return with_hint(message, "cast it, or leave it out by select")
    return None
