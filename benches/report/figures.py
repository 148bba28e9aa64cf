"""The figures of the page, as Plotly has them: traces and layouts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from math import floor, log10
from typing import Any

COLOURS = {
    "muntin": "#0d9488",
    "dict": "#94a3b8",
    "pandas": "#6366f1",
    "polars": "#2f80ed",
    "duckdb": "#d9a406",
    "datafusion": "#e2703a",
    "bytewax": "#c04fa8",
    "pathway": "#d64550",
    "flink": "#b8586b",
}
PERCENTILES = ("p50", "p99", "p99.9", "max")
LESS = "CPU ns an event (log scale; less is better)"
BAR, FRAME = 15, 110

Figure = dict[str, Any]


def bars(lines: list[dict[str, Any]]) -> Figure:
    """A group of workloads: a bar for each peer."""
    titles = list(dict.fromkeys(line["workload"]["title"] for line in lines))
    traces = []
    for peer, mine in by_peer(lines):
        values = {line["workload"]["title"]: line["ns_per_event"] for line in mine}
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": mine[0]["title"],
                "y": [broken(title) for title in titles],
                "x": [values.get(title) for title in titles],
                "text": [shown(values.get(title)) for title in titles],
                "textposition": "outside",
                "cliponaxis": False,
                "marker": {"color": COLOURS[peer]},
                "hovertemplate": "%{y}<br>%{x:,.0f} ns<extra>" + mine[0]["title"] + "</extra>",
            }
        )
    figures = [x for trace in traces for x in trace["x"] if x is not None]
    low, high = floor(log10(min(figures))), log10(max(figures)) + 0.15
    count = len(titles) * (len(traces) + 1)
    return {
        "data": traces,
        "layout": {
            "barmode": "group",
            "height": FRAME + BAR * count,
            "xaxis": {"type": "log", "title": {"text": LESS}, "dtick": 1, "range": [low, high]},
            "yaxis": {"autorange": "reversed", "ticksuffix": "  "},
            "legend": {"traceorder": "normal"},
        },
    }


def curves(lines: list[dict[str, Any]]) -> Figure | None:
    """A group over its axis: a line for each peer. None where nothing varies."""
    found = [line for line in lines if line["workload"]["axis"]]
    names = {line["workload"]["axis"][0] for line in found}
    places = {line["workload"]["axis"][1] for line in found}
    if len(names) != 1 or len(places) < 2:
        return None
    traces = []
    for peer, mine in by_peer(found):
        plain = [line for line in mine if not line["workload"]["only_changed"]]
        for many, words in ((plain, ""), ([x for x in mine if x not in plain], ", only changed")):
            points = sorted((line["workload"]["axis"][1], line["ns_per_event"]) for line in many)
            if points:
                traces.append(curve(mine[0]["title"] + words, points, COLOURS[peer], bool(words)))
    scale = "log" if min(places) > 0 and max(places) / min(places) > 8 else "linear"
    return over(traces, names.pop(), LESS, scale)


def of_points(points: list[dict[str, Any]]) -> Figure:
    """What muntin was measured at alone, over its axis: a line for each value."""
    if points[0]["group"] == "latency":
        return latencies(points)
    palette = list(COLOURS.values())
    traces = []
    for i, name in enumerate(points[0]["values"]):
        values = [(point["at"], point["values"][name]) for point in points]
        traces.append(curve(name, values, palette[i * 3 % len(palette)], False))
    log = points[0]["group"] in ("batches", "snapshots", "rules")
    return over(traces, points[0]["axis"], "log scale", "log" if log else "linear")


def latencies(points: list[dict[str, Any]]) -> Figure:
    """The percentiles at each rate."""
    traces = []
    for i, point in enumerate(points):
        values = [point["values"][f"{name}, ms"] for name in PERCENTILES]
        name = f"{point['at']:,} events a second"
        colour = list(COLOURS.values())[i * 3 % len(COLOURS)]
        traces.append(curve(name, list(zip(PERCENTILES, values, strict=True)), colour, False))
    return over(traces, "share of the events", "milliseconds (log scale)", "category")


def curve(name: str, points: list[tuple[Any, float]], colour: str, dashed: bool) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "line": {"color": colour, "width": 2, "dash": "dot" if dashed else "solid"},
        "marker": {"color": colour, "size": 7},
        "hovertemplate": "%{x}: %{y:,.4g}<extra>" + name + "</extra>",
    }


def over(traces: list[Figure], axis: str, title: str, scale: str) -> Figure:
    # a logarithmic axis cannot show 0, such as no rules at all
    if scale == "log":
        for trace in traces:
            kept = [(x, y) for x, y in zip(trace["x"], trace["y"], strict=True) if x > 0]
            trace["x"], trace["y"] = [x for x, _ in kept], [y for _, y in kept]
    x: Figure = {"title": {"text": axis}, "type": scale}
    if scale == "log":
        x["dtick"] = 1
    y = {"type": "log", "title": {"text": title}, "dtick": 1, "rangemode": "normal"}
    return {"data": traces, "layout": {"height": 400, "xaxis": x, "yaxis": y}}


def by_peer(lines: Iterable[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The measured lines of each peer, muntin first."""
    measured = [line for line in lines if "ns_per_event" in line]
    order = list(COLOURS)
    measured.sort(key=lambda line: order.index(line["peer"]))
    return [(peer, list(mine)) for peer, mine in groupby(measured, lambda line: line["peer"])]


def broken(title: str) -> str:
    """In two lines where it is long."""
    head, comma, tail = title.partition(", ")
    return f"{head}<br>{tail}" if comma else head


def shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
