# SPDX-License-Identifier: PostgreSQL
"""What a client has to know besides HTTP: the position, when to try again, which refusal is final. No
socket, no clock of its own and no thread; client.py drives it, once with threads and once with asyncio."""

from __future__ import annotations

import json
import logging
import random
import time
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from .ladder import Ladder, Via
from .lines import AnyParser, Lines, Poll
from .parser import Parser
from .types import Event, Failure, GaveUp, Refused, Retry, Status, TokenReason

log = logging.getLogger("pgherald")

CONNECT_S = 20.0  # until there is an answer
IDLE_S = 90.0  # silence is an end: three keep-alives of a daemon that does not say
STEADY_S = 5.0  # from then on a stream was a success
LAG_S = 2.0  # by so much clocks may differ
FINAL = (204, 401, 403)
DETAIL_MAX = 500  # bytes of a refusal's text
TYPES = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "poll": "application/json",
    "websocket": "*/*",
}
# HTTP's word for the code with which a WebSocket is closed.
CLOSED = {1012: 200, 1013: 503, 1008: 429, 4401: 401, 4403: 403}


class Ended(Exception):
    """An attempt is over. `status` is HTTP's, 0 when it broke; `after`: Retry-After as it was sent."""

    def __init__(self, status: int, message: str, after: Optional[str] = None) -> None:
        super().__init__(message)
        self.status, self.message, self.after = status, message, after


class Keeper:
    def __init__(
        self,
        position: str,
        retry: Retry,
        clock: Callable[[], float] = time.time,
        via: Union[Via, Sequence[Via]] = "sse",
    ) -> None:
        self.position, self.retry, self.clock = position, retry, clock
        self.ladder = Ladder(via, clock)
        self.channels: List[str] = []
        self.status = Status(since=clock())
        self.watchers: Dict[object, Callable[[Status], object]] = {}
        self.token: Optional[str] = None
        self.reason: TokenReason = "start"
        self.renews = False  # the application has a function for tokens, and the daemon a place for them
        self.expiring: Optional[str] = None  # the stream's name, once the daemon has said that its token ends
        self.renewing: Optional[str] = None  # the token that a WebSocket has been told
        self.idle_s = IDLE_S
        self._asked = False  # for another token, since a stream was open
        self._opened = 0.0
        self._failures = 0  # in a row; a greeting alone is no success
        self._told_s: Optional[float] = None
        self._parser: AnyParser = Parser()

    def show(self, **changes: Any) -> None:
        before = self.status
        status = replace(before, **changes)
        if status.state != before.state:
            status = replace(status, since=self.clock())
        self.status = status
        if status != before:
            for watcher in list(self.watchers.values()):
                try:
                    watcher(status)
                except Exception:  # one that is bad stops neither the others nor the stream
                    log.exception("a subscriber to the status has failed")

    def request(self) -> Tuple[Dict[str, str], Dict[str, str]]:
        """(query, headers) of the next attempt."""
        via = self.ladder.now
        # The next poll is the same stream to who listens.
        if not isinstance(self._parser, Poll) or not self._parser.done or via != "poll":
            self.show(state="connecting")
            self._opened = 0.0
        self._parser = Parser() if via == "sse" else Poll() if via == "poll" else Lines()
        self._told_s = self.expiring = self.renewing = None
        self.ladder.begun()
        query, headers = {"hello": "full"}, {"Accept": TYPES[via], "Cache-Control": "no-store"}
        if self.position:
            query["last_event_id"] = self.position
        if self.channels:
            query["channels"] = ",".join(self.channels)
        if via == "poll":
            query["transport"] = "poll"
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        return query, headers

    def answered(self, status: int, content_type: str) -> None:
        if status != 200:
            raise AssertionError("refused() is for this")
        if not content_type.startswith(TYPES[self.ladder.now]):
            raise Ended(0, f"no event stream, but {content_type or 'nothing'}")

    def refused(self, status: int, body: bytes, after: Optional[str]) -> Ended:
        text = body[:DETAIL_MAX].decode("utf-8", "replace").strip()
        with suppress(ValueError, KeyError, TypeError):
            text = str(json.loads(body)["detail"])
        return Ended(status, text or "no word of why", after)

    def feed(self, piece: bytes, patterns: Sequence[str], start: bool) -> Iterator[Event]:
        """The events in it, each with the position moved on to it."""
        first = not self.position
        for message in self._parser.feed(piece):
            # With a message it is the greeting's, meant for EventSource; alone it is a farewell.
            self._told_s = None if message.data or message.retry_ms is None else message.retry_ms / 1000
            self.position = message.id or self.position
            self.ladder.heard()
            event = self._event(message.data) if message.data else None
            if event is None:
                continue
            if event.type == "connected":
                if not self._opened:
                    self._greeted(event)
                    if first and start:
                        data = {"reason": "start", "topics": ["*"]}
                        yield Event("system.resync", data, position=self.position)
            elif event.type == "system.expiring" and self.renews and isinstance(event.data, dict):
                self.expiring = str(event.data.get("stream", ""))
            elif event.type != "keepalive" and matches(event.type, patterns):
                if event.timestamp:
                    lag = max(0.0, self.clock() - event.timestamp - LAG_S)
                    self.show(lag=float(int(lag)))
                yield event

    def _event(self, text: str) -> Optional[Event]:
        try:
            m = json.loads(text)
            if "request_id" in m:
                self._answered(m)
                return None
            if m["event"] == "connected":
                return Event("connected", m)
            return Event(m["event"], m.get("data"), m.get("timestamp"), m.get("scope"), self.position)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # a message of somebody else

    def _answered(self, m: Dict[str, Any]) -> None:
        if m["request_id"] == "renew":  # refused, the stream goes on to its end as it was
            if m["event"] == "system.renewed":
                self.token = self.renewing
            return
        if m["event"] == "system.error":
            raise Ended(403, str(m["data"]["error"]))

    def complete(self) -> bool:
        """A long-poll's answer has come to its end, and the next one may be asked for. Raises where the
        daemon has said when."""
        if isinstance(self._parser, Poll) and self._parser.done and not self._parser.left_retry_ms:
            return True
        raise Ended(200, "the stream has ended")

    def _greeted(self, event: Event) -> None:
        self._opened, self._asked, self.reason = self.clock(), False, "expired"
        keepalive = event.data.get("keepalive")
        if isinstance(keepalive, (int, float)) and keepalive > 0:
            self.idle_s = keepalive * 2.5
        user = event.data.get("user")
        self.show(
            state="open",
            attempt=0,
            error=None,
            retry_at=None,
            user=None if user is None else str(user),
            via=self.ladder.now,
        )

    def ended(self, end: Ended, can_ask: bool) -> float:
        """How many seconds to wait before the next attempt; raises when there is none. `can_ask`: the
        token comes from a function, which gives another one."""
        self.ladder.failed(end.status)
        steady = self._opened and self.clock() - self._opened > STEADY_S
        attempt = self._failures = 1 if steady else self._failures + 1
        error = Failure(end.status, end.message)
        told = self._told_s
        if told is None and self._parser.left_retry_ms is not None:
            told = self._parser.left_retry_ms / 1000
        if end.status == 401:
            self.token = None
            if self.reason == "start":
                self.reason = "refused"
            if can_ask and not self._asked:
                self._asked = True
                self.show(state="connecting", attempt=attempt, error=error)
                return 0.0
        if end.status in FINAL:
            self.show(state="failed", attempt=attempt, error=error, retry_at=None)
            raise Refused(end.status, end.message)
        if self.retry.attempts is not None and attempt >= self.retry.attempts:
            self.show(state="failed", attempt=attempt, error=error, retry_at=None)
            raise GaveUp(f"{attempt} attempts have failed, the last one: {end.message}")
        pause = told if told is not None else self._after(end.after)
        if pause is None:
            # An exponent beyond a float's is longer than any pause.
            pause = min(self.retry.max, self.retry.min * 2.0 ** min(attempt - 1, 60))
            pause *= 0.5 + random.random() / 2
        self.show(state="waiting", attempt=attempt, error=error, retry_at=self.clock() + pause)
        return pause

    def _after(self, header: Optional[str]) -> Optional[float]:
        """Seconds of a Retry-After, spread so that not all come at once (RFC 9110, section 10.2.3)."""
        if not header:
            return None
        try:
            seconds = float(header)
        except ValueError:
            try:
                seconds = parsedate_to_datetime(header).timestamp() - self.clock()
            except (ValueError, TypeError):
                return None
        if not 0 <= seconds <= 86400:
            return None
        return seconds + random.random() * self.retry.min


def matches(kind: str, patterns: Sequence[str]) -> bool:
    """`order.updated`, `order.*` or `*`. A resync always is: it is about what is shown."""
    if kind == "system.resync":
        return True
    return any(p in ("*", kind) or (p.endswith(".*") and kind.startswith(p[:-1])) for p in patterns)
