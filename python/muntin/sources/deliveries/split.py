"""Splits a delivery in two, each with its own positions to resume from."""

from __future__ import annotations

from itertools import compress
from operator import not_
from typing import Any

import pyarrow as pa

from muntin.sources.base import Delivery
from muntin.values.table import table_of


def rows_of(delivery: Delivery) -> int:
    """How many rows there are."""
    return len(table_of(delivery.batch))


def split(delivery: Delivery, rows: int) -> tuple[Delivery, Delivery]:
    """The first rows and the rest, which may not be empty.

    A bad record goes with the row before it. Without positions only the rest has positions to
    resume from. The mark belongs to the rest, since it is the place after all rows; the first
    rows get the mark of the start.

    >>> first, rest = split(Delivery(pa.table({"n": [1, 2, 3]}), {0: 3}, position=0), 2)
    >>> len(first.batch), dict(first.resume), rest.position
    (2, {0: 2}, 2)
    """
    table = table_of(delivery.batch)
    left, right = table.slice(0, rows), table.slice(rows)
    partition = _cut(delivery.partition, rows)
    arrival = _cut(delivery.arrival, rows)
    if delivery.position is None:
        ends: dict[int, int] = dict.fromkeys(delivery.resume, -1)
        position: tuple[Any, Any] = (None, None)
    else:
        position = (
            (delivery.position, delivery.position + rows)
            if isinstance(delivery.position, int)
            else _cut(delivery.position, rows)
        )
        ends = {**delivery.resume, **_firsts(partition[1], position[1])}
    done = [bad.position < ends.get(bad.partition, -1) for bad in delivery.undecodable]
    early = tuple(compress(delivery.undecodable, done))
    later = tuple(compress(delivery.undecodable, map(not_, done)))
    touched = partitions_of(partition[0]) | {bad.partition for bad in early}
    resume = {p: at for p, at in ends.items() if at >= 0 and p in touched}
    start = delivery.start
    return (
        Delivery(left, resume, partition[0], position[0], arrival[0], early, start, start),
        Delivery(
            right,
            delivery.resume,
            partition[1],
            position[1],
            arrival[1],
            later,
            delivery.mark,
            start,
        ),
    )


def _cut(value: Any, rows: int) -> tuple[Any, Any]:
    if value is None or isinstance(value, int):
        return value, value
    array = pa.array(value)
    return array.slice(0, rows), array.slice(rows)


def partitions_of(value: Any) -> set[int]:
    """The partitions that the `partition` of a delivery names."""
    return {value} if isinstance(value, int) else set(pa.array(value).unique().to_pylist())


def _firsts(partition: Any, position: Any) -> dict[int, int]:
    """The position of the first row of each partition; positions rise within one."""
    if isinstance(partition, int):
        return {partition: position if isinstance(position, int) else position[0].as_py()}
    if isinstance(position, int):
        position = pa.array(range(position, position + len(partition)), pa.int64())
    table = pa.table({"partition": partition, "position": position})
    least = table.group_by("partition").aggregate([("position", "min")])
    return dict(zip(least["partition"].to_pylist(), least["position_min"].to_pylist(), strict=True))
