"""Cuts a delivery where other positions begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.sources.base import Delivery
from muntin.values.table import table_of


def until(delivery: Delivery, ends: Mapping[int, int]) -> Delivery:
    """The rows and bad records whose position is below the end of their partition.

    Each row must have a partition and a position of its own. A partition without an end is kept.

    >>> places = {"partition": pa.array([0, 1, 0]), "position": pa.array([4, 4, 5])}
    >>> cut = until(Delivery(pa.table({"n": [1, 2, 3]}), {0: 6, 1: 5}, **places), {0: 5, 1: 9})
    >>> cut.batch["n"].to_pylist(), dict(cut.resume)
    ([1, 2], {0: 5, 1: 5})
    """
    resume = {each: min(at, ends.get(each, at)) for each, at in delivery.resume.items()}
    if resume == dict(delivery.resume):
        return delivery
    table, partition = table_of(delivery.batch), delivery.partition
    position, arrival = delivery.position, delivery.arrival
    if len(table):
        keep = _before(pa.array(partition), pa.array(position), ends)
        table, partition, position = (
            table.filter(keep),
            _kept(partition, keep),
            _kept(position, keep),
        )
        arrival = None if arrival is None else _kept(arrival, keep)
    bad = tuple(
        each
        for each in delivery.undecodable
        if each.position < ends.get(each.partition, each.position + 1)
    )
    return replace(
        delivery,
        batch=table,
        resume=resume,
        partition=partition,
        position=position,
        arrival=arrival,
        undecodable=bad,
    )


def _kept(column: Any, keep: Any) -> Any:
    return pa.array(column).filter(keep)


def _before(partition: Any, position: Any, ends: Mapping[int, int]) -> Any:
    wanted = sorted(ends)
    at = pc.index_in(partition, pa.array(wanted, pa.int64()))
    end = pa.array([ends[each] for each in wanted], pa.int64()).take(at)
    return pc.fill_null(pc.less(position, end), True)
