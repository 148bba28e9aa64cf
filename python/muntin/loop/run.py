"""`mt.run`: builds a run from sources, pipelines and sinks, and starts it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, overload

from muntin.base import arguments
from muntin.base.arguments import not_yet
from muntin.base.errors import PlanError, SourceError, unknown, with_hint
from muntin.checkpoint import Checkpoint, Keeper, tell_change
from muntin.engine.operator import Operator, Pipelines, operator
from muntin.loop.background import Running
from muntin.loop.claims import claimed
from muntin.loop.loop import Loop, Saving
from muntin.loop.routes import Destinations, Routes
from muntin.loop.stop import Stop
from muntin.monitor.dashboard import Dashboard, serve
from muntin.monitor.journal import Journal
from muntin.monitor.moment import Scene, Watcher
from muntin.monitor.progress import Progress
from muntin.monitor.report import Report
from muntin.pipeline.explain import said_of, waiting_silences
from muntin.pipeline.plan import Node, Output, compile, named_outputs, output, outputs_of, rules_of
from muntin.pipeline.rules import Rule
from muntin.pipeline.stream import Stream
from muntin.sinks import Sink
from muntin.sources import Given, Source, source_of
from muntin.sources.deliveries.once import Once, replayable

_log = logging.getLogger("muntin.run")

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
    history: Source | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    dashboard: bool | int | str | Dashboard | Watcher | None = None,
    threads: int = 1,
    state_dir: object | None = None,
    once: bool = False,
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
    history: Source | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    dashboard: bool | int | str | Dashboard | Watcher | None = None,
    threads: int = 1,
    state_dir: object | None = None,
    once: bool = False,
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
    history: Source | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    dashboard: bool | int | str | Dashboard | Watcher | None = None,
    threads: int = 1,
    state_dir: object | None = None,
    once: bool = False,
    background: bool = False,
) -> Report | Running:
    """Read sources to their end, through a pipeline, into sinks.

    Args:
        source: a source, or rows: an Arrow object, a list or a generator of dicts; with several
            inputs a dict of these by the inputs' names.
        pipeline: one stream, several by the names of their outputs, or `mt.output` values.
        name: a name for the run, for the report, the page and the checkpoints.
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
        history: not implemented.
        state_dir: not implemented.
        once: read what is there now, take a checkpoint and end: a pipeline as a cron job, whose
            next run continues. Open windows stay open, and a last line without a line end is
            left for later. It needs `checkpoint=`; a run without `once` fires open windows at
            the end.
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
    not_yet("run", history=history is not None, state_dir=state_dir is not None)
    if name is not None and (not isinstance(name, str) or not name):
        raise PlanError(
            with_hint(f"run: name={arguments.shown(name)} is not a name", 'say name="fraud"')
        )
    arguments.flag(background, "run: background")
    arguments.threads(threads)
    outputs = _outputs(
        pipeline, rules_of(rules, "run: rules"), arguments.sinks(sinks, "run: sinks")
    )
    beside = {"alerts": alerts, "late": late, "invalid": invalid}
    channels = {word: arguments.sinks(given, f"run: {word}") for word, given in beside.items()}
    setting = _Setting(
        name or "run",
        outputs,
        _sources(source, compile(outputs_of(outputs)).inputs, once=once),
        Destinations({each.name: each.sinks for each in outputs}, **channels),
        None if checkpoint is None else _checkpoint(checkpoint),
        os.environ.get(DASHBOARD) if dashboard is None else dashboard,
        threads,
        once,
    )
    if setting.checkpoint is not None:
        _check_replayable(setting.sources)
    elif once:
        hint = 'add checkpoint="state", from which the next run resumes'
        raise PlanError(
            with_hint("run: once=True without checkpoint= would lose open windows", hint)
        )
    if background:
        return Running(setting.play)
    stop = Stop()
    with stop.on_signals():
        return setting.play(stop, ())


@dataclass(frozen=True, slots=True)
class _Setting:
    """Everything a run is made of."""

    name: str
    outputs: Sequence[Output]
    sources: Mapping[str, Source]
    destinations: Destinations
    checkpoint: Checkpoint | None
    dashboard: bool | int | str | Dashboard | Watcher | None
    threads: int
    once: bool

    def play(self, stop: Stop, watchers: Sequence[Watcher]) -> Report:
        """Build the parts, and run the loop over them."""
        with ExitStack() as stack:
            progress = Progress()
            stack.callback(progress.close)
            # a watcher costs a read of all counters ten times a second
            lines = [progress] if progress.is_shown else []
            shown = [*lines, *watchers, *self._pages(stack)]
            store = self.checkpoint.store if self.checkpoint else None
            stack.enter_context(claimed(self.name, self.sources, self.destinations, store))
            saving = self._saving(stack)
            restored = saving.restored if saving else None
            op = operator(
                self.outputs,
                threads=self.threads,
                partitions={key: tuple(each.partitions()) for key, each in self.sources.items()},
                snapshot=restored.snapshot if restored else None,
                on_change=self.checkpoint.on_change if self.checkpoint else "refuse",
            )
            if self.checkpoint:
                tell_change(op, self.checkpoint.on_change)
            self._warn_of_waiting()
            return Loop(
                op,
                self.sources,
                Routes(self.destinations, op.upsert_keys),
                self._scene(op),
                saving=saving,
                once=self.once,
                watchers=[*shown, Journal(restored)],
                stop=stop,
            ).run()

    def _warn_of_waiting(self) -> None:
        """Warn if `silent` reads a live source and needs rows of other keys to fire."""
        if all(each.bounded for each in self.sources.values()):
            return
        for waits in waiting_silences(self._ends()):
            _log.warning("%s", waits)

    def _ends(self) -> list[Node]:
        pipelines = [each.pipeline for each in self.outputs]
        return [each.node for each in pipelines if isinstance(each, Stream)]

    def _pages(self, stack: ExitStack) -> list[Watcher]:
        if self.dashboard is None or self.dashboard is False:
            return []
        if isinstance(self.dashboard, bool | int | str | Dashboard):
            page = serve(self.dashboard)
            stack.callback(page.close)
            return [page]
        _check_watcher(self.dashboard)
        return [self.dashboard]

    def _saving(self, stack: ExitStack) -> Saving | None:
        if self.checkpoint is None:
            return None
        self.checkpoint.store.open()
        stack.callback(self.checkpoint.store.close)
        keeper = Keeper(self.checkpoint.store)
        return Saving(keeper, self.checkpoint.seconds, keeper.recover())

    def _scene(self, op: Operator) -> Scene:
        totals = [each.total for each in self.sources.values()]
        known = [total for total in totals if total is not None]
        return Scene(
            name=self.name,
            plan=op.plan,
            facts=op.facts,
            said=said_of(self._ends()),
            sources={key: _label(each) for key, each in self.sources.items()},
            sinks={each.name: [_label(sink) for sink in each.sinks] for each in self.outputs},
            alerts=[_label(sink) for sink in self.destinations.alerts],
            started=time.time(),
            total=sum(known) if len(known) == len(totals) else None,
        )


def _check_watcher(value: object) -> None:
    lacking = [name for name in ("begin", "gave", "moment", "end") if not hasattr(value, name)]
    if lacking or isinstance(value, type):
        hint = 'say dashboard=":8080", or give an mt.Dashboard'
        raise PlanError(with_hint(f"dashboard={arguments.shown(value)} is not a page", hint))


def _label(part: object) -> str:
    """A source or a sink as a few words: its repr, if it defines one."""
    own = type(part).__repr__ is not object.__repr__
    return repr(part) if own else type(part).__name__


def _checkpoint(value: Checkpoint | str | os.PathLike[str]) -> Checkpoint:
    if isinstance(value, Checkpoint):
        return value
    if isinstance(value, (str, os.PathLike)):
        return Checkpoint(value)
    hint = 'checkpoint=mt.Checkpoint("state", every="10s")'
    raise PlanError(with_hint(f"checkpoint={arguments.shown(value)} is not a checkpoint", hint))


def _outputs(pipeline: Pipelines, rules: tuple[Rule, ...], sinks: tuple[Sink, ...]) -> list[Output]:
    return [
        output(each.name, each.pipeline, rules=each.rules, sinks=(*each.sinks, *sinks))
        for each in named_outputs(pipeline, rules)
    ]


def _sources(
    source: Given | Mapping[str, Given], inputs: Sequence[str], *, once: bool
) -> dict[str, Source]:
    if not isinstance(source, Mapping):
        if len(inputs) > 1:
            hint = "give a dict: the input's name to its source"
            raise PlanError(with_hint(f"a source is needed for each of {list(inputs)}", hint))
        source = {inputs[0]: source}
    for name in source:
        if name not in inputs:
            if isinstance(source[name], (list, tuple)) and not any(i in source for i in inputs):
                hint = "a row is a dict, rows are a list of them; columns: pyarrow.table({...})"
                raise SourceError(with_hint(f"run: a dict of columns {list(source)}", hint))
            raise PlanError(unknown("input", name, inputs, "run"))
    missing = [name for name in inputs if name not in source]
    if missing:
        raise PlanError(f"run: no source for the inputs {missing}")
    found = {name: source_of(source[name]) for name in inputs}
    return {name: Once(each) for name, each in found.items()} if once else found


def _check_replayable(sources: Mapping[str, Source]) -> None:
    """A checkpoint needs sources that can be read again."""
    for name, source in sources.items():
        if not replayable(source):
            said = f'input "{name}": {_label(source)} can be read only once, so no later run could '
            hint = "leave checkpoint= out, or give what can be read again: a list, a file, or a "
            hint += "function that makes the generator, mt.sources.Rows(make)"
            raise SourceError(with_hint(f"{said}resume from the checkpoint", hint))
