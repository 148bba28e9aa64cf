"""`collect`: finished data in, all results out. For notebooks, backtests and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from muntin.base import limits
from muntin.base.errors import DataError, PlanError, RuleError, unknown, with_hint
from muntin.engine.event_times import event_times
from muntin.engine.feeds import Feed, Rows
from muntin.engine.operator import Operator, Pipelines, operator
from muntin.engine.result import Result, joined
from muntin.pipeline.rules import Rule
from muntin.values.order import common_cuts, sorted_by_time
from muntin.values.rows import arrow_schema, as_table, exported, what_to_give, with_times
from muntin.values.table import is_arrow


def collect(
    pipeline: Pipelines,
    data: Rows | Mapping[str, Rows],
    *,
    rules: Sequence[Rule] = (),
    order: Literal["time", "given"] = "time",
    threads: int = 1,
) -> Result:
    """Run a pipeline over finished data, to the end.

    Args:
        pipeline: one stream, several by the names of their outputs, or `mt.output` values.
        data: an Arrow object of any library or a list of dicts; with several inputs a dict of
            these by the inputs' names.
        rules: rules on the rows of the only output.
        order: "time" takes the rows of all inputs sorted by event time (stable, null times
            first), so none is late; "given" keeps their order, one input after another.
        threads: how many threads the engine may use; results do not depend on it.

    Raises:
        PlanError: the pipeline cannot run as it is, or data for an input is missing.
        DataError, SchemaError, ColumnError: the data do not fit.

    `max_future_skew` has no effect here: finished data have no arrival time.

    >>> import muntin as mt
    >>> rows = [{"at": "2024-05-01T10:00:00Z", "store": "a"},
    ...         {"at": "2024-05-01T10:00:30Z", "store": "a"}]
    >>> sales = mt.stream(time="at", out_of_order="0s",
    ...                   schema={"at": "timestamp[us, UTC]", "store": "str"})
    >>> mt.collect(sales.tumbling("1m", by="store").agg(n=mt.count()), rows).rows.to_dicts()[0]["n"]
    2
    """
    if order not in ("time", "given"):
        raise PlanError(with_hint(f'order: "{order}" is not an order', 'it is "time" or "given"'))
    op = operator(pipeline, rules=rules, threads=threads)
    tables = _tables(op, data)
    steps = _sorted_steps(op, tables) if order == "time" else _given_steps(tables)
    results: list[Result] = []
    try:
        for feeds in steps:
            results.append(op.step(feeds, "given" if len(feeds) == 1 else "time"))
        results.append(op.finish())
    except RuleError as error:
        error.result = joined([*results, error.result], lambda: op.stats)
        raise
    return joined(results, lambda: op.stats)


def _tables(op: Operator, data: Rows | Mapping[str, Rows]) -> dict[str, Any]:
    named: dict[str, Rows] = {}
    if not isinstance(data, Mapping):
        named = {op.inputs[0]: data}
    else:
        if not any(name in op.inputs for name in data) and not any(map(_is_rows, data.values())):
            message = f"data is a dict of {', '.join(map(str, data)) or 'nothing'}"
            raise DataError(with_hint(message, what_to_give(data)))
        for name in data:
            if name not in op.inputs:
                raise PlanError(unknown("input", str(name), op.inputs, "data"))
        named = dict(data)
    missing = [name for name in op.inputs if name not in named]
    if missing or (len(op.inputs) > 1 and not isinstance(data, Mapping)):
        names = ", ".join(op.inputs)
        hint = "give a dict: the input's name to its rows"
        raise PlanError(with_hint(f"data is needed for each input: {names}", hint))
    return {name: _table(op, named[name], name) for name in op.inputs}


def _table(op: Operator, rows: Rows, name: str) -> Any:
    """The rows of an input as a table, with times given as text in their declared type."""
    if is_arrow(rows):
        place = f'input "{name}"'
        rows = as_table(exported(rows, place), place)
    table = op.table(rows, name)
    plan = op.input_plan(name)
    if plan["schema"] is None or set(plan["time"]) != {"col"}:
        return table
    return with_times(table, plan["time"]["col"], arrow_schema(plan["schema"]))


def _is_rows(rows: Any) -> bool:
    """Whether a value looks like the rows of an input."""
    if is_arrow(rows):
        return not hasattr(rows, "to_pylist") or hasattr(rows, "column_names")
    return isinstance(rows, Sequence) and bool(rows) and isinstance(rows[0], Mapping)


def _given_steps(tables: Mapping[str, Any]) -> Iterator[list[Feed]]:
    for name, table in tables.items():
        # a batch without rows still has columns
        steps = max(len(table), 1) if table.num_columns else 0
        for start in range(0, steps, limits.SLICE_ROWS):
            yield [Feed(name, table.slice(start, limits.SLICE_ROWS))]


def _sorted_steps(op: Operator, tables: Mapping[str, Any]) -> Iterator[list[Feed]]:
    empty = [Feed(n, table) for n, table in tables.items() if table.num_columns and not len(table)]
    if empty:
        yield empty  # without rows, but with columns
    names = [name for name, table in tables.items() if len(table)]
    ordered = [sorted_by_time(tables[n], event_times(op, n, tables[n])) for n in names]
    for cuts in common_cuts([times for _, times, _ in ordered], limits.SLICE_ROWS):
        feeds = []
        for name, (table, _, order), (start, stop) in zip(names, ordered, cuts, strict=True):
            if start < stop:
                position = start if order is None else order.slice(start, stop - start)
                feeds.append(Feed(name, table.slice(start, stop - start), 0, position))
        yield feeds
