"""Prints the results of the year as tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from muntin.commands.demo.year import Outcome


def show(outcome: Outcome) -> None:
    """Print the outcome."""
    from rich.console import Console

    console = Console(highlight=False)
    for line in _sources(outcome):
        console.print(line)
    console.print(_check_grid(outcome))
    console.print(_alert_grid(outcome))
    console.print(_planted_grid(outcome))
    report = outcome.report
    memory = "" if outcome.memory is None else f", {outcome.memory / 2**20:,.0f} MiB at most"
    console.print(
        f"{report.seconds:.2f} s, {report.rows_per_second:,.0f} events a second{memory}; "
        f"late {report.late:,}, invalid {report.invalid:,}; "
        f"batch and comparison {outcome.check_seconds:.2f} s"
    )
    for good, said, otherwise in (
        (outcome.equal, "equal to batch", "batch gives other results"),
        (outcome.found_all, "every planted anomaly found", "a planted anomaly was missed"),
    ):
        console.print(said if good else f"[red]{otherwise}[/]")


def _sources(outcome: Outcome) -> Iterable[str]:
    for name, rows in outcome.report.sources.items():
        if name == "purchases":
            yield f"{rows:,} real till lines from {outcome.origin}"
        else:
            yield f"{rows:,} simulated events: {name.removeprefix('simulated_')}"
    yield "the order of arrival is simulated, too: up to 8 s of disorder, one row in 1,000 later"


def _check_grid(outcome: Outcome) -> Any:
    grid = _grid("streamed against batch", "output", "rows", "in batch", "differences")
    for column in grid.columns[1:]:
        column.justify = "right"
    for name, check in outcome.checks.items():
        style = "red" if check.differences else "green"
        differences = f"[{style}]{check.differences:,}[/]"
        grid.add_row(name, f"{check.windows:,}", f"{check.batch:,}", differences)
    return grid


def _alert_grid(outcome: Outcome) -> Any:
    grid = _grid("alerts", "rule", "alerts", "the latest")
    grid.columns[1].justify = "right"
    latest = {alert["rule"]: alert["message"] for alert in outcome.alerts}
    for rule, count in outcome.report.alerts.items():
        grid.add_row(rule, f"{count:,}", latest.get(rule, ""))
    return grid


def _planted_grid(outcome: Outcome) -> Any:
    title = "anomalies planted in the simulated events"
    grid = _grid(title, "planted", "place", "from", "found by", "window of the alert")
    for plant, alert in outcome.found:
        if alert is None:
            by, window = "[red]missed[/]", ""
        else:
            by = f"[green]{alert['rule']}[/]"
            window = f"{_minute(alert['window_start'])} to {_minute(alert['window_end'])}"
        grid.add_row(plant.what, plant.place, _minute(plant.start), by, window)
    return grid


def _grid(title: str, *columns: str) -> Any:
    from rich.table import Table as Grid

    return Grid(*columns, title=title)


def _minute(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
