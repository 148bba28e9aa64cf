"""The live page of a run: a small web server, server-sent events, and JavaScript modules.

`serve` starts it and returns a watcher for the loop. It needs the extra `muntin[dashboard]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from muntin.base.errors import MissingExtra, with_hint
from muntin.monitor.dashboard.options import Dashboard, options

if TYPE_CHECKING:
    from muntin.monitor.dashboard.page import Page

__all__ = ["Dashboard", "serve"]


def serve(where: bool | int | str | Dashboard) -> Page:
    """Serve the page, and return the watcher that feeds it.

    Args:
        where: `True` for port 8080, a port, an address, or a `Dashboard`. `":8080"` and a bare
            port are reachable only from this machine.

    Raises:
        PlanError: the address is invalid, or open to other machines without a token.
        SinkError: the address cannot be listened on.
        MissingExtra: starlette, uvicorn or prometheus-client is not installed.

    >>> page = serve(0)
    >>> page.url.startswith("http://127.0.0.1:")
    True
    >>> page.close()
    """
    chosen = options(where)
    try:
        from muntin.monitor.dashboard.page import Page
    except ModuleNotFoundError as error:
        message = f"dashboard= needs {error.name}"
        raise MissingExtra(with_hint(message, 'pip install "muntin[dashboard]"')) from error
    return Page(chosen)
