"""Where rows and alerts go."""

from typing import TYPE_CHECKING, Never

from muntin.missing import NOT_YET, missing
from muntin.sinks.base import Durable, Sink
from muntin.sinks.callback import Callback
from muntin.sinks.console import Console
from muntin.sinks.csv import Csv
from muntin.sinks.email import Email
from muntin.sinks.jsonlines import JsonLines
from muntin.sinks.parquet import Parquet
from muntin.sinks.sqlite import Sqlite
from muntin.sinks.webhook import Webhook, verify

__all__ = [
    "Callback",
    "Console",
    "Csv",
    "Durable",
    "Email",
    "JsonLines",
    "Parquet",
    "Sink",
    "Sqlite",
    "Webhook",
    "verify",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Never:
        raise missing("muntin.sinks", name, __all__, not_yet=NOT_YET["muntin.sinks"])
