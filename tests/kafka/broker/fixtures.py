"""Fixtures for tests that need a broker; `tests/conftest.py` offers them to all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kafka.broker import Broker, Kafka, missing, shared


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A cluster that tests share: the one at `KAFKA_BOOTSTRAP`, or one that is started here.

    Topics, groups and transactional ids must have names of their own: see `Kafka.name`.
    """
    if servers := os.environ.get("KAFKA_BOOTSTRAP"):
        pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")
        yield Kafka(servers)
        return
    _skip_if_missing()
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent  # all workers of a run share it
    with shared(place / "kafka") as cluster:
        yield cluster


@pytest.fixture
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Broker]]:
    """Starts brokers that a test has for itself, to kill, pause and start again.

    Keywords are settings of server.properties, with underscores for dots.
    """
    _skip_if_missing()
    started: list[Broker] = []

    def start(**settings: Any) -> Broker:
        broker = Broker(tmp_path_factory.mktemp("broker"), **settings)
        started.append(broker)
        return broker

    yield start
    for broker in started:
        broker.close()


def _skip_if_missing() -> None:
    if reason := missing():
        pytest.skip(reason)
