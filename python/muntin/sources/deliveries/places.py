"""Numbers records within their partitions, and skips those an earlier run has processed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base.errors import SourceError, with_hint


class Places:
    """Counts the records of each partition, from the first one of all.

    >>> places = Places({1: 2})
    >>> places.of(pa.array([0, 1, 1, 0, 1])).to_pylist()
    [0, 0, 1, 1, 2]
    >>> places.next(0), places.behind()
    (2, False)
    """

    def __init__(self, resume: Mapping[int, int], passed: Mapping[int, int] | None = None) -> None:
        """Count from 0, or from `passed`; `resume` has each partition's position to resume at."""
        self._resume = dict(resume)
        self._next: dict[int, int] = dict(passed or {})

    def next(self, partition: int) -> int:
        """The position of the next record."""
        return self._next.get(partition, 0)

    def next_of_all(self) -> dict[int, int]:
        """The position of the next record, of each partition that has had one."""
        return dict(self._next)

    def resume(self, partition: int) -> int:
        """The position of the first record to deliver."""
        return self._resume.get(partition, 0)

    def behind(self) -> bool:
        """True while a partition is before the first record to deliver."""
        return any(self.next(partition) < at for partition, at in self._resume.items())

    def skip(self, counts: Mapping[int, int]) -> bool:
        """Skip a number of records if an earlier run has processed them all; True if so."""
        if any(self.next(p) + count > self.resume(p) for p, count in counts.items()):
            return False
        for partition, count in counts.items():
            self.run(partition, count)
        return True

    def run(self, partition: int, count: int) -> int:
        """Count records of one partition; the position of the first."""
        first = self.next(partition)
        self._next[partition] = first + count
        return first

    def of(self, partitions: Any) -> Any:
        """Count records that come in this order; the position of each, an `int64` array."""
        if not len(partitions):
            return pa.array([], pa.int64())
        order = pc.sort_indices(partitions)
        sizes = {entry["values"]: entry["counts"] for entry in counts_of(partitions)}
        firsts = [(self.run(p, sizes[p]), sizes[p]) for p in sorted(sizes)]
        positions = [pa.array(range(first, first + size), pa.int64()) for first, size in firsts]
        return pa.concat_arrays(positions).take(pc.sort_indices(order))

    def new(self, partitions: Any, positions: Any) -> Any:
        """For each record, whether to deliver it; None if all are delivered."""
        late = {p: at for p, at in self._resume.items() if at}
        mask = None
        for partition, at in late.items():
            had = pc.and_(pc.equal(partitions, partition), pc.less(positions, at))
            mask = pc.invert(had) if mask is None else pc.and_not(mask, had)
        return None if mask is None or pc.all(mask).as_py() else mask

    def end(self, place: str) -> None:
        """Check the end of the source.

        Raises:
            SourceError: there are fewer records than an earlier run has read.
        """
        for partition, at in self._resume.items():
            if self.next(partition) < at:
                of = f" of partition {partition}" if partition else ""
                message = f"{place}: {self.next(partition)} records{of}, but {at} had been read"
                raise SourceError(with_hint(message, "it is not what was read before, or was cut"))


def counts_of(partitions: Any) -> Sequence[dict[str, int]]:
    """How many records of each partition there are: `values` and `counts`."""
    found: Sequence[dict[str, int]] = pc.value_counts(partitions).to_pylist()
    return found
