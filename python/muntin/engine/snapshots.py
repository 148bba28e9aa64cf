"""Snapshots: their contents, assembly from parts, and the error for one of another pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from muntin.base import core
from muntin.base.errors import PipelineChanged, with_hint
from muntin.pipeline.written import changes

_HINT = (
    'start without it, with the pipeline that made it, or with on_change="warm" or "keep", which '
    "go on with what is unchanged"
)


def engine(
    plan: str,
    partitions: Sequence[Sequence[int]],
    threads: int,
    masks: Sequence[Any],
    snapshot: bytes | None,
    on_change: str,
) -> core.Engine:
    """Build the engine of a plan, with the state of a snapshot if one is given.

    Raises:
        PipelineChanged: the snapshot is of another pipeline; the message has both as written.
        SnapshotError: it is damaged, or does not fit in another way.
    """
    with explaining(plan, snapshot):
        return core.Engine(plan, partitions, threads, masks, snapshot, on_change)


@contextmanager
def explaining(plan: str, snapshot: bytes | None) -> Iterator[None]:
    """Add to the error for a snapshot of another pipeline what differs, as it was written."""
    try:
        yield
    except PipelineChanged as error:
        assert snapshot is not None
        before = snapshot_contents(snapshot)["manifest"]["plan"]
        lines = "".join(f"\n  {line}" for line in changes(before, json.loads(plan)))
        message = f"{error} (- of the snapshot, + of now){lines}"
        raise PipelineChanged(with_hint(message, _HINT)) from None


def assembled(parts: Sequence[bytes]) -> bytes:
    """The complete snapshot of the last part, with chunks shared with earlier parts.

    Raises:
        SnapshotError: a part is damaged, or does not belong to the others.
    """
    return core.assemble(parts)


def snapshot_contents(snapshot: bytes) -> dict[str, Any]:
    """The verified contents of a snapshot, or of a part of one.

    `seal` identifies it; `manifest` is the engine's description; `chunks` has a name, an offset
    and a length in bytes for each chunk, which is an Arrow IPC stream.

    Raises:
        SnapshotError: it is damaged, or not a snapshot.
    """
    return dict(json.loads(core.contents(snapshot)))
