"""Windows of a disordered stream with late rows are those of Kafka Streams' own test driver."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

import muntin as mt

HERE = Path(__file__).parent / "kafka" / "streams"
CLASS_PATH = HERE.parents[2] / "target" / "kafka-streams-classpath"
GRACE, MINUTE, HOP_SIZE = 10_000, 60_000, 300_000
GAP = 30_001  # odd, where all times are even: Kafka fires a session at the very moment of its end
MISSING = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def class_path(tmp_path: Path) -> str:
    """The jars of Kafka Streams, which Maven fetches once into its usual place."""
    pom = (HERE / "pom.xml").read_text()
    if CLASS_PATH.exists():
        kept, _, jars = CLASS_PATH.read_text().partition("\0")
        if kept == pom and all(map(os.path.exists, jars.split(os.pathsep))):
            return jars
    (tmp_path / "pom.xml").write_text(pom)
    found = tmp_path / "jars"
    command = ["mvn", "-q", "-B", "dependency:build-classpath", f"-Dmdep.outputFile={found}"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=600)
    CLASS_PATH.parent.mkdir(exist_ok=True)
    CLASS_PATH.write_text(f"{pom}\0{found.read_text()}")
    return found.read_text()


def stream_of(rows: int) -> list[tuple[str, int]]:
    """Rows of 30 keys in about the order of time, some of them late by minutes, and one at the
    end that closes all windows."""
    chance = random.Random(20_240_501)
    now, out = 1_000_000, []
    for _ in range(rows):
        now += 2 * chance.randrange(0, 200)
        behind = chance.choice([0, 0, 2 * chance.randrange(4_500)])
        if chance.random() < 0.01:
            behind = 2 * chance.randrange(5_000, 200_000)
        # a key is busy for some minutes, then rests: so there are sessions
        key = chance.choice([k for k in range(30) if (now // 180_000 + k) % 3])
        out.append((f"k{key}", now - behind))
    return [*out, ("end", now + 10**8)]


def kafka(rows: list[tuple[str, int]], tmp_path: Path) -> Counter[tuple]:
    """What Kafka Streams fires: (kind, key, start, end, count)."""
    arguments = [str(each) for each in (GRACE, MINUTE, HOP_SIZE, MINUTE, GAP)]
    done = subprocess.run(
        ["java", "-cp", class_path(tmp_path), str(HERE / "Windows.java"), *arguments],
        input="".join(f"{key},{at}\n" for key, at in rows),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    fired: Counter[tuple] = Counter()
    for line in done.stdout.splitlines():
        kind, key, *numbers = line.split(",")
        fired[(kind, key, *map(int, numbers))] += 1
    return fired


def muntin(rows: list[tuple[str, int]]) -> tuple[Counter[tuple], int]:
    """The same of muntin, whose sessions end a gap after their last row; and how many were late."""
    events = mt.stream("rows", time="at", out_of_order=f"{GRACE}ms", max_future_skew=None)
    count = mt.count()
    pipelines = {
        "tumbling": events.tumbling("1m", by="key").agg(n=count),
        "hopping": events.hopping("5m", "1m", by="key").agg(n=count),
        "session": events.session(f"{GAP}ms", by="key").agg(n=count),
    }
    table = pa.table(
        {
            "at": pa.array([at for _, at in rows], pa.timestamp("ms", "UTC")),
            "key": [key for key, _ in rows],
        }
    )
    op = mt.operator(pipelines)
    result = op.push(table)
    fired: Counter[tuple] = Counter()
    for kind in pipelines:
        found = result[kind].to_arrow()
        ends = found["last_event_time" if kind == "session" else "window_end"]
        columns = [found["window_start"].cast(pa.int64()), ends.cast(pa.int64())]
        bounds = [[us // 1000 for us in column.to_pylist()] for column in columns]
        for row in zip(found["key"].to_pylist(), *bounds, found["n"].to_pylist(), strict=True):
            fired[(kind, *row)] += 1
    return fired, len(result.late)


@pytest.mark.slow
def test_tumbling_hopping_and_session_windows_are_those_of_kafka_streams(tmp_path: Path) -> None:
    rows = stream_of(20_000)
    (ours, late), theirs = muntin(rows), kafka(rows, tmp_path)
    kinds = Counter(kind for kind, *_ in theirs)
    assert min(kinds.values()) > 100 and late > 100, (kinds, late)
    assert ours == theirs
