"""The results as tables of Markdown, for docs/performance.md."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from benches.report.figures import by_peer


def markdown(found: dict[str, Any]) -> str:
    """A table of CPU nanoseconds an event, with the ratio to muntin; then what was alone."""
    machine = {**found["machine"], "size": found["size"]}
    loads = [line["load"] for line in found["lines"]]
    machine["load"] = f"{min(loads):.1f} to {max(loads):.1f}" if loads else "-"
    parts = [", ".join(f"{word} {value}" for word, value in machine.items()) + "."]
    lines = found["lines"]
    peers = [(peer, mine[0]["title"]) for peer, mine in by_peer(list(lines))]
    rows = [["workload", *(title for _, title in peers)]]
    for title, each in groupby(lines, lambda line: line["workload"]["title"]):
        mine = {line["peer"]: line for line in each}
        rows.append([title, *(cell(mine.get(peer)) for peer, _ in peers)])
    if peers:
        parts.append(table(rows))
    for title, points in groupby(found["points"], lambda point: point["title"]):
        each = list(points)
        heads = [each[0]["axis"], *each[0]["values"]]
        values = [
            [at(point["at"]), *(f"{value:,.4g}" for value in point["values"].values())]
            for point in each
        ]
        parts += [f"{title[:1].upper()}{title[1:]}:", table([heads, *values])]
    return "\n\n".join(parts) + "\n"


def cell(line: dict[str, Any] | None) -> str:
    """Nanoseconds, the ratio to muntin, and where they were fewer the number of events."""
    if line is None or "ns_per_event" not in line:
        return "-" if line is None or line["note"] is None else line["note"].partition(":")[0]
    text = f"{line['ns_per_event']:,.0f}"
    return text if line["ratio"] is None else f"{text} ({line['ratio']:,.1f}x)"


def at(place: float | str) -> str:
    return f"{place:,}" if isinstance(place, int | float) else place


def table(rows: list[list[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---" + "|---:" * (len(rows[0]) - 1) + "|", *body])
