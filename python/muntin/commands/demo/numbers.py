"""Pseudo-random numbers that are the same on every machine: splitmix64 on wrapping integers.

A library's random numbers may change with its version; these depend on integer arithmetic alone.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SEED = 2017
STREAMS = 64
"""Each id has so many numbers, one for every purpose."""

_STEP = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def draw(ids: Any, stream: int, below: int) -> Any:
    """For each id a number in `[0, below)`, as `int64`: the same id and stream give the same.

    It is number `id * STREAMS + stream` of splitmix64, its upper 32 bits scaled.

    Args:
        ids: `int64` values, not negative.
        stream: which of an id's numbers, less than `STREAMS`.
        below: the bound, at most 2**32.

    >>> draw(pa.array([1, 2, 3]), 0, 100).to_pylist()
    [10, 98, 91]
    """
    place = pc.add(pc.multiply(ids.cast(pa.uint64()), _word(STREAMS)), _word(stream + 1))
    bits = pc.add(pc.multiply(place, _word(_STEP)), _word(SEED))
    for shift, factor in _MIX:
        bits = pc.multiply(pc.bit_wise_xor(bits, pc.shift_right(bits, _word(shift))), _word(factor))
    bits = pc.bit_wise_xor(bits, pc.shift_right(bits, _word(31)))
    scaled = pc.multiply(pc.shift_right(bits, _word(32)), _word(below))
    return pc.shift_right(scaled, _word(32)).cast(pa.int64())


def _word(value: int) -> Any:
    return pa.scalar(value, pa.uint64())
