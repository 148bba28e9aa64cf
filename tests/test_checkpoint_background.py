"""A checkpoint is written while the run goes on; what that steps give is kept back until then."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.base import limits
from muntin.checkpoint import Directory
from muntin.sources import Delivery

BATCHES, ROWS = 100, 10
PACE_S = 0.002
START = datetime(2024, 5, 1)


class Slow(Directory):
    """A store whose writes wait until the run has read further, at most for some paces."""

    def __init__(self, place: Path, read: list[int], faults: int = 0, paces: int = 1_000) -> None:
        super().__init__(place)
        self.paces = paces
        self.read = read
        self.faults = faults
        self.gone_on = 0
        self.threads: set[str] = set()

    def write(self, name: str, data: bytes) -> None:
        self.threads.add(threading.current_thread().name)
        before, waits = len(self.read), threading.Event()
        for _ in range(self.paces):
            if len(self.read) > before + 2 or len(self.read) == BATCHES:
                break
            waits.wait(PACE_S)
        self.gone_on += len(self.read) > before
        if self.faults:
            self.faults -= 1
            raise OSError(28, "No space left on device")
        super().write(name, data)


class Batches:
    """A source of one small batch at a time."""

    bounded, total = True, BATCHES * ROWS

    def __init__(self, read: list[int]) -> None:
        self.read = read

    def partitions(self) -> tuple[int, ...]:
        return (0,)

    def identity(self) -> tuple[str, ...]:
        return ("batches",)

    def open(self, schema: Any, positions: Any) -> Batches:
        self.at = positions.get(0, 0)
        return self

    def poll(self) -> Delivery | None:
        if self.at >= self.total:
            return None
        time.sleep(PACE_S)  # so that there are many checkpoints
        self.read.append(self.at)
        numbers = range(self.at, self.at + ROWS)
        table = pa.table({"at": [START + timedelta(seconds=n) for n in numbers], "n": numbers})
        first, self.at = self.at, self.at + ROWS
        return Delivery(table, resume={0: self.at}, position=first)

    def close(self) -> None:
        pass


def run(tmp_path: Path, faults: int = 0, **more: int) -> tuple[Slow, mt.Report]:
    read: list[int] = []
    store = Slow(tmp_path / "state", read, faults, **more)
    events = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us]", "n": "i64"})
    report = mt.run(
        Batches(read),
        events,
        sinks=mt.sinks.JsonLines(tmp_path / "rows.jsonl"),
        checkpoint=mt.Checkpoint(store, every="1ms"),
    )
    return store, report


def written(tmp_path: Path) -> list[int]:
    return [json.loads(line)["n"] for line in (tmp_path / "rows.jsonl").open()]


def test_the_run_goes_on_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    store, report = run(tmp_path)
    assert store.gone_on > 2
    assert store.threads == {"muntin-checkpoint"}
    assert written(tmp_path) == list(range(BATCHES * ROWS))
    assert report.saved is not None and report.saved.paused < report.saved.seconds


def test_rows_that_are_kept_back_are_bounded(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(limits, "STAGED_ROWS_MAX", ROWS)
    store, _ = run(tmp_path, paces=50)
    # two batches are over the bound, so a third one waits
    assert store.gone_on > 2
    assert written(tmp_path) == list(range(BATCHES * ROWS))


@pytest.mark.parametrize("faults", [1, 2])
def test_a_checkpoint_that_cannot_be_written_loses_nothing(tmp_path: Path, faults: int) -> None:
    run(tmp_path, faults)
    assert written(tmp_path) == list(range(BATCHES * ROWS))


def test_the_third_failure_in_a_row_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(mt.SnapshotError, match="No space left"):
        run(tmp_path, faults=3)
    assert not (tmp_path / "rows.jsonl").exists() or written(tmp_path) == []
    run(tmp_path)
    assert written(tmp_path) == list(range(BATCHES * ROWS))
