"""The manifest of a checkpoint: what it consists of, in words that a person can read.

A JSON object on one line, and on the next the SHA-256 of that line. It names the parts of the
engine's state by file and seal, and holds the positions of the sources and the states of the sinks.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from muntin.errors import SnapshotError

FORMAT = 1
_NAME = re.compile(r"checkpoint-(\d{8})\.json")
_PART = re.compile(r"state-(\d{8})\.muntin")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file with a part of the engine's state.

    Attributes:
        file: its name.
        bytes: its length.
        seal: the seal of the snapshot part in it.
    """

    file: str
    bytes: int
    seal: str


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a source goes on.

    Attributes:
        identity: what its positions count in.
        next: for each partition, the position of the next row.
    """

    identity: list[str]
    next: dict[int, int]


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the run had counted: rows read, rows given, late and invalid records."""

    read: dict[str, int] = {}
    gave: dict[str, int] = {}
    late: int = 0
    invalid: int = 0


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint.

    Attributes:
        format: the version of this form.
        number: counts the checkpoints.
        at: wall time, in seconds since 1970.
        run: the run's name.
        parts: the parts of the engine's state, the newest last.
        inputs: the position of each input.
        sinks: the state of each sink that has one, by its place in the run.
        counts: what the run had counted.
        ended: whether all inputs had ended and everything was fired.
        staged: how many rows were about to be shown by each sink that has a state, by its place.
        also: further places of sinks, and the place that their state is under.
    """

    number: int
    at: float
    run: str
    parts: list[Part]
    inputs: dict[str, Position]
    sinks: dict[str, dict[str, Any]]
    counts: Counts
    ended: bool
    staged: dict[str, int] = {}
    also: dict[str, str] = {}
    format: int = FORMAT

    def encode(self) -> bytes:
        """The manifest as bytes."""
        line = msgspec.json.encode(self)
        return line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"


def decode(name: str, data: bytes) -> Manifest:
    """The manifest out of its bytes.

    Raises:
        SnapshotError: it is damaged, or of another version.
    """
    line, _, rest = data.partition(b"\n")
    if rest != hashlib.sha256(line).hexdigest().encode() + b"\n":
        raise SnapshotError(f'"{name}" is damaged: its checksum does not match')
    try:
        version = msgspec.json.decode(line)["format"]
        if version == FORMAT:
            return msgspec.json.decode(line, type=Manifest)
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise SnapshotError(f'"{name}" is no manifest: {error}') from error
    raise SnapshotError(f'"{name}" has format {version!r}, known is {FORMAT}')


def manifest_name(number: int) -> str:
    """The name of a manifest's file."""
    return f"checkpoint-{number:08}.json"


def part_name(number: int) -> str:
    """The name of the file of a part."""
    return f"state-{number:08}.muntin"


def numbers(names: list[str]) -> tuple[list[int], list[int]]:
    """The numbers of the manifests and of the parts among some names, newest first."""
    found = [sorted((int(m[1]) for m in map(p.fullmatch, names) if m), reverse=True)
             for p in (_NAME, _PART)]  # fmt: skip
    return found[0], found[1]
