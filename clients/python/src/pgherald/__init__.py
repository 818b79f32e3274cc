# SPDX-License-Identifier: PostgreSQL
"""What changed in PostgreSQL, as pgherald tells it: `Herald(url, token=…).events()`."""

from .client import Herald
from .types import (
    Event,
    Failure,
    GaveUp,
    HeraldError,
    NotPublished,
    Refused,
    Retry,
    State,
    Status,
    TokenReason,
)

__all__ = [
    "Event",
    "Failure",
    "GaveUp",
    "Herald",
    "HeraldError",
    "NotPublished",
    "Refused",
    "Retry",
    "State",
    "Status",
    "TokenReason",
]
