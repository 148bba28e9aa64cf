"""How far each source was read, as a checkpoint keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from muntin.base.errors import SourceError, with_hint
from muntin.checkpoint import Restored
from muntin.checkpoint.manifest import Position
from muntin.clients.kafka.transaction import Offset
from muntin.engine.operator import snapshot_contents
from muntin.loop.intake import Reading
from muntin.sources import Lag, Reader, Source
from muntin.sources.base import GroupReader, Holder, Recalling, SharedSource, Words, opened
from muntin.sources.deliveries.once import inner


class Positions:
    """For each input: what its source reads, and where in it the run is."""

    def __init__(self, sources: Mapping[str, Source], restored: Restored | None) -> None:
        """Start at the positions of a checkpoint, or at the beginning."""
        self._sources = sources
        self._before: Mapping[str, Position] = restored.manifest.inputs if restored else {}
        self._identities = {name: list(each.identity()) for name, each in sources.items()}
        self._next: dict[str, dict[int, int]] = {name: {} for name in sources}
        self._marks: dict[str, Any] = dict.fromkeys(sources)
        self._readers: dict[str, Reader] = {}
        self._moves: Counter[tuple[str, int]] = Counter()
        for name, position in self._before.items():
            if name in sources:
                self._next[name] = dict(position.next)
                self._marks[name] = position.mark

    def check(self) -> None:
        """Refuse sources that no longer begin with what the checkpoint had read.

        Raises:
            SourceError: files were removed, or others put before them.
        """
        for name, position in self._before.items():
            if name in self._identities:
                self._check(name, position)

    def _check(self, name: str, position: Position) -> None:
        now = self._identities[name]
        for i, each in enumerate(position.identity):
            if i >= len(now) or now[i] != each:
                there = repr(now[i]) if i < len(now) else "nothing"
                message = f'input "{name}": the checkpoint was taken while reading {each!r}, '
                message += f"but the source now has {there} in its place"
                hint = "files may be added after the existing ones, not before them"
                raise SourceError(with_hint(message, hint))

    def opened(self, name: str, declared: Words | None, holder: Holder | None = None) -> Reader:
        """Open a source where the run is; `declared` are the columns of its input.

        With a `holder` of assigned partitions it is shared with other processes.
        """
        source = self._sources[name]
        if holder is not None:
            assert isinstance(source, SharedSource)
            reader = source.open_shared(declared, holder)
        else:
            reader = opened(source, declared, self._next[name], self._marks[name])
        self._readers[name] = inner(reader)
        return reader

    def begin(self, name: str, positions: Mapping[int, int]) -> None:
        """Start an input at these positions."""
        self._next[name] = dict(positions)

    def take(self, name: str, partition: int, at: int, then: Position | None) -> None:
        """Go on with a partition that was assigned; `then` is the position of its checkpoint.

        Raises:
            SourceError: the checkpoint was taken while reading something else.
        """
        if then is not None:
            self._check(name, then)
        self._next[name][partition] = at

    def drop(self, name: str, partitions: Collection[int]) -> None:
        """Forget partitions that another process has."""
        for partition in partitions:
            self._next[name].pop(partition, None)
            self._moves.pop((name, partition), None)

    def touched(self, name: str, partition: int) -> None:
        """Something happened to a partition without rows."""
        self._moves[name, partition] += 1

    @property
    def moves(self) -> dict[tuple[str, int], int]:
        """For each input and partition, a number that grew whenever something happened to it."""
        return dict(self._moves)

    def passed(self, reading: Reading) -> None:
        """Move on behind rows that were processed."""
        for name, partition, at in reading.resume:
            self._next[name][partition] = at
            self._moves[name, partition] += 1
        self._marks.update(reading.marks)
        for name in {name for name, _ in reading.added}:
            self._identities[name] = list(self._sources[name].identity())

    def lags(self) -> dict[str, Mapping[int, Lag]]:
        """How far each partition of the inputs with a source that knows it is behind."""
        found = {name: getattr(reader, "lag", None) for name, reader in self._readers.items()}
        return {name: lag() for name, lag in found.items() if lag is not None}

    def offsets(self) -> dict[str, list[Offset]]:
        """For each group of Kafka, how far its rows were processed."""
        found: dict[str, list[Offset]] = {}
        for name, reader in self._readers.items():
            if isinstance(reader, GroupReader):
                group, offsets = reader.group_offsets(self._next[name])
                found.setdefault(group, []).extend(offsets)
        return found

    def checkpointed(self, positions: Mapping[str, Position]) -> None:
        """Tell readers that rows up to these positions are in a checkpoint."""
        for name, reader in self._readers.items():
            if isinstance(reader, GroupReader):
                reader.checkpointed(positions[name].next)

    def saved(self) -> dict[str, Position]:
        """The positions for a checkpoint."""
        return {
            name: Position(identity, dict(self._next[name]), self._marks[name])
            for name, identity in self._identities.items()
        }


def partitions_then(
    sources: Mapping[str, Source], restored: Restored | None
) -> dict[str, Sequence[int]]:
    """The partitions with which the engine starts: of those there are, the checkpoint's.

    The loop opens the others, as it does with partitions that are added while it runs. Sources
    that number partitions by their identity learn that of the checkpoint first.
    """
    before = restored.manifest.inputs if restored else {}
    found: dict[str, Sequence[int]] = {}
    for name, source in sources.items():
        if isinstance(source, Recalling):
            source.recall(before[name].identity if name in before else [])
        found[name] = tuple(source.partitions())
    if restored and any(set(now) - _passed(before.get(name)) for name, now in found.items()):
        saved = _saved_partitions(restored.snapshot)
        for name in found.keys() & saved.keys():
            found[name] = [each for each in found[name] if each in saved[name]]
    return found


def _passed(position: Position | None) -> set[int]:
    """The partitions that an input surely had: reading a snapshot takes long if it is large."""
    return set(position.next) if position else set()


def _saved_partitions(snapshot: bytes) -> dict[str, set[int]]:
    """The partitions of each input in a snapshot."""
    manifest = snapshot_contents(snapshot)["manifest"]
    names = [each["name"] for each in manifest["plan"]["inputs"]]
    marks = manifest["watermarks"]
    return {
        name: {int(each["id"]) for each in mark["partitions"]}
        for name, mark in zip(names, marks, strict=True)
    }
