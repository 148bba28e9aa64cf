"""Arrow data that are wrong in ways a consumer can find out: refused by name, or read; the engine
lives on. The loops over snapshots and plans are in `rust/engine/fuzz.rs`.

What no consumer can find out stays out: the C data interface does not say how long a buffer is, so
offsets here never lead behind the end of theirs.
"""

from __future__ import annotations

import random
import struct
from typing import Any

import pyarrow as pa

import muntin as mt
from fuzzing import rounds

ROWS = 12
EDGES = (0, 1, -1, 127, -128, 2**31 - 1, -(2**31))


def noise(rng: random.Random, size: int) -> pa.Buffer:
    if rng.random() < 0.3:
        return pa.py_buffer(bytes(size))
    return pa.py_buffer(rng.randbytes(size))


def offsets(rng: random.Random, held: int, code: str) -> pa.Buffer:
    """Mostly rising; the first and the last are within the bytes that are there."""
    inner = sorted(rng.randrange(held + 1) for _ in range(ROWS - 1))
    if rng.random() < 0.5:
        inner[rng.randrange(len(inner))] = rng.choice([*EDGES, held, held + 1])
    return pa.py_buffer(struct.pack(f"<{ROWS + 1}{code}", 0, *inner, held))


def column(rng: random.Random) -> pa.Array:
    valid = rng.choice([None, noise(rng, 2)])
    nulls = -1 if valid is None else rng.choice([-1, 0, rng.randrange(ROWS)])
    kind = rng.choice(["text", "large", "binary", "dictionary", "fixed", "bool", "decimal", "list"])
    if kind in ("text", "large", "binary"):
        wide = kind == "large"
        data_type = {
            "text": pa.utf8(),
            "large": pa.large_utf8(),
            "binary": pa.binary(),
        }[kind]
        held = rng.randrange(40)
        held_offsets = offsets(rng, held, "q" if wide else "i")
        text = rng.choice([noise(rng, held), pa.py_buffer(b"a" * held)])
        return pa.Array.from_buffers(data_type, ROWS, [valid, held_offsets, text], nulls)
    if kind == "dictionary":
        indices = [rng.choice([0, 1, 2, 2, 3, -1, 2**31 - 1]) for _ in range(ROWS)]
        places = pa.Array.from_buffers(
            pa.int32(),
            ROWS,
            [valid, pa.py_buffer(struct.pack(f"<{ROWS}i", *indices))],
            nulls,
        )
        return pa.DictionaryArray.from_arrays(places, pa.array(["a", "b", "c"]), safe=False)
    if kind == "list":
        child = pa.array(range(20), pa.int64())
        data_type = pa.list_(pa.int64())
        buffers = [valid, offsets(rng, 20, "i")]
        return pa.Array.from_buffers(data_type, ROWS, buffers, nulls, children=[child])
    data_type = {
        "fixed": pa.float64(),
        "bool": pa.bool_(),
        "decimal": pa.decimal128(5, 2),
    }[kind]
    return pa.Array.from_buffers(data_type, ROWS, [valid, noise(rng, 16 * ROWS)], nulls)


def batch(rng: random.Random) -> pa.Table:
    unit = rng.choice(["s", "ms", "us", "ns"])
    times = pa.Array.from_buffers(
        pa.timestamp(unit, rng.choice([None, "UTC"])),
        ROWS,
        [None, noise(rng, 8 * ROWS)],
    )
    return pa.table({"at": times, "k": column(rng), "v": column(rng)})


def pipeline(rng: random.Random) -> mt.Stream:
    stream = mt.stream(time="at", out_of_order="1d")
    asked: dict[str, Any] = {
        "n": mt.count(),
        "first": mt.first("v"),
        "kinds": mt.count_distinct("v"),
    }
    by = rng.choice([(), "k"])
    return rng.choice(
        [
            stream,
            stream.sliding("1h", by="k").agg(**asked),
            stream.tumbling("1d", by=by).agg(**asked),
            stream.session("1h", by=by).agg(n=mt.count(), last=mt.last("v")),
        ]
    )


def test_wrong_arrow_data_are_refused_or_read() -> None:
    tried = taken = 0
    for seed, rng in rounds(400):
        tried += 1
        op = mt.operator(pipeline(rng))
        for _ in range(2):
            try:
                wrong = batch(rng)
            except pa.ArrowInvalid:  # pyarrow itself has found it out
                continue
            try:
                op.push(wrong)
                taken += 1
                op.snapshot()
            except mt.MuntinError as error:
                assert "this is a bug" not in str(error), f"MUNTIN_FUZZ_SEED={seed}: {error}"
                assert "failed before" not in str(error), f"MUNTIN_FUZZ_SEED={seed}: {error}"
    assert taken > tried / 20
