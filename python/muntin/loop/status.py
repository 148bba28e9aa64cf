"""The status of a run: what watchers see now and then, and the report at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from muntin.engine.operator import Operator
from muntin.engine.result import Result
from muntin.loop.history import Filling
from muntin.loop.positions import Positions
from muntin.loop.quiet import Clock, QuietPartitions
from muntin.loop.routes import Routes
from muntin.loop.saver import Saver
from muntin.loop.stages import Stages
from muntin.loop.tally import Tally
from muntin.monitor.counters import Counters
from muntin.monitor.moment import Moment, Scene, Watcher
from muntin.monitor.report import Report
from muntin.sources import Lag, Undecodable

_SEND_S = 0.1
_LAGS_S = 1.0


class Status:
    """Puts together the counters of a run's parts, and sends them to its watchers."""

    def __init__(
        self,
        scene: Scene,
        op: Operator,
        routes: Routes,
        tally: Tally,
        stages: Stages,
        watchers: Sequence[Watcher],
        saver: Saver | None,
        positions: Positions,
        quiet: QuietPartitions,
        counters: Counters,
        clock: Clock,
    ) -> None:
        """Keep the parts; there is a `saver` if the run takes checkpoints."""
        self._scene = scene
        self._op = op
        self._routes = routes
        self._tally = tally
        self._stages = stages
        self._watchers = watchers
        self._saver = saver
        self._positions = positions
        self._quiet = quiet
        self._counters = counters
        self._lags: Mapping[str, Sequence[Lag]] = {}
        self._lags_at = -_LAGS_S
        self._clock = clock
        self._newest: dict[str, int | None] = dict.fromkeys(op.inputs)
        self._start = self._sent = 0.0
        self.filling: Filling | None = None
        """What fills the state just now."""

    def begin(self) -> None:
        """The run begins now."""
        for watcher in self._watchers:
            watcher.begin(self._scene)
        self._start = self._sent = self._clock()

    def gave(self, result: Result, undecodable: Sequence[tuple[str, Undecodable]]) -> None:
        """Send watchers the results of a step."""
        for watcher in self._watchers:
            watcher.gave(result, undecodable)

    def send_now_and_then(self, now: float) -> None:
        """Send the status, unless that was just done."""
        if now - self._sent >= _SEND_S:
            self.send()

    def send(self) -> None:
        """Send the status; reading all counters has a cost, so not without a watcher."""
        self._sent = self._clock()
        if self._watchers:
            moment = self._moment(self._sent)
            for watcher in self._watchers:
                watcher.moment(moment)

    def end(self, error: BaseException | None) -> None:
        """The run ended, perhaps with an error."""
        for watcher in self._watchers:
            watcher.end(error)

    def report(self, stopped: bool) -> Report:
        """The report of a run that ends now."""
        moment = self._moment(self._clock())
        return Report(
            name=self._scene.name,
            sources=moment.sources,
            outputs=moment.outputs,
            alerts=moment.alerts,
            late=moment.late,
            invalid=moment.invalid,
            operators=tuple(moment.operators),
            seconds=moment.seconds,
            stopped=stopped,
            saved=moment.saved,
            dropped=moment.dropped,
            dead=moment.dead,
            aborts=moment.aborts,
            restore=moment.restore,
            filled=moment.filled,
        )

    def _moment(self, now: float) -> Moment:
        stats = self._op.stats
        inputs = {each["name"]: each for each in stats["inputs"]}
        # the watermark of an idle input advances without rows
        self._newest.update((n, each["newest"]) for n, each in inputs.items() if not each["idle"])
        filled, unseen = self._tally.history.rows, self._tally.history.alerts
        if self.filling is not None:
            filled, unseen = dict(self.filling.rows), dict(stats["alerts"])
        alerts = {rule: n - unseen.get(rule, 0) for rule, n in stats["alerts"].items()}
        return Moment(
            at=time.time(),
            seconds=now - self._start,
            sources=dict(self._tally.read),
            outputs=dict(self._tally.gave),
            alerts=alerts,
            late=self._tally.late,
            invalid=self._tally.invalid,
            operators=tuple(stats["operators"]),
            watermarks={name: each["watermark"] for name, each in inputs.items()},
            newest=dict(self._newest),
            stages=dict(self._stages.seconds),
            saved=self._saver.saved if self._saver else None,
            waiting=self._routes.counted("waiting"),
            dropped=self._routes.counted("dropped"),
            spent=tuple(stats["spent"]),
            lags=self._lags_now(now),
            dead=dict(self._tally.dead),
            commits=self._counters.commits,
            aborts=dict(self._counters.aborts),
            failures=self._counters.failures,
            fenced=self._counters.fenced,
            rebalances=self._counters.rebalances,
            commit=self._counters.commit,
            restore=self._counters.restore,
            filled=filled,
            filling=self.filling is not None,
        )

    def _lags_now(self, now: float) -> Mapping[str, Sequence[Lag]]:
        """The lags; made once a second, since there may be many partitions."""
        if now - self._lags_at >= _LAGS_S:
            self._lags_at = now
            self._lags = {
                name: [self._with_state(name, number, lag) for number, lag in lags.items()]
                for name, lags in self._positions.lags().items()
            }
        return self._lags

    def _with_state(self, name: str, number: int, lag: Lag) -> Lag:
        state = lag.state or self._quiet.state(name, number)
        if state is None and lag.rows is not None:
            state = "reading" if lag.rows else "waiting"
        return replace(lag, state=state)
