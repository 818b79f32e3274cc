# SPDX-License-Identifier: PostgreSQL
"""{% load pgherald %} {% sse_url %}: the stream's URL; {% sse_url "sse-stats" %} the other one."""

from __future__ import annotations

from django import template
from django.urls import NoReverseMatch, reverse

from .. import conf

register = template.Library()


@register.simple_tag
def sse_url(name: str = "sse-events") -> str:
    """By the URLconf where it has the name, by the setting otherwise: the daemon answers there."""
    try:
        return reverse(name)
    except NoReverseMatch:
        if name not in ("sse-events", "sse-stats"):
            raise
        return str(conf.get("EVENTS_PATH" if name == "sse-events" else "STATS_PATH"))
