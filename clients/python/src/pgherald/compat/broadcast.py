# SPDX-License-Identifier: PostgreSQL
"""A channel of texts: `Broadcast(url)` with `connect`, `disconnect`, `publish` and `subscribe`. It listens
to a route of pgherald's that tells documents as they are (`presets/projects.conf`), and posts to one of
`kind = send`."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, AsyncIterator, Dict, Optional, Set, Union
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx

from ..keeper import IDLE_S
from ..parser import Parser
from ..publish import Publisher
from . import gateway

__all__ = [
    "Broadcast",
    "Event",
    "WSMessage",
    "WSMessageTypeEnum",
    "pubsub_client",
    "send_event",
    "use_pubsub_client",
]

QUEUE_MAX = 1000  # messages that wait in a subscriber
PAUSE_S, PAUSE_MAX_S = 0.5, 30.0


class WSMessageTypeEnum(str, Enum):
    task = "task"
    data = "data"
    file = "file"
    entity = "entity"
    scene = "scene"
    render_progress = "render_progress"
    render_result = "render_result"


@dataclass
class WSMessage:
    type: WSMessageTypeEnum
    object: Union[Dict[str, Any], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.type = WSMessageTypeEnum(self.type)
        if not isinstance(self.object, (dict, str)):
            raise TypeError("the object of a message is a dict or a text")

    def model_dump(self) -> Dict[str, Any]:
        return {"type": self.type.value, "object": self.object}

    def model_dump_json(self) -> str:
        return json.dumps(self.model_dump(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def model_validate_json(cls, text: str) -> WSMessage:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Event:
    channel: str
    message: str


class Subscriber:
    """`async for event in subscriber`."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self._queue: asyncio.Queue[Union[Event, BaseException]] = asyncio.Queue(QUEUE_MAX)
        self._open = asyncio.Event()

    async def get(self) -> Event:
        got = await self._queue.get()
        if isinstance(got, BaseException):
            raise got
        return got

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events()

    async def _events(self) -> AsyncIterator[Event]:
        while True:
            yield await self.get()


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Broadcast:
    """`url` is pgherald's, `http://token@host:port/api/v1/events`: the token may stand in it, and the path
    is that of the route, without the channel. Without one, and with `redis://…`, it is what
    `pgherald.compat` is told."""

    def __init__(
        self, url: str = "", *, token: Optional[str] = None, send_path: str = "/sse/send-to-channel"
    ) -> None:
        if not url.startswith(("http://", "https://")):
            there = gateway()
            url, token = there.url, token or there.token
        parts = urlsplit(url)
        self._token = token or (unquote(parts.username) if parts.username else None)
        netloc = parts.netloc.rpartition("@")[2]
        path = parts.path.rstrip("/") or "/api/v1/events"
        self._url = urlunsplit((parts.scheme, netloc, path, "", ""))
        self._publisher = Publisher(self._url, token=self._token, send_path=send_path)
        self._tasks: Set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """There is nothing to be held open: each subscriber has a stream, each message a request."""

    async def disconnect(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Broadcast:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def publish(self, channel: str, message: Any) -> None:
        """A text that is JSON is told as that document, any other one as a JSON string."""
        document, kind = message, "message"
        if isinstance(message, (str, bytes)):
            with suppress(ValueError):
                document = json.loads(message)
        if isinstance(document, bytes):
            document = document.decode()
        if isinstance(document, dict) and str(document.get("type") or "").replace("_", "").isalnum():
            kind = str(document["type"])
        await self._publisher.apublish(channel, kind, document)

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[Subscriber]:
        """When the block begins, what is published from then on is heard. A refusal is raised in it."""
        subscriber = Subscriber(channel)
        task = asyncio.ensure_future(self._listen(subscriber))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        opened = asyncio.ensure_future(subscriber._open.wait())
        try:
            await asyncio.wait({opened, task}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            yield subscriber
        finally:
            opened.cancel()
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task

    async def _listen(self, subscriber: Subscriber) -> None:
        url, position, pause = f"{self._url}/{quote(subscriber.channel, safe='')}", "", PAUSE_S
        timeout = httpx.Timeout(20, read=IDLE_S)
        async with httpx.AsyncClient(timeout=timeout) as client:
            while True:
                headers = {"Accept": "text/event-stream"}
                if self._token:
                    headers["Authorization"] = "Bearer " + self._token
                if position:
                    headers["Last-Event-ID"] = position
                with suppress(httpx.HTTPError):
                    async with client.stream("GET", url, headers=headers) as answer:
                        if answer.status_code in (400, 401, 403, 404):
                            error = Refused(
                                answer.status_code, (await answer.aread()).decode("utf-8", "replace")
                            )
                            if not subscriber._open.is_set():
                                raise error
                            await subscriber._queue.put(error)
                            return
                        if answer.status_code == 200:
                            parser, pause = Parser(), PAUSE_S
                            async for piece in answer.aiter_bytes():
                                subscriber._open.set()
                                for message in parser.feed(piece):
                                    position = message.id or position
                                    if message.data:
                                        await subscriber._queue.put(
                                            Event(subscriber.channel, _text(message.data))
                                        )
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_S)


def _text(data: str) -> str:
    """A text that was no JSON is told as a JSON string."""
    return str(json.loads(data)) if data.startswith('"') else data


def use_pubsub_client() -> Broadcast:
    return Broadcast(os.environ.get("REDIS_URL", ""))


class _Later:
    """The one of this process, made when it is used."""

    _made: Optional[Broadcast] = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = use_pubsub_client()
        return getattr(self._made, name)


pubsub_client: Any = _Later()


async def send_event(channel: str, message: WSMessage) -> None:
    async with use_pubsub_client() as client:
        await client.publish(channel=channel, message=message.model_dump_json())
