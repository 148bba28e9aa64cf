"""A transaction of Kafka as the authority: rows, offsets and the pointer to a checkpoint in one.

The pointer is the metadata of an offset, in a group named after the transactional id, of partition
0 of the first topic that the run writes. Kafka Streams keeps its metadata in the same place.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from muntin.base.errors import SnapshotError, with_hint
from muntin.checkpoint.authority import Pointer, TakenOver
from muntin.checkpoint.directory import Store
from muntin.checkpoint.manifest import manifest_name
from muntin.clients.kafka.transaction import Offset, Transaction

_log = logging.getLogger("muntin.checkpoint")

_FORMAT = 1
_SEAL_DIGITS = 32

Offsets: TypeAlias = Mapping[str, Sequence[Offset]]
"""For each group of a source, the offsets that its rows were processed up to."""


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pointer as text: format, number and seal of the manifest, and the run that wrote it."""

    v: int
    n: int
    s: str
    o: str

    @classmethod
    def of(cls, pointer: Pointer, owner: str) -> Text:
        """The text of a pointer that `owner` writes."""
        return cls(_FORMAT, pointer.number, pointer.seal[:_SEAL_DIGITS], owner)

    @classmethod
    def read(cls, text: str) -> Text | None:
        """Read it; None if it is something else."""
        try:
            found = msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError:
            return None
        digits = _SEAL_DIGITS if found.n else 0
        known = found.v == _FORMAT and found.n >= 0 and len(found.s) == digits
        return found if known else None

    @property
    def pointer(self) -> Pointer:
        """The checkpoint that it names."""
        return Pointer(self.n, self.s)

    def encode(self) -> str:
        """The text."""
        return msgspec.json.encode(self).decode()


def names_nothing(group: str, found: Offset) -> SnapshotError:
    """The error for an offset whose metadata is not a pointer."""
    hint = 'Checkpoint(..., on_missing="latest") resumes from the newest checkpoint of the '
    hint += 'store, which may repeat rows; on_missing="fresh" starts anew'
    where = f'offset {found.offset} of "{found.topic}", partition {found.partition}, in group '
    message = f'{where}"{group}" has {found.metadata!r} as metadata, which names no checkpoint'
    return SnapshotError(with_hint(message, hint))


class KafkaAuthority:
    """The transactions of one cluster and one transactional id.

    Each start fences the run that had the id before. A run that is fenced cannot commit; it resumes
    from the pointer, unless another run has moved that: then it ends.

    Attributes:
        offsets: those that the next commit contains; set when its checkpoint is begun.
    """

    def __init__(self, transaction: Transaction, store: Store, topics: Sequence[str]) -> None:
        """Keep the arguments; `acquire` connects.

        Args:
            transaction: sends the rows; the sinks have it, too.
            store: where the manifests are.
            topics: the topics that the run writes; not empty.
        """
        self._transaction = transaction
        self._store = store
        self._topics = list(topics)
        self._owner = secrets.token_hex(6)
        self._seen: set[str] | None = None
        self.offsets: Offsets = {}

    @property
    def name(self) -> str:
        """Its place in the cluster."""
        return f'the transactional id "{self._transaction.id}" of Kafka'

    @property
    def _slot(self) -> tuple[str, str, int]:
        """The group, topic and partition whose offset has the pointer."""
        return self._transaction.id, self._topics[0], 0

    def acquire(self) -> Sequence[Pointer]:
        """Fence the run before, end what it left open, and then read the pointer."""
        group, topic, partition = self._slot
        self._transaction.start(self._topics, (group, Offset(topic, partition, 0)))
        found = self._transaction.committed(group, topic, partition)
        text = "" if found is None else found.metadata
        if self._seen is not None and text not in self._seen:
            message = f"another run has taken over {self.name}: it committed {text!r}"
            raise TakenOver(with_hint(message, "one run at a time may use a name"))
        self._seen = {text}
        if found is None:
            return []
        read = Text.read(text)
        if read is None:
            raise names_nothing(group, found)
        return [read.pointer]

    def begin(self) -> None:
        """Commit a pointer to no checkpoint."""
        self._commit(Pointer(0), {})

    def commit(self, pointer: Pointer, manifest: bytes) -> None:
        """Write the manifest, then commit the rows and the pointer to it together."""
        self._store.commit(manifest_name(pointer.number), manifest)
        self._commit(pointer, self.offsets)

    def _commit(self, pointer: Pointer, offsets: Offsets) -> None:
        text = Text.of(pointer, self._owner).encode()
        group, topic, partition = self._slot
        every = {name: list(each) for name, each in offsets.items()}
        every.setdefault(group, []).append(Offset(topic, partition, pointer.number, text))
        # until the commit is known to have taken effect, either may be found
        self._seen = {*(self._seen or ()), text}
        self._transaction.commit(every)
        self._seen = {text}

    def close(self) -> None:
        """Disconnect."""
        self._transaction.close()
