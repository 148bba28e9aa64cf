"""Takes checkpoints of a run, loads the newest complete one, and removes old ones.

Two checkpoints are kept, and they share no file: each builds on the one before the last. A change
is thus written twice, and any one file may be lost or damaged without loss of both.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from muntin.base import limits
from muntin.base.errors import SnapshotError, with_hint
from muntin.checkpoint.authority import STORE, Authority, Pointer, StoreAuthority
from muntin.checkpoint.directory import Store
from muntin.checkpoint.manifest import (
    Counts,
    History,
    Manifest,
    Part,
    Position,
    decode,
    manifest_name,
    numbers,
    part_name,
    row_numbers,
    rows_name,
    seal_of,
)
from muntin.checkpoint.saved import Saved
from muntin.engine.operator import OnChange, Operator, assembled, snapshot_contents

_LOOK_S = 5.0
_log = logging.getLogger("muntin.checkpoint")

KEPT = 2

Chunk: TypeAlias = tuple[str, int]
"""The file that a chunk of the engine's state is in, and its length in bytes."""

OnMissing: TypeAlias = Literal["refuse", "latest", "fresh"]
"""What to do if nothing points to a checkpoint, but the store has some: refuse to start, resume
from the newest, or start anew."""

Prepare: TypeAlias = Callable[[], dict[str, dict[str, Any]]]
"""Makes staged rows durable in the sinks; returns the sinks' states by place."""


@dataclass(frozen=True, slots=True)
class Where:
    """The position and counters of a run, besides the engine's state.

    Attributes:
        run: its name.
        inputs: each input's position.
        counts: what it has counted.
        ended: whether all inputs have ended and everything is fired.
        staged: how many rows are not published yet, by the place of the sink.
        also: for a sink with several places, each further place and its first.
        rows: rows that sinks without a state have not published yet, as bytes; may be empty.
        history: what its state was filled with before the first live row.
        moves: for each input and partition, a number that grows whenever something happens to it.
    """

    run: str
    inputs: Mapping[str, Position]
    counts: Counts
    ended: bool
    staged: Mapping[str, int] = field(default_factory=dict)
    also: Mapping[str, str] = field(default_factory=dict)
    rows: bytes = b""
    history: History = field(default_factory=History)
    moves: Mapping[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Restored:
    """A checkpoint that was found: its manifest and the engine's whole state.

    Attributes:
        manifest: what it consists of.
        snapshot: the engine's state.
        rows: rows that sinks without a state may not have published, as bytes; may be empty.
    """

    manifest: Manifest
    snapshot: bytes
    rows: bytes = b""

    @property
    def pointer(self) -> Pointer:
        """What names it."""
        return Pointer(self.manifest.number, seal_of(self.manifest.encode()))


@dataclass(slots=True)
class _Base:
    """What the next checkpoint builds on."""

    epoch: int = 0
    parts: list[Part] = field(default_factory=list)
    chunks: dict[str, Chunk] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """True if the whole state should be written again: much of the files is obsolete."""
        live = sum(length for _, length in self.chunks.values())
        held = sum(part.bytes for part in self.parts)
        wasteful = held > 2 * live + limits.SNAPSHOT_WASTE_MIN
        return wasteful or len(self.parts) >= limits.SNAPSHOT_PARTS_MAX


@dataclass(frozen=True, slots=True)
class Begun:
    """A checkpoint that is taken, but not yet written.

    Attributes:
        manifest: what it consists of.
        state: the newest part of the engine's state.
        rows: rows that sinks without a state have not published yet; may be empty.
        after: what a later checkpoint builds on.
        seconds: how long the run was paused to take it.
    """

    manifest: Manifest
    state: bytes
    rows: bytes
    after: _Base
    seconds: float


class Changing(Protocol):
    """What a checkpoint is taken of: an operator, or one partition of it."""

    def changes(self, since: int, chunks: Sequence[str]) -> bytes:
        """As `Operator.changes`."""


class Keeper:
    """The checkpoints of one run, or of one partition of it, in one store."""

    def __init__(
        self,
        store: Store,
        authority: Authority | None = None,
        on_missing: OnMissing = "refuse",
    ) -> None:
        """Read nothing before `recover`.

        Args:
            store: where the files are.
            authority: says which checkpoint counts; None: the newest in the store.
            on_missing: what to do if the authority has no pointer, but the store has checkpoints.
        """
        self._store = store
        own: Authority | None = getattr(store, "authority", None)
        self._authority = authority or own or StoreAuthority(store)
        self._on_missing = on_missing
        self._bases = [_Base(), _Base()]  # of the newest checkpoint, and of the one before
        self._last = 0
        self._good: list[Manifest] = []

    @property
    def place(self) -> str:
        """Where the checkpoints are, for messages."""
        return repr(self._store)

    @property
    def size(self) -> int:
        """The size of all files that the last checkpoint refers to."""
        return sum(part.bytes for each in self._good[:1] for part in each.parts)

    def recover(self) -> Restored | None:
        """Own the checkpoints, and load the one that counts; None if there never was one.

        Where the store itself says which one counts, a damaged one is skipped with a warning that
        names it, and the one before it stands in.

        Raises:
            SnapshotError: the one that counts is damaged or missing, or the authority does not
                point to any of those in the store.
        """
        pointers = self._authority.acquire()
        manifests, parts = numbers(self._store.names())
        self._last = max([0, *manifests, *parts, *(each.number for each in pointers)])
        if manifests and not pointers:
            pointers = self._without_pointer(manifests)
        found, problems = self._first_usable(pointers)
        if problems and found is None and self._authority.name != STORE:
            found, problems = self._instead_of_pointer(manifests, problems)
        if problems and found is None:
            hint = "to start from the beginning, give an empty directory and empty sinks"
            message = f"no checkpoint in {self._store!r} can be used: {'; '.join(problems)}"
            raise SnapshotError(with_hint(message, hint))
        if found is None and not pointers:
            self._authority.begin()
        if found is not None:
            self._check_authority(found.manifest)
            self._load_second_base(manifests, found.manifest.number)
        return found

    def _first_usable(self, pointers: Iterable[Pointer]) -> tuple[Restored | None, list[str]]:
        """The first checkpoint that is not damaged, and what is wrong with those before it."""
        problems: list[str] = []
        for pointer in (each for each in pointers if each.number):
            try:
                found, self._bases[0] = self._load(pointer.number, pointer)
            except SnapshotError as error:
                _log.warning("checkpoint %d cannot be used: %s", pointer.number, error)
                problems.append(str(error).partition("\n")[0])
            else:
                self._good = [found.manifest]
                return found, problems
        return None, problems

    def _instead_of_pointer(
        self, manifests: Sequence[int], problems: list[str]
    ) -> tuple[Restored | None, list[str]]:
        """What to resume from if the checkpoint that the authority points to cannot be used."""
        if self._on_missing == "refuse":
            hint = "give the store that the run used before; or Checkpoint(..., "
            hint += 'on_missing="latest") resumes from the newest checkpoint of this one, which '
            hint += 'may repeat rows, and on_missing="fresh" starts anew'
            message = f"{self._authority.name} points to a checkpoint that cannot be used in "
            raise SnapshotError(with_hint(f"{message}{self._store!r}: {problems[0]}", hint))
        return self._first_usable(self._without_pointer(manifests))

    def _without_pointer(self, manifests: Sequence[int]) -> Sequence[Pointer]:
        """What to resume from if the authority has no pointer."""
        if self._on_missing == "fresh":
            return []
        if self._on_missing == "latest":
            return [Pointer(number) for number in manifests]
        hint = 'it may have expired: Checkpoint(..., on_missing="latest") resumes from the newest '
        hint += 'checkpoint of the store, which may repeat rows; on_missing="fresh" starts anew'
        message = f"{self._authority.name} points to no checkpoint, but {self._store!r} has some"
        raise SnapshotError(with_hint(message, hint))

    def _check_authority(self, manifest: Manifest) -> None:
        """A checkpoint that waited for another authority may never have counted."""
        if manifest.authority != self._authority.name and self._on_missing != "latest":
            hint = 'Checkpoint(..., on_missing="latest") resumes from it all the same, '
            hint += "which may repeat rows"
            message = f"checkpoint {manifest.number} in {self._store!r} counts only if "
            message += (
                f"{manifest.authority} points to it, and this run asks {self._authority.name}"
            )
            raise SnapshotError(with_hint(message, hint))

    def _load_second_base(self, manifests: Iterable[int], newest: int) -> None:
        """Load the checkpoint before; only later checkpoints build on it, so it may be damaged."""
        before = next((number for number in manifests if number < newest), None)
        if before is not None:
            try:
                self._bases[1] = self._load(before)[1]
            except SnapshotError as error:
                _log.warning("checkpoint %d cannot be used: %s", before, error)

    def look(self) -> Restored | None:
        """The newest checkpoint, read without locking or changing the store.

        A run may replace it meanwhile: then its files are gone, and a newer one exists.

        Raises:
            SnapshotError: as `recover`.
        """
        until = time.monotonic() + _LOOK_S
        while time.monotonic() < until:
            before = numbers(self._store.names())[0]
            if not before:
                return None
            try:
                return self._load(before[0])[0]
            except SnapshotError:
                if numbers(self._store.names())[0][:1] == before[:1]:
                    break
        return self.recover()

    def commit(self, op: Changing, where: Where, prepare: Prepare) -> Saved:
        """Take a checkpoint between two steps: `begin`, then `write`.

        Raises:
            As `begin` and `write`.
        """
        return self.write(self.begin(op, where, prepare))

    def begin(self, op: Changing, where: Where, prepare: Prepare) -> Begun:
        """Take the state between two steps, and let the sinks prepare.

        Raises:
            OSError: a sink could not prepare; the run may go on.
        """
        start = time.perf_counter()
        self._last += 1
        base = self._next_base()
        state = op.changes(base.epoch, list(base.chunks))
        found = snapshot_contents(state)
        part = Part(part_name(self._last), len(state), found["seal"])
        manifest = Manifest(
            number=self._last,
            at=time.time(),
            run=where.run,
            parts=[],
            inputs=dict(where.inputs),
            sinks=prepare(),
            counts=where.counts,
            ended=where.ended,
            staged=dict(where.staged),
            also=dict(where.also),
            rows=_rows_part(self._last, where.rows),
            authority=self._authority.name,
            history=where.history,
        )
        after = _base_after(base.chunks, base.parts, part, found)
        manifest = msgspec.structs.replace(manifest, parts=after.parts)
        return Begun(manifest, state, where.rows, after, time.perf_counter() - start)

    def write(self, begun: Begun) -> Saved:
        """Write what was begun, and let it count; on any thread, one after another.

        A checkpoint that fails has no effect, and the next one may be begun.

        Raises:
            OSError: it could not be written; there is no new checkpoint, the run may go on.
            CommitLost, TakenOver: what the authority raises.
            SnapshotError: the manifest could not be written, and nobody knows whether a restart
                would find it; the run must end.
        """
        start = time.perf_counter()
        pointer, data = self.put(begun)
        put = time.perf_counter()
        self._authority.commit(pointer, data)
        commit = time.perf_counter() - put
        written = self.counts(begun, len(data))
        seconds = time.perf_counter() - start
        manifest = begun.manifest
        total = sum(each.bytes for each in manifest.parts)
        _log.debug("checkpoint %d: %d bytes in %.3f s", manifest.number, written, seconds)
        return Saved(manifest.number, manifest.at, begun.seconds, seconds, total, written, commit)

    def put(self, begun: Begun) -> tuple[Pointer, bytes]:
        """Write the files of what was begun, except the manifest; its pointer and its bytes.

        Raises:
            OSError: they could not be written.
        """
        manifest, part = begun.manifest, begun.after.parts[-1]
        self._store.write(part.file, begun.state)
        if manifest.rows is not None:
            try:
                self._store.write(manifest.rows.file, begun.rows)
            except BaseException:
                self._remove([part.file])
                raise
        data = manifest.encode()
        return Pointer(manifest.number, seal_of(data)), data

    def counts(self, begun: Begun, manifest_bytes: int) -> int:
        """Note that what was put counts now, and tidy up; how many bytes were written for it."""
        self._bases = [begun.after, self._bases[0]]
        self._good = [begun.manifest, *self._good][:KEPT]
        self._tidy()
        return begun.after.parts[-1].bytes + manifest_bytes

    def shown(self) -> None:
        """Note that the last checkpoint's rows are published; a restart need not repeat them."""
        if self._good and self._good[0].rows is not None:
            self._remove([self._good[0].rows.file])

    def _next_base(self) -> _Base:
        """What the next checkpoint builds on; an empty base if one of its files is missing."""
        base = self._bases[-1]
        try:
            there = self._sizes()
        except FileNotFoundError:
            _log.warning("%r is gone and is created again", self._store)
            self._store.close()
            self._store.open()
            there = {}
        for part in base.parts:
            size = there.get(part.file)
            if size != part.bytes:
                what = "is missing" if size is None else f"has {size:,} of {part.bytes:,} bytes"
                message = 'in %r "%s" %s: the whole state is written again'
                _log.warning(message, self._store, part.file, what)
                return _Base()
        return _Base() if base.full else base

    def _sizes(self) -> dict[str, int]:
        if hasattr(self._store, "sizes"):
            return self._store.sizes()
        known = {part.file: part.bytes for part in self._bases[-1].parts}
        return {name: known.get(name, 0) for name in self._store.names()}

    def _load(self, number: int, pointer: Pointer | None = None) -> tuple[Restored, _Base]:
        name = manifest_name(number)
        text = self._read(name)
        manifest = decode(name, text)
        if pointer is not None and not pointer.names(number, text):
            raise SnapshotError(f'"{name}" is not what {self._authority.name} points to')
        known: dict[str, Chunk] = {}
        base, parts = _Base(), []
        for part in manifest.parts:
            data = self._read(part.file)
            try:
                found = snapshot_contents(data)
            except SnapshotError as error:
                raise SnapshotError(f'"{part.file}": {error}') from error
            if found["seal"] != part.seal:
                raise SnapshotError(f'"{part.file}" is not the file that "{name}" names')
            parts.append(data)
            if part is manifest.parts[-1]:
                base = _base_after(known, manifest.parts[:-1], part, found)
            known |= _own_chunks(part, found)
        return Restored(manifest, assembled(parts), self._rows_of(manifest)), base

    def _rows_of(self, manifest: Manifest) -> bytes:
        if manifest.rows is None or manifest.rows.file not in self._store.names():
            return b""
        data = self._read(manifest.rows.file)
        if _rows_part(manifest.number, data) != manifest.rows:
            raise SnapshotError(f'"{manifest.rows.file}" is damaged')
        return data

    def _read(self, name: str) -> bytes:
        try:
            return self._store.read(name)
        except FileNotFoundError as error:
            raise SnapshotError(f'"{name}" is missing') from error
        except OSError as error:
            raise SnapshotError(f'"{name}" cannot be read: {error}') from error

    def _tidy(self) -> None:
        """Remove what the last two checkpoints do not need; a failure is retried the next time.

        What has a higher number than the last one stays: a run that was paused and does not know
        yet that it has a successor must not remove what that one wrote.
        """
        wanted = {manifest_name(manifest.number) for manifest in self._good}
        wanted |= {part.file for manifest in self._good for part in manifest.parts}
        wanted |= {manifest.rows.file for manifest in self._good[:1] if manifest.rows}
        try:
            names = self._store.names()
        except OSError as error:
            _log.warning("old checkpoints in %r cannot be removed: %s", self._store, error)
            return
        manifests, parts = numbers(names)
        last = self._good[0].number
        every = ((manifest_name, manifests), (part_name, parts), (rows_name, row_numbers(names)))
        ours = [name_of(at) for name_of, found in every for at in found if at <= last]
        self._remove(name for name in ours if name not in wanted)

    def _remove(self, names: Iterable[str]) -> None:
        try:
            for name in names:
                self._store.remove(name)
        except OSError as error:
            _log.warning("old checkpoints in %r cannot be removed: %s", self._store, error)


def tell_change(op: Operator, on_change: OnChange) -> None:
    """Log what became of the state of a checkpoint, if the pipeline has changed."""
    found = op.restored
    if found is None or not (found["new"] or found["dropped"]):
        return
    new = "warming" if on_change == "warm" else "new, with results from only the rows they see"
    words = {"restored": "restored", "new": new, "dropped": "dropped with their state"}
    changes = [f"{word}: {', '.join(found[key]) or 'none'}" for key, word in words.items()]
    _log.warning("the pipeline changed since the checkpoint; verbs %s", "; ".join(changes))


def _rows_part(number: int, data: bytes) -> Part | None:
    seal = hashlib.sha256(data).hexdigest()
    return Part(rows_name(number), len(data), seal) if data else None


def _own_chunks(part: Part, found: Mapping[str, Any]) -> dict[str, Chunk]:
    return {name: (part.file, length) for name, _, length in found["chunks"]}


def _base_after(
    known: Mapping[str, Chunk], parts: Sequence[Part], part: Part, found: Mapping[str, Any]
) -> _Base:
    """The base after a part: the known chunks that it keeps, its own chunks, and their files."""
    try:
        chunks = {name: known[name] for name in found["manifest"]["kept"]}
    except KeyError as error:
        raise SnapshotError(f'"{part.file}" needs chunk {error}, which is missing') from error
    chunks |= _own_chunks(part, found)
    needed = {file for file, _ in chunks.values()}
    kept = [each for each in parts if each.file in needed]
    return _Base(found["manifest"]["epoch"], [*kept, part], chunks)
