"""Which topics a source reads, and the numbers of their partitions in the engine.

A partition of the first topic has its own number; one of the n-th further topic has n << 32 added.
So the order of topics must not change between runs: those of a checkpoint come first, in its order,
and topics that a regular expression finds later are added at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from muntin.base.errors import SourceError, did_you_mean, with_hint
from muntin.clients.kafka import Cluster, Topic

_SHIFT = 32
_CLUSTER = "kafka cluster "


class Topics:
    """The topics of one run, and their partitions."""

    def __init__(self, cluster: Cluster, wanted: Sequence[str], before: Sequence[str]) -> None:
        """Look them up.

        Args:
            cluster: where they are.
            wanted: their names, or one regular expression that begins with `^`.
            before: the identity of an earlier run; empty if there was none.

        Raises:
            SourceError: there is no such topic, or the earlier run read something else.
        """
        self._cluster = cluster
        self._pattern = wanted[0] if wanted[0].startswith("^") else None
        self._wanted = wanted
        self._then = list(before[1:])
        self._topics: dict[str, Topic] = {}
        if before and before[0] != self.identity()[0]:
            message = f"the checkpoint was taken while reading {before[0]}, "
            hint = "give the servers of that cluster, or start with an empty checkpoint="
            message += f"but servers= leads to {self.identity()[0]}"
            raise SourceError(with_hint(f"Kafka: {message}", hint))
        found = self.look()
        names = self._names(found)
        for name in self._then:
            if name not in found:
                hint = "to read others, start with an empty checkpoint= and empty outputs"
                raise SourceError(with_hint(f'Kafka: topic "{name}" no longer exists', hint))
        missing = [name for name in names if name not in found]
        if missing:
            raise SourceError(self._missing(missing[0]))
        self._topics = {name: found[name] for name in names}

    def identity(self) -> list[str]:
        """The cluster, and the names of the topics in the order of their numbers."""
        return [f"{_CLUSTER}{self._cluster.id}", *self._topics]

    def ids(self) -> dict[str, str]:
        """The id of each topic, which tells it from an earlier one of the same name."""
        return {name: topic.id for name, topic in self._topics.items()}

    def check_ids(self, then: Mapping[str, str]) -> None:
        """Compare with the ids of an earlier run.

        Raises:
            SourceError: a topic was deleted and made again since.
        """
        for name, topic in self._topics.items():
            if then.get(name, topic.id) != topic.id and topic.id:
                raise SourceError(_again(name))

    def partitions(self) -> list[int]:
        """The numbers of all partitions in the engine."""
        return [
            at << _SHIFT | each
            for at, topic in enumerate(self._topics.values())
            for each in topic.partitions
        ]

    def number(self, topic: str) -> int:
        """What is added to a partition's own number."""
        return list(self._topics).index(topic) << _SHIFT

    def place(self, partition: int) -> tuple[str, int]:
        """The topic and the own number of a partition of the engine."""
        names = list(self._topics)
        return names[partition >> _SHIFT], partition & ((1 << _SHIFT) - 1)

    def partition_count(self) -> int | None:
        """How many partitions each topic has; None if they differ in that."""
        counts = {len(topic.partitions) for topic in self._topics.values()}
        return counts.pop() if len(counts) == 1 else None

    def look(self) -> dict[str, Topic]:
        """The topics as they are now; from any thread."""
        names = list(self._topics or self._then)
        if self._pattern is not None:
            names += [name for name in self._cluster.matching(self._pattern) if name not in names]
        else:
            names += [name for name in self._wanted if name not in names]
        found = self._cluster.topics(names)
        if len(found) < len(names):  # one that was just made may not be known to every broker
            found = self._cluster.topics(names)
        return found

    def changed(self, found: Mapping[str, Topic]) -> list[int]:
        """Take over what `look` has found; returns the numbers of new partitions.

        Raises:
            SourceError: a topic was deleted, or deleted and made again.
        """
        before = set(self.partitions())
        for name, topic in self._topics.items():
            now = found.get(name)
            if now is None:
                hint = "its rows so far are counted; to read other topics start with an empty "
                hint += "checkpoint="
                raise SourceError(
                    with_hint(f'Kafka: topic "{name}" was deleted while it was read', hint)
                )
            if now.id != topic.id and topic.id and now.id:
                raise SourceError(_again(name))
        self._topics = {name: found.get(name, topic) for name, topic in self._topics.items()}
        more = [name for name in self._names(found) if name not in self._topics]
        self._topics |= {name: found[name] for name in more if name in found}
        return [each for each in self.partitions() if each not in before]

    def _names(self, found: Iterable[str]) -> list[str]:
        """The topics in the order of their numbers."""
        first = list(self._topics or self._then)
        more = sorted(found) if self._pattern is not None else list(self._wanted)
        if self._pattern is None and first and first != more[: len(first)]:
            message = f"the checkpoint was taken while reading {_listed(first)}, but topics= "
            hint = "topics may be added after the existing ones, not before them, and none removed"
            raise SourceError(with_hint(f"Kafka: {message}has {_listed(more)}", hint))
        names = [*first, *(name for name in more if name not in first)]
        if not names:
            pattern = self._pattern
            hint = "create one first: a run needs a topic to start with"
            raise SourceError(with_hint(f'Kafka: no topic matches "{pattern}"', hint))
        return names

    def _missing(self, name: str) -> str:
        known = self._cluster.matching("")
        hint = did_you_mean(name, known) or "create it first: muntin creates no topics"
        return with_hint(f'Kafka: there is no topic "{name}" in the cluster', hint)


def _again(name: str) -> str:
    message = f'Kafka: topic "{name}" was deleted and made again, so its offsets begin anew'
    return with_hint(message, "to read the new one, start with an empty checkpoint= and outputs")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
