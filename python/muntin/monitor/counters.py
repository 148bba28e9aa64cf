"""What happened to a run since its process started, besides rows: commits, restores, rebalances.

A loop that begins again after a lost commit has new parts; these counters outlive it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from muntin.base.errors import CommitCause

Outcome: TypeAlias = Literal["none", "committed", "aborted", "failed"]
"""How the last commit ended: there was none yet, it took effect, it did not take effect and the
run resumes from the one before, or it could not be written and is tried again."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The commits of a run.

    Attributes:
        at: when the newest visible results became visible, in seconds since 1970; the start of
            the run if there are none yet.
        seconds: how long the last one took to make its results visible; None before the first.
        outcome: how the last attempt ended.
        cause: why it was aborted or has failed; empty otherwise.
    """

    at: float
    seconds: float | None = None
    outcome: Outcome = "none"
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Restore:
    """The last restore from a checkpoint.

    Attributes:
        number: the checkpoint's number.
        seconds: how long it took to load it and to build the state.
        bytes: the size of the snapshot.
    """

    number: int
    seconds: float
    bytes: int


@dataclass(slots=True)
class Counters:
    """Counters that only grow, and the newest commit and restore.

    Attributes:
        commits: commits that took effect.
        aborts: commits that did not take effect, by cause.
        failures: checkpoints that could not be written.
        fenced: how often another run with the same name took over.
        rebalances: how often partitions or the ownership moved between copies of the run.
        commit: the newest commit; None if the run takes no checkpoints.
        restore: the newest restore; None if the run started without a checkpoint.
    """

    commits: int = 0
    aborts: Counter[CommitCause] = field(default_factory=Counter)
    failures: int = 0
    fenced: int = 0
    rebalances: int = 0
    commit: Commit | None = None
    restore: Restore | None = None
    wall: Callable[[], float] = time.time

    def began(self, visible_at: float | None) -> None:
        """A run with checkpoints begins, or begins again; what it resumes from dates from then."""
        if self.commit is None:
            self.commit = Commit(self.wall() if visible_at is None else visible_at)

    def committed(self, seconds: float) -> None:
        """A commit took effect; it took so long."""
        self.commits += 1
        self.commit = Commit(self.wall(), seconds, "committed")

    def aborted(self, cause: CommitCause) -> None:
        """A commit did not take effect, or nobody knows."""
        self.aborts[cause] += 1
        if cause == "fenced":
            self.fenced += 1
        self._ended("aborted", cause)

    def failed(self, cause: str) -> None:
        """A checkpoint could not be written; it is tried again."""
        self.failures += 1
        self._ended("failed", cause)

    def taken_over(self) -> None:
        """Another run has taken over."""
        self.fenced += 1

    def rebalanced(self) -> None:
        """Partitions, or the ownership of the run, came to this copy or left it."""
        self.rebalances += 1

    def _ended(self, outcome: Outcome, cause: str) -> None:
        before = self.commit or Commit(self.wall())
        self.commit = Commit(before.at, before.seconds, outcome, cause)
