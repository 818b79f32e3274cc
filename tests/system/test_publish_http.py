# SPDX-License-Identifier: PostgreSQL
"""Messages that are posted: the shapes, who may, what is refused, and that the answer comes after the commit."""

import contextlib
import json
import random
import select
import signal
import socket
import threading
import time

import pytest

from conftest import HEAD, Install, Served, run_pgherald, served_by
from lib.cluster import wait_for as cluster_wait
from lib.daemon import Client
from lib.posting import exchange, journal, post

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
    with served_by(cluster, tmp_path_factory.mktemp("publish_http"), CONF) as s:
        yield s


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


# What an administrator, or an extension of his, does at the commit: the statement itself had gone well.
REFUSING = """
CREATE FUNCTION pgherald.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {fails}; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON pgherald.journal DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION pgherald.at_commit();
"""


@pytest.mark.parametrize("fails", ["RAISE EXCEPTION 'not today'", "PERFORM pg_terminate_backend(pg_backend_pid())"],
                         ids=["refused", "terminated"])
def test_a_commit_that_fails_is_not_answered_as_one(place, fails):
    """The server sends the statement's result before it commits: that is no answer yet."""
    body = {"message": {"id": "at commit", "type": "m", "content": fails[:3]}}
    place.db.run(REFUSING.format(fails=fails))
    try:
        status, said = post(place, "/ws/broadcast", body)
        assert status == 503 and said["code"] == "database", said
        assert not [j for j in journal(place) if j[3] == "at commit"]
    finally:
        place.db.run("DROP FUNCTION pgherald.at_commit() CASCADE")


def test_what_is_answered_outlives_a_crash(place):
    """Whatever the database's default: nothing was written down when it was answered, if that was `off`."""
    place.db.cluster.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
    place.db.run(f"ALTER DATABASE {place.db.name} SET synchronous_commit = off")
    try:
        place.db.cluster.restart()
        place.db.close()
        place.daemon.wait_ready()
        cluster_wait(lambda: post(place, "/ws/broadcast", NOTE)[0] == 201, "no answer after the restart")
        status, said = post(place, "/ws/broadcast", NOTE)
        place.db.cluster.restart("immediate")
        place.db.close()
        assert status == 201
        assert place.db.one("SELECT count(*) FROM pgherald.journal WHERE id = %s", (said["id"],)) == 1
    finally:
        place.db.run(f"ALTER DATABASE {place.db.name} RESET synchronous_commit")
        place.db.cluster.execute("ALTER SYSTEM RESET wal_writer_delay")
        place.db.cluster.restart()
        place.db.close()
        place.daemon.wait_ready()


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
    assert got == status and words in said["detail"] and "ERROR:" not in said["detail"], said
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
    for kind in ("info", "success", "warning", "error"):
        assert post(place, "/sse/notification", {**NOTE, "type": kind})[0] == 201
        assert journal(place)[-1][2] == {**NOTE, "type": kind}


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
    assert post(place, "/ws/broadcast?token=token-boss", message, None)[0] == 401  # no token in the URL of these


def test_a_body_only_where_one_is_taken_and_only_as_json(place):
    for path in ("/stats", "/api/v1/sse/events/", "/healthz"):
        assert post(place, path, {"a": 1})[0] == 413, path
    for path in ("/ws/broadcast/", "/ws/broadcas"):
        assert post(place, path, {"a": 1})[0] == 404, path
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


HUGE = b"Content-Length: 1000000\r\n"


@pytest.mark.parametrize("head, status, words", [
    (HUGE, 401, "not provided"),
    (HUGE + b"Authorization: Token wrong\r\n", 401, "Invalid token"),
    (HUGE + b"Authorization: Token token-mute\r\n", 403, "Your role"),
    (HUGE + b"Authorization: Token token-boss\r\nContent-Type: text/plain\r\n", 415, "application/json"),
    (HUGE + b"Expect: 100-continue\r\nAuthorization: Token wrong\r\n", 401, "Invalid token"),
], ids=["no credential", "a wrong one", "another role", "no JSON", "who waits to be asked"])
def test_nobody_makes_us_read_a_body_before_he_may_publish(place, head, status, words):
    """Refused at the head, nothing of the body has come; and the answer reaches who sends it all the same."""
    place.db.run("INSERT INTO api_user (id, username, role) VALUES (77, 'mute', 'mute') ON CONFLICT DO NOTHING")
    place.db.run("INSERT INTO authtoken_token (key, user_id) VALUES ('token-mute', 77) ON CONFLICT DO NOTHING")
    request = b"POST /ws/broadcast HTTP/1.1\r\nHost: t\r\n" + head + b"\r\n"
    for more in ([], [b"x" * 100000] * 10, [b"x" * 999999 + b"yGET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"]):
        with socket.create_connection(place.daemon.address, timeout=30) as s:
            s.sendall(request)
            answer = s.recv(65536)  # before the body
            assert answer.startswith(b"HTTP/1.1 %d " % status) and words.encode() in answer, answer
            with contextlib.suppress(ConnectionError):
                for piece in more:
                    s.sendall(piece)
                assert s.recv(65536) == b""
    assert post(place, "/ws/broadcast", {"event": "m", "data": 2})[0] == 201


BODY = b'{"event": "m", "data": 1}'
SMUGGLED = b"POST /ws/broadcast HTTP/1.1\r\nHost: t\r\nAuthorization: Token token-boss\r\nContent-Length: 25\r\n\r\n" + BODY


@pytest.mark.parametrize("fields, body, status", [
    (b"Content-Length: 25\r\nContent-Length: 0\r\n", BODY, 400),
    (b"Content-Length: 0\r\nContent-Length: 25\r\n", BODY, 400),
    (b"Content-Length: 25\r\nContent-Length: 25\r\n", BODY, 400),
    (b"Content-Length: 25, 25\r\n", BODY, 400),
    (b"Content-Length: +25\r\n", BODY, 400),
    (b"Content-Length: -1\r\n", BODY, 400),
    (b"Content-Length: 0x19\r\n", BODY, 400),
    (b"Content-Length: 2 5\r\n", BODY, 400),
    (b"Content-Length:\r\n", BODY, 400),
    (b"Content-Length : 25\r\n", BODY, 400),
    (b"Content-Length:\r\n 25\r\n", BODY, 400),
    (b"Content-Length: 25\n", BODY, 400),
    (b"Content-Length: 25\0\r\n", BODY, 400),
    (b"Content-Length: 18446744073709551641\r\n", BODY, 413),  # 2^64 + 25
    (b"Content-Length: 4294967321\r\n", BODY, 413),  # 2^32 + 25
    (b"Content-Length: 25\r\nTransfer-Encoding: chunked\r\n", b"19\r\n" + BODY + b"\r\n0\r\n\r\n", 400),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 25\r\n", b"19\r\n" + BODY + b"\r\n0\r\n\r\n", 400),
    (b"Transfer-Encoding: chunked\r\n", b"19\r\n" + BODY + b"\r\n0\r\n\r\n", 413),
    (b"Transfer-Encoding: identity\r\nContent-Length: 25\r\n", BODY, 501),
    (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n", 501),
    (b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 25\r\n", BODY, 400),
    (b"Content-Length: 24\r\n", BODY, 400),  # what is left over is no request, and no JSON is half
    (b"Content-Length: %d\r\n" % (25 + len(SMUGGLED)), BODY, 400),
], ids=lambda v: v.decode("latin-1") if isinstance(v, bytes) and len(v) < 70 and v != BODY else "")
def test_two_ways_to_read_what_is_posted(place, fields, body, status):
    """One answer, and what follows is no request: whatever a proxy before us has made of it."""
    before = len(journal(place))
    with socket.create_connection(place.daemon.address, timeout=30) as s, contextlib.suppress(ConnectionError):
        s.sendall(b"POST /ws/broadcast HTTP/1.1\r\nHost: t\r\nAuthorization: Token token-boss\r\n" + fields + b"\r\n"
                  + body + SMUGGLED)
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 %d " % status) and answer.count(b"HTTP/1.1 ") == 1, answer
    assert b"\r\nConnection: close\r\n" in answer
    assert len(journal(place)) == before


def test_who_may_publish_is_asked_for_the_body(place):
    body = b'{"event": "m", "data": "asked for"}'
    with socket.create_connection(place.daemon.address, timeout=30) as s:
        s.sendall(b"POST /ws/broadcast HTTP/1.1\r\nHost: t\r\nAuthorization: Token token-boss\r\n"
                  b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert s.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(body)
        assert s.recv(65536).startswith(b"HTTP/1.1 201 ")
    assert journal(place)[-1][2] == "asked for"


@pytest.fixture
def hasty(place):
    """The same, with a second for a request."""
    def reload(old, new):
        before = place.daemon.log_size()
        place.configure(old, new)
        place.daemon.signal(signal.SIGHUP)
        place.daemon.wait_log("configuration reloaded", before)

    reload("[server]", "[server]\nrequest_timeout = 1s")
    yield place
    reload("request_timeout = 1s\n", "")


@pytest.mark.parametrize("goes_on", [True, False], ids=["a byte at a time", "nothing more"])
def test_a_body_has_a_deadline(hasty, goes_on):
    """Silence is not what ends it; and whoever waits so for his body keeps no place from others."""
    with socket.create_connection(hasty.daemon.address, timeout=30) as s:
        s.sendall(b"POST /ws/broadcast HTTP/1.1\r\nHost: t\r\nAuthorization: Token token-boss\r\n" + HUGE
                  + b"Origin: https://app.example.com\r\n\r\n[")
        began = time.monotonic()
        while not select.select([s], [], [], 0.05)[0]:
            if goes_on:
                s.sendall(b"x")
            assert time.monotonic() - began < 30, "it is never ended"
        answer = s.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ") and b"not complete in time" in answer, answer
        with contextlib.suppress(ConnectionError):
            assert s.recv(65536) == b""
    hasty.daemon.wait_log(r"requests are ended that are not complete within request_timeout")
    assert post(hasty, "/ws/broadcast", {"event": "m", "data": 2})[0] == 201


def fill(place, stack, token):
    """As many bodies of a mebibyte as are taken from him, none of which comes."""
    head = (b"POST /ws/send-to-channel HTTP/1.1\r\nHost: t\r\nAuthorization: Token %s\r\n"
            b"Expect: 100-continue\r\nContent-Length: 1048576\r\n\r\n" % token.encode())
    answers = []
    while b"503" not in (answers or [b""])[-1]:
        s = stack.enter_context(socket.create_connection(place.daemon.address, timeout=30))
        s.sendall(head)
        answers.append(s.recv(65536))
        assert len(answers) < 100
    assert {a[:12] for a in answers[:-1]} <= {b"HTTP/1.1 100"}
    assert b"Retry-After: 3" in answers[-1] and b"Too much is being posted" in answers[-1]
    assert b'"code": "bodies"' in answers[-1]
    return len(answers) - 1


def test_bodies_have_so_much_room(place):
    """Sixteen of a mebibyte for a worker, four of them one user's; the next one is told so at its head, and comes in
    when there is room. Nobody keeps it from others."""
    place.db.run("INSERT INTO api_user (id, username, role, is_active) SELECT n, 'many' || n, 'foreman', true"
                 " FROM generate_series(100, 105) AS n;"
                 "INSERT INTO authtoken_token (key, user_id) SELECT 'token-' || n, n FROM generate_series(100, 105) AS n")
    with contextlib.ExitStack() as stack:
        assert fill(place, stack, "token-100") >= 4
        assert [post(place, "/ws/broadcast", {"event": "m", "data": n})[0] for n in range(10)] == [201] * 10
        assert sum(fill(place, stack, f"token-{n}") for n in range(101, 106)) >= 12
    cluster_wait(lambda: post(place, "/ws/broadcast", {"event": "m", "data": 2})[0] == 201, "there is room again")


def test_no_room_for_messages(cluster, tmp_path):
    """What is full is the journal: 507, and not a word of the daemon's being at fault."""
    db = cluster.create_database("app_template")
    install = Install(db, tmp_path)
    install.write(CONF.replace("[database]\n", "[database]\njournal_size = 8MiB\n"))
    install.apply()
    s = Served(install, tmp_path)
    s.daemon.start().wait_ready()
    try:
        r = random.Random(7)  # what can be compressed takes no room
        noise = {"event": "m", "data": [r.randbytes(16).hex() for _ in range(20000)]}
        answers = []
        while (answers or [(201,)])[-1][0] == 201 and len(answers) < 100:
            answers.append(post(s, "/ws/broadcast", noise))
        assert answers[-1] == (507, {"detail": "There is no room for messages."}), answers[-1]
        assert s.daemon.get("/readyz")[0] == 200
    finally:
        s.daemon.kill()
        db.drop()


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


def test_a_key_that_somebody_holds_keeps_nobody_else_waiting(place):
    """Who posts it again and again would take all the time there is, half a second each: only the first is waited with."""
    holder = place.db.connect(user="app", autocommit=False)
    holder.cursor().execute("SELECT pgherald.publish('*', 'm', '1', key => 'held on')")
    statuses = []
    posts = [threading.Thread(target=lambda: statuses.append(
        post(place, "/ws/broadcast", {"event": "m", "data": 2, "id": "held on"})[0])) for _ in range(30)]
    for one in posts:
        one.start()
    cluster_wait(lambda: statuses, "the first has waited in vain")
    assert post(place, "/ws/broadcast", {"event": "m", "data": 3})[0] == 201
    for one in posts:
        one.join(60)
    holder.rollback()
    holder.close()
    assert set(statuses) == {503}


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
