"""The page's data about a run; only the server's thread uses it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from muntin.engine.result import Result
from muntin.monitor.dashboard.cells import Cell, columns
from muntin.monitor.dashboard.history import History, Shape, is_number
from muntin.monitor.dashboard.inbox import Inbox
from muntin.monitor.dashboard.mask import HIDDEN, Mask
from muntin.monitor.dashboard.options import Dashboard
from muntin.monitor.dashboard.rates import Rates
from muntin.monitor.moment import Moment, Scene
from muntin.sources import Undecodable

_log = logging.getLogger("muntin.dashboard")

ALERTS_MAX = 1_000
_NOTICES_MAX = 20
_NOTICE_MAX = 300
_SAMPLES_MAX = 100
_WORDS = {"text", "detail"}
_NO_MEASURE = {"revision", "window_start", "window_end", "last_event_time"}


class View:
    """The run's description, its newest status, and the newest rows of everything."""

    def __init__(self, inbox: Inbox, options: Dashboard) -> None:
        """Start empty."""
        self._inbox = inbox
        self._limit = options.history
        self.mask = Mask(options.mask)
        self._scene: Scene | None = None
        self.ended: tuple[str, BaseException | None] | None = None
        self.notices: list[str] = []
        self._failed: set[tuple[str, type[Exception]]] = set()
        self._ended_shown: tuple[str, BaseException | None] | None = None
        self.rates = Rates()
        self.moment: Moment | None = None
        self.moments = 0
        self.outputs: dict[str, History] = {}
        self.shapes: dict[str, Shape] = {}
        self.alerts = History(ALERTS_MAX)
        self.late: dict[str, History] = {}
        self.invalid: dict[str, History] = {}
        self.undecodable: deque[tuple[str, Undecodable]] = deque(maxlen=_SAMPLES_MAX)

    @property
    def scene(self) -> Scene | None:
        """What the run consists of; None before it begins."""
        return self._scene

    @scene.setter
    def scene(self, scene: Scene) -> None:
        # show nothing before it is known which columns are masked
        self.mask.see(scene.plan)
        self._scene = scene

    @property
    def state(self) -> tuple[str, str | None]:
        """`waiting`, `running`, `ended` or `failed`, and why it failed."""
        if self._ended_shown is not None:
            state, error = self._ended_shown
            if error is None:
                return state, None
            return state, HIDDEN if self.mask else f"{type(error).__name__}: {error}"
        return ("waiting" if self.scene is None else "running"), None

    @property
    def unseen(self) -> int:
        """Rows of outputs that came too fast to be read."""
        return self._inbox.unseen

    def cannot_show(self, what: str, error: Exception) -> None:
        """Note that something cannot be shown, and log it once."""
        why = HIDDEN if self.mask else f"{type(error).__name__}: {error}"
        notice = f"{what} cannot be shown: {why}"[:_NOTICE_MAX]
        kind = (what, type(error))
        if kind not in self._failed and len(self._failed) < _NOTICES_MAX:
            self._failed.add(kind)
            self.notices.append(notice)
            _log.error("dashboard: %s", notice, exc_info=None if self.mask else error)

    def take(self) -> None:
        """Read what the loop has sent since the last read."""
        # the loop sends the end after the last rows, so read the end first
        ended = self.ended
        for step in self._inbox.take():
            try:
                self._keep(*step[1:])
            except Exception as error:
                self.cannot_show("rows of a step", error)
        moment = self._inbox.moment
        if moment is not None and moment is not self.moment:
            self.moment = moment
            self.moments += 1
            self.rates.add(moment)
        self._ended_shown = ended

    def _keep(self, result: Result, undecodable: Sequence[tuple[str, Undecodable]]) -> None:
        for name, table in result.outputs.items():
            self.outputs.setdefault(name, History(self._limit)).add(table)
        self.alerts.add(result.alerts)
        for kept, tables in ((self.late, result.late), (self.invalid, result.invalid)):
            for name, table in tables.items():
                kept.setdefault(name, History(_SAMPLES_MAX)).add(table)
        self.undecodable.extend(undecodable)

    def shape(self, name: str) -> Shape | None:
        """How the rows of an output can be drawn; None before its first row."""
        if name not in self.shapes:
            history, scene = self.outputs.get(name), self.scene
            if history is None or scene is None or not history.came:
                return None
            self.shapes[name] = shape_of(history.last(1).schema, scene, name, self.mask)
        return self.shapes[name]

    def shown_alerts(self, table: Any) -> dict[str, list[Cell]]:
        """Alerts by columns, with masked values replaced."""
        outputs = self.scene.plan["outputs"] if self.scene is not None else []
        messages = {
            (out["name"], rule["name"]): rule.get("message", "")
            for out in outputs
            for rule in out["rules"]
        }
        schemas = {name: history.last(1).schema for name, history in self.outputs.items()}
        kinds = {
            name: dict(zip(schema.names, schema.types, strict=True))
            for name, schema in schemas.items()
        }
        return self.mask.alerts(columns(table), messages, kinds)

    def samples(self) -> dict[str, Any]:
        """The newest late and invalid rows by input, and lines that could not be decoded."""
        return {
            "late": self._rows(self.late),
            "invalid": self._rows(self.invalid),
            "undecodable": [
                [name, self.mask.path(one.file or ""), one.line, one.position,
                 HIDDEN if self.mask else one.text[:500],
                 HIDDEN if self.mask else one.detail[:500]]
                for name, one in list(self.undecodable)[-20:]
            ],
        }  # fmt: skip

    def came(self) -> int:
        """A number that grows with every late or invalid record."""
        kept = (*self.late.values(), *self.invalid.values())
        return sum(h.came for h in kept) + len(self.undecodable)

    def _rows(self, kept: Mapping[str, History]) -> dict[str, Any]:
        return {
            name: self._without_words(self.mask.columns(history.last(20)))
            for name, history in kept.items()
            if history.came
        }

    def _without_words(self, table: dict[str, list[Cell]]) -> dict[str, list[Cell]]:
        """Hide the text and the error of a record: both may contain masked values."""
        if not self.mask:
            return table
        for name in _WORDS & table.keys():
            table[name] = [None if each is None else HIDDEN for each in table[name]]
        return table

    def scene_json(self) -> bytes:
        """What does not change during a run."""
        scene = self.scene
        if scene is None:
            return msgspec.json.encode({"now": time.time(), "state": self.state})
        plan = scene.plan
        value = {
            "now": time.time(),
            "state": self.state,
            "name": scene.name,
            "started": scene.started,
            "total": scene.total,
            "every": scene.every,
            "guarantee": scene.guarantee,
            "inputs": [
                [one["name"], self.mask.path(scene.sources.get(one["name"], ""))]
                for one in plan["inputs"]
            ],
            "nodes": [
                {
                    "op": node["op"],
                    "from": parents(node),
                    "input": node.get("input"),
                    "title": scene.titles[i] if i < len(scene.titles) else node["op"],
                }
                for i, node in enumerate(plan["nodes"])
            ],
            "outputs": [
                {
                    "name": out["name"],
                    "node": out["node"],
                    "sinks": list(scene.sinks.get(out["name"], ())),
                    "rules": [[r["name"], r.get("severity", "")] for r in out["rules"]],
                }
                for out in plan["outputs"]
            ],
            "alerts": list(scene.alerts),
            "masked": bool(self.mask),
        }
        return msgspec.json.encode(value)


def parents(node: Mapping[str, Any]) -> list[int]:
    """The nodes before a node of a plan."""
    above = node.get("from", [])
    return [above] if isinstance(above, int) else list(above)


def shape_of(schema: Any, scene: Scene, name: str, mask: Mask) -> Shape:
    """How rows with a schema can be drawn, according to the output's node of the plan.

    A masked column may be a key, shown as hashes, but is not drawn.
    """
    at = next(out["node"] for out in scene.plan["outputs"] if out["name"] == name)
    fact = scene.facts[at]
    key: Sequence[str] = next((key for key in fact["keys"] if key), ())
    by = tuple(column for column in key if column in schema.names)
    shared = fact["shared_ends"] and "window_end" in schema.names
    taken = {*by, *_NO_MEASURE}
    plain = [f for f in schema if f.name not in taken and not mask.hides(f.name)]
    numeric = [f.name for f in plain if is_number(f.type)]
    made = _features(scene.plan["nodes"], at)
    measures = tuple(sorted(numeric, key=lambda column: column not in made))
    return Shape(by, _time(schema, scene.plan, mask), measures, shared, tuple(schema.names))


def _features(nodes: Sequence[Mapping[str, Any]], at: int) -> set[str]:
    """The columns that the nearest verb with aggregates adds."""
    node = nodes[at]
    while "aggregates" not in node:
        above = parents(node)
        if not above:
            return set()
        node = nodes[above[0]]
    return {each["name"] for each in node.get("columns", node["aggregates"])}


def _time(schema: Any, plan: Mapping[str, Any], mask: Mask) -> str | None:
    columns = ["window_end", *(one["time"].get("col") for one in plan["inputs"])]
    for name in (*columns, *schema.names):
        if name not in schema.names or mask.hides(name):
            continue
        if pa.types.is_timestamp(schema.field(name).type):
            return str(name)
    return None
