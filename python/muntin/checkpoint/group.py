"""A group of Kafka as the authority for partitions that several processes share.

The pointer to a partition's checkpoint is the metadata of the offset that the group has committed
for that partition: what says where to resume also says with which state. A process commits rows,
offsets and pointers in one transaction, as the member of the group that it is, so the brokers
refuse a process that no longer is one. Each process has a transactional id of its own. The pointer
names it, as long as that process has not given the partition back: whoever takes the partition
over from one that died first ends what that one left open.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muntin.base.errors import CommitLost
from muntin.checkpoint.authority import Pointer
from muntin.checkpoint.kafka import Text, names_nothing
from muntin.checkpoint.keeper import OnMissing
from muntin.clients.kafka.transaction import Offset, Transaction

_log = logging.getLogger("muntin.checkpoint")

Place: TypeAlias = tuple[str, int]
"""A topic and a partition of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the group has committed for a partition.

    Attributes:
        offset: where to resume.
        pointer: the checkpoint that belongs to it.
    """

    offset: int
    pointer: Pointer


class GroupAuthority:
    """The transactions of one process that shares the partitions of a group.

    Attributes:
        member: what names this process as a member of the group.
    """

    def __init__(
        self,
        transaction: Transaction,
        another: Callable[[str], Transaction],
        group: str,
        topics: Sequence[str],
        on_missing: OnMissing,
    ) -> None:
        """Keep the arguments; `start` connects.

        Args:
            transaction: sends the rows; the sinks have it, too.
            another: makes a transaction with another id, to fence whoever had that.
            group: the group.
            topics: the topics that are written.
            on_missing: whether an offset without a pointer is refused, or counts as none.
        """
        self._transaction = transaction
        self._another = another
        self._group = group
        self._topics = list(topics)
        self._on_missing = on_missing
        self._started = False
        self.member: Callable[[], bytes] = _nobody

    @property
    def name(self) -> str:
        """What says which checkpoint of a partition counts."""
        return f'group "{self._group}" of Kafka'

    @property
    def has_rows(self) -> bool:
        """Whether rows wait for a commit."""
        return self._transaction.is_open

    def forget(self) -> None:
        """The run begins again: drop what is open, and start with a new producer."""
        self._transaction.give_up()
        self._started = False

    def find(self, places: Collection[Place]) -> dict[Place, Found | None]:
        """What the group has committed for partitions that this process was just assigned.

        Raises:
            SnapshotError: it has no pointer, and that is not allowed.
            CommitLost: the brokers do not answer in time.
        """
        mark = (self._group, Offset(*min(places), 0))
        if not self._started:
            self._transaction.start(self._topics, mark)
            self._started = True
        owners = {self._owner(place) for place in places}
        for owner in sorted(owners - {"", self._transaction.id}):
            self._fence(owner, mark)
        return {place: self._found(place) for place in places}

    def commit(
        self, pointers: Mapping[Place, Found], given_back: Collection[Place] = frozenset()
    ) -> None:
        """Commit the rows sent so far, and for partitions an offset and a pointer, together.

        Args:
            pointers: for each partition that changed.
            given_back: those that this process does not have any more after it.

        Raises:
            CommitLost: it did not commit, or nobody knows.
        """
        if not pointers:
            return
        offsets = []
        for place, found in pointers.items():
            owner = "" if place in given_back else self._transaction.id
            text = Text.of(found.pointer, owner).encode()
            offsets.append(Offset(*place, found.offset, text))
        self._transaction.commit({self._group: offsets}, self.member)

    def close(self) -> None:
        """Disconnect."""
        self._transaction.close()

    def _owner(self, place: Place) -> str:
        """Who has a partition by its pointer; empty if nobody has it."""
        found = self._transaction.committed(self._group, *place, stable=False)
        text = None if found is None else Text.read(found.metadata)
        return "" if text is None else text.o

    def _fence(self, owner: str, mark: tuple[str, Offset]) -> None:
        """End what an owner left open that did not give its partitions back."""
        facts = {"event": "fenced", "group": self._group, "transactional_id": owner}
        message = 'group "%s": "%s" has not given its partitions back; its transaction is ended'
        _log.info(message, self._group, owner, extra=facts)
        other = self._another(owner)
        try:
            other.start(self._topics, mark)
        finally:
            other.close()

    def _found(self, place: Place) -> Found | None:
        found = self._transaction.committed(self._group, *place)
        if found is None:
            return None
        text = Text.read(found.metadata)
        if text is not None:
            return Found(found.offset, text.pointer)
        if self._on_missing == "refuse":
            raise names_nothing(self._group, found)
        return None


def _nobody() -> bytes:
    raise CommitLost("this process is not a member of a group yet")
