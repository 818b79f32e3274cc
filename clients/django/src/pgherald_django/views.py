# SPDX-License-Identifier: PostgreSQL
"""For runserver: hands a request for a stream to the daemon, byte by byte."""

from __future__ import annotations

import http.client
import urllib.parse
from typing import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views import View

from . import conf

ASKED = ("Authorization", "Cookie", "Last-Event-ID", "Origin", "Accept", "Sec-Fetch-Site")
ANSWERED = ("Content-Type", "Cache-Control", "Retry-After", "WWW-Authenticate", "X-Accel-Buffering", "Vary")
CONNECT_S = 10
COME_BACK = b"retry: 3000\n: the daemon is not running at %s\n\n"


def pass_on(request: HttpRequest) -> HttpResponseBase:
    if not settings.DEBUG:
        return HttpResponse(
            "This path is the daemon's: let the proxy in front pass it on.\n",
            status=404,
            content_type="text/plain",
        )
    if request.method not in ("GET", "OPTIONS"):
        return HttpResponse(status=405, headers={"Allow": "GET, OPTIONS"})
    daemon = urllib.parse.urlsplit(conf.get("DAEMON"))
    connection = http.client.HTTPConnection(
        daemon.hostname or "127.0.0.1", daemon.port or 80, timeout=CONNECT_S
    )
    headers = {name: request.headers[name] for name in ASKED if name in request.headers}
    headers["Host"] = request.get_host()  # with sessions: is it a page of this site?
    try:
        connection.request(request.method, request.get_full_path(), headers=headers)
        socket = connection.sock
        answer = connection.getresponse()
    except OSError:
        # A 502 would end an EventSource for good.
        return HttpResponse(COME_BACK % daemon.netloc.encode(), content_type="text/event-stream")
    if answer.status != 200 or not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
        response: HttpResponseBase = HttpResponse(answer.read(), status=answer.status)
        connection.close()
    else:
        socket.settimeout(None)  # it may be silent for as long as its keep-alive
        response = StreamingHttpResponse(_bytes(connection, answer))
    for name in ANSWERED:
        if name in answer.headers:
            response[name] = answer.headers[name]
    return response


class SSEView(View):
    """The stream, under the name that a view of one's own had: `SSEView.as_view()`."""

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        return pass_on(request)


sse_stats = pass_on


def _bytes(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while True:
            data = answer.read1(1 << 16)
            if not data:
                return
            yield data
    except (OSError, http.client.HTTPException):
        return
    finally:
        connection.close()
