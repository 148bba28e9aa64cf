"""Who says which checkpoint counts: the directory's newest manifest, or a transaction elsewhere.

A checkpoint consists of files that are written once. It counts from the moment at which one
authority points to it, and that moment is atomic. Where a sink is the authority (a transaction of
Kafka), its rows become visible in the same moment, so no row is missing or twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from muntin.base.errors import MuntinError, SnapshotError, with_hint
from muntin.checkpoint.directory import Store
from muntin.checkpoint.manifest import manifest_name, numbers, seal_of

STORE = "store"
"""The name of the authority that is the store itself."""


class TakenOver(MuntinError):
    """Another run has become the owner; this one must end and leave everything as it is."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Names the checkpoint that counts.

    Attributes:
        number: its number; 0: there is none yet.
        seal: the SHA-256 of its manifest in hexadecimal digits, or a prefix of that; empty if the
            authority does not know it.
    """

    number: int
    seal: str = ""

    def names(self, number: int, manifest: bytes) -> bool:
        """Whether a manifest is the one it names."""
        return number == self.number and seal_of(manifest).startswith(self.seal)


class Authority(Protocol):
    """Says which checkpoint counts. One run at a time owns it."""

    @property
    def name(self) -> str:
        """What it is, for messages and manifests."""

    def acquire(self) -> Sequence[Pointer]:
        """Become the owner, so that no earlier owner can commit, then read the pointer.

        Returns:
            The checkpoints that a run may resume from, the best one first; empty if there is no
            pointer.
        """

    def begin(self) -> None:
        """Point to no checkpoint, since the run starts anew.

        A pointer that is missing later is one that got lost, so no run takes that for a new start.

        Raises:
            As `commit`.
        """

    def commit(self, pointer: Pointer, manifest: bytes) -> None:
        """Make a checkpoint the one that counts, atomically. Its files are durable by now.

        Raises:
            OSError: it did not take effect, and the run may go on and try again later.
            CommitLost: the run must resume from the checkpoint that counts.
            TakenOver: another run is the owner.
            SnapshotError: nobody knows whether it took effect; the run must end.
        """


class StoreAuthority:
    """The store itself: the newest complete manifest counts.

    If that one is damaged the one before it stands in, since each is durable in full.
    """

    name = STORE

    def __init__(self, store: Store) -> None:
        """Keep the store, which is open and locked."""
        self._store = store

    def acquire(self) -> Sequence[Pointer]:
        """All manifests, the newest first; the store's lock keeps other runs out."""
        return [Pointer(number) for number in numbers(self._store.names())[0]]

    def begin(self) -> None:
        """Nothing to do: a store without manifests says the same."""

    def commit(self, pointer: Pointer, manifest: bytes) -> None:
        """Write the manifest: complete, or not at all."""
        try:
            self._store.commit(manifest_name(pointer.number), manifest)
        except OSError as error:
            hint = "free disk space or repair the directory, then start again: nothing is lost"
            message = f"checkpoint {pointer.number} in {self._store!r} cannot be written: {error}"
            raise SnapshotError(with_hint(message, hint)) from error
