# SPDX-License-Identifier: PostgreSQL
"""Messages that are posted: the shapes, who may, what is refused, and that the answer comes after the commit."""

import json
import random
import socket
import threading

import pytest

from conftest import HEAD, Install, Served, run_pgherald
from lib.daemon import Client

CONF = HEAD.replace("receives = all\n", "receives = all\npublish = *\n").replace(
    "receives = own\n", "receives = own\nchannels = news, project.*\npublish = project.*, inbox.{user}\n") + """
[role mute]
receives = own
[publish]
roles = pgherald, app
[watch estimate]
table = public.api_estimate
owners = foreman_id
fields = estimate_id=id
[route events]
path = /api/v1/sse/events/
[route broadcast]
path = /ws/broadcast
kind = broadcast
[route ws-send]
path = /ws/send-to-channel
kind = send
[route sse-send]
path = /sse/send-to-channel
kind = send
[route notification]
path = /sse/notification
kind = broadcast
[route stats]
path = /stats
kind = stats
"""


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    db = cluster.create_database("app_template")
    directory = tmp_path_factory.mktemp("publish_http")
    install = Install(db, directory)
    install.write(CONF)
    install.apply()
    s = Served(install, directory)
    s.daemon.start().wait_ready()
    yield s
    s.daemon.kill()
    db.drop()


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


NOTE = {"title": "Важное уведомление", "content": "Текст уведомления", "type": "warning"}


def test_the_four_shapes(place):
    """As the documents of the systems have them."""
    anna = Client(place.daemon, place.anna, extra_query="channels=news").hello()
    text = {"id": "msg-123", "type": "broadcast", "content": "Сообщение всем пользователям"}
    inner = {"title": "Новое уведомление", "message": "Содержимое уведомления"}
    for path, body in (
            ("/ws/broadcast", {"message": text}),
            ("/ws/send-to-channel", {"channel": "news", "persist": True,
                                     "message": {"id": "msg-124", "type": "notification", "content": inner}}),
            ("/sse/send-to-channel", {"channel": "news", "event": "news_update", "data": {"title": "Новая статья"}}),
            ("/sse/notification", NOTE)):
        status, said = post(place, path, body)
        assert (status, said["status"]) == (201, "ok") and said["id"] > 0, said
        # the answer came after the commit
        assert place.db.one("SELECT count(*) FROM pgherald.journal WHERE id = %s", (said["id"],)) == 1
    anna.wait_message("notification", title="Важное уведомление")
    assert [(m["event"], m["data"]) for m in anna.messages()] == [
        ("broadcast", "Сообщение всем пользователям"), ("notification", inner),
        ("news_update", {"title": "Новая статья"}), ("notification", NOTE)]
    anna.close()
    late = Client(place.daemon, place.anna, extra_query="channels=news").hello()  # that one was kept
    late.wait_message("notification", title="Новое уведомление")
    assert len(late.messages()) == 1
    late.close()


def test_an_id_is_told_once(place):
    body = {"message": {"id": "same", "type": "m", "content": 1.0}}
    first = post(place, "/ws/broadcast", body)
    assert post(place, "/ws/broadcast", body) == first and first[0] == 201
    assert [j[2:] for j in journal(place) if j[3] == "same"] == [(1.0, "same")]


@pytest.mark.parametrize("path, body, status, words", [
    # no JSON: where
    ("/ws/broadcast", b'{"message": {"type": "m", "content": }}', 400, "byte 37"),
    ("/ws/broadcast", b"", 400, "byte 0"),
    ("/ws/broadcast", b'{"message": {"type": "m", "content": 1}} x', 400, "byte 41"),
    ("/ws/broadcast", b'{"message": {"type": "m", "content": "\xff"}}', 400, "byte"),
    ("/ws/broadcast", b'{"message": {"type": "m", "content": NaN}}', 400, "byte"),
    ("/ws/broadcast", b"[" * 600 + b"]" * 600, 400, "byte"),
    # no message
    ("/ws/broadcast", [], 422, "must be an object"),
    ("/ws/broadcast", {}, 422, "no message, event or title"),
    ("/ws/broadcast", {"message": "x"}, 422, "must be an object"),
    ("/ws/broadcast", {"message": {"content": 1}}, 422, '"type" is missing'),
    ("/ws/broadcast", {"message": {"type": "m"}}, 422, '"content" is missing'),
    ("/ws/broadcast", {"message": {"type": 7, "content": 1}}, 422, '"type" must be a string'),
    ("/ws/broadcast", {"message": {"type": "a b", "content": 1}}, 422, "a type has"),
    ("/ws/broadcast", {"message": {"type": "m", "content": 1, "id": "x" * 201}}, 422, "a key has"),
    ("/ws/broadcast", {"message": {"type": "m", "content": "\0"}}, 422, ""),
    ("/ws/broadcast", {"message": {"type": "m\0", "content": 1}}, 422, '"type" must be a string'),
    ("/ws/broadcast", {"channel": "news", "message": {"type": "m", "content": 1}}, 422, 'no "channel"'),
    ("/ws/broadcast", {"message": {"type": "m", "content": 1}, "persist": True}, 422, 'needs an "id"'),
    ("/ws/broadcast", {"message": {"type": "m", "content": 1}, "persist": 1}, 422, "true or false"),
    # nobody, or nobody's name: never everybody
    ("/ws/send-to-channel", {"message": {"type": "m", "content": 1}}, 422, '"channel" is missing'),
    ("/ws/send-to-channel", {"channel": None, "message": {"type": "m", "content": 1}}, 422, "must be a string"),
    ("/ws/send-to-channel", {"channel": "", "message": {"type": "m", "content": 1}}, 422, "A channel has"),
    ("/ws/send-to-channel", {"channel": "a,b", "event": "m", "data": 1}, 422, "A channel has"),
    ("/ws/send-to-channel", {"channel": "news\0", "event": "m", "data": 1}, 422, "must be a string"),
    ("/sse/send-to-channel", {"channel": "news", "event": "m"}, 422, '"data" is missing'),
    # a notification
    ("/sse/notification", {**NOTE, "type": "fatal"}, 422, "info, success, warning and error"),
    ("/sse/notification", {**NOTE, "type": None}, 422, '"type" must be a string'),
    ("/sse/notification", {**NOTE, "title": ""}, 422, '"title" is empty'),
    ("/sse/notification", {"title": "x"}, 422, '"content" is missing'),
    ("/sse/notification", {**NOTE, "content": {}}, 422, '"content" must be a string'),
    ("/sse/notification", {**NOTE, "auto_hide": "no"}, 422, "true or false"),
    ("/sse/notification", {**NOTE, "duration": -1}, 422, "milliseconds"),
    ("/sse/notification", {**NOTE, "duration": 1.5}, 422, "milliseconds"),
    # what may not be published, whoever asks
    ("/ws/broadcast", {"message": {"type": "estimate.created", "content": {}}}, 403, "watched table"),
    ("/ws/broadcast", {"message": {"type": "system.resync", "content": {}}}, 403, "daemon's own"),
])
def test_what_is_none_is_refused(place, path, body, status, words):
    before = len(journal(place))
    got, said = post(place, path, body)
    assert got == status and words in said["detail"], said
    assert len(journal(place)) == before


def test_exactly_one_mebibyte_is_taken(place):
    body = json.dumps({"channel": "project.1", "event": "m", "data": ""}).encode()
    body = body.replace(b'""', b'"' + b"x" * ((1 << 20) - len(body)) + b'"')
    assert len(body) == 1 << 20
    assert post(place, "/sse/send-to-channel", body)[0] == 201
    # one byte more is refused before it comes
    head = b"POST /sse/send-to-channel HTTP/1.1\r\nHost: t\r\nContent-Length: 1048577\r\n\r\n"
    status, said = exchange(place, head)
    assert status == 413 and "1 MiB" in said["detail"]
    # and so is what PostgreSQL writes with more bytes
    body = b'{"channel": "project.1", "event": "m", "data": [' + b"1," * 400000 + b"1]}"
    status, said = post(place, "/sse/send-to-channel", body)
    assert status == 413 and "payload" in said["detail"]


def test_a_notification_says_what_it_may_and_no_more(place):
    assert post(place, "/sse/notification", {**NOTE, "auto_hide": False, "duration": 10000, "scope": "x"})[0] == 201
    del NOTE["type"]
    try:
        assert post(place, "/sse/notification", NOTE)[0] == 201
    finally:
        NOTE["type"] = "warning"
    rows = [j[2] for j in journal(place)][-2:]
    assert rows == [{**NOTE, "auto_hide": False, "duration": 10000}, {**NOTE, "type": "info"}]


def test_who_may_publish_where(place):
    """A role publishes to the channels that its section names; nobody without a credential."""
    message = {"event": "m", "data": 1}
    for channel, status in (("project.7", 201), ("inbox.2", 201), ("inbox.3", 403), ("news", 403), ("project", 403)):
        got, said = post(place, "/ws/send-to-channel", {"channel": channel, **message}, "token-anna")
        assert got == status, said
    assert post(place, "/ws/broadcast", {"message": {"type": "m", "content": 1}}, "token-anna")[0] == 403
    assert post(place, "/ws/send-to-channel", {"channel": "*", **message}, "token-anna")[0] == 403
    assert post(place, "/ws/broadcast", {"message": {"type": "m", "content": 1}}, None)[0] == 401
    assert post(place, "/ws/broadcast", {"message": {"type": "m", "content": 1}}, "wrong")[0] == 401
    place.db.run("UPDATE api_user SET role = 'mute' WHERE id = 3")
    try:
        got, said = post(place, "/ws/send-to-channel", {"channel": "project.7", **message}, "token-boris")
        assert (got, said["detail"]) == (403, "Your role may not use this resource.")
    finally:
        place.db.run("UPDATE api_user SET role = 'foreman' WHERE id = 3")
    assert post(place, "/ws/broadcast?token=token-boss", message, None)[0] == 400  # no token in the URL of these


def test_a_body_only_where_one_is_taken_and_only_as_json(place):
    for path in ("/stats", "/api/v1/sse/events/", "/healthz", "/ws/broadcast/", "/ws/broadcas"):
        assert post(place, path, {"a": 1})[0] == 413, path
    request = b"POST /ws/broadcast HTTP/1.1\r\nHost: t\r\nAuthorization: Token token-boss\r\n"
    body = b'{"event": "m", "data": 1}'
    assert exchange(place, request + b"Transfer-Encoding: chunked\r\n\r\n19\r\n" + body + b"\r\n0\r\n\r\n")[0] == 413
    assert exchange(place, request + b"Content-Length: 99999999999999999999999\r\n\r\n")[0] == 413
    assert exchange(place, request.replace(b"POST", b"GET") + b"Content-Length: 3\r\n\r\nabc")[0] == 413
    assert exchange(place, request.replace(b"POST", b"PUT") + b"Content-Length: 3\r\n\r\nabc")[0] == 405
    assert place.daemon.request("GET", "/ws/broadcast")[0] == 405
    for kind, status in (("application/json", 201), ("Application/JSON; charset=utf-8", 201), ("text/plain", 415),
                         ("application/x-www-form-urlencoded", 415), ("application/jsonp", 415)):
        assert post(place, "/ws/broadcast", body, headers=f"Content-Type: {kind}\r\n")[0] == status, kind
    # what comes behind it is no second request
    answer = exchange(place, request + b"Content-Length: 25\r\n\r\n" + body + b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
    assert answer[0] == 201


def test_a_body_in_pieces_and_one_that_never_ends(place):
    body = json.dumps({"event": "m", "data": "pieces"}).encode()
    head = b"POST /ws/broadcast HTTP/1.1\r\nHost: t\r\nAuthorization: Token token-boss\r\nContent-Length: "
    assert exchange(place, head + b"%d\r\n\r\n" % len(body), [body[i:i + 1] for i in range(len(body))])[0] == 201
    s = socket.create_connection(place.daemon.address, timeout=60)
    s.sendall(head + b"1000\r\n\r\n" + body)
    s.shutdown(socket.SHUT_WR)
    s.close()
    assert post(place, "/ws/broadcast", {"event": "m", "data": 2})[0] == 201
    assert [j[2] for j in journal(place)][-2:] == ["pieces", 2]


def test_bodies_at_random(place):
    """Whatever is posted has an answer; what is published is JSON."""
    r = random.Random(7)
    good = json.dumps({"channel": "project.1", "event": "m", "data": {"a": [1, "x"]}, "id": "r"}).encode()
    for _ in range(150):
        body = bytearray(good)
        for _ in range(r.randint(1, 4)):
            place_at = r.randrange(len(body))
            body[place_at:place_at + r.randint(0, 3)] = r.choice((b"", b'"', b"\\", b"{", b"\xff", b"\\u0000", b"1e", b","))
        assert post(place, "/sse/send-to-channel", bytes(body))[0] in (201, 400, 403, 413, 422), bytes(body)
    assert place.daemon.get("/healthz")[0] == 200


def test_a_key_that_somebody_holds_is_waited_for_and_not_for_ever(place):
    """Others publish meanwhile; there is an answer before the request's time is over."""
    holder = place.db.connect(user="app", autocommit=False)
    holder.cursor().execute("SELECT pgherald.publish('*', 'm', '1', key => 'held')")
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(
        post(place, "/ws/broadcast", {"event": "m", "data": 2, "id": "held"})))
    waiting.start()
    waiting.join(60)
    holder.rollback()
    holder.close()
    assert [status for status, _ in answers] == [503]
    assert post(place, "/ws/broadcast", {"event": "m", "data": 3, "id": "held"})[0] == 201


def test_the_database_goes_away(place):
    place.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgherald'"
                 " AND datname = current_database()")
    answers = {post(place, "/ws/broadcast", {"event": "m", "data": n, "id": f"away{n}"})[0] for n in range(5)}
    assert answers <= {201, 503}
    place.daemon.wait_ready()
    assert post(place, "/ws/broadcast", {"event": "m", "data": 1, "id": "away0"})[0] == 201


def test_a_route_that_publishes_needs_a_login_that_may(install):
    install.write(CONF.replace("roles = pgherald, app", "roles = app"))
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode == 1 and "publishes as pgherald, which [publish] roles does not name" in done.stderr
