"""Prints what a reader of committed records found."""

from __future__ import annotations

from collections.abc import Iterator

from muntin.commands.demo.kafka.play import Outcome


def show(outcome: Outcome) -> None:
    """Print the outcome as a few lines and a table."""
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(highlight=False)
    grid = Grid("events sent", "", "committed results", "", title_justify="left")
    for number in (1, 3):
        grid.columns[number].justify = "right"
    sent = [(name, f"{count:,}") for name, count in outcome.sent.items()]
    found = [(name, f"{count:,}") for name, count in sorted(outcome.results.items())]
    for row in range(max(len(sent), len(found))):
        cells = (each[row] if row < len(each) else ("", "") for each in (sent, found))
        grid.add_row(*(text for pair in cells for text in pair))
    console.print(grid)
    for line in _lines(outcome):
        console.print(line)


def _lines(outcome: Outcome) -> Iterator[str]:
    if outcome.starts > 1:
        yield f"the run was killed {outcome.starts - 1} times"
    alerts = outcome.results.get("alerts", 0)
    if outcome.twice:
        yield f"[red]{outcome.twice:,} of {alerts:,} alerts came twice[/]"
    else:
        yield f"{alerts:,} alerts, none of them twice"
    found = sum(found for _, found in outcome.planted)
    of = len(outcome.planted)
    word = f"{found} of {of} planted anomalies found"
    yield word if found == of else f"[red]{word}[/]"
