# SPDX-License-Identifier: PostgreSQL
"""Clients that take places and give nothing: requests a byte at a time, connections that say nothing.
Whoever is in earnest gets in meanwhile, the database keeps its descriptors, and the log has a line when
it begins and one when it has ended."""

import contextlib
import fcntl
import json
import select
import socket
import struct
import termios
import time
from pathlib import Path

import pytest

from conftest import HEAD, HERE, served_by
from lib.daemon import EVENTS, PATIENCE_S, Client, wait_until
from lib.netns import Network, why_not
from lib.websocket import WebSocket

BEGIN = b"GET " + EVENTS.encode() + b" HTTP/1.1\r\nHost: t\r\nX: "


def change(served):
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('e', 10, 2)")


@contextlib.contextmanager
def idle(d, n, said=b"G", source=None):
    """So many connections, each of which has said that much."""
    sockets = []
    try:
        for _ in range(n):
            s = socket.create_connection(d.address, PATIENCE_S, source)
            sockets.append(s)
            if said:
                with contextlib.suppress(ConnectionError):
                    s.sendall(said)
        yield sockets
    finally:
        for s in sockets:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()


def ended(s):
    """Whether the other side has ended it."""
    try:
        return bool(select.select([s], [], [], 0)[0]) and s.recv(4096) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("begin", [
    b"", BEGIN[:3], BEGIN[:30], BEGIN,
    b"POST " + EVENTS.encode() + b" HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\nX: ",
], ids=["nothing", "method", "target", "header", "body"])
def test_a_byte_at_a_time_has_a_deadline(served, begin):
    """A limit of silence would never end it: one byte comes every now and then."""
    served.configure("[server]", "[server]\nrequest_timeout = 1s")
    d = served.daemon.start().wait_ready()
    with socket.create_connection(d.address, PATIENCE_S) as s:
        s.sendall(begin)
        began, answer = time.monotonic(), b""
        while not select.select([s], [], [], 0.1)[0]:
            with contextlib.suppress(ConnectionError):
                s.sendall(b"x")
            assert time.monotonic() - began < PATIENCE_S, "it is never ended"
        with contextlib.suppress(ConnectionError):
            answer = s.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ") and b'{"detail": "The request was not' in answer
    d.wait_log("requests are ended that are not complete within request_timeout peer=")  # by the log's thread
    assert d.log().count("requests are ended that are not complete within request_timeout peer=") == 1


def test_who_says_nothing_is_ended_without_a_word(served):
    served.configure("[server]", "[server]\nrequest_timeout = 1s")
    d = served.daemon.start().wait_ready()
    with socket.create_connection(d.address, PATIENCE_S) as s:
        assert s.recv(4096) == b""
    found = d.wait_log(r"requests are complete in time again clients=(\d+) seconds=\d+")
    assert found.group(1) == "1"


def test_idle_connections_keep_nobody_out(served):
    """As many as the descriptors allow, twice; then somebody who is in earnest."""
    served.daemon.nofile = 256
    served.configure("[server]", "[server]\nrequest_timeout = 1h\nmax_requests_per_address = 0")
    d = served.daemon.start().wait_ready()
    with idle(d, 400) as sockets:
        d.wait_log("the places for requests are taken: new clients get those of clients whose")
        wait_until(lambda: sum(map(ended, sockets)) > 300, "places are given away")
        c = Client(d, served.anna).hello()
        change(served)
        c.wait_message("estimate.created")
        assert d.get("/healthz")[0] == 200
        assert d.get(EVENTS, "wrong")[0] == 401  # look-ups work, so the database is there
        assert d.descriptors() < 256 - 50
        # the database goes away and finds descriptors when it comes back
        served.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                      " WHERE usename = 'pgherald' AND datname = current_database()")
        change(served)
        c.wait_messages(2)
        d.wait_ready()
    found = d.wait_log(r"there are places for requests again clients=(\d+) seconds=\d+")
    assert int(found.group(1)) > 300


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_one_address_gets_so_many_places(served):
    """Others are not even asked to make room. Of IPv6, a network of 64 bits is one address."""
    served.configure("[server]", "[server]\nrequest_timeout = 1h\nmax_requests_per_address = 20")
    served.configure("listen = 127.0.0.1:0", "listen = 192.0.2.1:8000, [2001:db8::1]:8000")
    v4, v6 = ("192.0.2.1", 8000), ("2001:db8::1", 8000)
    net = Network("192.0.2.1/24", "192.0.2.2/24", "2001:db8::1/64", "2001:db8:0:1::1/64",
                  "2001:db8:0:2::1/64", "2001:db8:0:2::2/64")
    d, sockets = served.daemon, {}
    try:
        d.prefix = net.prefix
        d.start()

        def come(address, source, n):
            sockets[source] = [net.connect(address, source) for _ in range(n)]
            for s in sockets[source]:
                s.sendall(b"G")

        def left(*sources):
            return sum(not ended(s) for source in sources for s in sockets[source])

        come(v4, "192.0.2.2", 2)
        come(v6, "2001:db8:0:1::1", 2)
        come(v4, "192.0.2.1", 60)
        come(v6, "2001:db8:0:2::1", 30)
        come(v6, "2001:db8:0:2::2", 30)
        wait_until(lambda: left("192.0.2.1") == 20, "20 of 60 are left")
        wait_until(lambda: left("2001:db8:0:2::1", "2001:db8:0:2::2") == 20, "20 of 60 are left")
        assert left("192.0.2.2") == 2 and left("2001:db8:0:1::1") == 2
        # who comes from the same address in earnest is served
        with net.connect(v4, "192.0.2.1") as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
            assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
        d.wait_log(r"one address has max_requests_per_address requests without an answer")
        found = d.wait_log(r"no address has too many requests any more clients=(\d+) seconds=\d+")
        assert int(found.group(1)) in (80, 81)  # one made room for the last
    finally:
        for s in sum(sockets.values(), []):
            s.close()
        d.kill()
        net.close()


def test_a_burst_is_no_attack(served):
    """Many at once, whose requests come a moment later, as after a restart: all are served."""
    served.configure("[server]", "[server]\nmax_requests_per_address = 5\nmax_requests = 60")
    d = served.daemon.start().wait_ready()
    with idle(d, 50, said=BEGIN) as sockets:
        for s in sockets:
            s.sendall(b"y\r\nAuthorization: Token " + served.anna.encode() + b"\r\n\r\n")
        for s in sockets:
            assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert "taken" not in d.log() and "max_requests_per_address" not in d.log()


def test_a_full_house_waits(served):
    """Every place is held by a request whose verdict is not in: further clients wait in the kernel and
    are served then."""
    served.configure("[server]", "[server]\nmax_requests = 10")
    d = served.daemon.start().wait_ready()
    blocker = served.db.connect(autocommit=False)
    blocker.cursor().execute("LOCK TABLE authtoken_token")
    requests = []
    for _ in range(30):
        s = socket.create_connection(d.address, PATIENCE_S)
        s.sendall(BEGIN + b"y\r\nAuthorization: Token " + served.anna.encode() + b"\r\n\r\n")
        requests.append(s)
    d.wait_log("every place for requests is taken")
    blocker.rollback()
    for s in requests:
        assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
        s.close()
    d.wait_log("new clients do not wait any more")
    blocker.close()


def in_kernel(d, sock):
    """Bytes that the daemon has sent and the client has not read, on either side."""
    ends = f"{d.address[1]:04X}", f"{sock.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, _, queues, *_ = line.split()
        if (here.partition(":")[2], there.partition(":")[2]) == ends:
            return int(queues.partition(":")[0], 16) + struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"0000"))[0]
    raise AssertionError("there is no such connection")


def numbers(frames):
    """Of the messages, in either dialect."""
    data = [f.json.get("data", f.json.get("content")) for f in frames]
    return [d["n"] for d in data if isinstance(d, dict) and "n" in d]


def gaps(frames):
    return [f for f in frames if f.json.get("event") == "system.resync" or f.json.get("type") == "herald.gap"]


PRESETS = HERE.parents[1] / "presets"
STUCK = HEAD.replace("[server]", "[server]\nring_events = 20\nworkers = 1") + f"""
[listen news]
channel = news
event_key = event
data_key = data
[watch project]
table = public.api_project
fields = id
include = {PRESETS}/estimates.conf
include = {PRESETS}/streaming.conf
"""


@pytest.mark.parametrize("path", [EVENTS, "/ws/connect"])
def test_a_hundred_wait_and_the_next_goes_to_the_ring(cluster, tmp_path, path):
    """The presets' queue_events. Here what comes next has left the ring, too, and is live alone, so that no journal has it: who
    has read what the kernel and his queue had, to the byte and to the message, is told of a gap and goes on."""
    with served_by(cluster, tmp_path, STUCK) as served:
        d = served.daemon
        witness = Client(d, served.boss).hello()
        stuck = (WebSocket if path == "/ws/connect" else Client)(d, served.boss, path=path, rcvbuf=4096)
        wait_until(lambda: d.streams(served.boss) == 2, "the stuck stream")
        sent = 0

        def tell(n):
            nonlocal sent
            served.db.run("""SELECT pg_notify('news', json_build_object('event', 'news.n', 'data',
                               json_build_object('n', n, 'x', repeat('x', 7000)))::text)
                             FROM generate_series(%s::int, %s::int) AS n""", (sent + 1, sent + n))
            sent += n
            witness.read_until(lambda: numbers(witness.frames[-1:]) == [sent], f"message {sent}")

        full = [0, 1]
        while len(set(full[-5:])) > 1:  # that nothing goes out any more: a queue has begun
            tell(1)
            full.append(in_kernel(d, stuck.sock))
        for _ in range(15):  # which the witness hears before they leave the ring
            tell(10)
        assert in_kernel(d, stuck.sock) == full[-1]

        while full[-1] > 0:  # what the kernel has
            piece = stuck.sock.recv(full[-1])
            stuck.take(piece)
            full[-1] -= len(piece)
        whole = len(numbers(stuck.frames))
        stuck.read_until(lambda: gaps(stuck.frames), "that something is missing")
        assert numbers(stuck.frames) == list(range(1, whole + 100 + 1))
        tell(1)
        stuck.read_until(lambda: numbers(stuck.frames[-1:]) == [sent], "the next one")
        assert len(gaps(stuck.frames)) == 1 and len(numbers(stuck.frames)) == whole + 100 + 1
