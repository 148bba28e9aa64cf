"""What comes out: a `Table` of rows, the `Result` of a step, the `Answer` to one row."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.arrow import ArrowArrayExportable, ArrowStreamExportable
from muntin.errors import MissingExtra, PlanError, SchemaError, unknown, with_hint

_NO_COLUMNS = pa.Table.from_arrays([], names=[])
_SHOWN_ROWS = 10
_SHOWN_WIDTH = 32


class Table:
    """Rows in Arrow, from one step of the engine or from many.

    A table goes into Polars, pandas, DuckDB or pyarrow as it is, by the Arrow PyCapsule
    interface, and has a few short ways of its own.

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
        """Rows of the parts one after another; a part without columns counts as no part."""
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
        """The pieces the table was made of."""
        return list(self._parts)

    @property
    def columns(self) -> list[str]:
        """The column names, in order."""
        return list(self._arrow.column_names)

    @property
    def schema(self) -> dict[str, str]:
        """Column name to Arrow type, as text."""
        return {field.name: str(field.type) for field in self._arrow.schema}

    def __len__(self) -> int:
        """The number of rows."""
        counts = [getattr(part, "num_rows", None) for part in self._parts]
        known = [count for count in counts if isinstance(count, int)]
        return sum(known) if len(known) == len(counts) else int(self._arrow.num_rows)

    @property
    def num_rows(self) -> int:
        """The number of rows, by the name that Arrow gives it."""
        return len(self)

    def __arrow_c_schema__(self) -> object:
        """The schema, as a capsule of the Arrow C data interface."""
        return self._arrow.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows, as a capsule of the Arrow C stream interface."""
        return self._arrow.__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> Any:
        """The rows as a `pyarrow.Table`, without a copy."""
        return self._arrow

    def to_polars(self) -> Any:
        """The rows as a `polars.DataFrame`.

        Raises:
            MissingExtra: Polars is not installed.
        """
        try:
            import polars
        except ImportError as error:
            raise MissingExtra(_missing("polars")) from error
        return polars.DataFrame(self)

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            return self._arrow.to_pandas()
        except ImportError as error:
            raise MissingExtra(_missing("pandas")) from error

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts of Python values; times are `datetime`, floored to microseconds.

        >>> import pyarrow as pa
        >>> Table([pa.table({"n": [1]})]).to_dicts()
        [{'n': 1}]
        """
        table = self._arrow
        if any(_ends_below_microseconds(kind) for kind in table.schema.types):
            columns = [_python_ready(column) for column in table.columns]
            table = pa.Table.from_arrays(columns, names=table.column_names)
        return list(table.to_pylist())

    def __repr__(self) -> str:
        """The size and the first rows, as text."""
        return "\n".join([self._size(), *_text_lines(self.columns, self._head())])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(v))}</td>" for v in row) + "</tr>"
            for row in self._head()
        )
        return (
            f"<table><caption>{self._size()}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _size(self) -> str:
        rows = len(self)
        shown = f", the first {_SHOWN_ROWS}" if rows > _SHOWN_ROWS else ""
        return f"{rows:,} row{'s' if rows != 1 else ''}{shown}"

    def _head(self) -> list[list[Any]]:
        names = self.columns
        rows = Table([self._arrow.slice(0, _SHOWN_ROWS)]).to_dicts()
        return [[row[name] for name in names] for row in rows]


class PerInput(Table):
    """Late or invalid rows: a table of all inputs' records, and one of each input.

    `table["clicks"]` holds the records of one input. The table as a whole has the columns of
    all inputs; a column that an input does not have is null in its rows.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        """The records of each input, by its name."""
        super().__init__(tables.values())
        self._tables = dict(tables)

    def __getitem__(self, name: str) -> Table:
        """The records of one input.

        Raises:
            PlanError: there is no such input.
        """
        try:
            return self._tables[name]
        except KeyError:
            raise PlanError(unknown("input", name, self._tables)) from None

    def values(self) -> Iterator[Table]:
        """Each input's records, in the order of the inputs."""
        return iter(self._tables.values())

    def items(self) -> Iterator[tuple[str, Table]]:
        """Each input's name and records."""
        return iter(self._tables.items())


class Result:
    """What one step of an operator gave, or the whole of a `collect`.

    Attributes:
        alerts: the alerts, in order, one row each.
        late: late rows, one record per input row and operator, with reason and window.
        invalid: invalid rows, one record each, with the reason.

    >>> import muntin as mt
    >>> rows = [{"at": "2024-05-01T10:00:00Z", "store": "a"}]
    >>> sales = mt.stream(time="at", out_of_order="0s",
    ...                   schema={"at": "timestamp[us, UTC]", "store": "str"})
    >>> result = mt.collect(sales.tumbling("1m", by="store").agg(n=mt.count()), rows)
    >>> [(row["store"], row["n"]) for row in result.rows.to_dicts()]
    [('a', 1)]
    """

    def __init__(
        self,
        outputs: Mapping[str, Table],
        alerts: Table,
        late: PerInput,
        invalid: PerInput,
        stats: Callable[[], dict[str, Any]],
    ) -> None:
        """Wrap the tables; `stats` is called when the counters are first asked for."""
        self._outputs = dict(outputs)
        self.alerts = alerts
        self.late = late
        self.invalid = invalid
        self._read_stats = stats

    @property
    def rows(self) -> Table:
        """The rows of the only output.

        Raises:
            PlanError: the pipeline has several outputs; take `result["name"]`.
        """
        if len(self._outputs) == 1:
            return next(iter(self._outputs.values()))
        names = ", ".join(self._outputs)
        raise PlanError(with_hint(f"there are several outputs: {names}", 'take result["name"]'))

    @property
    def outputs(self) -> dict[str, Table]:
        """Every output's name and rows."""
        return dict(self._outputs)

    def __getitem__(self, name: str) -> Table:
        """The rows of one output.

        Raises:
            PlanError: there is no such output.
        """
        try:
            return self._outputs[name]
        except KeyError:
            raise PlanError(unknown("output", name, self._outputs)) from None

    @cached_property
    def stats(self) -> dict[str, Any]:
        """The operator's counters since its start, read at the first use of this property."""
        return self._read_stats()

    def __arrow_c_schema__(self) -> object:
        """The schema of `rows`."""
        return self.rows.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows of the only output, as a capsule."""
        return self.rows.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        """One line: how many rows of what."""
        parts = [f"{name}: {len(table):,} rows" for name, table in self._outputs.items()]
        for word in ("alerts", "late", "invalid"):
            if count := len(getattr(self, word)):
                parts.append(f"{count:,} {word}")
        return f"Result({', '.join(parts)})"


def joined(results: Sequence[Result], stats: Callable[[], dict[str, Any]]) -> Result:
    """The results of one operator's steps, one after another, as one result."""

    def chain(tables: Iterable[Table]) -> Table:
        return Table(part for table in tables for part in table.parts)

    first = results[0]
    return Result(
        {name: chain(r[name] for r in results) for name in first.outputs},
        chain(r.alerts for r in results),
        PerInput({name: chain(r.late[name] for r in results) for name, _ in first.late.items()}),
        PerInput(
            {name: chain(r.invalid[name] for r in results) for name, _ in first.invalid.items()}
        ),
        stats,
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What `ask` or `peek` says of one row.

    Attributes:
        row: the row with its features, or None if a filter of the pipeline dropped it.
        hits: names of the rules that fired, shadow rules left out.
        score: the sum of their scores.
        alerts: the alert rows, shadow ones included.
        late: true if the row came behind its partition's watermark by more than is allowed.
        notes: why a feature is null although its rows are known, as `"sum_overflow in sliding#1"`.
    """

    row: dict[str, Any] | None
    hits: tuple[str, ...]
    score: int
    alerts: tuple[dict[str, Any], ...]
    late: bool
    notes: tuple[str, ...] = ()


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
    if hasattr(rows, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(rows).read_all()
    return pa.Table.from_batches([pa.record_batch(rows)])


def _diagonal(tables: Sequence[Any]) -> Any:
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        message = f"the tables have columns of one name and different types: {error}"
        raise SchemaError(with_hint(message, 'take each on its own, table["name"]')) from error


def _ends_below_microseconds(kind: Any) -> bool:
    timed = pa.types.is_timestamp(kind) or pa.types.is_duration(kind)
    return bool(timed and kind.unit == "ns")


def _python_ready(column: Any) -> Any:
    # Python's datetime ends at microseconds; floor, so that times before 1970 do not move up
    if not _ends_below_microseconds(column.type):
        return column
    if pa.types.is_timestamp(column.type):
        return pc.floor_temporal(column, unit="microsecond").cast(
            pa.timestamp("us", column.type.tz)
        )
    return column.cast(pa.duration("us"), safe=False)


def _missing(library: str) -> str:
    return with_hint(f"{library} is not installed", f"pip install {library}")


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _SHOWN_WIDTH else text[: _SHOWN_WIDTH - 1] + "…"


def _text_lines(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    if not names:
        return []
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    numeric = [any(isinstance(row[i], (int, float)) for row in rows) for i in range(len(names))]

    def line(texts: Sequence[str]) -> str:
        padded = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(texts, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    return [line(names), "  ".join("-" * width for width in widths), *map(line, cells)]
