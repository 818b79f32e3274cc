# SPDX-License-Identifier: PostgreSQL
"""The other transports' bytes into messages: lines of JSON, which a WebSocket's texts are as well, and the
document of a long-poll, which has a message on a line. The position stands in the objects themselves."""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, Optional, Union

from .parser import MAX_LINE, Message, Parser

# A document that is told as it is may have an id of its own, which is no position.
_POSITION = re.compile(r"[0-9a-z-]+(\.[0-9a-z-]*)+\Z")


def position(value: Any) -> str:
    return value if isinstance(value, str) and _POSITION.match(value) else ""


class Lines:
    """`application/x-ndjson`."""

    left_retry_ms: Optional[int] = None
    done = False

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[Message]:
        if b"\n" not in piece:
            self._rest += piece
            if len(self._rest) > MAX_LINE:
                raise ValueError(f"a line of more than {MAX_LINE} bytes")
            return
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            message = self._line(line)
            if message:
                yield message

    def _line(self, line: bytes) -> Optional[Message]:
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return None
        try:
            m = json.loads(text)
        except ValueError:
            return Message(text, "", None)
        if not isinstance(m, dict):
            return Message(text, "", None)
        if str(m.get("event") or m.get("type")).endswith("farewell"):
            retry = m.get("retry")
            return Message("", "", retry if isinstance(retry, int) else None)
        return Message(text, position(m.get("id")), None)


class Poll(Lines):
    """A long-poll's answer. `done` when all of it has come; then `left_retry_ms` is for a daemon that
    stops."""

    def __init__(self) -> None:
        super().__init__()
        self._greeted = False

    def feed(self, piece: bytes) -> Iterator[Message]:
        yield from super().feed(piece)
        # The greeting comes at once, and its line's end only with what comes behind it.
        rest = self._rest.strip()
        if not self._greeted and rest.startswith(b"{") and rest.endswith(b"}"):
            try:
                json.loads(rest)
            except ValueError:
                return
            message = self._line(rest)
            if message:
                yield message

    def _line(self, line: bytes) -> Optional[Message]:
        text = line.strip().rstrip(b",")
        if text.endswith(b"["):
            return None
        if text.startswith(b"]"):
            m = json.loads(b'{"events": [' + text)
            self.done = True
            self.left_retry_ms = m.get("retry") or None
            return Message("", position(m.get("last_event_id")), None)
        if not self._greeted:
            self._greeted = True
        elif b'"connected"' in text and json.loads(text).get("event") == "connected":
            return None
        return super()._line(text)


AnyParser = Union[Parser, Lines]
