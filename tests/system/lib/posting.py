# SPDX-License-Identifier: PostgreSQL
"""What is posted to be published, byte by byte where that matters, and what of it is in the journal."""

import json
import socket


def exchange(place, data, more=()):
    """What comes back for these bytes: (status, JSON or None)."""
    s = socket.create_connection(place.daemon.address, timeout=60)
    try:
        answer = b""
        s.sendall(data)
        for piece in more:
            s.sendall(piece)
        while piece := s.recv(65536):
            answer += piece
    except ConnectionError:
        pass
    finally:
        s.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if body else None


def post(place, path, body, token="token-boss", headers=""):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    credential = f"Authorization: Token {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nHost: t\r\n{credential}{headers}Content-Length: {len(body)}\r\n\r\n"
    return exchange(place, head.encode() + body)


def journal(place):
    return place.db.run("SELECT own_new, past #>> '{}', data, pk FROM pgherald.journal WHERE op = 'm' ORDER BY id")
