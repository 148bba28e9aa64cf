"""Converts record batches to declared types; rows that do not fit become invalid records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from muntin.base.errors import MuntinError, SourceError, unknown
from muntin.sources.base import Delivery
from muntin.sources.decode.decoded import Bad, Decoded, Roles
from muntin.sources.deliveries.columns import faults_of_roles
from muntin.sources.deliveries.placed import Placed
from muntin.values import show
from muntin.values.fitting import fitted, may_fit
from muntin.values.rows import exported, is_text, not_arrow
from muntin.values.table import table_of

_SHOWN = 1024


class Fit:
    """Converts batches to the declared types.

    A row with a value that does not fit, with invalid UTF-8 in a text column, or without a
    partition or an arrival time, becomes a bad record. A column of a type that never fits the
    declared one, or that is not declared, is not converted: the engine checks it.
    """

    def __init__(self, schema: Any | None, roles: Roles, place: str) -> None:
        """Convert batches to `schema`, if there is one; `place` names their source in errors."""
        self._schema = schema
        self._roles = roles
        self._place = place
        self._known: Any = None
        self._fields: list[tuple[int, Any]] = []

    def __call__(self, batch: Any, file: str = "", passed: int | None = None) -> Decoded:
        """The rows of a record batch that fit, and the bad ones; `passed` rows of their file come
        before them.

        Raises:
            SourceError: there is no column for the partition or the arrival, or it has none of
                their types.
        """
        for name in (self._roles.arrival, self._roles.partition):
            if name is not None and name not in batch.schema.names:
                raise SourceError(unknown("column", name, batch.schema.names, self._place))
        wrong: dict[int, str] = {}
        ready = self._typed(batch, wrong)
        for row, message in faults_of_roles(ready, self._roles, file or self._place).items():
            wrong.setdefault(row, message)
        return decoded(batch, ready, wrong, passed)

    def _typed(self, batch: Any, wrong: dict[int, str]) -> Any:
        columns = batch.columns
        for at, name in enumerate(batch.schema.names):
            columns[at], bad = text_of(columns[at], name)
            for row, message in bad.items():
                wrong.setdefault(row, message)
        kinds = [column.type for column in columns]
        own = pa.schema(list(zip(batch.schema.names, kinds, strict=True)))
        for at, field in self._to_fit(own):
            one = pa.RecordBatch.from_arrays([columns[at]], names=[field.name])
            done, misfits = fitted(one, pa.schema([field]))
            columns[at] = done.column(0)
            for misfit in misfits:
                wrong.setdefault(misfit.row, str(misfit))
        if not columns:
            return batch
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def _to_fit(self, own: Any) -> list[tuple[int, Any]]:
        """The columns of another type than declared, with the declared type."""
        if self._schema is not None and own != self._known:
            places = [(own.get_field_index(field.name), field) for field in self._schema]
            found = [(at, f) for at, f in places if at >= 0 and own.field(at).type != f.type]
            kinds = [own.field(at).type for at, _ in found]
            fit = may_fit(kinds, [field.type for _, field in found])
            self._fields = [each for each, may in zip(found, fit, strict=True) if may]
            self._known = own
        return self._fields


class BatchReader:
    """Delivers record batches in slices, with positions, partitions and arrival times."""

    def __init__(
        self, batches: Iterator[Any], rows: int, fit: Fit, placed: Placed, place: str
    ) -> None:
        """Read from `batches`; `place` names the source in errors."""
        self._slices = _slices(batches, rows)
        self._fit = fit
        self._placed = placed
        self._place = place
        self._read = 0
        self._closed = False

    def poll(self) -> Delivery | None:
        """The next slice that has rows, or None at the end."""
        while (batch := self._next()) is not None:
            self._read += len(batch)
            if (delivery := self._placed("", self._fit(batch))) is not None:
                return delivery
        if not self._closed:
            self._placed.places.end(self._place)
        return None

    def close(self) -> None:
        """Stop reading."""
        self._slices = iter(())
        self._closed = True

    def _next(self) -> Any | None:
        try:
            return next(self._slices, None)
        except MuntinError:
            raise
        except Exception as error:
            message = f"{self._place}: the rows cannot be read after {self._read:,} of them"
            raise SourceError(f"{message}: {type(error).__name__}: {error}") from error


def decoded(before: Any, ready: Any, wrong: dict[int, str], passed: int | None = None) -> Decoded:
    """The rows of a batch that are not wrong, and the others as they were before."""
    count = len(before)
    if not wrong:
        return Decoded(ready, None, [], count)
    bad = [
        Bad(row, None if passed is None else passed + row + 1, shown(before, row), wrong[row])
        for row in sorted(wrong)
    ]
    kept = pa.array([row for row in range(count) if row not in wrong], pa.int64())
    return Decoded(ready.take(kept), kept, bad, count)


def text_of(column: Any, name: str) -> tuple[Any, dict[int, str]]:
    """A column with nulls for texts whose bytes are no text, and what is wrong with their rows.

    Arrow does not allow such bytes, and some producers let them pass.
    """
    texts = column.dictionary if pa.types.is_dictionary(column.type) else column
    if not is_text(texts.type) or _is_valid(texts):
        return column, {}
    if texts is not column:
        column = column.dictionary_decode()
    bad = list(_invalid(column, 0))
    wide = pa.types.is_large_string(column.type)
    kind = pa.large_binary() if wide else pa.binary()
    values = column.cast(kind).to_pylist()
    for row in bad:
        values[row] = None
    message = f'column "{name}" has bytes that are not text'
    return pa.array(values, kind).cast(column.type), dict.fromkeys(bad, message)


def shown(batch: Any, row: int) -> bytes:
    """A row as a record of what is wrong with it shows it."""
    cells = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            cells.append(f"{name}={column[row].as_py()!r}")
        except (ValueError, OverflowError, pa.ArrowException):
            cells.append(f"{name}={show.to_text(column.slice(row, 1))[0]}")
    return ", ".join(cells)[:_SHOWN].encode("utf-8", "replace")


def batches_of(data: Any, place: str) -> Iterator[Any]:
    """The record batches of an Arrow object.

    Raises:
        SourceError: its export fails.
        SchemaError: a column has a type that is its library's own.
    """
    try:
        if isinstance(data, pa.RecordBatchReader):
            return iter(data)
        data = exported(data, place)
        if hasattr(data, "__arrow_c_stream__"):
            return iter(pa.RecordBatchReader.from_stream(data))
        return iter(table_of(data).to_batches())
    except MuntinError:
        raise
    except Exception as error:
        raise not_arrow(data, place, error, SourceError) from error


def all_batches_of(data: Any, place: str) -> list[Any]:
    """All record batches of an Arrow object.

    Raises:
        As `batches_of`, also where an export fails in the middle.
    """
    batches = batches_of(data, place)
    try:
        return list(batches)
    except MuntinError:
        raise
    except Exception as error:
        raise not_arrow(data, place, error, SourceError) from error


def _is_valid(column: Any) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _invalid(column: Any, first: int) -> Iterator[int]:
    if _is_valid(column):
        return
    if len(column) == 1:
        yield first
        return
    half = len(column) // 2
    yield from _invalid(column.slice(0, half), first)
    yield from _invalid(column.slice(half), first + half)


def _slices(batches: Iterator[Any], rows: int) -> Iterator[Any]:
    for batch in batches:
        for start in range(0, len(batch), rows):
            yield batch.slice(start, rows)
