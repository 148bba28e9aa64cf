"""The protocol of sources: batches with positions, and a sign when there are no rows.

A source is a value that describes where rows come from; `open` starts reading and returns a
`Reader`, which the loop polls. Sources use no clock: the loop decides how long a partition has been
quiet, from what the reader returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, cast, runtime_checkable

from muntin.base.errors import SourceError, with_hint
from muntin.clients.kafka.member import Member
from muntin.clients.kafka.transaction import Offset
from muntin.values.protocols import ArrowArrayExportable, ArrowStreamExportable

Words: TypeAlias = Sequence[tuple[str, str]]
"""Columns and their types, as a stream declares them."""


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A record that could not be decoded, with its place and what was wrong.

    Attributes:
        partition: its partition.
        position: its position in the partition.
        file: the file it is in, or an empty text.
        line: its line in the file, from 1, or None.
        text: its text; invalid UTF-8 is replaced.
        detail: what was wrong with it.
        payload: its bytes, where it is a message of a broker.

    >>> Undecodable(0, 7, "rows.csv", 8, "a,b", "3 fields expected, got 2").line
    8
    """

    partition: int
    position: int
    file: str
    line: int | None
    text: str
    detail: str
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rows of a source, in order.

    Attributes:
        batch: the rows.
        resume: for each partition in it, the position after the last row, where a later run
            resumes.
        partition: the partition of all rows, or an Arrow integer array with one per row.
        position: the position of the first row, from which the rest are counted, or an Arrow
            `int64` array.
        arrival: an Arrow timestamp or `int64` array of recorded arrival times; None if unknown.
        undecodable: records between and after the rows that could not be decoded.
        mark: what is needed besides `resume` to continue after these rows, something that msgspec
            can write as JSON. A checkpoint keeps the newest; `open` gets it as plain values. None
            if the mark of the previous delivery is still valid.
        start: the mark of where these rows begin, for the first part if they are split.

    >>> import pyarrow as pa
    >>> Delivery(pa.table({"n": [1, 2]}), resume={0: 2}, position=0).resume
    {0: 2}
    """

    batch: ArrowStreamExportable
    resume: Mapping[int, int]
    partition: int | ArrowArrayExportable = 0
    position: int | ArrowArrayExportable | None = None
    arrival: ArrowArrayExportable | None = None
    undecodable: tuple[Undecodable, ...] = ()
    mark: object | None = None
    start: object | None = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """No rows for now: what is known of the partitions.

    Attributes:
        partitions: those that were just polled successfully and had no rows.
        until: every row still to come has an arrival time of at least this, in microseconds since
            1970 in UTC; None if that is unknown. Other sources need not wait for this one up to
            then.
        lost: those whose server cannot be reached: whether they have rows is not known, and their
            silence begins anew when they are polled successfully again.

    >>> Quiet(partitions=(0, 1)).until is None
    True
    """

    partitions: tuple[int, ...]
    until: int | None = None
    lost: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Added:
    """Partitions that a source without an end has from now on, besides those it had.

    Attributes:
        partitions: the new partitions.

    >>> Added((4, 5)).partitions
    (4, 5)
    """

    partitions: tuple[int, ...]


LagState: TypeAlias = Literal["reading", "waiting", "idle", "paused", "lost"]
"""What the reading of a partition does."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the reading of a partition is behind.

    Attributes:
        topic: the topic, or what else the source calls a part of itself.
        partition: the partition's number in it.
        rows: how many records there are to read, at most: offsets have gaps. None if unknown.
        read_until: the time of the last record that was read, in microseconds since 1970; None
            before the first.
        state: "reading" while there are rows to read, "waiting" for new ones, "idle" if its
            silence no longer holds the watermark back, "paused" if the reader leaves it alone for
            now, "lost" if its server cannot be reached, None if nothing is known yet.

    >>> lag = Lag("payments", 0, rows=12, read_until=1_000_000)
    >>> lag.rows, lag.seconds(now=3.5)
    (12, 2.5)
    """

    topic: str
    partition: int
    rows: int | None
    read_until: int | None
    state: LagState | None = None

    def seconds(self, now: float) -> float | None:
        """The age of the last row that was read, if more are to read; 0 if none are.

        None if that is not known. `now` is in seconds since 1970.
        """
        if self.rows == 0:
            return 0.0
        if self.rows is None or self.read_until is None:
            return None
        return max(now - self.read_until / 1e6, 0.0)


Polled: TypeAlias = Delivery | Quiet | Added | None
"""What a reader's `poll` returns."""


@runtime_checkable
class Reader(Protocol):
    """A source being read.

    A reader that waits for rows in `poll` may have an attribute `waited`: the seconds it has waited
    so far. The run does not count them as time spent reading. One that knows how far it is behind
    may have a method `lag()`, which returns a `Lag` for each partition by its number.

    >>> import muntin as mt
    >>> reader = mt.sources.Rows([{"n": 1}]).open([("n", "i64")], {})
    >>> isinstance(reader, Reader), len(reader.poll().batch), reader.poll()
    (True, 1, None)
    >>> reader.close()
    """

    def poll(self) -> Polled:
        """The next rows, or `Quiet` if there are none now, or None at the end.

        A reader of a source without an end may also return `Added`, before rows of new partitions.
        """

    def close(self) -> None:
        """Release files and connections; called once, in any case."""


@runtime_checkable
class GroupReader(Reader, Protocol):
    """A reader of Kafka, whose group's offsets show to others how far a run is."""

    def group_offsets(self, positions: Mapping[int, int]) -> tuple[str, Sequence[Offset]]:
        """The group, and its offsets at these positions; a sink's transaction commits them."""

    def checkpointed(self, positions: Mapping[int, int]) -> None:
        """Rows up to these positions are in a checkpoint; commit the offsets for others to see.

        It does not wait and does not fail: no run reads them.
        """


@runtime_checkable
class Source(Protocol):
    """A source of rows.

    Your own source needs these five members. One that delivers three rows and ends:

    >>> import pyarrow as pa
    >>> class Three:
    ...     bounded, total = True, 3
    ...     def partitions(self): return (0,)
    ...     def identity(self): return ("three",)
    ...     def open(self, schema, positions): return ThreeReader(positions.get(0, 0))
    >>> class ThreeReader:
    ...     def __init__(self, start): self.at = start
    ...     def poll(self):
    ...         if self.at >= 3: return None
    ...         batch, first = pa.table({"n": list(range(self.at, 3))}), self.at
    ...         self.at = 3
    ...         return Delivery(batch, resume={0: 3}, position=first)
    ...     def close(self): pass
    >>> isinstance(Three(), Source)
    True
    """

    @property
    def bounded(self) -> bool:
        """True if the source ends."""

    @property
    def total(self) -> int | None:
        """The total number of rows, if that is cheap to know; for the progress bar."""

    def partitions(self) -> Sequence[int]:
        """The partitions; known before the first row."""

    def identity(self) -> Sequence[str]:
        """What the positions refer to: a checkpoint resumes only with the same identity.

        A source that reads one thing after another (files, say) names each of them in order; it
        may add more at the end later.
        """

    def open(self, schema: Words | None, positions: Mapping[int, int]) -> Reader:
        """Start reading.

        Args:
            schema: the stream's declared columns, for sources whose rows have no types.
            positions: where to resume, by partition; a missing one starts at the beginning.

        Raises:
            SourceError: it cannot be read.
        """


class Holder(Protocol):
    """Has the state of the partitions that this process was assigned. The loop is one.

    Its methods are called while the loop polls, so between two steps; what they raise ends the
    poll.
    """

    def joins(self, member: Member) -> None:
        """The reader has joined its group; commits name the member."""

    def take(
        self,
        places: Mapping[int, tuple[str, int]],
        first: Callable[[Collection[int]], Mapping[int, int]],
    ) -> Mapping[int, tuple[int, Any]]:
        """Restore the state of partitions that were assigned.

        Args:
            places: the topic and number of each.
            first: where partitions start that nobody had before.

        Returns:
            For each the position at which reading goes on, and the mark of its checkpoint.
        """

    def give_up(self, partitions: Collection[int]) -> None:
        """Commit, and drop the state of partitions that were revoked.

        When it returns, another process may have them.
        """


@runtime_checkable
class SharedSource(Protocol):
    """A source whose partitions several processes can share."""

    @property
    def group(self) -> str:
        """The group that assigns the partitions."""

    @property
    def cluster(self) -> str:
        """The cluster; sinks that say the same write to it."""

    def why_alone(self) -> str | None:
        """Why its partitions cannot be shared, as a clause; None if they can."""

    def instance(self) -> str | None:
        """The lasting name of this process in the group, if it has one."""

    def open_shared(self, schema: Words | None, holder: Holder) -> Reader:
        """Join the group; `holder` has the state of what it assigns."""


@runtime_checkable
class Recalling(Protocol):
    """A source whose partitions are numbered by its identity, in the order of earlier runs."""

    def recall(self, identity: Sequence[str]) -> None:
        """Continue the identity of a checkpoint; called before `partitions` and `identity`.

        Args:
            identity: as an earlier run had it; empty if there is no checkpoint.

        Raises:
            SourceError: it is that of something else.
        """


@runtime_checkable
class Continuing(Source, Protocol):
    """A source that knows where it begins, so that a history can end exactly there."""

    @property
    def begins_at(self) -> int | None:
        """The recorded time of its first row, in microseconds since 1970, if that is its start."""

    def begins(self) -> Mapping[int, int]:
        """The position of the first row of each partition, for a run without a checkpoint."""

    def before(self, history: Any, begins: Mapping[int, int]) -> Source | None:
        """The rows of the same place before these positions.

        Args:
            history: a source, or an earlier start of this one.
            begins: the position in each partition at which this source begins.

        Returns:
            A bounded source that ends there; None if `history` is a source of another place.

        Raises:
            SourceError: the history begins later.
        """


class MarkedSource(Source, Protocol):
    """A source whose deliveries have marks, and which resumes from the last one."""

    def open(
        self,
        schema: Words | None,
        positions: Mapping[int, int],
        mark: Mapping[str, Any] | None = None,
    ) -> Reader:
        """Start reading; the mark belongs to the rows before the positions, or to earlier ones."""


def opened(
    source: Source,
    schema: Words | None,
    positions: Mapping[int, int],
    mark: Mapping[str, Any] | None,
) -> Reader:
    """Open a source where an earlier run stopped, with its mark if it had one.

    Raises:
        SourceError: there is a mark, but from another source: this one uses none.
    """
    if mark is None:
        return source.open(schema, positions)
    try:
        inspect.signature(source.open).bind(schema, positions, mark)
    except (TypeError, ValueError):
        hint = "use the source that the checkpoint was made with"
        message = (
            f"a {type(source).__name__} cannot resume at {mark!r}, which another source returned"
        )
        raise SourceError(with_hint(message, hint)) from None
    return cast(MarkedSource, source).open(schema, positions, mark)


def column_array(batch: Any, name: str | None) -> Any | None:
    """One column of a `pyarrow` record batch or table as one array; None for no name."""
    if name is None:
        return None
    column = batch.column(batch.schema.get_field_index(name))
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column
