# SPDX-License-Identifier: PostgreSQL
"""The names that applications have which bring their own server of streams: what imported them goes on, with
pgherald behind it. Each module stands for one kind of application.

`streaming`: clients over WebSocket and SSE, notifications, a manager of connections; `broadcast`: a channel
of texts; `manager`: managers, connections, events and their bus.

Where the gateway is, they are told by `configure()`, or by the variables PGHERALD_URL and PGHERALD_TOKEN."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Optional

from ..publish import Publisher

__all__ = ["Gateway", "configure", "gateway"]


@dataclass(frozen=True)
class Gateway:
    """`url` is its origin, `token` the credential that messages are posted with."""

    url: str
    token: Optional[str] = None

    def publisher(self, **more: Any) -> Publisher:
        return Publisher(self.url, token=self.token, **more)


_configured: Optional[Gateway] = None


def configure(url: Optional[str], token: Optional[str] = None) -> None:
    """For all of these modules; None: what the environment says."""
    global _configured
    _configured = None if url is None else Gateway(url, token)


def gateway() -> Gateway:
    if _configured:
        return _configured
    url = os.environ.get("PGHERALD_URL")
    if not url:
        raise RuntimeError("where is pgherald? Say pgherald.compat.configure(url), or set PGHERALD_URL")
    return Gateway(url, os.environ.get("PGHERALD_TOKEN"))
