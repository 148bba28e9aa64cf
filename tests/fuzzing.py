"""Random changes of bytes, each from a seed that a failure names.

`MUNTIN_FUZZ_ROUNDS` makes the loops longer, `MUNTIN_FUZZ_SEED` begins elsewhere.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

ROUNDS = os.environ.get("MUNTIN_FUZZ_ROUNDS")
FIRST = int(os.environ.get("MUNTIN_FUZZ_SEED", "0"))
CORPUS = Path(__file__).parent / "corpus" / "text"

PIECES = [
    *(b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\t", b'"', b"'", b"\\"),
    *(b",", b":", b"{", b"}", b"[", b"]", b"(", b")", b"--", b"/*", b";", b"%", b"::", b"e999"),
    *(b"null", b"true", b"NaN", b"-0", b"1e400", b"0x10", b"9" * 40, b"0." + b"1" * 40),
    *(b"\\u0000", b"\\ud800", b"[" * 200, b"(" * 200, b"-" * 50, b"not " * 50, b"x" * 5000),
    *(b"9999-12-31T23:59:60Z", b"0000-00-00", b"+262143-01-01", b"1970-01-01T00:00:00+99:99"),
]
"""What likes to break a parser."""


def rounds(normal: int) -> Iterator[tuple[int, random.Random]]:
    """That many seeds, or as many as the environment says, each with its generator."""
    for seed in range(FIRST, FIRST + int(ROUNDS or normal)):
        yield seed, random.Random(seed)


def changed(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """`data` with up to four changes; may take a piece of another one."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.randint(0, 8))
        match rng.randrange(6):
            case 0:
                out[at:end] = b""
            case 1:
                out[at:at] = rng.choice(PIECES)
            case 2:
                out[at:end] = rng.choice(PIECES)
            case 3:
                out[at:end] = rng.randbytes(rng.randint(0, 3))
            case 4:
                out[at:at] = out[at:end] * rng.randint(1, 5)
            case _:
                other = rng.choice(others)
                begin = rng.randrange(len(other) + 1)
                out[at:end] = other[begin : begin + rng.randint(0, 20)]
    return bytes(out)
