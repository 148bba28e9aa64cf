"""Wraps sources for `once=True`: they end when there is nothing more to read now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from muntin.base.arguments import label
from muntin.base.errors import SourceError, with_hint
from muntin.sources.base import (
    Added,
    Delivery,
    Holder,
    Polled,
    Quiet,
    Reader,
    Recalling,
    SharedSource,
    Source,
    Words,
    opened,
)
from muntin.sources.deliveries.pace import PacedReader


@runtime_checkable
class Growing(Protocol):
    """A source that can leave an incomplete end, such as a last line without a line end."""

    def for_once(self) -> Source:
        """The same source for a run that reads what is there now."""


def replayable(source: Source) -> bool:
    """Whether a source can be read again; true unless the source says otherwise."""
    return bool(getattr(source, "replayable", True))


class Once:
    """A source that ends as soon as all its partitions were polled and had no rows."""

    def __init__(self, source: Source) -> None:
        """Read `source`, leaving an incomplete end if the source supports it."""
        self._given = source
        self._source = source.for_once() if isinstance(source, Growing) else source

    def __repr__(self) -> str:
        """That of the source."""
        return label(self._given)

    @property
    def bounded(self) -> bool:
        """Whether the source itself is bounded: bounded sources are merged by time."""
        return self._given.bounded

    @property
    def replayable(self) -> bool:
        """Whether the source can be read again."""
        return replayable(self._given)

    @property
    def bad(self) -> Any:
        """The source's own sink for what it cannot decode, if it has one."""
        return getattr(self._given, "bad", None)

    @property
    def group(self) -> Any:
        """The group of a Kafka source."""
        return getattr(self._given, "group", None)

    @property
    def cluster(self) -> Any:
        """The cluster of a Kafka source."""
        return getattr(self._given, "cluster", None)

    @property
    def total(self) -> int | None:
        """The number of rows, if that is known."""
        return self._given.total

    @property
    def partitioned_by(self) -> Sequence[str] | None:
        """The columns that decide a row's partition, if the source says so."""
        return getattr(self._given, "partitioned_by", None)

    @property
    def partitioner(self) -> str | None:
        """How producers choose the partition of a key, if the source says so."""
        return getattr(self._given, "partitioner", None)

    def partition_count(self) -> int | None:
        """How many partitions keys are spread over, if the source knows."""
        count = getattr(self._source, "partition_count", None)
        return None if count is None else count()

    def reads(self) -> Sequence[str]:
        """The paths, folders and patterns it reads; empty if it reads no files."""
        found: Sequence[str] = getattr(self._given, "reads", self._given.identity)()
        return found

    def partitions(self) -> Sequence[int]:
        """Those of the source."""
        return self._source.partitions()

    def identity(self) -> Sequence[str]:
        """That of the source."""
        return self._source.identity()

    def recall(self, identity: Sequence[str]) -> None:
        """Continue the identity of a checkpoint."""
        if isinstance(self._source, Recalling):
            self._source.recall(identity)

    def why_alone(self) -> str | None:
        """Why its partitions cannot be shared; None if they can."""
        if isinstance(self._source, SharedSource):
            return self._source.why_alone()
        return f"a {type(self._given).__name__} has no group that assigns partitions"

    def instance(self) -> str | None:
        """The lasting name of this process in the group, if it has one."""
        return self._source.instance() if isinstance(self._source, SharedSource) else None

    def open_shared(self, schema: Words | None, holder: Holder) -> Reader:
        """Join the group. Such a reader ends by itself where its partitions end now."""
        assert isinstance(self._source, SharedSource)
        return self._source.open_shared(schema, holder)

    def open(
        self,
        schema: Words | None,
        positions: Mapping[int, int],
        mark: Mapping[str, Any] | None = None,
    ) -> Reader:
        """Start reading."""
        reader = opened(self._source, schema, positions, mark)
        if isinstance(reader, PacedReader):
            reader.close()
            hint = "leave out speed=: once=True reads as fast as it can"
            raise SourceError(with_hint("once=True with a source that has speed=", hint))
        return _OnceReader(reader, self._source.partitions())


def given(source: Source) -> Source:
    """The source as it was given to the run."""
    return source._given if isinstance(source, Once) else source


def inner(reader: Reader) -> Reader:
    """The source's own reader."""
    return reader.inner if isinstance(reader, _OnceReader) else reader


class _OnceReader:
    """A reader that ends at the first quiet moment."""

    def __init__(self, reader: Reader, partitions: Sequence[int]) -> None:
        self.inner = self._reader = reader
        self._partitions = frozenset(partitions)
        self._quiet: set[int] = set()
        self._ended = False

    def poll(self) -> Polled:
        """The next rows, or None when there are none now."""
        if self._ended:
            return None
        polled = self._reader.poll()
        if isinstance(polled, Delivery):
            self._quiet.clear()
            return polled
        if isinstance(polled, Added):
            self._partitions |= set(polled.partitions)
            return polled
        if isinstance(polled, Quiet):
            self._quiet |= set(polled.partitions)
            if self._partitions - self._quiet:
                return polled
        self._ended = True
        return None

    def close(self) -> None:
        """Release files and connections."""
        self._reader.close()
