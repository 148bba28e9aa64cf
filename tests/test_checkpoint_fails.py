"""A checkpoint that fails, wherever it fails, is as if it had never begun."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import muntin as mt
from muntin.checkpoint import Directory, Keeper, Where
from muntin.checkpoint.manifest import Counts
from runs import EVENTS, Cut, CutShort, rows_at
from test_checkpoint import Kept
from test_sinks_durable import csv_rows, json_rows, parquet_rows, sqlite_rows

TABLE = rows_at(*range(0, 300, 7), 3, *range(300, 500, 11))
SCORED = EVENTS.sliding("1m", by="k").agg(n=mt.count(), total=mt.sum("v"))


class Faults:
    """Counts what is done, and lets the n-th of one kind fail."""

    def __init__(self, point: str = "", nth: int = 0, last: int = 0) -> None:
        self.point, self.fails = point, range(nth, max(nth, last) + 1)
        self.seen = Counter[str]()

    def reached(self, point: str) -> None:
        self.seen[point] += 1
        if point == self.point and self.seen[point] in self.fails:
            raise OSError(errno.EIO, f"injected at {point}")


class Store(Directory):
    """A directory in which each call may fail, before or after it is done."""

    def __init__(self, path: Path, faults: Faults) -> None:
        super().__init__(path)
        self.faults = faults

    def put(self, place: str, data: bytes) -> None:
        kind = "state" if "state-" in os.path.basename(place) else "manifest"
        self.faults.reached(f"before write of {kind}")
        super().put(place, data)
        self.faults.reached(f"after write of {kind}")

    def rename(self, before: str, after: str) -> None:
        self.faults.reached("before rename")
        super().rename(before, after)
        self.faults.reached("after rename")

    def sync(self) -> None:
        self.faults.reached("sync of the directory")
        super().sync()

    def sizes(self) -> dict[str, int]:
        self.faults.reached("listing")
        return super().sizes()


class Shaky(Kept):
    """A durable sink of a user's own, which may fail in its turn."""

    def __init__(self, visible: list[dict[str, Any]], faults: Faults, name: str) -> None:
        super().__init__(visible)
        self.faults, self.name = faults, name

    def stage(self, output: str, rows: mt.Table) -> None:
        self.staged += [{"n": row["n"], "total": row["total"]} for row in rows.to_dicts()]

    def prepare(self) -> dict[str, Any]:
        self.faults.reached(f"before prepare of {self.name}")
        state = super().prepare()
        self.faults.reached(f"after prepare of {self.name}")
        return state

    def publish(self) -> None:
        self.faults.reached(f"before publish of {self.name}")
        super().publish()
        self.faults.reached(f"after publish of {self.name}")


STORE_POINTS = [
    "before write of state",
    "after write of state",
    "before write of manifest",
    "after write of manifest",
    "before rename",
    "after rename",
    "sync of the directory",
    "listing",
]
SINK_POINTS = [
    f"{when} {verb} of {name}"
    for name in ("first", "last")
    for verb in ("prepare", "publish")
    for when in ("before", "after")
]


class Outputs:
    """What a run writes, by every durable sink there is, with one that fails before and behind."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.first: list[dict[str, Any]] = []
        self.last: list[dict[str, Any]] = []

    def run(self, faults: Faults) -> mt.Report:
        place = self.place
        place.mkdir(exist_ok=True)
        sinks: list[mt.Sink] = [
            Shaky(self.first, faults, "first"),
            mt.sinks.JsonLines(place / "rows.jsonl"),
            mt.sinks.Csv(place / "rows.csv"),
            mt.sinks.Parquet(place / "parts"),
            mt.sinks.Sqlite(place / "rows.db"),
            Shaky(self.last, faults, "last"),
        ]
        checkpoint = mt.Checkpoint(Store(place / "state", faults), every="0s")
        return mt.run(
            mt.sources.Arrow(TABLE, batch_rows=10), SCORED, sinks=sinks, checkpoint=checkpoint
        )

    def seen(self) -> dict[str, list[tuple[int, int]]]:
        every: dict[str, list[dict[str, Any]]] = {
            "jsonl": json_rows(self.place / "rows.jsonl"),
            "csv": csv_rows(self.place / "rows.csv"),
            "parquet": parquet_rows(self.place / "parts"),
            "sqlite": sqlite_rows(self.place / "rows.db"),
            "first": self.first,
            "last": self.last,
        }
        return {
            name: [(int(row["n"]), int(row["total"])) for row in rows]
            for name, rows in every.items()
        }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Counter[str]]:
    outputs, faults = Outputs(tmp_path_factory.mktemp("whole")), Faults()
    outputs.run(faults)
    seen = outputs.seen()
    assert len({tuple(rows) for rows in seen.values()}) == 1
    assert len(seen["csv"]) == len(TABLE)
    return seen, faults.seen


@pytest.mark.parametrize("point", [*STORE_POINTS, *SINK_POINTS])
@pytest.mark.parametrize("which", ["first", "middle", "last", "two in a row"])
def test_a_failure_at_any_point_loses_and_doubles_nothing(
    point: str, which: str, whole: tuple[dict[str, Any], Counter[str]], tmp_path: Path
) -> None:
    expected, reached = whole
    count = reached[point]
    assert count > 3
    nth = {"first": 1, "middle": count // 2, "last": count, "two in a row": 3}[which]
    outputs = Outputs(tmp_path)
    try:
        outputs.run(Faults(point, nth, nth + (which == "two in a row")))
    except (OSError, mt.SnapshotError) as error:
        # what the run survives, it survives with everything shown
        assert "injected" in str(error)
        outputs.run(Faults())
    assert outputs.seen() == expected
    assert outputs.run(Faults()).rows == len(TABLE)
    assert outputs.seen() == expected


def test_a_run_goes_on_after_a_failed_prepare(
    whole: tuple[dict[str, Any], Counter[str]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    outputs = Outputs(tmp_path)
    outputs.run(Faults("before prepare of last", 2, 3))
    assert outputs.seen() == whole[0]
    assert caplog.text.count("the run continues and tries again") == 2
    # what was written for the checkpoints that failed is not left behind
    assert len(list((tmp_path / "state").glob("state-*"))) <= 2 * 16


def test_a_third_failure_in_a_row_ends_the_run(
    whole: tuple[dict[str, Any], Counter[str]], tmp_path: Path
) -> None:
    outputs = Outputs(tmp_path)
    with pytest.raises(mt.SnapshotError, match="injected at after prepare of first"):
        outputs.run(Faults("after prepare of first", 2, 4))
    outputs.run(Faults())
    assert outputs.seen() == whole[0]


class Plain:
    """A sink without a state, which may fail in its turn."""

    when = None

    def __init__(self, shown: list[int], fails: set[int]) -> None:
        self.shown, self.fails = shown, fails
        self.staged: list[int] = []
        self.published = 0

    def open(self, output: str, key: Any) -> None: ...

    def stage(self, output: str, rows: mt.Table) -> None:
        self.staged += [row["n"] for row in rows.to_dicts()]

    def publish(self) -> None:
        self.published += 1
        if self.published in self.fails:
            raise RuntimeError("injected")
        self.shown += self.staged
        self.staged = []

    def close(self) -> None: ...


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("nth", [1, 2, 5])
def test_sinks_without_a_state_show_every_row_at_least_once(
    place: str, nth: int, tmp_path: Path
) -> None:
    """A failure between the commit of a checkpoint and its rows being shown loses none."""
    shown: list[int] = []
    fails = {nth} if place == "behind" else set()

    def run(fails: set[int], faults: Faults) -> None:
        sinks = [Shaky([], faults, "first"), Plain(shown, fails)]
        mt.run(mt.sources.Arrow(TABLE, batch_rows=10), SCORED, sinks=sinks,
               checkpoint=mt.Checkpoint(tmp_path, every="0s"))  # fmt: skip

    whole = [row["n"] for row in mt.collect(SCORED, TABLE, order="given").rows]
    with pytest.raises((RuntimeError, OSError), match="injected"):
        run(fails, Faults("before publish of first", nth) if place == "before" else Faults())
    assert shown != whole
    run(set(), Faults())
    assert shown == whole
    # and once all is shown, a new start shows nothing again
    run(set(), Faults())
    assert shown == whole
    assert not list(tmp_path.glob("rows-*"))


def test_rows_that_were_shown_are_not_shown_again(tmp_path: Path) -> None:
    """The file with them goes as soon as they are, however the run ends after that."""
    shown: list[int] = []
    checkpoint = mt.Checkpoint(tmp_path, every="0s")
    with pytest.raises(Cut):
        mt.run(CutShort(TABLE, 4), SCORED, sinks=[Plain(shown, set())], checkpoint=checkpoint)
    assert not list(tmp_path.glob("rows-*"))
    mt.run(CutShort(TABLE, 99), SCORED, sinks=[Plain(shown, set())], checkpoint=checkpoint)
    assert shown == [row["n"] for row in mt.collect(SCORED, TABLE, order="given").rows]


def test_a_failed_checkpoint_leaves_no_state_file(tmp_path: Path) -> None:
    store = Directory(tmp_path)
    store.open()
    keeper = Keeper(store)
    keeper.recover()
    op = mt.operator(SCORED)

    def fails() -> dict[str, Any]:
        raise OSError("injected")

    for _ in range(2):
        with pytest.raises(OSError, match="injected"):
            keeper.commit(op, Where("test", {}, Counts(), False), fails)
        assert store.names() == []
    store.close()
