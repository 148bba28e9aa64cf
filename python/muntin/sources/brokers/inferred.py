"""`schema="infer"`: the columns that the first messages of JSON have."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from muntin.base.errors import SourceError, with_hint
from muntin.clients.kafka import Client
from muntin.clients.kafka.library import library
from muntin.sources.brokers.offsets import Place
from muntin.sources.decode.decoded import Roles
from muntin.sources.decode.fitting import schema_of
from muntin.sources.decode.objects import NotAnObject, object_of

_MESSAGES = 1_000
_WAIT_S = 10.0


def inferred_schema(
    client: Client, settings: Mapping[str, Any], offsets: Mapping[Place, int]
) -> Any:
    """The schema of the first messages at or after these offsets, as a `pyarrow` schema.

    Raises:
        SourceError: there are no messages, or none of them is a JSON object.
    """
    rows = []
    for payload in _first(client, settings, offsets):
        try:
            rows.append(object_of(payload))
        except NotAnObject:
            continue
    if not rows:
        hint = 'name the columns: schema={"at": "timestamp[us, UTC]", "amount": "f64"}'
        message = f'Kafka: schema="infer": no JSON object came within {_WAIT_S:.0f} s'
        raise SourceError(with_hint(message, hint))
    return schema_of(rows, Roles(), "Kafka")


def _first(
    client: Client, settings: Mapping[str, Any], offsets: Mapping[Place, int]
) -> list[bytes]:
    """The first payloads, of all partitions together."""
    one = library(client.place).TopicPartition
    consumer = client.consumer(settings)
    found: list[bytes] = []
    until = time.monotonic() + _WAIT_S
    ended: set[Place] = set()
    try:
        consumer.assign([one(*place, at) for place, at in offsets.items()])
        while len(found) < _MESSAGES and time.monotonic() < until:
            for message in consumer.consume(_MESSAGES, 0.1):
                if message.error() is None:
                    ended.discard((message.topic(), message.partition()))
                    if (payload := message.value()) is not None:
                        found.append(payload)
                else:
                    ended.add((message.topic(), message.partition()))
            if found and len(ended) == len(offsets):
                break
    finally:
        consumer.close()
    return found[:_MESSAGES]
