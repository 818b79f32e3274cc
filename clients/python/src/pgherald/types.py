# SPDX-License-Identifier: PostgreSQL
"""What the application sees: events, the status, errors. No behaviour."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Awaitable, Callable, Literal, Optional, Union

State = Literal[
    "idle",  # nobody listens
    "connecting",
    "open",  # the daemon has greeted: what is loaded from now on misses nothing
    "waiting",  # between two attempts
    "failed",  # refused, or out of attempts
    "closed",  # by close(), for good
]

# Why a token is asked for: none yet; it worked before; it never has.
TokenReason = Literal["start", "expired", "refused"]
Token = Union[
    str,
    Callable[[TokenReason], Optional[str]],
    Callable[[TokenReason], Awaitable[Optional[str]]],
]


@dataclass(frozen=True)
class Event:
    """One change, or `system.resync`: what is shown of `data["topics"]` is to be fetched again."""

    type: str
    data: Any
    # The second at which the change was made, by the server's clock.
    timestamp: Optional[int] = None
    # "enter": the row has become this user's. "leave": it has stopped being so.
    scope: Optional[Literal["enter", "leave"]] = None
    # Where to go on from when this event has been dealt with: Herald(…, position=…).
    position: str = ""

    @property
    def topic(self) -> str:
        return self.type.rpartition(".")[0]

    @property
    def gone(self) -> bool:
        """The row is no longer there, or no longer this user's."""
        return self.scope == "leave" or self.type.endswith(".deleted")


@dataclass(frozen=True)
class Failure:
    """What ended the last attempt: HTTP's status, 0 when there was no answer, and what came with it."""

    status: int
    message: str


@dataclass(frozen=True)
class Status:
    state: State = "idle"
    # Since when, as time.time().
    since: float = field(default_factory=time.time)
    # Attempts that have failed in a row.
    attempt: int = 0
    # When the next attempt begins, as time.time(); in the state "waiting".
    retry_at: Optional[float] = None
    # Seconds between the last event and its arrival, beyond two, since clocks differ.
    lag: float = 0.0
    # Who the daemon says we are.
    user: Optional[str] = None
    error: Optional[Failure] = None
    # By which transport the stream came at last.
    via: Optional[str] = None


@dataclass(frozen=True)
class Retry:
    """Pauses in seconds, which double from `min` to `max`, with jitter; `attempts` in a row, or no end."""

    min: float = 0.5
    max: float = 30.0
    attempts: Optional[int] = None


class HeraldError(Exception):
    """The stream has ended for good; the position is still good for another one."""


class Refused(HeraldError):
    """An answer that no patience changes: the token, the role, or the address."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


class NotPublished(HeraldError):
    """`status` is HTTP's, or 0: there was no answer, and nobody knows."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


class GaveUp(HeraldError):
    """`Retry.attempts` have failed in a row."""
