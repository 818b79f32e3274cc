# SPDX-License-Identifier: PostgreSQL
"""Which transport is next: the first that works on this way to the daemon. What has answered with a status
has come through, so only what is refused as a transport, or brings no greeting, is left."""

from __future__ import annotations

from typing import Callable, Literal, Sequence, Set, Union

Via = Literal["sse", "ndjson", "websocket", "poll"]

ALL: Sequence[Via] = ("ndjson", "websocket", "poll")
GREETING_S = 8.0  # who has not been greeted by then sits behind something that holds answers back
CLIMB_S = 600.0  # the way there may have become another
MISSES_MAX = 2  # streams in a row that brought nothing, of a transport that has worked before
NOT_SERVED = (406, 426, 501, 505)


class Ladder:
    def __init__(self, via: Union[Via, Sequence[Via]], clock: Callable[[], float]) -> None:
        self.rungs: Sequence[Via] = (via,) if isinstance(via, str) else tuple(via)
        if not self.rungs or not set(self.rungs) <= {"sse", *ALL}:
            raise ValueError(f"no such transports: {via!r}")
        self._clock = clock
        self._at = self._misses = self._messages = 0
        self._moved = clock()
        self._refused: Set[Via] = set()
        self._worked: Set[Via] = set()
        self._best: Via = self.rungs[0]

    @property
    def now(self) -> Via:
        return self.rungs[self._at]

    def patience_s(self, idle_s: float) -> float:
        """How long the next byte may take."""
        hurried = self._at < len(self.rungs) - 1 and self.now not in self._worked
        return min(GREETING_S, idle_s) if hurried else idle_s

    def begun(self) -> None:
        self._messages = 0

    def heard(self) -> None:
        self._messages += 1
        self._worked.add(self.now)
        self._best = self.now

    def failed(self, status: int) -> None:
        if status in NOT_SERVED:
            self._refused.add(self.now)
            self._next()
        elif status not in (0, 200):
            # Somebody has answered, so this is not about the transport: with the one that worked.
            if self._best in self._worked and self._best not in self._refused:
                self._go(self.rungs.index(self._best))
        elif self._at and self._clock() - self._moved > CLIMB_S:
            self._go(0)
        elif self._messages > 1:
            self._misses = 0
        else:
            self._misses += 1
            if self._misses >= MISSES_MAX or self.now not in self._worked:
                self._next()

    def _next(self) -> None:
        to = self._at + 1
        while to < len(self.rungs) and self.rungs[to] in self._refused:
            to += 1
        if to == len(self.rungs):
            self._refused.clear()  # once around: it may be served by now
            to = 0
        self._go(to)

    def _go(self, to: int) -> None:
        if to != self._at:
            self._misses, self._moved = 0, self._clock()
        self._at = to
