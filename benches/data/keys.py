"""Keys: how they are spread, and how they look."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from benches.workloads import Data

ZIPF = 1.1


def numbers(data: Data, rng: np.random.Generator, count: int) -> np.ndarray:
    """Numbers of keys from 0, spread as the data says."""
    if data.spread == "uniform":
        return rng.integers(0, data.keys, count)
    weights = np.cumsum(1 / np.arange(1, data.keys + 1) ** ZIPF)
    return np.searchsorted(weights / weights[-1], rng.random(count)).astype(np.int64)


def mixed(numbers: np.ndarray) -> np.ndarray:
    """The numbers through SplitMix64's mixer: neither dense nor sorted, never equal or 0."""
    z = numbers.astype(np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).view(np.int64)


def columns(data: Data, rng: np.random.Generator, count: int) -> dict[str, pa.Array]:
    """The key columns of so many events."""
    drawn = numbers(data, rng, count)
    match data.key:
        case "int":
            return {"key": pa.array(mixed(drawn))}
        case "text":
            return {"key": texts(drawn, data.keys, lambda n: f"card-{n & 0xFFFFFFFFFFFFFF:014x}")}
        case _:
            shops = texts(drawn % 1_000, min(data.keys, 1_000), lambda n: f"shop-{n & 0xFFFF:04x}")
            return {"k1": shops, "k2": pa.array(drawn // 1_000)}


def texts(drawn: np.ndarray, keys: int, word) -> pa.Array:
    """A text for each number drawn."""
    words = pa.array([word(int(n)) for n in mixed(np.arange(keys))])
    return words.take(pa.array(drawn))
