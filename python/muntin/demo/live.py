"""What shows a run while it goes on: the page, a webhook, a pace. Whatever is there is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import muntin as mt
from muntin.errors import MissingExtra, PlanError, with_hint

PORT = 8080
"""Where the page is unless told otherwise."""


def page(port: int | None) -> dict[str, Any]:
    """The arguments of `mt.run` that put the page up on a port; none for None.

    Raises:
        MissingExtra: the page cannot be shown here.
    """
    if port is None:
        return {}
    if not has_page():
        hint = 'pip install "muntin[dashboard]"'
        raise MissingExtra(with_hint(f"--port {port}: the page is not installed", hint))
    return {"dashboard": f":{port}"}


def has_page() -> bool:
    """Whether the page, and what serves it, are installed."""
    return all(find_spec(name) for name in ("muntin.dashboard", "starlette", "uvicorn"))


def webhook(url: str) -> Any:
    """A sink that sends alerts to a URL."""
    return _named(mt.sinks, "Webhook", "--webhook")(url)


def paced(tables: Mapping[str, Any], speed: float) -> dict[str, mt.Source]:
    """Sources that hand over rows as they arrived, so many times faster."""
    pace = _named(mt.sources, "Pace", "--speed")(speed)
    source: Any = mt.sources.Arrow
    return {name: source(table, arrival="arrived", speed=pace) for name, table in tables.items()}


def _named(module: Any, name: str, option: str) -> Any:
    found = getattr(module, name, None)
    if found is None:
        raise PlanError(f"{option}: {module.__name__}.{name} is not there yet")
    return found
