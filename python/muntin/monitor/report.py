"""The report of a finished run: rows read and emitted, alerts, late and invalid rows, rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from muntin.base.errors import CommitCause
from muntin.checkpoint.saved import Saved
from muntin.monitor.counters import Restore


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What a run did.

    Attributes:
        name: the run's name, or None.
        sources: rows read, by input, without lines that could not be decoded.
        outputs: rows emitted, by output.
        alerts: alerts, by rule, shadow rules included.
        late: records of late rows; a row that is late for two operators counts twice.
        invalid: records of invalid rows, including lines that could not be decoded.
        operators: the counters of each node of the plan, as in `Operator.stats`.
        seconds: time from the start of reading to the last checkpoint, waits included.
        stopped: whether the run was stopped before its sources had ended.
        saved: the last checkpoint, None if there was none.
        dropped: alerts that could not be sent, by sink.
        dead: records that could not be decoded and went to the sink of their source, by input.
        aborts: commits that did not take effect and were repeated, by cause.
        restore: the checkpoint that the run resumed from last; None if it started anew.
        filled: rows of history that filled the state before, by input.

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
    stopped: bool = False
    saved: Saved | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)
    aborts: Mapping[CommitCause, int] = field(default_factory=dict)
    restore: Restore | None = None
    filled: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows read from all sources.

        >>> Report(None, {"clicks": 10, "orders": 2}, {}, {}, 0, 0, (), 0.5).rows
        12
        """
        return sum(self.sources.values())

    @property
    def rows_per_second(self) -> float:
        """Rows read per second of the run.

        >>> Report(None, {"clicks": 10}, {}, {}, 0, 0, (), 0.5).rows_per_second
        20.0
        """
        return self.rows / self.seconds if self.seconds else 0.0

    def lines(self) -> list[tuple[str, str]]:
        """The report's lines, as pairs of label and value.

        >>> Report(None, {"clicks": 10}, {"rows": 2}, {}, 1, 0, (), 0.5).lines()[1:3]
        [('read', 'clicks 10'), ('emitted', 'rows 2')]
        """
        rate = f"{self.rows_per_second:,.0f} rows a second"
        lines = [("rows", f"{self.rows:,} in {self.seconds:.2f} s, {rate}")]
        for word, counts in (
            ("history", self.filled),
            ("read", self.sources),
            ("emitted", self.outputs),
            ("alerts", self.alerts),
            ("not sent", {name: count for name, count in self.dropped.items() if count}),
            ("dead", {name: count for name, count in self.dead.items() if count}),
            ("aborts", self.aborts),
        ):
            if counts:
                lines.append((word, ", ".join(f"{name} {n:,}" for name, n in counts.items())))
        lines += [("late", f"{self.late:,}"), ("invalid", f"{self.invalid:,}")]
        if self.saved is not None:
            lines.append(("saved", f"checkpoint {self.saved.number}, {self.saved.bytes:,} bytes"))
        if self.restore is not None:
            took = f"in {self.restore.seconds:.2f} s"
            lines.append(("resumed", f"from checkpoint {self.restore.number} {took}"))
        return lines

    @property
    def title(self) -> str:
        """The run's name, and whether it was stopped.

        >>> Report("shop", {}, {}, {}, 0, 0, (), 0.5, stopped=True).title
        'run shop, stopped'
        """
        title = f"run {self.name}" if self.name else "run"
        return f"{title}, stopped" if self.stopped else title

    def __repr__(self) -> str:
        """The report as a few lines of text."""
        return "\n".join([self.title, *(f"{word:<8}  {text}" for word, text in self.lines())])

    def _repr_html_(self) -> str:
        """The report as a table, for a notebook."""
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(word)}</th>"
            f"<td style='text-align:left'>{escape(text)}</td></tr>"
            for word, text in self.lines()
        )
        return f"<table><caption>{escape(self.title)}</caption>{rows}</table>"
