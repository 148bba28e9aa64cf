"""Descriptions, results and status of a run, as sent to watchers.

The loop creates these values and passes them on; it never waits for a watcher. All of them are
immutable, so other threads may keep and read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from muntin.base.errors import CommitCause
from muntin.checkpoint.saved import Saved
from muntin.engine.result import Result
from muntin.monitor.counters import Commit, Restore
from muntin.sources import Lag, Undecodable


@dataclass(frozen=True, slots=True)
class Scene:
    """What a run consists of.

    Attributes:
        name: the run's name.
        plan: the engine's plan: `inputs`, `nodes` and `outputs`, as JSON values.
        facts: what the engine reports of each node of the plan: its schema, its keys and so on.
        titles: for each node of the plan, the verb as a user would type it.
        sources: a short description of each input's source.
        sinks: short descriptions of each output's sinks.
        alerts: short descriptions of the sinks for alerts.
        started: wall time of the start, in seconds since 1970.
        total: rows in all sources, None if unknown.
        every: the time between two commits, in seconds; None without checkpoints.
        guarantee: how often readers see each kind of row, in one sentence.
        history: rows of the history that fills the state first, None if unknown.
    """

    name: str
    plan: Mapping[str, Any]
    facts: Sequence[Mapping[str, Any]]
    titles: Sequence[str]
    sources: Mapping[str, str]
    sinks: Mapping[str, Sequence[str]]
    alerts: Sequence[str]
    started: float
    total: int | None
    every: float | None = None
    guarantee: str = ""
    history: int | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """The status of a run at one moment. Counts are since its start, or since the restored state.

    Attributes:
        at: wall time, in seconds since 1970.
        seconds: running time since the start.
        sources: rows read, by input.
        outputs: rows emitted, by output.
        alerts: alerts, by rule.
        late: records of late rows.
        invalid: records of invalid rows, including lines that could not be decoded.
        operators: the counters of each node of the plan, as in `Operator.stats`: `rows_in`,
            `counted`, `late`, `invalid`, `filtered`, `in_gap`, `fired`, `keys`, `bytes`,
            `warming`.
        watermarks: each input's watermark in microseconds since 1970 in UTC; None before its
            first row and after its end.
        newest: each input's newest event time, in the same unit; None before its first row.
        stages: seconds spent so far in `source` (reading and decoding), `engine` (watermark to
            rules), `sink` and `checkpoint`.
        saved: the last checkpoint, None if there is none.
        waiting: alerts not sent yet, by sink.
        dropped: alerts that could not be sent, by sink.
        spent: seconds spent in each node of the plan.
        lags: by input, how far the reading of each partition is behind, where that is known.
        dead: records that could not be decoded and went to the sink of their source, by input.
        commits: commits that took effect since the process started; so are the next four.
        aborts: commits that did not take effect, by cause.
        failures: checkpoints that could not be written.
        fenced: how often another run with the same name took over.
        rebalances: how often partitions or the ownership moved between copies of the run.
        commit: the newest commit; None if the run takes no checkpoints.
        restore: the newest restore; None if the run started without a checkpoint.
        filled: rows of history that filled the state, by input; they count nowhere else but in
            `operators`.
        filling: whether the state is being filled: no live row was read yet.
    """

    at: float
    seconds: float
    sources: Mapping[str, int]
    outputs: Mapping[str, int]
    alerts: Mapping[str, int]
    late: int
    invalid: int
    operators: Sequence[Mapping[str, Any]]
    watermarks: Mapping[str, int | None]
    newest: Mapping[str, int | None]
    stages: Mapping[str, float]
    saved: Saved | None = None
    waiting: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    spent: Sequence[float] = ()
    lags: Mapping[str, Sequence[Lag]] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)
    commits: int = 0
    aborts: Mapping[CommitCause, int] = field(default_factory=dict)
    failures: int = 0
    fenced: int = 0
    rebalances: int = 0
    commit: Commit | None = None
    restore: Restore | None = None
    filled: Mapping[str, int] = field(default_factory=dict)
    filling: bool = False

    @property
    def behind(self) -> int | None:
        """How many rows there are to read, at most; None if no source knows."""
        known = [lag.rows for lags in self.lags.values() for lag in lags if lag.rows is not None]
        return sum(known) if known else None

    @property
    def behind_seconds(self) -> float | None:
        """The age of the last row read of the partition that is furthest behind, if known."""
        ages = (lag.seconds(self.at) for lags in self.lags.values() for lag in lags)
        return max((age for age in ages if age is not None), default=None)


class Watcher(Protocol):
    """Something that watches a run: a page, a status line, metrics.

    The loop calls these on its own thread, so each must return at once.
    """

    def begin(self, scene: Scene) -> None:
        """The run is about to start; called once."""

    def gave(self, result: Result, undecodable: Sequence[tuple[str, Undecodable]]) -> None:
        """A step has results: rows, alerts, late or invalid records."""

    def moment(self, moment: Moment) -> None:
        """The status of the run; a few times a second, and once more after the last step."""

    def end(self, error: BaseException | None) -> None:
        """The run has ended, or failed; called once."""

    def close(self) -> None:
        """Release threads and sockets; called once, in any case, by whoever made the watcher."""
