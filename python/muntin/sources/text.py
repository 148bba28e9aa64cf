"""What the sources of text files share: places, partitions, growing files, the pace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from muntin.errors import SourceError, with_hint
from muntin.ingest import arrow_schema
from muntin.sources.base import Delivery, Quiet, Reader, Undecodable, Words, column_array
from muntin.sources.columns import distinct_partitions
from muntin.sources.files import Paths, files_of
from muntin.sources.pace import Speed, pace_of
from muntin.sources.places import Places
from muntin.sources.records import Block, Blocks, Cut
from muntin.sources.split import rows_of, split


class Bad(NamedTuple):
    """A record that is no row: which of its block, its line, its text, and why."""

    ordinal: int
    line: int
    text: bytes
    detail: str


class Decoded(NamedTuple):
    """A block's rows, which of its records they are (`int64`), the others, and how many in all."""

    batch: Any
    ordinals: Any
    bad: list[Bad]
    records: int


class Decoder(Protocol):
    """Makes rows of the blocks of one source, in order."""

    def __call__(self, block: Block) -> Decoded:
        """The rows of a block, all in the same types."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns that a source reads for itself."""

    arrival: str | None = None
    partition: str | None = None

    def added(self, schema: Any) -> Any:
        """The schema with those of them that it does not name."""
        names = {self.arrival: pa.timestamp("us", "UTC"), self.partition: pa.int64()}
        for name, kind in names.items():
            if name is not None and name not in schema.names:
                schema = schema.append(pa.field(name, kind))
        return schema


class TextSource(ABC):
    """A source of text files; a subclass says how a block is decoded."""

    total = None

    def __init__(
        self,
        paths: Paths,
        schema: Mapping[str, str] | None,
        roles: Roles,
        partitions: Sequence[int] | None,
        follow: bool,
        speed: Speed,
        batch_rows: int,
    ) -> None:
        """Remember where the records are; nothing is read before it has to be."""
        name = type(self).__name__
        if batch_rows < 1:
            raise SourceError(f"{name}: batch_rows must be at least 1, got {batch_rows}")
        if follow and roles.partition is not None and partitions is None:
            hint = "they must be known before the first row: partitions=[0, 1]"
            raise SourceError(with_hint(f"{name}: follow= and partition= need partitions=", hint))
        if partitions is not None and (roles.partition is None or not partitions):
            hint = 'name the column that has them: partition="..."'
            raise SourceError(with_hint(f"{name}: partitions={list(partitions)}", hint))
        self._paths = paths
        self._schema = None if schema is None else arrow_schema(schema.items())
        self._roles = roles
        self._partitions = None if partitions is None else tuple(partitions)
        self._follow = follow
        self._pace = pace_of(speed, roles.arrival, name)
        self._batch_rows = batch_rows

    @property
    def bounded(self) -> bool:
        """False if the last file is followed."""
        return not self._follow

    def partitions(self) -> Sequence[int]:
        """The partitions that were named, else those in the files, which are read for it."""
        if self._roles.partition is None:
            return (0,)
        if self._partitions is None:
            roles = Roles(None, self._roles.partition)
            reader = self._reader(roles.added(pa.schema([])), roles, Places({}), (0,))
            found = iter(reader.poll, None)
            columns = [d.partition for d in found if isinstance(d, Delivery) and rows_of(d)]
            self._partitions = tuple(distinct_partitions(columns))
        return self._partitions

    def identity(self) -> Sequence[str]:
        """The files, in order."""
        return files_of(self._paths)

    def open(self, schema: Words | None, positions: Mapping[int, int]) -> Reader:
        """Start reading after the records that an earlier run has had."""
        declared = self._schema
        if declared is None and schema is not None:
            declared = arrow_schema(schema)
        reader = self._reader(declared, self._roles, Places(positions), self.partitions())
        return reader if self._pace is None else self._pace.paced(reader)

    @abstractmethod
    def _format(self, schema: Any | None, roles: Roles) -> tuple[Cut, Decoder]:
        """How blocks are cut and decoded."""

    def _reader(
        self, schema: Any | None, roles: Roles, places: Places, partitions: Sequence[int]
    ) -> TextReader:
        cut, decoder = self._format(schema, roles)
        blocks = Blocks(files_of(self._paths), cut, follow=self._follow)
        # columns read for the source itself alone are not in the stream
        hidden = set() if schema is None else set(roles.added(schema).names) - set(schema.names)
        placed = _Placed(places, roles, partitions, hidden)
        return TextReader(blocks, decoder, placed, self._batch_rows)


class TextReader:
    """Text files being read."""

    def __init__(self, blocks: Blocks, decoder: Decoder, placed: _Placed, rows: int) -> None:
        """Read `blocks`, and hand over at most so many rows at a time."""
        self._blocks = blocks
        self._decoder = decoder
        self._placed = placed
        self._rows = rows
        self._ready: deque[Delivery] = deque()

    def poll(self) -> Delivery | Quiet | None:
        """The next rows, word that the last file has no more now, or None at the end."""
        waited = False
        while not self._ready:
            block = self._blocks.next()
            if block is not None:
                self._decode(block)
            elif self._blocks.ended or not waited:
                if self._blocks.closed:
                    return None
                self._placed.places.end(self._blocks.at)
                if self._blocks.ended:
                    return None
                self._blocks.wait()
                waited = True
            else:
                return Quiet(self._placed.partitions)
        return self._ready.popleft()

    def close(self) -> None:
        """Stop reading; may be called from another thread, and ends a wait there."""
        self._blocks.close()
        self._ready.clear()

    def _decode(self, block: Block) -> None:
        left = self._placed(block.file, self._decoder(block))
        while left is not None and rows_of(left) > self._rows:
            first, left = split(left, self._rows)
            self._ready.append(first)
        if left is not None:
            self._ready.append(left)


class _Placed:
    """Gives the records of decoded blocks their partitions and positions."""

    def __init__(
        self, places: Places, roles: Roles, partitions: Sequence[int], hidden: set[str]
    ) -> None:
        self.places = places
        self.partitions = tuple(partitions)
        self._roles = roles
        self._hidden = hidden

    def __call__(self, file: str, decoded: Decoded) -> Delivery | None:
        """The new rows and records that are none; None if an earlier run has had them all."""
        of = self._one if self._roles.partition is None else self._many
        partitions, positions, bad_at = of(decoded)
        home = self.partitions[0]
        bad = tuple(
            Undecodable(home, at, file, line, _shown(text), detail.partition("\n")[0])
            for at, (_, line, text, detail) in zip(bad_at, decoded.bad, strict=True)
            if at >= self.places.resume(home)
        )
        batch = decoded.batch
        mask = self.places.new(partitions, positions)
        if mask is not None:
            batch, partitions = batch.filter(mask), partitions.filter(mask)
            positions = positions.filter(mask)
        if not len(batch) and not bad:
            return None
        arrival = column_array(batch, self._roles.arrival)
        batch = batch.drop_columns([name for name in batch.schema.names if name in self._hidden])
        touched = {*partitions.unique().to_pylist(), *(record.partition for record in bad)}
        resume = {partition: self.places.next(partition) for partition in touched}
        partition = 0 if self._roles.partition is None else partitions
        return Delivery(batch, resume, partition, positions, arrival, bad)

    def _one(self, decoded: Decoded) -> tuple[Any, Any, list[int]]:
        first = self.places.run(0, decoded.records)
        positions = pc.add(decoded.ordinals, first)
        partitions = pa.repeat(pa.scalar(0, pa.int64()), len(positions))
        return partitions, positions, [first + each.ordinal for each in decoded.bad]

    def _many(self, decoded: Decoded) -> tuple[Any, Any, list[int]]:
        column: Any = column_array(decoded.batch, self._roles.partition)
        partitions = column.cast(pa.int64())
        # what cannot be decoded has no partition of its own: it counts to the first one
        home = pa.repeat(pa.scalar(self.partitions[0], pa.int64()), len(decoded.bad))
        ordinals = pa.array([each.ordinal for each in decoded.bad], pa.int64())
        order = pc.sort_indices(pa.concat_arrays([decoded.ordinals, ordinals]))
        in_order = self.places.of(pa.concat_arrays([partitions, home]).take(order))
        positions = in_order.take(pc.sort_indices(order))
        rows = len(partitions)
        return partitions, positions.slice(0, rows), positions.slice(rows).to_pylist()


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "replace").rstrip("\r\n")
