"""What the sources of text files share: places, partitions, growing files, the pace."""

from __future__ import annotations

import base64
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from muntin import arguments
from muntin.errors import SourceError, with_hint
from muntin.ingest import arrow_schema
from muntin.sources.base import Delivery, Quiet, Reader, Undecodable, Words
from muntin.sources.checks import check_paths, check_roles, check_schema
from muntin.sources.columns import (
    arrival_array,
    distinct_partitions,
    faults_of_roles,
    partition_array,
)
from muntin.sources.cuts import Cut
from muntin.sources.files import Paths, files_of, names_of
from muntin.sources.marks import Mark, mark_of
from muntin.sources.opened import STDIN
from muntin.sources.pace import Speed, pace_of
from muntin.sources.places import Places
from muntin.sources.records import LINE_BYTES_MAX, Block, Blocks, Reading
from muntin.sources.rotation import rotated
from muntin.sources.split import rows_of, split
from muntin.sources.turns import Listed, Turns, Watched


class Bad(NamedTuple):
    """A record that is no row: which of its block, its line if it has one, its text, and why."""

    ordinal: int
    line: int | None
    text: bytes
    detail: str


class Decoded(NamedTuple):
    """A block's rows, which of its records they are, the others, and how many in all.

    Which they are is an `int64` array, or None if all records are rows.
    """

    batch: Any
    ordinals: Any
    bad: list[Bad]
    records: int


class Decoder(Protocol):
    """Makes rows of the blocks of one source, in order."""

    def __call__(self, block: Block) -> Decoded:
        """The rows of a block, all in the same types."""

    def memory(self) -> dict[str, Any]:
        """What it has learnt so far, as plain values."""

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Know what another has learnt."""


Lost: TypeAlias = Literal["error", "skip"]
"""What to do where lines of a followed file are lost."""

OnBad: TypeAlias = Literal["record", "stop"]
"""What a record that cannot be read is: an invalid record, or the end of the run."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How a source reads its files and how much of them at a time."""

    follow: bool = False
    watch: bool = False
    once: bool = False
    lost: Lost = "error"
    line_bytes_max: int = LINE_BYTES_MAX
    batch_rows: int = 65_536
    bad: OnBad = "record"

    def check(self, name: str) -> None:
        """Refuse what cannot be.

        Raises:
            SourceError: a limit is below 1, or a word is unknown.
        """
        arguments.flag(self.follow, f"{name}: follow", error=SourceError)
        for word in ("batch_rows", "line_bytes_max"):
            value = getattr(self, word)
            arguments.whole(value, f"{name}: {word}", 1, 2**62, error=SourceError)
        arguments.flag(self.watch, f"{name}: watch", error=SourceError)
        if self.follow and self.watch:
            hint = (
                "files of a watched folder are complete when they appear; follow a log by its name"
            )
            raise SourceError(with_hint(f"{name}: follow= and watch= at once", hint))
        arguments.one_of(self.lost, ("error", "skip"), f"{name}: lost", error=SourceError)
        check_bad(self.bad, name)


def check_bad(bad: str, name: str) -> None:
    """Refuse a word that is not an `OnBad`."""
    arguments.one_of(bad, ("record", "stop"), f"{name}: bad", error=SourceError)


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns that a source reads for itself."""

    arrival: str | None = None
    partition: str | None = None

    def needed(self) -> dict[str, str]:
        """The columns that every row must have a value in, and what that is."""
        names = {self.partition: "partition", self.arrival: "time of arrival"}
        return {name: what for name, what in names.items() if name is not None}

    def faults(self, batch: Any, place: str) -> dict[int, str]:
        """What is wrong with rows for want of a value in one of them; see `faults_of_roles`."""
        return faults_of_roles(batch, self.arrival, self.partition, place)

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
        limits: Limits,
        speed: Speed,
    ) -> None:
        """Remember where the records are; nothing is read before it has to be."""
        name = type(self).__name__
        limits.check(name)
        check_paths(paths, name)
        check_roles(name, arrival=roles.arrival, partition=roles.partition)
        check_schema(schema, name)
        if partitions is not None:
            partitions = arguments.partitions(partitions, f"{name}: partitions", error=SourceError)
        if paths == STDIN and (limits.follow or limits.watch):
            hint = "standard input is read as it comes, to its end"
            raise SourceError(with_hint(f"{name}: standard input with follow= or watch=", hint))
        live = [f"{word}=" for word in ("follow", "watch") if getattr(limits, word)]
        live += ['"-"'] if paths == STDIN else []
        if live and roles.partition is not None and partitions is None:
            hint = "they must be known before the first row: partitions=[0, 1]"
            said = f"{name}: {live[0]}"
            raise SourceError(with_hint(f"{said} and partition= need partitions=", hint))
        if partitions is not None and (roles.partition is None or not partitions):
            hint = 'name the column that has them: partition="..."'
            raise SourceError(with_hint(f"{name}: partitions={list(partitions)}", hint))
        self._paths = paths
        self._schema = None if schema is None else arrow_schema(schema.items())
        self._roles = roles
        self._partitions = None if partitions is None else tuple(partitions)
        self._limits = limits
        self._pace = pace_of(speed, roles.arrival, name)

    @property
    def bounded(self) -> bool:
        """False if the last file is followed, or the folder watched."""
        return not (self._limits.follow or self._limits.watch)

    @property
    def replayable(self) -> bool:
        """False for standard input."""
        return self._paths != STDIN

    def for_once(self) -> TextSource:
        """The same files; a last line that has no end yet is left for a later run."""
        found = copy(self)
        found._limits = replace(self._limits, follow=not self._limits.watch, once=True)
        return found

    def partitions(self) -> Sequence[int]:
        """The partitions that were named, else those in the files, which are read for it."""
        if self._roles.partition is None:
            return (0,)
        if self._partitions is None:
            roles = Roles(None, self._roles.partition)
            bounded = copy(self)
            bounded._limits = replace(self._limits, follow=False, watch=False)
            reader = bounded._reader(roles.added(pa.schema([])), roles, Places({}), (0,))
            found = iter(reader.poll, None)
            columns = [d.partition for d in found if isinstance(d, Delivery) and rows_of(d)]
            self._partitions = tuple(distinct_partitions(columns))
        return self._partitions

    def reads(self) -> Sequence[str]:
        """The paths, folders and patterns it reads, now and in later runs."""
        return names_of(self._paths)

    def identity(self) -> Sequence[str]:
        """The files, in order; of a watched folder, its name."""
        if self._limits.watch:
            return names_of(self._paths)
        return self._files()

    def _turns(self) -> Turns:
        return Watched(self._paths) if self._limits.watch else Listed(self._files())

    def _files(self) -> list[str]:
        try:
            return files_of(self._paths)
        except SourceError:
            # between a log's rotation and its first line there is none of its name
            if not self._limits.follow:
                raise
            names = names_of(self._paths)
            if not os.path.lexists(names[-1]) and rotated(names[-1]):
                return [name for path in names[:-1] for name in files_of(path)] + names[-1:]
            raise

    def open(
        self,
        schema: Words | None,
        positions: Mapping[int, int],
        mark: Mapping[str, Any] | None = None,
    ) -> Reader:
        """Start reading after the records that an earlier run has had."""
        declared = self._schema
        if declared is None and schema is not None:
            declared = arrow_schema(schema)
        start = None if mark is None else mark_of(mark)
        places = Places(positions, {} if start is None else start.next)
        reader = self._reader(declared, self._roles, places, self.partitions(), start)
        return reader if self._pace is None else self._pace.paced(reader)

    @abstractmethod
    def _format(self, schema: Any | None, roles: Roles) -> tuple[Cut, Decoder]:
        """How blocks are cut and decoded."""

    def _reader(
        self,
        schema: Any | None,
        roles: Roles,
        places: Places,
        partitions: Sequence[int],
        mark: Mark | None = None,
    ) -> TextReader:
        cut, decoder = self._format(schema, roles)
        if mark is not None:
            decoder.recall(mark.memory)
        limits = self._limits
        reading = Reading(limits.follow, limits.once, limits.line_bytes_max, limits.lost == "skip")
        blocks = Blocks(self._turns(), cut, reading, mark)
        # columns read for the source itself alone are not in the stream
        hidden = set() if schema is None else set(roles.added(schema).names) - set(schema.names)
        placed = Placed(places, roles, partitions, hidden, limits.bad)
        return TextReader(blocks, decoder, placed, limits.batch_rows)


class TextReader:
    """Text files being read."""

    def __init__(self, blocks: Blocks, decoder: Decoder, placed: Placed, rows: int) -> None:
        """Read `blocks`, and hand over at most so many rows at a time."""
        self._blocks = blocks
        self._decoder = decoder
        self._placed = placed
        self._rows = rows
        self._ready: deque[Delivery] = deque()
        self._heard: set[int] = set()

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
                if quiet := self._quiet_beside_others():
                    return Quiet(quiet)
                self._blocks.wait()
                waited = True
            else:
                return Quiet(self._placed.partitions)
        return self._ready.popleft()

    def close(self) -> None:
        """Stop reading; may be called from another thread, and ends a wait there."""
        self._blocks.close()
        self._ready.clear()

    def _quiet_beside_others(self) -> tuple[int, ...]:
        """All that was written has been read: the partitions of which none of it was."""
        heard, self._heard = self._heard, set()
        return tuple(p for p in self._placed.partitions if p not in heard) if heard else ()

    def _decode(self, block: Block) -> None:
        start = self._beginning(block)
        left = self._placed(block.file, self._decoder(block))
        if left is None:
            return
        self._heard.update(left.resume)
        places, memory = self._placed.places.next_of_all(), self._decoder.memory()
        mark = msgspec.structs.replace(self._blocks.mark(), next=places, memory=memory)
        left = replace(left, mark=mark)
        left, self._blocks.before = replace(left, start=start), mark
        while rows_of(left) > self._rows:
            first, left = split(left, self._rows)
            self._ready.append(first)
        self._ready.append(left)

    def _beginning(self, block: Block) -> Mark:
        """A mark at or before the start of a block."""
        if block.begins or self._blocks.before is None:
            places, memory = self._placed.places.next_of_all(), self._decoder.memory()
            found = self._blocks.beginning()
            self._blocks.before = msgspec.structs.replace(found, next=places, memory=memory)
        return self._blocks.before


class Placed:
    """Gives the records of decoded blocks their partitions and positions."""

    def __init__(
        self,
        places: Places,
        roles: Roles,
        partitions: Sequence[int],
        hidden: set[str],
        bad: OnBad = "record",
    ) -> None:
        self._stops = bad == "stop"
        self.places = places
        self.partitions = tuple(partitions)
        self._roles = roles
        self._hidden = hidden

    def __call__(self, file: str, decoded: Decoded) -> Delivery | None:
        """The new rows and records that are none; None if an earlier run has had them all."""
        if decoded.ordinals is None:
            if self._roles.partition is None:
                return self._whole(file, decoded.batch)
            ones = pa.repeat(pa.scalar(1, pa.int64()), decoded.records)
            decoded = decoded._replace(ordinals=pc.cumulative_sum(ones, start=-1))
        if self._roles.partition is None:
            partitions, positions, bad_at = self._one(decoded)
        else:
            column = partition_array(decoded.batch, self._roles.partition, file or "Rows")
            partitions, positions, bad_at = self._many(decoded, column)
        home = self.partitions[0]
        bad = tuple(
            Undecodable(home, at, file, line, _shown(text), detail.partition("\n")[0])
            for at, (_, line, text, detail) in zip(bad_at, decoded.bad, strict=True)
            if at >= self.places.resume(home)
        )
        if bad and self._stops:
            raise _stopped(bad[0])
        batch = decoded.batch
        mask = self.places.new(partitions, positions)
        if mask is not None:
            batch, partitions = batch.filter(mask), partitions.filter(mask)
            positions = positions.filter(mask)
        if not len(batch) and not bad:
            return None
        arrival = arrival_array(batch, self._roles.arrival, file or "Rows")
        batch = batch.drop_columns([name for name in batch.schema.names if name in self._hidden])
        touched = {*partitions.unique().to_pylist(), *(record.partition for record in bad)}
        resume = {partition: self.places.next(partition) for partition in touched}
        partition = 0 if self._roles.partition is None else partitions
        return Delivery(batch, resume, partition, positions, arrival, bad)

    def _whole(self, file: str, batch: Any) -> Delivery | None:
        """The rows of a block in which all records are rows, of one partition."""
        start = self.places.run(0, len(batch))
        had = max(self.places.resume(0) - start, 0)
        if had >= len(batch):
            return None
        batch = batch.slice(had)
        arrival = arrival_array(batch, self._roles.arrival, file or "Rows")
        batch = batch.drop_columns([name for name in batch.schema.names if name in self._hidden])
        return Delivery(batch, {0: self.places.next(0)}, 0, start + had, arrival)

    def _one(self, decoded: Decoded) -> tuple[Any, Any, list[int]]:
        first = self.places.run(0, decoded.records)
        positions = pc.add(decoded.ordinals, first)
        partitions = pa.repeat(pa.scalar(0, pa.int64()), len(positions))
        return partitions, positions, [first + each.ordinal for each in decoded.bad]

    def _many(self, decoded: Decoded, partitions: Any) -> tuple[Any, Any, list[int]]:
        # what cannot be decoded has no partition of its own: it counts to the first one
        home = pa.repeat(pa.scalar(self.partitions[0], pa.int64()), len(decoded.bad))
        ordinals = pa.array([each.ordinal for each in decoded.bad], pa.int64())
        order = pc.sort_indices(pa.concat_arrays([decoded.ordinals, ordinals]))
        in_order = self.places.of(pa.concat_arrays([partitions, home]).take(order))
        positions = in_order.take(pc.sort_indices(order))
        rows = len(partitions)
        return partitions, positions.slice(0, rows), positions.slice(rows).to_pylist()


def _stopped(bad: Undecodable) -> SourceError:
    place = f'"{bad.file}"' if bad.file else f"position {bad.position}"
    place += f", line {bad.line}" if bad.line is not None else ""
    text = bad.text if len(bad.text) <= _SHOWN_MAX else f"{bad.text[:_SHOWN_MAX]}..."
    hint = 'bad="record" keeps it as an invalid record and goes on'
    return SourceError(with_hint(f"{place}: {bad.detail}: {text!r}", hint))


_SHOWN_MAX = 200


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "replace").rstrip("\r\n")


def no_rows(schema: Any | None) -> Any:
    """A batch without rows."""
    return pa.RecordBatch.from_pylist([], schema if schema is not None else pa.schema([]))


def one_bad(block: Block, schema: Any | None) -> Decoded:
    """A block that is one record which cannot be decoded."""
    bad = Bad(0, block.line, block.text, block.fault)
    return Decoded(no_rows(schema), pa.array([], pa.int64()), [bad], 1)


def kept_schema(schema: Any | None) -> dict[str, Any]:
    """A schema as plain values."""
    if schema is None:
        return {}
    return {"schema": base64.b64encode(schema.serialize().to_pybytes()).decode()}


def known_schema(memory: Mapping[str, Any], declared: Any | None) -> Any | None:
    """The declared schema, else the one that was kept.

    Raises:
        SourceError: what was kept is not a schema.
    """
    if declared is not None or "schema" not in memory:
        return declared
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(memory["schema"])))
    except (ValueError, TypeError, OSError, pa.ArrowException) as error:
        hint = "start with an empty checkpoint and empty outputs"
        said = f"the checkpoint's columns of the source cannot be read: {error}"
        raise SourceError(with_hint(said, hint)) from error
