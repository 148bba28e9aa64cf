"""The manifest of a checkpoint: readable JSON that lists what the checkpoint consists of.

A JSON object on one line, and on the next the SHA-256 of that line. It names the parts of the
engine's state by file and seal, and holds the positions of the sources and the states of the sinks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from muntin.base.errors import SnapshotError

FORMAT = 1
_AT_MAX = 253_402_300_799.0
_NAME = re.compile(r"checkpoint-([0-9]{8,18})\.json")
_PART = re.compile(r"state-([0-9]{8,18})\.muntin")
_ROWS = re.compile(r"rows-([0-9]{8,18})\.muntin")

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A count; negative numbers and those beyond 64 bits are refused."""
Partition: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""The number of a partition."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file with a part of the engine's state.

    Attributes:
        file: its name.
        bytes: its length.
        seal: the seal of the snapshot part in it.
    """

    file: str
    bytes: Count
    seal: str


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a source resumes.

    Attributes:
        identity: what its positions count in.
        next: for each partition, the position of the next row.
        mark: what else the source needs to resume there, if anything.
    """

    identity: list[str]
    next: dict[Partition, Count]
    mark: Any = None


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Counters of the run: rows read, rows emitted, late and invalid records, dead letters."""

    read: dict[str, Count] = {}
    gave: dict[str, Count] = {}
    late: Count = 0
    invalid: Count = 0
    dead: dict[str, Count] = {}


Clock: TypeAlias = Literal["arrival", "time"]
"""By which time of a row a history ends: its recorded arrival, or its event time."""


class Cut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the history of an input ended in time: its live rows before that were in the history.

    Attributes:
        clock: by which time of a row.
        until: in microseconds since 1970.
    """

    clock: Clock
    until: int


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What filled the state before the first live row.

    Attributes:
        rows: rows of history, by input.
        alerts: alerts by rule that nobody got.
        cuts: of each input whose history ended at a time, that time.
    """

    rows: dict[str, Count] = {}
    alerts: dict[str, Count] = {}
    cuts: dict[str, Cut] = {}


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint.

    Attributes:
        format: the version of this form.
        number: the number of the checkpoint.
        at: wall time, in seconds since 1970.
        run: the run's name.
        parts: the parts of the engine's state, the newest last.
        inputs: the position of each input.
        sinks: the state of each sink that has one, by its place in the run.
        counts: what the run had counted.
        history: what its state was filled with before.
        ended: whether all inputs had ended and everything was fired.
        staged: how many rows each sink with a state had not published yet, by its place.
        also: further places of sinks, and the place under which their state is kept.
        rows: the file with rows that sinks without a state have not published yet; it is removed
            when they have.
        authority: what says that this checkpoint counts; without it, it counts for nothing.
    """

    number: Count
    at: float
    run: str
    parts: list[Part]
    inputs: dict[str, Position]
    sinks: dict[str, dict[str, Any]]
    counts: Counts
    ended: bool
    staged: dict[str, Count] = {}
    also: dict[str, str] = {}
    rows: Part | None = None
    authority: str = "store"
    history: History = History()
    format: int = FORMAT

    def encode(self) -> bytes:
        """The manifest as bytes."""
        line = msgspec.json.encode(self)
        return line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"


def seal_of(data: bytes) -> str:
    """The seal of a manifest: the SHA-256 of its first line, in hexadecimal digits."""
    return hashlib.sha256(data.partition(b"\n")[0]).hexdigest()


def decode(name: str, data: bytes) -> Manifest:
    """Decode a manifest.

    Raises:
        SnapshotError: it is damaged, or of another version.
    """
    line, _, rest = data.partition(b"\n")
    if rest != seal_of(line).encode() + b"\n":
        raise SnapshotError(f'"{name}" is damaged: its checksum does not match')
    try:
        version = msgspec.json.decode(line)["format"]
        if version == FORMAT:
            manifest = msgspec.json.decode(line, type=Manifest)
            _check(name, manifest)
            return manifest
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise SnapshotError(f'"{name}" is not a manifest: {error}') from error
    raise SnapshotError(f'"{name}" has format {version!r}, known is {FORMAT}')


def _check(name: str, manifest: Manifest) -> None:
    """Check what the types cannot: names of files elsewhere, times out of range."""
    if manifest_name(manifest.number) != name:
        raise SnapshotError(f'"{name}" is the manifest of checkpoint {manifest.number}')
    for part in manifest.parts:
        if not numbers([part.file])[1]:
            raise SnapshotError(f'"{name}" names the file {part.file!r}, which is not a state file')
    if manifest.rows is not None and not row_numbers([manifest.rows.file]):
        raise SnapshotError(f'"{name}" names the file {manifest.rows.file!r}, which has no rows')
    if not manifest.parts:
        raise SnapshotError(f'"{name}" names no state file')
    if not 0 <= manifest.at <= _AT_MAX:
        raise SnapshotError(f'"{name}" was made at {manifest.at} seconds since 1970')


def manifest_name(number: int) -> str:
    """The name of a manifest's file; it has eight digits, and more from 100,000,000 on.

    >>> manifest_name(7), manifest_name(123_456_789)
    ('checkpoint-00000007.json', 'checkpoint-123456789.json')
    """
    return f"checkpoint-{number:08}.json"


def part_name(number: int) -> str:
    """The name of the file of a part."""
    return f"state-{number:08}.muntin"


def rows_name(number: int) -> str:
    """The name of the file of rows that are not published yet."""
    return f"rows-{number:08}.muntin"


def row_numbers(names: Iterable[str]) -> list[int]:
    """The numbers of the files of rows in a list of names, newest first."""
    return _numbered(list(names), _ROWS, rows_name)


def numbers(names: Iterable[str]) -> tuple[list[int], list[int]]:
    """The numbers of the manifests and the parts in a list of names, newest first.

    >>> numbers(["checkpoint-00000007.json", "checkpoint-123456789.json", "checkpoint-7.json"])
    ([123456789, 7], [])
    """
    every = list(names)
    return _numbered(every, _NAME, manifest_name), _numbered(every, _PART, part_name)


def _numbered(names: list[str], form: re.Pattern[str], name_of: Callable[[int], str]) -> list[int]:
    found = [int(match[1]) for match in map(form.fullmatch, names) if match]
    # a name with too many leading zeros is not one of ours
    return sorted({number for number in found if name_of(number) in names}, reverse=True)
