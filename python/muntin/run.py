"""The loop: sources in, the engine's steps, sinks out. The only part that reads a clock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

from muntin.errors import PlanError, SourceError, unknown, with_hint
from muntin.intake import Taken, as_they_come, merged
from muntin.operator import Operator, Pipelines, event_times, operator
from muntin.plan import ONLY_OUTPUT, Output, compile, output, outputs_of
from muntin.progress import Progress
from muntin.report import Report
from muntin.result import Result
from muntin.routes import Destinations, Routes
from muntin.rules import Rule
from muntin.sinks import Sink
from muntin.sources import Reader, Source
from muntin.windows import not_yet

Clock = Callable[[], float]
"""Seconds that only go forward."""


def run(
    source: Source | Mapping[str, Source],
    pipeline: Pipelines,
    *,
    name: str | None = None,
    rules: Iterable[Rule] = (),
    sinks: Iterable[Sink] = (),
    alerts: Iterable[Sink] = (),
    late: Iterable[Sink] = (),
    invalid: Iterable[Sink] = (),
    history: Source | None = None,
    checkpoint: object | None = None,
    dashboard: object | None = None,
    threads: int = 1,
    state_dir: object | None = None,
) -> Report:
    """Read sources to their end, through a pipeline, into sinks.

    Args:
        source: a source, or with several inputs a dict of sources by the inputs' names.
        pipeline: one stream, several by the names of their outputs, or `mt.output` values.
        name: a name for the run, for the report and the progress bar.
        rules: rules on the rows of the only output.
        sinks: sinks for the rows of every output, besides an output's own.
        alerts: sinks for alerts; their `when=` says which. Alerts of shadow rules go only to
            those whose `when=` names the column `shadow`.
        late: sinks for the records of late rows.
        invalid: sinks for the records of invalid rows, and of what could not be made into rows.
        threads: how many threads the engine may use; results do not depend on it.
        history, checkpoint, dashboard, state_dir: not there yet.

    Raises:
        PlanError: the pipeline cannot run as it is, or has inputs without a source.
        SourceError: a source cannot be read.
        SinkError: a sink cannot be written.
        DataError, SchemaError, PartitionError: rows cannot be taken.

    Several sources that end are merged by recorded arrival, else by event time. On a terminal a
    progress bar shows how far the run is.

    >>> import muntin as mt, pyarrow as pa, datetime as dt
    >>> table = pa.table({"at": [dt.datetime(2024, 5, 1, 10)], "store": ["a"]})
    >>> sales = mt.stream(time="at", out_of_order="10s")
    >>> report = mt.run(mt.sources.Arrow(table),
    ...                 sales.tumbling("1m", by="store").agg(n=mt.count()))
    >>> report.rows, dict(report.outputs)
    (1, {'rows': 1})
    """
    not_yet(
        "run",
        history=history is not None,
        checkpoint=checkpoint is not None,
        dashboard=dashboard is not None,
        state_dir=state_dir is not None,
    )
    outputs = _outputs(pipeline, tuple(rules), tuple(sinks))
    sources = _sources(source, compile(outputs_of(outputs)).inputs)
    partitions = {key: tuple(each.partitions()) for key, each in sources.items()}
    op = operator(outputs, threads=threads, partitions=partitions)
    destinations = Destinations(
        {each.name: each.sinks for each in outputs}, tuple(alerts), tuple(late), tuple(invalid)
    )
    loop = _Loop(op, sources, Routes(destinations, op.plan), time.monotonic)
    return loop.run(name)


class _Loop:
    def __init__(
        self, op: Operator, sources: Mapping[str, Source], routes: Routes, clock: Clock
    ) -> None:
        self._op = op
        self._sources = sources
        self._routes = routes
        self._clock = clock
        self._quiet = _QuietPartitions(op, clock)
        self._read: Counter[str] = Counter(dict.fromkeys(sources, 0))
        self._gave: Counter[str] = Counter(dict.fromkeys(op.outputs, 0))
        self._late = 0
        self._invalid = 0

    def run(self, name: str | None) -> Report:
        with ExitStack() as stack:
            stack.callback(self._routes.close)
            self._routes.open()
            readers = {
                key: stack.enter_context(closing(self._opened(key))) for key in self._sources
            }
            progress = stack.enter_context(Progress(name or "run", self._total))
            start = self._clock()
            for taken in self._intake(readers):
                self._take(taken)
                progress.show(self._read.total(), self._clock() - start)
            self._deliver(self._op.finish(), Taken())
            seconds = self._clock() - start
        stats = self._op.stats
        return Report(
            name,
            dict(self._read),
            dict(self._gave),
            dict(stats["alerts"]),
            self._late,
            self._invalid,
            tuple(stats["operators"]),
            seconds,
        )

    def _opened(self, name: str) -> Reader:
        words = self._op.input_plan(name)["schema"]
        declared = None if words is None else [(column, word) for column, word in words]
        return self._sources[name].open(declared, {})

    def _intake(self, readers: Mapping[str, Reader]) -> Iterable[Taken]:
        bounded = all(source.bounded for source in self._sources.values())
        if bounded and len(readers) > 1:
            return merged(readers, lambda name, table: event_times(self._op, name, table))
        return as_they_come(readers)

    def _take(self, taken: Taken) -> None:
        for feed in taken.feeds:
            self._quiet.heard(str(feed.input), feed.partition)
        for name, partition in taken.quiet:
            if self._quiet.is_idle(name, partition):
                self._deliver(self._op.idle(input=name, partition=partition), Taken())
        if taken.feeds or taken.undecodable:
            self._deliver(self._op.step(taken.feeds, taken.order), taken)
        self._read.update(taken.rows())
        for name in taken.ended:
            if len(self._sources) > 1:
                self._deliver(self._op.finish(input=name), Taken())

    def _deliver(self, result: Result, taken: Taken) -> None:
        for name, rows in result.outputs.items():
            self._gave[name] += len(rows)
        self._late += len(result.late)
        self._invalid += len(result.invalid) + len(taken.undecodable)
        self._routes.deliver(result, taken.undecodable)

    def _total(self) -> int | None:
        totals = [source.total for source in self._sources.values()]
        known = [total for total in totals if total is not None]
        return sum(known) if len(known) == len(totals) else None


class _QuietPartitions:
    """How long each partition has been without rows while its source was asked for them."""

    def __init__(self, op: Operator, clock: Clock) -> None:
        self._after = {name: op.input_plan(name)["idle_after"] for name in op.inputs}
        self._clock = clock
        self._since: dict[tuple[str, int], float] = {}
        self._idle: set[tuple[str, int]] = set()

    def heard(self, name: str, partition: Any) -> None:
        for key in [key for key in (*self._since, *self._idle) if key[0] == name]:
            if key[1] == partition or not isinstance(partition, int):
                self._since.pop(key, None)
                self._idle.discard(key)

    def is_idle(self, name: str, partition: int) -> bool:
        """True once, when the partition has been quiet for as long as its stream says."""
        after, key = self._after[name], (name, partition)
        if after is None or key in self._idle:
            return False
        now = self._clock()
        if now - self._since.setdefault(key, now) < after / 1e6:
            return False
        self._idle.add(key)
        return True


def _outputs(pipeline: Pipelines, rules: tuple[Rule, ...], sinks: tuple[Sink, ...]) -> list[Output]:
    if isinstance(pipeline, Output):
        pipeline = [pipeline]
    if isinstance(pipeline, Mapping):
        pipeline = [output(name, each) for name, each in pipeline.items()]
    if not isinstance(pipeline, Sequence):
        pipeline = [output(ONLY_OUTPUT, pipeline)]
    if rules and len(pipeline) > 1:
        hint = 'say whose they are: mt.output("name", pipeline, rules=[...])'
        raise PlanError(with_hint(f"rules= with {len(pipeline)} outputs", hint))
    return [
        output(each.name, each.pipeline, rules=each.rules + rules, sinks=(*each.sinks, *sinks))
        for each in pipeline
    ]


def _sources(source: Source | Mapping[str, Source], inputs: Sequence[str]) -> dict[str, Source]:
    if not isinstance(source, Mapping):
        if len(inputs) > 1:
            hint = "give a dict: the input's name to its source"
            raise PlanError(with_hint(f"a source is needed for each of {list(inputs)}", hint))
        source = {inputs[0]: source}
    for name, each in source.items():
        if name not in inputs:
            raise PlanError(unknown("input", name, inputs, "run"))
        # asking for the members of the protocol would read the footers of Parquet files
        if not (callable(getattr(each, "open", None)) and hasattr(each, "partitions")):
            hint = "wrap rows in mt.sources.Arrow(...); mt.collect takes them as they are"
            raise SourceError(with_hint(f"a {type(each).__name__} is no source", hint))
    missing = [name for name in inputs if name not in source]
    if missing:
        raise PlanError(f"run: no source for the inputs {missing}")
    return {name: source[name] for name in inputs}
