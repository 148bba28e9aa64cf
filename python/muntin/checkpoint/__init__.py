"""Checkpoints, from which a run resumes after its process has ended in any way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, get_args

from muntin.base.arguments import one_of, path, shown
from muntin.base.durations import Duration, parse
from muntin.base.errors import CommitLost, PlanError, with_hint
from muntin.checkpoint.authority import Authority, Pointer, TakenOver
from muntin.checkpoint.directory import Directory, Store
from muntin.checkpoint.keeper import Keeper, OnMissing, Restored, Where, tell_change
from muntin.checkpoint.manifest import Manifest
from muntin.checkpoint.objects import Objects, is_url
from muntin.engine.operator import OnChange

__all__ = [
    "Authority",
    "Checkpoint",
    "CommitLost",
    "Directory",
    "Keeper",
    "Manifest",
    "OnChange",
    "OnMissing",
    "Pointer",
    "Restored",
    "Store",
    "TakenOver",
    "Where",
    "tell_change",
]


@dataclass(frozen=True, slots=True, init=False)
class Checkpoint:
    """Keeps the state of a run, the positions of its sources and the rows its sinks have staged.

    A checkpoint is complete or does not exist: the state goes into files that are written once and
    contain only what changed since the one before; a manifest that names them is renamed into
    place last. Rows become visible after the checkpoint that contains them: files, tables and
    alerts are delayed by up to `every`, and a restart never contradicts what they show.

    Attributes:
        store: a directory, created if it is missing; the address of an object store, such as
            `"s3://bucket/prefix"` (needs the extra `muntin[s3]`); or a `Store`. One run at a time
            may use it.
        every: the time between two checkpoints. If more than a million rows wait to be published,
            the next one is taken earlier.
        on_change: with "refuse", a checkpoint of another pipeline ends the run with a diff. With
            "warm" and "keep" unchanged verbs keep their state; new verbs warm up, or give results
            at once from the rows they see (see `mt.operator`).
        on_missing: where a transaction of Kafka says which checkpoint counts, and it points to none
            though the store has some: "refuse" ends the run, "latest" resumes from the newest one,
            which may repeat rows, "fresh" starts anew.

    >>> Checkpoint("state/fraud", every="10s").every
    '10s'
    """

    store: Store
    every: str
    on_change: OnChange
    on_missing: OnMissing

    def __init__(
        self,
        store: str | os.PathLike[str] | Store,
        every: Duration = "10s",
        on_change: OnChange = "refuse",
        on_missing: OnMissing = "refuse",
    ) -> None:
        """Keep the arguments; nothing is read or written before the run starts."""
        one_of(on_change, get_args(OnChange), "Checkpoint: on_change")
        one_of(on_missing, get_args(OnMissing), "Checkpoint: on_missing")
        place: Any = store
        if isinstance(store, str) and is_url(store):
            place = Objects(store)
        elif isinstance(store, (str, os.PathLike)):
            place = Directory(path(store, "Checkpoint", error=PlanError))
        elif not all(hasattr(store, name) for name in ("open", "close")):
            hint = 'name a directory: mt.Checkpoint("state", every="10s")'
            raise PlanError(with_hint(f"Checkpoint: {shown(store)} is not a directory", hint))
        object.__setattr__(self, "store", place)
        object.__setattr__(self, "every", parse(every, "Checkpoint: every", zero=True).text)
        object.__setattr__(self, "on_change", on_change)
        object.__setattr__(self, "on_missing", on_missing)

    @property
    def seconds(self) -> float:
        """The time from one checkpoint to the next, in seconds.

        >>> Checkpoint("state", every="1m").seconds
        60.0
        """
        return parse(self.every, "Checkpoint: every", zero=True).us / 1e6
