"""Sources of rows."""

from typing import TYPE_CHECKING, Never

from muntin.base.missing import NOT_YET, missing
from muntin.sources.base import Added, Delivery, Lag, Quiet, Reader, Source, Undecodable
from muntin.sources.brokers.kafka import Kafka
from muntin.sources.deliveries.pace import Clock, Pace
from muntin.sources.files.csv import Csv
from muntin.sources.files.jsonlines import JsonLines
from muntin.sources.files.parquet import Parquet
from muntin.sources.given import Given, source_of
from muntin.sources.memory.arrow import Arrow
from muntin.sources.memory.rows import Rows

__all__ = [
    "Added",
    "Arrow",
    "Clock",
    "Csv",
    "Delivery",
    "Given",
    "JsonLines",
    "Kafka",
    "Lag",
    "Pace",
    "Parquet",
    "Quiet",
    "Reader",
    "Rows",
    "Source",
    "Undecodable",
    "source_of",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Never:
        raise missing("muntin.sources", name, __all__, not_yet=NOT_YET["muntin.sources"])
