"""Where rows come from."""

from muntin.sources.arrow import Arrow
from muntin.sources.base import Delivery, Quiet, Reader, Source, Undecodable
from muntin.sources.jsonlines import JsonLines
from muntin.sources.parquet import Parquet

__all__ = [
    "Arrow",
    "Delivery",
    "JsonLines",
    "Parquet",
    "Quiet",
    "Reader",
    "Source",
    "Undecodable",
]
