"""The loop: quiet partitions, stopping, checkpoints and going on from them, reports."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.loop.intake import as_they_come
from muntin.loop.loop import Loop
from muntin.loop.routes import Destinations, Routes
from muntin.loop.stages import Stages
from muntin.monitor.moment import Scene
from muntin.sources import Delivery, Quiet
from runs import EVENTS, WORDS, Script, rows_at


def play(pipeline: mt.Stream, source: Any, sinks: list[Any], clock: list[float]) -> mt.Report:
    op = mt.operator(pipeline, partitions=source.partitions())
    routes = Routes(Destinations({"rows": sinks}, (), (), ()), op.upsert_keys)
    scene = Scene("test", op.plan, op.facts, [], {}, {}, [], 0.0, None)
    return Loop(op, {"events": source}, routes, scene, clock=lambda: clock[0]).run()


@pytest.mark.parametrize(("idle_after", "early"), [("30s", True), (None, False)])
def test_a_quiet_partition_is_idle_after_a_while(idle_after: str | None, early: bool) -> None:
    events = mt.stream("events", time="at", out_of_order="0s", idle_after=idle_after, schema=WORDS)
    clock, fired = [0.0], []
    told = [
        Delivery(rows_at(0), {0: 1}, 0, 0),
        Delivery(rows_at(5), {1: 1}, 1, 0),
        Quiet((1,)),
        Delivery(rows_at(70), {0: 2}, 0, 1),
        Quiet((1,)),
    ]
    sink = mt.sinks.Callback(
        lambda rows: fired.extend((clock[0], row["n"]) for row in rows.to_dicts())
    )
    play(events.tumbling("1m").agg(n=mt.count()), Script(*told, clock=clock), [sink], clock)
    assert [n for _, n in fired] == [2, 1]
    assert (fired[0][0] == 100.0) is early


class Waiting(Script):
    """A script that has waited for all but five seconds of each poll."""

    waited = 0.0

    def poll(self) -> Any:
        self.waited += self.each - 5.0
        return super().poll()


def test_waiting_for_rows_is_not_counted_as_reading() -> None:
    clock = [0.0]
    source = Waiting(Delivery(rows_at(0), {0: 1}, 0, 0), Quiet((0, 1)), clock=clock)
    stages = Stages(lambda: clock[0])
    rounds = list(stages.timed(as_they_come({"events": source.open(None, {})})))
    assert (clock[0], len(rounds), stages.seconds["source"]) == (60.0, 3, 10.0)


@pytest.mark.parametrize("kind", ["lines", "rows"])
def test_a_live_source_says_how_long_it_has_waited(tmp_path: Path, kind: str) -> None:
    path, more = tmp_path / "rows.jsonl", threading.Event()
    path.touch()
    rows = mt.sources.Rows(iter(more.wait, True), live=True)
    source = mt.sources.JsonLines(path, follow=True) if kind == "lines" else rows
    reader = source.open([("n", "i64")], {})
    with contextlib.closing(reader):
        start = time.monotonic()
        assert isinstance(reader.poll(), Quiet)
        passed = time.monotonic() - start
        more.set()
        assert 0 < reader.waited <= passed


def test_windows_close_on_a_stream_that_has_fallen_silent() -> None:
    events = mt.stream("events", time="at", out_of_order="0s", idle_after="30s", schema=WORDS)
    clock, fired = [0.0], []
    told = [
        Delivery(rows_at(0, 50), {0: 2}, 0, 0),
        *[Quiet((0, 1))] * 8,
        Delivery(rows_at(500), {0: 3}, 0, 2),
    ]
    sink = mt.sinks.Callback(lambda rows: fired.append((clock[0], len(rows))))
    source = Script(*told, clock=clock, each=10.0)
    play(events.tumbling("1m").agg(n=mt.count()), source, [sink], clock)
    # quiet at 20 s, idle at 50 s with the watermark at 0:50, which is at 1:00 ten seconds later
    assert fired == [(60.0, 1), (110.0, 1)]


ENDLESS = """
import sys, time, threading
import muntin as mt
sys.path.insert(0, {tests!r})
from runs import MINUTES, rows_at
from muntin.sources import Delivery

class Endless:
    bounded, total = False, None
    def identity(self): return ("endless",)
    def partitions(self): return (0,)
    def open(self, schema, positions):
        self.at = positions.get(0, 0)
        print("open", flush=True)
        return self
    def poll(self):
        time.sleep(0.005)
        self.at += 1
        return Delivery(rows_at(self.at), {{0: self.at}}, 0, self.at - 1)
    def close(self): print("closed", flush=True)

def slow(rows):
    print("fired", flush=True)
    time.sleep({sleep})

report = mt.run(Endless(), MINUTES, sinks=[mt.sinks.Callback(slow)], checkpoint={checkpoint!r})
print("stopped" if report.stopped else "ended", report.rows, report.outputs["rows"], flush=True)
"""


def endless(tmp_path: Path, sleep: float, checkpoint: bool) -> subprocess.Popen[str]:
    place = str(tmp_path / "state") if checkpoint else None
    program = ENDLESS.format(tests=str(Path(__file__).parent), sleep=sleep, checkpoint=place)
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_between_two_steps(tmp_path: Path, number: signal.Signals) -> None:
    process = endless(tmp_path, 0.0, checkpoint=False)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["open\n", "fired\n"]
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    *fired, closed, last = out.splitlines()
    word, rows, given = last.split()
    assert (closed, word) == ("closed", "stopped")
    # nothing fires that is not complete: a window of a minute for every 60 rows behind the bound
    assert int(given) == 1 + len(fired) == (int(rows) - 5) // 60


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_stopped_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    before = 0
    for _ in range(2):
        process = endless(tmp_path, 0.0, checkpoint=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        rows = int(out.splitlines()[-1].split()[1])
        assert rows > before
        before = rows


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_second_signal_ends_a_run_at_once(tmp_path: Path) -> None:
    process = endless(tmp_path, 60.0, checkpoint=False)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["open\n", "fired\n"]
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err


@pytest.mark.slow
def test_a_run_in_the_background_tells_how_it_stands_and_stops() -> None:
    told = [Delivery(rows_at(s), {0: s + 1}, 0, s) for s in range(100_000)]
    running = mt.run(Script(*told), EVENTS.filter("v > 0"), background=True)
    while running.moment is None or not running.moment.sources["events"]:
        time.sleep(0.01)
    assert running.alive
    assert "rows in" in repr(running)
    assert "rows in" in running._repr_html_()
    report = running.stop()
    assert report.stopped
    assert not running.alive
    assert 0 < report.rows < len(told)
    assert "<table>" in running._repr_html_()
    assert mt.run(Script(rows_only := told[0]), EVENTS, background=True).wait().rows == 1
    assert rows_only is told[0]


def test_a_run_in_the_background_raises_what_ended_it() -> None:
    def broken(rows: mt.Table) -> None:
        raise RuntimeError("the sink broke")

    source = Script(Delivery(rows_at(1), {0: 1}, 0, 0))
    running = mt.run(source, EVENTS, sinks=[mt.sinks.Callback(broken)], background=True)
    with pytest.raises(RuntimeError, match="the sink broke"):
        running.wait()
    assert "failed: the sink broke" in repr(running)


class Flood:
    """A source that makes rows as fast as it is asked, and counts what has been taken."""

    bounded, total = True, None

    def __init__(self, batches: int) -> None:
        self.batches, self.polls = batches, 0

    def identity(self) -> tuple[str, ...]:
        return ("flood",)

    def partitions(self) -> tuple[int, ...]:
        return (0,)

    def open(self, schema: Any, positions: Any) -> Flood:
        return self

    def poll(self) -> Delivery | None:
        if self.polls == self.batches:
            return None
        self.polls += 1
        first = self.polls * 20_000
        ids = pa.array(range(first, first + 20_000), pa.int64())
        keys = pa.array([str(i % 100) for i in range(20_000)])
        at = ids.cast(pa.timestamp("ms", "UTC"))
        return Delivery(pa.table({"at": at, "k": keys, "v": ids}), {0: first}, 0, first)

    def close(self) -> None:
        pass


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_slow_sink_slows_the_source_and_memory_stays_flat() -> None:
    source, ahead, memory = Flood(60), [], []

    def slow(rows: mt.Table) -> None:
        ahead.append(source.polls - len(ahead))
        memory.append(resident())
        time.sleep(0.005)

    mt.run(source, EVENTS, sinks=[mt.sinks.Callback(slow)])
    assert ahead == [1] * 60
    batch = 20_000 * 40
    assert max(memory[10:]) - memory[10] < 10 * batch
