"""Shared by the sources of text files: positions, partitions, following, pace."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

import msgspec
import pyarrow as pa

from muntin.base import arguments
from muntin.base.errors import SourceError, with_hint
from muntin.sources.base import Delivery, Quiet, Reader, Words
from muntin.sources.checks import check_paths, check_roles, check_schema
from muntin.sources.decode.decoded import Bad, Decoded, Roles, no_rows
from muntin.sources.deliveries.columns import (
    distinct_partitions,
)
from muntin.sources.deliveries.pace import Speed, pace_of
from muntin.sources.deliveries.placed import OnBad, Placed, check_bad
from muntin.sources.deliveries.places import Places
from muntin.sources.deliveries.split import rows_of, split
from muntin.sources.files.cuts import Cut
from muntin.sources.files.marks import Mark, mark_of
from muntin.sources.files.opened import STDIN
from muntin.sources.files.paths import Paths, call_of, files_of, names_of
from muntin.sources.files.records import LINE_BYTES_MAX, Block, Blocks, Reading
from muntin.sources.files.rotation import rotated
from muntin.sources.files.turns import Listed, Turns, Watched
from muntin.values.rows import arrow_schema


class Decoder(Protocol):
    """Decodes the blocks of one source into rows, in order."""

    def __call__(self, block: Block) -> Decoded:
        """The rows of a block, all in the same types."""

    def memory(self) -> dict[str, Any]:
        """Its state, as plain values."""

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Restore the state of another decoder."""


Lost: TypeAlias = Literal["error", "skip"]
"""What to do if lines of a followed file are lost."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How a source reads its files, and its limits."""

    follow: bool = False
    watch: bool = False
    once: bool = False
    lost: Lost = "error"
    line_bytes_max: int = LINE_BYTES_MAX
    batch_rows: int = 65_536
    bad: OnBad = "record"

    def check(self, name: str) -> None:
        """Check the options.

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
        """Keep the arguments; files are read only when needed."""
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
            message = f"{name}: {live[0]}"
            raise SourceError(with_hint(f"{message} and partition= need partitions=", hint))
        if partitions is not None and (roles.partition is None or not partitions):
            hint = 'name the column that has them: partition="..."'
            raise SourceError(with_hint(f"{name}: partitions={list(partitions)}", hint))
        self._paths = paths
        self._schema = None if schema is None else arrow_schema(schema.items())
        self._roles = roles
        self._partitions = None if partitions is None else tuple(partitions)
        self._limits = limits
        self._pace = pace_of(speed, roles.arrival, name)

    def __repr__(self) -> str:
        """Its paths, and how it waits for more."""
        limits = self._limits
        return call_of(type(self).__name__, self._paths, follow=limits.follow, watch=limits.watch)

    @property
    def bounded(self) -> bool:
        """False if the last file is followed, or the folder watched."""
        return not (self._limits.follow or self._limits.watch)

    @property
    def replayable(self) -> bool:
        """False for standard input."""
        return self._paths != STDIN

    def for_once(self) -> TextSource:
        """The same source, leaving a last line without a line end for a later run."""
        found = copy(self)
        found._limits = replace(self._limits, follow=not self._limits.watch, once=True)
        return found

    def partitions(self) -> Sequence[int]:
        """The partitions in `partitions=`, else those in the files, which are read to find them."""
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
            # between a log's rotation and its first line the log does not exist
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
        """Start reading after the records that an earlier run has read."""
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
        # columns that only the source uses are not in the stream
        hidden = set() if schema is None else set(roles.added(schema).names) - set(schema.names)
        placed = Placed(places, roles, partitions, hidden, limits.bad)
        return TextReader(blocks, decoder, placed, limits.batch_rows)


class TextReader:
    """Text files being read."""

    def __init__(self, blocks: Blocks, decoder: Decoder, placed: Placed, rows: int) -> None:
        """Read `blocks`, and deliver rows in batches of limited size."""
        self._blocks = blocks
        self._decoder = decoder
        self._placed = placed
        self._rows = rows
        self._ready: deque[Delivery] = deque()
        self._with_rows: set[int] = set()

    def poll(self) -> Delivery | Quiet | None:
        """The next rows, `Quiet` if the last file has no more now, or None at the end."""
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

    @property
    def waited(self) -> float:
        """Seconds that were spent waiting for the last file to grow."""
        return self._blocks.waited

    def close(self) -> None:
        """Stop reading; may be called from another thread, and ends a wait there."""
        self._blocks.close()
        self._ready.clear()

    def _quiet_beside_others(self) -> tuple[int, ...]:
        """Everything written has been read: the partitions that had no rows in it."""
        with_rows, self._with_rows = self._with_rows, set()
        return tuple(p for p in self._placed.partitions if p not in with_rows) if with_rows else ()

    def _decode(self, block: Block) -> None:
        start = self._beginning(block)
        left = self._placed(block.file, self._decoder(block))
        if left is None:
            return
        self._with_rows.update(left.resume)
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


def one_bad(block: Block, schema: Any | None) -> Decoded:
    """A block that is one record which cannot be decoded."""
    bad = Bad(0, block.line, block.text, block.fault)
    return Decoded(no_rows(schema), pa.array([], pa.int64()), [bad], 1)
