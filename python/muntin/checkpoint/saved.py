"""Figures of a completed checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Saved:
    """The last checkpoint.

    Attributes:
        number: its number, from 1.
        at: wall time, in seconds since 1970.
        seconds: how long the run stood still for it.
        bytes: what it refers to, in bytes.
        written: what was written for it, in bytes; the rest stood in earlier ones.
    """

    number: int
    at: float
    seconds: float
    bytes: int
    written: int
