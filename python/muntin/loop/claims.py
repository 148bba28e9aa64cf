"""Makes sure that no two sinks, no source and no other run share what a run writes.

All paths are checked before anything is opened, with symbolic and hard links resolved. During the
run a hidden file beside each output is locked; the lock ends with the process, however that ends.
"""

from __future__ import annotations

import fnmatch
import glob
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from urllib.parse import quote

from muntin.base.errors import SinkError, with_hint
from muntin.base.locks import Held, Lock
from muntin.checkpoint import Directory, Store
from muntin.loop.routes import Destinations
from muntin.sinks.base import Transactional, Writes, Writing
from muntin.sources import Source

_log = logging.getLogger("muntin.run")

_NAME_MAX = 200


@runtime_checkable
class Reading(Protocol):
    """A source that knows its files, including those that do not exist yet."""

    def reads(self) -> Sequence[str]:
        """Paths, folders and patterns; empty if it reads no files."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one sink writes, and the sink's place in the run."""

    place: str
    writes: Writes

    @property
    def path(self) -> str:
        return os.path.realpath(self.writes.path)

    def meets(self, other: _Claim) -> bool:
        """Whether both write to the same path, or one into the folder of the other."""
        ours, theirs = self.writes, other.writes
        if not (_same(self.path, other.path) or self.holds(other.path) or other.holds(self.path)):
            return False
        apart = ours.tables and theirs.tables and not set(ours.tables) & set(theirs.tables)
        return not (apart or (ours.shared and theirs.shared))

    def holds(self, path: str) -> bool:
        """Whether a path leads into its folder."""
        return self.writes.folder and _inside(path, self.path)


@contextmanager
def claimed(
    run: str, sources: Mapping[str, Source], to: Destinations, store: Store | None
) -> Iterator[None]:
    """Claim everything a run writes, until it ends.

    Raises:
        SinkError: two sinks write to the same path, a sink writes what a source reads or into the
            checkpoint's directory, or another run writes to the path.
    """
    claims = list(_claims(to))
    for i, claim in enumerate(claims):
        for other in claims[:i]:
            if claim.meets(other):
                raise _shared(claim, other)
        if isinstance(store, Directory):
            _check_store(claim, store.path)
    for name, source in sources.items():
        _check_source(claims, name, source)
        _check_topics(to, name, source)
    with ExitStack() as stack:
        for claim in claims:
            if claim.writes.folder:
                _make_parent(claim)
        for path in dict.fromkeys(each for claim in claims for each in _lock_paths(claim)):
            if (lock := _locked(path, run, claims)) is not None:
                stack.callback(lock.release, remove=True)
        yield


def _claims(to: Destinations) -> Iterator[_Claim]:
    given: dict[int, tuple[str, Writing, list[str]]] = {}
    for place, sink in to.places():
        if isinstance(sink, Writing):
            kind, _, rest = place.partition("/")
            output = rest.rsplit("/", 2)[0] if kind == "rows" else kind
            given.setdefault(id(sink), (place, sink, []))[2].append(output)
    for place, sink, outputs in given.values():
        for writes in sink.writes(outputs):
            yield _Claim(place, writes)


def _shared(claim: _Claim, other: _Claim) -> SinkError:
    where, first, second = claim.writes.path, other.place, claim.place
    if _same(claim.path, other.path):
        hint = "give each its own path, or the same sink to both"
        return SinkError(with_hint(f'"{where}" is written by two sinks: {first}, {second}', hint))
    hint = "give each a place that is not inside the other's"
    message = (
        f'{second} writes "{where}", {first} writes "{other.writes.path}": one is in the other'
    )
    return SinkError(with_hint(message, hint))


def _check_store(claim: _Claim, directory: str) -> None:
    real = os.path.realpath(directory)
    if _same(claim.path, real) or _inside(claim.path, real) or claim.holds(real):
        hint = "keep outputs and checkpoints in separate folders"
        message = f'{claim.place} writes "{claim.writes.path}", and the checkpoint is "{directory}"'
        raise SinkError(with_hint(message, hint))


def _check_source(claims: Iterable[_Claim], name: str, source: Source) -> None:
    """No sink writes what the source reads, or would read in a later run."""
    paths = list(source.reads()) if isinstance(source, Reading) else None
    reads = [] if paths == [] else [*source.identity(), *(paths or ())]
    for each in dict.fromkeys(reads):
        for claim in claims:
            if _is_read(claim, each):
                hint = "the run would read its own output: write to another path"
                message = f'input "{name}" reads "{each}", and {claim.place} writes '
                raise SinkError(with_hint(f'{message}"{claim.writes.path}"', hint))


def _check_topics(to: Destinations, name: str, source: Source) -> None:
    """No sink writes to a topic that the source reads."""
    cluster = getattr(source, "cluster", None)
    if cluster is None:
        return
    topics = source.identity()[1:]
    for place, sink in to.places():
        if not isinstance(sink, Transactional):
            continue
        if sink.cluster == cluster and sink.topic in topics:
            hint = "the run would read its own output: write to another topic"
            message = f'input "{name}" reads the topic "{sink.topic}", and {place} writes to it'
            raise SinkError(with_hint(message, hint))


def _is_read(claim: _Claim, reads: str) -> bool:
    real = os.path.realpath(reads)
    if os.path.exists(reads) and (_same(claim.path, real) or claim.holds(real)):
        return True
    written = os.path.join(claim.path, "part-0.parquet") if claim.writes.folder else claim.path
    if os.path.isdir(real):
        below = os.path.relpath(written, real).split(os.sep) if _inside(written, real) else []
        return bool(below) and not any(part.startswith((".", "_")) for part in below)
    return glob.has_magic(reads) and any(
        _matches(written, form(reads)) for form in (os.path.abspath, os.path.realpath)
    )


def _matches(path: str, pattern: str) -> bool:
    """Whether a path matches a pattern, part by part unless `**` spans several."""
    if "**" in pattern:
        return fnmatch.fnmatchcase(path, pattern)
    parts, forms = path.split(os.sep), pattern.split(os.sep)
    return len(parts) == len(forms) and all(map(fnmatch.fnmatchcase, parts, forms))


def _lock_paths(claim: _Claim) -> Iterator[str]:
    """The lock files for what a sink writes; one for each table of a database."""
    if claim.writes.shared:
        return
    folder, name = os.path.split(claim.path)
    for table in claim.writes.tables or ("",):
        word = f".{name}.{quote(table, safe='')}" if table else f".{name}"
        yield os.path.join(folder, f"{word[:_NAME_MAX]}.lock")


def _make_parent(claim: _Claim) -> None:
    with suppress(OSError):  # opening the sink reports the error
        os.makedirs(os.path.dirname(claim.path), exist_ok=True)


def _locked(path: str, run: str, claims: Iterable[_Claim]) -> Lock | None:
    try:
        return Lock.take(path, f'run "{run}"')
    except Held as error:
        claim = next(each for each in claims if path in _lock_paths(each))
        hint = "stop it, or write to another place"
        message = f'"{claim.writes.path}" is written by another run: {error}'
        raise SinkError(with_hint(message, hint)) from None
    except (OSError, ValueError) as error:
        # if the output itself cannot be written, opening it reports that
        _log.info('the output "%s" cannot be locked: %s', path, error)
        return None


def _same(one: str, other: str) -> bool:
    if os.path.normcase(one) == os.path.normcase(other):
        return True
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _inside(path: str, folder: str) -> bool:
    try:
        return os.path.commonpath([path, folder]) == folder and path != folder
    except ValueError:
        return False
