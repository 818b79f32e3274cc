# SPDX-License-Identifier: PostgreSQL
"""Managers of streams, their connections, events and a bus between them: by the names of those that speak of
SSE and of those that speak of streams. What a manager sends to everybody goes to pgherald, when it has a
publisher, and to the connections of its own process."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from enum import Enum
from typing import Any, Callable, Dict, List, Optional, Set

from ..publish import Publisher

__all__ = [
    "EventBus",
    "SSEConnection",
    "SSEEvent",
    "SSEEventType",
    "SSEManager",
    "StreamConnection",
    "StreamEvent",
    "StreamEventType",
    "StreamManager",
    "get_sse_manager",
    "get_stream_manager",
]

log = logging.getLogger("pgherald")
QUEUE_MAX = 100  # events that wait in a connection


class StreamEventType(str, Enum):
    """The types that have a meaning here; of events any text is one."""

    task_started = "task_started"
    heartbeat = "heartbeat"
    error = "error"


class StreamEvent:
    def __init__(
        self,
        event_type: str,
        data: Any = None,
        id: Optional[str] = None,
        retry: Optional[int] = None,
        *,
        payload: Any = None,
    ) -> None:
        self.event_type = event_type.value if isinstance(event_type, Enum) else event_type
        self.data = payload if data is None else data
        self.id, self.retry = id, retry
        for value in (self.event_type, id or ""):
            if "\n" in value or "\r" in value or "\0" in value:
                raise ValueError(f"no word for a line of an event stream: {value!r}")

    @property
    def payload(self) -> Any:
        return self.data

    def to_sse_format(self) -> str:
        lines = [f"event: {self.event_type}", "data: " + json.dumps(self.data, ensure_ascii=False)]
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {int(self.retry)}")
        return "\n".join(lines) + "\n\n"

    def to_ndjson(self) -> str:
        return json.dumps({"event_type": self.event_type, "payload": self.data}, ensure_ascii=False) + "\n"


class StreamConnection:
    """One listener of this process: `async for event in connection`. Who is too slow is ended."""

    def __init__(
        self, client_id: str, session_id: str = "", subscriptions: Optional[Set[str]] = None
    ) -> None:
        self.client_id, self.session_id = client_id, session_id
        self.subscriptions: Set[str] = set(subscriptions or ())  # none: everything
        self.queue: asyncio.Queue[Optional[StreamEvent]] = asyncio.Queue(QUEUE_MAX + 1)
        self.closed = False

    def subscribe(self, event_type: str) -> None:
        self.subscriptions.add(event_type)

    def unsubscribe(self, event_type: str) -> None:
        self.subscriptions.discard(event_type)

    def hears(self, event_type: str) -> bool:
        return not self.subscriptions or any(
            s in ("*", event_type) or (s.endswith(".*") and event_type.startswith(s[:-1]))
            for s in self.subscriptions
        )

    async def send_event(self, event: StreamEvent) -> None:
        if self.closed or not self.hears(event.event_type):
            return
        if self.queue.qsize() >= QUEUE_MAX:
            log.warning("%s is too slow", self.client_id)
            self.close()
            return
        self.queue.put_nowait(event)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.queue.put_nowait(None)

    def __aiter__(self) -> StreamConnection:
        return self

    async def __anext__(self) -> StreamEvent:
        event = await self.queue.get()
        if event is None:
            raise StopAsyncIteration
        return event


class EventBus:
    def __init__(self) -> None:
        self.subscribers: Dict[str, List[Callable[[Any], Any]]] = {}

    async def publish(self, event_type: str, data: Any) -> None:
        """One handler that fails stops no other."""
        for handler in [*self.subscribers.get(event_type, ()), *self.subscribers.get("*", ())]:
            try:
                result = handler(data)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                log.exception("a handler of %s has failed", event_type)

    def subscribe(self, event_type: str, handler: Callable[[Any], Any]) -> None:
        self.subscribers.setdefault(event_type, []).append(handler)

    def unsubscribe(self, event_type: str, handler: Callable[[Any], Any]) -> None:
        handlers = self.subscribers.get(event_type, [])
        if handler in handlers:
            handlers.remove(handler)
        if not handlers:
            self.subscribers.pop(event_type, None)


class StreamManager:
    """With a `publisher` an event for everybody is told by pgherald, to all clients of all daemons; and to
    the connections that this process has registered."""

    def __init__(self, event_bus: Optional[EventBus] = None, publisher: Optional[Publisher] = None) -> None:
        self.event_bus = event_bus or EventBus()
        self.publisher = publisher
        self.connections: Dict[str, StreamConnection] = {}

    def register_connection(self, client_id: str, connection: StreamConnection) -> None:
        """One that had this name before is closed."""
        before = self.connections.get(client_id)
        if before and before is not connection:
            before.close()
        self.connections[client_id] = connection

    def unregister_connection(self, client_id: str) -> None:
        connection = self.connections.pop(client_id, None)
        if connection:
            connection.close()

    async def broadcast_event(self, event: StreamEvent, channel: Optional[str] = None) -> None:
        """To everybody, or to a channel of pgherald's; and to what listens to this bus."""
        if self.publisher:
            await self.publisher.apublish(channel, event.event_type, event.data, id=event.id)
        for connection in list(self.connections.values()):
            await connection.send_event(event)
        await self.event_bus.publish(event.event_type, event.data)

    async def send_to_client(self, client_id: str, event: StreamEvent) -> bool:
        connection = self.connections.get(client_id)
        if connection is None or connection.closed:
            return False
        await connection.send_event(event)
        return True


SSEEvent = StreamEvent
SSEEventType = StreamEventType
SSEConnection = StreamConnection
SSEManager = StreamManager

_manager: Optional[StreamManager] = None


def get_stream_manager() -> StreamManager:
    """The one of this process."""
    global _manager
    if _manager is None:
        _manager = StreamManager()
    return _manager


get_sse_manager = get_stream_manager
