"""Checkpoints, from which a run resumes after its process has ended in any way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, get_args

from muntin.base.arguments import one_of, path, shown
from muntin.base.durations import Duration, parse
from muntin.base.errors import PlanError, with_hint
from muntin.checkpoint.directory import Directory, Store
from muntin.checkpoint.keeper import Keeper, Restored, Where, tell_change
from muntin.checkpoint.manifest import Manifest
from muntin.engine.operator import OnChange

__all__ = [
    "Checkpoint",
    "Directory",
    "Keeper",
    "Manifest",
    "OnChange",
    "Restored",
    "Store",
    "Where",
    "tell_change",
]


@dataclass(frozen=True, slots=True, init=False)
class Checkpoint:
    """Keep the state of a run, the positions of its sources and what its sinks are about to show.

    A checkpoint is whole or not there: the state goes into write-once files, of which each holds
    only what changed since the one before, and a manifest that names them is renamed into place
    last. What a run gives becomes visible after the checkpoint that holds it: files, tables and
    alerts are as late as `every` says, and never show what a restart would not repeat.

    Attributes:
        store: a directory, made if it is not there, or a `Store`. One run at a time may use it.
        every: how long from one checkpoint to the next. More than a million rows that wait to be
            shown bring the next one forward.
        on_change: with "refuse", a checkpoint of another pipeline ends the run with a diff. With
            "warm" and "keep" the run goes on with the state of what is unchanged; what is new
            warms, or answers at once from what it sees (see `mt.operator`).

    >>> Checkpoint("state/fraud", every="10s").every
    '10s'
    """

    store: Store
    every: str
    on_change: OnChange

    def __init__(
        self,
        store: str | os.PathLike[str] | Store,
        every: Duration = "10s",
        on_change: OnChange = "refuse",
    ) -> None:
        """Remember where; nothing is read or written before the run starts."""
        one_of(on_change, get_args(OnChange), "Checkpoint: on_change")
        place: Any = store
        if isinstance(store, (str, os.PathLike)):
            place = Directory(path(store, "Checkpoint", error=PlanError))
        elif not all(hasattr(store, name) for name in ("open", "close")):
            hint = 'name a directory: mt.Checkpoint("state", every="10s")'
            raise PlanError(with_hint(f"Checkpoint: {shown(store)} is not a directory", hint))
        object.__setattr__(self, "store", place)
        object.__setattr__(self, "every", parse(every, "Checkpoint: every", zero=True).text)
        object.__setattr__(self, "on_change", on_change)

    @property
    def seconds(self) -> float:
        """The time from one checkpoint to the next, in seconds."""
        return parse(self.every, "Checkpoint: every", zero=True).us / 1e6
