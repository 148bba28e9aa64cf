"""Every source keeps its contract, and the check finds those that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muntin.sources import Arrow, Csv, Delivery, JsonLines, Pace, Parquet, Quiet, Source
from muntin.sources.deliveries.split import split
from muntin.testing import check_source

ROWS = [{"n": n, "p": n % 3 // 2, "came": n * 1_000} for n in range(23)]
TABLE = pa.Table.from_pylist(ROWS)
WORDS = [("n", "i64"), ("p", "i64"), ("came", "i64")]
PLACES = {"partition": "p", "arrival": "came"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The rows in two files of each format, with a few records that are none."""
    for i, part in enumerate((ROWS[:9], ROWS[9:])):
        pq.write_table(pa.Table.from_pylist(part), tmp_path / f"{i}.parquet", row_group_size=4)
        texts = [json.dumps(row) for row in part]
        texts[3:3] = ["", "{oops", '{"n": "many", "p": 1}', '{"n": 1}']
        (tmp_path / f"{i}.jsonl").write_text("\n".join(texts))
        texts = [",".join(map(str, row.values())) for row in part]
        texts[3:3] = ["", "1,2", "many,0,0", "1,x,0", '"1\n2",0,0', "1,,0"]
        (tmp_path / f"{i}.csv").write_text("n,p,came\n" + "\n".join(texts))
    return tmp_path


MAKERS: dict[str, Callable[[Path, dict[str, Any]], Source]] = {
    "arrow": lambda folder, more: Arrow(TABLE, batch_rows=5, **more),
    "parquet": lambda folder, more: Parquet(str(folder / "*.parquet"), batch_rows=3, **more),
    "jsonlines": lambda folder, more: JsonLines(str(folder / "*.jsonl"), batch_rows=3, **more),
    "csv": lambda folder, more: Csv(str(folder / "*.csv"), batch_rows=3, **more),
}


class Instant:
    """A clock that jumps over every wait."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, stop: Any, seconds: float) -> None:
        self.time += seconds


@pytest.mark.parametrize("speed", [None, 0.05], ids=["at once", "paced"])
@pytest.mark.parametrize("places", [{}, PLACES], ids=["one", "partitions"])
@pytest.mark.parametrize("kind", MAKERS)
def test_bounded_sources(
    folder: Path, kind: str, places: dict[str, Any], speed: float | None
) -> None:
    def make() -> Source:
        pace = None if speed is None else Pace(speed, by="came", clock=Instant())
        return MAKERS[kind](folder, {**places, "speed": pace})

    # each of the two files has records without a partition, or that are none
    more = {"jsonlines": 6, "csv": 10}.get(kind, 0)
    assert check_source(make, schema=WORDS) == len(ROWS) + more


@pytest.mark.parametrize("kind", ["jsonlines", "csv"])
@pytest.mark.parametrize("places", [{}, {**PLACES, "partitions": [0, 1]}], ids=["one", "more"])
def test_followed_sources(folder: Path, kind: str, places: dict[str, Any]) -> None:
    made = check_source(
        lambda: MAKERS[kind](folder, {**places, "follow": True}), schema=WORDS, quiets=1
    )
    assert made > len(ROWS)


class Bad:
    """A source over ten numbers, wrong in one way."""

    bounded, total = True, 10

    def __init__(self, fault: str) -> None:
        self.fault = fault
        if fault == "total":
            self.total = 9
        if fault == "endless":
            self.bounded = False

    def partitions(self) -> tuple[int, ...]:
        return (0, 0) if self.fault == "twice" else (0,)

    def identity(self) -> tuple[str, ...]:
        return () if self.fault == "nameless" else ("numbers",)

    def open(self, schema: Any, positions: Any) -> BadReader:
        at = positions.get(0, 0)
        if self.fault == "forgets":
            at = 0
        if self.fault == "skips" and at:
            at += 1
        return BadReader(self.fault, at)


class BadReader:
    def __init__(self, fault: str, at: int) -> None:
        self.fault, self.at, self.polls, self.ended = fault, at, 0, False

    def poll(self) -> Any:
        self.polls += 1
        if self.fault == "quiet" and self.polls == 1:
            return Quiet((7,))
        if self.at >= 10:
            again = self.fault == "wakes" and self.ended
            self.ended = True
            return self._rows(10, 11) if again else None
        start, self.at = self.at, min(self.at + 4, 10)
        return self._rows(start, self.at)

    def _rows(self, start: int, stop: int) -> Delivery:
        values = [
            n + (100 * self.polls if self.fault == "changes" else 0) for n in range(start, stop)
        ]
        resume = {0: stop - (self.fault == "behind")}
        position = pa.array(sorted(range(start, stop), reverse=self.fault == "falls"), pa.int64())
        partition = 5 if self.fault == "strange" else 0
        return Delivery(pa.table({"n": values}), resume, partition, position)

    def close(self) -> None:
        pass


FAULTS = {
    "total": "total is 9, got 10 rows",
    "endless": "poll\\(\\) gave None, but bounded is False",
    "twice": "partitions must differ",
    "nameless": "identity\\(\\) must name what is read",
    "forgets": "comes after resume was 4",
    "skips": "after 1 deliveries: partition 0 gives 5.* where the whole run gave 4",
    "quiet": "Quiet names .7.",
    "wakes": "None again at the end",
    "changes": "where the whole run gave",
    "behind": "resume is 3, although position 3",
    "falls": "positions of rows must rise",
    "strange": "a row names .5.",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_source_that_breaks_its_contract_is_found(fault: str) -> None:
    check_source(lambda: Bad(""))
    with pytest.raises(AssertionError, match=FAULTS[fault]):
        check_source(lambda: Bad(fault))


def test_a_delivery_cut_in_two_goes_on_after_each_part() -> None:
    parts = pa.array([0, 1, 0, 1], pa.int64())
    places = pa.array([3, 0, 5, 1], pa.int64())
    whole = Delivery(pa.table({"n": [0, 1, 2, 3]}), {0: 9, 1: 2}, parts, places)
    first, rest = split(whole, 1)
    assert (first.resume, rest.resume) == ({0: 5}, {0: 9, 1: 2})
    first, rest = split(whole, 3)
    assert (first.resume, rest.resume) == ({0: 9, 1: 1}, {0: 9, 1: 2})
    first, rest = split(Delivery(pa.table({"n": [0, 1]}), {0: 2}), 1)
    assert (first.resume, rest.resume) == ({}, {0: 2})
