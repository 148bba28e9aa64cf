"""Checkpoints of single partitions, which move between processes that share a store.

Each partition has a folder of the store, with checkpoints that its owner takes as a run alone does.
They count when the group's transaction points to them, for all changed partitions of a process in
the same moment. Nothing is ever written twice under one name, and an owner removes only what is
older than its own last checkpoint, so one that does not know yet that it has a successor harms
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from muntin.base.errors import SnapshotError, with_hint
from muntin.checkpoint.authority import Pointer
from muntin.checkpoint.directory import Shareable, Store
from muntin.checkpoint.group import Found, GroupAuthority, Place
from muntin.checkpoint.keeper import Begun, Keeper, OnMissing, Prepare, Restored, Where
from muntin.checkpoint.manifest import Counts, Position, manifest_name, numbers
from muntin.checkpoint.saved import Saved
from muntin.engine.operator import Operator
from muntin.engine.partitioned import PartitionedOperator

FOLDER = "partitions"
"""Where a shared store has the folders of partitions."""


def check_shared(store: Store, *, shared: bool) -> None:
    """Refuse a store with checkpoints of a run that works alone, or the other way round.

    Raises:
        SnapshotError: it has.
    """
    names = store.names()
    hint = "give each an empty store= of its own; results are then computed anew from start="
    if not shared and any(name.split("/")[0] == FOLDER for name in names):
        message = f"the checkpoints in {store!r} are those of single partitions, shared by copies "
        message += "of a run, and this run works alone"
        raise SnapshotError(with_hint(message, hint))
    if shared and numbers(names)[0]:
        message = f"the checkpoints in {store!r} are those of a run that works alone, and this run "
        message += "shares its partitions"
        raise SnapshotError(with_hint(message, hint))


@dataclass(frozen=True, slots=True)
class Taken:
    """A partition that this process has from now on.

    Attributes:
        offset: where to read on.
        restored: its checkpoint; None if it has none yet.
    """

    offset: int
    restored: Restored | None


@dataclass(slots=True)
class _Held:
    """A partition that this process has, and its checkpoints."""

    place: Place
    keeper: Keeper
    store: Store
    moves: int = 0  # up to which its checkpoint is


@dataclass(frozen=True, slots=True)
class BegunParts:
    """Checkpoints of the partitions that have changed."""

    parts: Mapping[int, Begun]
    moves: Mapping[int, int]
    given_back: Collection[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Partition:
    """One partition of an operator."""

    op: PartitionedOperator
    partition: int

    def changes(self, since: int, chunks: Sequence[str]) -> bytes:
        return self.op.changes(since, chunks, self.partition)


@dataclass(frozen=True, slots=True)
class _Pointed:
    """The authority of one partition: what its group points to."""

    name: str
    pointers: Sequence[Pointer]

    def acquire(self) -> Sequence[Pointer]:
        return self.pointers

    def begin(self) -> None:
        """Nothing: the partition is claimed with a pointer to no checkpoint."""

    def commit(self, pointer: Pointer, manifest: bytes) -> None:
        raise NotImplementedError("all partitions are committed together")


class PartitionKeepers:
    """The checkpoints of all partitions that this process has."""

    def __init__(
        self, store: Shareable, authority: GroupAuthority, input: str, on_missing: OnMissing
    ) -> None:
        """Begin without partitions.

        Args:
            store: where the folders are.
            authority: says which checkpoints count.
            input: the name of the input with the partitions.
            on_missing: as in `Checkpoint`.
        """
        self._store = store
        self.authority = authority
        self._input = input
        self._on_missing = on_missing
        self._held: dict[int, _Held] = {}
        self._given_back: set[int] = set()
        self._count = 0

    @property
    def place(self) -> str:
        """Where the checkpoints are, for messages."""
        return repr(self._store)

    def take(
        self,
        places: Mapping[int, Place],
        first: Callable[[Collection[int]], Mapping[int, int]],
    ) -> dict[int, Taken]:
        """Own partitions: find their checkpoints, load them, and say so to the group.

        Args:
            places: the topic and partition of each.
            first: where partitions start that nobody had before.

        Raises:
            SnapshotError: a checkpoint is damaged or missing.
            CommitLost: the brokers do not answer, or this process is not the owner any more.
        """
        if not places:
            return {}
        found = self.authority.find(places.values())
        restored = {p: self._recovered(p, place, found[place]) for p, place in places.items()}
        new = [p for p, place in places.items() if found[place] is None and restored[p] is None]
        starts = first(new) if new else {}
        taken, claims = {}, {}
        for partition, place in places.items():
            known, then = found[place], restored[partition]
            if known is None:
                offset = starts[partition] if then is None else self._next(then, partition)
            elif then is not None and self._next(then, partition) != known.offset:
                message = f"checkpoint {then.manifest.number} of {place[0]!r}, partition {place[1]}"
                message += f" is for offset {self._next(then, partition)}, and "
                raise SnapshotError(f"{message}{self.authority.name} has {known.offset}")
            else:
                offset = known.offset
            taken[partition] = Taken(offset, then)
            pointer = Pointer(0) if known is None else known.pointer
            if known is None and then is not None:
                pointer = then.pointer
            claims[place] = Found(offset, pointer)
        self.authority.commit(claims)
        return taken

    def give_back(self, partitions: Collection[int] | None = None) -> None:
        """The next checkpoint is the last one of these partitions, or of all."""
        self._given_back |= set(self._held if partitions is None else partitions)

    def drop(self, partitions: Collection[int]) -> None:
        """These partitions have another owner."""
        for partition in partitions:
            held = self._held.pop(partition, None)
            if held is not None:
                held.store.close()
        self._given_back -= set(partitions)

    def begin(self, op: Operator, where: Where, prepare: Prepare) -> BegunParts:
        """Take the state of the partitions that have changed, between two steps."""
        start = time.perf_counter()
        assert isinstance(op, PartitionedOperator)
        prepare()  # all sinks write in the transaction, so none has a state of its own
        moves = {p: where.moves.get((self._input, p), 0) for p in self._held}
        changed = [p for p, held in self._held.items() if held.moves != moves[p]]
        if not changed and self.authority.has_rows:
            changed = list(self._held)
        parts = {
            p: self._held[p].keeper.begin(_Partition(op, p), self._of(where, p), dict)
            for p in sorted({*changed, *self._given_back})
        }
        given_back = frozenset(self._given_back)
        return BegunParts(parts, moves, given_back, time.perf_counter() - start)

    def write(self, begun: BegunParts) -> Saved:
        """Write what was begun, and let all of it count together.

        Raises:
            OSError: it could not be written; nothing counts, and the run may go on.
            CommitLost: the run must resume from the checkpoints that count.
        """
        start, at = time.perf_counter(), time.time()
        pointers, sizes = {}, {}
        for partition, each in begun.parts.items():
            held = self._held[partition]
            pointer, data = held.keeper.put(each)
            held.store.commit(manifest_name(pointer.number), data)
            offset = each.manifest.inputs[self._input].next[partition]
            pointers[held.place] = Found(offset, pointer)
            sizes[partition] = len(data)
        given_back = {self._held[p].place for p in begun.given_back}
        put = time.perf_counter()
        self.authority.commit(pointers, given_back)
        commit = time.perf_counter() - put
        written = 0
        for partition, each in begun.parts.items():
            held = self._held[partition]
            written += held.keeper.counts(each, sizes[partition])
            held.moves = begun.moves[partition]
        self._count += 1
        seconds = time.perf_counter() - start
        total = sum(held.keeper.size for held in self._held.values())
        return Saved(self._count, at, begun.seconds, seconds, total, written, commit)

    def shown(self) -> None:
        """Nothing: rows are visible with the transaction."""

    def _recovered(self, partition: int, place: Place, found: Found | None) -> Restored | None:
        store = self._store.part(f"{FOLDER}/{place[0]}-{place[1]}")
        store.open()
        pointers = [] if found is None else [found.pointer]
        authority = _Pointed(self.authority.name, pointers)
        keeper = Keeper(store, authority, self._on_missing)
        restored = keeper.recover()
        self._held[partition] = _Held(place, keeper, store)
        return restored

    def _next(self, restored: Restored, partition: int) -> int:
        position = restored.manifest.inputs.get(self._input)
        if position is None or partition not in position.next:
            number = restored.manifest.number
            message = f'checkpoint {number} has no position of input "{self._input}", partition '
            raise SnapshotError(f"{message}{partition}")
        return position.next[partition]

    def _of(self, where: Where, partition: int) -> Where:
        """The part of a run's position that belongs to one partition."""
        every = where.inputs[self._input]
        own = Position(every.identity, {partition: every.next[partition]}, every.mark)
        return replace(where, inputs={self._input: own}, counts=Counts(), moves={})
