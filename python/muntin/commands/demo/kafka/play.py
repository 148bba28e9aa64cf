"""Sends the demo's events to topics at a bounded rate, while another process works on them."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import muntin as mt
from muntin.commands.demo.data import load
from muntin.commands.demo.kafka.child import Child
from muntin.commands.demo.kafka.names import KEYS, Names
from muntin.commands.demo.kafka.topics import Results, Topics
from muntin.commands.demo.live import paced
from muntin.commands.demo.pipeline import inputs
from muntin.commands.demo.plant import Planted
from muntin.commands.demo.simulate import simulate

SPEED = 50_000.0
"""How many times faster than recorded: the year takes ten and a half minutes."""

_SETTLED_S = 5.0
_LONGEST_S = 300.0
_PAUSE_S = 0.2
_SHOWN = ("critical", "high")


Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was sent, and what a reader of committed records found.

    Attributes:
        sent: events sent, by stream.
        results: records found, by output, with the alerts as "alerts".
        twice: alerts that were found more than once.
        planted: the planted anomalies, and whether an alert found each.
        starts: how often the run was started.
    """

    sent: Mapping[str, int]
    results: Mapping[str, int]
    twice: int
    planted: tuple[tuple[Planted, bool], ...]
    starts: int

    @property
    def found_all(self) -> bool:
        """True if every planted anomaly was found, and nothing twice."""
        return not self.twice and all(found for _, found in self.planted)

    def to_json(self) -> dict[str, Any]:
        """The outcome as one object of plain values."""
        found = sum(found for _, found in self.planted)
        return {
            "sent": dict(self.sent),
            "results": dict(self.results),
            "alerts_twice": self.twice,
            "planted": {"found": found, "of": len(self.planted)},
            "starts": self.starts,
        }


def play(
    servers: str,
    *,
    sample: bool,
    speed: float,
    page: str | None,
    once: bool,
    keep: bool = False,
    quiet: bool = False,
) -> Outcome:
    """Make topics, start the run, send the events, and read its results back.

    Args:
        servers: the brokers.
        sample: take the sample that ships with muntin, not the whole year.
        speed: how many times faster than recorded the events are sent.
        page: the address of the run's page; None for no page.
        once: end when all events are worked off; otherwise Ctrl-C ends it.
        keep: leave the topics where they are.
        quiet: print nothing meanwhile.

    Raises:
        MissingExtra: confluent-kafka is not installed.
        SourceError, SinkError: the brokers cannot be reached, or refuse.
        MuntinError: the run has failed.
    """
    say: Say = _nothing if quiet else print
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="muntin-demo-")))
        names = Names.new(servers, str(folder / "state"))
        topics = Topics(names)
        if not keep:
            stack.callback(topics.remove)
        topics.make()
        say(f"topics at {servers}: {names.prefix}.purchases and others; results .per_minute, ...")
        events = simulate(load(sample=sample).table)
        child = Child(names, folder / "log", page)
        stack.callback(child.end)
        say(f"muntin run has process id {child.pid}; kill -9 it: nothing is lost, nothing twice")
        results = Results(names)
        stack.callback(results.close)
        watch = _Watch(child, results, say)
        report = _send(events.tables(), names, speed, watch)
        say("all events are sent")
        _work_off(topics, watch, once=once)
        child.end()
        watch.look(_SETTLED_S)
    alerts = results.alerts.values()
    planted = tuple((each, each.found_by(_timed(alerts)) is not None) for each in events.planted)
    twice = results.counts["alerts"] - len(results.alerts)
    return Outcome(report.sources, dict(results.counts), twice, planted, child.starts)


class _Watch:
    """Prints alerts as they are committed, and looks after the other process."""

    def __init__(self, child: Child, results: Results, say: Say) -> None:
        self._child = child
        self._results = results
        self.say = say

    def look(self, seconds: float) -> None:
        """Look until nothing has come for a moment, at most so long."""
        until = time.monotonic() + seconds
        while True:
            before = self._results.counts.total()
            for alert in self._results.read():
                if alert["severity"] in _SHOWN:
                    self.say(f"{alert['time'][:16]}  {alert['severity']}  {alert['message']}")
            if self._results.counts.total() == before or time.monotonic() > until:
                return

    def restarted(self) -> bool:
        """Whether the run was killed; it is started again."""
        if self._child.look():
            self.say(f"the run was killed; it starts again as process {self._child.pid}")
            return True
        return False


def _send(tables: Mapping[str, Any], names: Names, speed: float, watch: _Watch) -> mt.Report:
    """Send the events, in the order of their arrival; the line of the run shows how far it is."""
    given = inputs()
    streams = {"purchases": given.purchases, "simulated_views": given.views}
    streams["simulated_devices"] = given.devices
    outputs = [
        mt.output(
            name,
            streams[name],
            sinks=[mt.sinks.Kafka(names.topic(name), servers=names.servers, key=key)],
        )
        for name, key in KEYS.items()
    ]
    log = logging.getLogger("muntin.run")
    log.addFilter(_is_no_leap)
    running = mt.run(paced(tables, speed), outputs, name="sending", background=True)
    try:
        while running.alive:
            watch.look(_PAUSE_S)
            watch.restarted()
            time.sleep(_PAUSE_S)
    except BaseException:
        running.stop(_LONGEST_S)
        raise
    finally:
        log.removeFilter(_is_no_leap)
    return running.wait()


def _is_no_leap(record: logging.LogRecord) -> bool:
    """Closed shops let the event time leap every night."""
    return "leap" not in record.getMessage()


def _work_off(topics: Topics, watch: _Watch, *, once: bool) -> None:
    """Wait until all events are worked off, and with `once=False` until Ctrl-C."""
    until = time.monotonic() + _LONGEST_S
    settled: float | None = None
    said = False
    while True:
        watch.look(_PAUSE_S)
        if watch.restarted():
            settled = None
        now = time.monotonic()
        if settled is None and topics.unread() == 0:
            settled = now  # windows that wait for silent partitions close soon
        if settled is not None and now - settled > _SETTLED_S:
            if once:
                return
            if not said:
                said = True
                watch.say("all are worked off; Ctrl-C ends the run and removes the topics")
        if once and now > until:
            raise mt.SourceError(f"{topics.unread():,} events were not worked off in time")
        try:
            time.sleep(_PAUSE_S)
        except KeyboardInterrupt:
            return


def _timed(alerts: Any) -> list[dict[str, Any]]:
    """Alerts with times in place of texts."""

    def at(text: str | None) -> dt.datetime | None:
        return None if text is None else dt.datetime.fromisoformat(text)

    names = ("window_start", "window_end")
    return [{**alert, **{name: at(alert[name]) for name in names}} for alert in alerts]


def _nothing(_text: str) -> None:
    """Print nothing."""
