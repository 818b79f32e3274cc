# SPDX-License-Identifier: PostgreSQL
"""A WebSocket's client (RFC 6455), by threads and by asyncio. Texts only, no extensions."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import socket
import ssl
import struct
import threading
from typing import Dict, List, Optional, Tuple, Union
from urllib.parse import urlsplit

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HEAD_MAX = 64 << 10
MESSAGE_MAX = 64 << 20  # bytes; more than the daemon ever sends


class Denied(Exception):
    """Another answer than an open WebSocket."""

    def __init__(self, status: int, body: bytes, after: Optional[str]) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.body, self.after = status, body, after


class Closed(Exception):
    """It has ended: by a close frame's code, or with 1006."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason or f"closed with {code}")
        self.code, self.reason = code, reason


def frame(opcode: int, payload: bytes) -> bytes:
    mask, n = os.urandom(4), len(payload)
    size = (
        bytes([0x80 | n])
        if n < 126
        else struct.pack("!BH", 0xFE, n)
        if n < 65536
        else struct.pack("!BQ", 0xFF, n)
    )
    masked = int.from_bytes(payload, "big") ^ int.from_bytes((mask * (n // 4 + 1))[:n], "big")
    return bytes([0x80 | opcode]) + size + mask + masked.to_bytes(n, "big")


class Wire:
    """What one side says and understands. No socket."""

    def __init__(self, url: str, headers: Dict[str, str]) -> None:
        parts = urlsplit(url)
        self.tls = parts.scheme in ("https", "wss")
        self.host, self.port = parts.hostname or "", parts.port or (443 if self.tls else 80)
        self._key = base64.b64encode(os.urandom(16)).decode()
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: " + parts.netloc.rpartition("@")[2],
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: " + self._key,
        ]
        for name, value in headers.items():
            if "\r" in value or "\n" in value or "\0" in value:
                raise ValueError(f"no value of a header: {name}")
            lines.append(f"{name}: {value}")
        self.hello = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self._data, self._open, self._parts = b"", False, b""
        self.out = b""  # what is to be sent: pongs, a close frame's echo

    def feed(self, data: bytes) -> List[bytes]:
        """The texts in it; raises Denied or Closed."""
        if not data:
            if not self._open:
                self._head(at_end=True)
            raise Closed(1006, "the connection has ended")
        self._data += data
        if len(self._data) > (MESSAGE_MAX if self._open else HEAD_MAX):
            raise ValueError("a message that is too large")
        if not self._open and not self._head():
            return []
        texts: List[bytes] = []
        while True:
            got = self._frame()
            if got is None:
                return texts
            fin, opcode, payload = got
            if opcode == _CLOSE:
                self.out += frame(_CLOSE, payload[:2])
                code = struct.unpack("!H", payload[:2])[0] if len(payload) > 1 else 1005
                if texts:
                    self._data = bytes([0x88, len(payload)]) + payload + self._data  # again, after these
                    return texts
                raise Closed(code, payload[2:].decode("utf-8", "replace"))
            if opcode == _PING:
                self.out += frame(_PONG, payload)
            elif opcode in (0, _TEXT):
                self._parts += payload
                if fin:
                    texts.append(self._parts)
                    self._parts = b""

    def _head(self, at_end: bool = False) -> bool:
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            if at_end:
                raise Closed(1006, "no answer")
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        try:
            status = int(first.split(" ")[1])
        except (IndexError, ValueError):
            raise ValueError("no HTTP") from None
        if status != 101:
            length = fields.get("content-length", "")
            if not at_end and (not length.isdigit() or len(rest) < int(length)):
                return False
            raise Denied(status, rest, fields.get("retry-after"))
        accept = base64.b64encode(hashlib.sha1(self._key.encode() + _GUID).digest()).decode()
        if fields.get("sec-websocket-accept") != accept:
            raise ValueError("the answer is not to this handshake")
        self._open, self._data = True, rest
        return True

    def _frame(self) -> Optional[Tuple[bool, int, bytes]]:
        b = self._data
        if len(b) < 2:
            return None
        if b[0] & 0x70 or b[1] & 0x80:
            raise ValueError("no frame of a server's")
        n, at = b[1] & 127, 2
        if n >= 126:
            at = 4 if n == 126 else 10
            if len(b) < at:
                return None
            n = int.from_bytes(b[2:at], "big")
        if n > MESSAGE_MAX:
            raise ValueError("a message that is too large")
        if len(b) < at + n:
            return None
        self._data = b[at + n :]
        return bool(b[0] & 0x80), b[0] & 15, b[at : at + n]


def _context(verify: Union[bool, str]) -> ssl.SSLContext:
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    return ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)


class WebSocket:
    """By threads: one reads, any may say something."""

    def __init__(
        self, url: str, headers: Dict[str, str], verify: Union[bool, str] = True, timeout: float = 20
    ) -> None:
        self._wire, self._lock = Wire(url, headers), threading.Lock()
        plain = socket.create_connection((self._wire.host, self._wire.port), timeout)
        try:
            self._socket = (
                _context(verify).wrap_socket(plain, server_hostname=self._wire.host)
                if self._wire.tls
                else plain
            )
            self._socket.sendall(self._wire.hello)
        except BaseException:
            plain.close()
            raise

    def receive(self, timeout: float) -> List[bytes]:
        self._socket.settimeout(timeout)
        try:
            return self._wire.feed(self._socket.recv(65536))
        finally:
            if self._wire.out:
                out, self._wire.out = self._wire.out, b""
                with self._lock:
                    self._socket.sendall(out)

    def send(self, text: str) -> None:
        with self._lock:
            self._socket.sendall(frame(_TEXT, text.encode()))

    def close(self) -> None:
        self._socket.close()


class AsyncWebSocket:
    """By asyncio."""

    def __init__(self, url: str, headers: Dict[str, str], verify: Union[bool, str] = True) -> None:
        self._wire, self._verify = Wire(url, headers), verify
        self._writer: Optional[asyncio.StreamWriter] = None

    async def open(self, timeout: float = 20) -> AsyncWebSocket:
        context = _context(self._verify) if self._wire.tls else None
        opening = asyncio.open_connection(self._wire.host, self._wire.port, ssl=context)
        self._reader, writer = await asyncio.wait_for(opening, timeout)
        writer.write(self._wire.hello)
        self._writer = writer
        return self

    async def receive(self, timeout: float) -> List[bytes]:
        assert self._writer
        try:
            return self._wire.feed(await asyncio.wait_for(self._reader.read(65536), timeout))
        finally:
            if self._wire.out and self._writer:
                out, self._wire.out = self._wire.out, b""
                self._writer.write(out)

    async def send(self, text: str) -> None:
        assert self._writer
        self._writer.write(frame(_TEXT, text.encode()))
        await self._writer.drain()

    def say(self, text: str) -> None:
        """Without waiting; from the loop's own thread."""
        if self._writer:
            self._writer.write(frame(_TEXT, text.encode()))

    async def close(self) -> None:
        if self._writer:
            self._writer.close()
