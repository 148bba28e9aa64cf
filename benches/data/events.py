"""Payments, and the ads of Yahoo's streaming benchmark."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from benches.data import keys
from benches.workloads import Data

EPOCH = 1_704_067_200_000_000  # 2024-01-01, in microseconds
KINDS = ("view", "click", "purchase")
ADS_OF_A_CAMPAIGN = 10


def times(data: Data) -> np.ndarray:
    """Evenly over the span of event time, in microseconds."""
    return EPOCH + (np.arange(data.rows) * (data.seconds * 1e6 / data.rows)).astype(np.int64)


def events(data: Data) -> pa.Table:
    """`ts`, the key, `val` (cents from 0 to 500.00) and `item` (one of 1,000)."""
    rng = np.random.default_rng(data.seed)
    ts, order = times(data), None
    if data.late:
        delay = rng.random(data.rows) * data.late_seconds * 1e6
        delay[rng.random(data.rows) >= data.late] = 0
        order = np.argsort(ts + delay, kind="stable")
    columns = {
        "ts": pa.array(ts.view("M8[us]")),
        **keys.columns(data, rng, data.rows),
        "val": pa.array(rng.integers(0, 50_001, data.rows) / 100),
        "item": pa.array(rng.integers(0, 1_000, data.rows)),
    }
    if data.partitions > 1:
        columns["partition"] = pa.array(rng.integers(0, data.partitions, data.rows))
    table = pa.table(columns)
    return table if order is None else table.take(pa.array(order)).combine_chunks()


def ads(data: Data) -> pa.Table:
    """`ts`, `ad` and `event`: a third of the events are views. A campaign has ten ads."""
    rng = np.random.default_rng(data.seed)
    ad = rng.integers(0, data.keys * ADS_OF_A_CAMPAIGN, data.rows)
    event = pa.array(KINDS).take(pa.array(rng.integers(0, len(KINDS), data.rows)))
    return pa.table({"ts": pa.array(times(data).view("M8[us]")), "ad": ad, "event": event})
