"""The events of a workload."""

from __future__ import annotations

import pyarrow as pa

from benches.data.auctions import bids
from benches.data.events import ads, events
from benches.workloads import Data


def make(data: Data) -> pa.Table:
    """The events, in the order of arrival."""
    match data.kind:
        case "ads":
            return ads(data)
        case "auctions" | "bidders":
            return bids(data)
        case _:
            return events(data)
