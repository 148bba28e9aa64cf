"""Partitions that a source has later than others: while a run lasts, or when it resumes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.loop.quiet import QuietPartitions
from muntin.sources import Added, Delivery, Quiet

STREAM = mt.stream(
    time="at", out_of_order="0s", idle_after="5s", schema={"at": "timestamp[us, UTC]", "v": "i64"}
)
COUNTS = STREAM.tumbling("1m").agg(n=mt.count())
NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)


def rows(partition: int, minutes: Sequence[int], position: int = 0) -> Delivery:
    times = [NOON + dt.timedelta(minutes=each) for each in minutes]
    table = pa.table({"at": pa.array(times, pa.timestamp("us", "UTC")), "v": list(minutes)})
    return Delivery(table, {partition: position + len(minutes)}, partition, position)


class Played:
    """A source without an end that gives what it was made with, and then stops the run."""

    bounded, total = False, None

    def __init__(self, partitions: tuple[int, ...], *polled: Any, names: tuple[str, ...] = ()):
        self._partitions, self._polled, self._names = partitions, polled, names
        self.recalled: list[list[str]] = []
        self.run: Any = None

    def partitions(self) -> tuple[int, ...]:
        return self._partitions

    def identity(self) -> tuple[str, ...]:
        return ("played", *self._names)

    def recall(self, identity: Sequence[str]) -> None:
        self.recalled.append(list(identity))

    def open(self, schema: Any, positions: Any) -> Any:
        return PlayedReader(self, positions)


class PlayedReader:
    def __init__(self, source: Played, positions: Any) -> None:
        self.positions = dict(positions)
        self._left = iter(source._polled)

    def poll(self) -> Any:
        return next(self._left, None)

    def close(self) -> None:
        pass


def run(source: Played, path: Any, **options: Any) -> list[dict[str, Any]]:
    """The windows of a run that reads the source and then is told to end without firing."""
    seen: list[dict[str, Any]] = []
    sink = mt.sinks.Callback(lambda table: seen.extend(table.to_dicts()))
    mt.run(source, COUNTS, sinks=[sink], checkpoint=path, once=True, **options)
    return seen


def windows(seen: list[dict[str, Any]]) -> dict[int, int]:
    return {(row["window_start"] - NOON).seconds // 60: row["n"] for row in seen}


def test_rows_of_a_partition_that_is_added_while_a_run_lasts_count(tmp_path: Any) -> None:
    source = Played((0,), rows(0, [0, 2]), Added((1,)), rows(1, [2, 3]), rows(0, [4], 2))
    assert windows(run(source, tmp_path / "state")) == {0: 1, 2: 2}


def test_a_partition_that_is_added_holds_the_watermark_back(tmp_path: Any) -> None:
    source = Played((0,), rows(0, [0, 2]), Added((1,)), rows(0, [9], 2))
    assert windows(run(source, tmp_path / "state")) == {0: 1}


def test_a_run_resumes_with_partitions_added_before_and_since(tmp_path: Any) -> None:
    first = Played((0,), rows(0, [0, 2]), Added((1,)), rows(1, [2]))
    assert windows(run(first, tmp_path / "state")) == {0: 1}
    second = Played((0, 1, 2, 3), rows(2, [2, 4]), rows(3, [4]), rows(1, [4], 1), rows(0, [5], 2))
    assert windows(run(second, tmp_path / "state")) == {2: 3}
    assert first.recalled == [[]] and second.recalled == [["played"]]


def test_what_a_checkpoint_had_read_must_come_first(tmp_path: Any) -> None:
    run(Played((0,), rows(0, [0]), names=("a",)), tmp_path / "state")
    with pytest.raises(mt.SourceError, match="the source now has 'b' in its place"):
        run(Played((0,), names=("b", "a")), tmp_path / "state")
    run(Played((0,), names=("a", "b")), tmp_path / "state")


def test_a_source_that_ends_may_not_add_partitions() -> None:
    class Ending(Played):
        bounded = True

    ends = {"left": Ending((0,), Added((1,))), "right": Ending((0,))}
    both = mt.union(
        *(mt.stream(n, time="at", out_of_order="0s", schema={"at": "date"}) for n in ends)
    )
    with pytest.raises(mt.SourceError, match="only a source without an end may add partitions"):
        mt.run(ends, both)


def test_the_contract_of_sources_allows_partitions_to_be_added() -> None:
    class Endless(Played):
        def open(self, schema: Any, positions: Any) -> Any:
            left = [rows(0, [0, 1]), Added((1,)), rows(1, [0])]
            skip = (3 if positions.get(1) else 2 if positions.get(0) == 2 else 0) and len(positions)
            return EndlessReader(Played((0,), *left[{0: 0, 1: 1, 2: 3}[skip] :]), positions)

    class EndlessReader(PlayedReader):
        def poll(self) -> Any:
            return next(self._left, Quiet((0,)))

    mt.testing.check_source(lambda: Endless((0,)), schema=[("at", "timestamp[us, UTC]")])


def test_the_silence_of_a_partition_whose_server_is_gone_begins_anew() -> None:
    now = [0.0]
    op = mt.operator(COUNTS, partitions=(0, 1))
    quiet, (name,) = QuietPartitions(op, lambda: now[0]), op.inputs

    def verdicts(seconds: float) -> int:
        now[0] = seconds
        quiet.has_rows(name, 1)
        return len(quiet.has_none(name, 0))

    assert [verdicts(at) for at in (0, 4)] == [0, 0]
    quiet.is_lost(name, 0)
    assert [verdicts(at) for at in (60, 64, 65, 66)] == [0, 0, 1, 0]
    quiet.is_lost(name, 0)
    assert [verdicts(at) for at in (70, 75)] == [0, 1]


def test_time_does_not_pass_while_a_server_is_gone() -> None:
    """Where all partitions are idle the watermark moves with the clock, but not over an outage."""
    now = [0.0]
    op = mt.operator(COUNTS)
    op.push(rows(0, [0]).batch)
    quiet, (name,) = QuietPartitions(op, lambda: now[0]), op.inputs

    def watermark(seconds: float) -> float:
        now[0] = seconds
        quiet.has_none(name, 0)
        return (op.watermark or 0) / 1e6 - NOON.timestamp()

    assert [watermark(at) for at in (0, 5, 8)] == [0, 0, 3]
    quiet.is_lost(name, 0)
    assert [watermark(at) for at in (100, 105, 108)] == [3, 3, 6]


def test_what_is_added_while_a_run_lasts_is_in_the_identity_of_its_checkpoint(
    tmp_path: Any,
) -> None:
    class Growing(Played):
        def open(self, schema: Any, positions: Any) -> Any:
            reader, source = super().open(schema, positions), self

            class GrowingReader(PlayedReader):
                def poll(self) -> Any:
                    polled = reader.poll()
                    if isinstance(polled, Added):
                        source._names += ("b",)
                    return polled

            return GrowingReader(self, positions)

    run(Growing((0,), rows(0, [0]), Added((1,)), rows(1, [0]), names=("a",)), tmp_path / "state")
    again = Played((0, 1), names=("a", "b"))
    run(again, tmp_path / "state")
    assert again.recalled == [["played", "a", "b"]]
