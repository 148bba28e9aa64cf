"""Apache Kafka for tests: a broker on loopback, and what a test asks of it."""

from __future__ import annotations

from .client import Kafka, Record
from .jars import missing
from .process import Broker, shared
from .proxy import Proxy

__all__ = ["Broker", "Kafka", "Proxy", "Record", "missing", "shared"]
