"""Clocks that jump, schemas that drift and disks that are full while a topic is read."""

from __future__ import annotations

import errno
import itertools
import json
import random
import struct
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import muntin as mt
from kafka.broker import Kafka
from kafka.reads import SCHEMA, START_MS, fill, payload, read, source, whole
from kafka.reads import opened as reader_of
from muntin.checkpoint import Directory
from muntin.loop.loop import Loop

pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

STREAM = mt.stream(
    time="at", out_of_order="5s", idle_after="200ms", max_future_skew="1h", schema=dict(SCHEMA)
)
WINDOWS = STREAM.tumbling("10s").agg(n=mt.count(), total=mt.sum("v"))


def windows(values: Any) -> Counter[tuple[int, int]]:
    """The counts and sums of windows of ten seconds, of values that are seconds."""
    parts: dict[int, list[int]] = {}
    for v in values:
        parts.setdefault(v // 10, []).append(v)
    return Counter((len(each), sum(each)) for each in parts.values())


@pytest.mark.parametrize("hours", [0.0, 30.0])
def test_the_wall_clock_may_jump_back_and_forth(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    """Arrival is the time of the record, so no row is invalid, late or in another window."""
    topic, chance, now = kafka.topic(1), random.Random(5), time.time

    def jumping() -> float:
        return now() + chance.uniform(-hours, hours) * 3600

    monkeypatch.setattr(time, "time", jumping)
    monkeypatch.setitem(Loop.__init__.__kwdefaults__, "wall", jumping)
    got: Counter[tuple[int, int]] = Counter()

    def took(table: Any) -> None:
        got.update((row["n"], row["total"]) for row in table.to_dicts())

    sinks = [mt.sinks.Callback(took)]
    state = mt.Checkpoint(tmp_path / "state", every="50ms")
    run = mt.run(source(kafka, topic), WINDOWS, sinks=sinks, checkpoint=state, background=True)
    for start in range(0, 100, 20):
        stamped(kafka, topic, range(start, start + 20))
        end = time.monotonic() + 20
        while run.alive and time.monotonic() < end and sum(rows_read(run)) < start + 20:
            time.sleep(0.02)
    report = run.stop(30)
    assert (report.late, report.invalid) == (0, 0)
    mt.run(source(kafka, topic), WINDOWS, sinks=sinks, checkpoint=state, once=True)
    due = windows(range(100))
    assert got <= due and sum(got.values()) >= 9


def stamped(kafka: Kafka, topic: str, values: Any) -> None:
    """Messages whose records have the time of their rows."""
    kafka.produce(topic, [(b"k", payload(v), 0, START_MS + v * 1000) for v in values])


def rows_read(run: Any) -> list[int]:
    return [] if run.moment is None else list(run.moment.sources.values())


DRIFT = [
    (b'{"id": 1, "name": "a"}', (1, "a")),
    (b'{"id": 2, "name": "b", "more": {"x": [1]}}', (2, "b")),  # a field more
    (b'{"id": 3}', (3, None)),  # a field less
    (b'{"name": "d", "id": 4.0}', (4, "d")),  # another order, another way to write it
    (b'{"id": "5", "name": "e"}', None),  # another type
    (b'{"id": 6, "name": {"first": "f"}}', None),  # a text became an object
    (b'{"ID": 7, "name": "g"}', (None, "g")),  # a field with another name
    (b'{"id": 8, "name": "h"}', (8, "h")),
]


def test_json_that_drifts_keeps_what_fits_and_names_what_does_not(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(None, payload) for payload, _ in DRIFT])
    words = [("id", "i64"), ("name", "str")]
    found = whole(source(kafka, topic, bad="record"), schema=words)
    due = [row for _, row in DRIFT if row is not None]
    assert [(row["id"], row["name"]) for row in found.rows] == due
    wrong = [at for at, (_, row) in enumerate(DRIFT) if row is None]
    assert [bad.position for bad in found.bad] == wrong
    for bad, name in zip(found.bad, ("id", "name"), strict=True):
        assert f'column "{name}' in bad.detail
    kept = source(kafka, topic, bad="record", options={"rest": True})
    rests = [row["_rest"] for row in whole(kept, schema=[*words, ("_rest", "str")]).rows]
    assert json.loads(rests[1]) == {"more": {"x": [1]}} and json.loads(rests[4]) == {"ID": 7}


def record(*fields: tuple[str, Any, Any]) -> dict[str, Any]:
    """A schema of Avro; a field with a default that is not `...`."""
    found = []
    for name, kind, default in fields:
        more = {} if default is ... else {"default": default}
        found.append({"name": name, "type": kind, **more})
    return {"type": "record", "name": "R", "fields": found}


WRITERS = {
    1: record(("id", "int", ...), ("name", "string", ...)),
    2: record(("id", "long", ...), ("name", "string", ...), ("more", "double", ...)),
    3: record(("name", ["null", "string"], None), ("id", "long", ...)),  # other order, nullable
    4: record(("id", "long", ...)),  # a field less
    5: record(("id", "string", ...)),  # another type
}
AVRO = {
    1: (b"\x02\x02a", (1, "a")),
    2: (b"\x04\x02b" + struct.pack("<d", 1.5), (2, "b")),
    3: (b"\x02\x02c\x06", (3, "c")),
    4: (b"\x08", (4, None)),
    5: (b"\x0255", None),
}


def test_schemas_of_avro_may_alternate_and_drift_while_a_run_lasts(kafka: Kafka) -> None:
    """Each message is read by the schema that it was written with, message by message."""
    topic, chance = kafka.topic(1), random.Random(3)
    ids = [chance.choice([1, 2, 3, 4, 5]) for _ in range(300)]
    messages = [(None, struct.pack(">bI", 0, each) + AVRO[each][0]) for each in ids]
    options = {"confluent": True, "schemas": {n: json.dumps(s) for n, s in WRITERS.items()}}
    from_topic = source(kafka, topic, format="avro", bad="record", options=options)
    with reader_of(from_topic, schema=[("id", "i64"), ("name", "str")]) as reader:
        found = None
        for start in range(0, 300, 60):
            kafka.produce(topic, messages[start : start + 60])
            until = {0: min(start + 60, 300)}
            found = read(reader, lambda found, until=until: found.resume == until, found)
    due = [AVRO[each][1] for each in ids if AVRO[each][1] is not None]
    assert found is not None
    assert [(row["id"], row["name"]) for row in found.rows] == due
    assert [bad.position for bad in found.bad] == [at for at, n in enumerate(ids) if n == 5]


class Full(Directory):
    """A store whose disk is full from the n-th call of a kind on, for some calls.

    Half of the bytes are left behind.
    """

    def __init__(self, path: Path, call: str, nth: int, times: int) -> None:
        super().__init__(path)
        self.call, self.nth, self.times = call, nth, times
        self.calls = itertools.count(1)

    def _fails(self, call: str, name: str, data: bytes) -> None:
        if call == self.call and self.nth <= next(self.calls) < self.nth + self.times:
            Path(self.path, f"{name}.tmp").write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    def write(self, name: str, data: bytes) -> None:
        self._fails("write", name, data)
        super().write(name, data)

    def commit(self, name: str, data: bytes) -> None:
        self._fails("commit", name, data)
        super().commit(name, data)


@pytest.mark.parametrize("times", [1, 99])
@pytest.mark.parametrize("nth", [1, 2, 4])
@pytest.mark.parametrize("call", ["write", "commit"])
def test_a_full_disk_at_a_write_of_a_checkpoint_loses_nothing(
    kafka: Kafka, tmp_path: Path, call: str, nth: int, times: int
) -> None:
    """Once, and for good; then there is room again. The rows are in a transaction of Kafka."""
    topic, out, name = kafka.topic(2), kafka.topic(1), kafka.name("run")

    def run(store: Any) -> None:
        sinks = mt.sinks.Kafka(out, servers=kafka.servers)
        state = mt.Checkpoint(store, every="0s")
        given: dict[str, Any] = {"sinks": sinks, "name": name, "checkpoint": state, "once": True}
        mt.run(
            source(kafka, topic),
            mt.stream(time="at", out_of_order="0s", schema=dict(SCHEMA)),
            **given,
        )

    store: Any = Full(tmp_path, call, nth, times)
    for start in range(0, 60, 20):
        fill(kafka, topic, range(start, start + 20))
        try:
            run(store)
        except mt.MuntinError as error:
            assert "No space left on device" in str(error) and str(tmp_path) in str(error)
    run(Directory(tmp_path))
    values = [json.loads(each.value)["v"] for each in kafka.read(out) if each.value]
    assert sorted(values) == list(range(60))
