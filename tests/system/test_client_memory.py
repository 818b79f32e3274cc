# SPDX-License-Identifier: PostgreSQL
"""client_memory: what waits for all clients together has a bound. Beyond it the slowest are let go, who come back
without loss, and nobody else; who comes then is told when to come again."""

import contextlib
import http.client
import json
import re
import socket

import pytest
from conftest import HEAD, run_pgherald, served_by
from lib.daemon import EVENTS, PATIENCE_S, STATS, Client, wait_until
from lib.websocket import HANDSHAKE, WebSocket

KIB = 1024
LIMIT = 1024 * KIB
CONF = HEAD.replace("[server]\n", """[server]
client_memory = 1MiB
workers = 2
ring_bytes = 128KiB
send_buffer = 8KiB
""").replace("receives = all\n", "receives = all\nchannels = *\npublish = *\n") + """
[publish]
roles = pgherald
[watch estimate]
table = public.api_estimate
owners = foreman_id
fields = estimate_id=id, estimate_number=number
[route events]
path = /api/v1/sse/events/
queue_events = 10000
queue_bytes = 64MiB
[route stats]
path = /api/v1/sse/stats/
kind = stats
[route send]
path = /send
kind = send
max_body = 1MiB
[route metrics]
path = /metrics
kind = metrics
"""


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    with served_by(cluster, tmp_path_factory.mktemp("client_memory"), CONF) as s:
        yield s


def metric(place, name):
    return int(re.search(rf"^pgherald_{re.escape(name)} (\d+)$",
                         place.daemon.get("/metrics", place.boss)[2].decode(), re.M)[1])


def used(place):
    return metric(place, "client_memory_bytes")


def refused(place, reason):
    return metric(place, f'refused_total{{reason="{reason}"}}')


@contextlib.contextmanager
def stalled(place, token):
    """A stream whose client takes nothing."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(PATIENCE_S)
        s.connect(place.daemon.address)
        s.sendall(f"GET {EVENTS}?token={token} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        greeting = b""
        while b"connected" not in greeting or not greeting.endswith(b"\n\n\r\n"):
            greeting += s.recv(4096)
        yield s, greeting


def rest(stream):
    """All that came and comes, to its end or to what was written last."""
    s, got = stream
    with contextlib.suppress(ConnectionError):
        while (more := s.recv(1 << 20)) and b'"estimate_number":"last' not in got + more:
            got += more
        got += more
    return got


def numbers(raw):
    return [int(n) for n in re.findall(rb'"estimate_number":"(\d+) z{50000}"', raw)]


def write(place, n, foreman):
    place.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES (%s, 10, %s)",
                 (f"{n} {'z' * 50000}", foreman))


def test_the_slowest_are_let_go_and_nobody_else(place):
    before = refused(place, "client_memory_slow")
    wait_until(lambda: used(place) == 0, "nobody is there")
    with stalled(place, place.anna) as much, stalled(place, place.boris) as little:
        boss = Client(place.daemon, place.boss).hello()
        for n in range(3):  # a little waits for the one …
            write(place, n, 3)
        n, most = 3, 0
        while refused(place, "client_memory_slow") == before:  # … and ever more for the other
            write(place, n, 2)
            n += 1
            boss.wait_messages(n)
            most = max(most, used(place))
            assert n < 200, "nobody is let go"
        assert LIMIT // 2 < most < LIMIT + 128 * KIB
        wait_until(lambda: used(place) < LIMIT // 2, "it has been given back")
        assert refused(place, "client_memory_slow") == before + 1
        assert place.daemon.wait_log("stream closed .*user=2 .*client_memory is used up")
        assert place.daemon.streams(place.boss) == 2
        place.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('last', 10, 3)")
        assert numbers(rest(little)) == list(range(3))
        got = rest(much)
        whole = re.findall(rb"data: [^\n]*\nid: (\S+)\n\n", got)
        back = Client(place.daemon, place.anna, last_id=whole[-1].decode()).hello()
        back.wait_messages(n - 3 - len(numbers(got)))  # from the journal
        heard = numbers(got) + [int(m["data"]["estimate_number"].split()[0]) for m in back.messages()]
        assert heard == list(range(3, n))
        boss.close()
        back.close()
    wait_until(lambda: used(place) == 0, "all of it is given back")


@contextlib.contextmanager
def body_held_back(place, size):
    """Somebody who may publish announces so many bytes and sends them late."""
    with socket.create_connection(place.daemon.address, PATIENCE_S) as s:
        s.sendall(f"POST /send HTTP/1.1\r\nHost: t\r\nAuthorization: Token {place.boss}\r\n"
                  f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n{{".encode())
        yield s


def come(place, **headers):
    client = Client(place.daemon, None, headers={"Authorization": "Token " + place.boss} | headers)
    client.read_until(lambda: client.headers is not None, "an answer")
    return client


def test_who_comes_then_is_told_to_come_again(place):
    let_go = refused(place, "client_memory_slow")
    held = []
    with body_held_back(place, LIMIT - 16 * KIB):
        wait_until(lambda: used(place) >= LIMIT - 16 * KIB, "the body is counted")
        while (client := come(place)).status == 200:
            held.append(client)
            assert len(held) < 20
        client.wait_end()
        assert client.status == 503 and int(client.headers["Retry-After"]) >= 3
        assert json.loads(client.raw_body)["code"] == "client_memory"
        source = come(place, Accept="text/event-stream")
        source.wait_end()
        assert source.status == 200 and re.match(rb"retry: [3-6]\d{3}\n", source.raw_body), source.raw_body
        lines = come(place, Accept="application/x-ndjson")
        lines.wait_end()
        assert lines.status == 503 and "Retry-After" in lines.headers
        ws = come(place, **HANDSHAKE)
        ws.wait_end()
        assert ws.status == 503 and json.loads(ws.raw_body)["code"] == "client_memory"
        c = http.client.HTTPConnection(*place.daemon.address, timeout=PATIENCE_S)
        c.request("POST", "/send", json.dumps({"channel": "news", "message": {"content": "x" * 20000}}),
                  {"Authorization": "Token " + place.boss, "Content-Type": "application/json"})
        answer = c.getresponse()
        assert answer.status == 503 and json.loads(answer.read())["code"] == "client_memory"
        c.close()
        assert refused(place, "client_memory") >= 5
        stats = json.loads(place.daemon.get(STATS, place.boss)[2])
        assert stats["client_memory"]["limit"] == LIMIT and stats["client_memory"]["bytes"] > LIMIT - 16 * KIB
        assert stats["refused"]["client_memory"] >= 5
    assert refused(place, "client_memory_slow") == let_go  # those who are there stay
    wait_until(lambda: come(place).status == 200, "there is room again")
    for client in held:
        assert not client.ended
        client.close()


def test_what_a_websocket_has_half_said_is_counted(place):
    ws = WebSocket(place.daemon, place.boss).hello()
    before = used(place)
    ws.send(bytes((0x81, 0xfe)) + (60000).to_bytes(2, "big") + b"\0\0\0\0" + b" " * 59000)
    wait_until(lambda: used(place) - before >= 59000, "it is counted")
    ws.send(b" " * 1000)
    wait_until(lambda: used(place) - before < 10000, "it has been answered, and given back")
    ws.close()


def test_a_limit_that_nobody_could_live_with(place):
    place.configure("client_memory = 1MiB", "client_memory = 1000")
    done = run_pgherald("-t", "-c", place.install.conf)
    place.configure("client_memory = 1000", "client_memory = 1MiB")
    assert done.returncode == 1 and "client_memory must be at least 128KiB" in done.stdout + done.stderr
