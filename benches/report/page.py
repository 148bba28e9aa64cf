"""A page of the results: one file, with Plotly inside, in light and dark."""

from __future__ import annotations

import json
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from benches.report.figures import bars, curves, of_points
from benches.report.text import COLUMNS, cells

TEMPLATE = Path(__file__).with_name("page.html")


def page(found: dict[str, Any]) -> str:
    """The page."""
    figures: list[dict[str, Any]] = []
    parts = []
    for group, each in groups(found["lines"]):
        parts.append(f"<section><h2>{escape(group[:1].upper() + group[1:])}</h2>")
        if any("ns_per_event" in line for line in each):
            parts.append(place(figures, bars(each)))
            curved = curves(each)
            if curved is not None:
                parts.append(place(figures, curved))
        parts.append(details(each))
        parts.append("</section>")
    for title, points in groupby(found["points"], lambda point: point["title"]):
        mine = list(points)
        parts.append(f"<section><h2>{escape(title[:1].upper() + title[1:])}</h2>")
        if len(mine) > 1:
            parts.append(place(figures, of_points(mine)))
        parts.append(points_table(mine))
        parts.append("</section>")
    words = {
        "FACTS": facts(found),
        "PARTS": "\n".join(parts),
        "PEERS": peers(found),
        "FIGURES": json.dumps(figures).replace("</", "<\\/"),
        "PLOTLY": get_plotlyjs(),
    }
    text = TEMPLATE.read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def groups(lines: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The lines of each group, in the order of the groups."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        found.setdefault(line["workload"]["group"], []).append(line)
    return list(found.items())


def place(figures: list[dict[str, Any]], figure: dict[str, Any]) -> str:
    """Where a figure goes; it is drawn by the page."""
    figures.append(figure)
    height = figure["layout"]["height"]
    return f'<div class="figure" id="figure{len(figures) - 1}" style="height:{height}px"></div>'


def details(lines: list[dict[str, Any]]) -> str:
    """The figures of a group as tables."""
    rows = []
    for title, mine in groupby(lines, lambda line: line["workload"]["title"]):
        rows.append(f'<tr><th colspan="{len(COLUMNS)}" class="title">{escape(title)}</th></tr>')
        for line in mine:
            found = [escape(cell) for cell in cells(line)]
            if len(found) == 2:
                rows.append(
                    f'<tr><td>{found[0]}</td><td class="note" colspan="{len(COLUMNS) - 1}">'
                    f"{found[1]}</td></tr>"
                )
            else:
                kind = ' class="own"' if line["peer"] == "muntin" else ""
                rows.append(f"<tr{kind}><td>" + "</td><td>".join(found) + "</td></tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    return f"<details><summary>figures</summary>{grid(head, rows)}</details>"


def points_table(points: list[dict[str, Any]]) -> str:
    heads = [points[0]["axis"], *points[0]["values"]]
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    rows = []
    for point in points:
        at = point["at"]
        cells = [f"{at:,}" if isinstance(at, int | float) else at]
        cells += [f"{value:,.4g}" for value in point["values"].values()]
        rows.append("<tr><td>" + "</td><td>".join(map(escape, cells)) + "</td></tr>")
    return grid(head, rows)


def grid(head: str, rows: list[str]) -> str:
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>{"".join(rows)}</table></div>'


def facts(found: dict[str, Any]) -> str:
    """The machine, the size and the time of the run."""
    told = {**found["machine"], "size": found["size"], "took": f"{found['seconds']:.0f} s"}
    loads = [line["load"] for line in found["lines"]]
    if loads:
        told["load during the run"] = f"{min(loads):.1f} to {max(loads):.1f}"
    return "".join(
        f"<div><dt>{escape(k)}</dt><dd>{escape(str(v))}</dd></div>" for k, v in told.items()
    )


def peers(found: dict[str, Any]) -> str:
    """How each peer was configured, what it does beyond, and how absent ones are installed."""
    rows = []
    for peer in found["peers"].values():
        settings = "; ".join(f"{key}: {value}" for key, value in peer.get("settings", {}).items())
        cells = [f"{peer['title']} {peer.get('version', '')}", settings, peer.get("beyond", "")]
        rows.append("<tr><td>" + "</td><td>".join(map(escape, cells)) + "</td></tr>")
    for peer in found["absent"]:
        rows.append(
            f"<tr><td>{escape(peer['title'])}</td><td colspan='2'>not installed: "
            f"<code>{escape(peer['install'])}</code></td></tr>"
        )
    return "".join(rows)
