"""The results as text."""

from __future__ import annotations

from itertools import groupby
from typing import Any

COLUMNS = ("", "ns/event", "median", "events/s", "start s", "peak MB", "B/key", "ratio", "events")


def text(found: dict[str, Any]) -> str:
    """A table for each workload, then what muntin was measured at alone, then what is missing."""
    parts = ["  ".join(f"{word}: {value}" for word, value in found["machine"].items())]
    for title, lines in groupby(found["lines"], lambda line: line["workload"]["title"]):
        parts.append(grid(title, [cells(line) for line in lines]))
    for title, points in groupby(found["points"], lambda point: point["title"]):
        parts.append(of_points(title, list(points)))
    if found["absent"]:
        absent = [f"  {each['title']}: {each['install']}" for each in found["absent"]]
        parts.append("\n".join(["not installed", *absent]))
    return "\n\n".join(parts)


def cells(line: dict[str, Any]) -> list[str]:
    """A line of a table; with a note alone if there is no figure."""
    name = f"{line['title']} {line['version']}".strip()
    if "ns_per_event" not in line:
        return [name, line["note"] or ""]
    start = "" if line["start"] is None else f"{line['start']:.1f}"
    key = "" if line["bytes_per_key"] is None else f"{line['bytes_per_key']:,.0f}"
    ratio = "" if line["ratio"] is None else f"{line['ratio']:,.2f}"
    return [
        name,
        f"{line['ns_per_event']:,.0f}",
        f"{line['ns_per_event_median']:,.0f}",
        f"{line['events_per_second']:,.0f}",
        start,
        f"{line['peak'] / 1e6:,.0f}",
        key,
        ratio,
        f"{line['events']:,}" + (f" ({line['note']})" if line["note"] else ""),
    ]


def grid(title: str, rows: list[list[str]]) -> str:
    """Columns under their heads; a row of two cells is a name and a note."""
    full = [row for row in rows if len(row) > 2]
    first = max(len(row[0]) for row in rows)
    widths = [first] + [
        max([len(head), *(len(row[i]) for row in full if i < 8)])
        for i, head in enumerate(COLUMNS)
        if i
    ]
    shown = [title]
    if full:
        shown.append(padded(list(COLUMNS), widths))
    shown += [
        padded(row, widths) if len(row) > 2 else f"  {row[0]:<{first}}  {row[1]}" for row in rows
    ]
    return "\n".join(shown)


def padded(row: list[str], widths: list[int]) -> str:
    name, *cells = row
    right = [f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)]
    return "  " + "  ".join([f"{name:<{widths[0]}}", *right]).rstrip()


def of_points(title: str, points: list[dict[str, Any]]) -> str:
    """A row for each value of the axis."""
    heads = list(points[0]["values"])
    rows = [[points[0]["axis"], *heads]]
    for point in points:
        at = point["at"]
        values = [f"{point['values'][head]:,.4g}" for head in heads]
        rows.append([f"{at:,}" if isinstance(at, int | float) else at, *values])
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads) + 1)]
    return "\n".join([title, *(padded(row, widths) for row in rows)])
