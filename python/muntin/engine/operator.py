"""The operator: a pipeline with its state, but no source, no clock and no I/O of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from threading import RLock
from typing import Any, cast, get_args

from muntin.base import arguments, core
from muntin.base.errors import PlanError, SnapshotError, with_hint
from muntin.engine.answer import answer, why_not_row_by_row
from muntin.engine.feeds import (
    Arrival,
    Feed,
    Leap,
    OnChange,
    Order,
    Pipelines,
    Rows,
    Watermark,
    arrived,
    checked,
    microseconds,
)
from muntin.engine.inputs import Inputs, partitions_of
from muntin.engine.result import Answer, Result
from muntin.engine.snapshots import assembled, engine, snapshot_contents
from muntin.engine.verdicts import asking, settle
from muntin.pipeline.plan import CompiledPlan, compile, outputs_of
from muntin.pipeline.rules import Rule
from muntin.pipeline.scope import Scope
from muntin.values.protocols import ArrowArrayExportable
from muntin.values.table import PerInput, Table, table_of

__all__ = [
    "Feed",
    "OnChange",
    "Operator",
    "Order",
    "Pipelines",
    "Rows",
    "Watermark",
    "assembled",
    "operator",
    "snapshot_contents",
]

_NEVER, _FOREVER = -(2**63), 2**63 - 1


class Operator:
    """A running pipeline: takes rows and returns the results they complete. Made by `mt.operator`.

    The results depend only on the rows and their order, never on how they were cut into batches.
    All methods may be called from many threads; the calls happen one at a time.

    >>> import muntin as mt
    >>> days = mt.stream("days", time="day", out_of_order="0s", schema={"day": "date"})
    >>> op = mt.operator({"all": days, "counts": days.tumbling("1d").agg(n=mt.count())})
    >>> op.inputs, op.outputs, op.partitions
    (['days'], ['all', 'counts'], {'days': (0,)})
    >>> op.schemas["all"], op.watermark, op.newest_watermark("days"), op.restored
    ({'day': 'date'}, None, None, None)
    >>> op.stats["operators"][0]["rows_in"], len(op.plan["nodes"]) == len(op.facts)
    (0, True)
    >>> op.input_plan("days")["out_of_order"], op.upsert_keys["counts"]
    (0, ('window_start', 'window_end'))
    >>> op.table([{"day": "2024-05-01"}], "days").num_rows, op.scope.word, op.own_clock(0)
    (1, 'global', None)
    """

    def __init__(
        self,
        plan: CompiledPlan,
        partitions: Mapping[str, Sequence[int]],
        threads: int,
        snapshot: bytes | None,
        on_change: str,
    ) -> None:
        """Build the engine; call `mt.operator` instead."""
        if not isinstance(snapshot, bytes | bytearray | memoryview | None):
            hint = "give the bytes of Operator.snapshot()"
            raise SnapshotError(with_hint(f"a {type(snapshot).__name__} is not a snapshot", hint))
        arguments.one_of(on_change, get_args(OnChange), "on_change")
        self._plan = plan
        self._outputs = list(plan.outputs)
        self._failed_rules: set[str] = set()
        self._lock = RLock()
        self._spec: dict[str, Any] = json.loads(plan.json)
        self._inputs = Inputs(self._spec["inputs"], partitions)
        self._ends = {output["name"]: output["node"] for output in self._spec["outputs"]}
        self._why_not = [
            why_not_row_by_row(plan.facts, self._ends, i) for i in range(len(self.inputs))
        ]
        self._engine: Any = self._built(arguments.threads(threads), snapshot, on_change)
        self._inputs.learnt = self._engine.input_schema

    def _built(self, threads: int, snapshot: bytes | None, on_change: str) -> Any:
        """The engine, or the engines, of the plan."""
        partitions = [list(each) for each in self._inputs.partitions.values()]
        masks = [asking(rule) for rule in self._plan.masks]
        return engine(self._plan.json, partitions, threads, masks, snapshot, on_change)

    def __repr__(self) -> str:
        """Its inputs and outputs."""
        return f"Operator({', '.join(self.inputs)} -> {', '.join(self._outputs)})"

    def push(
        self,
        batch: Rows,
        *,
        input: str | None = None,
        partition: int = 0,
        arrival: Watermark | ArrowArrayExportable | None = None,
    ) -> Result:
        """Process a batch of one partition's rows, in order.

        Args:
            batch: an Arrow object of any library, or a list of dicts.
            input: the input's name; may be left out if there is only one.
            partition: the rows' partition; if it was not declared, they are invalid records.
            arrival: when the rows arrived, as in `Feed`; None if unknown.

        Raises:
            DataError: the batch is refused; none of its rows was counted.
            SchemaError: a column is missing or has another type than before.
            PartitionError: the partition is finished.
            RuleError: a rule's function failed. The step is complete; `error.result` has its
                results, without those of that rule.
            EngineError: the engine failed and takes no more rows.

        >>> import muntin as mt
        >>> sales = mt.stream(time="at", out_of_order="0s",
        ...                   schema={"at": "timestamp[us, UTC]", "store": "str"})
        >>> op = mt.operator(sales.tumbling("1m", by="store").agg(n=mt.count()))
        >>> len(op.push([{"at": "2024-05-01T10:00:00Z", "store": "a"}]).rows)
        0
        >>> len(op.push([{"at": "2024-05-01T10:01:00Z", "store": "a"}]).rows)
        1
        """
        return self.step([Feed(input, batch, partition, arrival=arrival)])

    def step(self, feeds: Sequence[Feed], order: Order = "given") -> Result:
        """Process rows of several inputs and partitions in one call.

        Args:
            feeds: the rows.
            order: "given" takes one feed after another; "arrival" merges their rows by arrival
                time, "time" by event time, ties by input, partition and position.

        It raises what `push` raises.

        >>> import muntin as mt
        >>> days = mt.stream("days", time="day", out_of_order="0s", schema={"day": "date"})
        >>> op = mt.operator(days, partitions=(0, 1))
        >>> late, early = [{"day": "2024-05-02"}], [{"day": "2024-05-01"}]
        >>> result = op.step([mt.Feed("days", late, 0), mt.Feed("days", early, 1)], "time")
        >>> [row["day"].day for row in result.rows]
        [1, 2]
        """
        arguments.one_of(order, get_args(Order), "step: order")
        with self._lock:
            ready = [self._inputs.ready(feed) for feed in checked(feeds)]
            return self._wrap(self._engine.step(ready, order))

    def advance(
        self, watermark: Watermark, *, input: str | None = None, partition: int | None = 0
    ) -> Result:
        """Move a partition's watermark forward: no row at or before it is still expected.

        Args:
            watermark: the new watermark; one below the current one changes nothing.
            input: the input's name; may be left out where there is one.
            partition: the partition; None for all of the input.

        >>> import muntin as mt, datetime as dt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> op = mt.operator(days.tumbling("1d").agg(n=mt.count()))
        >>> result = op.push([{"day": "2024-05-01"}])
        >>> len(op.advance(dt.datetime(2024, 5, 2)).rows)
        1
        """
        at = microseconds(watermark)
        with self._lock:
            return self._wrap(self._engine.advance(*self._inputs.which(input, partition), at))

    def idle(self, *, input: str | None = None, partition: int | None = 0) -> Result:
        """Mark a partition idle, or with None all of the input, until a row comes.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> op = mt.operator(days.tumbling("1d").agg(n=mt.count()), partitions=(0, 1))
        >>> len(op.push([{"day": "2024-05-01"}, {"day": "2024-05-02"}]).rows)
        0
        >>> len(op.idle(partition=1).rows)
        1
        """
        with self._lock:
            return self._wrap(self._engine.idle(*self._inputs.which(input, partition)))

    def open(self, *, input: str | None = None, partition: int) -> Result:
        """Declare one more partition; it starts at the current clock.

        Raises:
            PartitionError: it is already declared.

        >>> import muntin as mt
        >>> op = mt.operator(mt.stream(time="day", out_of_order="0s", schema={"day": "date"}))
        >>> result = op.open(partition=7)
        >>> len(op.push([{"day": "2024-05-01"}], partition=7).rows)
        1
        """
        with self._lock:
            number, index = arguments.partition(partition), self._inputs.index(input)
            step = self._engine.open(index, number)
            self._inputs.opened(index, number)
            return self._wrap(step)

    def finish(self, *, input: str | None = None, partition: int | None = None) -> Result:
        """End a partition, an input or everything: open windows that only waited for it fire.

        Args:
            input: the input to end; None ends all.
            partition: the partition of the input to end; None ends all of them.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> op = mt.operator(days.tumbling("1d").agg(n=mt.count()))
        >>> len(op.push([{"day": "2024-05-01"}]).rows), len(op.finish().rows)
        (0, 1)
        """
        with self._lock:
            everything = input is None and partition is None
            which = (None, None) if everything else self._inputs.which(input, partition)
            return self._wrap(self._engine.finish(*which))

    def ask(
        self, row: Mapping[str, Any], *, input: str | None = None, arrival: Arrival = "now"
    ) -> Answer:
        """Process one row and return its result at once.

        Args:
            row: the row, a dict.
            input: the input's name; may be left out where there is one.
            arrival: when the row arrived, for `max_future_skew` and `mt.arrival()`; "now" is the
                current time, None is unknown.

        Raises:
            PlanError: the pipeline does not give one row for each row.
            DataError: the row is invalid (its time is null, say); it is counted as such.
            RuleError: a rule's function failed; the row is counted.

        >>> import muntin as mt
        >>> payments = mt.stream(time="at", out_of_order="0s",
        ...                      schema={"at": "timestamp[us, UTC]", "card": "str"})
        >>> op = mt.operator(payments.sliding("1m", by="card").agg(n=mt.count()))
        >>> op.ask({"at": "2024-05-01T10:00:00Z", "card": "x"}).row["n"]
        1
        """
        with self._lock:
            feed = self._question(row, input, arrival)
            step = self._engine.step([feed], "given")
            self._wrap(step)
            return answer(step, feed[0])

    def peek(
        self, row: Mapping[str, Any], *, input: str | None = None, arrival: Arrival = "now"
    ) -> Answer:
        """The result that `ask` would return for a row, without counting the row.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> op = mt.operator(days.sliding("1d").agg(n=mt.count()))
        >>> row = {"day": "2024-05-01"}
        >>> op.peek(row).row["n"], op.ask(row).row["n"], op.peek(row).row["n"]
        (1, 1, 2)
        """
        with self._lock:
            feed = self._question(row, input, arrival)
            step = self._engine.peek(feed)
            self._wrap(step)
            return answer(step, feed[0])

    def snapshot(self) -> bytes:
        """The whole state, for `mt.operator(..., snapshot=)` with any number of threads.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> counts = days.sliding("1d").agg(n=mt.count())
        >>> op = mt.operator(counts)
        >>> answer = op.ask({"day": "2024-05-01"})
        >>> mt.operator(counts, snapshot=op.snapshot()).ask({"day": "2024-05-01"}).row["n"]
        2
        """
        with self._lock:
            return bytes(self._engine.snapshot())

    def changes(self, since: int, chunks: Sequence[str]) -> bytes:
        """A part of a snapshot: changes since the snapshot of an epoch with these chunks.

        `assembled` joins parts to a complete snapshot. With `since=0` the part is complete.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> op = mt.operator(days.sliding("1d").agg(n=mt.count()))
        >>> isinstance(op.changes(0, []), bytes)
        True
        """
        with self._lock:
            return bytes(self._engine.snapshot(since, list(chunks)))

    @property
    def watermark(self) -> int | None:
        """The least watermark of all inputs, in microseconds since 1970 in UTC.

        None before the first row; 2**63 - 1 after `finish`.
        """
        with self._lock:
            at = self._engine.watermark()
        return None if at == _NEVER else at

    def newest_watermark(self, name: str, partition: int | None = None) -> int | None:
        """The greatest watermark of an input's partitions, or that of one of them.

        In microseconds since 1970 in UTC; None before its first row.
        """
        with self._lock:
            marks = self._engine.clocks()[self._inputs.index(name)]
        wanted = [at for each, at in marks if partition is None or partition == each]
        return max((at for at in wanted if _NEVER < at < _FOREVER), default=None)

    def own_clock(self, partition: int) -> int | None:
        """The partition, if its watermark alone closes its windows; None if they all share one."""
        return None

    @property
    def stats(self) -> dict[str, Any]:
        """The counters since the start.

        `operators` has, for each node of the plan, `rows_in`, `counted`, `late`, `invalid`,
        `filtered`, `in_gap`, `fired`, `keys`, `bytes`, `warming` (rows with unknown values)
        and `full_from` (the event time from which there are none); `alerts` counts by rule;
        `failed` the batches for which a rule's function failed, by rule; `inputs` has each input's
        `watermark`, its `newest` event time and whether it is `idle`; `spent` has the seconds each
        node has worked since the start. Times are microseconds since 1970 in UTC, or None.
        """
        with self._lock:
            return dict(json.loads(self._engine.stats()))

    @property
    def restored(self) -> dict[str, list[str]] | None:
        """What became of the snapshot's verbs with state; None without a snapshot.

        The names of verbs that were `restored`, are `new`, or were `dropped` (their old names).
        """
        return cast("dict[str, list[str]] | None", self.stats["restored"])

    @property
    def schema(self) -> dict[str, str] | None:
        """Column name to type of the only output; None until the input's columns are known.

        Raises:
            PlanError: there are several outputs; take `schemas`.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> mt.operator(days.sliding("1d").agg(n=mt.count())).schema
        {'day': 'date', 'n': 'i64'}
        """
        if len(self._outputs) > 1:
            names = ", ".join(self._outputs)
            raise PlanError(with_hint(f"there are several outputs: {names}", "take schemas"))
        return self.schemas[self._outputs[0]]

    @property
    def schemas(self) -> dict[str, dict[str, str] | None]:
        """The schema of each output, by its name."""
        with self._lock:
            words = [self._engine.schema(i) for i in range(len(self._outputs))]
        return {
            name: None if pairs is None else dict(pairs)
            for name, pairs in zip(self._outputs, words, strict=True)
        }

    @property
    def inputs(self) -> list[str]:
        """The names of the inputs, in the order of the plan."""
        return list(self._inputs.names)

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs, in the order of the plan."""
        return list(self._outputs)

    @property
    def partitions(self) -> dict[str, tuple[int, ...]]:
        """The partitions of each input that were declared, at the start or by `open`."""
        return dict(self._inputs.partitions)

    @property
    def plan(self) -> dict[str, Any]:
        """The plan as the engine has it; not to be changed."""
        return self._spec

    @property
    def scope(self) -> Scope:
        """Whether each partition has its own state, and why."""
        return self._plan.scope

    @property
    def facts(self) -> Sequence[Mapping[str, Any]]:
        """What the engine reports of each node of the plan: its schema, its keys and so on."""
        return self._plan.facts

    @property
    def upsert_keys(self) -> dict[str, tuple[str, ...]]:
        """For each output, the columns that identify a row; empty if none do."""
        return {name: tuple(self.facts[at]["upsert_key"]) for name, at in self._ends.items()}

    def input_plan(self, name: str) -> dict[str, Any]:
        """An input in the plan: its time, its bound, its schema."""
        return dict(self._spec["inputs"][self._inputs.index(name)])

    def table(self, rows: Rows, input: str | None = None) -> Any:
        """Rows as a `pyarrow.Table`, dicts by the input's declared schema."""
        return table_of(self._inputs.batch(self._inputs.index(input), rows))

    def _question(
        self, row: Mapping[str, Any], name: str | None, arrival: Arrival
    ) -> tuple[int, Any, int, None, int | None]:
        index = self._inputs.index(name)
        if reason := self._why_not[index]:
            hint = (
                "only filter, with_columns, select, sliding, previous, deduplicate answer each row"
            )
            raise PlanError(with_hint(f"no answer row by row: {reason}", hint))
        return self._inputs.question(index, row, arrived(arrival))

    def _wrap(self, step: core.Step) -> Result:
        def per_input(batches: list[core.Batches]) -> PerInput:
            tables = (Table([batch]) for batch in batches)
            return PerInput(dict(zip(self.inputs, tables, strict=True)))

        outputs = (Table([batch]) for batch in step.outputs)
        result = Result(
            dict(zip(self._outputs, outputs, strict=True)),
            Table([step.alerts]),
            per_input(step.late),
            per_input(step.invalid),
            lambda: self.stats,
            [Leap(self.inputs[input], *facts) for input, *facts in step.leaps],
        )
        if step.failures:
            settle(step.failures, self._plan.masks, result, self._failed_rules)
        return result


def operator(
    pipeline: Pipelines,
    *,
    rules: Sequence[Rule] = (),
    partitions: Sequence[int] | Mapping[str, Sequence[int]] = (0,),
    threads: int = 1,
    snapshot: bytes | None = None,
    on_change: OnChange = "refuse",
) -> Operator:
    """A pipeline with its state, for use in your own loop.

    Args:
        pipeline: one stream, several by the names of their outputs, or `mt.output` values.
        rules: rules on the rows of the only output.
        partitions: the partitions of each input, or of each by the input's name.
        threads: how many threads the engine may use; results do not depend on it.
        snapshot: state to restore, from `Operator.snapshot`.
        on_change: what to do if the pipeline differs from the snapshot's: "refuse" it; or keep
            the state of unchanged verbs, drop removed ones, and start new ones empty. With
            "warm", a value of a new verb that earlier rows could have changed is null, and rules
            that read it do not fire, until its window lies wholly after those rows. With "keep"
            a new verb gives results at once, the first ones from only part of their windows.

    Raises:
        PlanError: the pipeline cannot run as it is.
        SnapshotError: the snapshot is damaged, of another pipeline, or of other inputs.

    >>> import muntin as mt
    >>> sales = mt.stream(time="at", out_of_order="0s",
    ...                   schema={"at": "timestamp[us, UTC]", "store": "str"})
    >>> op = mt.operator(sales.tumbling("1m", by="store").agg(n=mt.count()))
    >>> op.watermark is None
    True
    """
    plan = compile(outputs_of(pipeline, rules))
    return Operator(plan, partitions_of(partitions, plan.inputs), threads, snapshot, on_change)
