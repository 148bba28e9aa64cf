"""A network between clients and a broker that cuts, delays and goes silent."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any


class Proxy:
    """Passes TCP connections on to `target`, a port of loopback; runs in a thread of its own."""

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self.delay = 0.0
        self.accepted = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._run(self._listen)

    def cut(self) -> None:
        """Reset all connections."""
        self._run(self._cut)

    def silence(self) -> None:
        """Pass nothing on: connections stay open, new ones are accepted, and nobody answers."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def heal(self) -> None:
        """Pass everything on at once, also what was held back."""
        self.delay = 0.0
        self._loop.call_soon_threadsafe(self._flows.set)

    def close(self) -> None:
        self._run(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, what: Callable[[], Awaitable[Any]]) -> Any:
        async def call() -> Any:
            return await what()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(20)

    async def _listen(self) -> int:
        self._flows.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        self._flows.set()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            self._open.discard(writer)
            writer.transport.abort()
            return
        self._open.add(back)
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        for each in (writer, back):
            self._open.discard(each)
            each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
