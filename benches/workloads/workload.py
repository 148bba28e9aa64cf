"""A workload: a window over generated events. Plain values, so that every peer can be told them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Kind = Literal["tumbling", "hopping", "session", "sliding"]

AGGREGATES = {
    "n": "count of rows",
    "s": "sum of val",
    "lo": "least val",
    "hi": "greatest val",
    "d": "number of different items",
}


@dataclass(frozen=True)
class Data:
    """The shape of the events; `rows` is set for each run.

    Attributes:
        kind: "events", "ads" (Yahoo's streaming benchmark), "auctions" or "bidders" (the bids of
            NEXMark by auction or by bidder).
        keys: how many keys there are.
        spread: "uniform", or "zipf" with s = 1.1.
        key: "int"; "text", of 19 characters; or "two", a text and an integer.
        seconds: the event time from the first to the last event.
        late: the share of events that come late, by up to `late_seconds`.
        partitions: the events of several partitions, each in order.
    """

    kind: str = "events"
    rows: int = 0
    keys: int = 100_000
    spread: str = "zipf"
    key: str = "int"
    seconds: int = 600
    late: float = 0.0
    late_seconds: int = 0
    partitions: int = 1
    seed: int = 7

    @property
    def by(self) -> tuple[str, ...]:
        """The columns of the key."""
        return ("k1", "k2") if self.key == "two" else ("key",)


@dataclass(frozen=True)
class Workload:
    """A window over events.

    Attributes:
        group: the workloads that the report shows together.
        size: the window's size in seconds; a session's gap.
        every: the step of hopping windows.
        sizes: the sizes of per-event windows.
        only_changed: send a window of a key only if it changed since the one before.
        axis: what varies within the group, and its value here: ("keys", 100).
        engines: is it run by the engines that start slowly, too?
        large: is it left out of the medium size?
    """

    name: str
    title: str
    group: str
    kind: Kind
    data: Data
    aggregates: tuple[str, ...] = ("n", "s")
    size: int = 60
    every: int = 60
    sizes: tuple[int, ...] = ()
    only_changed: bool = False
    threads: int = 1
    axis: tuple[str, float] | None = None
    engines: bool = False
    small: bool = False
    large: bool = False

    def of(self, rows: int) -> Workload:
        """The same with so many events."""
        return replace(self, data=replace(self.data, rows=rows))

    @property
    def by(self) -> tuple[str, ...]:
        """The columns of the key in the output: those of the data."""
        return self.data.by

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns that tell the rows of the output apart."""
        return ("ts" if self.kind == "sliding" else "start", *self.by)

    @property
    def values(self) -> tuple[str, ...]:
        """The columns with results: `n`, or with several sizes `n_60`, `n_3600`."""
        if len(self.sizes) < 2:
            return self.aggregates
        return tuple(f"{name}_{size}" for size in self.sizes for name in self.aggregates)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(given: dict[str, Any]) -> Workload:
        lists = {key: tuple(value) for key, value in given.items() if isinstance(value, list)}
        return Workload(**{**given, **lists, "data": Data(**given["data"])})


@dataclass
class Point:
    """One figure of what muntin is measured at alone: `values` at `at` on the axis of a group."""

    group: str
    title: str
    axis: str
    at: float | str
    values: dict[str, float] = field(default_factory=dict)
