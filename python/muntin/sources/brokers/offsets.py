"""At which offset each partition starts, and whether an earlier run's offset is still there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from muntin.base.arguments import shown
from muntin.base.errors import SourceError, with_hint
from muntin.clients.kafka import Cluster
from muntin.sources.brokers.topics import Topics

Place: TypeAlias = tuple[str, int]
"""A topic and the number of a partition in it."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_HINT = (
    'write start="earliest", "latest", a datetime, or offsets by partition: '
    '{0: 170, 1: 95}, with several topics {("payments", 0): 170}'
)


@dataclass(frozen=True, slots=True)
class Start:
    """Where partitions start that no earlier run has read.

    Attributes:
        word: "earliest" or "latest"; empty for the others.
        time: the first record at or after it, in milliseconds since 1970.
        offsets: by the partition's number, or by topic and number.
    """

    word: str = ""
    time: int | None = None
    offsets: Mapping[Any, int] | None = None

    def __str__(self) -> str:
        """As a user writes it."""
        if self.time is not None:
            return (_EPOCH + dt.timedelta(milliseconds=self.time)).isoformat()
        return f'"{self.word}"' if self.word else str(dict(self.offsets or {}))


def start_of(value: Any) -> Start:
    """Read the argument `start=`.

    Raises:
        SourceError: it is something else.
    """
    if value in ("earliest", "latest") and isinstance(value, str):
        return Start(value)
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise _not_a_start(value) from None
    if isinstance(value, dt.datetime):
        zoned = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
        return Start(time=max((zoned - _EPOCH) // dt.timedelta(milliseconds=1), 0))
    if not isinstance(value, Mapping) or not value:
        raise _not_a_start(value)
    for key, offset in value.items():
        parts = key if isinstance(key, tuple) and len(key) == 2 else ("", key)
        if not isinstance(parts[0], str) or not all(map(_is_count, (parts[1], offset))):
            raise _not_a_start({key: offset})
    return Start(offsets=dict(value))


def first_offsets(
    cluster: Cluster, topics: Topics, positions: Mapping[int, int], start: Start
) -> dict[int, int]:
    """The offset at which each partition begins.

    A partition that was added after the first run of a checkpoint begins at its first record,
    whatever `start` says: its records are new.

    Raises:
        SourceError: the record at an offset is gone, or was never there.
    """
    every = topics.partitions()
    for partition in positions:
        if partition not in every:
            raise SourceError(_vanished(partition, topics))
    places = {each: topics.place(each) for each in every}
    return started(cluster, places, positions, Start("earliest") if positions else start)


def started(
    cluster: Cluster, places: Mapping[int, Place], known: Mapping[int, int], start: Start
) -> dict[int, int]:
    """The offset at which each of these partitions begins: the known one, or as `start` says.

    Raises:
        SourceError: the record at an offset is gone, or was never there.
    """
    low = cluster.offsets(places.values(), "earliest")
    high = cluster.offsets(places.values(), "latest")
    found = dict(known)
    new = [each for each in places if each not in known]
    if start.word == "earliest":
        found |= {each: low[places[each]] or 0 for each in new}
    elif start.word == "latest":
        found |= {each: high[places[each]] or 0 for each in new}
    elif start.time is not None:
        at = cluster.offsets([places[each] for each in new], start.time)
        for each in new:
            offset = at[places[each]]
            found[each] = (high[places[each]] or 0) if offset is None else offset
    elif new:
        found |= _given(start.offsets or {}, places)
        found |= known
    for each, place in places.items():
        check_offset(place, found[each], low[place] or 0, high[place] or 0)
    return found


def check_offset(place: Place, offset: int, low: int, high: int) -> None:
    """Check that the record at an offset is there, or is the next one.

    Raises:
        SourceError: it was removed, or there never was one.
    """
    topic, partition = place
    where = f'Kafka: topic "{topic}", partition {partition}'
    if offset < low:
        message = f"{where}: offset {offset:,} is gone: the first record there is has {low:,}"
        hint = "retention removed records before they were read: raise retention.ms of the topic; "
        hint += "to go on without them, start with an empty checkpoint= and empty outputs"
        raise SourceError(with_hint(message, hint))
    if offset > high:
        message = f"{where}: offset {offset:,} was reached, but the partition ends at {high:,}"
        hint = "the brokers lost records (an unclean leader election), or it is another topic of "
        hint += "that name; to read what is there, start with an empty checkpoint= and outputs"
        raise SourceError(with_hint(message, hint))


def _given(offsets: Mapping[Any, int], places: Mapping[int, Place]) -> dict[int, int]:
    """The offsets of `start=` by the partitions of the engine."""
    topics = {topic for topic, _ in places.values()}
    found, known = {}, set()
    for each, (topic, number) in places.items():
        keys: Sequence[Any] = [(topic, number), number] if len(topics) == 1 else [(topic, number)]
        known |= set(keys)
        key = next((key for key in keys if key in offsets), None)
        if key is None:
            message = f'Kafka: start= has no offset for topic "{topic}", partition {number}'
            raise SourceError(with_hint(message, "give one for each partition; 0 is the start"))
        found[each] = offsets[key]
    for key in offsets:
        if key not in known:
            message = f"Kafka: start= has an offset for {key!r}, which is not a partition"
            raise SourceError(with_hint(message, _HINT))
    return found


def _vanished(partition: int, topics: Topics) -> str:
    names = topics.identity()[1:]
    at = partition >> 32
    number = partition & 0xFFFF_FFFF
    topic = names[at] if 0 <= at < len(names) else "?"
    message = f'Kafka: topic "{topic}" no longer has partition {number}, which had been read'
    hint = "it was made again with fewer partitions; start with an empty checkpoint= and outputs"
    return with_hint(message, hint)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _not_a_start(value: object) -> SourceError:
    return SourceError(with_hint(f"Kafka: start={shown(value)} is not a place to start", _HINT))
