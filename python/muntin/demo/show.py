"""Run the demo, compare it with batch, and say what came of it: a table, or one JSON object."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import muntin as mt
from muntin.demo.check import Batch, Check
from muntin.demo.data import load
from muntin.demo.pipeline import OUTPUTS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo gave.

    Attributes:
        origin: where the till lines come from.
        report: the run's report.
        checks: for each output, how it compares with batch.
        alerts: the alert rows.
        memory: the most memory the process has held, in bytes; None where that is unknown.
        check_seconds: what the comparison took.
    """

    origin: str
    report: mt.Report
    checks: Mapping[str, Check]
    alerts: mt.Table
    memory: int | None
    check_seconds: float

    @property
    def equal(self) -> bool:
        """True if batch says the same of every output."""
        return not any(check.differences for check in self.checks.values())

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
        }


def play(*, sample: bool = False, out: Path | None = None) -> Outcome:
    """Run the year through the pipelines and compare each output with batch.

    Args:
        sample: take the sample that ships with muntin, not the whole year.
        out: a directory for the outputs, as Parquet, and the alerts, as JSON lines.

    Raises:
        MissingExtra: DuckDB is not installed.
        SourceError: the till lines cannot be read.
        SinkError: `out` cannot be written.
    """
    lines = load(sample=sample)
    batch = Batch(lines.table)
    kept: dict[str, list[mt.Table]] = {name: [] for name in OUTPUTS}
    alerts: list[mt.Table] = []
    report = mt.run(
        mt.sources.Arrow(lines.table),
        [
            mt.output(name, pipeline, rules=rules, sinks=[mt.sinks.Callback(kept[name].append)])
            for name, (pipeline, rules) in OUTPUTS.items()
        ],
        name="demo",
        alerts=[mt.sinks.Callback(alerts.append), *_alert_file(out)],
    )
    memory = _memory()
    outputs = {name: _one(tables) for name, tables in kept.items()}
    start = time.monotonic()
    with _told("comparing with batch"):
        checks = {name: batch.compare(name, rows) for name, rows in outputs.items()}
    seconds = time.monotonic() - start
    if out is not None:
        _write(out, outputs)
    return Outcome(lines.origin, report, checks, _one(alerts), memory, seconds)


def show(outcome: Outcome) -> None:
    """Print the outcome as tables for a person."""
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console()
    report = outcome.report
    console.print(f"{report.rows:,} till lines from {outcome.origin}", highlight=False)
    grid = Grid("output", "rows", "in batch", "differences", title="streamed against batch")
    for column in grid.columns[1:]:
        column.justify = "right"
    for name, check in outcome.checks.items():
        style = "red" if check.differences else "green"
        differences = f"[{style}]{check.differences:,}[/]"
        grid.add_row(name, f"{check.windows:,}", f"{check.batch:,}", differences)
    console.print(grid)
    console.print(_alert_grid(outcome))
    memory = "" if outcome.memory is None else f", {outcome.memory / 2**20:,.0f} MiB at most"
    console.print(
        f"{report.seconds:.2f} s, {report.rows_per_second:,.0f} lines a second{memory}; "
        f"late {report.late:,}, invalid {report.invalid:,}; "
        f"batch and comparison {outcome.check_seconds:.2f} s",
        highlight=False,
    )
    verdict = "equal to batch" if outcome.equal else "[red]batch says something else[/]"
    console.print(verdict, highlight=False)


def _alert_grid(outcome: Outcome) -> Any:
    from rich.table import Table as Grid

    grid = Grid("rule", "alerts", "the latest", title="unusual shopping")
    grid.columns[1].justify = "right"
    latest = {row["rule"]: row["message"] for row in outcome.alerts.to_dicts()}
    for rule, count in outcome.report.alerts.items():
        grid.add_row(rule, f"{count:,}", latest.get(rule, ""))
    return grid


def _told(what: str) -> AbstractContextManager[object]:
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(what)


def _one(tables: list[mt.Table]) -> mt.Table:
    return mt.Table(part for table in tables for part in table.parts)


def _alert_file(out: Path | None) -> list[mt.sinks.JsonLines]:
    if out is None:
        return []
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise mt.SinkError(f'"{out}" cannot be made: {error}') from error
    return [mt.sinks.JsonLines(out / "alerts.jsonl")]


def _write(out: Path, outputs: Mapping[str, mt.Table]) -> None:
    for name, rows in outputs.items():
        try:
            pq.write_table(rows.to_arrow(), out / f"{name}.parquet")
        except OSError as error:
            raise mt.SinkError(f'"{out}" cannot be written: {error}') from error


def _memory() -> int | None:
    if os.name != "posix":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
