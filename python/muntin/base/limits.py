"""Sizes at which this package changes how it works. They never change a result.

If the core was built with tiny limits, these are tiny, too, so that a few rows exceed all of them.
A test may also set one, so read them at each use: `limits.SLICE_ROWS`. Bounds that a user sees as
an error are defined beside their check.
"""

from __future__ import annotations

from typing import Final

from muntin.base import core

SMALL: Final = bool(core.limits()["SMALL"])
"""Whether this build has tiny limits: see `CONTRIBUTING.md`."""


def _limit(normal: int, small: int) -> int:
    return small if SMALL else normal


SLICE_ROWS = _limit(65_536, 3)
"""Rows of one input in a step of a finished table."""

PIECE_ROWS = _limit(8192, 2)
"""Rows whose Python values are in memory at once where a sink needs them."""

STAGED_ROWS_MAX = _limit(1_000_000, 5)
"""Rows that wait for a checkpoint before one is taken ahead of its time."""

SNAPSHOT_PARTS_MAX = _limit(16, 2)
"""Files of state a checkpoint is spread over before all is written into one again."""

SNAPSHOT_WASTE_MIN = _limit(4 << 20, 64)
"""Bytes of state files, beyond twice those in use, before all is written into one again."""

GROUP_ROWS = _limit(1 << 17, 4)
"""Rows of a row group of a Parquet file, unless its bytes are more than `GROUP_BYTES`."""

GROUP_BYTES = _limit(1 << 26, 1 << 10)
"""Bytes of rows that are gathered for a row group of a Parquet file."""

COPY_BYTES = _limit(1 << 20, 7)
"""Bytes that are read at once where staged output is appended to a file."""

BLOCK_BYTES = _limit(4 << 20, 48)
"""Bytes of a text file that are read at once."""

PAGE_ROWS_MAX = _limit(500_000, 40)
"""Rows that wait for the page; the oldest are dropped, and counted, where it does not keep up."""

PAGE_STEPS_MAX = _limit(5_000, 20)
"""Results that wait for the page."""

LOOSE_TABLES_MAX = _limit(256, 2)
"""Tables of a history that are kept as they came before they are put together."""
