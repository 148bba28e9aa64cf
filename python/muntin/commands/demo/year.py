"""Runs the year at full speed, compares it with batch, and looks for the planted anomalies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import muntin as mt
from muntin.commands.demo.check import Batch, Check, duckdb_or_error
from muntin.commands.demo.data import load
from muntin.commands.demo.keep import Kept, alerts_in, folders
from muntin.commands.demo.pipeline import OUTPUTS
from muntin.commands.demo.plant import Planted
from muntin.commands.demo.simulate import Events, one_day, simulate

if TYPE_CHECKING:
    from muntin.monitor.dashboard.page import Page

Alert = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of the year.

    Attributes:
        origin: where the till lines come from.
        report: the run's report.
        checks: for each output, how it compares with batch.
        alerts: the alerts, as dicts.
        found: for each planted anomaly, the alert that found it, or None.
        memory: the most memory the process has held, in bytes; None where that is unknown.
        check_seconds: how long the comparison took.
        day: the events of one busy day.
    """

    origin: str
    report: mt.Report
    checks: Mapping[str, Check]
    alerts: tuple[Alert, ...]
    found: tuple[tuple[Planted, Alert | None], ...]
    memory: int | None
    check_seconds: float
    day: Mapping[str, Any]

    @property
    def equal(self) -> bool:
        """True if the batch query gives the same rows for every output."""
        return not any(check.differences for check in self.checks.values())

    @property
    def found_all(self) -> bool:
        """True if every planted anomaly was found."""
        return all(alert is not None for _, alert in self.found)

    def to_json(self) -> dict[str, Any]:
        """The outcome as one object of plain values."""
        return {
            "sources": dict(self.report.sources),
            "outputs": {
                name: {"windows": check.windows, "differences": check.differences}
                for name, check in self.checks.items()
            },
            "alerts": len(self.alerts),
            "late": self.report.late,
            "seconds": round(self.report.seconds, 3),
            "rows_per_second": round(self.report.rows_per_second),
            "planted": {
                "found": sum(alert is not None for _, alert in self.found),
                "of": len(self.found),
            },
        }


def play(
    *,
    sample: bool = False,
    out: Path | None = None,
    page: Page | None = None,
    url: str | None = None,
    quiet: bool = True,
) -> Outcome:
    """Run the year through the pipelines and compare each output with batch.

    Args:
        sample: take the sample that ships with muntin, not the whole year.
        out: a directory for the outputs, as Parquet, and the alerts, as JSON lines; without it
            only the alerts are kept, in the directory of work.
        page: a page to show the run on.
        url: a webhook for the alerts.
        quiet: print no alerts.

    Raises:
        MissingExtra: DuckDB, or with a `port` the page, is not installed.
        SourceError: the till lines cannot be read.
        SinkError: `out`, the alerts or the webhook cannot be written.
    """
    duckdb_or_error()
    with _told("simulating page views and till devices"):
        lines = load(sample=sample)
        events = simulate(lines.table)
    origin, anomalies, day = lines.origin, events.planted, one_day(events)
    del lines
    with folders(out) as (folder, scratch):
        kept = Kept(folder)
        alerts: list[mt.Table] = []
        sinks: list[mt.Sink] = [mt.sinks.Callback(alerts.append)]
        sinks.append(alerts_in(out or Path(), "overwrite"))
        sinks += [] if url is None else [mt.sinks.Webhook(url)]
        sinks += [] if quiet else [mt.sinks.Console(when="severity = 'critical'")]
        report = _run(events, kept, sinks, page)
        if report.stopped:
            raise KeyboardInterrupt
        start = time.monotonic()
        with _told("comparing with batch"):
            checks = _compared(events.tables(), kept, scratch)
    rows = tuple(row for table in alerts for row in table.to_dicts())
    return Outcome(
        origin,
        report,
        checks,
        rows,
        tuple((plant, plant.found_by(rows)) for plant in anomalies),
        _memory(),
        time.monotonic() - start,
        day,
    )


def _run(events: Events, kept: Kept, alerts: list[mt.Sink], page: Page | None) -> mt.Report:
    sources = {
        name: mt.sources.Arrow(table, arrival="arrived") for name, table in events.tables().items()
    }
    outputs = [mt.output(name, each, rules=rules) for name, (each, rules) in OUTPUTS.items()]
    return mt.run(
        sources,
        outputs,
        name="demo",
        sinks=[kept],
        alerts=alerts,
        threads=min(2, os.cpu_count() or 1),
        dashboard=page,
    )


def _compared(events: Mapping[str, Any], kept: Kept, scratch: Path) -> dict[str, Check]:
    with Batch(events, scratch) as batch:
        return {name: batch.compare(name, kept.file(name)) for name in OUTPUTS}


def _told(what: str) -> AbstractContextManager[object]:
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(what)


def _memory() -> int | None:
    if os.name != "posix":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
