"""Makes the topics of the demo, removes them, and reads back what was committed to them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from muntin.base.errors import SourceError
from muntin.clients.kafka import Client, Cluster
from muntin.clients.kafka.errors import name_of
from muntin.clients.kafka.library import library
from muntin.commands.demo.kafka.names import KEYS, Names
from muntin.commands.demo.pipeline import OUTPUTS

_PLACE = "demo"
_CONNECT_S = 20.0
_RETENTION_MS = 24 * 3600 * 1000
_LIST = 1_000
_POLL_S = 0.1


class Topics:
    """The topics of one demo."""

    def __init__(self, names: Names) -> None:
        """Connect.

        Raises:
            SourceError: no broker answers.
            MissingExtra: confluent-kafka is not installed.
        """
        self._names = names
        self._client = Client(names.servers, None, _PLACE, error=SourceError)
        self._cluster = Cluster(self._client, _CONNECT_S)
        self._admin = self._client.admin()

    def make(self) -> None:
        """Make them; they empty themselves after a day if the demo cannot remove them.

        Raises:
            SourceError: a broker refuses.
        """
        new = library(_PLACE).admin.NewTopic
        config = {"retention.ms": str(_RETENTION_MS)}
        wanted = [new(name, count, config=config) for name, count in self._names.topics().items()]
        for future in self._admin.create_topics(wanted, operation_timeout=_CONNECT_S).values():
            try:
                future.result(_CONNECT_S)
            except Exception as error:
                raise self._client.failed("a topic cannot be made", error) from error

    def remove(self) -> None:
        """Remove them, as far as the brokers do it."""
        for future in self._admin.delete_topics(list(self._names.topics())).values():
            try:
                future.result(_CONNECT_S)
            except Exception as error:
                if name_of(error) != "UNKNOWN_TOPIC_OR_PART":
                    print(f"a topic was not removed: {self._client.text(error)}")

    def unread(self) -> int:
        """How many events the run has not committed yet."""
        places = [
            (self._names.topic(name), number)
            for name in KEYS
            for number in range(self._names.topics()[self._names.topic(name)])
        ]
        one = library(_PLACE).TopicPartition
        group = self._client.consumer({"group.id": self._names.prefix})
        try:
            done = {
                (each.topic, each.partition): max(each.offset, 0)
                for each in group.committed([one(*place) for place in places], timeout=_CONNECT_S)
            }
        except Exception as error:
            raise self._client.failed("the offsets cannot be read", error) from error
        finally:
            group.close()
        ends = self._cluster.offsets(places, "latest")
        return sum(max((ends[place] or 0) - done.get(place, 0), 0) for place in places)


class Results:
    """Reads outputs and alerts as any reader of committed records does, and counts them."""

    def __init__(self, names: Names) -> None:
        """Begin at the first record."""
        client = Client(names.servers, None, _PLACE, error=SourceError)
        own: dict[str, Any] = {
            "group.id": f"{names.prefix}.reader",
            "isolation.level": "read_committed",
        }
        own |= {"enable.auto.commit": False, "allow.auto.create.topics": False}
        self._consumer = client.consumer(own)
        self._outputs = {names.topic(name): name for name in (*OUTPUTS, "alerts")}
        one = library(_PLACE).TopicPartition
        self._consumer.assign([one(topic, 0, 0) for topic in self._outputs])
        self.counts: Counter[str] = Counter()
        """Records by output, with the alerts as "alerts"."""
        self.alerts: dict[str, Mapping[str, Any]] = {}
        """The alerts by their id."""

    def read(self) -> Iterator[Mapping[str, Any]]:
        """The alerts that came since; waits a little if there is nothing."""
        for message in self._consumer.consume(_LIST, _POLL_S):
            if message.error() is not None:
                continue
            name = self._outputs[message.topic()]
            self.counts[name] += 1
            if name == "alerts":
                alert = json.loads(message.value())
                self.alerts[alert["id"]] = alert
                yield alert

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()
