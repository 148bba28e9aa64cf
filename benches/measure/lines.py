"""What a run finds: a line for each workload and peer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benches.workloads import Workload


@dataclass
class Line:
    """One peer at one workload.

    Attributes:
        events: how many events were measured: fewer for slow peers, in which case `ratio` is to
            muntin at as many.
        note: why there is no figure, or None.
        cpu, wall: seconds of each run. With `start` a marginal cost is the difference to the
            cost of `start_events`.
        start: CPU seconds before the first event, for peers that start slowly.
        peak: bytes beyond the data in memory.
        state: muntin's own count of its state, at the end of the data.
        ratio: CPU seconds over muntin's.
    """

    workload: Workload
    peer: str
    title: str
    version: str = ""
    events: int = 0
    note: str | None = None
    equal: bool | None = None
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    start: float | None = None
    start_events: int = 0
    start_cpu: float = 0.0
    start_wall: float = 0.0
    peak: int = 0
    keys: int = 0
    state: dict[str, Any] | None = None
    rows: int = 0
    ratio: float | None = None
    load: float = 0.0

    @property
    def ns(self) -> float:
        """Least CPU nanoseconds an event."""
        return (min(self.cpu) - self.start_cpu) / (self.events - self.start_events) * 1e9

    @property
    def ns_median(self) -> float:
        return (median(self.cpu) - self.start_cpu) / (self.events - self.start_events) * 1e9

    @property
    def per_second(self) -> float:
        """Events a second of wall time."""
        seconds = min(self.wall) - self.start_wall
        return (self.events - self.start_events) / max(seconds, 1e-9)

    @property
    def measured(self) -> bool:
        return bool(self.cpu)

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        if self.measured:
            found |= {
                "ns_per_event": self.ns,
                "ns_per_event_median": self.ns_median,
                "events_per_second": self.per_second,
                "bytes_per_key": self.bytes_per_key,
            }
        return found

    @property
    def bytes_per_key(self) -> float | None:
        """What muntin says of its state; for the others the peak by the keys of the data."""
        if self.state is not None:
            keys = self.state.get("keys") or 0
            return self.state["bytes"] / keys if keys else None
        return self.peak / self.keys if self.keys else None
