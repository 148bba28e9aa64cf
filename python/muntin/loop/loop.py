"""The loop of a run: reads sources, steps the engine, writes sinks. Only it reads a clock.

Everything happens on one thread, one step after another, so a slow sink slows the source down and
at most one batch of each source is in memory. Between two steps the loop takes checkpoints, sends
the status to watchers, and ends if a stop was requested.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from muntin.base import limits
from muntin.base.errors import MuntinError, RuleError, SnapshotError, SourceError, with_hint
from muntin.checkpoint import Keeper, Restored, Where
from muntin.checkpoint.manifest import Counts, Position
from muntin.checkpoint.saved import Saved
from muntin.engine.event_times import event_times
from muntin.engine.feeds import Feed
from muntin.engine.operator import Operator
from muntin.engine.result import Result
from muntin.loop.intake import Taken, as_they_come, merged
from muntin.loop.quiet import Clock, QuietPartitions
from muntin.loop.routes import Routes
from muntin.loop.stop import Stop
from muntin.monitor.leaps import Leaps
from muntin.monitor.moment import Moment, Scene, Watcher
from muntin.monitor.report import Report
from muntin.sources import Reader, Source
from muntin.sources.base import opened

_log = logging.getLogger("muntin.run")

_FAILURES_MAX = 3
_TELL_S = 0.1
_SETTLE_STEP_S = 0.02
_STAGES = ("source", "engine", "sink", "checkpoint")


@dataclass(slots=True)
class Saving:
    """The checkpoints of a run, and the one it resumes from.

    Attributes:
        keeper: takes them.
        every: the time between two checkpoints, in seconds.
        restored: the one this run resumes from.
    """

    keeper: Keeper
    every: float
    restored: Restored | None


@dataclass(slots=True)
class _Tally:
    """The run's counters."""

    read: Counter[str] = field(default_factory=Counter)
    gave: Counter[str] = field(default_factory=Counter)
    late: int = 0
    invalid: int = 0

    @classmethod
    def of(cls, counts: Counts, inputs: Iterable[str], outputs: Iterable[str]) -> _Tally:
        read = Counter({name: counts.read.get(name, 0) for name in inputs})
        # the pipeline may have changed, and an output been removed
        gave = Counter({name: counts.gave.get(name, 0) for name in outputs})
        return cls(read, gave, counts.late, counts.invalid)

    def counts(self) -> Counts:
        return Counts(dict(self.read), dict(self.gave), self.late, self.invalid)


class Loop:
    """One run, from the opening of its sources to its report."""

    def __init__(
        self,
        op: Operator,
        sources: Mapping[str, Source],
        routes: Routes,
        scene: Scene,
        *,
        saving: Saving | None = None,
        once: bool = False,
        watchers: Sequence[Watcher] = (),
        stop: Stop | None = None,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        """Keep the arguments; nothing is read or written before `run`."""
        self._op = op
        self._sources = sources
        self._routes = routes
        self._scene = scene
        self._saving = saving
        self._once = once
        self._watchers = watchers
        self._stop = stop if stop is not None else Stop()
        self._clock = clock
        self._wall = wall
        self._leaps = Leaps()
        manifest = saving.restored.manifest if saving and saving.restored else None
        self._tally = _Tally.of(manifest.counts if manifest else Counts(), sources, op.outputs)
        self._identities = {name: list(each.identity()) for name, each in sources.items()}
        self._next = {name: dict(_position(manifest, name)) for name in sources}
        self._marks = {name: _mark(manifest, name) for name in sources}
        self._quiet = QuietPartitions(op, clock)
        self._stages: dict[str, float] = dict.fromkeys(_STAGES, 0.0)
        self._saved: Saved | None = None
        self._newest: dict[str, int | None] = dict.fromkeys(sources)
        self._failures = 0
        self._unshown: Mapping[str, int] = {}
        self._start = self._told = self._checked = 0.0

    def run(self) -> Report:
        """Read the sources to their end, or until a stop is requested."""
        with ExitStack() as stack:
            stack.callback(self._routes.close)
            try:
                stopped = self._whole_run(stack)
            except BaseException as error:
                self._end(error)
                raise
            self._end(None)
            now = self._clock()
        return self._report(now, stopped)

    def _whole_run(self, stack: ExitStack) -> bool:
        restored = self._saving.restored if self._saving else None
        self._check_identities(restored)
        self._routes.open()
        self._routes.describe(self._op.schemas)
        # before the sinks begin: if a source cannot be read, nothing must be overwritten
        readers = {name: stack.enter_context(closing(self._opened(name))) for name in self._sources}
        self._begin_sinks(restored)
        for watcher in self._watchers:
            watcher.begin(self._scene)
        self._start = self._told = self._checked = self._clock()
        if restored and restored.manifest.ended:
            self._nothing_new(readers)
            return False
        through = self._turns(readers)
        ended = through and not self._once
        if ended:
            self._take_out(self._finished(), Taken())
        self._finish_sinks()
        self._save(ended=ended)
        self._settle(ended=ended)
        self._tell(self._clock())
        return not through

    def _turns(self, readers: Mapping[str, Reader]) -> bool:
        """Process rows until all inputs have ended; False if a stop was requested before."""
        for taken in self._read(self._intake(readers)):
            self._take(taken)
            now = self._clock()
            if now - self._told >= _TELL_S:
                self._tell(now)
            if self._saving and self._is_due(self._saving.every, now):
                self._save(ended=False)
            if self._stop.asked:
                _log.info("stop requested", extra={"event": "stop", "run": self._scene.name})
                return False
        return True

    def _intake(self, readers: Mapping[str, Reader]) -> Iterator[Taken]:
        bounded = all(source.bounded for source in self._sources.values())
        if bounded and len(readers) > 1:
            return merged(readers, lambda name, table: event_times(self._op, name, table))
        return as_they_come(readers)

    def _take(self, taken: Taken) -> None:
        for feed in taken.feeds:
            self._quiet.heard(str(feed.input), feed.partition)
        for name, partition in () if self._once else taken.quiet:
            with self._showing(Taken()):
                for result in self._quiet.silent(name, partition):
                    self._take_out(result, Taken())
        if taken.feeds or taken.undecodable:
            feeds = [self._stamped(feed) for feed in taken.feeds]
            with self._in_stage("engine"), self._showing(taken):
                result = self._op.step(feeds, taken.order)
            self._leaps.tell(result.leaps, feeds)
            self._take_out(result, taken)
        self._tally.read.update(taken.rows())
        for name, partition, at in taken.resume:
            self._next[name][partition] = at
        self._marks.update(taken.marks)
        if not self._once and len(self._sources) > len(taken.ended):
            for name in taken.ended:
                with self._in_stage("engine"), self._showing(Taken()):
                    result = self._op.finish(input=name)
                self._take_out(result, Taken())

    def _stamped(self, feed: Feed) -> Feed:
        """Set the arrival of a live source's rows to now, unless it recorded one."""
        if feed.arrival is not None or self._sources[str(feed.input)].bounded:
            return feed
        return replace(feed, arrival=int(self._wall() * 1e6))

    def _finished(self) -> Result:
        with self._in_stage("engine"), self._showing(Taken()):
            return self._op.finish()

    @contextmanager
    def _showing(self, taken: Taken) -> Iterator[None]:
        """A step with a failed rule is complete: publish its rows, unless a restart repeats it."""
        try:
            yield
        except RuleError as error:
            if self._saving is None:
                self._take_out(error.result, taken)
            raise

    def _take_out(self, result: Result, taken: Taken) -> None:
        for name, rows in result.outputs.items():
            self._tally.gave[name] += len(rows)
        self._tally.late += len(result.late)
        self._tally.invalid += len(result.invalid) + len(taken.undecodable)
        with self._in_stage("sink"):
            self._routes.stage(result, taken.undecodable)
            if self._saving is None:
                self._routes.publish()
        for watcher in self._watchers:
            watcher.gave(result, taken.undecodable)

    def _begin_sinks(self, restored: Restored | None) -> None:
        if self._saving is None:
            self._routes.begin()
        elif restored is None:
            self._routes.restore(None, {}, {})
        else:
            manifest = restored.manifest
            self._routes.restore(manifest.sinks, manifest.staged, manifest.also)
            self._routes.show_again(restored.rows)
            self._saving.keeper.shown()

    def _finish_sinks(self) -> None:
        with self._in_stage("sink"):
            self._routes.finish(self._op.schemas)
            if self._saving is None:
                self._routes.publish()

    def _is_due(self, every: float, now: float) -> bool:
        return now - self._checked >= every or self._routes.waiting > limits.STAGED_ROWS_MAX

    def _save(self, *, ended: bool) -> None:
        """Take a checkpoint, then publish the rows it contains."""
        if self._saving is None:
            return
        inputs = {
            name: Position(identity, self._next[name], self._marks[name])
            for name, identity in self._identities.items()
        }
        self._unshown = staged = self._routes.staged()
        counts, also = self._tally.counts(), self._routes.also
        rows = self._routes.unshown()
        where = Where(self._scene.name, inputs, counts, ended, staged, also, rows)
        with self._in_stage("checkpoint"):
            try:
                self._saved = self._saving.keeper.commit(self._op, where, self._routes.prepare)
                if self._failures:
                    facts = {"event": "checkpoint_again", "run": self._scene.name}
                    _log.info("checkpoints are written again", extra=facts)
                self._failures = 0
            except MuntinError:
                raise
            except OSError as error:
                self._failed(error, last=ended or self._stop.asked)
                return
            finally:
                self._checked = self._clock()
        with self._in_stage("sink"):
            self._routes.publish()
        self._saving.keeper.shown()

    def _settle(self, *, ended: bool) -> None:
        """Let alert channels send waiting rows, then checkpoint that everything is published.

        Otherwise a restart would send them again, or find rows for a sink that was removed.
        """
        waiting = any(self._routes.counted("waiting").values())
        if self._saving is None or not (waiting or self._unshown):
            return
        start = self._clock()
        while self._routes.sends(self._clock() - start):
            time.sleep(_SETTLE_STEP_S)
        self._routes.waited(self._clock() - start)
        self._save(ended=ended)

    def _failed(self, error: OSError, *, last: bool) -> None:
        self._failures += 1
        place = "" if self._saving is None else f" in {self._saving.keeper.place}"
        said = f"a checkpoint{place} could not be written: {error}"
        if last or self._failures >= _FAILURES_MAX:
            hint = "free disk space or repair the directory, then start again: nothing is lost"
            raise SnapshotError(with_hint(said, hint)) from error
        facts = {"event": "checkpoint_failed", "run": self._scene.name, "in_a_row": self._failures}
        _log.warning("%s; the run continues and tries again", said, extra=facts)

    def _opened(self, name: str) -> Reader:
        words = self._op.input_plan(name)["schema"]
        declared = None if words is None else [(column, word) for column, word in words]
        return opened(self._sources[name], declared, self._next[name], self._marks[name])

    def _check_identities(self, restored: Restored | None) -> None:
        if restored is None:
            return
        for name, now in self._identities.items():
            position = restored.manifest.inputs.get(name)
            before = position.identity if position else []
            for i, each in enumerate(before):
                if i >= len(now) or now[i] != each:
                    there = repr(now[i]) if i < len(now) else "nothing"
                    said = f'input "{name}": the checkpoint was taken while reading {each!r}, '
                    said += f"but the source now has {there} in its place"
                    hint = "files may be added after the existing ones, not before them"
                    raise SourceError(with_hint(said, hint))

    def _nothing_new(self, readers: Mapping[str, Reader]) -> None:
        """A run that had ended can only end again: its open windows were fired as they were."""
        for name, reader in readers.items():
            if reader.poll() is not None:
                hint = "open windows fired at the end of all inputs; start with an empty "
                hint += "checkpoint, or keep the input open (follow=True)"
                raise SourceError(
                    with_hint(f'input "{name}" has new rows, but the run had already ended', hint)
                )

    def _end(self, error: BaseException | None) -> None:
        for watcher in self._watchers:
            watcher.end(error)

    def _tell(self, now: float) -> None:
        self._told = now
        if self._watchers:
            moment = self._moment(now)
            for watcher in self._watchers:
                watcher.moment(moment)

    def _moment(self, now: float) -> Moment:
        stats = self._op.stats
        inputs = {each["name"]: each for each in stats["inputs"]}
        # the watermark of an idle input advances without rows
        self._newest.update((n, each["newest"]) for n, each in inputs.items() if not each["idle"])
        return Moment(
            at=time.time(),
            seconds=now - self._start,
            sources=dict(self._tally.read),
            outputs=dict(self._tally.gave),
            alerts=dict(stats["alerts"]),
            late=self._tally.late,
            invalid=self._tally.invalid,
            operators=tuple(stats["operators"]),
            watermarks={name: each["watermark"] for name, each in inputs.items()},
            newest=dict(self._newest),
            stages=dict(self._stages),
            saved=self._saved,
            waiting=self._routes.counted("waiting"),
            dropped=self._routes.counted("dropped"),
            spent=tuple(stats["spent"]),
        )

    def _report(self, now: float, stopped: bool) -> Report:
        moment = self._moment(now)
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
        )

    @contextmanager
    def _in_stage(self, stage: str) -> Iterator[None]:
        start = self._clock()
        try:
            yield
        finally:
            self._stages[stage] += self._clock() - start

    def _read(self, taken: Iterator[Taken]) -> Iterator[Taken]:
        """The same rounds, counting the time spent reading, but not the time spent waiting."""
        while True:
            start = self._clock()
            each = next(taken, None)
            if each is None:
                return
            if not each.waited:
                self._stages["source"] += self._clock() - start
            yield each


def _position(manifest: Any, name: str) -> Mapping[int, int]:
    position = None if manifest is None else manifest.inputs.get(name)
    return {} if position is None else position.next


def _mark(manifest: Any, name: str) -> Any:
    position = None if manifest is None else manifest.inputs.get(name)
    return None if position is None else position.mark
