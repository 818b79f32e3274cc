# SPDX-License-Identifier: PostgreSQL
"""A daemon without a socket, for tests of an application that listens.

    daemon = FakeDaemon()
    herald = daemon.herald()
    daemon.emit("order.updated", {"id": 1})
    event = next(iter(herald.events()))

It keeps what it has told, and takes positions of its own. `for` and `async for` can both listen."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any, AsyncIterator, Callable, Dict, Iterator, List, Optional, Tuple

import httpx

from .client import Herald
from .types import Retry

__all__ = ["FakeDaemon"]


class FakeDaemon(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """`requests` are those that have come, `streams` how many are open. Its methods may be called from
    any thread."""

    def __init__(self, user: str = "1", keepalive: float = 30, token: Optional[str] = None) -> None:
        self.user, self.keepalive, self.token = user, keepalive, token
        self.requests: List[httpx.Request] = []
        self._lock = threading.RLock()
        self._told: List[str] = []  # event i has the position i + 1
        self._open: Dict[object, _Tap] = {}
        self._refusals: List[Tuple[int, str, Optional[float]]] = []

    def herald(self, **options: Any) -> Herald:
        """A client of this daemon that does not wait between attempts."""
        options.setdefault("retry", Retry(min=0, max=0))
        return Herald("http://pgherald.test/events/", transport=self, **options)

    @property
    def streams(self) -> int:
        return len(self._open)

    def emit(self, kind: str, data: Any, scope: Optional[str] = None, timestamp: Optional[int] = None) -> str:
        """Tells everybody, and whoever comes back; the position after it."""
        message: Dict[str, Any] = {"event": kind, "data": data}
        if scope:
            message["scope"] = scope
        message["timestamp"] = int(time.time()) if timestamp is None else timestamp
        with self._lock:
            self._told.append(json.dumps(message))
            position = len(self._told)
            self._send(_frame(self._told[-1], position))
        return f"fake.{position}"

    def resync(self, reason: str = "storm", *topics: str) -> str:
        """Tells that these are to be fetched again."""
        return self.emit("system.resync", {"reason": reason, "topics": list(topics) or ["*"]})

    def cut(self) -> None:
        """Every stream breaks, and what comes back goes on."""
        self._end(error=True)

    def bye(self, retry_ms: int = 0) -> None:
        """The farewell of a daemon that stops."""
        self._send(b"retry: %d\n" % retry_ms)
        self._end(error=False)

    def refuse(
        self, status: int, times: int = 1, retry_after: Optional[float] = None, detail: str = "No."
    ) -> None:
        """The next requests are answered so."""
        with self._lock:
            self._refusals += [(status, detail, retry_after)] * times

    # --- httpx's side ------------------------------------------------------------------------

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request, _Stream)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request, _AsyncStream)

    def _answer(self, request: httpx.Request, kind: Callable[[FakeDaemon, _Tap], Any]) -> httpx.Response:
        with self._lock:
            self.requests.append(request)
            if self._refusals:
                status, detail, after = self._refusals.pop(0)
                headers = {} if after is None else {"Retry-After": str(after)}
                return httpx.Response(status, headers=headers, json={"detail": detail})
            if request.method == "POST":  # a renewal
                self.token = request.headers["Authorization"][len("Bearer ") :]
                return httpx.Response(200, json={"expires_in": 60})
            if self.token and request.headers.get("Authorization") != "Bearer " + self.token:
                return httpx.Response(401, json={"detail": "Invalid token."})
            last = request.url.params.get("last_event_id", "")
            begin = int(last[len("fake.") :]) if last.startswith("fake.") else len(self._told)
            tap = _Tap()
            greeting = {"event": "connected", "user": self.user, "keepalive": self.keepalive}
            tap.put(b"retry: 3000\n" + _frame(json.dumps(greeting), begin))
            for i in range(begin, len(self._told)):
                tap.put(_frame(self._told[i], i + 1))
            self._open[tap] = tap
        stream = kind(self, tap)
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=stream)

    def _send(self, data: bytes) -> None:
        with self._lock:
            for tap in self._open.values():
                tap.put(data)

    def _end(self, error: bool) -> None:
        with self._lock:
            for tap in self._open.values():
                tap.put(None, error)
            self._open.clear()

    def _forget(self, tap: _Tap) -> None:
        with self._lock:
            self._open.pop(tap, None)


def _frame(data: str, position: int) -> bytes:
    return f"data: {data}\nid: fake.{position}\n\n".encode()


class _Tap:
    """What one stream has still to deliver; whoever waits for it does so with a thread or a loop."""

    def __init__(self) -> None:
        self.pieces: List[Optional[bytes]] = []
        self.broken = False
        self.ready = threading.Condition()
        self.wake: Optional[Callable[[], object]] = None

    def put(self, piece: Optional[bytes], broken: bool = False) -> None:
        with self.ready:
            self.pieces.append(piece)
            self.broken = self.broken or broken
            self.ready.notify_all()
            if self.wake:
                self.wake()

    def take(self) -> Optional[bytes]:
        piece = self.pieces.pop(0)
        if piece is None and self.broken:
            raise httpx.ReadError("the connection was cut")
        return piece


class _Stream(httpx.SyncByteStream):
    def __init__(self, daemon: FakeDaemon, tap: _Tap) -> None:
        self._daemon, self._tap = daemon, tap

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._tap.ready:
                self._tap.ready.wait_for(lambda: self._tap.pieces)
                piece = self._tap.take()
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        self._daemon._forget(self._tap)


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, daemon: FakeDaemon, tap: _Tap) -> None:
        self._daemon, self._tap = daemon, tap

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        self._tap.wake = lambda: loop.call_soon_threadsafe(event.set)
        while True:
            while not self._tap.pieces:
                event.clear()
                if not self._tap.pieces:
                    await event.wait()
            piece = self._tap.take()
            if piece is None:
                return
            yield piece

    async def aclose(self) -> None:
        self._daemon._forget(self._tap)
