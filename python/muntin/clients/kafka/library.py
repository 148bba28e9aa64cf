"""Imports confluent-kafka when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from muntin.base.errors import MissingExtra, with_hint

OLDEST = (2, 14)
"""Earlier versions lose partitions when a group's assignment changes during a commit."""


def library(place: str) -> Any:
    """The package `confluent_kafka`.

    Raises:
        MissingExtra: it is not installed, or too old.

    >>> library("Kafka").__name__
    'confluent_kafka'
    """
    hint = 'pip install "muntin[kafka]"'
    try:
        found = import_module("confluent_kafka")
        import_module("confluent_kafka.admin")
    except ModuleNotFoundError as error:
        raise MissingExtra(with_hint(f"{place} needs confluent-kafka", hint)) from error
    except ImportError as error:
        message = f"{place} needs confluent-kafka, which cannot be loaded: {error}"
        raise MissingExtra(with_hint(message, hint)) from error
    version = str(found.__version__)
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        message = f"{place} needs confluent-kafka {OLDEST[0]}.{OLDEST[1]} or newer, got {version}"
        raise MissingExtra(with_hint(message, f"{hint} --upgrade"))
    return found
