"""The checkpoints of a run: when one is taken, and what happens if it cannot be written."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from muntin.base import limits
from muntin.base.errors import MuntinError, SnapshotError, with_hint
from muntin.checkpoint import CommitLost, Keeper, Restored, Where
from muntin.checkpoint.kafka import KafkaAuthority
from muntin.checkpoint.manifest import Position
from muntin.checkpoint.partitions import PartitionKeepers
from muntin.checkpoint.saved import Saved
from muntin.engine.operator import OnChange, Operator
from muntin.loop.positions import Positions
from muntin.loop.quiet import Clock
from muntin.loop.retries import Retries
from muntin.loop.routes import Routes
from muntin.loop.stages import Stages
from muntin.loop.tally import Tally
from muntin.loop.writing import Writing
from muntin.monitor.counters import Counters

_log = logging.getLogger("muntin.run")

_FAILURES_MAX = 3
_SETTLE_STEP_S = 0.02


@dataclass(slots=True)
class Saving:
    """The checkpoints of a run, and the one it resumes from.

    Attributes:
        keeper: takes them, of the whole run or of each partition that this process has.
        every: the time between two checkpoints, in seconds.
        restored: the one this run resumes from.
        authority: the transaction in which they count; None: what the keeper has.
        on_change: what to do with those of another pipeline.
    """

    keeper: Keeper | PartitionKeepers
    every: float
    restored: Restored | None = None
    authority: KafkaAuthority | None = None
    on_change: OnChange = "refuse"


class Saver:
    """Takes the checkpoints of a run, and publishes the rows that each contains."""

    def __init__(
        self,
        saving: Saving,
        run: str,
        op: Operator,
        routes: Routes,
        positions: Positions,
        tally: Tally,
        stages: Stages,
        clock: Clock,
        counters: Counters,
        retries: Retries | None = None,
    ) -> None:
        """Keep the parts of the run called `run`; nothing is written yet."""
        self._keeper = saving.keeper
        self._authority = saving.authority
        self._retries = retries
        self._counters = counters
        self._every = saving.every
        self._run = run
        self._op = op
        self._routes = routes
        self._positions = positions
        self._tally = tally
        self._stages = stages
        self._clock = clock
        self._checked = clock()
        self._failures = 0
        self._unshown: Mapping[str, int] = {}
        self._writing: Writing | None = None
        self._passed: Mapping[str, Position] = {}
        self.saved: Saved | None = None
        """The newest checkpoint."""

    def begin(self, restored: Restored | None) -> None:
        """Restore the sinks, and publish what the last run may not have published."""
        self._checked = self._clock()
        self._counters.began(restored.manifest.at if restored else None)
        if restored is None:
            self._routes.restore(None, {}, {})
            return
        manifest = restored.manifest
        self._routes.restore(manifest.sinks, manifest.staged, manifest.also)
        self._routes.show_again(restored.rows)
        self._keeper.shown()

    def between_steps(self, now: float) -> None:
        """Take a checkpoint if it is time, and publish the rows of one that is written.

        The run goes on while a checkpoint is written; the results of its steps are kept back until
        then. If `every` is zero, the run waits instead.

        Raises:
            SnapshotError: none can be written, for the third time in a row.
            CommitLost, TakenOver: what the authority raises.
        """
        if self._writing is not None:
            if not self._writing.done and self._routes.held <= limits.STAGED_ROWS_MAX:
                return
            self.finish_writing()
        if self._is_due(now):
            self._begin(last=False)
            if not self._every:
                self.finish_writing()

    def finish_writing(self, seconds: float | None = None) -> None:
        """Wait until a checkpoint that is being written is complete, and publish its rows.

        Raises:
            CommitLost: that takes longer than `seconds`.
            Others: as `between_steps`.
        """
        if self._writing is not None:
            if not self._writing.wait(seconds):
                raise CommitLost(f"a checkpoint was not written within {seconds:g} s")
            self._complete(last=False)

    def _is_due(self, now: float) -> bool:
        """Whether it is time for a checkpoint, or too many rows wait for one."""
        waits = self._routes.waiting > limits.STAGED_ROWS_MAX
        return waits or now - self._checked >= self._every

    def save(self, *, ended: bool, last: bool, seconds: float | None = None) -> bool:
        """Take a checkpoint, and wait until its rows are published; whether that was possible.

        Args:
            ended: all inputs have ended, so the run is complete.
            last: no other checkpoint follows that could be written instead.
            seconds: how long to wait for one that is being written, and then for this one.

        Raises:
            As `finish_writing`.
        """
        self.finish_writing(seconds)
        self._begin(ended=ended, last=last)
        if self._writing is None:
            return False
        if not self._writing.wait(seconds):
            raise CommitLost(f"a checkpoint was not written within {seconds:g} s")
        return self._complete(last=last)

    def close(self) -> None:
        """Wait for a checkpoint that is being written, since it uses the store."""
        if self._writing is not None:
            self._writing.wait()

    def _begin(self, *, ended: bool = False, last: bool) -> None:
        """Take the state, and start to write it."""
        self._unshown = staged = self._routes.staged()
        where = Where(
            self._run,
            self._positions.saved(),
            self._tally.counts(),
            ended,
            staged,
            self._routes.also,
            self._routes.unshown(),
            self._tally.history,
            self._positions.moves,
        )
        if self._authority is not None:
            self._authority.offsets = self._positions.offsets()
        with self._stages.spent("checkpoint"):
            try:
                write = self._begun(where)
            except MuntinError:
                raise
            except OSError as error:
                self._checked = self._clock()
                self._failed(error, last=last)
                return
        self._passed = where.inputs
        self._routes.hold()
        self._writing = Writing(write)

    def _begun(self, where: Where) -> Callable[[], Saved]:
        """Take the state; returns what writes it."""
        keeper = self._keeper
        if isinstance(keeper, Keeper):
            begun = keeper.begin(self._op, where, self._routes.prepare)
            return lambda: keeper.write(begun)
        parts = keeper.begin(self._op, where, self._routes.prepare)
        return lambda: keeper.write(parts)

    def _complete(self, *, last: bool) -> bool:
        """Wait until the checkpoint is written, and publish its rows; whether it was."""
        writing, self._writing = self._writing, None
        assert writing is not None
        with self._stages.spent("checkpoint"):
            try:
                self.saved = writing.result()
            except MuntinError:
                raise
            except OSError as error:
                self._routes.release()
                self._failed(error, last=last)
                return False
            finally:
                self._checked = self._clock()
        if self._failures:
            facts = {"event": "checkpoint_again", "run": self._run}
            _log.info("checkpoints are written again", extra=facts)
        self._failures = 0
        if self._retries is not None:
            self._retries.committed()
        with self._stages.spent("sink"):
            self._routes.publish(wait=True)
            self._routes.release()
        self._keeper.shown()
        self._counters.committed(self.saved.commit)
        if self._authority is None:
            self._positions.checkpointed(self._passed)
        return True

    def settle(self, *, ended: bool) -> None:
        """Let alert channels send waiting rows, then checkpoint that everything is published.

        Otherwise a restart would send them again, or find rows for a sink that was removed.
        """
        if not self._unshown and not any(self._routes.counted("waiting").values()):
            return
        start = self._clock()
        while self._routes.sends(self._clock() - start):
            time.sleep(_SETTLE_STEP_S)
        self._routes.waited(self._clock() - start)
        self.save(ended=ended, last=True)

    def _failed(self, error: OSError, *, last: bool) -> None:
        self._failures += 1
        self._counters.failed(str(error).partition("\n")[0])
        message = f"a checkpoint in {self._keeper.place} could not be written: {error}"
        if last or self._failures >= _FAILURES_MAX:
            hint = "free disk space or repair the directory, then start again: nothing is lost"
            raise SnapshotError(with_hint(message, hint)) from error
        facts = {"event": "checkpoint_failed", "run": self._run, "in_a_row": self._failures}
        _log.warning("%s; the run continues and tries again", message, extra=facts)
