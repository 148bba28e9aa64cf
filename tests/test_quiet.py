"""Quiet partitions: when one counts as idle, and what wakes it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.loop.quiet import QuietPartitions

EVENTS = mt.stream(
    time="at", out_of_order="0s", idle_after="10s", schema={"at": "timestamp[us]", "v": "i64"}
).tumbling("1m")


@pytest.mark.parametrize(
    "heard", [0, pa.array([0, 1, 0]), pa.array([1, 0])], ids=["one", "several", "others"]
)
def test_rows_wake_each_partition_they_are_of(heard: Any) -> None:
    now = [0.0]
    op = mt.operator(EVENTS.agg(n=mt.count()), partitions=(0, 1, 2))
    partitions, (name,) = QuietPartitions(op, lambda: now[0]), op.inputs

    def verdicts(seconds: float) -> list[int]:
        """How many verdicts on partitions 0 and 1 there are then; 2 always has rows."""
        now[0] = seconds
        partitions.has_rows(name, 2)
        return [len(partitions.has_none(name, each)) for each in (0, 1)]

    assert [verdicts(seconds) for seconds in (0, 9, 10, 11)] == [[0, 0], [0, 0], [1, 1], [0, 0]]
    partitions.has_rows(name, heard)
    woken = [0] if isinstance(heard, int) else [0, 1]
    assert [verdicts(seconds) for seconds in (12, 21)] == [[0, 0], [0, 0]]
    assert verdicts(22) == [int(each in woken) for each in (0, 1)]
