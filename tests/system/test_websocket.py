# SPDX-License-Identifier: PostgreSQL
"""WebSocket (RFC 6455) at the URL of the other transports: the handshake, what a client may say and how it
is answered, how it ends, and clients that mean no good."""

import json
import signal
import socket
import struct

import pytest
from lib.daemon import EVENTS, STATS, wait_until
from lib.websocket import (CLOSE, CONTINUATION, HANDSHAKE, KEY, PING, PONG, TEXT, Messages, WebSocket, accept,
                           close_payload, frame)

QUICK = """
[route events]
path = /api/v1/sse/events/
keepalive = 1s
stall = 1s
"""


@pytest.fixture
def d(served):
    return served.daemon.start().wait_ready()


def restart(served, more):
    served.daemon.stop()
    served.install.conf.write_text(served.install.conf.read_text() + more)
    return served.daemon.start().wait_ready()


def insert(served, number, foreman=2):
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES (%s, 10, %s)",
                  (str(number), foreman))


def answer(c, message):
    """The next message of the daemon's own, behind this one."""
    n = len(own(c))
    c.ask(message).read_until(lambda: len(own(c)) > n, f"an answer to {message}")
    return own(c)[n]


def own(c):
    return [m for m in c.messages() if m["event"].startswith("system.")]


# --- the handshake -----------------------------------------------------------------------------


def test_the_handshake(served, d):
    c = WebSocket(d, served.anna, by_query=False).hello()
    assert c.status == 101 and c.headers["Sec-WebSocket-Accept"] == accept()
    assert c.headers["Upgrade"] == "websocket" and c.headers["Connection"].lower() == "upgrade"
    assert "Sec-WebSocket-Extensions" not in c.headers and "Sec-WebSocket-Protocol" not in c.headers
    assert c.frames[0].json["event"] == "connected" and c.frames[0].id and c.parser.retry == 3000
    assert json.loads(d.get(STATS, served.boss)[2])["users"] == {"2": 1}
    insert(served, 1)
    assert c.wait_messages(1)[0]["data"]["estimate_number"] == "1"
    c.close()
    wait_until(lambda: d.streams(served.boss) == 0, "it has gone")
    d.wait_log("WebSocket stream opened(.|\n)*WebSocket stream closed.*client closed")


@pytest.mark.parametrize("headers, status, words", [
    ({"Sec-WebSocket-Version": "12"}, 426, "version 13"),
    ({"Sec-WebSocket-Version": "13, 8"}, 426, "version 13"),
    ({"Sec-WebSocket-Version": None}, 426, "version 13"),
    ({"Sec-WebSocket-Key": None}, 400, "Sec-WebSocket-Key"),
    ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400, "Sec-WebSocket-Key"),
    ({"Sec-WebSocket-Key": KEY + "\r\nSec-WebSocket-Key: " + KEY}, 400, "Sec-WebSocket-Key"),
    ({"Connection": "keep-alive"}, 426, "proxy"),
    ({"Upgrade": None}, 426, "proxy"),
    ({"Upgrade": "h2c"}, 426, "proxy"),
    ({"Upgrade": "WebSocket", "Connection": "keep-alive, UPGRADE"}, 101, None),
    ({"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}, 101, None),
    ({"Accept": "text/html"}, 101, None),
    ({"Origin": "https://elsewhere.example"}, 101, None),  # it has the token
])
def test_handshakes(served, d, headers, status, words):
    parser = Messages()
    parser.headers = {k: v for k, v in (HANDSHAKE | headers).items() if v is not None}
    c = WebSocket(d, served.anna, parser=parser)
    c.read_until(lambda: c.headers is not None)
    assert c.status == status
    if status == 101:
        assert "Sec-WebSocket-Extensions" not in c.hello().headers
        return
    c.wait_end()
    assert words in json.loads(c.raw_body)["detail"]
    if status == 426:
        assert c.headers["Upgrade"] == "websocket" and c.headers["Sec-WebSocket-Version"] == "13"


def test_other_refusals(served, d):
    def status(token=served.anna, **more):
        c = WebSocket(d, token, **more)
        c.read_until(lambda: c.headers is not None)
        return c.status
    assert status(version="1.0") == 426
    assert status(extra_query="transport=sse") == 400
    assert status(extra_query="transport=websocket") == 101
    assert d.get(EVENTS + "?transport=websocket", served.anna)[0] == 426
    assert status(path=STATS, by_query=False) == 426
    assert status(token="nobody") == 401
    assert status(extra_query="topics=nothing") == 400
    assert d.request("HEAD", EVENTS, HANDSHAKE)[0] == 405


def test_a_subprotocol(served, d):
    def chosen(offered):
        c = WebSocket(d, served.anna, headers={"Sec-WebSocket-Protocol": offered}).hello()
        return c.headers["Sec-WebSocket-Protocol"]
    assert chosen("other, pgherald") == "pgherald"
    assert chosen("other") is None


def test_a_cookie_does_not_serve_every_page(served, d):
    """Where everybody comes in, a page of any site could read with its visitor's address what CORS keeps
    from it; cookies are in test_session.py."""
    served.install.conf.write_text(served.install.conf.read_text().replace(
        "[server]", "[server]\ncors_origins = https://listed.example") + """
[auth all]
preset = none
role = manager
[route open]
path = /open
auth = all
""")
    d.signal(signal.SIGHUP)
    d.wait_log("configuration reloaded")
    def status(origin):
        c = WebSocket(d, None, path="/open", headers={"Origin": origin} if origin else {})
        c.read_until(lambda: c.headers is not None)
        return c.status
    assert [status(o) for o in (None, "https://listed.example", "http://test", "https://evil.example", "null")] == \
        [101, 101, 101, 403, 403]


def test_what_comes_with_the_handshake(served, d):
    """A client must wait for the answer; one that does not is read all the same."""
    c = WebSocket(d, served.anna, behind=frame(PING, b"early") + frame(TEXT, '{"action": "ping"}'))
    c.hello().wait_control(PONG, b"early")
    c.read_until(lambda: own(c))


# --- the protocol: case groups 1 to 7 and 10 of the well-known suite ------------------------------

ID = "κόσμε"
TEXT_OK = json.dumps({"action": "ping", "request_id": ID}, ensure_ascii=False).encode()


def split(data, step, opcode=TEXT):
    pieces = [data[i:i + step] for i in range(0, len(data), step)] or [b""]
    return b"".join(frame(opcode if i == 0 else CONTINUATION, p, fin=i == len(pieces) - 1) for i, p in enumerate(pieces))


def bad(data):
    return data + b'"}'


# What is sent, and what must come: answers to so many messages, pongs with these payloads, a close code.
CASES = {
    # 1: framing. (Binary messages mean nothing here: 1003.)
    "1.1.1 an empty text": (frame(TEXT), {"errors": 1}),
    "1.1.2 125 bytes": (frame(TEXT, TEXT_OK.ljust(125)), {"answers": 1}),
    "1.1.3 126 bytes": (frame(TEXT, TEXT_OK.ljust(126)), {"answers": 1}),
    "1.1.4 127 bytes": (frame(TEXT, TEXT_OK.ljust(127)), {"answers": 1}),
    "1.1.5 128 bytes": (frame(TEXT, TEXT_OK.ljust(128)), {"answers": 1}),
    "1.1.6 65535 bytes": (frame(TEXT, TEXT_OK.ljust(65535)), {"answers": 1}),
    "1.1.7 65536 bytes": (frame(TEXT, TEXT_OK.ljust(65536)), {"answers": 1}),
    "1.2.1 binary": (frame(2, b"x"), {"code": 1003}),
    "1.3.1 too large": (frame(TEXT, b" " * 65537), {"code": 1009}),
    # 2: pings and pongs
    "2.1 a ping": (frame(PING), {"pongs": [b""]}),
    "2.2 a ping with text": (frame(PING, "Hello"), {"pongs": [b"Hello"]}),
    "2.3 a ping with any bytes": (frame(PING, b"\x00\xff\xfe\xfd"), {"pongs": [b"\x00\xff\xfe\xfd"]}),
    "2.4 a ping of 125": (frame(PING, b"\xfe" * 125), {"pongs": [b"\xfe" * 125]}),
    "2.5 a ping of 126": (frame(PING, b"\xfe" * 126), {"code": 1002}),
    "2.7 a pong": (frame(PONG), {}),
    "2.8 a pong with text": (frame(PONG, "unsolicited"), {}),
    "2.9 pong, ping": (frame(PONG, "x") + frame(PING, "y"), {"pongs": [b"y"]}),
    "2.10 ten pings": (b"".join(frame(PING, str(i)) for i in range(10)), {"pongs": [str(i).encode() for i in range(10)]}),
    # 3: reserved bits
    "3.1 rsv3": (frame(TEXT, TEXT_OK, rsv=1), {"code": 1002}),
    "3.2 rsv2 behind a text": (frame(TEXT, TEXT_OK) + frame(TEXT, TEXT_OK, rsv=2), {"answers": 1, "code": 1002}),
    "3.3 rsv": (frame(TEXT, TEXT_OK, rsv=3), {"code": 1002}),
    "3.4 rsv1, permessage-deflate": (frame(TEXT, TEXT_OK, rsv=4), {"code": 1002}),
    "3.5 rsv of a ping": (frame(PING, rsv=5), {"code": 1002}),
    "3.7 rsv of a close": (frame(CLOSE, rsv=7), {"code": 1002}),
    # 4: opcodes
    **{f"4.1.{i} opcode {i}": (frame(i, "x"), {"code": 1002}) for i in range(3, 8)},
    **{f"4.2.{i} opcode {i}": (frame(TEXT, TEXT_OK) + frame(i), {"answers": 1, "code": 1002}) for i in range(11, 16)},
    # 5: fragmentation
    "5.1 a ping in pieces": (frame(PING, "a", fin=False) + frame(CONTINUATION, "b"), {"code": 1002}),
    "5.2 a pong in pieces": (frame(PONG, "a", fin=False) + frame(CONTINUATION, "b"), {"code": 1002}),
    "5.3 two pieces": (split(TEXT_OK, 20), {"answers": 1}),
    "5.5 of one byte": (split(TEXT_OK, 1), {"answers": 1}),
    "5.6 a ping between": (frame(TEXT, TEXT_OK[:9], fin=False) + frame(PING, "!") + frame(CONTINUATION, TEXT_OK[9:]),
                           {"answers": 1, "pongs": [b"!"]}),
    "5.9 nothing to continue": (frame(CONTINUATION, "x"), {"code": 1002}),
    "5.11 nothing to continue, in pieces": (frame(CONTINUATION, "x", fin=False) + frame(TEXT, TEXT_OK), {"code": 1002}),
    "5.15 behind the last piece": (split(TEXT_OK, 20) + frame(CONTINUATION, "x"), {"answers": 1, "code": 1002}),
    "5.18 a text within a text": (frame(TEXT, "a", fin=False) + frame(TEXT, "b"), {"code": 1002}),
    "5.19 pings in the middle of five pieces": (
        b"".join(frame(TEXT if i == 0 else CONTINUATION, TEXT_OK[i * 8:(i + 1) * 8], fin=False) + frame(PING, str(i))
                 for i in range(4)) + frame(CONTINUATION, TEXT_OK[32:]),
        {"answers": 1, "pongs": [b"0", b"1", b"2", b"3"]}),
    # 6: UTF-8
    "6.1.2 empty pieces": (frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION), {"errors": 1}),
    "6.1.3 empty pieces and one": (frame(TEXT, fin=False) + frame(CONTINUATION, TEXT_OK, fin=False) +
                                   frame(CONTINUATION), {"answers": 1}),
    "6.2.1 many characters": (frame(TEXT, TEXT_OK), {"answers": 1}),
    "6.2.3 cut within characters": (split(TEXT_OK, 3), {"answers": 1}),
    "6.3.1 half a pair": (frame(TEXT, "κόσμε".encode() + b"\xed\xa0\x80edited"), {"code": 1007}),
    "6.4.1 at once, before the last piece": (
        frame(TEXT, "κόσμε".encode(), fin=False) + frame(CONTINUATION, b"\xf4\x90\x80\x80", fin=False), {"code": 1007}),
    "6.4.3 at once, within a piece": (
        frame(TEXT, b"\xf4\x90\x80\x80" + b"x" * 200)[:10], {"code": 1007}),
    "6.4.4 ... at the second byte": (frame(TEXT, b"\xce\xba\xf4\x90\x80\x80")[:10], {"code": 1007}),
    **{f"6.{n} {data!r}": (frame(TEXT, data), {"code": 1007}) for n, data in {
        "6.1": b"\xce", "6.3": b"\xe1\xbd", "8.1": b"\xf8\x88\x80\x80\x80", "8.2": b"\xfc\x84\x80\x80\x80\x80",
        "10.1": b"\xf7\xbf\xbf\xbf", "12.1": b"\x80", "12.2": b"\xbf", "13.1": b"\xc0 \xc1 ", "13.5": b"\xfc \xfd ",
        "14.1": b"\xc0", "14.5": b"\xfc\x80\x80\x80\x80", "15.1": b"\xc0\xe0\x80\xf0\x80\x80", "16.1": b"\xfe",
        "16.2": b"\xff", "17.1": b"\xc0\xaf", "17.2": b"\xe0\x80\xaf", "18.1": b"\xc1\xbf", "18.2": b"\xe0\x9f\xbf",
        "19.1": b"\xc0\x80", "20.1": b"\xed\xa0\x80", "20.7": b"\xed\xbf\xbf", "21.1": b"\xed\xa0\x80\xed\xb0\x80"}.items()},
    # ... and what is UTF-8, but no JSON: it is answered.
    **{f"6.{n} {data!r}": (frame(TEXT, data), {"errors": 1}) for n, data in {
        "7.1": "\x00".encode(), "7.2": "\x7f".encode(), "9.1": "\u0080".encode(), "9.2": "\u07ff".encode(),
        "9.3": "\u0800".encode(), "11.4": b"\xf4\x8f\xbf\xbf", "22.1": b"\xed\x9f\xbf", "22.2": b"\xee\x80\x80",
        "22.3": b"\xef\xbf\xbd", "23.1": b"\xef\xbf\xbe", "23.2": b"\xef\xbf\xbf"}.items()},
    # 7: close
    "7.1.1 behind a text": (frame(TEXT, TEXT_OK) + frame(CLOSE, close_payload(1000)), {"answers": 1, "code": 1000}),
    "7.1.3 a ping behind": (frame(CLOSE, close_payload(1000)) + frame(PING), {"code": 1000}),
    "7.1.4 a text behind": (frame(CLOSE, close_payload(1000)) + frame(TEXT, TEXT_OK), {"code": 1000}),
    "7.1.5 within a message": (frame(TEXT, "a", fin=False) + frame(CLOSE, close_payload(1000)), {"code": 1000}),
    "7.3.1 without a payload": (frame(CLOSE), {"code": 1005}),
    "7.3.2 one byte": (frame(CLOSE, b"\x03"), {"code": 1002}),
    "7.3.3 a code": (frame(CLOSE, close_payload(1000)), {"code": 1000}),
    "7.3.4 a reason": (frame(CLOSE, close_payload(1000, "Hello World!")), {"code": 1000}),
    "7.3.5 a reason of 123": (frame(CLOSE, close_payload(1000, "*" * 123)), {"code": 1000}),
    "7.3.6 a reason of 124": (frame(CLOSE, close_payload(1000, "*" * 124)), {"code": 1002}),
    "7.5.1 a reason that is no text": (frame(CLOSE, close_payload(1000, b"\xce\xba\xed\xa0\x80")), {"code": 1007}),
    **{f"7.7 {code}": (frame(CLOSE, close_payload(code)), {"code": code})
       for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)},
    **{f"7.9 {code}": (frame(CLOSE, close_payload(code)), {"code": 1002})
       for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)},
    # 10: a large message in pieces
    "10.1.1 65536 bytes, 1300 a piece": (split(TEXT_OK.ljust(65536), 1300), {"answers": 1}),
    # What the suite takes for granted.
    "not masked": (frame(TEXT, TEXT_OK, masked=False), {"code": 1002}),
    "a length that is too long": (b"\x81\xfe\x00\x05mask12345", {"code": 1002}),
    "a head that says 2^63": (frame(TEXT, length=2**63), {"code": 1002}),
    "a head that says 2^62": (frame(TEXT, length=2**62), {"code": 1009}),
    "pieces that are too much": (frame(TEXT, b" " * 65536, fin=False) + frame(CONTINUATION, b" "), {"code": 1009}),
}


def one_case(d, token, sent, want, step):
    c = WebSocket(d, token).hello()
    try:
        for i in range(0, len(sent), step):
            c.sock.sendall(sent[i:i + step])
    except ConnectionError:
        assert "code" in want
    if "code" in want:
        assert c.wait_closed()[0] == want["code"]
    else:
        c.read_until(lambda: len(own(c)) >= want.get("answers", 0) + want.get("errors", 0)
                     and len(c.parser.control) >= len(want.get("pongs", [])))
    pongs = [p for o, p in c.parser.control if o == PONG]
    assert pongs == want.get("pongs", [])
    assert [m["event"] for m in own(c)] == (["system.pong"] * want.get("answers", 0) +
                                            ["system.error"] * want.get("errors", 0))
    assert all(m["request_id"] == ID for m in own(c) if m["event"] == "system.pong")
    c.close()


def test_the_protocol(served, d):
    """All at once, and in pieces of three bytes, between which other things happen."""
    failed = []
    for name, (sent, want) in CASES.items():
        for step in (1 << 20, 3):
            if step == 3 and len(sent) > 2000:
                continue
            try:
                one_case(d, served.anna, sent, want, step)
            except AssertionError as e:
                failed.append(f"{name}, {step} at a time: {str(e)[:300]}")
    assert not failed, "\n".join(failed)
    assert d.proc.poll() is None


# --- what can be asked for -----------------------------------------------------------------------


def test_actions(served):
    served.install.conf.write_text(served.install.conf.read_text().replace("[server]", "[server]\nworkers = 1"))
    d = served.daemon.start().wait_ready()
    c = WebSocket(d, served.boss, extra_query="topics=project").hello()
    everything = WebSocket(d, served.boss).hello()
    reply = answer(c, {"action": "ping", "request_id": "unique-id"})
    assert reply.pop("timestamp") > 1700000000
    assert reply == {"event": "system.pong", "data": {}, "request_id": "unique-id"}
    assert answer(c, '{"action": "ping", "request_id": 12345678901234567890}')["request_id"] == 12345678901234567890
    assert "request_id" not in answer(c, {"action": "ping"})
    insert(served, 1)
    served.db.run("UPDATE api_project SET name = 'told by now'")
    c.wait_message("project.updated", project_name="told by now")
    reply = answer(c, {"action": "subscribe", "data": {"topics": ["estimate"]}, "request_id": "s"})
    assert reply["event"] == "system.subscribed" and reply["request_id"] == "s"
    assert reply["data"] == {"topics": ["project", "estimate"], "types": None, "channels": []}
    insert(served, 2)
    c.wait_message("estimate.created", estimate_number="2")
    assert not [m for m in c.messages() if m["data"].get("estimate_number") == "1"], "it begins where the stream is"
    reply = answer(c, {"action": "unsubscribe", "data": {"topics": "estimate"}})
    assert reply["event"] == "system.unsubscribed" and reply["data"]["topics"] == ["project"]
    reply = answer(c, {"action": "unsubscribe", "data": {"topics": ["project"]}})
    assert reply["data"]["topics"] == []
    insert(served, 3)
    served.db.run("UPDATE api_project SET name = 'nobody hears it'")
    everything.wait_message("project.updated", project_name="nobody hears it")
    reply = answer(c, {"action": "subscribe", "data": {"topics": ["estimate"]}})
    insert(served, 4)
    c.wait_message("estimate.created", estimate_number="4")
    assert [m["data"]["estimate_number"] for m in c.messages() if m["event"] == "estimate.created"] == ["2", "4"]
    # Whoever chose nothing hears it all.
    reply = answer(everything, {"action": "subscribe", "data": {"topics": ["estimate"]}})
    assert reply["data"] == {"topics": None, "types": None, "channels": []}
    reply = answer(everything, {"action": "unsubscribe", "data": {"topics": ["estimate"]}})
    assert reply["event"] == "system.error" and reply["data"]["type"] == "not_chosen"


@pytest.mark.parametrize("message, kind, words", [
    ("", "invalid_message", "JSON object"),
    ("[]", "invalid_message", "JSON object"),
    ("{", "invalid_message", "JSON object"),
    ('{"action": 1}', "invalid_message", '"action"'),
    ({"data": {}}, "invalid_message", '"action"'),
    ({"action": "x" * 129}, "invalid_message", '"action"'),
    ('{"action": "pi\\u0000ng"}', "invalid_message", '"action"'),
    ({"action": "ping", "request_id": ["x"]}, "invalid_message", '"request_id"'),
    ({"action": "ping", "request_id": "x" * 127}, "invalid_message", '"request_id"'),
    ({"action": 'tele"path\u2028y'}, "unknown_action", "there are: message, ping, renew, send_to_channel, send_to_user, "),
    ({"action": "subscribe"}, "invalid_data", '"channel"'),
    ({"action": "subscribe", "data": []}, "invalid_data", '"channel"'),
    ({"action": "subscribe", "data": {"channel": "a b"}}, "invalid_data", '"channel" is a name'),
    ({"action": "subscribe", "data": {"channels": [f"c.{i}" for i in range(33)]}}, "invalid_data", "32 channels"),
    ({"action": "subscribe", "data": {"channel": "secret"}}, "forbidden", '"secret"'),
    ({"action": "subscribe", "data": {"topics": ["project"], "channel": "secret"}}, "forbidden", '"secret"'),
    ({"action": "renew"}, "invalid_data", "token"),
    ({"action": "renew", "data": {}}, "invalid_data", "token"),
    ({"action": "renew", "data": {"token": 1}}, "invalid_data", "token"),
    ({"action": "renew", "data": {"token": "a b"}}, "invalid_data", "token"),
    ({"action": "renew", "data": {"token": "x" * 8193}}, "invalid_data", "token"),
    ('{"action": "renew", "data": {"token": "a\\u0000b"}}', "invalid_data", "token"),
    ({"action": "renew", "data": {"token": "nobody"}}, "invalid_token", "credential"),
    ({"action": "renew", "data": {"token": "token-boss"}}, "invalid_token", "credential"),
    ({"action": "subscribe", "data": {"topics": 1}}, "invalid_data", "topics"),
    ({"action": "subscribe", "data": {"topics": []}}, "invalid_data", "topics"),
    ({"action": "subscribe", "data": {"topics": [["estimate"]]}}, "invalid_data", "topics"),
    ({"action": "subscribe", "data": {"topics": ["estimate,project"]}}, "invalid_data", "topics"),
    ({"action": "subscribe", "data": {"topics": ["estimate", "passwords"]}}, "invalid_data", '"passwords"'),
    ({"action": "subscribe", "data": {"topics": ["x" * 129]}}, "invalid_data", "topics"),
    ({"action": "subscribe", "data": {"types": ["estimate.created"] * 65}}, "invalid_data", "64"),
    ({"action": "unsubscribe", "data": {"types": ["estimate.created"]}}, "not_chosen", "?types="),
])
def test_every_message_is_answered(served, d, message, kind, words):
    c = WebSocket(d, served.anna, extra_query="topics=estimate").hello()
    reply = answer(c, message)
    assert reply["event"] == "system.error" and reply["data"]["type"] == kind and words in reply["data"]["error"]
    answer(c, {"action": "ping"})
    insert(served, 1)
    c.wait_message("estimate.created")


# --- how it ends ---------------------------------------------------------------------------------


def test_ends(served, d):
    """Rights that end and a daemon that stops are told by the code."""
    boss, anna = WebSocket(d, served.boss).hello(), WebSocket(d, served.anna).hello()
    served.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    assert anna.wait_closed() == (4401, "the token is not valid any more")
    insert(served, 1)
    boss.wait_messages(1)
    d.signal(signal.SIGTERM)
    assert boss.wait_closed()[0] == 1012
    assert boss.messages()[-1]["event"] == "system.farewell" and 3000 <= boss.parser.retry <= 9000
    assert d.wait_end() == 0
    insert(served, 2)
    d.start().wait_ready()
    back = WebSocket(d, served.boss, extra_query="last_event_id=" + boss.last_id).hello()
    assert [m["data"]["estimate_number"] for m in back.wait_messages(1)] == ["2"]


def test_a_role_that_changes(served, d):
    served.db.run("UPDATE api_user SET role = 'foreman' WHERE id = 2")
    c = WebSocket(d, served.anna).hello()
    served.db.run("UPDATE api_user SET role = 'cleaner' WHERE id = 2")
    assert c.wait_closed()[0] == 4403


def test_pings(served, d):
    """Whoever answers is kept, whoever does not is gone: with nothing but pongs, and with nothing at all."""
    d = restart(served, QUICK)
    quiet, polite = WebSocket(d, served.anna), WebSocket(d, served.boss)
    polite.hello().read_until(lambda: [m for m in polite.messages(keepalive=True) if m["event"] == "keepalive"])
    assert polite.last_id
    for i in range(1, 5):
        polite.wait_control(PING).send(frame(PONG))
        polite.read_until(lambda i=i: len(polite.parser.control) >= i)
    assert quiet.wait_closed() == (4408, "no answer to a ping")
    polite.send(frame(PONG))
    answer(polite, {"action": "ping"})
    d.wait_log("WebSocket stream closed.*the client does not answer")


def test_nobody_answers_the_close(served, d):
    """A client that stays, talks on or has gone keeps nothing."""
    before = d.descriptors()
    talking, silent, gone = [WebSocket(d, served.anna).hello() for _ in range(3)]
    for c in (talking, silent, gone):
        c.send(frame(TEXT, "x", rsv=1))
    gone.close()
    assert silent.wait_closed()[0] == talking.wait_closed()[0] == 1002
    try:
        while True:
            talking.sock.sendall(b"x" * 65536)
    except OSError:
        pass
    wait_until(lambda: d.descriptors() <= before, "their sockets are closed")
    assert d.streams(served.boss) == 0


# --- clients that mean no good -------------------------------------------------------------------


def memory_kib(d):
    with open(f"/proc/{d.proc.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_heads_that_promise_much(served, d):
    """A large length is room for nothing."""
    WebSocket(d, served.anna).hello().close()
    before = memory_kib(d)
    clients = [WebSocket(d, served.anna).hello() for _ in range(100)]
    for c in clients:
        c.send(frame(TEXT, b"x", length=65536))
        answerless = c
    wait_until(lambda: d.streams(served.boss) == 100, "they are there")
    answerless.close()
    assert d.keeps_freed_memory() or memory_kib(d) - before < 4096
    for c in clients[:50]:
        c.close()
    other = WebSocket(d, served.boss).hello()
    answer(other, {"action": "ping"})


def test_who_says_too_much_is_slowed(served, d):
    """... while others are served; pings, messages and bytes alike. What is slow is TCP's own."""
    flood = WebSocket(d, served.anna).hello()
    flood.sock.setblocking(False)
    pings, sent = frame(PING, b"x" * 100) * 50, 0
    try:
        while True:
            sent += flood.sock.send(pings)
            assert sent < 1 << 26, "nobody slows it"
    except BlockingIOError:
        pass
    other = WebSocket(d, served.boss).hello()
    insert(served, 1, foreman=2)
    other.wait_messages(1)
    flood.wait_message("estimate.created")
    assert d.streams(served.boss) == 2


def test_who_goes_on_is_let_go(served, d):
    """After ten seconds of it."""
    c = WebSocket(d, served.anna).hello()
    c.sock.setblocking(False)
    junk = frame(PONG, mask=b"\0\0\0\0") * 4096
    offset = 0

    def closed():
        nonlocal offset
        try:
            offset = (offset + c.sock.send(junk[offset:] + junk[:offset])) % 6
        except BlockingIOError:
            pass
        except OSError:
            return True
        c.read_some(0.05)
        return c.parser.closed or c.ended
    wait_until(closed, "it is closed", 120)
    d.wait_log("WebSocket stream closed.*the client says too much")
    assert c.parser.closed in (None, (1008, "you say too much"))


def test_who_does_not_take_answers(served):
    """Pongs that nobody reads are not made without end."""
    d = restart(served, QUICK)
    c = WebSocket(d, served.anna).hello()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.sock.setblocking(False)
    before, pings = memory_kib(d), frame(PING, b"x" * 125) * 100

    def gone():
        try:
            c.sock.send(pings)
        except BlockingIOError:
            pass
        except OSError:
            return True
        return "the client does not read" in d.log()
    wait_until(gone, "it is closed", 120)
    assert d.keeps_freed_memory() or memory_kib(d) - before < 8192


def test_a_reset(served, d):
    c = WebSocket(d, served.anna).hello()
    c.send(frame(TEXT, "half", fin=False)[:9])
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()
    wait_until(lambda: d.streams(served.boss) == 0, "it has gone")


def test_half_a_handshake(served, d):
    """It is a request like any other until it is whole."""
    served.install.conf.write_text(served.install.conf.read_text().replace("[server]", "[server]\nrequest_timeout = 1s"))
    d = restart(served, "")
    s = socket.create_connection(d.address)
    s.sendall(f"GET {EVENTS}?token={served.anna} HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n".encode())
    s.settimeout(60)
    assert b" 408 " in s.recv(4096)
