"""The sink `Kafka`, alone and in transactions, on a real broker."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest

import muntin as mt
from muntin.clients.kafka.transaction import Transaction, TransactionLost

ROWS = [
    {"at": datetime(2024, 5, 1, 10, i // 60, i % 60), "store": "ab"[i % 2], "n": i}
    for i in range(600)
]
SCHEMA = {"at": "timestamp[us]", "store": "str", "n": "i64"}


def stream() -> mt.Stream:
    return mt.stream(time="at", out_of_order="0s", schema=SCHEMA)


def values(kafka, topic: str) -> list[dict]:
    return [json.loads(record.value) for record in kafka.read(topic)]


def counted(rows) -> Counter:
    return Counter((row["store"], row["window_start"], row["n"]) for row in rows)


def windows() -> mt.Stream:
    return stream().tumbling("1m", by="store").agg(n=mt.count())


EXPECTED = Counter(
    (store, f"2024-05-01T10:{minute:02}:00", 30) for store in "ab" for minute in range(10)
)


def test_without_checkpoints_every_row_is_a_record_with_the_key_of_its_window(kafka) -> None:
    topic = kafka.topic(partitions=3)
    sink = mt.sinks.Kafka(topic, servers=kafka.servers, headers={"by": "test"})
    mt.run(ROWS, windows(), sinks=sink)
    records = kafka.read(topic)
    assert counted(map(json.loads, (record.value for record in records))) == EXPECTED
    for record in records:
        value = json.loads(record.value)
        names = ("store", "window_start", "window_end")
        assert json.loads(record.key) == {name: value[name] for name in names}
        assert record.headers == [("by", b"test")]


def test_rows_and_checkpoint_are_committed_together(kafka, tmp_path: Path) -> None:
    topic, name = kafka.topic(partitions=2), kafka.name("run")
    sink = mt.sinks.Kafka(topic, servers=kafka.servers, key="store")

    def run(rows) -> mt.Report:
        return mt.run(rows, windows(), sinks=sink, name=name, once=True, checkpoint=tmp_path / "c")

    run(ROWS[:300])
    assert len(values(kafka, topic)) == 8
    run(ROWS)
    mt.run(ROWS, windows(), sinks=sink, name=name, checkpoint=tmp_path / "c")
    assert counted(values(kafka, topic)) == EXPECTED
    pointer = json.loads(kafka.committed(name, topic)[0][1])
    newest = max(each for each in os.listdir(tmp_path / "c") if each.endswith(".json"))
    assert newest == f"checkpoint-{pointer['n']:08}.json"


def run(kafka, topic: str, name: str, state: Path, rows=ROWS, every: str = "0s", **more):
    """A run whose every step is a checkpoint; the rows come one second at a time."""

    def batches():
        for i in range(0, len(rows), 60):
            yield pa.Table.from_pylist(rows[i : i + 60])

    sink = mt.sinks.Kafka(topic, servers=kafka.servers)
    checkpoint = mt.Checkpoint(state, every=every, **more)
    source = mt.sources.Rows(batches)
    return mt.run(source, windows(), sinks=sink, name=name, checkpoint=checkpoint)


FAILS = {
    "before": lambda real, self, offsets: lost(self),
    "after": lambda real, self, offsets: (real(self, offsets), lost(self)),
    "half": lambda real, self, offsets: (self._flush(), lost(self)),
}


def lost(transaction: Transaction) -> None:
    transaction.give_up()
    raise TransactionLost("a test says so")


@pytest.mark.parametrize("how", FAILS)
def test_a_run_goes_on_after_a_lost_commit(kafka, tmp_path: Path, monkeypatch, how: str) -> None:
    """Not committed, or committed without its knowing: each row stands there once."""
    topic, real, calls = kafka.topic(partitions=2), Transaction.commit, []

    def commit(self, offsets) -> None:
        calls.append(offsets)
        if len(calls) % 3 == 0 and len(calls) < 12:
            FAILS[how](real, self, offsets)
        else:
            real(self, offsets)

    monkeypatch.setattr(Transaction, "commit", commit)
    report = run(kafka, topic, kafka.name("run"), tmp_path / "c")
    assert len(calls) >= 12
    assert counted(values(kafka, topic)) == EXPECTED
    assert report.outputs["rows"] == 20


def test_a_run_that_is_fenced_ends(kafka, tmp_path: Path, monkeypatch) -> None:
    topic, name, real, calls = kafka.topic(), kafka.name("run"), Transaction.commit, []

    def commit(self, offsets) -> None:
        calls.append(offsets)
        if len(calls) == 4:  # while another one is on its way
            copy(tmp_path / "c", tmp_path / "other")
            run(kafka, topic, name, tmp_path / "other")
        real(self, offsets)

    monkeypatch.setattr(Transaction, "commit", commit)
    with pytest.raises(mt.MuntinError, match="another run has taken over"):
        run(kafka, topic, name, tmp_path / "c")
    assert counted(values(kafka, topic)) == EXPECTED


def copy(state: Path, other: Path) -> None:
    """The checkpoints as another machine would have them; not the lock."""
    shutil.copytree(state, other, ignore=shutil.ignore_patterns("in-use"))


MISSING = {
    "no pointer": ("points to no checkpoint", lambda name, state: (name + "-other", state)),
    "no store": ("cannot be used in", lambda name, state: (name, state.parent / "empty")),
}


@pytest.mark.parametrize("what", MISSING)
def test_a_run_without_its_pointer_or_its_checkpoint_does_not_start(
    kafka, tmp_path: Path, what: str
) -> None:
    """The docs say what the two other choices do: begin again, or from the newest checkpoint."""
    topic, name, state = kafka.topic(partitions=1), kafka.name("run"), tmp_path / "c"
    run(kafka, topic, name, state, ROWS[:300])
    before = counted(values(kafka, topic))
    message, change = MISSING[what]
    name, state = change(name, state)
    with pytest.raises(mt.SnapshotError, match=message):
        run(kafka, topic, name, state)
    assert counted(values(kafka, topic)) == before
    run(kafka, topic, name, state, on_missing="fresh")
    assert counted(values(kafka, topic)) == before + EXPECTED


def test_a_checkpoint_that_never_counted_is_not_used(kafka, tmp_path: Path, monkeypatch) -> None:
    """One that waited for its transaction is in the store, but only the transaction says so."""
    topic, name, real, calls = kafka.topic(partitions=1), kafka.name("run"), Transaction.commit, []

    def commit(self, offsets) -> None:
        calls.append(offsets)
        if len(calls) == 1:
            return real(self, offsets)
        self.give_up()
        raise KeyboardInterrupt  # as if the process ended here

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "commit", commit)
        with pytest.raises(KeyboardInterrupt):
            run(kafka, topic, name, tmp_path / "c", ROWS[:120])
    assert any(each.endswith(".json") for each in os.listdir(tmp_path / "c"))
    with pytest.raises(mt.SnapshotError, match="counts only if"):
        mt.run(ROWS, windows(), name=name, checkpoint=tmp_path / "c")
    run(kafka, topic, name, tmp_path / "c")
    assert counted(values(kafka, topic)) == EXPECTED


def test_what_a_source_cannot_decode_goes_into_its_own_sink_in_the_same_transaction(
    kafka, tmp_path: Path
) -> None:
    rows, refused = tmp_path / "rows.jsonl", kafka.topic(partitions=1)
    lines = [json.dumps({**row, "at": row["at"].isoformat()}) for row in ROWS]
    lines[100] = "{"
    rows.write_text("".join(line + "\n" for line in lines))

    class WithBad(mt.sources.JsonLines):
        bad = mt.sinks.Kafka(refused, servers=kafka.servers)

    topic, name = kafka.topic(partitions=1), kafka.name("run")
    sink = mt.sinks.Kafka(topic, servers=kafka.servers)
    invalid: list[mt.Table] = []
    report = mt.run(
        WithBad(rows), windows(), sinks=sink, name=name, checkpoint=tmp_path / "c",
        invalid=mt.sinks.Callback(invalid.append),
    )  # fmt: skip
    (record,) = values(kafka, refused)
    assert (record["input"], record["offset"]) == ("input", 100)
    assert report.invalid == 1 and not invalid
    assert sum(row["n"] for row in values(kafka, topic)) == 599


def test_a_run_does_not_read_what_it_writes(kafka, tmp_path: Path) -> None:
    topic = kafka.topic(partitions=1)
    source = mt.sources.Kafka(f"^{topic}$", servers=kafka.servers, group=kafka.name("group"))
    sink = mt.sinks.Kafka(topic, servers=[kafka.servers])
    with pytest.raises(mt.SinkError, match="would read its own output"):
        mt.run(source, windows(), sinks=sink, once=True, checkpoint=tmp_path / "c")


FLAT = pa.table(
    {
        "at": pa.array([row["at"] for row in ROWS[:50]], pa.timestamp("us")),
        "store": [None if i % 7 == 3 else f'a"{i % 11},\n' for i in range(50)],
        "n": range(50),
    }
)


@pytest.mark.parametrize("format", ["json", "csv", "arrow", "avro"])
@pytest.mark.parametrize("checkpoint", [True, False])
def test_the_source_reads_what_the_sink_wrote(
    kafka, tmp_path: Path, format: str, checkpoint: bool
) -> None:
    topic = kafka.topic(partitions=2)
    sink = mt.sinks.Kafka(topic, servers=kafka.servers, format=format, key="n")
    state = {"checkpoint": tmp_path / "state", "name": kafka.name("run")} if checkpoint else {}
    mt.run(FLAT, stream(), sinks=sink, **state)
    more = {}
    if format == "avro":
        fields = [("at", "local-timestamp-micros"), ("store", None), ("n", None)]
        kinds = {
            "at": {"type": "long", "logicalType": fields[0][1]},
            "store": "string",
            "n": "long",
        }
        named = [{"name": name, "type": ["null", kinds[name]]} for name, _ in fields]
        schema = {"type": "record", "name": "Row", "fields": named}
        more = {"options": {"writer": json.dumps(schema)}}
    read: list = []
    into = mt.sinks.Callback(lambda table: read.extend(table.to_dicts()))
    source = mt.sources.Kafka(
        topic, servers=kafka.servers, group=kafka.name("group"), format=format, **more
    )
    mt.run(source, stream(), sinks=into, once=True, checkpoint=tmp_path / "reader")
    assert sorted(read, key=lambda row: row["n"]) == FLAT.to_pylist()


@pytest.mark.parametrize("checkpoint", [True, False])
def test_rows_are_in_the_partition_that_a_java_client_chooses(
    kafka, tmp_path: Path, checkpoint: bool
) -> None:
    """librdkafka's own murmur2 is the judge: by the columns, not by the key."""
    ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")
    topic, judge = kafka.topic(partitions=5), kafka.topic(partitions=5)
    sink = mt.sinks.Kafka(topic, servers=kafka.servers, key="n", partition_by=["store"])
    state = {"checkpoint": tmp_path / "state", "name": kafka.name("run")} if checkpoint else {}
    rows = [{**row, "store": f"{row['n'] % 37}"} for row in ROWS[:200]]
    mt.run(rows, stream(), sinks=sink, **state)
    producer = ck.Producer({**kafka.client, "partitioner": "murmur2"})
    for row in rows:
        producer.produce(judge, b"", row["store"].encode())
    producer.flush(20)
    expected = {record.key.decode(): record.partition for record in kafka.read(judge)}
    records = [each for each in kafka.read(topic) if each.value]
    found = {json.loads(each.value)["store"]: each.partition for each in records}
    assert found == expected and len(set(found.values())) == 5
    assert len(records) == 200


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"partition_by": 5}, "partition_by=5 is not a list of columns"),
        ({"partition_by": []}, "partition_by=[] is not a list of columns"),
        ({"partition_by": [None]}, "partition_by: None is not a column"),
        ({"format": "xml"}, 'format: "xml" is not one of json, avro, csv, arrow'),
    ],
)
def test_wrong_arguments_are_refused(given: dict, said: str) -> None:
    with pytest.raises(mt.SinkError) as refused:
        mt.sinks.Kafka("scored", servers="127.0.0.1:1", **given)
    assert said in str(refused.value)


def test_a_column_to_partition_by_must_be_there(kafka) -> None:
    topic = kafka.topic(partitions=2)
    sink = mt.sinks.Kafka(topic, servers=kafka.servers, partition_by="shop")
    with pytest.raises(mt.SinkError, match=r'partition_by: there is no column "shop"'):
        mt.run(FLAT, stream(), sinks=sink)
