"""Rows to the Parquet files of a directory."""

from __future__ import annotations

import io
import os
import re
import secrets
from collections.abc import Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from muntin import limits
from muntin.errors import SinkError, with_hint
from muntin.result import Table
from muntin.sinks.base import When
from muntin.sinks.disk import failed, only_output, sync_directory

_PART = re.compile(r"part-(\d{7,})\.parquet")
_STAGED = re.compile(r"\.part-(\d{7,})\.parquet\.staged")
_MARK = b"muntin.sink"


class Parquet:
    """A sink that writes `part-0000000.parquet`, `part-0000001.parquet` and so on.

    Each part is whole whenever it can be seen. With checkpoints every checkpoint ends a part, and
    each row is there exactly once; without, a part is seen when it is full, and the last one when
    the run ends. A directory has the rows of one output; where its columns change, a new part
    begins.

    Args:
        directory: where the parts go; it is made if it is not there. A fresh start needs one
            without Parquet files. Only files that this sink made are ever removed.
        rows_per_file: where a part ends.
        compression: `zstd`, `snappy`, `gzip`, `lz4`, `brotli` or `none`.
        when: which alerts to take, if it stands in `alerts=`.

    Raises:
        SinkError: a value makes no sense, the directory cannot be written or has files of others,
            or rows of a second output.

    >>> sink = Parquet("scored/", rows_per_file=100_000)
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        rows_per_file: int = 1_000_000,
        compression: str = "zstd",
        when: When = None,
    ) -> None:
        """Check the values; the directory is made when the run starts."""
        if rows_per_file < 1:
            raise SinkError(f"rows_per_file: {rows_per_file} is less than one row")
        if compression.lower() != "none" and not pa.Codec.is_available(compression):
            hint = "say zstd, snappy, gzip, lz4, brotli or none"
            raise SinkError(with_hint(f'compression: unknown codec "{compression}"', hint))
        self._directory = os.fspath(directory)
        self._rows_per_file = rows_per_file
        self._compression = compression
        self.when = when
        self._output: str | None = None
        self._durable = self._began = False
        self._mark = secrets.token_hex(8)
        self._published = 0
        self._sizes: list[int] = []
        self._part: _Part | None = None
        self._waiting: list[Table] = []

    def open(self, output: str, key: Sequence[str]) -> None:
        """Make the directory.

        Raises:
            SinkError: it cannot be made, or is open for another output.
        """
        self._output = only_output(self._directory, self._output, output, "a directory")
        try:
            os.makedirs(self._directory, exist_ok=True)
        except OSError as error:
            raise failed(self._directory, error) from error

    def restore(self, state: dict[str, Any] | None) -> None:
        """Remove the parts behind the checkpoint, and show those that were staged for it."""
        self._durable = True
        if state is None:
            self._begin()
            return
        self._began = True
        self._mark, self._published = state["mark"], state["parts"]
        self._sizes = list(state["staged"])
        end = self._published + len(self._sizes)
        try:
            for number in self._numbers(_PART):
                if number >= end:
                    self._remove_part(number)
            self._remove_staged(range(self._published, end))
            self._show()
        except OSError as error:
            raise self._failed(error) from error

    def stage(self, output: str, rows: Table) -> None:
        """Write the rows into hidden parts, or without checkpoints keep them for `publish`."""
        self._begin()
        if self._durable:
            self._write(rows)
        else:
            self._waiting.append(rows)

    def prepare(self) -> dict[str, Any]:
        """End the hidden part and make it safe."""
        self._end_part()
        return {"mark": self._mark, "parts": self._published, "staged": list(self._sizes)}

    def publish(self) -> None:
        """Show the hidden parts; without checkpoints those that are full."""
        self._begin()
        waiting, self._waiting = self._waiting, []
        for rows in waiting:
            self._write(rows)
        self._show()

    def close(self) -> None:
        """Without checkpoints, show the last part."""
        if self._durable:
            part, self._part = self._part, None
            if part is not None:
                part.abandon()
        else:
            self._end_part()
            self._show()

    def _begin(self) -> None:
        """A fresh start, once: nothing of others is in the way, nothing of ours is left."""
        if self._began:
            return
        try:
            there = [each for each in os.listdir(self._directory) if each.endswith(".parquet")]
            there = [each for each in there if not each.startswith(".")]
            if there:
                hint = "a fresh start needs an empty directory: name another, or remove its files"
                message = f'it has Parquet files already, such as "{min(there)}"'
                raise failed(self._directory, with_hint(message, hint))
            self._remove_staged(range(0))
        except OSError as error:
            raise self._failed(error) from error
        self._began = True

    def _write(self, rows: Table) -> None:
        table = rows.to_arrow()
        while table.num_rows:
            if self._part is not None and self._part.schema != table.schema:
                self._end_part()
            if self._part is None:
                self._part = self._new_part(table.schema)
            room = self._rows_per_file - self._part.rows
            try:
                self._part.write(table.slice(0, room))
            except (OSError, pa.ArrowException) as error:
                raise self._failed(error) from error
            table = table.slice(room)
            if self._part.rows >= self._rows_per_file:
                self._end_part()

    def _new_part(self, schema: Any) -> _Part:
        path = self._staged_path(self._published + len(self._sizes))
        try:
            return _Part(path, schema, self._compression, self._mark)
        except (OSError, pa.ArrowException) as error:
            raise self._failed(_refused(schema) or error) from error

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            try:
                self._sizes.append(part.finish())
                sync_directory(self._directory)
            except (OSError, pa.ArrowException) as error:
                raise self._failed(error) from error

    def _show(self) -> None:
        """Rename what is staged; may be done again at any point."""
        if not self._sizes:
            return
        try:
            for number, size in enumerate(self._sizes, self._published):
                self._show_part(number, size)
            sync_directory(self._directory)
        except OSError as error:
            raise self._failed(error) from error
        self._published += len(self._sizes)
        self._sizes = []

    def _show_part(self, number: int, size: int) -> None:
        staged, shown = self._staged_path(number), self._part_path(number)
        if os.path.exists(staged):
            if os.path.exists(shown):
                hint = "somebody else writes into the directory"
                raise failed(shown, with_hint("it is there already", hint))
            os.rename(staged, shown)
        there = os.path.getsize(shown) if os.path.exists(shown) else None
        if there != size:
            what = "is gone" if there is None else f"has {there:,} bytes, and had {size:,}"
            raise failed(shown, f"it belongs to the checkpoint and {what}")

    def _remove_part(self, number: int) -> None:
        path = self._part_path(number)
        if _mark_of(path) != self._mark:
            hint = "move it elsewhere"
            raise failed(path, with_hint("it stands where a part should go, made by others", hint))
        os.unlink(path)

    def _remove_staged(self, keep: range) -> None:
        for number in self._numbers(_STAGED):
            if number not in keep:
                os.unlink(self._staged_path(number))

    def _numbers(self, pattern: re.Pattern[str]) -> list[int]:
        found = (pattern.fullmatch(each) for each in os.listdir(self._directory))
        return sorted(int(match[1]) for match in found if match)

    def _part_path(self, number: int) -> str:
        return os.path.join(self._directory, f"part-{number:07}.parquet")

    def _staged_path(self, number: int) -> str:
        return os.path.join(self._directory, f".part-{number:07}.parquet.staged")

    def _failed(self, error: object) -> SinkError:
        return error if isinstance(error, SinkError) else failed(self._directory, error)


class _Part:
    """A file that is being written, in row groups of some size however small the steps are."""

    def __init__(self, path: str, schema: Any, compression: str, mark: str) -> None:
        self.schema = schema
        self.rows = 0
        self._gathered: list[Any] = []
        self._file: IO[bytes] = open(path, "wb")  # noqa: SIM115
        try:
            self._writer = pq.ParquetWriter(self._file, schema, compression=compression)
        except BaseException:
            self._file.close()
            os.unlink(path)
            raise
        self._writer.add_key_value_metadata({_MARK: mark})

    def write(self, table: Any) -> None:
        self.rows += table.num_rows
        self._gathered.append(table)
        rows = sum(each.num_rows for each in self._gathered)
        held = sum(each.nbytes for each in self._gathered)
        if rows >= limits.GROUP_ROWS or held >= limits.GROUP_BYTES:
            self._flush()

    def finish(self) -> int:
        """Make the file whole and safe; its size in bytes."""
        self._flush()
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self._file.tell()
        self._file.close()
        return size

    def abandon(self) -> None:
        self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._writer.write_table(pa.concat_tables(gathered))


def _mark_of(path: str) -> str | None:
    try:
        mark = (pq.read_metadata(path).metadata or {}).get(_MARK)
    except pa.ArrowException:
        return None
    return None if mark is None else str(mark.decode(errors="replace"))


def _refused(schema: Any) -> str | None:
    """What is wrong with the first column that Parquet has no place for."""
    for field in schema:
        try:
            pq.ParquetWriter(io.BytesIO(), pa.schema([field])).close()
        except pa.ArrowException:
            message = f'column "{field.name}" of type {field.type} has no place in Parquet'
            return with_hint(message, "cast it, or leave it out by select")
    return None
