"""Plants anomalies with known place and time in the simulated events; rules must find them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.commands.demo.numbers import draw

BOT = 900_001
"""The first number of invented households; those of real purchases are far below."""

_NUMBERS = 10**12
"""Planted events are numbered from here on, real lines from 0."""

_PAGE = 0
HALF_DAY = dt.timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Planted:
    """An anomaly, and the alert that must find it.

    Attributes:
        what: what happens there, in words.
        rule: the rule that must fire.
        key: the key of the alert: the place.
        start: when it begins.
        end: when it is over.
        store: the store whose page is viewed, whose till it is, or that falls silent.
    """

    what: str
    rule: str
    key: Mapping[str, int]
    start: dt.datetime
    end: dt.datetime
    store: int

    @property
    def place(self) -> str:
        """The place in words."""
        return ", ".join(f"{name} {value}" for name, value in self.key.items())

    def found_by(self, alerts: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """The first alert of its rule, at its place, whose window meets its time."""
        for alert in alerts:
            if alert["rule"] != self.rule or json.loads(alert["key"]) != self.key:
                continue
            if alert["window_start"] < self.end and alert["window_end"] > self.start:
                return alert
        return None


def planted(lines: Any) -> tuple[Planted, ...]:
    """The anomalies that go with these till lines: at the stores that sell most."""
    first, second, third = _busiest(lines, 3)
    busy = busy_day(lines["sold"])
    return (
        _bot(BOT, first, _at("2017-03-14T09:30")),
        _bot(BOT + 1, third, busy + dt.timedelta(hours=3)),
        _till(second, 2, _at("2017-05-23T18:40")),
        _till(first, 3, busy + dt.timedelta(hours=6)),
        Planted(
            "device events stop for nine days",
            "silent_store",
            {"store": first},
            _at("2017-07-10T00:00"),
            _at("2017-07-19T00:00"),
            first,
        ),
    )


def busy_day(sold: Any) -> dt.datetime:
    """The start of the 24 hours, from noon to noon in UTC, with most till lines.

    The shops stand where that is seven in the morning. Of days with as many lines, the first.
    """
    noon = pc.subtract(sold, pa.scalar(HALF_DAY))
    counts = pc.value_counts(pc.floor_temporal(noon, unit="day")).to_pylist()
    day: dt.datetime = min(counts, key=lambda each: (-each["counts"], each["values"]))["values"]
    return day.astimezone(dt.UTC) + HALF_DAY


def bot_views(anomalies: Iterable[Planted]) -> Any:
    """A bot's page views: one a second, another page each time."""
    tables = []
    for plant, numbers, at in _spread(anomalies, "bot", 1_000_000):
        columns = {
            "viewed": at,
            "household": _same(plant.key["household"], len(at)),
            "store": _same(plant.store, len(at)),
            "page": draw(numbers, _PAGE, 1_000_000),
            "number": numbers,
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def till_errors(anomalies: Iterable[Planted]) -> Any:
    """A till that fails every ten seconds."""
    tables = []
    for plant, numbers, at in _spread(anomalies, "device_errors", 10_000_000):
        columns = {
            "sent": at,
            "store": _same(plant.store, len(at)),
            "till": _same(plant.key["till"], len(at)),
            "number": numbers,
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def without_silenced(devices: Any, anomalies: Iterable[Planted]) -> Any:
    """The device events without those of a store that has fallen silent."""
    for plant in anomalies:
        if plant.rule == "silent_store":
            within = pc.and_(
                pc.greater_equal(devices["sent"], _micros(plant.start)),
                pc.less(devices["sent"], _micros(plant.end)),
            )
            silenced = pc.and_(pc.equal(devices["store"], plant.store), within)
            devices = devices.filter(pc.invert(silenced))
    return devices


def _bot(household: int, store: int, start: dt.datetime) -> Planted:
    end = start + dt.timedelta(minutes=15)
    what = f"a bot views 900 pages of store {store}"
    return Planted(what, "bot", {"household": household}, start, end, store)


def _till(store: int, till: int, start: dt.datetime) -> Planted:
    end = start + dt.timedelta(minutes=20)
    key = {"store": store, "till": till}
    return Planted("a till fails every ten seconds", "device_errors", key, start, end, store)


def _spread(
    anomalies: Iterable[Planted], rule: str, every: int
) -> Iterable[tuple[Planted, Any, Any]]:
    number = _NUMBERS
    for plant in anomalies:
        if plant.rule == rule:
            times = pa.array(range(_micros(plant.start), _micros(plant.end), every), pa.int64())
            yield plant, pa.array(range(number, number + len(times)), pa.int64()), times
            number += len(times)


def _busiest(lines: Any, count: int) -> list[int]:
    counts = pc.value_counts(lines["store"]).to_pylist()
    ranked = sorted(counts, key=lambda each: (-each["counts"], each["values"]))
    return [each["values"] for each in ranked[:count]]


def _same(value: int, rows: int) -> Any:
    return pa.repeat(pa.scalar(value, pa.int64()), rows)


def _at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def _micros(moment: dt.datetime) -> int:
    return round(moment.timestamp()) * 1_000_000
