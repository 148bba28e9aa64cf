"""The Kafka source on a broker: what it reads, from where, and when it stops."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any
from urllib.request import urlopen

import pyarrow as pa
import pytest

import muntin as mt
from kafka.broker import Broker, Kafka
from muntin.sources import Added, Delivery, Quiet
from muntin.sources.brokers import reader as reading

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

SCHEMA = [("at", "timestamp[us, UTC]"), ("v", "i64")]
START_MS = 1_714_550_400_000


def payload(v: int) -> bytes:
    at = dt.datetime.fromtimestamp(START_MS / 1000 + v, dt.UTC)
    return json.dumps({"at": at.isoformat(), "v": v}).encode()


def fill(kafka: Kafka, topic: str, values: Any, partition: int | None = None) -> None:
    """Messages with these values, in partition value % 2 unless one is given."""
    parts = [(v, v % 2 if partition is None else partition) for v in values]
    kafka.produce(topic, [(b"k%d" % v, payload(v), part, START_MS + v) for v, part in parts])


def source(kafka: Kafka, topics: Any, **given: Any) -> mt.sources.Kafka:
    given.setdefault("settings", {"fetch.wait.max.ms": 50})  # an end is told after this wait
    return mt.sources.Kafka(topics, servers=kafka.servers, group=kafka.name("group"), **given)


def grow(kafka: Kafka, topic: str) -> None:
    """Give a topic a second partition."""
    admin = kafka.admin()
    admin.create_partitions([ck.admin.NewPartitions(topic, 2)])[topic].result(10)


def remove(kafka: Kafka, topic: str) -> None:
    """Remove the first seven records of partition 0."""
    admin = kafka.admin()
    for done in admin.delete_records([ck.TopicPartition(topic, 0, 7)]).values():
        done.result(10)


class Read:
    """What a reader gave until nothing more was there."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.places: list[tuple[int, int]] = []
        self.arrivals: list[Any] = []
        self.bad: list[Any] = []
        self.resume: dict[int, int] = {}
        self.mark: Any = None
        self.added: list[int] = []
        self.quiet: list[Quiet] = []

    def take(self, polled: Any) -> None:
        match polled:
            case Delivery() as delivery:
                self.resume |= delivery.resume
                self.mark = delivery.mark or self.mark
                self.bad += delivery.undecodable
                rows = delivery.batch.to_pylist()
                self.rows += rows
                if rows:
                    self.places += zip(
                        delivery.partition.to_pylist(), delivery.position.to_pylist(), strict=True
                    )
                    self.arrivals += delivery.arrival.to_pylist()
            case Quiet() as quiet:
                self.quiet.append(quiet)
            case Added(partitions):
                self.added += partitions

    @property
    def values(self) -> list[int]:
        return sorted(row["v"] for row in self.rows)


@contextmanager
def opened(
    source: Any, positions: Mapping[int, int] | None = None, mark: Any = None, schema: Any = SCHEMA
) -> Iterator[Any]:
    with closing(source.open(schema, positions or {}, mark)) as reader:
        yield reader


def read(
    reader: Any, until: Callable[[Read], bool], into: Read | None = None, seconds: float = 20
) -> Read:
    """Poll until a condition is met."""
    found = Read() if into is None else into
    end = time.monotonic() + seconds
    while not until(found):
        assert time.monotonic() < end, vars(found)
        found.take(reader.poll())
    return found


def whole(source: Any, positions: Any = None, mark: Any = None, schema: Any = SCHEMA) -> Read:
    """All that is there."""
    found = Read()
    with opened(source.for_once(), positions, mark, schema) as reader:
        while (polled := reader.poll()) is not None:
            found.take(polled)
    return found


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


def test_a_key_that_is_not_text_makes_a_bad_row(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(b"a", payload(0)), (b"\xff", payload(1)), (None, payload(2))])
    found = whole(source(kafka, topic, bad="record"), schema=[*SCHEMA, ("_key", "str")])
    assert [(r["v"], r["_key"]) for r in found.rows] == [(0, "a"), (2, None)]
    assert [(bad.position, "_key" in bad.detail) for bad in found.bad] == [(1, True)]
    with pytest.raises(mt.SourceError, match=f'topic "{topic}", partition 0, offset 1: column "_k'):
        whole(source(kafka, topic), schema=[*SCHEMA, ("_key", "str")])


def test_the_time_of_the_record_fills_a_column(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(None, b'{"v": 1}', 0, START_MS)])
    found = whole(source(kafka, topic, time_of="at"))
    assert found.rows == [{"at": found.arrivals[0], "v": 1}]
    found = whole(source(kafka, topic, time_of="_timestamp", schema={"v": "i64"}), schema=None)
    assert found.rows == [{"_timestamp": found.arrivals[0], "v": 1}]


def test_tombstones_are_skipped_and_counted_or_rows_of_nulls(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(b"a", payload(0)), (b"a", None), (b"b", payload(1))])
    with opened(source(kafka, topic)) as reader:
        found = read(reader, lambda found: found.resume == {0: 3})
        assert found.values == [0, 1] and reader.tombstones == 1
    found = whole(source(kafka, topic, tombstones=True))
    assert [row["v"] for row in found.rows] == [0, None, 1]


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


BAD = [payload(0), b'{"at": 5, "v": [}', b"\xff", payload(3), b"", b'{"at": "x", "v": 1}']


def test_bad_messages_become_records_with_their_place(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(None, each) for each in BAD])
    found = whole(source(kafka, topic, bad="record"))
    assert found.values == [0, 3]
    assert [(bad.position, bad.payload, bad.file) for bad in found.bad] == [
        (at, BAD[at], topic) for at in (1, 2, 4, 5)
    ]
    assert found.resume == {0: 6}


def test_a_bad_message_stops_the_run_with_its_place(kafka: Kafka, tmp_path: Any) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(None, each) for each in BAD])
    stream = mt.stream(time="at", out_of_order="0s", schema=dict(SCHEMA))
    where = f'Kafka: topic "{topic}", partition 0, offset 1, byte '
    with pytest.raises(mt.SourceError, match=where) as stopped:
        mt.run(source(kafka, topic), stream, checkpoint=tmp_path / "state", once=True)
    assert "hint: bad=" in str(stopped.value)
    invalid: list[Any] = []
    kept = mt.sinks.Callback(lambda table: invalid.extend(table["position"].to_pylist()))
    job = {"checkpoint": tmp_path / "state", "once": True, "invalid": [kept]}
    report = mt.run(source(kafka, topic, bad="record"), stream, **job)
    assert (report.invalid, invalid) == (4, [1, 2, 4, 5])


def test_large_messages_are_read_few_at_a_time(kafka: Kafka) -> None:
    topic = kafka.topic(1, max_message_bytes=20_000_000)
    large = json.dumps({"at": "2024-05-01T00:00:00Z", "v": 1, "x": "y" * 12_000_000}).encode()
    settings = {**kafka.client, "message.max.bytes": 20_000_000}
    producer = ck.Producer(settings)
    for _ in range(4):
        producer.produce(topic, large)
        producer.flush(30)
    fill(kafka, topic, [5, 6], 0)
    with opened(source(kafka, topic)) as reader:
        found = read(reader, lambda found: len(found.rows) == 6, seconds=40)
    assert found.values == [1, 1, 1, 1, 5, 6]


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


def test_records_that_retention_removed_are_told(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    fill(kafka, topic, range(10), 0)
    remove(kafka, topic)
    said = f'topic "{topic}", partition 0: offset 3 is gone: the first record there is has 7'
    assert whole(source(kafka, topic)).values == [7, 8, 9]
    with pytest.raises(mt.SourceError, match=said):
        whole(source(kafka, topic), {0: 3})
    with pytest.raises(mt.SourceError, match="offset 11 was reached, but the partition ends at 10"):
        whole(source(kafka, topic), {0: 11})
    with pytest.raises(mt.SourceError, match="no longer has partition 4, which had been read"):
        whole(source(kafka, topic), {0: 7, 4: 1})


def test_records_removed_while_they_are_read_are_told(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    with opened(source(kafka, topic)) as reader:
        read(reader, lambda found: any(each.partitions for each in found.quiet))
        reader._consumer.pause([ck.TopicPartition(topic, 0)])
        fill(kafka, topic, range(10), 0)
        remove(kafka, topic)
        reader._consumer.resume([ck.TopicPartition(topic, 0)])
        with pytest.raises(mt.SourceError, match=r"partition 0: offset 0 is gone: .* has 7"):
            read(reader, lambda _: False)


def test_a_topic_made_again_is_told(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LOOK_S", 0.2)
    topic = kafka.topic(1)
    fill(kafka, topic, range(3), 0)
    one = source(kafka, topic)
    with opened(one) as reader:
        found = read(reader, lambda found: len(found.rows) == 3)
        admin = kafka.admin()
        admin.delete_topics([topic])[topic].result(10)
        with pytest.raises(mt.SourceError, match=f'topic "{topic}" was deleted'):
            read(reader, lambda _: False)
    deadline = time.monotonic() + 10
    while True:
        try:
            kafka.topic(1, name=topic)
            break
        except ck.KafkaException:  # the old one is still being removed
            assert time.monotonic() < deadline
            time.sleep(0.1)
    fill(kafka, topic, range(9), 0)
    again = source(kafka, topic)
    with pytest.raises(mt.SourceError, match="was deleted and made again, so its offsets begin"):
        whole(again, {0: 3}, found.mark)
    assert len(whole(again, {0: 3}).rows) == 6  # without a mark nobody can know


@pytest.mark.slow
def test_reading_goes_on_over_outages_and_they_are_not_silence(
    kafka_broker: Callable[..., Broker], caplog: pytest.LogCaptureFixture
) -> None:
    broker = kafka_broker()
    topic = broker.topic(1)
    fill(broker, topic, range(3), 0)
    with opened(source(broker, topic)) as reader:
        found = read(reader, lambda found: any(each.partitions for each in found.quiet))
        for away, back in ((broker.kill, broker.start), (broker.pause, broker.resume)):
            away()
            read(reader, lambda found: bool(found.quiet[-1].lost), found)
            gone = len(found.quiet)
            end = time.monotonic() + 3
            read(reader, lambda _, end=end: time.monotonic() > end, found)
            assert not any(each.partitions for each in found.quiet[gone:])
            back()
            read(reader, lambda found: bool(found.quiet[-1].partitions), found, seconds=40)
        fill(broker, topic, range(3, 6), 0)
        read(reader, lambda found: len(found.rows) == 6, found, seconds=40)
    assert found.values == list(range(6))
    assert "no broker can be reached" in caplog.text or "connected again" in caplog.text


@pytest.mark.slow
def test_a_run_with_once_does_not_wait_for_brokers_for_ever(
    kafka_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "STUCK_S", 2.0)
    broker = kafka_broker()
    topic = broker.topic(1)
    with opened(source(broker, topic).for_once()) as reader:
        reader.poll()
        broker.pause()
        reader._targets = {(topic, 0): 5}
        with pytest.raises(mt.SourceError, match=r"no broker has answered for \d+ s"):
            read(reader, lambda _: False)
        broker.resume()


@pytest.mark.parametrize("once", [True, False])
def test_bad_messages_go_to_a_sink_of_their_own(kafka: Kafka, tmp_path: Any, once: bool) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(None, each) for each in BAD])
    stream = mt.stream(time="at", out_of_order="0s", schema=dict(SCHEMA))
    apart: list[Any] = []
    sink = mt.sinks.Callback(lambda table: apart.extend(table.to_dicts()))
    state = mt.Checkpoint(tmp_path / "state", every="100ms")
    run = mt.run(
        source(kafka, topic, bad=sink), stream, checkpoint=state, once=once, background=True
    )
    end = time.monotonic() + 20
    while len(apart) < 4 and run.alive and time.monotonic() < end:
        time.sleep(0.02)
    run.stop()
    assert [row["offset"] for row in apart] == [1, 2, 4, 5]
    assert [row["payload"] for row in apart] == [BAD[at] for at in (1, 2, 4, 5)]


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
