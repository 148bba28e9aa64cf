"""Writes rows to Parquet files in a directory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from muntin.base import arguments
from muntin.base.disk import sync_directory
from muntin.base.errors import SinkError, with_hint
from muntin.sinks.base import Mode, When, Writes, checked_when
from muntin.sinks.files.disk import (
    ANEW,
    Count,
    Sum,
    failed,
    goes_on,
    mode_of,
    naming,
    only_output,
    path_of,
    state_of,
)
from muntin.sinks.files.parquet_part import Part, Written, check_schema, mark_of, without_views
from muntin.sinks.files.parquet_parts import (
    Published,
    clear,
    of_others,
    part_numbers,
    part_path,
    staged_numbers,
    staged_path,
)
from muntin.values.table import Table

CODECS = ("zstd", "snappy", "gzip", "lz4", "brotli", "none")
"""How parts may be compressed."""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a checkpoint keeps of the directory.

    Attributes:
        mark: identifies the sink that makes the parts.
        parts: the number of the next part to be published.
        staged: the hidden parts that `publish` shows; in checkpoints of 0.1.0 only their sizes.
        first: the number of the first part.
        quick: the checksum of the lengths and times of the published parts.
        sum: the checksum of their bytes.
    """

    mark: str
    parts: Count
    staged: list[Count | Written]
    first: Count = 0
    quick: Sum | None = None
    sum: Sum | None = None


class Parquet:
    """A sink that writes `part-0000000.parquet`, `part-0000001.parquet` and so on.

    A visible part is always complete. With checkpoints every checkpoint ends a part, and each row
    is written exactly once; without, a part becomes visible when it is full, and the last one when
    the run ends. A directory has the rows of one output; if its columns change, a new part begins.

    Args:
        directory: the directory of the parts; it is created if it is missing.
        rows_per_file: where a part ends.
        compression: `zstd`, `snappy`, `gzip`, `lz4`, `brotli` or `none`.
        mode: what to do with a directory that has Parquet files: "error" refuses it, "append"
            continues after the last part, "overwrite" removes the parts; only files that this kind
            of sink made are ever removed. A run that resumes from a checkpoint always continues
            after its own parts.
        when: which alerts to take; only for sinks in `alerts=`.

    Raises:
        SinkError: an argument is invalid, the directory cannot be written or has files already,
            or rows of a second output.

    >>> sink = Parquet("scored/", rows_per_file=100_000)
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        rows_per_file: int = 1_000_000,
        compression: str = "zstd",
        mode: Mode = "error",
        when: When = None,
    ) -> None:
        """Check the arguments; the directory is created when the run starts."""
        place = "Parquet: rows_per_file"
        self._rows_per_file = arguments.whole(rows_per_file, place, 1, 2**62, error=SinkError)
        compression = compression.lower() if isinstance(compression, str) else compression
        arguments.one_of(compression, CODECS, "Parquet: compression", error=SinkError)
        if compression != "none" and not pa.Codec.is_available(compression):
            message = f'compression: this pyarrow was built without "{compression}"'
            raise SinkError(with_hint(message, f"take another of {', '.join(CODECS)}"))
        self._directory = path_of(directory, "Parquet")
        self._compression = compression
        self._mode = mode_of(mode, "Parquet")
        self.when = checked_when(when, "Parquet")
        self._output: str | None = None
        self._schema: Any = None
        self._durable = self._began = self._replaces = False
        self._mark = secrets.token_hex(8)
        self._published = Published(self._directory)
        self._staged: list[Count | Written] = []
        self._part: Part | None = None
        self._waiting: list[Table] = []

    def __repr__(self) -> str:
        """Its directory."""
        return f"Parquet({self._directory!r})"

    def writes(self, outputs: Sequence[str]) -> Sequence[Writes]:
        """The directory with all that is in it."""
        return (Writes(self._directory, folder=True),)

    def open(self, output: str, key: Sequence[str]) -> None:
        """Make the directory.

        Raises:
            SinkError: it cannot be made, or is open for another output.
        """
        self._output = only_output(self._directory, self._output, output, "a directory")
        with naming(self._directory):
            os.makedirs(self._directory, exist_ok=True)

    def columns(self, output: str, rows: Table) -> None:
        """Keep the schema, and check that Parquet can store each column."""
        schema = without_views(rows.to_arrow()).schema
        check_schema(schema, self._directory)
        self._schema = schema

    def begin(self) -> None:
        """Check that there are no parts, or that the mode allows them."""
        if self._began:
            return
        with naming(self._directory):
            names = [each for each in os.listdir(self._directory) if each.endswith(".parquet")]
            there = sorted(each for each in names if not each.startswith("."))
            foreign = (each for each in there if not self._is_ours(each))
            if self._mode != "append" and (other := next(foreign, None)) is not None:
                raise of_others(self._directory, other)
            message = f'Parquet files such as "{there[0]}"' if there else ""
            if goes_on(self._mode, self._directory, message):
                numbers = part_numbers(self._directory)
                self._published = Published(self._directory, max(numbers, default=-1) + 1)
            else:
                self._replaces = bool(there)
            self._remove_staged(range(0))
            self._began = True

    def restore(self, state: dict[str, Any] | None) -> None:
        """Remove parts after the checkpoint, and publish those that were staged for it."""
        with naming(self._directory):
            self._durable = True
            if state is None:
                self.begin()
                self._replace()
            else:
                then = state_of(State, state, self._directory)
                self._began = True
                self._go_back(then)

    def stage(self, output: str, rows: Table) -> None:
        """Write the rows into hidden parts, or without checkpoints keep them for `publish`."""
        self.begin()
        if self._durable:
            with naming(self._directory):
                self._write(rows)
        else:
            self._waiting.append(rows)

    def finish(self) -> None:
        """If there was no row, write a part with only the schema."""
        self.begin()
        none = not (self._staged or self._waiting or self._part)
        if none and self._schema is not None and self._published.end == self._published.first:
            with naming(self._directory):
                self._part = self._new_part(self._schema)

    def prepare(self) -> dict[str, Any]:
        """End and sync the hidden part."""
        with naming(self._directory):
            self._published.look()
            self._end_part()
        seen = self._published
        state = State(self._mark, seen.end, self._staged, seen.first, seen.quick, seen.sum)
        return dict(msgspec.to_builtins(state))

    def publish(self) -> None:
        """Publish the hidden parts; without checkpoints those that are full."""
        self.begin()
        with naming(self._directory):
            self._replace()
            waiting, self._waiting = self._waiting, []
            for rows in waiting:
                self._write(rows)
            self._show()

    def close(self) -> None:
        """Without checkpoints, publish the last part."""
        if self._durable:
            part, self._part = self._part, None
            if part is not None:
                part.abandon()
            return
        with naming(self._directory):
            self._end_part()
            self._show()

    def _replace(self) -> None:
        """Remove the parts of a directory that is to be overwritten, once."""
        if self._replaces:
            clear(self._directory, lambda path: self._is_ours(os.path.basename(path)))
            self._replaces = False

    def _go_back(self, then: State) -> None:
        self._mark, self._staged = then.mark, list(then.staged)
        if then.parts < then.first:
            raise failed(self._directory, "the checkpoint has a negative number of parts")
        end = then.parts + len(then.staged)
        for number in part_numbers(self._directory):
            if number >= end:
                self._remove_part(number)
        self._published = Published(self._directory, then.first)
        self._published.restore(then.parts - then.first, then.quick, then.sum, then.mark)
        self._remove_staged(range(then.parts, end))
        self._show(check=True)

    def _write(self, rows: Table) -> None:
        table = without_views(rows.to_arrow())
        while table.num_rows:
            if self._part is not None and self._part.schema != table.schema:
                self._end_part()
            if self._part is None:
                self._part = self._new_part(table.schema)
            room = self._rows_per_file - self._part.rows
            self._part.write(table.slice(0, room))
            table = table.slice(room)
            if self._part.rows >= self._rows_per_file:
                self._end_part()

    def _new_part(self, schema: Any) -> Part:
        path = staged_path(self._directory, self._published.end + len(self._staged))
        return Part(path, schema, self._compression, self._mark)

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            self._staged.append(part.finish())
            sync_directory(self._directory)

    def _show(self, *, check: bool = False) -> None:
        """Rename the staged parts; may be repeated; `check` compares their bytes first."""
        if not self._staged:
            return
        for each in self._staged:
            number = self._published.end
            part = self._show_part(number, each)
            if check and part != Written.of(part_path(self._directory, number)):
                path = part_path(self._directory, number)
                raise failed(path, with_hint("its content is not what was written", ANEW))
            self._published.add(part)
        sync_directory(self._directory)
        self._staged = []

    def _show_part(self, number: int, part: Count | Written) -> Written:
        staged, shown = staged_path(self._directory, number), part_path(self._directory, number)
        size = part.size if isinstance(part, Written) else part
        if os.path.exists(staged):
            if os.path.exists(shown):
                hint = "another program writes into the directory"
                raise failed(shown, with_hint("it is there already", hint))
            os.rename(staged, shown)
        there = os.path.getsize(shown) if os.path.exists(shown) else None
        if there != size:
            what = "is gone" if there is None else f"has {there:,} bytes, and had {size:,}"
            message = f"it belongs to the checkpoint and {what}"
            raise failed(shown, with_hint(message, ANEW))
        return part if isinstance(part, Written) else Written.of(shown)

    def _remove_part(self, number: int) -> None:
        path = part_path(self._directory, number)
        if mark_of(path) != self._mark:
            hint = "move it elsewhere"
            raise failed(
                path,
                with_hint("it has the name of the next part, but another program made it", hint),
            )
        os.unlink(path)

    def _remove_staged(self, keep: range) -> None:
        for number in staged_numbers(self._directory):
            if number not in keep:
                os.unlink(staged_path(self._directory, number))

    def _is_ours(self, name: str) -> bool:
        return mark_of(os.path.join(self._directory, name)) is not None
