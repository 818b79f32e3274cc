# SPDX-License-Identifier: PostgreSQL
"""Names for reverse() and {% url %}: sse-events and sse-stats. In production the proxy in front answers
these paths and Django never sees them; with DEBUG they are passed on to the daemon."""

from __future__ import annotations

from django.urls import path

from . import conf, views


def _path(name: str) -> str:
    return str(conf.get(name)).lstrip("/")


urlpatterns = [
    path(_path("EVENTS_PATH"), views.pass_on, name="sse-events"),
    path(_path("STATS_PATH"), views.pass_on, name="sse-stats"),
]
