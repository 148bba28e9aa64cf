"""Messages of each format, from a broker: their rows, and the bad ones among them."""

from __future__ import annotations

from typing import Any

import pytest

from kafka.broker import Kafka
from kafka.reads import source, whole
from test_decode import IPC, ipc

pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

JSON = [b'{"n": 1, "s": "a"}', b'{"n": 2, "more": 1}']
MORE = [("_offset", "i64"), ("_headers", "list[struct[key: str, value: binary]]")]
CASES: list[tuple[str, dict[str, Any], list[bytes], bytes, list[Any]]] = [
    ("json", {}, JSON, b"{", [(1, "a", 1), (2, None, 3)]),
    ("json", {"confluent": True}, [b"\0\0\0\0\7" + each for each in JSON], JSON[0], [(1, "a", 1)]),
    ("csv", {"delimiter": ";"}, [b"1;a", b"2;"], b"x;a", [(1, "a", 1), (2, None, 3)]),
    ("arrow", {}, [ipc(IPC)], b"\xff" * 9, [(1, "a", 1), (2, None, 1)]),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case[0]}{i}" for i, case in enumerate(CASES)])
def test_messages_of_each_format_become_rows(kafka: Kafka, case: tuple[Any, ...]) -> None:
    format, options, good, bad, expected = case
    topic = kafka.topic(1)
    payloads = [bad, good[0], None, *good[1:], bad]
    kafka.produce(topic, [(b"k", payload) for payload in payloads])
    given = {"format": format, "options": options, "bad": "record"}
    found = whole(source(kafka, topic, **given), schema=[("n", "i64"), ("s", "str"), *MORE])
    rows = [(row["n"], row["s"], row["_offset"]) for row in found.rows]
    assert rows[: len(expected)] == expected
    assert [at for _, at in found.places] == [at for _, _, at in rows]
    places = [(each.position, each.payload) for each in found.bad]
    assert places == [(0, bad), (len(payloads) - 1, bad)]
    assert found.resume == {0: len(payloads)}


def test_messages_of_protocol_buffers_become_rows(kafka: Kafka) -> None:
    pytest.importorskip("ptars", reason="not installed: ptars")
    from test_decode_protobuf import Payment, payment

    topic = kafka.topic(1)
    kafka.produce(topic, [(b"k", payment(1)), (b"k", b"\xff"), (b"k", None), (b"k", payment(2))])
    options = {"message": Payment}
    from_topic = source(kafka, topic, format="protobuf", options=options, bad="record")
    words = [("id", "i64"), ("at", "timestamp[us, UTC]"), ("_key", "binary"), ("_offset", "i64")]
    found = whole(from_topic, schema=words)
    assert [(row["id"], row["_key"], row["_offset"]) for row in found.rows] == [
        (1, b"k", 0),
        (2, b"k", 3),
    ]
    assert [(each.position, each.payload) for each in found.bad] == [(1, b"\xff")]
    assert found.resume == {0: 4}
