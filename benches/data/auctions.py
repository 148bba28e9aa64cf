"""The bids of NEXMark: of 50 events 1 is a person, 3 are auctions and 46 are bids.

Half of the bids are for the hot auction, three quarters come from the hot bidder; each group of a
hundred has one hot member. The others go to the last 100 auctions and the last 1,000 persons.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from benches.data.events import times
from benches.workloads import Data

BIDS_OF_FIFTY = 46
HOT_OF = 100


def bids(data: Data) -> pa.Table:
    """`ts`, `key` (the auction or the bidder) and `val`, the price."""
    rng = np.random.default_rng(data.seed)
    epoch = np.arange(data.rows) // BIDS_OF_FIFTY
    if data.kind == "auctions":
        key = members(rng, epoch * 3 + 2, hot=0.5, live=100)
    else:
        key = members(rng, epoch, hot=0.75, live=1_000)
    price = np.round(10 ** (rng.random(data.rows) * 6), 2)
    return pa.table({"ts": pa.array(times(data).view("M8[us]")), "key": key, "val": price})


def members(rng: np.random.Generator, newest: np.ndarray, hot: float, live: int) -> np.ndarray:
    """For each bid the hot member, or one of the `live` newest."""
    others = newest - (rng.random(len(newest)) * np.minimum(newest + 1, live)).astype(np.int64)
    return np.where(rng.random(len(newest)) < hot, newest // HOT_OF * HOT_OF, others) + 1_000
