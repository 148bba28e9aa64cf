"""`mt.run`: builds a run from sources, pipelines and sinks, and starts it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, overload

from muntin.base import arguments
from muntin.base.arguments import not_yet
from muntin.base.errors import PlanError, unknown, with_hint
from muntin.checkpoint import Checkpoint
from muntin.engine.operator import Pipelines
from muntin.loop.background import Running
from muntin.loop.explained import with_plans
from muntin.loop.given import (
    bad_sinks,
    check_replayable,
    checkpoint_given,
    group_of,
    outputs_given,
    sources_given,
)
from muntin.loop.history import Past, histories_given
from muntin.loop.routes import Destinations
from muntin.loop.setting import Setting
from muntin.loop.stop import Stop
from muntin.monitor.dashboard import Dashboard
from muntin.monitor.moment import Watcher
from muntin.monitor.report import Report
from muntin.pipeline.plan import compile, outputs_of, rules_of
from muntin.pipeline.rules import Rule
from muntin.sinks import Sink
from muntin.sources import Given, Source

DASHBOARD = "MUNTIN_DASHBOARD"
"""The environment variable that adds a page to runs without `dashboard=`."""


@overload
def run(
    source: Given | Mapping[str, Given],
    pipeline: Pipelines,
    *,
    name: str | None = None,
    rules: Iterable[Rule] = (),
    sinks: Iterable[Sink] = (),
    alerts: Iterable[Sink] = (),
    late: Iterable[Sink] = (),
    invalid: Iterable[Sink] = (),
    history: Past | Mapping[str, Past] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    dashboard: bool | int | str | Dashboard | Watcher | None = None,
    threads: int = 1,
    state_dir: object | None = None,
    once: bool = False,
    standby: bool = False,
    background: Literal[False] = False,
) -> Report: ...


@overload
def run(
    source: Given | Mapping[str, Given],
    pipeline: Pipelines,
    *,
    name: str | None = None,
    rules: Iterable[Rule] = (),
    sinks: Iterable[Sink] = (),
    alerts: Iterable[Sink] = (),
    late: Iterable[Sink] = (),
    invalid: Iterable[Sink] = (),
    history: Past | Mapping[str, Past] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    dashboard: bool | int | str | Dashboard | Watcher | None = None,
    threads: int = 1,
    state_dir: object | None = None,
    once: bool = False,
    standby: bool = False,
    background: Literal[True],
) -> Running: ...


def run(
    source: Given | Mapping[str, Given],
    pipeline: Pipelines,
    *,
    name: str | None = None,
    rules: Iterable[Rule] = (),
    sinks: Iterable[Sink] = (),
    alerts: Iterable[Sink] = (),
    late: Iterable[Sink] = (),
    invalid: Iterable[Sink] = (),
    history: Past | Mapping[str, Past] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    dashboard: bool | int | str | Dashboard | Watcher | None = None,
    threads: int = 1,
    state_dir: object | None = None,
    once: bool = False,
    standby: bool = False,
    background: bool = False,
) -> Report | Running:
    """Read sources to their end, through a pipeline, into sinks.

    `mt.explain` takes the same arguments and says what they mean, without a run.

    Args:
        source: a source, or rows: an Arrow object, a list or a generator of dicts; with several
            inputs a dict of these by the inputs' names.
        pipeline: one stream, several by the names of their outputs, or `mt.output` values.
        name: a name for the run, for the report, the page and the checkpoints. If rows and
            checkpoints are committed in transactions of Kafka, it is the transactional id: one run
            at a time may have it. By default the group of a Kafka source.
        rules: rules on the rows of the only output.
        sinks: sinks for the rows of every output, besides an output's own.
        alerts: sinks for alerts; their `when=` says which. Alerts of shadow rules go only to
            those whose `when=` names the column `shadow`.
        late: sinks for the records of late rows.
        invalid: sinks for the records of invalid rows, and of records that cannot be decoded.
        checkpoint: where to keep the state; a run with the same checkpoint resumes where the last
            one was, however that ended. Rows become visible with the checkpoint that contains
            them.
        dashboard: where to show the run, as `":8080"` (only this machine) or an `mt.Dashboard`; or
            a page of `mt.serve`, which stays open. The default is the environment variable
            `MUNTIN_DASHBOARD`.
        threads: how many threads the engine may use; results do not depend on it.
        history: earlier rows that fill the state without results, before the first live row: a
            source, or a dict of these by the inputs' names. A source of Kafka takes also where to
            begin in its own topics: "earliest", or a `datetime`. See "History" in the guide to
            delivery for where one ends and the other begins.
        state_dir: not implemented.
        once: read what is there now, take a checkpoint and end: a pipeline as a cron job, whose
            next run continues. Open windows stay open, and a last line without a line end is
            left for later. It needs `checkpoint=`; a run without `once` fires open windows at
            the end.
        standby: of several copies of this run, on any machines, let one be the owner; the others
            wait, and one of them takes over when the owner ends or dies. Kafka decides: the copies
            are a group of their own, named after the run. It needs a source or sink of Kafka, and a
            checkpoint that all copies reach.
        background: return a `Running` at once, and run on a thread.

    Raises:
        PlanError: the pipeline cannot run as it is, or has inputs without a source.
        SourceError: a source cannot be read, or differs from the checkpoint's.
        SinkError: a sink cannot be written, its file or table already exists, another run or sink
            writes to it, or the page's address is in use.
        MissingExtra: what the page needs is not installed.
        SnapshotError: the checkpoint is of another pipeline, in use, damaged, or cannot be written.
        DataError, SchemaError, PartitionError: rows cannot be taken.

    Several sources that end are merged by recorded arrival, else by event time. Ctrl-C or SIGTERM
    ends the run after the current step: open windows do not fire, a checkpoint is taken, and the
    report is returned; a second signal ends the run at once. On a terminal a line shows how
    far the run is.

    >>> import muntin as mt, pyarrow as pa, datetime as dt
    >>> table = pa.table({"at": [dt.datetime(2024, 5, 1, 10)], "store": ["a"]})
    >>> sales = mt.stream(time="at", out_of_order="10s")
    >>> report = mt.run(mt.sources.Arrow(table),
    ...                 sales.tumbling("1m", by="store").agg(n=mt.count()))
    >>> report.rows, dict(report.outputs)
    (1, {'rows': 1})
    """
    arguments.flag(background, "run: background")
    setting = _setting(
        source, pipeline, name=name, rules=rules, sinks=sinks, alerts=alerts, late=late,
        invalid=invalid, history=history, checkpoint=checkpoint, dashboard=dashboard,
        threads=threads, state_dir=state_dir, once=once, standby=standby,
    )  # fmt: skip
    found = _planned.get()
    if found is not None:
        found.append(setting)
    play = setting.play if found is None else setting.report_of_nothing
    if background:
        return Running(play)
    stop = Stop()
    with stop.on_signals():
        return play(stop, ())


def explain(source: Given | Mapping[str, Given], pipeline: Pipelines, **options: Any) -> str:
    """Say what a run with these arguments would do, as text; nothing is opened or connected.

    It says for each kind of row how often a reader sees it, which authority decides that a
    checkpoint counts, whether each partition of the source has a state of its own and why, and
    the plan of each output as `Stream.explain` does.

    Args:
        source, pipeline: as in `mt.run`; so are the options, by their names.

    Raises:
        PlanError: the run could not start as it is, or there is no such option.
        SourceError, SinkError: as `mt.run`, where that shows without reading or writing.

    >>> import muntin as mt
    >>> sales = mt.stream(time="at", out_of_order="0s", schema={"at": "date", "shop": "str"})
    >>> print(mt.explain(mt.sources.JsonLines("sales.jsonl"), sales, checkpoint="state",
    ...                  sinks=mt.sinks.JsonLines("out.jsonl")))
    run "run"
    reads          input: JsonLines('sales.jsonl')
    writes         rows in JsonLines exactly once
    authority      the newest complete checkpoint in Directory('state') counts; one every 10s
    scope          global: ...
    <BLANKLINE>
    output rows
    plan ...
    """
    known = [*inspect.signature(_setting).parameters][2:]
    for name in options:
        if name not in known:
            raise PlanError(unknown("option", name, known, "explain"))
    return with_plans(_setting(source, pipeline, **options))


@contextmanager
def planned() -> Iterator[list[Setting]]:
    """Within it runs are not started, but collected; each returns a report without rows."""
    found: list[Setting] = []
    token = _planned.set(found)
    try:
        yield found
    finally:
        _planned.reset(token)


_planned: ContextVar[list[Setting] | None] = ContextVar("planned", default=None)


def _setting(
    source: Given | Mapping[str, Given],
    pipeline: Pipelines,
    *,
    name: str | None = None,
    rules: Iterable[Rule] = (),
    sinks: Iterable[Sink] = (),
    alerts: Iterable[Sink] = (),
    late: Iterable[Sink] = (),
    invalid: Iterable[Sink] = (),
    history: Past | Mapping[str, Past] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    dashboard: bool | int | str | Dashboard | Watcher | None = None,
    threads: int = 1,
    state_dir: object | None = None,
    once: bool = False,
    standby: bool = False,
) -> Setting:
    """What `run` was given, checked as far as that needs no source and no sink."""
    not_yet("run", state_dir=state_dir is not None)
    if name is not None and (not isinstance(name, str) or not name):
        raise PlanError(
            with_hint(f"run: name={arguments.shown(name)} is not a name", 'say name="fraud"')
        )
    arguments.flag(standby, "run: standby")
    if standby and (once or checkpoint is None):
        hint = "a copy that takes over resumes from it" if checkpoint is None else "leave once= out"
        missing = "checkpoint=" if checkpoint is None else "once=False"
        raise PlanError(with_hint(f"run: standby=True needs {missing}", hint))
    arguments.threads(threads)
    outputs = outputs_given(
        pipeline, rules_of(rules, "run: rules"), arguments.sinks(sinks, "run: sinks")
    )
    beside = {"alerts": alerts, "late": late, "invalid": invalid}
    channels = {word: arguments.sinks(given, f"run: {word}") for word, given in beside.items()}
    sources = sources_given(source, compile(outputs_of(outputs)).inputs, once=once)
    setting = Setting(
        name or group_of(sources) or "run",
        outputs,
        sources,
        Destinations(
            {each.name: each.sinks for each in outputs}, **channels, bad=bad_sinks(sources)
        ),
        None if checkpoint is None else checkpoint_given(checkpoint),
        os.environ.get(DASHBOARD) if dashboard is None else dashboard,
        threads,
        once,
        standby,
        histories_given(history, sources),
    )
    if setting.checkpoint is not None:
        check_replayable(setting.sources)
        check_replayable({k: v for k, v in setting.history.items() if isinstance(v, Source)})
    elif once:
        hint = 'add checkpoint="state", from which the next run resumes'
        raise PlanError(
            with_hint("run: once=True without checkpoint= would lose open windows", hint)
        )
    return setting
