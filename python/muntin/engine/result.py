"""The results of a step: `Result` with its tables, and `Answer` for one row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Never

from muntin.base.errors import MissingName, PlanError, unknown, with_hint
from muntin.base.missing import ROWS, missing
from muntin.values.table import PerInput, Table

__all__ = ["Answer", "Result", "joined"]

_OF_ROWS = ("to_polars", "to_pandas", "to_arrow", "to_dicts", "columns", "schema", "head")
_HINTS = ROWS | {name: f"write result.rows.{name}" for name in _OF_ROWS}


class Result:
    """The results of one step of an operator, or of a whole `collect`.

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
        leaps: Sequence[Any] = (),
    ) -> None:
        """Wrap the tables; `stats` is called when the counters are first read.

        `leaps` are rows that moved event time far ahead (`feeds.Leap`).
        """
        self.leaps = tuple(leaps)
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

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> len(mt.collect(days.filter("true"), [{"day": "2024-05-01"}]).rows)
        1
        """
        if len(self._outputs) == 1:
            return next(iter(self._outputs.values()))
        names = ", ".join(self._outputs)
        raise PlanError(with_hint(f"there are several outputs: {names}", 'take result["name"]'))

    @property
    def outputs(self) -> dict[str, Table]:
        """Every output's name and rows.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> two = {"all": days, "none": days.filter("false")}
        >>> {k: len(rows) for k, rows in mt.collect(two, [{"day": "2024-05-01"}]).outputs.items()}
        {'all': 1, 'none': 0}
        """
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
        """The operator's counters since its start, read at the first use of this property.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> result = mt.collect(days.filter("false"), [{"day": "2024-05-01"}])
        >>> result.stats["operators"][1]["filtered"]
        1
        """
        return self._read_stats()

    def __arrow_c_schema__(self) -> object:
        """The schema of `rows`."""
        return self.rows.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows of the only output, as a capsule."""
        return self.rows.__arrow_c_stream__(requested_schema)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Never:
            if name in self.__dict__.get("_outputs", ()):
                raise MissingName(with_hint(f'Result has no "{name}"', f'write result["{name}"]'))
            raise missing("Result", name, [*dir(type(self)), *self.__dict__], hints=_HINTS)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it with its current counters."""
        stats = _Read(self.stats)
        return Result, (self._outputs, self.alerts, self.late, self.invalid, stats)

    def __repr__(self) -> str:
        """One line with the number of rows of each kind."""
        parts = [f"{name}: {len(table):,} rows" for name, table in self._outputs.items()]
        for word in ("alerts", "late", "invalid"):
            if count := len(getattr(self, word)):
                parts.append(f"{count:,} {word}")
        return f"Result({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class _Read:
    """Counters that have been read."""

    stats: dict[str, Any]

    def __call__(self) -> dict[str, Any]:
        return self.stats


def joined(results: Sequence[Result], stats: Callable[[], dict[str, Any]]) -> Result:
    """Join the results of one operator's consecutive steps."""

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
    """The result of `ask` or `peek` for one row.

    Attributes:
        row: the row with its features, or None if a filter of the pipeline dropped it.
        hits: names of the rules that fired, shadow rules left out.
        score: the sum of their scores.
        alerts: the alert rows, shadow ones included.
        late: true if the row was older than its partition's watermark allows.
        notes: why a feature is null although its rows are known, such as
            `"sum_overflow in sliding#1"`.

    >>> import muntin as mt
    >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
    >>> op = mt.operator(days, rules=[mt.rule("any", "day is not null", score=10)])
    >>> answer = op.ask({"day": "2024-05-01"})
    >>> answer.hits, answer.score, answer.late
    (('any',), 10, False)
    """

    row: dict[str, Any] | None
    hits: tuple[str, ...]
    score: int
    alerts: tuple[dict[str, Any], ...]
    late: bool
    notes: tuple[str, ...] = ()
