# SPDX-License-Identifier: PostgreSQL
"""Lines, polls, frames and the choice of a transport, byte by byte and without a socket."""

import base64
import hashlib
import json
import random

import pytest

from pgherald.ladder import ALL, Ladder
from pgherald.lines import Lines, Poll
from pgherald.websocket import Closed, Denied, Wire, frame

LINES = (
    '{"event": "a", "data": "κ", "id": "a.0.1"}\n\n{bad\n7\n{"id": 7}\n'
    '{"event": "system.farewell", "retry": 4711}\n{"event": "lo'
)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_lines_in_any_pieces(step):
    data, lines = LINES.encode(), Lines()
    got = [m for i in range(0, len(data), step) for m in lines.feed(data[i : i + step])]
    assert [(m.id, m.retry_ms) for m in got] == [
        ("a.0.1", None),
        ("", None),
        ("", None),
        ("", None),
        ("", 4711),
    ]
    assert json.loads(got[0].data)["data"] == "κ" and got[4].data == ""


ANSWER = (
    '{"events": [\n{"event": "connected", "id": "a.0.1", "retry": 3000},\n'
    '{"event": "x", "data": [1], "id": "a.0.2"}\n'
    '], "last_event_id": "a.0.3", "retry": %d}\n'
)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_poll(step):
    data, poll = (ANSWER % 0).encode(), Poll()
    got = [m for i in range(0, len(data), step) for m in poll.feed(data[i : i + step])]
    assert [m.id for m in got] == ["a.0.1", "a.0.2", "a.0.3"] and poll.done and poll.left_retry_ms is None
    poll = Poll()
    first = list(poll.feed(b'{"events": [\n{"event": "connected", "id": "a.0.1"}'))
    assert [m.id for m in first] == ["a.0.1"] and not poll.done, "the greeting comes before its line's end"
    list(poll.feed(b'\n], "last_event_id": null, "retry": 4000}\n'))
    assert poll.done and poll.left_retry_ms == 4000


def opened():
    wire = Wire("http://[::1]:80/x?y=1", {"Authorization": "Bearer t"})
    hello = wire.hello.decode().split("\r\n")
    assert (
        hello[0] == "GET /x?y=1 HTTP/1.1" and "Host: [::1]:80" in hello and "Authorization: Bearer t" in hello
    )
    key = next(h for h in hello if h.startswith("Sec-WebSocket-Key")).split(": ")[1].encode()
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        wire,
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nsec-websocket-accept: " + accept + b"\r\n\r\n",
    )


def server(opcode, payload, fin=True):
    n = len(payload)
    size = bytes([n]) if n < 126 else b"\x7e" + n.to_bytes(2, "big")
    return bytes([(0x80 if fin else 0) | opcode]) + size + payload


@pytest.mark.parametrize("seed", range(5))
def test_frames_in_any_pieces(seed):
    chance, (wire, head) = random.Random(seed), opened()
    data = head + server(1, b"one") + server(9, b"p") + server(1, b"tw", fin=False) + server(0, b"o" * 300)
    texts = []
    while data:
        n = chance.randint(1, 40)
        texts += wire.feed(data[:n])
        data = data[n:]
    assert texts == [b"one", b"tw" + b"o" * 300]
    assert wire.out[0] == 0x8A and wire.out[1] == 0x81, "a masked pong"
    assert wire.feed(server(1, b"last") + server(8, b"\x0f\xa1bye")) == [b"last"]
    with pytest.raises(Closed) as closed:
        wire.feed(server(1, b"behind"))
    assert (closed.value.code, closed.value.reason) == (4001, "bye")


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_what_is_sent_is_masked(length):
    data, payload = frame(1, b"x" * length), b"x" * length
    at = 2 + (0 if length < 126 else 2 if length < 65536 else 8)
    mask = data[at : at + 4]
    assert bytes(b ^ mask[i % 4] for i, b in enumerate(data[at + 4 :])) == payload


def test_other_answers():
    wire, _ = opened()
    assert wire.feed(b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{") == []
    with pytest.raises(Denied) as denied:
        wire.feed(b"}")
    assert (denied.value.status, denied.value.body, denied.value.after) == (429, b"{}", "7")
    for bad in (b"HTTP/1.1 101 x\r\nsec-websocket-accept: no\r\n\r\n", b"hello\r\n\r\n", b"x" * 70000):
        with pytest.raises(ValueError):
            opened()[0].feed(bad)
    for bad in (b"\xc1\x00", b"\x81\x81\x00\x00\x00\x00x", b"\x81\x7f" + b"\xff" * 8):
        wire, head = opened()
        with pytest.raises(ValueError):
            wire.feed(head + bad)
    with pytest.raises(ValueError):
        Wire("http://x/", {"X": "a\r\nb"})


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_ladder():
    clock = Clock()
    ladder = Ladder(ALL, clock)
    assert ladder.now == "ndjson" and ladder.patience_s(90) == 8
    ladder.failed(0)  # no greeting
    assert ladder.now == "websocket"
    ladder.failed(426)
    assert ladder.now == "poll" and ladder.patience_s(90) == 90
    ladder.begun(), ladder.heard(), ladder.heard()
    for status in (503, 401, 0, 200):
        ladder.failed(status)
        assert ladder.now == "poll", "it has worked, and somebody has answered"
    ladder.begun()
    ladder.failed(0), ladder.failed(0)
    assert ladder.now == "ndjson", "around"
    ladder.failed(401)
    assert ladder.now == "poll", "not about the transport: the one that worked"
    clock.now = 601
    ladder.failed(0)
    assert ladder.now == "ndjson"
    for bad in ((), "telepathy", ["sse", "x"]):
        with pytest.raises(ValueError):
            Ladder(bad, clock)
