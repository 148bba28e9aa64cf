"""Logs rows that move event time far ahead: the likeliest reason is a wrong clock."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from muntin.engine.feeds import Feed, Leap
from muntin.values.table import Table, table_of

_log = logging.getLogger("muntin.run")

_LOGGED_MAX = 10


class Leaps:
    """Logs the first leaps of a run."""

    def __init__(self) -> None:
        """None has been logged."""
        self._logged = 0

    def log(self, leaps: Sequence[Leap], feeds: Sequence[Feed]) -> None:
        """Log the leaps of one step with these feeds."""
        for leap in leaps[: max(0, _LOGGED_MAX - self._logged)]:
            self._logged += 1
            _log.warning("%s", leap_text(leap, feeds))
            if self._logged == _LOGGED_MAX:
                _log.warning(
                    "event time has leapt %s times; further leaps are not logged", _LOGGED_MAX
                )


def leap_text(leap: Leap, feeds: Sequence[Feed]) -> str:
    """A message about a leap, with the row and its position."""
    row = leap.row
    for feed in feeds:
        if feed.input != leap.input:
            continue
        batch: Any = feed.batch
        table = table_of(batch)
        if row >= len(table):
            row -= len(table)
            continue
        partition = _at(feed.partition, row, step=0)
        position = _at(feed.position, row, step=1)
        shown = Table([table.slice(row, 1)]).to_dicts()[0]
        hours = (leap.time - leap.before) / 3.6e9
        where = f'input "{leap.input}", partition {partition}'
        where += "" if position is None else f", position {position}"
        return (
            f"{where}: event time leaps by {hours:,.1f} h with the row {shown}; older rows are "
            "late from now on (max_future_skew= makes rows of a wrong clock invalid)"
        )
    return f'input "{leap.input}": event time leaps'


def _at(value: Any, row: int, *, step: int) -> Any:
    if value is None or isinstance(value, int):
        return None if value is None else value + row * step
    return pa.array(value)[row].as_py()
