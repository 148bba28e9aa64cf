"""Replays one busy day at a speed that a person can watch."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import muntin as mt
from muntin.commands.demo.keep import alerts_in
from muntin.commands.demo.live import paced
from muntin.commands.demo.pipeline import OUTPUTS

if TYPE_CHECKING:
    from muntin.monitor.dashboard.page import Page

SPEED = 300.0
"""How many times faster than recorded: a day takes almost five minutes."""

_EVERY = dt.timedelta(minutes=30)


class Ticker:
    """Prints what each half hour of the day brought, as its minutes close."""

    def __init__(self) -> None:
        """Start without rows."""
        self._until: dt.datetime | None = None
        self._events: Counter[str] = Counter()
        self._cents = 0

    def take(self, minutes: mt.Table) -> None:
        """Count rows of `per_minute`; they come in the order of their ends."""
        for row in minutes.to_dicts():
            if self._until is None or row["window_end"] > self._until:
                self._print()
                self._until = _next_half_hour(row["window_start"])
            self._events[row["kind"]] += row["events"]
            self._cents += row["revenue"] or 0

    def _print(self) -> None:
        if self._until is not None:
            seen = {kind.replace("_", " "): n for kind, n in sorted(self._events.items())}
            said = ", ".join(f"{kind} {count:,}" for kind, count in seen.items())
            print(f"{self._until:%H:%M} UTC  ${self._cents / 100:,.2f}  {said}")
        self._events.clear()
        self._cents = 0


def replay(
    day: Mapping[str, Any],
    speed: float = SPEED,
    *,
    out: Path | None = None,
    page: Page | None = None,
    url: str | None = None,
) -> mt.Report:
    """Play the day through the pipelines; alerts are printed, and added to the file of alerts.

    Args:
        day: the events of the day, by stream.
        speed: how many times faster than recorded.
        out, page, url: as in `play`.

    Raises:
        As `play`.
    """
    ticker = Ticker()
    minutes = [mt.sinks.Callback(ticker.take)]
    alerts: list[mt.Sink] = [mt.sinks.Console()]
    alerts.append(alerts_in(out or Path(), "append"))
    alerts += [] if url is None else [mt.sinks.Webhook(url)]
    outputs = [
        mt.output(name, each, rules=rules, sinks=minutes if name == "per_minute" else [])
        for name, (each, rules) in OUTPUTS.items()
        # at the end of a day, no store has been silent for a week
        if name != "simulated_silence"
    ]
    return mt.run(paced(day, speed), outputs, name="the busy day", alerts=alerts, dashboard=page)


def _next_half_hour(moment: dt.datetime) -> dt.datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + ((moment - midnight) // _EVERY + 1) * _EVERY
