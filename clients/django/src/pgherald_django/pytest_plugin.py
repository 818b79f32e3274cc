# SPDX-License-Identifier: PostgreSQL
"""Fixtures for pytest-django: `herald_events`, which is capture_events()."""

from __future__ import annotations

from typing import Any, Callable

import pytest


@pytest.fixture
def herald_events(db: None) -> Callable[..., Any]:
    """with herald_events(user) as events: …"""
    from .testing import capture_events

    return capture_events
