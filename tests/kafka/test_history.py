"""A run over a topic whose state is filled first: from the topic's start, or from a file."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt
from kafka.broker import Kafka
from kafka.reads import SCHEMA, START_MS, grow, source, whole
from muntin.sources import Arrow, Parquet
from runs import Cut

pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

STREAM = mt.stream("input", time="at", out_of_order="1s", schema=dict(SCHEMA))
SCORED = STREAM.sliding("1h").agg(n=mt.count())


def at(v: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(START_MS / 1000 + v, dt.UTC)


def fill(kafka: Kafka, topic: str, values: Any, partition: int | None = None) -> None:
    """Messages of one event time, so that each row's answer is how many came before it."""
    kafka.produce(
        topic,
        [
            (
                b"k",
                f'{{"at": "{at(0).isoformat()}", "v": {v}}}'.encode(),
                v % 2 if partition is None else partition,
                START_MS + v,
            )
            for v in values
        ],
    )


def timed(kafka: Kafka, topic: str, values: Any) -> None:
    """Messages in one partition, of as many seconds as their value."""
    texts = [(v, f'{{"at": "{at(v).isoformat()}", "v": {v}}}'.encode()) for v in values]
    kafka.produce(topic, [(b"k", text, 0, START_MS + v * 1000) for v, text in texts])


class Job:
    """A pipeline that answers each row with how many there were, run as often as wanted."""

    def __init__(self, folder: Path) -> None:
        self.state = mt.Checkpoint(folder / "state", every="0s")
        self.seen: list[tuple[int, int]] = []

    def run(self, live: Any, history: Any, **given: Any) -> mt.Report:
        def took(table: Any) -> None:
            self.seen += [(row["v"], row["n"]) for row in table.to_dicts()]

        given = {"once": True, "checkpoint": self.state, **given}
        return mt.run(live, SCORED, history=history, sinks=[mt.sinks.Callback(took)], **given)


@pytest.mark.parametrize("word", [True, False])
def test_state_is_filled_from_the_start_of_the_topic_up_to_where_the_source_begins(
    kafka: Kafka, tmp_path: Path, word: bool
) -> None:
    topic, job = kafka.topic(2), Job(tmp_path)
    fill(kafka, topic, range(1000))
    history = "earliest" if word else source(kafka, topic)
    report = job.run(source(kafka, topic, start="latest"), history)
    assert (report.filled, report.rows, job.seen) == ({"input": 1000}, 0, [])
    fill(kafka, topic, range(1000, 1010))
    report = job.run(source(kafka, topic, start="latest"), history)
    assert (report.filled, report.rows) == ({"input": 1000}, 10)
    assert sorted(v for v, _ in job.seen) == list(range(1000, 1010))
    assert sorted(n for _, n in job.seen) == list(range(1001, 1011))


@pytest.mark.parametrize("start", ["time", {0: 0, 1: 70}, {0: 17, 1: 0}, {0: 100, 1: 100}])
def test_each_row_of_the_topic_counts_once_wherever_the_source_begins(
    kafka: Kafka, tmp_path: Path, start: Any
) -> None:
    topic, job = kafka.topic(2), Job(tmp_path)
    fill(kafka, topic, range(200))
    begin = at(0.150) if start == "time" else start  # value v has the timestamp of v milliseconds
    report = job.run(source(kafka, topic, start=begin), dt.datetime(2000, 1, 1))
    first = {0: 75, 1: 75} if start == "time" else start
    live = [v for v in range(200) if v // 2 >= first[v % 2]]
    assert sorted(v for v, _ in job.seen) == live
    assert sorted(n for _, n in job.seen) == list(range(201 - len(live), 201))
    assert report.filled == {"input": 200 - len(live)}


def test_partitions_added_later_and_records_after_the_border_are_live(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, job = kafka.topic(1), Job(tmp_path)
    fill(kafka, topic, range(100), 0)
    from muntin.sources.brokers.kafka import Kafka as Source

    opening = Source.open

    def grown(self: Any, *given: Any) -> Any:
        if self.bounded:  # the border is known by now
            grow(kafka, topic)
            fill(kafka, topic, range(100, 110))
        return opening(self, *given)

    monkeypatch.setattr(Source, "open", grown)
    job.run(source(kafka, topic, start="latest"), "earliest")
    monkeypatch.undo()
    job.run(source(kafka, topic, start="latest"), "earliest")
    assert sorted(v for v, _ in job.seen) == list(range(100, 110))
    assert sorted(n for _, n in job.seen) == list(range(101, 111))


@pytest.mark.parametrize("arrival", ["received", None])
def test_a_file_then_the_topic_from_a_time_on(
    kafka: Kafka, tmp_path: Path, arrival: str | None
) -> None:
    """The archive and the topic hold the same rows for a while; each counts once."""
    topic, job = kafka.topic(1), Job(tmp_path)
    timed(kafka, topic, range(200))
    times = [at(v) for v in range(150)]
    table = pa.table({"at": times, "v": list(range(150)), "received": times})
    pq.write_table(table, tmp_path / "archive.parquet")
    archive = Parquet(tmp_path / "archive.parquet", arrival=arrival)
    report = job.run(source(kafka, topic, start=at(120)), archive)
    assert report.filled == {"input": 120}
    assert sorted(v for v, _ in job.seen) == list(range(120, 200))
    assert sorted(n for _, n in job.seen) == list(range(121, 201))


def test_a_record_of_before_the_border_that_comes_behind_it_is_left_out(
    kafka: Kafka, tmp_path: Path
) -> None:
    topic, job = kafka.topic(1), Job(tmp_path)
    timed(kafka, topic, (0, 5, 3, 6))  # 3 was late, and is in the archive
    archive = pa.table({"at": [at(v) for v in (0, 3)], "v": [0, 3]})
    job.run(source(kafka, topic, start=at(4)), Arrow(archive))
    assert job.seen == [(5, 3), (6, 4)]


@pytest.mark.parametrize("polls", [1, 2, 3])
def test_a_run_that_breaks_while_it_fills_begins_again(
    kafka: Kafka, tmp_path: Path, polls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from muntin.sources.brokers.reader import KafkaReader

    topic, job = kafka.topic(2), Job(tmp_path)
    fill(kafka, topic, range(100))
    left, poll = [polls], KafkaReader.poll

    def counted(self: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Cut
        return poll(self)

    monkeypatch.setattr(KafkaReader, "poll", counted)
    with pytest.raises(Cut):
        job.run(source(kafka, topic, start={0: 40, 1: 40}), "earliest")
    monkeypatch.undo()
    job.run(source(kafka, topic, start={0: 40, 1: 40}), "earliest")
    assert sorted(v for v, _ in job.seen) == list(range(80, 100))
    assert sorted(n for _, n in job.seen) == list(range(81, 101))


def test_results_to_a_topic_begin_after_the_history(kafka: Kafka, tmp_path: Path) -> None:
    """The transaction is the authority: the checkpoint that ends the filling is in it."""
    topic, out = kafka.topic(2), kafka.topic(1)
    fill(kafka, topic, range(100))
    job: dict[str, Any] = {"checkpoint": tmp_path / "state", "name": kafka.name("run")}
    for values in ([], range(100, 105)):
        fill(kafka, topic, values)
        live = source(kafka, topic, start="latest")
        sinks = [mt.sinks.Kafka(out, servers=kafka.servers, key="v")]
        mt.run(live, SCORED, history="earliest", sinks=sinks, once=True, **job)
    found = whole(source(kafka, out), schema=[("v", "i64"), ("n", "i64")])
    assert sorted(row["v"] for row in found.rows) == list(range(100, 105))
    assert sorted(row["n"] for row in found.rows) == list(range(101, 106))


@pytest.mark.parametrize(
    ("start", "history", "said"),
    [
        ("earliest", "earliest", 'there is no history before the source: both start at "earliest"'),
        ({0: 5}, {0: 7}, "partition 0: the history begins at offset 7, the source at 5"),
        ("latest", Arrow(pa.table({"at": [at(0)], "v": [0]})), r'\(start="latest"\) are missing'),
    ],
)
def test_what_cannot_work_is_refused(kafka: Kafka, start: Any, history: Any, said: str) -> None:
    topic = kafka.topic(1)
    fill(kafka, topic, range(10), 0)
    past = source(kafka, topic, start=history) if isinstance(history, dict) else history
    began = time.monotonic()
    with pytest.raises(mt.SourceError, match=said):
        mt.run(source(kafka, topic, start=start), SCORED, history=past)
    assert time.monotonic() - began < 20
