"""Accepts and closes connections, so that visitors never use up what the run needs.

A connection is waiting while no request is being answered on it: it is idle, or its request is
still incomplete. Waiting connections are closed when there are too many: that does no harm, since a
browser opens another. A visitor who sends a request is served.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

try:
    import resource
except ModuleNotFoundError:  # not on Windows
    resource = None  # type: ignore[assignment]

_log = logging.getLogger("muntin.dashboard")

CONNECTIONS_MAX = 128
"""The maximum number of connections."""

WAITING_PER_PEER = 32
"""The maximum number of waiting connections of one address."""

WAIT_S = 10.0
"""How long a connection may wait: for a whole request, or for the next one."""

STALL_S = 30.0
"""How long a visitor may leave a response unread."""

RESERVE = 64
"""File handles reserved for the run, or a quarter of all if there are few."""

_SWEEP_S = 0.5
_PAUSE_S = 0.002
_NO_HANDLE_S = 0.5
_WARN_AGAIN_S = 60.0
_NO_HANDLE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

Client = tuple[str, int]


class Door:
    """Accepts connections one by one and closes those that wait or stall for too long."""

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], app: Any
    ) -> None:
        """Accept nothing before `serve`.

        Args:
            listener: a listening socket.
            protocol: makes the protocol of one connection.
            app: the ASGI application; requests reach it through this object.
        """
        listener.setblocking(False)
        self._listener = listener
        self._protocol = protocol
        self._app = app
        self._wires: dict[Client, _Wire] = {}
        self._is_shut = False
        self._refused = 0
        self._warned_at = -_WARN_AGAIN_S

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on; meanwhile its connection is not waiting."""
        wire = self._wires.get(tuple(scope.get("client") or ()))
        if wire is None:
            await self._app(scope, receive, send)
            return
        wire.requests += 1
        try:
            await self._app(scope, receive, send)
        finally:
            wire.requests -= 1
            wire.since = time.monotonic()

    def shut(self) -> None:
        """Accept no further connection. From any thread."""
        self._is_shut = True

    async def serve(self) -> None:
        """Accept until it is cancelled."""
        sweeps = asyncio.create_task(self._sweep())
        try:
            while True:
                before = len(self._wires)
                try:
                    await self._accept()
                except Exception:
                    _log.exception("dashboard: a connection could not be accepted")
                if len(self._wires) <= before:
                    # one was accepted and one closed: a flood must not use up the processor either
                    await asyncio.sleep(_PAUSE_S)
        finally:
            sweeps.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            accepted, address = await loop.sock_accept(self._listener)
        except OSError as error:
            if error.errno in _NO_HANDLE:
                self._say("no file handle is left")
                await asyncio.sleep(_NO_HANDLE_S)
            return
        peer = _peer(str(address[0]))
        if self._is_shut:
            accepted.close()
            return
        refusal = _no_handle_to_spare(accepted) or self._no_room(peer)
        if refusal is not None:
            accepted.close()
            self._say(refusal)
            return
        client = (str(address[0]), int(address[1]))
        wire = _Wire(self._protocol(), peer, lambda: self._gone(client, wire))
        self._wires[client] = wire
        try:
            await loop.connect_accepted_socket(lambda: wire, accepted)
        except OSError:
            self._gone(client, wire)
            accepted.close()

    def _no_room(self, peer: str) -> str | None:
        """Make room for one more connection of that peer; returns why there is none."""
        waiting = [client for client, wire in self._wires.items() if wire.is_waiting]
        waiting.sort(key=lambda client: self._wires[client].since)
        own = [client for client in waiting if self._wires[client].peer == peer]
        if len(own) >= WAITING_PER_PEER:
            self._close(own[0])
        elif len(self._wires) >= CONNECTIONS_MAX:
            if not waiting:
                return f"all {CONNECTIONS_MAX} connections are in use"
            self._close(waiting[0])
        return None

    def _close(self, client: Client) -> None:
        self._wires.pop(client).abort()

    def _gone(self, client: Client, wire: _Wire) -> None:
        if self._wires.get(client) is wire:
            del self._wires[client]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = time.monotonic()
            for client in [c for c, wire in self._wires.items() if wire.is_overdue(now)]:
                self._close(client)

    def _say(self, why: str) -> None:
        self._refused += 1
        now = time.monotonic()
        if now - self._warned_at >= _WARN_AGAIN_S:
            self._warned_at = now
            _log.warning("dashboard: %s; connections refused so far: %d", why, self._refused)


class _Wire(asyncio.Protocol):
    """One connection: passes all calls to its protocol, and notes since when it waits or stalls."""

    def __init__(self, inner: asyncio.Protocol, peer: str, lost: Callable[[], None]) -> None:
        self._inner = inner
        self.peer = peer
        self._lost = lost
        self._transport: Any = None
        self._stalled: float | None = None
        self.requests = 0
        self.since = time.monotonic()

    @property
    def is_waiting(self) -> bool:
        return self.requests == 0

    def is_overdue(self, now: float) -> bool:
        if self._stalled is not None and now - self._stalled > STALL_S:
            return True
        return self.is_waiting and now - self.since > WAIT_S

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._stalled = time.monotonic()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._stalled = None
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()
        self._inner.connection_lost(exc)


def _no_handle_to_spare(accepted: socket.socket) -> str | None:
    """Why this connection may not keep its file handle; None if it may.

    A new handle has the lowest free number, so its number says how many are in use.
    """
    if resource is None:
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or accepted.fileno() < most - min(RESERVE, most // 4):
        return None
    return f"the last of {most} file handles are reserved for the run"


def _peer(host: str) -> str:
    """The visitor's address: with IPv6 the first 64 bits, since one visitor has a whole network."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
            return str(int(address) >> 64)
    return host
