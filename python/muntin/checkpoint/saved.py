"""Figures of a completed checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Saved:
    """The last checkpoint.

    Attributes:
        number: its number, from 1.
        at: wall time, in seconds since 1970.
        seconds: how long the run was paused for it.
        bytes: the size of all files it refers to.
        written: the bytes written for it; the rest is in files of earlier ones.
    """

    number: int
    at: float
    seconds: float
    bytes: int
    written: int
