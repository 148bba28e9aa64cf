"""Simulates events around the real purchases: page views and messages of checkout devices.

Every event comes from a till line and from numbers drawn by its position, so the same lines give
the same events everywhere. All computation is on columns, never on rows. In computations a time is
`int64` microseconds.
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.commands.demo.numbers import draw
from muntin.commands.demo.plant import (
    Planted,
    bot_views,
    busy_day,
    planted,
    till_errors,
    without_silenced,
)

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE

ON_TIME = 8 * SECOND
"""The bound on disorder: rows within it are on time."""

LATEST = 600 * SECOND
"""The longest delay of the one row in a thousand that comes later."""

TILLS = 4
KINDS = ("simulated_scan", "simulated_retry", "simulated_error")
_TIME = pa.timestamp("us", "UTC")


class _Draw(enum.IntEnum):
    """What a number is drawn for; the values must stay, or the events change."""

    LATE = 1
    SOON = 2
    DELAY = 3
    VIEWED = 10
    LEAD = 11
    PACE = 12
    BROWSED_DAYS = 13
    TILL = 20
    SCANNED = 21
    RETRIED = 22
    FAILED = 23
    WAITED = 24


@dataclass(frozen=True, slots=True)
class Events:
    """Three streams, each in the order of arrival, and what is planted in the simulated two.

    Attributes:
        purchases: the real till lines; only `arrived` is simulated.
        views: simulated page views.
        devices: simulated events of till devices.
        planted: the anomalies.
    """

    purchases: Any
    views: Any
    devices: Any
    planted: tuple[Planted, ...]

    def tables(self) -> dict[str, Any]:
        """The streams by name."""
        return {
            "purchases": self.purchases,
            "simulated_views": self.views,
            "simulated_devices": self.devices,
        }


def simulate(lines: Any) -> Events:
    """The events that go with till lines: about 17 simulated ones for each ten lines.

    Args:
        lines: a `pyarrow.Table` with the columns of `muntin.commands.demo.data.SCHEMA`.
    """
    numbered = lines.append_column("number", pa.array(range(len(lines)), pa.int64()))
    numbered = numbered.set_column(0, "sold", lines["sold"].cast(pa.int64()))
    anomalies = planted(lines)
    views = pa.concat_tables([_views(numbered), bot_views(anomalies)])
    return Events(
        _arriving(numbered, "sold", 0),
        _arriving(views, "viewed", 1),
        _arriving(_devices(numbered, anomalies), "sent", 2),
        anomalies,
    )


def one_day(events: Events) -> dict[str, Any]:
    """What arrived in the day with most till lines, by stream."""
    start = busy_day(events.purchases["sold"])
    end = start + dt.timedelta(days=1)

    def of_the_day(table: Any) -> Any:
        arrived = table["arrived"]
        within = pc.and_(pc.greater_equal(arrived, start), pc.less(arrived, end))
        return table.filter(within)

    return {name: of_the_day(table) for name, table in events.tables().items()}


def _views(lines: Any) -> Any:
    """Four lines in ten were looked at before the basket, three more on another day."""
    viewed = draw(lines["number"], _Draw.VIEWED, 10)
    bought = lines.filter(pc.less(viewed, 4))
    lead = pc.add(draw(bought["basket"], _Draw.LEAD, 40 * MINUTE), MINUTE)
    before = pc.add(lead, draw(bought["number"], _Draw.PACE, 6 * MINUTE))
    only_looked = lines.filter(pc.and_(pc.greater_equal(viewed, 4), pc.less(viewed, 7)))
    # the lines of a basket fall into three visits
    visit = pc.add(pc.multiply(only_looked["basket"], 3), _remainder(only_looked["number"], 3))
    days = pc.multiply(pc.add(draw(visit, _Draw.BROWSED_DAYS, 20), 1), DAY)
    away = pc.add(days, draw(only_looked["number"], _Draw.PACE, 20 * MINUTE))
    views = pa.concat_tables([_view(bought, before), _view(only_looked, away)])
    return views.filter(pc.greater_equal(views["viewed"], pc.min(lines["sold"])))


def _view(lines: Any, before: Any) -> Any:
    names = ["viewed", "household", "store", "page", "number"]
    viewed = pc.subtract(lines["sold"], before)
    columns = [lines["household"], lines["store"], lines["product"], lines["number"]]
    return pa.table([viewed, *columns], names=names)


def _devices(lines: Any, anomalies: tuple[Planted, ...]) -> Any:
    """Each line is scanned before it is paid; a few payments are tried again, a few tills fail."""
    number = lines["number"]
    scans = _device(lines, pc.negate(draw(number, _Draw.SCANNED, 2 * MINUTE)), "simulated_scan")
    retried = lines.filter(pc.equal(draw(number, _Draw.RETRIED, 100), 0))
    retries = _device(
        retried, draw(retried["number"], _Draw.WAITED, 30 * SECOND), "simulated_retry"
    )
    failed = lines.filter(pc.equal(draw(number, _Draw.FAILED, 250), 0))
    errors = _device(failed, draw(failed["number"], _Draw.WAITED, MINUTE), "simulated_error")
    devices = without_silenced(pa.concat_tables([scans, retries, errors]), anomalies)
    failing = _kinds(till_errors(anomalies), "simulated_error")
    return pa.concat_tables([devices, failing]).unify_dictionaries()


def _device(lines: Any, after: Any, kind: str) -> Any:
    columns = {
        "sent": pc.add(lines["sold"], after),
        "store": lines["store"],
        "till": pc.add(draw(lines["basket"], _Draw.TILL, TILLS), 1),
        "number": lines["number"],
    }
    return _kinds(pa.table(columns), kind)


def _kinds(devices: Any, kind: str) -> Any:
    code = pa.repeat(pa.scalar(KINDS.index(kind), pa.int8()), len(devices))
    column = pa.DictionaryArray.from_arrays(code, pa.array(KINDS))
    return devices.add_column(devices.column_names.index("number"), "kind", column)


def _arriving(events: Any, time: str, stream: int) -> Any:
    """The events with `arrived`, in that order; their numbers are gone."""
    # a line's purchase, view and scan must not share their delays
    ids = pc.add(pc.multiply(events["number"], 3), stream)
    soon = draw(ids, _Draw.SOON, ON_TIME + 1)
    late = pc.add(draw(ids, _Draw.DELAY, LATEST - ON_TIME), ON_TIME + 1)
    delay = pc.if_else(pc.equal(draw(ids, _Draw.LATE, 1000), 0), late, soon)
    arrived = pc.add(events[time], delay)
    events = events.append_column("arrived", arrived).drop_columns(["number"])
    events = events.take(pc.sort_indices(arrived))
    for name in (time, "arrived"):
        place = events.column_names.index(name)
        events = events.set_column(place, name, events[name].cast(_TIME))
    return events.combine_chunks()


def _remainder(values: Any, by: int) -> Any:
    return pc.subtract(values, pc.multiply(pc.divide(values, by), by))
