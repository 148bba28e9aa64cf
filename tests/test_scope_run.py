"""A run over a source that declares its partitions: each has a state and a watermark of its own."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.sources import Delivery

STREAM = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]", "k": "str"})
BY_KEY = STREAM.tumbling("1m", by="k").agg(n=mt.count())
NO_KEY = STREAM.tumbling("1m").agg(n=mt.count())
NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)


class Played:
    """A source of two partitions that says how they were chosen; every row is a delivery."""

    bounded, total = True, None

    def __init__(self, rows: Sequence[tuple[int, int, str]], by: Any = ("k",)) -> None:
        """Rows of (partition, minute, key)."""
        self.rows, self.partitioned_by = rows, by

    def partitions(self) -> tuple[int, ...]:
        return (0, 1)

    def identity(self) -> tuple[str, ...]:
        return ("played",)

    def open(self, schema: Any, positions: Any) -> Any:
        return PlayedReader(self.rows, dict(positions))


class PlayedReader:
    def __init__(self, rows: Sequence[tuple[int, int, str]], positions: dict[int, int]) -> None:
        at, self.left = {0: 0, 1: 0}, []
        for partition, minute, key in rows:
            if at[partition] >= positions.get(partition, 0):
                time = pa.array([NOON + dt.timedelta(minutes=minute)], pa.timestamp("us", "UTC"))
                table = pa.table({"at": time, "k": [key]})
                resume = {partition: at[partition] + 1}
                self.left.append(Delivery(table, resume, partition, at[partition]))
            at[partition] += 1

    def poll(self) -> Any:
        return self.left.pop(0) if self.left else None

    def close(self) -> None:
        pass


ROWS = [(0, 0, "a"), (1, 50, "b"), (0, 1, "a"), (0, 2, "c"), (1, 51, "b"), (0, 3, "a")]


def written(path: Path) -> list[tuple[str, str, int]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted((row["k"], row["window_start"], row["n"]) for row in rows)


def test_a_partition_does_not_wait_for_another(tmp_path: Path, caplog) -> None:
    """With one watermark for both, partition 1 would make nothing late, but hold nothing back."""
    out = tmp_path / "out.jsonl"
    with caplog.at_level(logging.INFO, "muntin.run"):
        report = mt.run(Played(ROWS), BY_KEY, sinks=[mt.sinks.JsonLines(out)])
    assert (report.late, len(written(out))) == (0, 6)
    said = [each.getMessage() for each in caplog.records if "has scope" in each.getMessage()]
    assert len(said) == 1 and said[0].startswith('run "run" has scope partition: the key of')


def test_a_pipeline_without_the_columns_in_its_key_has_one_state(tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.INFO, "muntin.run"):
        mt.run(Played(ROWS), NO_KEY, sinks=[mt.sinks.JsonLines(tmp_path / "out.jsonl")])
    assert "has scope global: tumbling#1 has no key" in caplog.text


def test_a_key_from_two_partitions_ends_the_run() -> None:
    with pytest.raises(mt.PartitionError, match='k="a" came from partition 0 and now from'):
        mt.run(Played([(0, 0, "a"), (1, 0, "a")]), BY_KEY)


@pytest.mark.parametrize("cut", range(len(ROWS) + 1))
def test_a_run_with_a_checkpoint_resumes(tmp_path: Path, cut: int) -> None:
    whole, out, state = tmp_path / "whole.jsonl", tmp_path / "out.jsonl", tmp_path / "state"
    mt.run(Played(ROWS), BY_KEY, sinks=[mt.sinks.JsonLines(whole)])
    for rows, once in ((ROWS[:cut], True), (ROWS, False)):
        checkpoint = mt.Checkpoint(state, every="0s")
        sinks = [mt.sinks.JsonLines(out)]
        mt.run(Played(rows), BY_KEY, sinks=sinks, checkpoint=checkpoint, once=once)
    assert written(out) == written(whole)


def test_a_checkpoint_of_another_scope_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    mt.run(Played(ROWS, None), BY_KEY, checkpoint=state, once=True)
    with pytest.raises(mt.SnapshotError, match="one state for all partitions, and"):
        mt.run(Played(ROWS), BY_KEY, checkpoint=state, once=True)
