# SPDX-License-Identifier: PostgreSQL
"""The HTTP face: exact headers and bytes, and every kind of bad input. One client's nonsense must
get a clear answer and leave everybody else alone."""

import json
import os
import re
import select
import socket
import struct
import subprocess

import pytest

from lib.daemon import EVENTS, STATS, Client, as_ordinary_user, wait_until


@pytest.fixture
def d(served):
    return served.daemon.start().wait_ready()


def change(served, n=1):
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id)"
                  " SELECT 'e', 10, 2 FROM generate_series(1, %s)", (n,))


def raw(d, data, half_close=False):
    """Sends bytes, reads to the end or to silence; what came."""
    with socket.create_connection(d.address, 20) as s:
        try:
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass
        out = b""
        s.settimeout(20)
        try:
            while b"\r\n\r\n" not in out or (b"Content-Length" in out and not complete(out)):
                more = s.recv(65536)
                if not more:
                    break
                out += more
        except (TimeoutError, ConnectionError):
            pass
        return out


def complete(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return len(body) >= int(length.group(1))


# --- exact bytes -----------------------------------------------------------------------------


def test_head_and_hello(served, d):
    c = Client(d, served.anna).hello()
    h = c.headers
    assert h["Content-Type"] == "text/event-stream; charset=utf-8"
    assert h["Cache-Control"] == "no-cache, no-transform"  # or a proxy may compress, and wait for more
    assert h["Connection"].lower() == "keep-alive"
    assert h["X-Accel-Buffering"] == "no"
    assert re.fullmatch(
        rb'retry: 3000\ndata: {"event": "connected", "message": "SSE connection established"}\n'
        rb'id: [0-9a-z.-]{1,128}\n\n', c.raw_body)


def test_a_client_that_asks_is_told_who_it_is(served, d):
    c = Client(d, served.anna, extra_query="hello=full").hello()
    tail = re.fullmatch(
        rb'retry: 3000\ndata: {"event": "connected", "message": "SSE connection established", '
        rb'"keepalive": 30, "user": "([^"]+)", "stream": "[0-9]+[.][0-9]+"}\nid: [0-9a-z.-]{1,128}\n\n', c.raw_body)
    assert tail and tail.group(1) == b"2", c.raw_body
    again = Client(d, served.anna, last_id=c.last_id, extra_query="hello=full").hello()
    assert again.last_id == c.last_id and b'"user": "2"' in again.raw_body
    assert b'"user"' not in Client(d, served.anna, extra_query="hello=").hello().raw_body


def test_event_bytes(served, d):
    c = Client(d, served.boss).hello()
    served.db.run("UPDATE api_project SET name = E'Bridge “2”\\n\\u0085\\u2028\\u2029' WHERE id = 10")
    m = c.wait_message("project.updated", project_name="Bridge “2”\n\x85\u2028\u2029")
    assert list(m) == ["event", "data", "timestamp"] and isinstance(m["timestamp"], int)
    tail = c.raw_body.split(b"\n\n", 1)[1]
    assert re.fullmatch(
        'data: {"event": "project.updated", "data": {"project_id":10,"project_name":'
        r'"Bridge “2”\\n\\u0085\\u2028\\u2029","created_at":"[^"]*Z"}, "timestamp": [0-9]{10}}'
        '\nid: [0-9a-z.-]{1,128}\n\n',
        tail.decode()), tail


@pytest.mark.parametrize("header", ["Token ", "Bearer ", "bearer ", "TOKEN  "])
def test_token_in_the_header(served, d, header):
    c = Client(d, None, headers={"Authorization": header + served.anna}).hello()
    change(served)
    c.wait_message("estimate.created")


def test_keepalive_is_a_data_message_that_moves_the_id(served):
    served.install.conf.write_text(served.install.conf.read_text() + """
[route events]
path = /api/v1/sse/events/
keepalive = 1s
[route stats]
path = /api/v1/sse/stats/
kind = stats
""")
    d = served.daemon.start().wait_ready()
    c = Client(d, served.boris).hello()
    first = c.last_id
    change(served)  # anna's: boris hears nothing of it, but need not replay it either
    c.read_until(lambda: c.messages(keepalive=True) and c.last_id != first, "a keep-alive")
    m = c.messages(keepalive=True)[-1]
    assert list(m) == ["event", "timestamp"] and m["event"] == "keepalive"
    assert isinstance(m["timestamp"], int)


def test_http_1_0_streams_without_chunks(served, d):
    c = Client(d, served.anna, version="1.0").hello()
    assert "Transfer-Encoding" not in c.headers
    change(served, 3)
    assert len(c.wait_messages(3)) == 3


def test_stats(served, d):
    a, b, c = Client(d, served.boss), Client(d, served.anna), Client(d, served.anna)
    for x in (a, b, c):
        x.hello()
    status, headers, body = d.request("GET", STATS, {"Authorization": "Bearer " + served.boss})
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"total_users": 2, "total_connections": 3,
                                "users": {"1": 1, "2": 2}}
    assert list(json.loads(body)) == ["total_users", "total_connections", "users"]
    assert d.get(STATS)[0] == 401
    assert d.get(STATS + "?token=" + served.boss)[0] == 401  # header only
    assert d.get(STATS, served.anna)[0] == 403  # a foreman must not see who is online


def test_health(served, d):
    assert d.get("/healthz")[0] == 200
    assert d.get("/readyz")[0] == 200


def test_cors(served):
    served.configure("[server]", "[server]\ncors_origins = https://app.example.com")
    d = served.daemon.start().wait_ready()
    good, bad = {"Origin": "https://app.example.com"}, {"Origin": "https://evil.example.com"}
    for path in (EVENTS, STATS):
        status, h, _ = d.request("OPTIONS", path, good | {
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization, last-event-id"})
        assert status == 204 and h["Access-Control-Allow-Origin"] == good["Origin"]
        assert {"authorization", "last-event-id"} <= set(
            re.split(r",\s*", h["Access-Control-Allow-Headers"]))
        assert h["Vary"] == "Origin"
        assert "Access-Control-Allow-Origin" not in d.request("OPTIONS", path, bad)[1]
    c = Client(d, served.anna, headers=good).hello()
    assert c.headers["Access-Control-Allow-Origin"] == good["Origin"]
    assert c.headers["Access-Control-Expose-Headers"] == "Retry-After"
    c = Client(d, served.anna, headers=bad).hello()
    assert "Access-Control-Allow-Origin" not in c.headers
    assert d.get(EVENTS, headers=good)[1]["Access-Control-Allow-Origin"] == good["Origin"]


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize("token, status, detail", [
    (None, 401, "Authentication credentials were not provided."),
    ("", 401, "Invalid token."),
    ("unknown", 401, "Invalid token."),
    ("x" * 513, 401, "Invalid token."),
    ("tok\u00e9n", 401, "Invalid token."),
    ("%0d%0aX-Evil:1", 401, "Invalid token."),
    ("';DROP TABLE api_user;--", 401, "Invalid token."),
    ('a"}{,\\', 401, "Invalid token."),
])
def test_bad_tokens(served, d, token, status, detail):
    path = EVENTS if token is None else EVENTS + "?token=" + token.replace("é", "%C3%A9")
    got, headers, body = d.get(path.replace('"', "%22").replace(" ", "%20").replace("\\", "%5C"))
    assert got == status and json.loads(body) == {"detail": detail}
    assert headers["WWW-Authenticate"] == "Token"
    assert "X-Evil" not in headers


def test_token_of_an_inactive_user(served, d):
    served.db.run("UPDATE api_user SET is_active = false WHERE id = 2")
    status, _, body = d.get(EVENTS, served.anna)
    assert status == 401 and json.loads(body)["detail"] == "User inactive or deleted."


def test_user_without_a_configured_role(served, d):
    served.db.run("UPDATE api_user SET role = 'visitor' WHERE id = 2")
    assert d.get(EVENTS, served.anna)[0] == 403


@pytest.mark.parametrize("request_bytes, statuses", [
    (b"GET " + EVENTS.encode() + b"?token=" + b"x" * 65536 + b" HTTP/1.1\r\nHost: t\r\n\r\n",
     (401, 413, 414, 431)),
    (b"GET / HTTP/1.1\r\nHost: t\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000)
                                                 for i in range(100)) + b"\r\n", (413, 431)),
    (b"GET /\x01\x02\x7f HTTP/1.1\r\nHost: t\r\n\r\n", (400, 404)),
    (b"GET /%00%01%0a HTTP/1.1\r\nHost: t\r\n\r\n", (400, 404)),
    (b"GET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n", (404,)),
    (b"GET /../../etc/passwd HTTP/1.1\r\nHost: t\r\n\r\n", (404,)),
    (b"POST " + EVENTS.encode() + b" HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc", (413,)),
    (b"POST " + EVENTS.encode() + b" HTTP/1.1\r\nHost: t\r\n\r\n", (405,)),
    (b"DELETE " + STATS.encode() + b" HTTP/1.1\r\nHost: t\r\n\r\n", (405,)),
    (b"HEAD " + EVENTS.encode() + b" HTTP/1.1\r\nHost: t\r\n\r\n", (405,)),
    (b"BREW /healthz HTTP/1.1\r\nHost: t\r\n\r\n", (405,)),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 garbage \r\n\r\n", (400, None)),
    (b"GET / HTTP/9.9\r\n\r\n", (400, 505, None)),
    (b"\r\n" * 2000 + b"\r\n\r\n", (400, None)),
])
def test_bad_requests(served, d, request_bytes, statuses):
    witness = Client(d, served.anna).hello()
    answer = raw(d, request_bytes, half_close=True)
    status = int(answer.split()[1]) if answer.startswith(b"HTTP/") else None
    assert status in statuses, answer[:200]
    if status == 405:
        assert b"Allow: GET" in answer
    change(served)
    witness.wait_message("estimate.created")


@pytest.mark.parametrize("name", ["Last-Event-ID", "last-event-id"])
@pytest.mark.parametrize("value", ["{}", "  {}", "{}  ", "\t{} \t"])
def test_blanks_around_a_header_are_none_of_it(served, d, name, value):
    """RFC 9110, section 5.5: neither of a position nor of a token."""
    first = Client(d, served.anna).hello()
    before = first.last_id
    change(served)
    first.wait_message("estimate.created")
    back = Client(d, None, headers={name: value.format(before), "Authorization": value.format("Token " + served.anna)}).hello()
    back.wait_message("estimate.created")
    assert len(back.messages()) == 1


@pytest.mark.parametrize("last_id", [
    "garbage", "1", "0" * 5000, "zzzzzzzz.0.", "zzzzzzzz.0.1", "-1", "a:b", "'; SELECT 1",
    "\u00fc".encode().decode("latin-1"),
])
def test_bad_last_event_ids_get_one_reset(served, d, last_id):
    c = Client(d, served.anna, last_id=last_id).hello()
    m = c.wait_message("system.resync")
    assert m["data"]["reason"] in ("cursor", "epoch")
    assert sorted(m["data"]["topics"]) == ["estimate", "project"]
    assert c.last_id and c.last_id != last_id
    change(served)
    c.wait_message("estimate.created")
    assert len(c.messages()) == 2


def test_last_event_id_from_the_future(served, d):
    c = Client(d, served.anna).hello()
    epoch, loss, _ = c.last_id.split(".")[:3]
    back = Client(d, served.anna, last_id=f"{epoch}.{loss}.zzzzzzzz").hello()
    assert back.wait_message("system.resync")["data"]["reason"] == "cursor"
    change(served)
    back.wait_message("estimate.created")


def test_pruned_last_event_id(served):
    served.configure("[server]", "[server]\nring_events = 1")
    d = served.daemon.start().wait_ready()
    c = Client(d, served.anna).hello()
    c.close()
    other = Client(d, served.boss).hello()
    for _ in range(3):
        change(served)
    other.wait_messages(3)  # what is pruned now has been read: only the cursor is too old
    served.db.run("SELECT pgherald.prune(interval '0', 1000)")
    change(served)
    other.wait_messages(4)
    back = Client(d, served.anna, last_id=c.last_id).hello()
    assert back.wait_message("system.resync")["data"]["reason"] == "pruned"
    change(served)
    back.wait_message("estimate.created")


def test_an_empty_last_event_id_is_none(served, d):
    c = Client(d, served.anna, last_id="").hello()
    change(served)
    c.wait_messages(1)
    assert [m["event"] for m in c.messages()] == ["estimate.created"]


def test_half_closed_client_is_let_go(served, d):
    c = Client(d, served.anna).hello()
    c.sock.shutdown(socket.SHUT_WR)
    c.wait_end()
    wait_until(lambda: d.streams(served.boss) == 0, "the stream is gone")
    d.wait_log("client closed")


def test_a_client_that_talks_is_ignored_then_let_go(served, d):
    c = Client(d, served.anna).hello()
    c.sock.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
    change(served)
    c.wait_message("estimate.created")
    try:
        for _ in range(200):
            c.sock.sendall(b"x" * 65536)
    except OSError:
        pass
    d.wait_log("the client talks on an event stream")


def test_a_client_that_never_reads(served):
    served.install.conf.write_text(served.install.conf.read_text() + """
[route events]
path = /api/v1/sse/events/
stall = 3s
[route stats]
path = /api/v1/sse/stats/
kind = stats
""")
    d = served.daemon.start().wait_ready()
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(d.address)
    stuck.sendall(f"GET {EVENTS}?token={served.boss} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    wait_until(lambda: d.streams(served.boss) == 1, "the stuck stream")
    good = Client(d, served.anna).hello()
    note = "z" * 30000
    for i in range(150):
        served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id)"
                      " VALUES (%s, 10, 2)", (f"{i} {note}",))
        good.wait_messages(i + 1)
    d.wait_log("the client does not read")
    wait_until(lambda: d.streams(served.boss) == 1, "only the good one is left")
    # what the stuck client got so far ends in an id with which it loses nothing
    stuck.settimeout(20)
    got = b""
    try:
        while True:
            more = stuck.recv(1 << 20)
            if not more:
                break
            got += more
    except ConnectionError:
        pass
    numbers = [int(n) for n in re.findall(rb'"estimate_number":"(\d+) z{30000}"', got)]
    whole = re.findall(rb'data: [^\n]*\nid: (\S+)\n\n', got)
    back = Client(d, served.boss, last_id=whole[-1].decode()).hello()
    back.wait_messages(150 - len(numbers))
    heard = numbers + [int(m["data"]["estimate_number"].split()[0]) for m in back.messages()]
    assert heard == list(range(150))


def test_many_connects_and_disconnects_leave_nothing(served):
    served.configure("[server]", "[server]\nauth_failures = 0")
    d = served.daemon.start().wait_ready()

    def rss():
        with open(f"/proc/{d.proc.pid}/status") as f:
            return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))

    def burst(n):
        for _ in range(n // 100):
            clients = []
            for k in range(100):
                s = socket.create_connection(d.address)
                token = served.anna if k % 3 else "wrong"
                s.sendall(f"GET {EVENTS}?token={token} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
                clients.append(s)
            for k, s in enumerate(clients):
                if k % 2:  # half of them leave without waiting for the answer
                    select.select([s], [], [], 20)
                if k % 5 == 0:  # some with a reset
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()

    def quiet():
        return d.streams(served.boss) == 0

    burst(2000)
    wait_until(quiet, "all gone")
    wait_until(lambda: d.descriptors() < 60, lambda: f"{d.descriptors()} descriptors")
    fds, memory = d.descriptors(), rss()
    burst(18000)
    wait_until(quiet, "all gone")
    wait_until(lambda: d.descriptors() <= fds + 2, lambda: f"{d.descriptors()} descriptors")
    assert d.keeps_freed_memory() or rss() < memory + 4096, f"{memory} -> {rss()} KiB"
    c = Client(d, served.anna).hello()
    change(served)
    c.wait_message("estimate.created")


def test_descriptors_run_out(served):
    served.daemon.nofile = 100
    d = served.daemon.start().wait_ready()
    # one after the other: a stream takes a second descriptor for the moment of the hand-over
    streams = [Client(d, served.anna).hello() for _ in range(30)]
    late = []
    for _ in range(120):
        s = socket.create_connection(d.address, 20)
        s.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: t\r\nAuthorization: Token {served.anna}\r\n\r\n"
                  .encode())
        late.append(s)
    answers = []
    for s in late:
        s.settimeout(20)
        try:
            answers.append(s.recv(4096)[:12])
        except ConnectionError:
            answers.append(b"reset")
    assert b"HTTP/1.1 503" in answers, answers
    assert set(answers) <= {b"HTTP/1.1 503", b"HTTP/1.1 200"}, set(answers)

    def cpu():
        with open(f"/proc/{d.proc.pid}/stat") as f:
            fields = f.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    before = cpu()
    change(served)
    for c in streams:
        c.wait_message("estimate.created")
    extra = [socket.create_connection(d.address, 20) for _ in range(20)]  # keep it wanting more
    streams[0].read_some(1.0)
    assert cpu() - before < 0.6, "it spins"
    for s in late + extra:
        s.close()
    wait_until(lambda: Client(d, served.anna).hello(), "room again")


def allow_files(d, n):
    subprocess.run(as_ordinary_user(["prlimit", "--pid", str(d.proc.pid), f"--nofile={n}:"]), check=True)


def test_somebody_else_has_taken_the_descriptors(served):
    """None is left though the daemon has counted its own: an answer, and no spinning."""
    served.configure("[server]", "[server]\ncors_origins = https://app.example.com")
    d = served.daemon.start().wait_ready()
    c = Client(d, served.anna).hello()
    change(served)
    c.wait_messages(1)  # its socket is a stream's from here on
    with open(f"/proc/{d.proc.pid}/limits") as f:
        before = re.search(r"Max open files +(\d+)", f.read()).group(1)
    last = max(map(int, os.listdir(f"/proc/{d.proc.pid}/fd")))
    allow_files(d, last + 1)
    holes = []
    while True:  # numbers below the last one may be free
        holes.append(Client(d, served.anna, headers={"Origin": "https://app.example.com"}))
        holes[-1].read_until(lambda: holes[-1].status, "an answer")
        if holes[-1].status != 200:
            break
    assert holes[-1].status == 503
    h = holes[-1].wait_end().headers
    assert json.loads(holes[-1].raw_body)["code"] == "descriptors"
    assert h["Retry-After"] == "5" and h["Content-Type"] == "application/json"
    assert h["Vary"] == "Origin"  # and more where the request has come by then
    change(served)
    c.wait_messages(2)
    d.wait_log("no descriptor left for a client: answered 503")
    allow_files(d, before)
    wait_until(lambda: d.get("/healthz")[0] == 200, "room again")
    d.wait_log(r"there are descriptors again clients=\d+ seconds=\d+")


def test_limits(served):
    served.configure("[server]", "[server]\nmax_streams = 3\nmax_streams_per_user = 2")
    d = served.daemon.start().wait_ready()
    keep = [Client(d, served.anna).hello() for _ in range(2)]
    status, headers, body = d.get(EVENTS, served.anna)
    assert status == 429 and headers["Retry-After"] == "3" and b"too many" in body
    # EventSource would give up for good on a 429: it gets an empty stream and a time instead
    status, headers, body = d.get(EVENTS + "?token=" + served.anna)
    assert status == 200 and headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert re.fullmatch(rb"retry: \d+\n: You have too many streams open\.\n", body)
    keep.append(Client(d, served.boss).hello())
    assert d.get(EVENTS, served.boris)[0] == 503
    keep.pop().close()
    wait_until(lambda: d.streams(served.boss) == 2, "room")
    Client(d, served.boris).hello()


def test_slow_request_is_ended(served):
    served.configure("[server]", "[server]\nrequest_timeout = 1s")
    d = served.daemon.start().wait_ready()
    with socket.create_connection(d.address, 20) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost")
        while s.recv(4096):  # an answer, perhaps; then the end
            pass


def test_no_token_in_any_log_or_title(served):
    served.configure("[server]", "[log]\nlevel = debug\n[server]")
    d = served.daemon.start().wait_ready()
    secret = "very-secret-token"
    served.db.run("UPDATE authtoken_token SET key = %s WHERE user_id = 2", (secret,))
    Client(d, secret).hello().close()
    Client(d, secret, by_query=False).hello().close()
    d.get(EVENTS + "?token=wrong-" + secret)
    d.get("/nowhere?token=" + secret)
    raw(d, b"GET " + EVENTS.encode() + b"?token=" + secret.encode() + b" HTTP/1.1\r\nbroken\r\n\r\n")
    raw(d, secret.encode() + b"\r\n\r\n", half_close=True)
    wait_until(lambda: d.log().count("closed") >= 2, "both closed")
    served.db.run("ALTER FUNCTION pgherald.auth_drf(text[]) RENAME TO gone")
    assert d.get(EVENTS, secret)[0] == 503
    assert secret not in d.log()
    with open(f"/proc/{d.proc.pid}/cmdline") as f:
        assert secret not in f.read()
    assert secret not in subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout
    served.db.run("ALTER FUNCTION pgherald.gone(text[]) RENAME TO auth_drf")


def test_log_has_one_line_per_connect_and_close(served, d):
    size = d.log_size()
    c = Client(d, served.anna).hello()
    change(served)
    c.wait_message("estimate.created")
    c.close()
    d.wait_log(r"closed", size)
    lines = [line for line in d.log(size).splitlines() if " SSE " in line]
    assert len(lines) == 2
    assert re.search(r"opened stream=\S+ user=2 role=foreman route=events peer=127\.0\.0\.1:\d+$",
                     lines[0])
    assert re.search(r'closed .* reason="client closed" seconds=\d+\.\d{3} events=1 bytes=\d+$',
                     lines[1])


def test_json_log(served):
    served.configure("[server]", "[log]\nformat = json\n[server]")
    d = served.daemon.start().wait_ready()
    Client(d, served.anna).hello().close()
    d.wait_log("closed")
    lines = [json.loads(line) for line in d.log().splitlines()]
    closed = next(x for x in lines if x["message"] == "SSE stream closed")
    assert closed["user"] == "2" and closed["reason"] == "client closed"
