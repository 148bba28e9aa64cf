"""Sinks for rows and alerts."""

from typing import TYPE_CHECKING, Never

from muntin.base.missing import NOT_YET, missing
from muntin.sinks.base import Durable, Sink
from muntin.sinks.callback import Callback
from muntin.sinks.channels.email import Email
from muntin.sinks.channels.webhook import Webhook, verify
from muntin.sinks.console import Console
from muntin.sinks.databases.sqlite import Sqlite
from muntin.sinks.files.csv import Csv
from muntin.sinks.files.jsonlines import JsonLines
from muntin.sinks.files.parquet import Parquet
from muntin.sinks.topics.kafka import Kafka

__all__ = [
    "Callback",
    "Console",
    "Csv",
    "Durable",
    "Email",
    "JsonLines",
    "Kafka",
    "Parquet",
    "Sink",
    "Sqlite",
    "Webhook",
    "verify",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Never:
        raise missing("muntin.sinks", name, __all__, not_yet=NOT_YET["muntin.sinks"])
