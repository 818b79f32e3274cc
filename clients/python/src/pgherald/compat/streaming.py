# SPDX-License-Identifier: PostgreSQL
"""Clients over WebSocket and SSE, notifications, and a manager of connections: what applications import from
a `core.streaming` of their own. It stays importable there by a module with one line:
`from pgherald.compat.streaming import *`. The routes are those of presets/streaming.conf."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import json
import logging
import uuid
from typing import Any, AsyncGenerator, Callable, Dict, List, Mapping, Optional, Union
from urllib.parse import urlencode

import httpx

from ..keeper import IDLE_S
from ..lines import Lines, position
from ..publish import Publisher
from ..types import NotPublished
from ..websocket import AsyncWebSocket, Closed, Denied
from . import Gateway, gateway
from .notes import Authenticator, NotificationMessage, authenticator

__all__ = [
    "Authenticator",
    "ConnectionManager",
    "NotificationMessage",
    "SSEClient",
    "WebSocketClient",
    "authenticator",
    "connection_manager",
    "create_sse_client",
    "create_ws_client",
]

log = logging.getLogger("pgherald")
Handler = Callable[[Dict[str, Any]], Any]
CONNECT_S = 20.0
FINAL = (401, 403, 404, 426)  # answers that another attempt does not change


class _Client:
    """Keeps a stream open in a task, and hands what comes to handlers."""

    path: str

    def __init__(
        self,
        host: str,
        port: int,
        token: Optional[str],
        api_key: Optional[str],
        auto_reconnect: bool,
        max_reconnect_attempts: int,
        reconnect_interval: float,
        secure: bool,
        api_key_header: str,
    ) -> None:
        self.url = f"{'https' if secure else 'http'}://{host}:{port}"
        self.headers: Dict[str, str] = {}
        if token:
            self.headers["Authorization"] = "Bearer " + token
        if api_key:
            self.headers[api_key_header] = api_key
        self.auto_reconnect, self.attempts, self.interval = (
            auto_reconnect,
            max_reconnect_attempts,
            reconnect_interval,
        )
        self.connected = False
        self.channels: List[str] = []
        self._handlers: Dict[str, List[Handler]] = {}
        self._position = ""
        self._task: Optional[asyncio.Task[None]] = None
        self._opened: asyncio.Event = asyncio.Event()
        self._lost = ""

    def _on(self, kind: str) -> Callable[[Handler], Handler]:
        def add(handler: Handler) -> Handler:
            self._handlers.setdefault(kind, []).append(handler)
            return handler

        return add

    async def _tell(self, kind: str, message: Dict[str, Any]) -> None:
        """One handler that fails stops no other."""
        for handler in [*self._handlers.get(kind, ()), *self._handlers.get("*", ())]:
            try:
                result = handler(message)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                log.exception("a handler of %s has failed", kind)

    async def connect(self) -> None:
        """Returns when the gateway has answered; raises ConnectionError when it cannot be reached or
        refuses."""
        if self._task:
            return
        self._opened = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())
        opened = asyncio.ensure_future(self._opened.wait())
        try:
            await asyncio.wait({opened, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            opened.cancel()
        if not self._opened.is_set():
            self._task = None
            raise ConnectionError(self._lost)

    async def disconnect(self) -> None:
        task, self._task, self.connected = self._task, None, False
        if task:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def __aenter__(self) -> _Client:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def _run(self) -> None:
        failed = 0
        while True:
            end = False
            try:
                messages = self._messages()
                try:
                    async for message in messages:
                        if not self.connected:
                            self.connected, failed = True, 0
                            self._opened.set()
                        self._position = position(message.get("id")) or self._position
                        await self._take(message)
                finally:
                    await messages.aclose()
                self._lost = "the stream has ended"
            except (Denied, Closed) as error:
                status = (
                    error.status if isinstance(error, Denied) else {4401: 401, 4403: 403}.get(error.code, 0)
                )
                body = error.body.decode("utf-8", "replace").strip() if isinstance(error, Denied) else ""
                self._lost = f"{error} {body}".strip()
                end = status in FINAL
            except (OSError, ValueError, asyncio.TimeoutError, httpx.HTTPError) as error:
                self._lost = str(error) or type(error).__name__
            self.connected = False
            failed += 1
            if end or not self.auto_reconnect or failed > self.attempts:
                await self._tell("error", _error("closed", self._lost))
                return
            await asyncio.sleep(self.interval)

    def _query(self) -> str:
        query = {"hello": "full"}
        if self._position:
            query["last_event_id"] = self._position
        if self.channels:
            query["channels"] = ",".join(self.channels)
        return f"{self.url}{self.path}?{urlencode(query)}"

    def _messages(self) -> AsyncGenerator[Dict[str, Any], None]:
        raise NotImplementedError

    async def _take(self, message: Dict[str, Any]) -> None:
        raise NotImplementedError


def _error(kind: str, why: str) -> Dict[str, Any]:
    return {"type": "error", "content": {"type": kind, "error": why}, "data": {"type": kind, "error": why}}


class WebSocketClient(_Client):
    path = "/ws/connect"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._socket: Optional[AsyncWebSocket] = None
        self._numbers = itertools.count(1)
        self._waiting: Dict[str, asyncio.Future[Dict[str, Any]]] = {}

    def on_message(self, kind: str) -> Callable[[Handler], Handler]:
        """`@client.on_message("text")`: called with the message, a dict of `type` and `content`; "*" is
        all."""
        return self._on(kind)

    async def _messages(self) -> AsyncGenerator[Dict[str, Any], None]:
        self._socket = await AsyncWebSocket(self._query(), self.headers).open(CONNECT_S)
        try:
            while True:
                for text in await self._socket.receive(IDLE_S):
                    message = json.loads(text)
                    if isinstance(message, dict):
                        yield message
        finally:
            await self._socket.close()
            self._socket = None
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result(_error("unavailable", "the connection has ended"))
            self._waiting.clear()

    async def _take(self, message: Dict[str, Any]) -> None:
        waiting = self._waiting.pop(str(message.get("request_id")), None)
        if waiting and not waiting.done():
            waiting.set_result(message)
        kind = str(message.get("type"))
        if kind != "ping":
            await self._tell(kind, message)

    async def request(self, action: str, data: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
        """What the gateway answers. An error comes here as well as to the handlers of "error"."""
        if not self._socket:
            raise ConnectionError(self._lost or "not connected")
        number = str(next(self._numbers))
        self._waiting[number] = asyncio.get_running_loop().create_future()
        message: Dict[str, Any] = {"action": action, "request_id": number}
        if data is not None:
            message["data"] = dict(data)
        answer = self._waiting[number]
        await self._socket.send(json.dumps(message, ensure_ascii=False))
        try:
            return await asyncio.wait_for(answer, CONNECT_S)
        finally:
            self._waiting.pop(number, None)

    async def ping(self) -> bool:
        return await self._ask("ping")

    async def subscribe_to_channel(self, channel: str) -> bool:
        """False when it may not be heard. It is heard again after a reconnect."""
        done = await self._ask("subscribe", {"channel": channel})
        if done and channel not in self.channels:
            self.channels.append(channel)
        return done

    async def unsubscribe_from_channel(self, channel: str) -> bool:
        if channel in self.channels:
            self.channels.remove(channel)
        return await self._ask("unsubscribe", {"channel": channel})

    async def send_to_channel(self, channel: str, content: Any, **more: Any) -> bool:
        return await self._ask("send_to_channel", {"channel": channel, "content": content, **more})

    async def send_to_user(self, user_id: str, content: Any, **more: Any) -> bool:
        return await self._ask("send_to_user", {"user_id": user_id, "content": content, **more})

    async def send_message(self, content: Any, **more: Any) -> bool:
        return await self._ask("message", {"content": content, **more})

    async def _ask(self, action: str, data: Optional[Mapping[str, Any]] = None) -> bool:
        return str((await self.request(action, data)).get("type")) != "error"


class SSEClient(_Client):
    """Listens as SSE's clients do, in lines of JSON, which say the type of each event beside its data."""

    path = "/sse/connect"

    def on_event(self, name: str) -> Callable[[Handler], Handler]:
        """`@client.on_event("notification")`: called with a dict of `event`, `data` and `id`; "*" is all."""
        return self._on(name)

    async def _messages(self) -> AsyncGenerator[Dict[str, Any], None]:
        headers = {**self.headers, "Accept": "application/x-ndjson"}
        timeout = httpx.Timeout(CONNECT_S, read=IDLE_S)
        async with httpx.AsyncClient(timeout=timeout) as client, client.stream(
            "GET", self._query(), headers=headers
        ) as answer:
            if answer.status_code != 200:
                raise Denied(answer.status_code, await answer.aread(), answer.headers.get("Retry-After"))
            lines = Lines()
            async for piece in answer.aiter_bytes():
                for message in lines.feed(piece):
                    if message.data:
                        yield json.loads(message.data)

    async def _take(self, message: Dict[str, Any]) -> None:
        kind = str(message.get("type"))
        if kind != "ping":
            data = message.get("content", message.get("data"))
            await self._tell(kind, {"event": kind, "data": data, "id": message.get("id"), "content": data})

    async def subscribe_to_channel(self, channel: str) -> None:
        """The stream goes on from its place with it."""
        self.channels.append(channel)
        await self._again()

    async def unsubscribe_from_channel(self, channel: str) -> None:
        self.channels.remove(channel)
        await self._again()

    async def _again(self) -> None:
        if self._task:
            await self.disconnect()
            await self.connect()

    async def send_notification(
        self, title: str, content: str, type: Any = "info", auto_hide: bool = True, duration: int = 5000
    ) -> int:
        """To everybody; its number, after the commit."""
        note = NotificationMessage(title, content, type, auto_hide, duration)
        publisher = Publisher(self.url, headers=self.headers)
        return await publisher.apost(self.url + "/sse/notification", note.model_dump())


def create_ws_client(
    host: str = "localhost",
    port: int = 8000,
    token: Optional[str] = None,
    api_key: Optional[str] = None,
    auto_reconnect: bool = True,
    max_reconnect_attempts: int = 10,
    reconnect_interval: float = 5,
    secure: bool = False,
    api_key_header: str = "X-API-Key",
) -> WebSocketClient:
    """`reconnect_interval` in seconds; the attempts are those in a row."""
    return WebSocketClient(
        host,
        port,
        token,
        api_key,
        auto_reconnect,
        max_reconnect_attempts,
        reconnect_interval,
        secure,
        api_key_header,
    )


def create_sse_client(
    host: str = "localhost",
    port: int = 8000,
    token: Optional[str] = None,
    api_key: Optional[str] = None,
    auto_reconnect: bool = True,
    max_reconnect_attempts: int = 10,
    reconnect_interval: float = 5,
    secure: bool = False,
    api_key_header: str = "X-API-Key",
) -> SSEClient:
    return SSEClient(
        host,
        port,
        token,
        api_key,
        auto_reconnect,
        max_reconnect_attempts,
        reconnect_interval,
        secure,
        api_key_header,
    )


Message = Union[str, Mapping[str, Any], NotificationMessage]


class ConnectionManager:
    """The sending half of a manager of connections: pgherald holds them. Each call gives the message's
    number, after the commit."""

    def __init__(self, there: Optional[Gateway] = None) -> None:
        self._there = there

    async def broadcast_to_all(self, message: Message) -> int:
        return await self._post("/ws/broadcast", {}, message, False)

    async def broadcast_to_channel(self, channel: str, message: Message, persist: bool = False) -> int:
        """`persist`: kept for who comes later, by the message's `id`, which is made when it has none."""
        return await self._post("/ws/send-to-channel", {"channel": channel}, message, persist)

    async def send_to_user(self, user_id: Union[str, int], message: Message) -> int:
        return await self._post("/ws/send-to-channel", {"user_id": user_id}, message, False)

    async def cleanup_inactive_connections(self) -> int:
        """How many had to be closed by hand: none, since the daemon pings all of them and closes those that
        do not answer (`stall` in pgherald.conf(5))."""
        return 0

    async def get_stats(self) -> Dict[str, Any]:
        there = self._there or gateway()
        headers = {"Authorization": "Bearer " + there.token} if there.token else {}
        async with httpx.AsyncClient() as client:
            answer = await client.get(there.url.rstrip("/") + "/ws/stats", headers=headers)
        if answer.status_code != 200:
            raise NotPublished(answer.status_code, answer.text.strip())
        stats: Dict[str, Any] = answer.json()
        return stats

    async def _post(self, path: str, to: Dict[str, Any], message: Message, persist: bool) -> int:
        there = self._there or gateway()
        if isinstance(message, NotificationMessage):
            message = {"type": "notification", "content": message.model_dump()}
        elif isinstance(message, str):
            message = {"type": "text", "content": message}
        body = {**to, "message": {"id": str(uuid.uuid4()), **message}}
        if persist:
            body["persist"] = True
        return await there.publisher().apost(there.url.rstrip("/") + path, body)


connection_manager = ConnectionManager()
