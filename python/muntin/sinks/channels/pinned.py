"""Connects to an IP address that was checked first, so that DNS cannot redirect it."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# Public addresses where clouds serve data meant only for the machine's own programs.
_CLOUD = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24")))
_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Forbidden(Exception):
    """The name resolves to an address that is not allowed."""


class PinnedConnection(http.client.HTTPConnection):
    """HTTP to the host's checked address, with the host's name in `Host` and TLS."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        timeout: float,
        allow_private: bool,
    ) -> None:
        """Resolve and connect nothing yet; `timeout` is in seconds."""
        super().__init__(host, port, timeout=timeout)
        self.default_port = 443 if tls else 80
        self._tls = tls
        self._seconds = timeout
        self._allow_private = allow_private
        self._live: socket.socket | None = None
        self._late = False

    def connect(self) -> None:
        """Resolve once, check every address, connect to the first that answers.

        Raises:
            Forbidden: an address is not allowed.
            OSError: the connection failed.
        """
        addresses = _resolved(self.host, self.port)
        if not self._allow_private:
            for each in addresses:
                if not is_public(ipaddress.ip_address(each)):
                    raise Forbidden(f"{self.host} leads to {each}, which is not a public address")
        self._live = self._dialled(addresses)
        if self._tls is not None:
            # the TLS handshake comes later, so that `limited` can end it, too
            self._live = self._tls.wrap_socket(
                self._live, server_hostname=self.host, do_handshake_on_connect=False
            )
            self.check_time()
            self._live.do_handshake()
        self.check_time()
        self.sock = self._live

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Limit all work within to the timeout; a socket's own timeout restarts at each wait."""
        timer = threading.Timer(self._seconds, self._abort)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def check_time(self) -> None:
        """Raise `TimeoutError` if the time is up: the response may be incomplete then."""
        if self._late:
            raise TimeoutError(None, "timed out")

    def close(self) -> None:
        """Close the socket, even if it never connected."""
        super().close()
        if self._live is not None:
            self._live.close()

    def _dialled(self, addresses: list[str]) -> socket.socket:
        failure: OSError | None = None
        for address in addresses:
            try:
                return socket.create_connection((address, self.port), self._seconds)
            except OSError as error:
                failure = error
                self.check_time()
        raise failure or OSError("the name has no address")

    def _abort(self) -> None:
        self._late = True
        if self._live is not None:
            with contextlib.suppress(OSError):
                # on the plain socket: the TLS socket may be in use by another thread
                socket.socket.shutdown(self._live, socket.SHUT_RDWR)


def literal(host: str) -> _Address | None:
    """The address, if the host is an address.

    >>> literal("10.0.0.1"), literal("example.com")
    (IPv4Address('10.0.0.1'), None)
    """
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_public(address: _Address) -> bool:
    """False for private, loopback, link-local, multicast, reserved and metadata addresses.

    >>> [is_public(ipaddress.ip_address(a)) for a in ("8.8.8.8", "::ffff:127.0.0.1", "fe80::1")]
    [True, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
        return address.is_global and address in _UNICAST_6
    plain = address.is_global and not address.is_multicast and not address.is_reserved
    return plain and not any(address in network for network in _CLOUD)


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address is translated to."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _resolved(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))
