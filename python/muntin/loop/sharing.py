"""The partitions that a group assigns to this process: taken with their state, and given back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from muntin.base.errors import CommitLost
from muntin.checkpoint import OnChange, tell_change
from muntin.checkpoint.partitions import PartitionKeepers
from muntin.clients.kafka.member import Member
from muntin.engine.partitioned import PartitionedOperator
from muntin.engine.result import Result
from muntin.loop.positions import Positions
from muntin.loop.quiet import QuietPartitions
from muntin.loop.saver import Saver
from muntin.monitor.counters import Counters

_log = logging.getLogger("muntin.run")

_BUDGET_S = 30.0
"""How long a checkpoint may take, and the one before it, while the group waits for partitions."""


class Sharing:
    """Opens partitions of the operator, and closes them when another process gets them.

    Its methods are called while the source is polled, so between two steps.
    """

    def __init__(
        self,
        name: str,
        op: PartitionedOperator,
        keepers: PartitionKeepers,
        positions: Positions,
        quiet: QuietPartitions,
        saver: Saver,
        deliver: Callable[[Result], None],
        on_change: OnChange,
        counters: Counters,
    ) -> None:
        """Keep the parts of the run; `name` is that of its input."""
        self._name = name
        self._op = op
        self._keepers = keepers
        self._positions = positions
        self._quiet = quiet
        self._saver = saver
        self._deliver = deliver
        self._on_change = on_change
        self._counters = counters
        self._told = False

    def joins(self, member: Member) -> None:
        """Commit as this member of the group from now on."""
        self._keepers.authority.member = member.metadata

    def take(
        self,
        places: Mapping[int, tuple[str, int]],
        first: Callable[[Collection[int]], Mapping[int, int]],
    ) -> dict[int, tuple[int, Any]]:
        """Open partitions with the state of their checkpoints; where each goes on.

        Raises:
            SnapshotError: a checkpoint is damaged, missing, or of another pipeline.
            SourceError: one was taken while reading something else.
            CommitLost: the run must begin again.
        """
        if places:
            self._counters.rebalanced()
        if places and self._op.partitions[self._name]:
            self._save()  # the claim is a commit, and must have all that rows have changed
        found = {}
        for partition, taken in self._keepers.take(places, first).items():
            restored = taken.restored
            then = None if restored is None else restored.manifest.inputs[self._name]
            self._positions.take(self._name, partition, taken.offset, then)
            snapshot = None if restored is None else restored.snapshot
            opened = self._op.open(input=self._name, partition=partition, snapshot=snapshot)
            self._deliver(opened)
            found[partition] = (taken.offset, None if then is None else then.mark)
            if snapshot is not None and not self._told:
                self._told = True
                tell_change(self._op, self._on_change)
        return found

    def give_up(self, partitions: Collection[int]) -> None:
        """Commit everything, and close these partitions.

        Raises:
            CommitLost: that was not possible, so what is in memory does not count.
        """
        self._counters.rebalanced()
        self._keepers.give_back(partitions)
        self._save()
        self._keepers.drop(partitions)
        self._positions.drop(self._name, partitions)
        for partition in partitions:
            self._quiet.is_gone(self._name, partition)
            self._op.close(partition)

    def give_back_all(self) -> None:
        """The next checkpoint is the last one of this process."""
        self._keepers.give_back()

    def _save(self) -> None:
        if not self._saver.save(ended=False, last=False, seconds=_BUDGET_S):
            raise CommitLost("partitions change their owner, and no checkpoint could be written")
