"""The table of results: converts to every Arrow library, with a few methods of its own."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import index
from typing import TYPE_CHECKING, Any, Never, overload

import pyarrow as pa

from muntin.base import limits
from muntin.base.errors import (
    ColumnError,
    DataError,
    MissingName,
    PlanError,
    RowError,
    SchemaError,
    unknown,
    with_hint,
)
from muntin.base.missing import ROWS, missing
from muntin.values import frames, show
from muntin.values.protocols import ArrowArrayExportable, ArrowStreamExportable

_NO_COLUMNS = pa.Table.from_arrays([], names=[])
_SHOWN_ROWS = 10
_SHOWN_WIDTH = 32


class Table:
    """Rows in Arrow, from one step of the engine or from many.

    A table goes into Polars, pandas, DuckDB or pyarrow as it is, by the Arrow PyCapsule
    interface, and has a few methods of its own.

    >>> import pyarrow as pa
    >>> table = Table([pa.table({"store": ["a", "b"], "orders": [3, 1]})])
    >>> len(table), table.columns
    (2, ['store', 'orders'])
    >>> table
    2 rows
    store  orders
    -----  ------
    a           3
    b           1
    """

    def __init__(self, parts: Iterable[ArrowStreamExportable]) -> None:
        """Join the rows of the parts; parts without columns are left out."""
        self._parts = list(parts)

    @cached_property
    def _arrow(self) -> Any:
        tables = [table_of(part) for part in self._parts]
        tables = [t for t in tables if t.num_columns] or tables[:1]
        if not tables:
            return _NO_COLUMNS
        try:
            return pa.concat_tables(tables)
        except pa.ArrowInvalid:
            return _diagonal(tables)

    @property
    def parts(self) -> list[ArrowStreamExportable]:
        """The parts that the table was made of.

        >>> import pyarrow as pa
        >>> len(Table([pa.table({"n": [1]}), pa.table({"n": [2]})]).parts)
        2
        """
        return list(self._parts)

    @property
    def columns(self) -> list[str]:
        """The column names, in order.

        >>> import pyarrow as pa
        >>> Table([pa.table({"store": ["a"], "orders": [3]})]).columns
        ['store', 'orders']
        """
        return list(self._arrow.column_names)

    @property
    def schema(self) -> dict[str, str]:
        """Column name to Arrow type, as text.

        >>> import pyarrow as pa
        >>> Table([pa.table({"store": ["a"], "orders": [3]})]).schema
        {'store': 'string', 'orders': 'int64'}
        """
        return {field.name: str(field.type) for field in self._arrow.schema}

    def __len__(self) -> int:
        """The number of rows."""
        counts = [getattr(part, "num_rows", None) for part in self._parts]
        known = [count for count in counts if isinstance(count, int)]
        return sum(known) if len(known) == len(counts) else int(self._arrow.num_rows)

    @property
    def num_rows(self) -> int:
        """The number of rows, by the name that Arrow gives it.

        >>> import pyarrow as pa
        >>> Table([pa.table({"n": [1, 2]})]).num_rows
        2
        """
        return len(self)

    def __arrow_c_schema__(self) -> object:
        """The schema, as a capsule of the Arrow C data interface."""
        return self._arrow.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows, as a capsule of the Arrow C stream interface."""
        return self._arrow.__arrow_c_stream__(requested_schema)

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """The rows as one record batch, as capsules of the Arrow C data interface.

        Raises:
            DataError: a text column has more than 2 GiB, which one batch cannot hold.
        """
        batches = self._arrow.combine_chunks().to_batches()
        if len(batches) > 1:
            hint = "take the stream: pyarrow.table(table), polars.DataFrame(table)"
            raise DataError(with_hint(f"{len(self):,} rows are too large for one batch", hint))
        batch = batches[0] if batches else _empty_batch(self._arrow.schema)
        capsules: tuple[object, object] = batch.__arrow_c_array__(requested_schema)
        return capsules

    def to_arrow(self) -> Any:
        """The rows as a `pyarrow.Table`, without a copy.

        >>> import pyarrow as pa
        >>> Table([pa.table({"n": [1, 2]})]).to_arrow().column_names
        ['n']
        """
        return self._arrow

    def to_polars(self) -> Any:
        """The rows as a `polars.DataFrame`; a column whose type Polars lacks becomes text.

        Raises:
            MissingExtra: Polars is not installed.

        >>> import pyarrow as pa
        >>> Table([pa.table({"n": [1, 2]})]).to_polars()["n"].sum()
        3
        """
        return frames.to_polars(self._arrow)

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`; a column that pandas cannot hold has Python values.

        Raises:
            MissingExtra: pandas is not installed.

        >>> import pyarrow as pa
        >>> int(Table([pa.table({"n": [1, 2]})]).to_pandas()["n"].sum())
        3
        """
        return frames.to_pandas(self._arrow)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts of Python values; `docs/values.md` lists them by type.

        Times are `datetime`, floored to microseconds; those before year 1 or after 9999 are ISO
        8601 text.

        >>> import pyarrow as pa
        >>> Table([pa.table({"n": [1]})]).to_dicts()
        [{'n': 1}]
        """
        return show.rows(self._arrow)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows as dicts, as `to_dicts`, a few thousand at a time."""
        for start in range(0, len(self), limits.PIECE_ROWS):
            yield from show.rows(self._arrow.slice(start, limits.PIECE_ROWS))

    @overload
    def __getitem__(self, at: str) -> Any: ...
    @overload
    def __getitem__(self, at: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, at: slice) -> Table: ...

    def __getitem__(self, at: str | int | slice) -> Any:
        """A column by name, as a `pyarrow.ChunkedArray`; a row by number, as a dict; a slice.

        Raises:
            ColumnError: there is no such column.
            RowError: there is no such row.

        >>> import pyarrow as pa
        >>> table = Table([pa.table({"n": [3, 1, 2]})])
        >>> table["n"].to_pylist(), table[-1], len(table[:2])
        ([3, 1, 2], {'n': 2}, 2)
        """
        if isinstance(at, str):
            return self._column(at)
        if isinstance(at, slice):
            return self._slice(at)
        return self._row(at)

    def head(self, rows: int = 5) -> Table:
        """The first rows.

        >>> import pyarrow as pa
        >>> Table([pa.table({"n": [3, 1, 2]})]).head(2)["n"].to_pylist()
        [3, 1]
        """
        return self._slice(slice(rows))

    def _column(self, name: str) -> Any:
        found = self._arrow.schema.get_all_field_indices(name)
        if not found:
            raise ColumnError(unknown("column", name, self.columns))
        return self._arrow.column(found[0])

    def _row(self, at: Any) -> dict[str, Any]:
        try:
            number = index(at)
        except TypeError:
            hint = "a column's name, a row's number, or a slice"
            raise PlanError(with_hint(f"table[{at!r}] is not a place in a table", hint)) from None
        rows = len(self)
        if not -rows <= number < rows:
            raise RowError(f"row {number} of a table of {rows:,} rows")
        return show.rows(self._arrow.slice(number % rows, 1))[0]

    def _slice(self, at: slice) -> Table:
        start, stop, step = at.indices(len(self))
        if step == 1:
            return Table([self._arrow.slice(start, max(stop - start, 0))])
        return Table([self._arrow.take(pa.array(range(start, stop, step), pa.int64()))])

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Never:
            if name in self.__dict__.get("_arrow", _NO_COLUMNS).column_names:
                raise MissingName(with_hint(f'Table has no "{name}"', f'write table["{name}"]'))
            raise missing("Table", name, dir(type(self)), hints=ROWS)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its Arrow rows."""
        return Table, ([self._arrow],)

    def __repr__(self) -> str:
        """The size and the first rows, as text."""
        return "\n".join([self._size(), *_lines(self._shown())])

    def _repr_html_(self) -> str:
        shown = self._shown()
        head = "".join(f"<th>{html.escape(name)}</th>" for name, _, _ in shown)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>"
            for row in zip(*(texts for _, texts, _ in shown), strict=True)
        )
        return (
            f"<table><caption>{self._size()}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _size(self) -> str:
        rows = len(self)
        shown = f", the first {_SHOWN_ROWS}" if rows > _SHOWN_ROWS else ""
        return f"{rows:,} row{'s' if rows != 1 else ''}{shown}"

    def _shown(self) -> list[tuple[str, list[str], bool]]:
        """Each column's name, the texts of its first rows, and whether it has numbers."""
        head = self._arrow.slice(0, _SHOWN_ROWS)
        return [
            (
                field.name,
                [_cell(text) for text in show.to_text(column).to_pylist()],
                _is_number(field.type),
            )
            for field, column in zip(head.schema, head.columns, strict=True)
        ]


class PerInput(Table):
    """Late or invalid rows: a table of all inputs' records, and one of each input.

    `table["clicks"]` holds the records of one input. The table as a whole has the columns of
    all inputs; a column that an input does not have is null in its rows.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        """The records of each input, by its name."""
        super().__init__(tables.values())
        self._tables = dict(tables)

    def __getitem__(self, at: str | int | slice) -> Any:
        """The records of one input by its name; else a column, a row or a slice of all of them.

        Raises:
            PlanError: there is no such input or column.
            RowError: there is no such row.
        """
        if not isinstance(at, str):
            return super().__getitem__(at)
        if at in self._tables:
            return self._tables[at]
        if at in self.columns:
            return super().__getitem__(at)
        raise PlanError(unknown("input", at, self._tables))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the records of each input."""
        return PerInput, (self._tables,)

    def values(self) -> Iterator[Table]:
        """Each input's records, in the order of the inputs."""
        return iter(self._tables.values())

    def items(self) -> Iterator[tuple[str, Table]]:
        """Each input's name and records."""
        return iter(self._tables.items())


def is_arrow(value: object) -> bool:
    """True for Arrow rows of any library; an `isinstance` of the protocols takes ten times longer.

    >>> is_arrow(pa.table({"n": [1]})), is_arrow([{"n": 1}])
    (True, False)
    """
    return hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")


def table_of(rows: ArrowStreamExportable | ArrowArrayExportable) -> Any:
    """Arrow rows of any library as a `pyarrow.Table`, without a copy where that is possible.

    It does what `pyarrow.table` does, which imports pandas to ask whether it was given a frame.
    """
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, pa.RecordBatchReader):
        # through the C interface, an exception in the producer would lose its type
        return rows.read_all()
    if hasattr(rows, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(rows).read_all()
    return pa.Table.from_batches([pa.record_batch(rows)])


def _diagonal(tables: Sequence[Any]) -> Any:
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        message = f"the tables have columns of one name and different types: {error}"
        raise SchemaError(with_hint(message, 'take each on its own, table["name"]')) from error


def _empty_batch(schema: Any) -> Any:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _is_number(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _cell(text: str | None) -> str:
    """A value's text on one line, with control characters escaped."""
    if text is None:
        return ""
    if len(text) > _SHOWN_WIDTH:
        text = text[: _SHOWN_WIDTH - 1] + "…"
    return show.printable(text)


def _lines(columns: Sequence[tuple[str, list[str], bool]]) -> list[str]:
    if not columns:
        return []
    padded = []
    for name, texts, is_number in columns:
        width = max(map(len, [name, *texts]))
        place = str.rjust if is_number else str.ljust
        padded.append([place(text, width) for text in [name, *texts]])
        padded[-1].insert(1, "-" * width)
    return ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]
