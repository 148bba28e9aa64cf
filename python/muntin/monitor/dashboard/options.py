"""Options of the page: its address, who may see it, and what it may show."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from typing import Any

from muntin.base.arguments import several, shown, whole
from muntin.base.errors import PlanError, with_hint

TOKEN_VARIABLE = "MUNTIN_DASHBOARD_TOKEN"
LOOPBACK = "127.0.0.1"
_TOKEN_MIN = 16
_PORT_MAX = 65535
_ANY = {"0.0.0.0", "::"}


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A live page of a run.

    Attributes:
        address: `":8080"` or `"8080"` for a port on this machine only, `"host:port"` for another
            address, which needs a token. Port 0 is any free port.
        token: the secret of visitors, at least 16 characters. The default is the environment
            variable `MUNTIN_DASHBOARD_TOKEN`.
        mask: columns whose values are not shown, but replaced by a short keyed hash.
        history: how many rows of each output are kept for its lines and tables.
        hosts: names under which the page is reached through a proxy, besides addresses.

    Raises:
        PlanError: the address is invalid, or open to other machines without a token.

    >>> Dashboard("9000", mask=("card",)).port
    9000
    >>> Dashboard("0.0.0.0:9000")
    Traceback (most recent call last):
    ...
    muntin.PlanError: dashboard: "0.0.0.0:9000" is open to other machines without a token
    hint: say mt.Dashboard(..., token=...) or set MUNTIN_DASHBOARD_TOKEN
    """

    address: str = ":8080"
    token: str | None = field(default=None, repr=False)
    mask: tuple[str, ...] = ()
    history: int = 500_000
    hosts: tuple[str, ...] = ()
    host: str = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.address, str):
            hint = 'write mt.Dashboard(":8080")'
            raise PlanError(with_hint(f"dashboard: {shown(self.address)} is not an address", hint))
        host, port = _parsed(self.address)
        token = self.token if self.token is not None else os.environ.get(TOKEN_VARIABLE)
        if token is not None and (not isinstance(token, str) or len(token) < _TOKEN_MIN):
            hint = "use secrets.token_urlsafe()"
            message = f"dashboard: a token needs at least {_TOKEN_MIN} characters"
            raise PlanError(with_hint(message, hint))
        if token is None and not _is_loopback(host):
            hint = f"say mt.Dashboard(..., token=...) or set {TOKEN_VARIABLE}"
            message = f'dashboard: "{self.address}" is open to other machines without a token'
            raise PlanError(with_hint(message, hint))
        whole(self.history, "dashboard: history", 1, 2**62)
        mask, hosts = _texts("mask", self.mask), _texts("hosts", self.hosts)
        made = {"host": host, "port": port, "token": token, "mask": mask, "hosts": hosts}
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @property
    def reachable(self) -> str:
        """The host to put into a URL that works on this machine.

        >>> Dashboard("0.0.0.0:9000", token="a secret of visitors").reachable
        '127.0.0.1'
        """
        host = LOOPBACK if self.host in _ANY else self.host
        return f"[{host}]" if ":" in host else host


def options(where: bool | int | str | Dashboard) -> Dashboard:
    """The options for a `dashboard=`: `True`, a port, an address, or a `Dashboard`.

    Raises:
        PlanError: it is none of these, or not allowed.

    >>> options(True).address, options(9000).port, options("localhost:9000").host
    (':8080', 9000, 'localhost')
    """
    if isinstance(where, Dashboard):
        return where
    if where is True:
        return Dashboard()
    if isinstance(where, int) and where is not False:
        return Dashboard(f":{where}")
    if isinstance(where, str):
        return Dashboard(where)
    message = f"dashboard={shown(where)} is not an address"
    raise PlanError(with_hint(message, 'say dashboard=":8080"'))


def _texts(word: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, str):
        raise PlanError(with_hint(f"dashboard: {word}= is a text", f'say {word}=("{values}",)'))
    found = several(values, f"dashboard: {word}", "texts")
    for each in found:
        if not isinstance(each, str):
            raise PlanError(f"dashboard: {word}: {shown(each)} is not a text")
    return found


def _parsed(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdigit()) or int(port) > _PORT_MAX:
        hint = 'say ":8080", or "host:port"'
        raise PlanError(with_hint(f'dashboard: "{address}" is not an address with a port', hint))
    return host or LOOPBACK, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
