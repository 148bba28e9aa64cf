"""One browser: what it has chosen to see, and what it was already sent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from starlette.datastructures import QueryParams

from muntin.monitor.dashboard import cells
from muntin.monitor.dashboard.history import Shape, by_key, numbers, of_keys, recent, seconds
from muntin.monitor.dashboard.lags import lags_json
from muntin.monitor.dashboard.view import View
from muntin.values.show import to_text

POINTS_MAX = 600
KEYS_MAX = 24
_CHOSEN_AT_FIRST = 6
_LISTED = 60
_TOP = 10
_LOOKED_AT = 200_000
_ALERTS_A_TICK = 100
_SLOWLY = 1.0

Key = tuple[str | None, ...]


class Visitor:
    """Makes the events of one stream; each contains what is new since the one before."""

    def __init__(self, view: View, query: QueryParams) -> None:
        """Start with everything new; the query has the browser's choices."""
        self._view = view
        self._output = query.get("output")
        self._measure = query.get("measure")
        self._asked = query.getlist("key")
        self._keys: list[Key] | None = None
        self._told_moment = -1
        self._told_rows = 0
        self._told_alerts = 0
        self._told_lags: Any = None
        self._told_samples = -1
        self._told_state: Any = None
        self._told_shapes: set[str] = set()
        self._told_scene = False
        self._told_notices: list[str] = []
        self._next_slow = 0.0

    def scene(self) -> bytes:
        """What does not change."""
        self._told_scene = self._view.scene is not None
        self._told_state = self._view.state
        return self._view.scene_json()

    def news(self) -> bytes | None:
        """What is new, None if nothing is."""
        view = self._view
        value: dict[str, Any] = {}
        if not self._told_scene and view.scene is not None:
            with self._part("scene"):
                value["scene"] = msgspec.Raw(self.scene())
        if view.state != self._told_state:
            value["state"] = self._told_state = view.state
        if view.moments != self._told_moment and view.moment is not None:
            self._told_moment = view.moments
            with self._part("numbers"):
                value["moment"] = _raw(view.rates.to_json(view.unseen))
        if view.alerts.came != self._told_alerts:
            with self._part("alerts"):
                value["alerts"] = _raw(self._alerts())
        slow = time.monotonic() >= self._next_slow
        if slow:
            self._next_slow = time.monotonic() + _SLOWLY
            if view.came() != self._told_samples:
                self._told_samples = view.came()
                with self._part("samples"):
                    value["samples"] = _raw(view.samples())
            if view.moment is not None and view.moment.lags is not self._told_lags:
                self._told_lags = view.moment.lags
                with self._part("sources"):
                    value["lags"] = _raw(lags_json(view.moment))
        with self._part("rows"):
            self._rows(value, slow)
        if self._told_notices != view.notices:
            self._told_notices = list(view.notices)
            value["notices"] = self._told_notices
        if not value:
            return None
        value["now"] = time.time()
        return msgspec.json.encode(value)

    @contextmanager
    def _part(self, word: str) -> Iterator[None]:
        """Make one part of an event: if it cannot be shown, the other parts still are."""
        try:
            yield
        except Exception as error:
            self._view.cannot_show(word, error)

    def _alerts(self) -> dict[str, Any]:
        alerts = self._view.alerts
        first = self._told_alerts == 0
        new = alerts.since(self._told_alerts)
        shown = new if first else new.slice(max(new.num_rows - _ALERTS_A_TICK, 0))
        self._told_alerts = alerts.came
        columns = self._view.shown_alerts(shown)
        for name in ("partition", "position"):
            columns.pop(name, None)
        return {"columns": columns}

    def _rows(self, value: dict[str, Any], slow: bool) -> None:
        view = self._view
        names = [out["name"] for out in view.scene.plan["outputs"]] if view.scene else []
        if slow:
            known = {name: shape for name in names if (shape := view.shape(name))}
            if known.keys() != self._told_shapes:
                self._told_shapes = set(known)
                value["shapes"] = _raw({name: _shape_json(s) for name, s in known.items()})
        if names and self._output not in names:
            self._output = next((name for name in names if view.shape(name)), None)
        shape = view.shape(self._output) if self._output else None
        if shape is None or self._output is None:
            return
        history = view.outputs[self._output]
        measure = chosen(shape, self._measure)
        came = history.came
        if measure is not None and shape.x is not None:
            with self._part(f'lines of "{self._output}"'):
                self._series(value, history, shape, measure)
        if slow and came:
            with self._part(f'rows of "{self._output}"'):
                value["top"] = _raw(self._top(history, shape, measure))
        self._told_rows = came

    def _series(self, value: dict[str, Any], history: Any, shape: Shape, measure: str) -> None:
        reset = self._keys is None
        if self._keys is None:
            self._keys = self._chosen(history, shape, measure)
            value["selection"] = _raw(
                {
                    "output": self._output,
                    "measure": measure,
                    "keys": [self._shown(shape, key) for key in self._keys],
                }
            )
        elif history.came == self._told_rows:
            return
        new = history.since(0 if reset else self._told_rows)
        if shape.by:
            new = of_keys(new, shape.by, self._keys)
        new = new.slice(max(new.num_rows - POINTS_MAX * max(len(self._keys), 1), 0))
        if new.num_rows or reset:
            value["series"] = _raw({"reset": reset, **self._points(new, shape, measure)})

    def _points(self, table: Any, shape: Shape, measure: str) -> dict[str, list[Any]]:
        if not table.num_rows:
            return {"k": [], "x": [], "y": []}
        index = {key: i for i, key in enumerate(self._keys or [])}
        if shape.by:
            keys = zip(*(to_text(table[name]).to_pylist() for name in shape.by), strict=True)
            which = pa.array([index.get(key) for key in keys], pa.int32())
        else:
            which = pa.array([0] * table.num_rows, pa.int32())
        points = pa.table(
            {
                "k": which,
                "x": seconds(table[shape.x]),
                "y": numbers(table[measure]),
            }
        )
        points = points.filter(pc.and_(points["k"].is_valid(), points["x"].is_valid()))
        return dict(points.to_pydict())

    def _chosen(self, history: Any, shape: Shape, measure: str) -> list[Key]:
        """The keys that the browser chose, or the top keys."""
        asked = [key for text in self._asked if (key := self._key(shape, text))]
        if asked or not shape.by:
            return asked[:KEYS_MAX] or [()]
        table = by_key(recent(history.last(_LOOKED_AT), shape), shape.by, measure)
        return keys_in(table.slice(0, _CHOSEN_AT_FIRST), len(shape.by))

    def _key(self, shape: Shape, text: str) -> Key | None:
        try:
            parts = json.loads(text)
            if not all(part is None or isinstance(part, str) for part in parts):
                return None
            pairs = zip(shape.by, parts, strict=True)
            return tuple(self._view.mask.original(name, part) for name, part in pairs)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def _shown(self, shape: Shape, key: Key) -> list[str | None]:
        return shown(self._view, shape, key)

    def _top(self, history: Any, shape: Shape, measure: str | None) -> dict[str, Any]:
        mask = self._view.mask
        latest = history.last(_TOP)
        answer: dict[str, Any] = {
            "latest": mask.columns(latest),
            "came": history.came,
        }
        if measure is None or not shape.by:
            return answer
        rows = recent(history.last(_LOOKED_AT), shape)
        grouped = by_key(rows, shape.by, measure)
        head = grouped.slice(0, _TOP)
        newest = pc.max(seconds(rows[shape.x])).as_py() if shape.x else None
        return {
            **answer,
            "keys": [self._shown(shape, key) for key in keys_in(head, len(shape.by))],
            "values": cells.columns(head.select(["value"]))["value"],
            "bars": numbers(head["value"]).to_pylist(),
            "rows": head["rows"].to_pylist(),
            "of": grouped.num_rows,
            "at": newest,
        }


def _raw(part: Any) -> msgspec.Raw:
    """A part as JSON, so that an error shows up at once."""
    return msgspec.Raw(msgspec.json.encode(part))


def keys_of(view: View, query: QueryParams) -> dict[str, Any]:
    """The keys of the newest rows that contain a text; masked columns are not searched."""
    name, search = query.get("output", ""), query.get("search", "")
    shape = view.shape(name)
    chosen_measure = None if shape is None else chosen(shape, query.get("measure"))
    if shape is None or not shape.by or chosen_measure is None:
        return {"keys": [], "values": [], "matching": 0}
    table = by_key(view.outputs[name].last(_LOOKED_AT), shape.by, chosen_measure)
    if search:
        found = pa.array([False] * table.num_rows)
        for i, column in enumerate(shape.by):
            if not view.mask.hides(column):
                part = pc.match_substring(to_text(table[f"key{i}"]), search, ignore_case=True)
                found = pc.or_(found, pc.fill_null(part, False))
        table = table.filter(found)
    head = table.slice(0, _LISTED)
    return {
        "keys": [shown(view, shape, key) for key in keys_in(head, len(shape.by))],
        "values": cells.columns(head.select(["value"]))["value"],
        "matching": table.num_rows,
    }


def chosen(shape: Shape, measure: str | None) -> str | None:
    """The chosen measure, or the first."""
    if measure in shape.measures:
        return measure
    return shape.measures[0] if shape.measures else None


def keys_in(table: Any, width: int) -> list[Key]:
    """The keys of the rows of `by_key`, as texts."""
    return list(zip(*(to_text(table[f"key{i}"]).to_pylist() for i in range(width)), strict=True))


def shown(view: View, shape: Shape, key: Key) -> list[str | None]:
    """A key as a browser may see it."""
    return [view.mask.text(name, part) for name, part in zip(shape.by, key, strict=True)]


def _shape_json(shape: Shape) -> dict[str, Any]:
    return {
        "by": shape.by,
        "x": shape.x,
        "measures": shape.measures,
        "shared": shape.shared,
        "columns": shape.columns,
    }
