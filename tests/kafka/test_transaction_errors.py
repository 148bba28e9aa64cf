"""Each error that a broker may answer within a transaction: repeated, or a lost transaction.

Never an error of the client, never a call that does not return; and a lost transaction is followed
by one that commits. Answers come from a mock, which knows requests but not what readers see.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import muntin as mt
from kafka.broker.mock import ADD_OFFSETS, ADD_PARTITIONS, END, INIT, OFFSETS, PRODUCE, Mock
from muntin.clients.kafka.transaction import Offset, Transaction, TransactionLost

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

REQUESTS = {
    "init": INIT,
    "produce": PRODUCE,
    "add partitions": ADD_PARTITIONS,
    "add offsets": ADD_OFFSETS,
    "offsets": OFFSETS,
    "end": END,
}
COORDINATOR = "NOT_COORDINATOR COORDINATOR_NOT_AVAILABLE COORDINATOR_LOAD_IN_PROGRESS"
PASSES = {  # what is repeated until it works
    "init": f"{COORDINATOR} CONCURRENT_TRANSACTIONS REQUEST_TIMED_OUT _TRANSPORT UNKNOWN",
    "produce": "REQUEST_TIMED_OUT KAFKA_STORAGE_ERROR NOT_ENOUGH_REPLICAS "
    "UNKNOWN_TOPIC_OR_PART NOT_LEADER_FOR_PARTITION",
    "add partitions": f"{COORDINATOR} CONCURRENT_TRANSACTIONS _TRANSPORT UNKNOWN_TOPIC_OR_PART",
    "add offsets": f"{COORDINATOR} CONCURRENT_TRANSACTIONS REQUEST_TIMED_OUT _TRANSPORT",
    "offsets": f"{COORDINATOR} REQUEST_TIMED_OUT _TRANSPORT UNKNOWN_TOPIC_OR_PART",
    "end": f"{COORDINATOR} CONCURRENT_TRANSACTIONS _TRANSPORT",
}
FENCED = "INVALID_PRODUCER_EPOCH PRODUCER_FENCED TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
BROKEN = f"{FENCED} INVALID_PRODUCER_ID_MAPPING INVALID_TXN_STATE UNKNOWN"
LOSES = {
    "init": f"{FENCED} CLUSTER_AUTHORIZATION_FAILED",
    "produce": "INVALID_PRODUCER_EPOCH OUT_OF_ORDER_SEQUENCE_NUMBER UNKNOWN_PRODUCER_ID "
    "MSG_SIZE_TOO_LARGE TOPIC_AUTHORIZATION_FAILED UNKNOWN",
    "add partitions": f"{BROKEN} REQUEST_TIMED_OUT TOPIC_AUTHORIZATION_FAILED",
    "add offsets": f"{BROKEN} GROUP_AUTHORIZATION_FAILED",
    "offsets": f"{BROKEN} ILLEGAL_GENERATION UNKNOWN_MEMBER_ID FENCED_INSTANCE_ID "
    "OFFSET_METADATA_TOO_LARGE GROUP_AUTHORIZATION_FAILED",
    "end": f"{BROKEN} REQUEST_TIMED_OUT",
}
CASES = [
    (request, error, passes)
    for passes, table in ((True, PASSES), (False, LOSES))
    for request, errors in table.items()
    for error in errors.split()
]


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    mock = Mock()
    yield mock
    mock.close()


def commit_one(ours: Transaction, topic: str) -> None:
    ours.send(topic, b"row", None)
    ours.commit({"group": [Offset(topic, 0, 1)]})


def start(ours: Transaction, topic: str) -> None:
    ours.start([topic], ("group", Offset(topic, 0, 0)))


@pytest.mark.slow
@pytest.mark.parametrize(("request_", "error", "passes"), CASES)
def test_an_error_is_repeated_or_loses_the_transaction(
    mock: Mock, request_: str, error: str, passes: bool
) -> None:
    code = getattr(ck.KafkaError, error)
    name = f"{request_.replace(' ', '-')}-{error}"
    topic = mock.topic(name)
    ours = mt.sinks.Kafka(topic, servers=mock.servers).transaction(name, 4.0)
    kind = REQUESTS[request_]
    if kind != INIT:
        start(ours, topic)
    mock.fail(kind, code, 1)
    if passes:
        if kind == INIT:
            start(ours, topic)
        commit_one(ours, topic)
    else:
        with pytest.raises(TransactionLost):
            if kind == INIT:
                start(ours, topic)
            commit_one(ours, topic)
    mock.heal(kind)
    start(ours, topic)
    commit_one(ours, topic)
    ours.close()


@pytest.mark.slow
def test_a_call_that_never_returns_is_left_behind(mock: Mock) -> None:
    """The client waits for ever for offsets if a connection is lost at the wrong moment."""
    topic = mock.topic("stuck")
    ours = mt.sinks.Kafka(topic, servers=mock.servers).transaction("stuck", 4.0)
    start(ours, topic)
    mock.fail(PRODUCE, ck.KafkaError._TRANSPORT, 1)
    began = time.monotonic()
    try:
        commit_one(ours, topic)
    except TransactionLost as error:
        assert "did not return" in str(error)
    assert time.monotonic() - began < 20
    mock.heal(PRODUCE)
    start(ours, topic)
    commit_one(ours, topic)
    ours.close()


@pytest.mark.parametrize("request_", [None, "add offsets", "offsets", "end"])
def test_a_producer_that_repeated_a_request_in_silence_is_replaced(
    mock: Mock, request_: str | None
) -> None:
    """The client says that all is well; the request may come once more, in the next transaction."""
    name = f"silent-{request_}".replace(" ", "-")
    topic = mock.topic(name)
    ours = mt.sinks.Kafka(topic, servers=mock.servers).transaction(name, 8.0)
    start(ours, topic)
    before = ours._producer
    if request_ is not None:
        mock.fail(REQUESTS[request_], ck.KafkaError._TRANSPORT, 1)
    commit_one(ours, topic)
    assert ours._producer is before
    for _ in range(3):
        commit_one(ours, topic)
        if request_ is None:
            assert ours._producer is before
    assert (ours._producer is before) == (request_ is None)
    ours.close()
