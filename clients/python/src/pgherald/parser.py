# SPDX-License-Identifier: PostgreSQL
"""An event stream's bytes, in pieces as they come, into messages (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

import re
from typing import Iterator, List, NamedTuple, Optional

_LINE_END = re.compile(b"\r\n|\r|\n")
MAX_LINE = 64 << 20  # bytes; more than the daemon ever sends in one


class Message(NamedTuple):
    """Empty data: there was nothing but a `retry`, or an id. `id` is the last one in force."""

    data: str
    id: str
    retry_ms: Optional[int]


class Parser:
    def __init__(self) -> None:
        self._rest = b""
        self._skip_lf = False  # the last piece ended with a CR: an LF at the start of the next is its
        self._data: List[str] = []
        self._id = ""
        self._retry: Optional[int] = None

    def feed(self, piece: bytes) -> Iterator[Message]:
        """What is complete. Not to be given up half-way, or the rest of the piece is lost."""
        if self._skip_lf and piece:
            self._skip_lf = False
            if piece[:1] == b"\n":
                piece = piece[1:]
        # A long line in many pieces is not looked through again with each of them.
        if b"\n" not in piece and b"\r" not in piece:
            self._rest += piece
            if len(self._rest) > MAX_LINE:
                raise ValueError(f"a line of more than {MAX_LINE} bytes")
            return
        self._skip_lf = piece.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest + piece)
        for line in lines:
            message = self._line(line)
            if message:
                yield message

    def _line(self, line: bytes) -> Optional[Message]:
        if not line:
            message = Message("\n".join(self._data), self._id, self._retry)
            empty = not self._data and self._retry is None
            self._data, self._retry = [], None
            return None if empty else message
        name, _, raw = line.partition(b":")
        value = (raw[1:] if raw[:1] == b" " else raw).decode("utf-8", "replace")
        if name == b"data":
            self._data.append(value)
        elif name == b"id" and "\0" not in value:
            self._id = value
        elif name == b"retry" and value.isascii() and value.isdigit():
            self._retry = int(value[:9])
        return None

    @property
    def left_retry_ms(self) -> Optional[int]:
        """A farewell: a `retry` line behind which the stream has ended."""
        return self._retry if not self._data else None
