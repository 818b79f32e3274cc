# SPDX-License-Identifier: PostgreSQL
"""django-eventstream with one channel a token, events kept nowhere."""

from __future__ import annotations

from bench_settings import configure

configure(__name__, INSTALLED_APPS=["django_eventstream"],
          EVENTSTREAM_CHANNELMANAGER_CLASS="bench_eventstream.Channels")

import django  # noqa: E402

django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django_eventstream import send_event  # noqa: E402
from django_eventstream.channelmanager import DefaultChannelManager  # noqa: E402
from django_eventstream.views import events  # noqa: E402


class Channels(DefaultChannelManager):  # type: ignore[misc]
    def get_channels_for_request(self, request: HttpRequest, view_kwargs: dict[str, str]) -> set[str]:
        return {request.GET["token"]}

    def is_channel_reliable(self, channel: str) -> bool:
        return False


def publish(request: HttpRequest) -> HttpResponse:
    for line in request.body.decode().splitlines():
        channel, text = line.split("\t")
        send_event(channel, "message", text, json_encode=False)
    return HttpResponse(status=204)


urlpatterns = [path("events", events), path("publish", publish)]
application = get_asgi_application()
