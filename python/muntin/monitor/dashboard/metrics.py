"""The newest status of a run in the text format of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from muntin.base.errors import CommitCause
from muntin.monitor.moment import Moment, Scene
from muntin.sources import Lag
from muntin.sources.base import LagState

if TYPE_CHECKING:
    from muntin.monitor.dashboard.view import View

_FATES = ("counted", "late", "invalid", "filtered", "in_gap")


def text(view: View) -> bytes:
    """All metrics; before a run begins, only that it has not begun."""
    registry = CollectorRegistry()
    registry.register(_Collector(view))
    return generate_latest(registry)


class _Collector:
    def __init__(self, view: View) -> None:
        self._view = view

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        state, _ = self._view.state
        yield _gauge("up", "1 while the run is running", {(): float(state == "running")}, ())
        name = "page_unseen_rows"
        yield _counter(name, "Rows the live page never saw", {(): self._view.unseen}, ())
        moment = self._view.moment
        if moment is not None:
            yield from _run(moment)
            yield from _operators(moment)
            yield from _saved(moment)
            yield from _commits(moment, self._view.scene)
            yield from _lags(moment)


def _run(moment: Moment) -> Iterator[Metric]:
    yield _counter("source_rows", "Rows read", _by(moment.sources), ("input",))
    yield _counter("output_rows", "Rows emitted", _by(moment.outputs), ("output",))
    yield _counter("alerts", "Alerts", _by(moment.alerts), ("rule",))
    yield _counter("late_records", "Records of late rows", {(): moment.late}, ())
    yield _counter("invalid_records", "Records of invalid rows", {(): moment.invalid}, ())
    help = "Records that could not be decoded and went to the sink of their source"
    yield _counter("dead_letters", help, _by(moment.dead), ("input",))
    yield _counter("stage_seconds", "Time spent in a stage", _by(moment.stages), ("stage",))
    yield _counter("run_seconds", "Running time", {(): moment.seconds}, ())
    yield _gauge("outbox_depth", "Alerts not sent yet", _by(moment.waiting), ("sink",))
    yield _counter(
        "outbox_dropped", "Alerts that could not be sent", _by(moment.dropped), ("sink",)
    )
    known = {name: at / 1e6 for name, at in moment.watermarks.items() if at is not None}
    yield _gauge("watermark_seconds", "Watermark, since 1970", _by(known), ("input",))
    delays = {
        name: newest / 1e6 - known[name]
        for name, newest in moment.newest.items()
        if newest is not None and name in known
    }
    help = "How far the watermark is behind the newest event time"
    yield _gauge("watermark_delay_seconds", help, _by(delays), ("input",))


def _operators(moment: Moment) -> Iterator[Metric]:
    nodes = [
        (str(one.get("name", i)), str(one.get("op", "")), one)
        for i, one in enumerate(moment.operators)
    ]
    labels = ("operator", "op")

    def each(counter: str) -> dict[tuple[str, ...], float]:
        return {(name, op): one.get(counter, 0) for name, op, one in nodes}

    yield _counter("operator_rows_in", "Rows into an operator", each("rows_in"), labels)
    fates: dict[tuple[str, ...], float] = {
        (name, op, fate): one.get(fate, 0) for name, op, one in nodes for fate in _FATES
    }
    yield _counter("operator_rows", "Rows by fate", fates, (*labels, "fate"))
    yield _counter("operator_fired", "Rows fired by windows", each("fired"), labels)
    warming = "Rows with unknown values, because the verb has not seen all rows of their windows"
    yield _counter("operator_warming", warming, each("warming"), labels)
    yield _gauge("operator_keys", "Keys in state", each("keys"), labels)
    yield _gauge("operator_state_bytes", "Bytes of state", each("bytes"), labels)


def _saved(moment: Moment) -> Iterator[Metric]:
    saved = moment.saved
    if saved is None:
        return
    yield _counter("checkpoints", "Number of the last checkpoint", {(): saved.number}, ())
    age = max(time.time() - saved.at, 0.0)
    yield _gauge("checkpoint_age_seconds", "Age of the last checkpoint", {(): age}, ())
    yield _gauge(
        "checkpoint_paused_seconds", "How long the run was paused for it", {(): saved.paused}, ()
    )
    yield _gauge("checkpoint_seconds", "How long it took to write it", {(): saved.seconds}, ())
    yield _gauge("checkpoint_bytes", "Size of all files it refers to", {(): saved.bytes}, ())
    yield _gauge("checkpoint_written_bytes", "Bytes written for it", {(): saved.written}, ())


def _commits(moment: Moment, scene: Scene | None) -> Iterator[Metric]:
    commit, restore = moment.commit, moment.restore
    yield _counter("fenced", "Takeovers by another run of the name", {(): moment.fenced}, ())
    help = "Moves of partitions or of the ownership between copies of the run"
    yield _counter("rebalances", help, {(): moment.rebalances}, ())
    if restore is not None:
        help = "How long the last restore took"
        yield _gauge("restore_seconds", help, {(): restore.seconds}, ())
        yield _gauge("restore_bytes", "Size of the restored state", {(): restore.bytes}, ())
    if commit is None:
        return
    yield _counter("commits", "Commits that took effect", {(): moment.commits}, ())
    aborts: dict[tuple[str, ...], float]
    aborts = {(cause,): moment.aborts.get(cause, 0) for cause in get_args(CommitCause)}
    help = "Commits that did not take effect and are repeated"
    yield _counter("commit_aborts", help, aborts, ("cause",))
    help = "Checkpoints that could not be written"
    yield _counter("commit_failures", help, {(): moment.failures}, ())
    age = max(time.time() - commit.at, 0.0)
    help = "Time since results last became visible"
    yield _gauge("commit_age_seconds", help, {(): age}, ())
    if commit.seconds is not None:
        help = "How long it took to make the results of the last commit visible"
        yield _gauge("commit_seconds", help, {(): commit.seconds}, ())
    if scene is not None and scene.every is not None:
        help = "The configured time between two commits"
        yield _gauge("commit_interval_seconds", help, {(): scene.every}, ())


def _lags(moment: Moment) -> Iterator[Metric]:
    labels = ("input", "topic", "partition")
    every: dict[tuple[str, ...], Lag] = {
        (name, lag.topic, str(lag.partition)): lag
        for name, lags in moment.lags.items()
        for lag in lags
    }
    rows: dict[tuple[str, ...], float]
    rows = {key: lag.rows for key, lag in every.items() if lag.rows is not None}
    yield _gauge("source_lag_rows", "Rows there are to read, at most", rows, labels)
    now = time.time()
    ages = {key: lag.seconds(now) for key, lag in every.items()}
    seconds = {key: age for key, age in ages.items() if age is not None}
    help = "Age of the last row that was read, where more are to read"
    yield _gauge("source_lag_seconds", help, seconds, labels)
    states: dict[tuple[str, ...], float]
    states = {(name, state): 0 for name in moment.lags for state in get_args(LagState)}
    for (name, _, _), lag in every.items():
        if lag.state is not None:
            states[name, lag.state] += 1
    help = "Partitions by what the reading of each does"
    yield _gauge("source_partitions", help, states, ("input", "state"))


def _by(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(name,): value for name, value in values.items()}


def _gauge(
    name: str, help: str, values: Mapping[tuple[str, ...], float], labels: tuple[str, ...]
) -> Metric:
    return _filled(GaugeMetricFamily(f"muntin_{name}", help, labels=labels), values)


def _counter(
    name: str, help: str, values: Mapping[tuple[str, ...], float], labels: tuple[str, ...]
) -> Metric:
    return _filled(CounterMetricFamily(f"muntin_{name}", help, labels=labels), values)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[tuple[str, ...], float]
) -> Metric:
    for label, value in values.items():
        family.add_metric(label, value)
    return family
