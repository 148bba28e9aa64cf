"""A process that lost its partitions cannot commit for them; without its generation it could."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest

import muntin as mt
from kafka.broker import Kafka
from muntin.base.errors import CommitLost
from muntin.clients.kafka.member import Member, generation_of
from muntin.clients.kafka.transaction import Offset, Transaction

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")


def until(what: Callable[[], bool], *consumers: Any) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        for each in consumers:
            each.consume(1, 0.1)


@contextmanager
def member(kafka: Kafka, group: str, topic: str) -> Iterator[tuple[Any, Member, list[int]]]:
    """A consumer in the group, its membership, and the partitions that it has."""
    own: list[int] = []

    def assigned(consumer: Any, partitions: list[Any]) -> None:
        consumer.incremental_assign(partitions)
        own.extend(each.partition for each in partitions)

    def left(consumer: Any, partitions: list[Any]) -> None:
        consumer.incremental_unassign(partitions)
        for each in partitions:
            own.remove(each.partition)

    settings = {"group.id": group, "partition.assignment.strategy": "cooperative-sticky"}
    consumer = ck.Consumer({**kafka.client, **settings, "enable.auto.commit": False})
    with closing(consumer):
        consumer.subscribe([topic], on_assign=assigned, on_revoke=left)
        yield consumer, Member(consumer, group), own


def test_a_commit_of_an_earlier_generation_is_refused(kafka: Kafka) -> None:
    source, target, group = kafka.topic(2), kafka.topic(1), kafka.name("group")

    def commit(offset: int, named: Callable[[], bytes] | None) -> None:
        sink = mt.sinks.Kafka(target, servers=kafka.servers)
        with closing(sink.transaction(kafka.name("id"), 20.0)) as transaction:
            transaction.start([target], (group, Offset(source, 0, 0)))
            transaction.send(target, b"row", None)
            transaction.commit({group: [Offset(source, 0, offset)]}, named)

    def committed() -> int:
        with closing(Transaction(sink_client(kafka), kafka.name("id"), 20.0)) as transaction:
            found = transaction.committed(group, source, 0)
        return -1 if found is None else found.offset

    with member(kafka, group, source) as (first, zombie, own):
        until(lambda: len(own) == 2, first)
        before = zombie.metadata()
        commit(1, lambda: before)
        with member(kafka, group, source) as (second, _, others):
            until(lambda: len(others) == 1 and len(own) == 1, first, second)
            assert generation_of(zombie.metadata()) > generation_of(before)
            with pytest.raises(CommitLost, match="send_offsets_to_transaction"):
                commit(2, lambda: before)
            assert (committed(), len(kafka.read(target))) == (1, 1)
            # the control: a commit that names no member does the damage
            commit(3, None)
            assert (committed(), len(kafka.read(target))) == (3, 2)
    with pytest.raises(CommitLost):
        zombie.metadata()


def sink_client(kafka: Kafka) -> Any:
    return mt.sinks.Kafka("any", servers=kafka.servers)._client


def test_a_member_without_a_generation_commits_nothing(kafka: Kafka) -> None:
    consumer = ck.Consumer({**kafka.client, "group.id": kafka.name("group")})
    with closing(consumer), pytest.raises(CommitLost, match="is not a member of group"):
        Member(consumer, "fraud").metadata()


def test_a_member_that_lost_partitions_commits_nothing(kafka: Kafka) -> None:
    topic, group = kafka.topic(1), kafka.name("group")
    with member(kafka, group, topic) as (consumer, found, own):
        until(lambda: bool(own), consumer)
        assert generation_of(found.metadata()) >= 0
        found.lose("they were taken away")
        with pytest.raises(CommitLost, match="they were taken away"):
            found.metadata()


def test_a_commit_that_asked_before_a_callback_gets_its_answer() -> None:
    form = b"CGMDv2:" + (7).to_bytes(4, sys.byteorder)
    asked, ended = threading.Event(), threading.Event()

    class Consumer:
        """Lets all threads wait but that of the callback, as librdkafka does."""

        def consumer_group_metadata(self) -> bytes:
            if threading.current_thread() is threading.main_thread():
                return form
            asked.set()
            assert ended.wait(30)
            return b"too late"

    member = Member(Consumer(), "group")
    with ThreadPoolExecutor() as pool:
        commit = pool.submit(member.metadata)
        assert asked.wait(30)
        with member.within_callback():
            assert commit.result(30) == form
            assert pool.submit(member.metadata).result(30) == form
        ended.set()
