"""Shows a run while it goes on: the page, and the pace of a replay."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import muntin as mt
from muntin.monitor.dashboard import serve

if TYPE_CHECKING:
    from muntin.monitor.dashboard.page import Page

PORT = 8080
"""The default port of the page, if it is free."""


def page(port: int | None) -> AbstractContextManager[Page | None]:
    """The page on a port of this machine, for as long as the context lasts; none for None.

    Raises:
        MissingExtra: the page cannot be shown here.
        SinkError: the port is taken.
    """
    return nullcontext() if port is None else closing(serve(port))


def free_port() -> int:
    """The usual port, or 0 for any free one if it is taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
    return PORT


def has_page() -> bool:
    """True if the packages that serve the page are installed."""
    return all(find_spec(name) for name in ("starlette", "uvicorn", "prometheus_client"))


def paced(tables: Mapping[str, Any], speed: float) -> dict[str, mt.Source]:
    """Sources that deliver rows as they arrived, `speed` times faster."""
    pace = mt.sources.Pace(speed)
    return {
        name: mt.sources.Arrow(table, arrival="arrived", speed=pace)
        for name, table in tables.items()
    }
