"""What a run did: rows by fate, windows, alerts, rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What a run did, told at its end.

    Attributes:
        name: the run's name, or None.
        sources: rows read, by input; lines that were no rows are not among them.
        outputs: rows given, by output.
        alerts: alerts, by rule, shadow rules included.
        late: records of late rows, one per row and operator.
        invalid: records of invalid rows, lines that were no rows included.
        operators: the counters of each node of the plan, as in `Operator.stats`.
        seconds: time from the first row to the last, in seconds.

    >>> Report(None, {"input": 10}, {"rows": 2}, {}, 1, 0, (), 0.5).rows_per_second
    20.0
    """

    name: str | None
    sources: Mapping[str, int]
    outputs: Mapping[str, int]
    alerts: Mapping[str, int]
    late: int
    invalid: int
    operators: tuple[Mapping[str, Any], ...]
    seconds: float

    @property
    def rows(self) -> int:
        """Rows read from all sources."""
        return sum(self.sources.values())

    @property
    def rows_per_second(self) -> float:
        """Rows read in a second of the run."""
        return self.rows / self.seconds if self.seconds else 0.0

    def __repr__(self) -> str:
        """The report as a few lines of text."""
        title = f"run {self.name}" if self.name else "run"
        rate = f"{self.rows_per_second:,.0f} rows a second"
        lines = [f"{title}: {self.rows:,} rows in {self.seconds:.2f} s, {rate}"]
        for word, counts in (
            ("read", self.sources),
            ("gave", self.outputs),
            ("alerts", self.alerts),
        ):
            if counts:
                said = ", ".join(f"{name} {count:,}" for name, count in counts.items())
                lines.append(f"{word:<8} {said}")
        lines.append(f"late     {self.late:,}")
        lines.append(f"invalid  {self.invalid:,}")
        return "\n".join(lines)
