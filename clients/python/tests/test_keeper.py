# SPDX-License-Identifier: PostgreSQL
"""What to wait for, with a clock that stands still."""

import pytest

from pgherald import GaveUp, Retry
from pgherald.keeper import CONNECT_S, IDLE_S, Ended, Keeper, matches

HELLO = b'retry: 3000\ndata: {"event": "connected", "user": 7, "keepalive": %d}\nid: a\n\n'


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def keeper(**retry):
    clock = Clock()
    k = Keeper("", Retry(**retry), clock)
    k.request()
    return k, clock


def test_pauses_double_and_are_spread():
    k, _ = keeper(min=1, max=8)
    pauses = [k.ended(Ended(0, "x"), False) for _ in range(200)]
    for i, most in enumerate([1, 2, 4, 8, 8, 8]):
        assert most / 2 <= pauses[i] <= most
    assert len(set(pauses)) > 100 and max(pauses) <= 8


def test_a_success_begins_anew():
    k, clock = keeper(min=1, max=100)
    for _ in range(5):
        k.ended(Ended(0, "x"), False)
    k.request()
    list(k.feed(HELLO % 30, ["*"], False))
    assert k.status.attempt == 0 and k.status.user == "7" and k.idle_s == 75
    clock.now += 60
    assert k.ended(Ended(200, "x"), False) <= 1


def test_a_greeting_and_nothing_more_is_no_success():
    k, _ = keeper(min=1, max=100, attempts=6)
    pauses = []
    with pytest.raises(GaveUp):
        while True:
            k.request()
            list(k.feed(HELLO % 30, ["*"], False))
            pauses.append(k.ended(Ended(200, "x"), False))
    assert len(pauses) == 5 and pauses[4] >= 8


@pytest.mark.parametrize(
    "header, least, most",
    [
        ("7", 7, 7.5),
        ("0", 0, 0.5),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10, 10.5),
        ("-1", 0.25, 0.5),
        ("soon", 0.25, 0.5),
        ("99999999", 0.25, 0.5),
        ("nan", 0.25, 0.5),
        (None, 0.25, 0.5),
    ],
)
def test_retry_after(header, least, most):
    k, _ = keeper()
    assert least <= k.ended(Ended(503, "x", header), False) <= most


def test_a_farewell_says_when():
    k, _ = keeper()
    list(k.feed(HELLO % 30 + b"retry: 4500\n", ["*"], False))
    assert k.ended(Ended(200, "x"), False) == 4.5
    k.request()
    list(k.feed(b"retry: 2500\n: busy\n\n", ["*"], False))
    assert k.ended(Ended(200, "x"), False) == 2.5
    k.request()
    list(k.feed(HELLO % 30, ["*"], False))
    assert k.ended(Ended(200, "x"), False) <= 2, "that of the greeting is for EventSource"


@pytest.mark.parametrize("data", [b"[]", b"{}", b"x", b"1", b'{"event": null}', b'"\xff"'])
def test_a_message_of_somebody_else(data):
    k, _ = keeper()
    assert [e for e in k.feed(b"data: " + data + b"\nid: z\n\n", ["*"], False) if e.type] == []
    assert k.position == "z"


def test_patterns():
    assert matches("order.created", ["order.*"]) and matches("order.created", ["x", "order.created"])
    assert not matches("orders.created", ["order.*"]) and not matches("order.created", ["order"])
    assert matches("system.resync", ["order.*"]) and matches("a", ["*"])


def test_limits():
    assert CONNECT_S < IDLE_S
