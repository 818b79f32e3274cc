# SPDX-License-Identifier: PostgreSQL
"""The view that many projects have: a manager with a queue for each stream, a generator that waits
on it for thirty seconds and then sends a keep-alive."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

from bench_settings import configure

configure(__name__)

import django  # noqa: E402

django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Manager:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.queues: dict[str, list[queue.Queue[str]]] = {}

    def add(self, user: str) -> queue.Queue[str]:
        waiting: queue.Queue[str] = queue.Queue(maxsize=100)
        with self.lock:
            self.queues.setdefault(user, []).append(waiting)
        return waiting

    def remove(self, user: str, waiting: queue.Queue[str]) -> None:
        with self.lock:
            self.queues[user].remove(waiting)

    def send(self, user: str, text: str) -> None:
        with self.lock:
            for waiting in self.queues.get(user, []):
                try:
                    waiting.put_nowait(text)
                except queue.Full:
                    pass


manager = Manager()


def events(request: HttpRequest) -> StreamingHttpResponse:
    user = request.GET["token"]

    def stream() -> Iterator[str]:
        waiting = manager.add(user)
        try:
            yield 'data: {"event": "connected"}\n\n'
            while True:
                try:
                    yield f"data: {waiting.get(timeout=30)}\n\n"
                except queue.Empty:
                    yield f'data: {{"event": "keepalive", "timestamp": {time.time():.0f}}}\n\n'
        finally:
            manager.remove(user, waiting)

    response = StreamingHttpResponse(stream(), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    return response


def publish(request: HttpRequest) -> HttpResponse:
    for line in request.body.decode().splitlines():
        user, text = line.split("\t")
        manager.send(user, text)
    return HttpResponse(status=204)


urlpatterns = [path("events", events), path("publish", publish)]
application = get_wsgi_application()
