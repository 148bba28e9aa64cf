"""Messages of Protocol Buffers become rows of the columns that a user declares."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import muntin as mt
from muntin.sources.decode.messages import decoder_of
from test_records import Message, take

pytest.importorskip("ptars")
pb = pytest.importorskip("google.protobuf.descriptor_pb2")
from google.protobuf import duration_pb2, message_factory, timestamp_pb2  # noqa: E402
from google.protobuf.descriptor_pool import DescriptorPool  # noqa: E402

TIME, DURATION = ".google.protobuf.Timestamp", ".google.protobuf.Duration"


def classes() -> tuple[Any, Any]:
    """Of the messages `Payment`, the second of its file, and `Payment.Place` in it."""
    kinds = pb.FieldDescriptorProto
    imports = ["google/protobuf/timestamp.proto", "google/protobuf/duration.proto"]
    file = pb.FileDescriptorProto(name="pay.proto", syntax="proto3", dependency=imports)
    card = file.enum_type.add(name="Kind")
    card.value.add(name="NONE", number=0)
    card.value.add(name="CARD", number=1)
    file.message_type.add(name="Other")
    payment = file.message_type.add(name="Payment")
    place = payment.nested_type.add(name="Place")
    place.field.add(name="lat", number=1, type=kinds.TYPE_DOUBLE, label=1)
    place.field.add(name="seen", number=2, type=kinds.TYPE_MESSAGE, type_name=TIME, label=1)
    fields = [
        ("id", kinds.TYPE_INT64, None, 1),
        ("card", kinds.TYPE_STRING, None, 1),
        ("at", kinds.TYPE_MESSAGE, TIME, 1),
        ("kind", kinds.TYPE_ENUM, ".Kind", 1),
        ("tags", kinds.TYPE_STRING, None, 3),
        ("took", kinds.TYPE_MESSAGE, DURATION, 1),
        ("place", kinds.TYPE_MESSAGE, ".Payment.Place", 1),
        ("places", kinds.TYPE_MESSAGE, ".Payment.Place", 3),
    ]
    for number, (name, kind, type_name, label) in enumerate(fields, 1):
        payment.field.add(name=name, number=number, type=kind, type_name=type_name, label=label)
    pool = DescriptorPool()
    for known in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    found = [pool.FindMessageTypeByName(name) for name in ("Payment", "Payment.Place")]
    payment_class, place_class = map(message_factory.GetMessageClass, found)
    return payment_class, place_class


Payment, Place = classes()
WORDS = {"id": "i64", "card": "str", "at": "timestamp[us, UTC]"}


def payment(id: int = 0, seconds: int = 10, **more: Any) -> bytes:
    made = Payment(id=id, card=f"c{id}", **more)
    made.at.seconds = seconds
    return bytes(made.SerializeToString())


def test_messages_become_rows_of_the_declared_columns() -> None:
    made = Payment(id=7, kind=1, tags=["x", "y"])
    made.at.seconds, made.at.nanos, made.took.seconds, made.place.lat = 10, 500_000_000, 60, 1.5
    words = {"took": "duration[us]", "tags": "list[str]", "kind": "str", "at": "timestamp[ms]"}
    words |= {"id": "i32", "place": "struct[lat: f64]"}
    found = mt.decode("protobuf", words, [made.SerializeToString()], message=Payment)
    assert found.schema == words
    (row,) = found.rows.to_dicts()
    assert (row["id"], row["kind"], row["tags"]) == (7, "CARD", ["x", "y"])
    assert row["place"] == {"lat": 1.5}
    assert (row["took"].seconds, row["at"].microsecond) == (60, 500_000)
    assert mt.decode("protobuf", words, [b""], message=Payment.DESCRIPTOR).rows[
        "id"
    ].to_pylist() == [0]


def test_a_message_declares_its_own_schema() -> None:
    found = mt.decode("protobuf", "infer", [payment(1)], message=Payment)
    assert found.schema["at"] == "timestamp[us, UTC]"
    assert found.schema["places"] == "list[struct[lat: f64, seen: timestamp[us, UTC]]]"
    assert len(found.rows) == 1


BAD = [
    (b"\xff\xff\xff", "it is not a message of Protocol Buffers: "),
    (payment(1)[:-1], "it is not a message of Protocol Buffers: "),
    (b"\x12\x02\xff\xfe", "it is not a message of Protocol Buffers: invalid UTF-8"),
    (payment(1, seconds=253402300799), 'column "at" has a time or duration beyond'),
    (payment(2**40), 'column "id" does not fit i32: 1099511627776 is beyond its range'),
    (payment(1) + b"\x08\x00" * 200, "it has 410 bytes, more than bytes_max=400"),
]


@pytest.mark.parametrize("case", BAD, ids=[case[1][:40] for case in BAD])
def test_bad_messages_are_found_by_halving(case: tuple[bytes, str]) -> None:
    messages = [payment(1), None, case[0], payment(2), payment(3), case[0], case[0]]
    words = WORDS | {"id": "i32"}
    for tombstones in (False, True):
        options = {"message": Payment, "bytes_max": 400, "tombstones": tombstones}
        found = mt.decode("protobuf", words, messages, **options)
        null = [None] if tombstones else []
        assert found.rows["id"].to_pylist() == [1, *null, 2, 3]
        assert found.ordinals == ([0, 1, 3, 4] if tombstones else [0, 3, 4])
        assert found.bad["ordinal"].to_pylist() == [2, 5, 6]
        assert all(text.startswith(case[1]) for text in found.bad["detail"].to_pylist())
        assert found.tombstones == 1


def test_a_nested_time_beyond_the_range_is_bad() -> None:
    inside = Payment(id=1)
    inside.places.add(lat=1.0)
    inside.places.add().seen.seconds = -(10**11)
    messages = [payment(5), inside.SerializeToString()]
    words = {"id": "i64", "places": "list[struct[seen: timestamp[us]]]"}
    found = mt.decode("protobuf", words, messages, message=Payment)
    assert (found.rows["id"].to_pylist(), found.bad["ordinal"].to_pylist()) == ([5], [1])


@given(st.lists(st.none() | st.binary(max_size=6) | st.integers(0, 99).map(payment), max_size=9))
@settings(deadline=None)
def test_each_message_is_decoded_alone(messages: list[bytes | None]) -> None:
    together = mt.decode("protobuf", WORDS, messages, message=Payment)
    rows, ordinals = [], []
    for at, each in enumerate(messages):
        alone = mt.decode("protobuf", WORDS, [each], message=Payment)
        rows += alone.rows.to_dicts()
        ordinals += [at] * len(alone.rows)
    assert (together.rows.to_dicts(), together.ordinals) == (rows, ordinals)
    assert len(rows) + len(together.bad) + together.tombstones == len(messages)


PREFIXES = [
    (b"\x00\x00\x00\x00\x07\x02\x02", ""),
    (b"\x00\x00\x00\x00\x07\x00", "it is of another type of its file: [0], not [1]"),
    (b"\x00\x00\x00\x00\x07\x04\x02\x00", "it is of another type of its file: [1, 0], not [1]"),
    (b"\x01\x00\x00\x00\x07\x00", "its first byte is 1"),
    (b"\x00\x00", "it has 2 bytes, fewer than the prefix"),
    (b"\x00\x00\x00\x00\x07\x02\xff", "the prefix of a schema registry is cut"),
]


@pytest.mark.parametrize("case", PREFIXES)
def test_confluents_prefix_names_the_type_in_its_file(case: tuple[bytes, str]) -> None:
    prefix, detail = case
    body = payment(1) if len(prefix) > 5 and b"\xff" not in prefix else b""
    found = mt.decode("protobuf", WORDS, [prefix + body], message=Payment, confluent=True)
    assert len(found.rows) == (not detail)
    assert all(text.startswith(detail) for text in found.bad["detail"].to_pylist())
    inner = b"\x00\x00\x00\x00\x07\x04\x02\x00" + Place(lat=1.5).SerializeToString()
    found = mt.decode("protobuf", {"lat": "f64"}, [inner], message=Place, confluent=True)
    assert found.rows["lat"].to_pylist() == [1.5]


REFUSED: list[tuple[Any, ...]] = [
    (mt.PlanError, "protobuf needs message=, got None", WORDS, {}),
    (mt.PlanError, "protobuf needs message=, got 5", WORDS, {"message": 5}),
    (mt.PlanError, 'unknown option of protobuf "rest"', WORDS, {"message": Payment, "rest": True}),
    (mt.SchemaError, 'unknown field of the message "crd"', {"crd": "str"}, {"message": Payment}),
    (mt.SchemaError, 'column "card" is str in the message', {"card": "i64"}, {"message": Payment}),
]


@pytest.mark.parametrize("case", REFUSED, ids=[case[1] for case in REFUSED])
def test_wrong_arguments_are_refused(case: tuple[Any, ...]) -> None:
    kind, text, words, options = case
    with pytest.raises(kind, match=text):
        mt.decode("protobuf", words, [], **options)


def test_without_ptars_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ptars", None)
    with pytest.raises(mt.MissingExtra, match=r'pip install "muntin\[protobuf\]"'):
        mt.decode("protobuf", WORDS, [], message=Payment)


def test_messages_of_a_broker_become_rows() -> None:
    messages: list[Any] = [
        Message(payment(1), 10),
        Message(None, -1),
        Message(b"\xff", 11, partition=3),
        Message(None, 16),
        Message(payment(2), 12, topic="u"),
    ]
    for tombstones in (False, True):
        options = {"message": Payment, "tombstones": tombstones}
        decoder = decoder_of("protobuf", WORDS, "Kafka", options)
        taken = take(decoder, messages, ["_offset", "_key"])
        rows = pa.table(taken.batch)
        assert rows.schema.names == [*WORDS, "_offset", "_key"]
        null = [16] if tombstones else []
        assert rows["_offset"].to_pylist() == [10, *null, 12]
        assert pa.table(taken.offsets).column(0).to_pylist() == [10, *null, 12]
        assert taken.next == {("t", 0): 17, ("t", 3): 12, ("u", 0): 13}
        ((topic, partition, offset, payload, at, detail),) = taken.bad
        assert (topic, partition, offset, payload, at) == ("t", 3, 11, b"\xff", None)
        assert detail.startswith("it is not a message of Protocol Buffers")
        assert taken.tombstones == 1
