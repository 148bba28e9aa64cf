"""The web server on its own thread: routes, event streams, start and stop."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import PurePath
from typing import Any, cast

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from muntin.base.errors import SinkError, with_hint
from muntin.monitor.dashboard.door import WAIT_S, Door
from muntin.monitor.dashboard.guard import Guard
from muntin.monitor.dashboard.metrics import text
from muntin.monitor.dashboard.options import Dashboard
from muntin.monitor.dashboard.view import View
from muntin.monitor.dashboard.visitor import Visitor, keys_of

_wire_log = logging.getLogger("muntin.dashboard.wire")
_wire_log.setLevel(logging.ERROR)

TICK = 0.1
"""Seconds between two reads of the inbox."""

STREAMS_MAX = 32
"""The maximum number of event streams, about one for each open tab."""

_HEAD_MAX = 16_384
_QUEUE = 1024
_HEARTBEAT = 10.0
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",
}
_NO_STORE = {"Cache-Control": "no-store"}
_EVENTS = "text/event-stream"


class Server:
    """Serves a view until it is closed."""

    def __init__(self, view: View, options: Dashboard) -> None:
        """Listen and start; when this returns, the page can be opened.

        Raises:
            SinkError: the address cannot be listened on.
        """
        self._view = view
        self._files = _static()
        self._streams = 0
        self._socket = _listening(options)
        port = self._socket.getsockname()[1]
        self.url = f"http://{options.reachable}:{port}/"
        self._closing = False
        guard = Guard(self._app(), options.token, options.hosts)
        self._door = Door(self._socket, self._protocol, guard)
        # headers of a proxy about its client are not trusted: the connection's address counts
        self._config = uvicorn.Config(
            self._door, http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=int(WAIT_S),
            h11_max_incomplete_event_size=_HEAD_MAX, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._uvicorn = uvicorn.Server(self._config)
        self._thread = threading.Thread(target=self._serve, name="muntin-dashboard", daemon=True)
        self._thread.start()

    def show(self, view: View) -> None:
        """Serve another view from now on."""
        self._view = view

    def close(self) -> None:
        """Stop; when this returns, the thread has ended and the address is free."""
        self._closing = True
        self._door.shut()
        self._uvicorn.should_exit = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        async def both() -> None:
            beside = [asyncio.create_task(each) for each in (self._tick(), self._door.serve())]
            try:
                # connections come from the door, so uvicorn listens on no socket
                await self._uvicorn.serve(sockets=[])
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)

        asyncio.run(both())

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self._config.http_protocol_class
        protocol = make(config=self._config, server_state=self._uvicorn.server_state, app_state={})
        # a warning for each request that is not HTTP would let a visitor fill the log
        protocol.logger = _wire_log
        return cast("asyncio.Protocol", protocol)

    async def _tick(self) -> None:
        while True:
            try:
                self._view.take()
            except Exception as error:
                self._view.cannot_show("what the loop left", error)
            await asyncio.sleep(TICK)

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/events", self._events),
                Route("/keys", self._keys),
                Route("/metrics", self._metrics),
                Route("/healthz", self._health),
                Route("/{path:path}", self._file),
            ]
        )

    async def _file(self, request: Request) -> Response:
        # only files known at the start are served: no path of a request is opened
        found = self._files.get(request.path_params["path"] or "index.html")
        if found is None:
            return PlainTextResponse("there is nothing here\n", 404)
        return Response(found[0], headers={"Content-Type": found[1], "Cache-Control": "no-cache"})

    async def _events(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type=_EVENTS, headers=_NO_STORE)
        return _Events(self, request)

    async def answer_events(self, request: Request, scope: Any, receive: Any, send: Any) -> None:
        """Answer with a stream of events, unless there are too many already."""
        if self._streams >= STREAMS_MAX:
            message = "too many browsers look at this page\n"
            refusal = PlainTextResponse(message, 503, {**_NO_STORE, "Retry-After": "10"})
            await refusal(scope, receive, send)
            return
        # counted from here, not from the first event: many requests may come at the same time
        self._streams += 1
        try:
            events = self._stream(request)
            await StreamingResponse(events, media_type=_EVENTS, headers=_NO_STORE)(
                scope, receive, send
            )
        finally:
            self._streams -= 1

    async def _stream(self, request: Request) -> AsyncIterator[bytes]:
        """Events for one browser.

        The next event is made when the browser has received the last one, and contains everything
        new since then: a slow browser gets fewer events, and nothing is queued for it.
        """
        view = self._view
        visitor = Visitor(view, request.query_params)
        yield b"retry: 1000\n\n" + _event("scene", visitor.scene())
        quiet = 0.0
        while not self._closing and self._view is view:
            news = visitor.news()
            if news is not None:
                quiet = 0.0
                yield _event("tick", news)
            elif quiet >= _HEARTBEAT:
                quiet = 0.0
                yield b": still here\n\n"
            quiet += TICK
            await asyncio.sleep(TICK)
        if not self._closing:
            yield _event("again", b"{}")

    async def _keys(self, request: Request) -> Response:
        return JSONResponse(keys_of(self._view, request.query_params), headers=_NO_STORE)

    async def _metrics(self, _request: Request) -> Response:
        return Response(
            text(self._view), headers={"Content-Type": CONTENT_TYPE_LATEST, **_NO_STORE}
        )

    async def _health(self, _request: Request) -> Response:
        state, _ = self._view.state
        code = 503 if state == "failed" else 200
        return JSONResponse({"state": state}, code, {**_NO_STORE, "Connection": "close"})


class _Events(Response):
    """A response that is a stream of events."""

    def __init__(self, server: Server, request: Request) -> None:
        super().__init__()
        self._server = server
        self._request = request

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._server.answer_events(self._request, scope, receive, send)


def _event(kind: str, data: bytes) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _listening(options: Dashboard) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_QUEUE)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        message = f'dashboard: "{options.address}" cannot be listened on: {error.strerror}'
        raise SinkError(with_hint(message, 'use another port; ":0" picks a free one')) from error
    return listener


def _static() -> dict[str, tuple[bytes, str]]:
    found: dict[str, tuple[bytes, str]] = {}

    def walk(folder: Any, before: str) -> None:
        for each in folder.iterdir():
            if each.is_dir():
                walk(each, f"{before}{each.name}/")
            else:
                kind = _TYPES[PurePath(each.name).suffix]
                found[before + each.name] = (each.read_bytes(), kind)

    walk(resources.files("muntin.monitor.dashboard") / "static", "")
    return found
