"""Apache Kafka for tests: a broker on loopback, and what a test asks of it."""

from __future__ import annotations

from kafka.broker.client import Kafka, Record
from kafka.broker.jars import missing
from kafka.broker.process import Broker, shared
from kafka.broker.proxy import Proxy

__all__ = ["Broker", "Kafka", "Proxy", "Record", "missing", "shared"]
