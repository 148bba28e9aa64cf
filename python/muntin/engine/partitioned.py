"""The operator of partition scope: each partition of the source has a state of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never

from muntin.base import arguments, core
from muntin.base.errors import PlanError, with_hint
from muntin.engine.feeds import Arrival
from muntin.engine.operator import Operator
from muntin.engine.result import Result
from muntin.engine.snapshots import explaining
from muntin.engine.verdicts import asking
from muntin.pipeline.plan import CompiledPlan

PARTITIONERS = ("murmur2", "crc32", "fnv1a")
"""The names of partitioners: Java's, librdkafka's consistent, librdkafka's fnv1a."""


@dataclass(frozen=True, slots=True)
class Partitioning:
    """What a source declares of its partitions.

    Attributes:
        columns: those that decide the partition of a row (`partitioned_by=`).
        partitioner: how the producer computes the partition of a record from its key, one of
            "murmur2" (Java), "crc32" (librdkafka's consistent) and "fnv1a"; None if unknown. With
            it each record is checked; its batches then need a column `_key`.
        count: how many partitions there are; None if unknown. A snapshot with another number is
            refused, since keys have moved.

    >>> Partitioning(("card",), "murmur2", 12).count
    12
    """

    columns: tuple[str, ...]
    partitioner: str | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        """Check the partitioner's name."""
        if self.partitioner is not None:
            arguments.one_of(self.partitioner, PARTITIONERS, "partitioner")
            if self.count is None:
                hint = "say how many partitions there are"
                raise PlanError(with_hint(f'partitioner="{self.partitioner}" without count', hint))


class PartitionedOperator(Operator):
    """A running pipeline with a state for each partition of its only input.

    Partitions know nothing of each other: each has its own state, watermark, timers and snapshot.
    So a partition moves to another process with its snapshot. The results of a step come in the
    order of the partitions; for final windows and sessions they are those of one state for all.
    A key that comes from two partitions is an error.

    >>> import muntin as mt
    >>> from muntin.engine.scope import Partitioning, operator_for
    >>> sales = mt.stream(time="at", out_of_order="0s",
    ...                   schema={"at": "timestamp[us, UTC]", "store": "str"})
    >>> counts = sales.tumbling("1m", by="store").agg(n=mt.count())
    >>> here = operator_for(counts, partitions=(0, 1), partitioning=Partitioning(("store",)))
    >>> there = operator_for(counts, partitions=(), partitioning=Partitioning(("store",)))
    >>> len(here.push([{"at": "2024-05-01T10:00:00Z", "store": "a"}], partition=1).rows)
    0
    >>> result = there.open(partition=1, snapshot=here.snapshot(partition=1))
    >>> here.close(1)
    >>> len(there.push([{"at": "2024-05-01T10:01:00Z", "store": "a"}], partition=1).rows)
    1
    >>> here.partitions, there.partitions
    ({'input': (0,)}, {'input': (1,)})
    """

    def __init__(
        self,
        plan: CompiledPlan,
        partitions: Mapping[str, Sequence[int]],
        threads: int,
        snapshot: bytes | None,
        on_change: str,
        partitioning: Partitioning,
    ) -> None:
        """Build the engines; call `operator_for` instead."""
        self._partitioning = partitioning
        super().__init__(plan, partitions, threads, snapshot, on_change)

    def _built(self, threads: int, snapshot: bytes | None, on_change: str) -> Any:
        (partitions,) = self._inputs.partitions.values()
        declared = self._partitioning
        masks = [asking(rule) for rule in self._plan.masks]
        groups_null = self._plan.scope.groups_null
        facts = [*declared.columns], groups_null, declared.partitioner, declared.count
        with explaining(self._plan.json, snapshot):
            return core.PartitionedEngine(
                self._plan.json, list(partitions), threads, masks, snapshot, on_change, facts
            )

    @property
    def partitions(self) -> dict[str, tuple[int, ...]]:
        """The partitions that are open."""
        with self._lock:
            return {self.inputs[0]: tuple(self._engine.partitions())}

    def own_clock(self, partition: int) -> int | None:
        """The partition: its watermark alone closes its windows."""
        return partition

    def open(
        self, *, input: str | None = None, partition: int, snapshot: bytes | None = None
    ) -> Result:
        """Open one more partition, with its state in a snapshot if one is given.

        Args:
            input: the input's name; may be left out.
            partition: the partition.
            snapshot: of this partition, or of several with this one; None starts empty.

        Raises:
            PartitionError: it is open, or the source had another number of partitions.
            SnapshotError: the snapshot is damaged, of another pipeline, or has no such partition.
        """
        number = arguments.partition(partition)
        with self._lock, explaining(self._plan.json, snapshot):
            return self._wrap(self._engine.open(self._inputs.index(input), number, snapshot))

    def close(self, partition: int) -> None:
        """Close a partition and drop its state: another process has it, or will have.

        Raises:
            PartitionError: it is not open.
        """
        with self._lock:
            self._engine.close(arguments.partition(partition))

    def snapshot(self, partition: int | None = None) -> bytes:
        """The state of a partition, or of all, for `open` and `operator_for`."""
        with self._lock:
            return bytes(self._engine.snapshot(partition=partition))

    def changes(self, since: int, chunks: Sequence[str], partition: int | None = None) -> bytes:
        """A part of a snapshot: changes since the snapshot of an epoch with these chunks.

        Of one partition if it is named; the epoch is that of all partitions together.
        """
        with self._lock:
            return bytes(self._engine.snapshot(since, list(chunks), partition))

    def ask(
        self, row: Mapping[str, Any], *, input: str | None = None, arrival: Arrival = "now"
    ) -> Never:
        """Refused: a row alone does not say which partition it belongs to."""
        raise _no_single_row("ask")

    def peek(
        self, row: Mapping[str, Any], *, input: str | None = None, arrival: Arrival = "now"
    ) -> Never:
        """Refused, as `ask` is."""
        raise _no_single_row("peek")


def _no_single_row(verb: str) -> PlanError:
    hint = "push a batch with its partition, or use mt.operator, which has one state"
    return PlanError(with_hint(f"{verb}: each partition has a state of its own", hint))
