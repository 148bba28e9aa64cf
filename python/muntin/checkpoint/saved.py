"""Figures of a completed checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Saved:
    """The last checkpoint.

    Attributes:
        number: its number, from 1.
        at: wall time, in seconds since 1970.
        paused: seconds that the run was paused to take it.
        seconds: how long it took to write it; the run may have gone on meanwhile.
        bytes: the size of all files it refers to.
        written: the bytes written for it; the rest is in files of earlier ones.
        commit: of `seconds`, how long the authority took to make it count.
    """

    number: int
    at: float
    paused: float
    seconds: float
    bytes: int
    written: int
    commit: float = 0.0
