"""Where the Kafka source begins: topics, partitions and offsets, at first and after a restart."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any

import pytest

import muntin as mt
from kafka.broker import Kafka
from kafka.reads import (
    SCHEMA,
    START_MS,
    fill,
    grow,
    opened,
    read,
    source,
    whole,
)
from muntin.sources.brokers import reader as reading

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")


def test_several_topics_have_partitions_of_their_own(kafka: Kafka) -> None:
    first, second = kafka.topic(2), kafka.topic(1)
    fill(kafka, first, range(10))
    fill(kafka, second, range(10, 13), 0)
    both = source(kafka, [first, second])
    assert both.partitions() == [0, 1, 1 << 32]
    assert both.identity()[1:] == [first, second]
    found = whole(both)
    assert found.values == list(range(13))
    assert {part for part, _ in found.places} == {0, 1, 1 << 32}
    assert found.resume == {0: 5, 1: 5, 1 << 32: 3}


def test_topics_and_partitions_that_appear_while_a_run_lasts_are_read(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LOOK_S", 0.2)
    start = kafka.name("re")
    topic = kafka.topic(1, name=f"{start}-b")
    fill(kafka, topic, [0], 0)
    every = source(kafka, f"^{start}-", start="latest")
    with opened(every) as reader:
        found = read(reader, lambda found: found.resume == {0: 1})
        assert found.rows == []
        earlier = kafka.topic(1, name=f"{start}-a")
        fill(kafka, earlier, [1], 0)
        read(reader, lambda found: found.values == [1], found)
        assert found.added == [1 << 32]
        grow(kafka, topic)
        read(reader, lambda found: 1 in found.added, found)
        fill(kafka, topic, [2], 1)
        read(reader, lambda found: found.values == [1, 2], found)
    assert every.identity()[1:] == [topic, earlier]
    assert found.mark["ids"].keys() == {topic, earlier}
    again = source(kafka, f"^{start}-", start="latest")
    again.recall(every.identity())
    assert again.identity() == every.identity()
    assert again.partitions() == [0, 1, 1 << 32]


def test_a_partition_added_between_two_runs_is_read_from_its_start(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    fill(kafka, topic, [0], 0)
    found = whole(source(kafka, topic, start="latest"))
    assert found.values == [] and found.resume == {0: 1}
    grow(kafka, topic)
    fill(kafka, topic, [1, 2])
    found = whole(source(kafka, topic, start="latest"), {0: 1}, found.mark)
    assert found.values == [1, 2]


@pytest.mark.parametrize(
    ("start", "values"),
    [
        ("earliest", [0, 1, 2, 3]),
        ("latest", []),
        (dt.datetime.fromtimestamp(START_MS / 1000 + 0.002, dt.UTC), [2, 3]),
        (dt.datetime(2100, 1, 1), []),
        ({0: 1, 1: 2}, [2]),
    ],
)
def test_places_to_start(kafka: Kafka, start: Any, values: list[int]) -> None:
    topic = kafka.topic(2)
    fill(kafka, topic, range(4))
    assert whole(source(kafka, topic, start=start)).values == values
    assert whole(source(kafka, topic, start=start), {0: 1, 1: 1}).values == [2, 3]


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ({0: 1}, "no offset for topic .*, partition 1"),
        ({0: 1, 1: 0, 2: 0}, "an offset for 2, which is not a partition"),
        ({0: 9, 1: 0}, "partition 0: offset 9 was reached, but the partition ends at 2"),
    ],
)
def test_offsets_to_start_that_do_not_fit_are_told(kafka: Kafka, start: Any, said: str) -> None:
    topic = kafka.topic(2)
    fill(kafka, topic, range(4))
    with pytest.raises(mt.SourceError, match=said):
        whole(source(kafka, topic, start=start))


def test_a_run_with_once_ends_at_what_is_there(kafka: Kafka, tmp_path: Any) -> None:
    topic = kafka.topic(2)
    stream = mt.stream(time="at", out_of_order="0s", schema=dict(SCHEMA))
    seen: list[int] = []
    sink = mt.sinks.Callback(lambda table: seen.extend(table["v"].to_pylist()))
    job = {"checkpoint": tmp_path / "state", "once": True, "sinks": [sink]}
    assert mt.run(source(kafka, topic), stream, **job).rows == 0
    for values in ([0, 1, 2], [3, 4], []):
        fill(kafka, topic, values)
        mt.run(source(kafka, topic, start="latest"), stream, **job)
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_a_topic_that_is_not_there_is_told(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    with pytest.raises(
        mt.SourceError, match=f'no topic "{topic}x" .*\nhint: did you mean "{topic}'
    ):
        source(kafka, f"{topic}x").partitions()
    with pytest.raises(mt.SourceError, match='no topic matches "\\^nothing-like-it"'):
        source(kafka, "^nothing-like-it").partitions()


def test_topics_may_be_added_at_the_end_alone(kafka: Kafka) -> None:
    first, second = kafka.topic(1), kafka.topic(1)
    before = source(kafka, [first]).identity()
    more = source(kafka, [first, second])
    more.recall(before)
    assert more.identity() == [*before, second]
    for names in ([second, first], [second]):
        other = source(kafka, names)
        other.recall(before)
        with pytest.raises(mt.SourceError, match=r"while reading .* but topics= has"):
            other.identity()
    other = source(kafka, [first])
    other.recall(["kafka cluster elsewhere", first])
    with pytest.raises(mt.SourceError, match="kafka cluster elsewhere, but servers= leads to"):
        other.identity()


def test_a_file_may_have_the_name_of_a_topic(
    kafka: Kafka, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    topic = kafka.topic(1)
    fill(kafka, topic, [0], 0)
    stream = mt.stream(time="at", out_of_order="0s", schema=dict(SCHEMA))
    sinks = [mt.sinks.JsonLines(topic)]
    mt.run(source(kafka, topic), stream, checkpoint="state", once=True, sinks=sinks)
    assert json.loads((tmp_path / topic).read_text())["v"] == 0


def test_a_run_resumes_with_topics_that_appeared_while_the_last_one_lasted(
    kafka: Kafka, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LOOK_S", 0.1)
    start = kafka.name("re")
    fill(kafka, kafka.topic(1, name=f"{start}-m"), [0], 0)
    stream = mt.stream(time="at", out_of_order="0s", schema=dict(SCHEMA))
    seen: list[int] = []
    sink = mt.sinks.Callback(lambda table: seen.extend(table["v"].to_pylist()))
    state = mt.Checkpoint(tmp_path / "state", every="100ms")
    job: dict[str, Any] = {"checkpoint": state, "sinks": [sink]}

    def until(values: list[int]) -> None:
        end = time.monotonic() + 20
        while sorted(seen) != values and time.monotonic() < end:
            time.sleep(0.02)
        assert sorted(seen) == values

    run = mt.run(source(kafka, f"^{start}-"), stream, background=True, **job)
    for v, name in ((1, "z"), (2, "a")):  # the order of their names is another
        fill(kafka, kafka.topic(1, name=f"{start}-{name}"), [v], 0)
        until(list(range(v + 1)))
    run.stop()
    fill(kafka, f"{start}-z", [3], 0)
    mt.run(source(kafka, f"^{start}-"), stream, once=True, **job)
    assert sorted(seen) == [0, 1, 2, 3]
