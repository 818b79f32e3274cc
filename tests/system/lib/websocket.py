# SPDX-License-Identifier: PostgreSQL
"""A WebSocket's client by hand (RFC 6455), so that a test can send what no library would."""

import base64
import hashlib
import json
import os
import struct

from lib.daemon import Client, Frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": KEY}


def accept(key=KEY):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def frame(opcode, payload=b"", fin=True, rsv=0, mask=None, masked=True, length=None):
    """What a client sends; everything that can be wrong about it can be asked for."""
    payload = payload.encode() if isinstance(payload, str) else payload
    n = len(payload) if length is None else length
    size = (bytes([n]) if n < 126 else b"\x7e" + struct.pack("!H", n) if n < 65536 else b"\x7f" + struct.pack("!Q", n))
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode, size[0] | (0x80 if masked else 0)]) + size[1:]
    if not masked:
        return head + payload
    mask = os.urandom(4) if mask is None else mask
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + (reason.encode() if isinstance(reason, str) else reason)


class Messages:
    """A reader of a server's frames. Answers nothing; what came besides messages is in `control`."""

    headers = HANDSHAKE

    def __init__(self):
        self.rest, self.retry, self.closed, self.control = b"", None, None, []

    def feed(self, data):
        self.rest += data
        while (got := self._next()) is not None:
            opcode, payload = got
            assert self.closed is None, "something behind the close frame"
            if opcode == TEXT:
                message = json.loads(payload.decode())
                self.retry = message.pop("retry", self.retry)
                yield Frame(message.pop("id", None), json.dumps(message), [])
            elif opcode == CLOSE:
                self.closed = (struct.unpack("!H", payload[:2])[0], payload[2:].decode()) if payload else (1005, "")
            else:
                assert opcode in (PING, PONG), opcode
                self.control.append((opcode, payload))

    def _next(self):
        b = self.rest
        if len(b) < 2:
            return None
        assert b[0] & 0x70 == 0 and b[0] & 0x80 and not b[1] & 0x80, "whole frames, unmasked"
        n, at = b[1], 2
        if n >= 126:
            at = 4 if n == 126 else 10
            if len(b) < at:
                return None
            n = int.from_bytes(b[2:at], "big")
        if len(b) < at + n:
            return None
        self.rest = b[at + n:]
        return b[0] & 15, b[at:at + n]


class WebSocket(Client):
    """A client that talks."""

    def __init__(self, d, token, parser=None, **more):
        super().__init__(d, token, parser=parser or Messages(), **more)

    def send(self, *frames):
        self.sock.sendall(b"".join(frames))
        return self

    def ask(self, message):
        return self.send(frame(TEXT, message if isinstance(message, (str, bytes)) else json.dumps(message)))

    def wait_closed(self):
        """The close frame, and then the connection's end."""
        self.read_until(lambda: self.parser.closed or self.ended, "a close frame")
        closed = self.parser.closed
        self.wait_end()
        return closed

    def wait_control(self, opcode, payload=None):
        self.read_until(lambda: any(o == opcode and payload in (None, p) for o, p in self.parser.control),
                        f"control frame {opcode}")
        return self
