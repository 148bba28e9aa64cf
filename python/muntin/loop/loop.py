"""The loop of a run: reads sources, steps the engine, writes sinks.

Everything happens on one thread, one step after another, so a slow sink slows the source down and
at most one batch of each source is in memory. Between two steps the loop takes checkpoints, sends
the status to watchers, and ends if a stop was requested. Its clock is the only one that can change
a result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

from muntin.base.errors import RuleError, SourceError, with_hint
from muntin.checkpoint import CommitLost
from muntin.checkpoint.partitions import PartitionKeepers
from muntin.engine.event_times import event_times
from muntin.engine.feeds import Feed
from muntin.engine.operator import Operator
from muntin.engine.partitioned import PartitionedOperator
from muntin.engine.result import Result
from muntin.loop.cuts import Skipping
from muntin.loop.history import Filling
from muntin.loop.intake import Reading, as_they_come, merged
from muntin.loop.positions import Positions
from muntin.loop.quiet import Clock, QuietPartitions
from muntin.loop.retries import Retries
from muntin.loop.routes import Routes
from muntin.loop.saver import Saver, Saving
from muntin.loop.sharing import Sharing
from muntin.loop.stages import Stages
from muntin.loop.status import Status
from muntin.loop.stop import Stop
from muntin.loop.tally import Tally
from muntin.monitor.counters import Counters
from muntin.monitor.leaps import Leaps
from muntin.monitor.moment import Scene, Watcher
from muntin.monitor.report import Report
from muntin.sources import Reader, Source

_log = logging.getLogger("muntin.run")

_NOTHING = Reading()


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
        retries: Retries | None = None,
        counters: Counters | None = None,
        filling: Filling | None = None,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        """Keep the arguments; nothing is read or written before `run`."""
        self._op = op
        self._sources = sources
        self._routes = routes
        self._name = scene.name
        self._once = once
        self._stop = stop if stop is not None else Stop()
        self._clock = clock
        self._wall = wall
        self._leaps = Leaps()
        self._restored = restored = saving.restored if saving else None
        self._positions = Positions(sources, restored)
        bad = routes.dead_letters
        self._tally = tally = Tally.restored(restored, sources, op.outputs, bad)
        self._filling = filling if restored is None else None
        self._skipping = Skipping(op, tally.history.cuts)
        self._quiet = QuietPartitions(op, clock)
        self._stages = stages = Stages(clock)
        self._saver = None
        happened = counters if counters is not None else Counters()
        if saving:
            parts = (saving, scene.name, op, routes, self._positions, tally, stages, clock)
            self._saver = Saver(*parts, happened, retries)
        self._sharing = self._shared(saving, happened)
        self._status = Status(
            scene,
            op,
            routes,
            tally,
            stages,
            watchers,
            self._saver,
            self._positions,
            self._quiet,
            happened,
            clock,
        )

    def _shared(self, saving: Saving | None, counters: Counters) -> Sharing | None:
        """What holds the partitions that a group assigns, if the run shares them."""
        if saving is None or not isinstance(saving.keeper, PartitionKeepers):
            return None
        assert self._saver is not None
        assert isinstance(self._op, PartitionedOperator)
        return Sharing(
            self._op.inputs[0],
            self._op,
            saving.keeper,
            self._positions,
            self._quiet,
            self._saver,
            lambda result: self._deliver(result, _NOTHING),
            saving.on_change,
            counters,
        )

    def run(self) -> Report:
        """Read the sources to their end, or until a stop is requested."""
        with ExitStack() as stack:
            stack.callback(self._routes.close)
            if self._saver:
                stack.callback(self._saver.close)
            try:
                stopped = self._whole_run(stack)
            except CommitLost:
                raise  # another loop goes on
            except BaseException as error:
                self._status.end(error)
                raise
            self._status.end(None)
            return self._status.report(stopped)

    def _whole_run(self, stack: ExitStack) -> bool:
        self._positions.check()
        self._routes.open()
        self._routes.describe(self._op.schemas)
        # before the sinks begin: if a source cannot be read, nothing must be overwritten
        later = self._filling.later if self._filling else frozenset()
        readers = {
            name: stack.enter_context(closing(self._opened(name)))
            for name in self._sources
            if name not in later
        }
        if self._saver:
            self._saver.begin(self._restored)
        else:
            self._routes.begin()
        self._status.begin()
        if self._restored and self._restored.manifest.ended:
            self._nothing_new(readers)
            return False
        if self._filling is not None:
            if not self._fill(self._filling):
                return True
            readers |= {name: stack.enter_context(closing(self._opened(name))) for name in later}
        if self._sharing is None:
            for name, source in self._sources.items():
                for partition in source.partitions():
                    self._open(name, partition)
        if self._filling is not None and self._saver:
            self._saver.save(ended=False, last=False)
        through = self._rounds(readers)
        if self._saver:
            self._saver.finish_writing()
        ended = through and not self._once
        if ended:
            self._finish(None)
        self._end_sinks()
        if self._sharing is not None:
            self._sharing.give_back_all()
        if self._saver:
            self._saver.save(ended=ended, last=True)
            self._saver.settle(ended=ended)
        self._status.send()
        return not through

    def _fill(self, filling: Filling) -> bool:
        """Fill the state from the history; False if a stop was requested before it was full."""
        self._status.filling = filling
        for reading in self._stages.timed(filling.readings()):
            if reading.feeds:
                with self._stages.spent("engine"):
                    result = self._op.step(reading.feeds, reading.order)
                self._leaps.log(result.leaps, reading.feeds)
                filling.took(reading, len(result.late), len(result.invalid))
            self._status.send_now_and_then(self._clock())
            if self._stop.requested:
                _log.info("stop requested", extra={"event": "stop", "run": self._name})
                return False
        self._tally.history = filling.done()
        self._skipping = Skipping(self._op, self._tally.history.cuts)
        for name, positions in filling.begins.items():
            self._positions.begin(name, positions)
        self._status.filling = None
        filling.log(self._name)
        return True

    def _rounds(self, readers: Mapping[str, Reader]) -> bool:
        """Process rows until all inputs have ended; False if a stop was requested before."""
        for reading in self._stages.timed(self._intake(readers)):
            self._process(reading)
            now = self._clock()
            self._status.send_now_and_then(now)
            if self._saver:
                self._saver.between_steps(now)
            if self._stop.requested:
                _log.info("stop requested", extra={"event": "stop", "run": self._name})
                return False
        return True

    def _intake(self, readers: Mapping[str, Reader]) -> Iterator[Reading]:
        bounded = all(source.bounded for source in self._sources.values())
        if bounded and len(readers) > 1:
            return merged(readers, lambda name, table: event_times(self._op, name, table))
        return as_they_come(readers)

    def _process(self, reading: Reading) -> None:
        """One round: new and quiet partitions, the rows, the inputs that have ended."""
        reading = self._skipping.rest(reading)
        for name, partition in reading.added:
            self._open(name, partition)
        for feed in reading.feeds:
            self._quiet.has_rows(str(feed.input), feed.partition)
        for name, partition in reading.lost:
            self._quiet.is_lost(name, partition)
        for name, partition in () if self._once else reading.quiet:
            with self._publishing_what_is_complete(_NOTHING):
                for result in self._quiet.has_none(name, partition):
                    self._positions.touched(name, partition)
                    self._deliver(result, _NOTHING)
        if reading.feeds or reading.undecodable:
            self._step(reading)
        self._tally.read.update(reading.rows())
        self._positions.passed(reading)
        if not self._once and len(self._sources) > len(reading.ended):
            for name in reading.ended:
                self._finish(name)

    def _open(self, name: str, partition: int) -> None:
        """Open a partition that the engine does not have yet."""
        if partition not in self._op.partitions[name]:
            facts = {"event": "partition_added", "run": self._name, "input": name}
            _log.info('input "%s": partition %d is new', name, partition, extra=facts)
            self._deliver(self._op.open(input=name, partition=partition), _NOTHING)

    def _step(self, reading: Reading) -> None:
        feeds = [self._stamped(feed) for feed in reading.feeds]
        with self._stages.spent("engine"), self._publishing_what_is_complete(reading):
            result = self._op.step(feeds, reading.order)
        self._leaps.log(result.leaps, feeds)
        self._deliver(result, reading)

    def _stamped(self, feed: Feed) -> Feed:
        """Set the arrival of a live source's rows to now, unless it recorded one."""
        if feed.arrival is not None or self._sources[str(feed.input)].bounded:
            return feed
        return replace(feed, arrival=int(self._wall() * 1e6))

    def _finish(self, name: str | None) -> None:
        """End an input, or with None all of them."""
        with self._stages.spent("engine"), self._publishing_what_is_complete(_NOTHING):
            result = self._op.finish(input=name)
        self._deliver(result, _NOTHING)

    @contextmanager
    def _publishing_what_is_complete(self, reading: Reading) -> Iterator[None]:
        """A step with a failed rule is complete: publish its rows, unless a restart repeats it."""
        try:
            yield
        except RuleError as error:
            if self._saver is None:
                self._deliver(error.result, reading)
            raise

    def _deliver(self, result: Result, reading: Reading) -> None:
        """Stage the results of a step; publish them, unless a checkpoint does."""
        self._tally.add(result, reading)
        with self._stages.spent("sink"):
            self._routes.stage(result, reading.undecodable)
            if self._saver is None:
                self._routes.publish()
        self._status.gave(result, reading.undecodable)

    def _end_sinks(self) -> None:
        with self._stages.spent("sink"):
            self._routes.finish(self._op.schemas)
            if self._saver is None:
                self._routes.publish()

    def _opened(self, name: str) -> Reader:
        words = self._op.input_plan(name)["schema"]
        declared = None if words is None else [(column, word) for column, word in words]
        return self._positions.opened(name, declared, self._sharing)

    def _nothing_new(self, readers: Mapping[str, Reader]) -> None:
        """A run that had ended can only end again: its open windows were fired as they were."""
        for name, reader in readers.items():
            if reader.poll() is not None:
                hint = "open windows fired at the end of all inputs; start with an empty "
                hint += "checkpoint, or keep the input open (follow=True)"
                raise SourceError(
                    with_hint(f'input "{name}" has new rows, but the run had already ended', hint)
                )
