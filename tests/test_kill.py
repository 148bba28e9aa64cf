"""kill -9 at every marked point and at random moments: nothing twice, nothing missing.

What the outputs must hold is known from a run that nothing disturbs, and is compared as a reader of
the files would see it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import killed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="processes are killed as POSIX does it"),
]

RANDOM_KILLS = 50
START = datetime(2024, 5, 1, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two inputs of two files each, out of order, some of it late."""
    place, rng = tmp_path_factory.mktemp("inputs"), random.Random(5)
    for name, count in (("sales", 900), ("returns", 500)):
        lines = []
        for i in range(count):
            behind = rng.choice([0, 0, 0, 5, 15, 90])
            at = START + timedelta(seconds=i * 1800 // count - behind)
            row = {"at": at.isoformat(), "store": rng.choice("abc"), "amount": rng.randrange(100)}
            lines.append("broken\n" if i % 97 == 50 else json.dumps(row) + "\n")
        for half in (0, 1):
            part = lines[half * count // 2 : (half + 1) * count // 2]
            (place / f"{name}-{half}.jsonl").write_text("".join(part))
    return place


class Lives:
    """Starts runs over the same inputs, each in a process of its own."""

    def __init__(self, inputs: Path) -> None:
        self.inputs = inputs
        self.process = subprocess.Popen(
            [sys.executable, killed.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, out: Path, **how: Any) -> bool:
        """Run until it ends or is killed; True if it was killed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        told = json.dumps({"inputs": str(self.inputs), "out": str(out), **how})
        print(told, file=self.process.stdin, flush=True)
        code = int(self.process.stdout.readline())
        assert code in (0, -signal.SIGKILL)
        return code != 0


@pytest.fixture(scope="module")
def start(inputs: Path) -> Iterator[Lives]:
    lives = Lives(inputs)
    yield lives
    assert lives.process.stdin is not None
    lives.process.stdin.close()
    lives.process.wait(timeout=60)


def seen(out: Path) -> dict[str, Any]:
    """All that a reader of the outputs sees."""
    found: dict[str, Any] = {
        name: (out / name).read_text() for name in ("minutes.jsonl", "alerts.jsonl", "scored.csv")
    }
    # records of different inputs are in no order
    late = [json.loads(line) for line in (out / "late.jsonl").read_text().splitlines()]
    for name in ("sales", "returns"):
        found[f"late {name}"] = [record for record in late if record["input"] == name]
    for name in ("minutes", "scored"):
        parts = sorted((out / name).glob("part-*.parquet"))
        found[name] = pa.concat_tables([pq.read_table(part) for part in parts]).to_pylist()
    with sqlite3.connect(out / "out.db") as database:
        for table in ("minutes", "scored"):
            rows = database.execute(f'SELECT * FROM "{table}"').fetchall()
            found[f"{table} in SQLite"] = sorted(map(repr, rows))
    return found


@pytest.fixture(scope="module")
def undisturbed(start: Lives, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("undisturbed")
    assert not start(out)
    found = seen(out)
    assert all(found.values())
    return found


@pytest.mark.parametrize("points", [killed.STORE_POINTS, *killed.SINK_POINTS], ids=" ".join)
def test_killed_at_each_point(
    points: tuple[str, ...], start: Lives, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    # the first life dies at its first step, each later one at its second
    for i, point in enumerate(points * 2):
        assert start(tmp_path, point=point, nth=1 + (i > 0)), point
    assert not start(tmp_path)
    assert seen(tmp_path) == undisturbed


@pytest.mark.parametrize("points", [killed.STORE_POINTS, *killed.SINK_POINTS], ids=" ".join)
def test_killed_and_changed(
    points: tuple[str, ...], start: Lives, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    assert not start(tmp_path / "whole", changed=True)
    whole = threes(tmp_path / "whole")
    out = tmp_path / "out"
    for point in points:
        assert start(out, point=point, nth=3), point
    for point in points:
        assert start(out, point=point, nth=2, changed=True), point
    assert not start(out, changed=True)
    # records of late rows name verbs by their place, which has changed
    same = {name for name in undisturbed if not name.startswith("late")}
    found = seen(out)
    assert {name: found[name] for name in same} == {name: undisturbed[name] for name in same}
    got = threes(out)
    assert {row["n"] is None for row in got} == {True, False}
    full = [row for row in got if row["n"] is not None]
    assert full == whole[-len(full) :]
    with sqlite3.connect(out / "out.db") as database:
        assert database.execute("SELECT count(*) FROM threes").fetchone() == (len(got),)


def threes(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "threes.jsonl").read_text().splitlines()]


def test_killed_at_random_moments(
    start: Lives, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    rng, kills, runs = random.Random(11), 0, 0
    while kills < RANDOM_KILLS:
        runs += 1
        out = tmp_path / str(runs)
        while start(out, after=rng.uniform(0.0, 0.6)):
            kills += 1
        assert seen(out) == undisturbed, (runs, kills)
