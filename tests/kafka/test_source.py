"""The Kafka source on a broker: its rows, their columns, and how far behind it is."""

from __future__ import annotations

import datetime as dt
import json
import time
from contextlib import closing
from typing import Any
from urllib.request import urlopen

import pyarrow as pa
import pytest

import muntin as mt
from kafka.broker import Kafka
from kafka.reads import (
    SCHEMA,
    START_MS,
    Read,
    fill,
    opened,
    payload,
    read,
    source,
    whole,
)

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")


def test_rows_come_with_partition_offset_and_timestamp(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    fill(kafka, topic, range(5_000))
    found = whole(source(kafka, topic))
    assert found.values == list(range(5_000))
    assert found.resume == {0: 2_500, 1: 2_500}
    assert sorted(found.places) == [(p, at) for p in (0, 1) for at in range(2_500)]
    for row, (partition, offset), arrival in zip(
        found.rows, found.places, found.arrivals, strict=True
    ):
        assert (row["v"] % 2, row["v"] // 2) == (partition, offset)
        assert round(arrival.timestamp() * 1000) == START_MS + row["v"]


def test_columns_of_the_message_come_where_the_schema_has_them(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    fill(kafka, topic, [0, 1, 2])
    more = [("_key", "str"), ("_partition", "i32"), ("_offset", "i64"), ("_topic", "str")]
    more.append(("_timestamp", "timestamp[us, UTC]"))
    found = whole(source(kafka, topic), schema=SCHEMA + more)
    assert sorted((r["v"], r["_key"], r["_partition"], r["_offset"]) for r in found.rows) == [
        (0, "k0", 0, 0),
        (1, "k1", 1, 0),
        (2, "k2", 0, 1),
    ]
    assert {r["_topic"] for r in found.rows} == {topic}
    assert [r["_timestamp"] for r in found.rows] == found.arrivals


def test_the_time_of_the_record_fills_a_column(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(None, b'{"v": 1}', 0, START_MS)])
    found = whole(source(kafka, topic, time_of="at"))
    assert found.rows == [{"at": found.arrivals[0], "v": 1}]
    found = whole(source(kafka, topic, time_of="_timestamp", schema={"v": "i64"}), schema=None)
    assert found.rows == [{"_timestamp": found.arrivals[0], "v": 1}]


def test_only_committed_records_count_and_markers_are_no_rows(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    producer = ck.Producer({**kafka.client, "transactional.id": kafka.name("id")})
    producer.init_transactions(20)
    for v, end in enumerate((producer.commit_transaction, producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, payload(v))
        producer.flush(20)
        end(20)
    with opened(source(kafka, topic)) as reader:
        found = read(reader, lambda found: any(0 in each.partitions for each in found.quiet))
        assert found.values == [0]
        assert found.resume == {0: 4}  # two records, two markers
        assert reader.lag()[0].rows == 0
        producer.begin_transaction()
        producer.produce(topic, payload(2))
        producer.flush(20)
        found.quiet.clear()
        end = time.monotonic() + 2.5
        read(reader, lambda _: time.monotonic() > end, found)
        quiet = [each for each in found.quiet[-20:] if each.partitions or each.lost]
        assert quiet == [], "an open transaction is not silence"
        producer.commit_transaction(20)
        read(reader, lambda found: found.values == [0, 2], found)
    assert whole(source(kafka, topic), {0: 4}).values == [2]


def test_the_lag_is_what_is_left_to_read(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    fill(kafka, topic, range(30), 0)
    with opened(source(kafka, topic)) as reader:
        assert reader.lag()[0].rows is None
        found = read(reader, lambda found: bool(found.rows))
        read(reader, lambda _: reader.lag()[0].rows == 0, found)
        lag = reader.lag()[0]
        assert (lag.topic, lag.partition) == (topic, 0)
        assert lag.read_until == (START_MS + 29) * 1000


def test_a_silent_partition_is_told_while_others_have_rows(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    with opened(source(kafka, topic)) as reader:
        found = Read()

        def quiet(found: Read) -> bool:
            fill(kafka, topic, [0], 0)
            return sum(1 in each.partitions for each in found.quiet) >= 3

        read(reader, quiet, found)
        assert not found.quiet[-1].lost


def test_group_offsets_show_how_far_a_run_is(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    fill(kafka, topic, range(4))
    one = source(kafka, topic)
    with opened(one) as reader:
        found = read(reader, lambda found: len(found.rows) == 4)
        reader.checkpointed({})
        reader.checkpointed({0: 2, 1: 1})
        end = time.monotonic() + 10
        while time.monotonic() < end and len(kafka.committed(one.group, topic)) < 2:
            found.take(reader.poll())
    assert kafka.committed(one.group, topic) == {0: (2, ""), 1: (1, "")}


def test_the_schema_of_the_first_messages_is_printed(kafka: Kafka, capsys: Any) -> None:
    topic = kafka.topic(2)
    fill(kafka, topic, range(4))
    found = whole(source(kafka, topic, schema="infer"), schema=None)
    assert found.values == [0, 1, 2, 3]
    printed = capsys.readouterr().err
    assert '"at": "timestamp[us, UTC]"' in printed and '"v": "i64"' in printed
    pasted = eval(printed.replace("schema=", "", 1))
    assert whole(source(kafka, topic, schema=pasted), schema=None).rows == found.rows
    assert whole(source(kafka, topic, schema="infer"), None, found.mark, None).rows == found.rows
    assert capsys.readouterr().err == ""


def test_columns_must_be_known(kafka: Kafka) -> None:
    with pytest.raises(mt.SourceError, match='or schema="infer" to see one'):
        whole(source(kafka, kafka.topic(1)), schema=None)


def test_watchers_and_metrics_see_how_far_a_run_is_behind(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    fill(kafka, topic, range(30), 0)
    stream = mt.stream(time="at", out_of_order="0s", schema=dict(SCHEMA))
    with closing(mt.serve(0)) as page:
        run = mt.run(source(kafka, topic), stream, dashboard=page, background=True)
        end = time.monotonic() + 20
        while run.alive and time.monotonic() < end:
            if run.moment is not None and run.moment.behind == 0:
                break
            time.sleep(0.02)
        labels = f'{{input="input",partition="0",topic="{topic}"}}'
        while time.monotonic() < end:
            text = urlopen(f"{page.url}metrics").read().decode()
            if f"muntin_source_lag_rows{labels} 0.0" in text:
                break
        run.stop()
    assert f"muntin_source_lag_rows{labels} 0.0" in text
    assert f"muntin_source_lag_seconds{labels} 0.0" in text
    (lag,) = run.moment.lags["input"]
    assert (lag.topic, lag.rows) == (topic, 0)


def test_a_message_of_arrow_is_several_rows_at_one_offset(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kind = pa.schema([("at", pa.timestamp("us", "UTC")), ("v", pa.int64())])
    for first in (0, 3):
        times = [dt.datetime.fromtimestamp(START_MS / 1000 + v, dt.UTC) for v in range(3)]
        rows = pa.record_batch({"at": times, "v": list(range(first, first + 3))}, kind)
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, kind) as writer:
            writer.write(rows)
        kafka.produce(topic, [(None, stream.getvalue().to_pybytes())])
    kafka.produce(topic, [(None, b"broken")])
    found = whole(source(kafka, topic, format="arrow", bad="record"))
    assert [row["v"] for row in found.rows] == list(range(6))
    assert [at for _, at in found.places] == [0, 0, 0, 1, 1, 1]
    assert ([bad.position for bad in found.bad], found.resume) == ([2], {0: 3})


def test_options_of_formats_are_passed_on(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(None, b'{"at": 5, "v": 1, "w": 2}')])
    schema = {"at": "timestamp[us, UTC]", "v": "i64", "_rest": "str"}
    options = {"epoch": "s", "rest": True}
    (row,) = whole(source(kafka, topic, schema=schema, options=options)).rows
    assert (row["at"].timestamp(), row["v"], json.loads(row["_rest"])) == (5.0, 1, {"w": 2})
