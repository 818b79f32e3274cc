# SPDX-License-Identifier: PostgreSQL
"""The settings that both Django peers share: nothing that an SSE view does not need."""

from __future__ import annotations

from typing import Any

from django.conf import settings


def configure(urls: str, **more: Any) -> None:
    settings.configure(
        ROOT_URLCONF=urls, SECRET_KEY="of no use", ALLOWED_HOSTS=["*"], DEBUG=False, MIDDLEWARE=[],
        LOGGING_CONFIG=None, USE_TZ=True, **more)
