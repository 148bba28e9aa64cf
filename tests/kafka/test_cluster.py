"""What muntin reads of a cluster: its id, topics and their ids, partitions, offsets."""

from __future__ import annotations

import pytest

import muntin as mt
from kafka.broker import Kafka
from muntin.clients.kafka import Client, Cluster


@pytest.fixture
def cluster(kafka: Kafka) -> Cluster:
    return Cluster(Client(kafka.servers), 20)


def test_topics_have_ids_and_partitions(kafka: Kafka, cluster: Cluster) -> None:
    first, second = kafka.topic(partitions=3), kafka.topic(partitions=1)
    found = cluster.topics([first, "no-such-topic", second])
    assert {name: topic.partitions for name, topic in found.items()} == {
        first: (0, 1, 2),
        second: (0,),
    }
    assert len({topic.id for topic in found.values()} - {""}) == 2
    assert cluster.id == Cluster(Client(kafka.servers), 20).id != ""
    assert cluster.topics([]) == cluster.offsets([], "latest") == {}


def test_topics_are_found_by_a_regular_expression(kafka: Kafka, cluster: Cluster) -> None:
    start = kafka.name("re")
    names = [kafka.topic(1, name=f"{start}.{end}") for end in ("b", "a")]
    assert cluster.matching(f"^{start}\\.[ab]$") == sorted(names)
    assert not [name for name in cluster.matching("^.*") if name.startswith("__")]


def test_offsets_of_ends_and_times(kafka: Kafka, cluster: Cluster) -> None:
    topic = kafka.topic(partitions=2)
    kafka.produce(topic, [(None, b"x", 0, time) for time in (1_000, 2_000, 3_000)])
    both = [(topic, 0), (topic, 1)]
    assert cluster.offsets(both, "earliest") == {both[0]: 0, both[1]: 0}
    assert cluster.offsets(both, "latest") == {both[0]: 3, both[1]: 0}
    assert cluster.offsets(both, "committed") == {both[0]: 3, both[1]: 0}
    assert cluster.offsets(both, 1_500) == {both[0]: 1, both[1]: None}
    assert cluster.offsets(both, 9_000) == {both[0]: None, both[1]: None}


def test_a_partition_that_does_not_exist_is_told(kafka: Kafka) -> None:
    cluster = Cluster(Client(kafka.servers), 0.5)
    with pytest.raises(mt.SourceError, match="the offsets cannot be read"):
        cluster.offsets([(kafka.topic(1), 7)], "latest")
