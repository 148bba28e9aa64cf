"""Replay in time: when rows are handed over, never which."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.sources import Arrow, Delivery, Pace, Quiet
from muntin.sources.deliveries import pace

SECOND = 1_000_000


class Watch:
    """A clock that moves by waiting alone."""

    def __init__(self) -> None:
        self.time = 100.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def wait(self, stop: Any, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds


def rows(*seconds: float | None) -> pa.Table:
    times = [None if s is None else round(s * SECOND) for s in seconds]
    return pa.table({"at": pa.array(times, pa.timestamp("us", "UTC")), "n": range(len(times))})


def polled(reader: Any) -> Any:
    found = reader.poll()
    return pa.table(found.batch)["n"].to_pylist() if isinstance(found, Delivery) else found


def test_rows_come_when_they_are_due_and_in_order() -> None:
    clock = Watch()
    source = Arrow(rows(10, 10.5, 12, 11, 16), speed=Pace(10, by="at", clock=clock))
    assert (source.bounded, source.total) == (True, 5)
    reader = source.open(None, {})
    found: list[tuple[int, Any]] = []
    while (came := polled(reader)) is not None:
        found.append((round(1000 * (clock.time - 100)), came))
    assert [(at, came) for at, came in found if not isinstance(came, Quiet)] == [
        (0, [0]),
        (50, [1]),
        (200, [2, 3]),
        (600, [4]),
    ]
    assert {came for _, came in found if isinstance(came, Quiet)} == {Quiet((0,))}
    assert max(clock.waits) <= pace.TICK + 1e-9


def test_what_is_overdue_comes_without_a_wait() -> None:
    clock = Watch()
    reader = Arrow(rows(0, 1, 2, 3), batch_rows=1, speed=Pace(1, by="at", clock=clock)).open(
        None, {}
    )
    assert polled(reader) == [0]
    clock.time += 60
    assert [polled(reader) for _ in range(4)] == [[1], [2], [3], None]
    assert clock.waits == []


def test_sources_that_share_a_pace_start_with_the_earliest_row() -> None:
    clock = Watch()
    shared = Pace(1, by="at", clock=clock)
    late, early = (Arrow(rows(start), speed=shared).open(None, {}) for start in (0.2, 0))
    assert polled(late) == Quiet((0,))
    assert polled(early) == [0]
    while isinstance(came := polled(late), Quiet):
        pass
    assert came == [0]
    assert clock.time == pytest.approx(100.2)
    late.close()
    early.close()
    again = Arrow(rows(7), speed=shared).open(None, {})
    assert polled(again) == [0]


def test_a_run_goes_on_at_once_where_it_was() -> None:
    clock = Watch()
    source = Arrow(rows(0, 100, 101), speed=Pace(1, by="at", clock=clock))
    assert polled(source.open(None, {0: 1})) == [1]
    assert clock.waits == []


def test_rows_without_a_time_follow_those_before_them() -> None:
    clock = Watch()
    table = rows(None, 5, None)
    reader = Arrow(table, speed=Pace(1, by="at", clock=clock)).open(None, {})
    assert polled(reader) is not None
    assert Arrow(rows(None), arrival="at", speed=3.5).open(None, {}).poll() is not None


def test_close_ends_a_wait_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "TICK", 60.0)
    reader = Arrow(rows(0, 1e6), arrival="at", speed=1).open(None, {})
    assert polled(reader) == [0]
    came: list[Any] = []
    thread = threading.Thread(target=lambda: came.append(reader.poll()))
    thread.start()
    reader.close()
    thread.join(30)
    assert not thread.is_alive()
    assert came == [None]


def test_a_pace_needs_a_speed_and_a_time() -> None:
    for speed in (0, -1, float("nan"), True, "60"):
        with pytest.raises(mt.SourceError, match="speed must be a number above 0"):
            Pace(speed)  # type: ignore[arg-type]
    with pytest.raises(mt.SourceError, match="Arrow: speed= needs the time of each row"):
        Arrow(rows(0), speed=60)
    with pytest.raises(mt.SourceError, match='unknown column "when"'):
        Arrow(rows(0), speed=Pace(60, by="when")).open(None, {}).poll()


def test_a_replay_does_not_wait_for_a_source_whose_rows_are_far_away() -> None:
    from muntin.loop.intake import merged

    clock = Watch()
    shared = Pace(10, clock=clock)
    far = Arrow(rows(0, 10_000), arrival="at", speed=shared).open(None, {})
    near = Arrow(rows(0.5, 5, 20), arrival="at", speed=shared).open(None, {})
    came: list[tuple[float, int]] = []
    for taken in merged({"far": far, "near": near}, lambda name, table: None):
        for feed in taken.feeds:
            table: Any = feed.batch
            came += [(clock.time - 100, n) for n in table["n"].to_pylist() if feed.input == "near"]
        if clock.time > 110:
            break
    # ten times as fast, and a few ticks late at most
    assert [n for _, n in came] == [0, 1, 2]
    assert all(
        at - due <= 5 * pace.TICK for (at, _), due in zip(came, (0.05, 0.5, 2.0), strict=True)
    )
