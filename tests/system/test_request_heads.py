# SPDX-License-Identifier: PostgreSQL
"""Heads of requests that servers on the way could read in two ways, or that cut what they say: each
is refused at the head, in our JSON, and nothing behind it is taken for a request of its own."""

import json
import re
import socket

import pytest

from conftest import Install, Served
from lib.daemon import EVENTS, PATIENCE_S, Client

E = EVENTS.encode()
HOST = b"Host: t\r\n"
ORIGIN = b"Origin: https://app.example.com\r\n"
GET = b"GET /healthz HTTP/1.1\r\n"
SMUGGLED = b"GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n"

# bytes, status, a piece of the sentence. Those that say where their body ends are followed by
# another request, which must not be answered.
HEADS = {
    "no host": (GET + ORIGIN + b"\r\n", 400, "no Host"),
    "two hosts": (GET + HOST + ORIGIN + b"Host: u\r\n\r\n", 400, "two Host"),
    "host with a path": (GET + b"Host: t/x\r\n" + ORIGIN + b"\r\n", 400, "no host"),
    "another host in the target": (
        b"GET http://u/healthz HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 400, "two hosts"),
    "two lengths": (
        GET + HOST + ORIGIN + b"Content-Length: 3\r\nContent-Length: 0\r\n\r\nabc" + SMUGGLED,
        400, "two Content-Length"),
    "the same length twice": (
        GET + HOST + ORIGIN + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,
        400, "two Content-Length"),
    "a list of lengths": (
        GET + HOST + ORIGIN + b"Content-Length: 0, 0\r\n\r\n" + SMUGGLED, 400, "no number"),
    "a signed length": (
        GET + HOST + ORIGIN + b"Content-Length: +3\r\n\r\nabc" + SMUGGLED, 400, "no number"),
    "a length with a space behind it": (
        GET + HOST + ORIGIN + b"Content-Length: 0 \r\n\r\n" + SMUGGLED, 400, "no number"),
    "half a quote in a cookie": (
        GET + HOST + ORIGIN + b'Cookie: a=b; sessionid="\r\n\r\n' + SMUGGLED, 400, "half a quote"),
    "a fragment of a host": (GET + b"Host: t#u\r\n" + ORIGIN + b"\r\n", 400, "no host"),
    "half an address": (GET + b"Host: [::1\r\n" + ORIGIN + b"\r\n", 400, "no host"),
    "a port that is none": (GET + b"Host: t:8x\r\n" + ORIGIN + b"\r\n", 400, "no host"),
    "length and chunks": (
        GET + HOST + ORIGIN + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + SMUGGLED, 400, "both"),
    "chunks and length": (
        GET + HOST + ORIGIN + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
        + SMUGGLED, 400, "both"),
    "chunks of HTTP/1.0": (
        b"GET /healthz HTTP/1.0\r\n" + ORIGIN + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + SMUGGLED, 400, "HTTP/1.0"),
    "another encoding": (
        GET + HOST + ORIGIN + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        501, "chunked"),
    "a body": (GET + HOST + ORIGIN + b"Content-Length: 3\r\n\r\nabc" + SMUGGLED, 413, "body"),
    "a body in chunks": (
        GET + HOST + ORIGIN + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + SMUGGLED,
        413, "body"),
    "a body of another method": (
        b"POST " + E + b" HTTP/1.1\r\n" + HOST + ORIGIN + b"Content-Length: 3\r\n\r\nabc" + SMUGGLED,
        413, "body"),
    "bare line feeds": (
        b"GET /healthz HTTP/1.1\nHost: t\nOrigin: https://app.example.com\n\n", 400,
        "carriage return"),
    "one bare line feed": (GET + HOST + ORIGIN + b"X: y\n\r\n", 400, "carriage return"),
    "a carriage return inside": (GET + HOST + ORIGIN + b"X: a\rb\r\n\r\n", 400, "control"),
    "a folded header": (GET + HOST + ORIGIN + b"X: a\r\n b\r\n\r\n", 400, "folded"),
    "a space before the colon": (
        GET + HOST + ORIGIN + b"Content-Length : 3\r\n\r\nabc" + SMUGGLED, 400, "before the colon"),
    "a NUL": (GET + HOST + ORIGIN + b"X: a\0b\r\n\r\n", 400, "control"),
    "a NUL in a token": (
        b"GET " + E + b"?token={anna}%00x HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 400, "NUL"),
    "a NUL in a path": (
        b"GET /healthz%00x HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 400, "NUL"),
    "half an escape": (b"GET /%4 HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 400, "hexadecimal"),
    "a control in a target": (b"GET /\x01 HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 400, "escaped"),
    "two spaces": (b"GET  /healthz HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 400, "request line"),
    "a tab": (b"GET\t/healthz HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 400, "request line"),
    "a method that is none": (b"G(T / HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 400, "request line"),
    "a small method": (b"get /healthz HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 405, "use GET"),
    "HTTP/0.9": (b"GET /healthz\r\n" + ORIGIN + b"\r\n", 400, "request line"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "request line"),
    "two tokens": (
        b"GET " + E + b" HTTP/1.1\r\n" + HOST + ORIGIN + b"Authorization: Token {anna}\r\n"
        b"Authorization: Token {boss}\r\n\r\n", 400, "two Authorization"),
    "a long target": (
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 414, "8 KiB"),
    "a long head": (
        GET + HOST + ORIGIN + b"".join(b"X: " + b"y" * 1000 + b"\r\n" for _ in range(20)) + b"\r\n",
        431, "16 KiB"),
    "very many headers": (GET + HOST + ORIGIN + b"X:\r\n" * 300 + b"\r\n", 431, "too many"),
    "very many parameters": (
        b"GET /healthz?" + b"a&" * 300 + b" HTTP/1.1\r\n" + HOST + ORIGIN + b"\r\n", 431, "too many"),
    "very many cookies": (
        GET + HOST + ORIGIN + b"Cookie: " + b"a;" * 300 + b"\r\n\r\n", 431, "too many"),
    "an expectation": (GET + HOST + ORIGIN + b"Expect: a miracle\r\n\r\n", 417, "expectation"),
}


@pytest.fixture(scope="module")
def strict(cluster, tmp_path_factory):
    """One daemon for all of them."""
    directory = tmp_path_factory.mktemp("heads")
    directory.chmod(0o755)
    db = cluster.create_database("app_template")
    install = Install(db, directory)
    install.apply()
    s = Served(install, directory)
    s.configure("[server]", "[server]\ncors_origins = https://app.example.com")
    s.daemon.start().wait_ready()
    yield s
    s.daemon.kill()
    db.drop()


def send(d, data):
    """All that comes in answer, to the end of the connection."""
    with socket.create_connection(d.address, PATIENCE_S) as s:
        s.sendall(data)
        out = b""
        while more := s.recv(65536):
            out += more
        return out


def parse(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(body) == int(headers["Content-Length"]), "one answer, and all of it"
    return int(first.split()[1]), headers, body


@pytest.mark.parametrize("name", HEADS)
def test_refused_at_the_head(strict, name):
    data, status, words = HEADS[name]
    for token in ("anna", "boss"):
        data = data.replace(b"{%s}" % token.encode(), getattr(strict, token).encode())
    got, headers, body = parse(send(strict.daemon, data))
    assert (got, headers["Content-Type"]) == (status, "application/json"), body
    assert words in json.loads(body)["detail"]
    assert headers["Connection"] == "close"
    assert headers["Vary"] == "Origin"
    if status == 405:
        assert headers["Allow"] == "GET, HEAD"  # of /healthz
    if b"Origin: https://app" in data:  # a page may read why, wherever the fault stands
        assert headers["Access-Control-Allow-Origin"] == "https://app.example.com"
        assert headers["Access-Control-Expose-Headers"] == "Retry-After"


def test_a_page_of_another_origin_may_not_read_it(strict):
    data = GET + b"Origin: https://evil.example.com\r\n\r\n"
    assert "Access-Control-Allow-Origin" not in parse(send(strict.daemon, data))[1]


def test_a_head_in_pieces(strict):
    """Every cut of a good request, and a bad one that is refused before it is complete."""
    good = b"GET /healthz HTTP/1.1\r\nHost: t\r\nX: y\r\n\r\n"
    halves = []
    for cut in range(1, len(good)):
        s = socket.create_connection(strict.daemon.address, PATIENCE_S)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(good[:cut])
        halves.append((s, good[cut:]))
    for s, rest in halves:
        s.sendall(rest)
    for s, _ in halves:
        assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
        s.close()
    with socket.create_connection(strict.daemon.address, PATIENCE_S) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost : t\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_what_follows_a_request_is_no_request(strict):
    d = strict.daemon
    answer = send(d, b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n" + SMUGGLED)
    status, headers, body = parse(answer)
    assert status == 200 and headers["Connection"] == "close" and b"ok" in body
    # behind the head of a stream it is nothing
    c = Client(d, strict.anna)
    c.sock.sendall(SMUGGLED)
    c.hello()
    strict.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('e', 10, 2)")
    c.wait_message("estimate.created")
    assert b"ready" not in c.raw_body


def test_a_huge_body_is_refused_before_it_comes(strict):
    """100 MB without a token: the answer is there before they are sent, and they are not read."""
    with socket.create_connection(strict.daemon.address, PATIENCE_S) as s:
        s.sendall(b"POST " + E + b" HTTP/1.1\r\nHost: t\r\nContent-Length: 104857600\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 413 ")
        sent = 0
        with pytest.raises(OSError):
            while sent < 104857600:
                sent += s.send(b"x" * 65536)
        assert sent < 20_000_000, "all of it was read"


@pytest.mark.parametrize("request_line, extra", [
    (b"GET /nowhere HTTP/1.1", b"X:y\r\n" * 180),
    (b"GET /nowhere HTTP/1.1", b"X: " + b"y" * 16000 + b"\r\n"),
    (b"GET /nowhere?" + b"&" * 180 + b" HTTP/1.1", b""),
    (b"GET /nowhere?" + b"a=%41&" * 180 + b" HTTP/1.1", b""),
    (b"GET /" + b"x" * 8100 + b" HTTP/1.1", b"X: " + b"y" * 7000 + b"\r\n"),
    (b"GET /nowhere HTTP/1.1", b"Cookie: " + b"a;" * 180 + b"\r\n"),
    (b"GET /nowhere HTTP/1.1", b"Cookie: " + b"a=b; " * 170 + b"\r\n"),
    (b"GET /nowhere HTTP/1.1", b"Cookie: a=" + b"b" * 11800 + b"\r\nX: " + b"y" * 4000 + b"\r\n"),
    (b"GET /nowhere?" + b"&" * 60 + b" HTTP/1.1",
     b"X:y\r\n" * 60 + b"Cookie: " + b"a;" * 50 + b"\r\n"),
])
def test_what_is_let_in_fits(strict, request_line, extra):
    """The largest heads that are taken: libmicrohttpd must have room for each, or it would answer by
    itself."""
    status, headers, body = parse(send(strict.daemon, request_line + b"\r\n" + HOST + ORIGIN + extra
                                       + b"\r\n"))
    assert (status, json.loads(body)) == (404, {"detail": "Not found."})
    assert headers["Access-Control-Allow-Origin"] == "https://app.example.com"


def test_targets_and_versions(strict):
    d = strict.daemon
    for data in (b"GET http://t/healthz HTTP/1.1\r\nHost: t\r\n\r\n",
                 b"\r\nGET /healthz HTTP/1.1\r\nHost:\r\n\r\n",
                 b"GET /healthz HTTP/1.0\r\n\r\n",
                 b"GET /healthz HTTP/1.7\r\nHost: t\r\nContent-Length: 0\r\n\r\n"):
        assert parse(send(d, data))[0] == 200, data
    for data in (b"HEAD /healthz HTTP/1.1\r\nHost: t\r\n\r\n",
                 b"HEAD /healthz HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx"):
        assert send(d, data).endswith(b"\r\n\r\n"), "the answer to HEAD has no body"


def test_refusals_are_counted(strict):
    d = strict.daemon
    size = d.log_size()
    for _ in range(3):
        send(d, GET + b"\r\n")
    found = d.wait_log(r"no more requests that HTTP does not allow clients=(\d+) seconds=\d+", size)
    assert int(found.group(1)) >= 3
    begin = re.search(r"requests are refused that HTTP does not allow peer=127\.0\.0\.1:\d+ what=\"",
                      d.log())
    assert begin
