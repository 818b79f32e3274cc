# SPDX-License-Identifier: PostgreSQL
"""What is published over a WebSocket goes the way of what is posted: by the same function, under the same rights,
and is answered after the commit, whatever happens in between."""

import json
import socket

import pytest

from conftest import HEAD, served_by
from lib.daemon import PATIENCE_S, Client, Parser, wait_until
from lib.posting import journal, post
from lib.websocket import CLOSE, CONTINUATION, PING, PONG, TEXT, WebSocket, close_payload, frame

CONF = HEAD.replace("receives = all\n", "receives = all\nchannels = *\npublish = *\n").replace(
    "receives = own\n",
    "receives = own\nchannels = news, project.*\npublish = project.*, user/3, user/{user}\n") + """
[publish]
roles = pgherald, app
[watch estimate]
table = public.api_estimate
owners = foreman_id
fields = estimate_id=id
[route events]
path = /api/v1/sse/events/
[route ws]
path = /ws/connect
dialect = streaming
[route plain]
path = /events
dialect = plain
[route send]
path = /send
kind = send
[route broadcast]
path = /broadcast
kind = broadcast
"""


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    with served_by(cluster, tmp_path_factory.mktemp("websocket_publish"), CONF) as s:
        yield s


def connect(place, token, **more):
    return WebSocket(place.daemon, token, **{"path": "/ws/connect", **more})


def opened(c):
    c.read_until(lambda: c.frames or c.status not in (None, 101), "a greeting")
    assert c.status == 101
    return c


def said(c):
    return [f.json for f in c.frames if f.json.get("type") not in ("ping",)]


def answer(c, message):
    """Its answer, by its request_id."""
    message = {"request_id": f"r{len(c.frames)}", **message}
    c.ask(message)
    c.read_until(lambda: any(m.get("request_id") == message["request_id"] for m in said(c)), str(message))
    return next(m for m in said(c) if m.get("request_id") == message["request_id"])


def test_the_bytes_of_the_document(place):
    """As the document of that system has them, and what its clients wait for."""
    anna = opened(connect(place, place.anna, extra_query="channels=news"))
    boris, boss = opened(connect(place, place.boris)), opened(connect(place, place.boss))
    assert answer(anna, {"action": "subscribe", "data": {"channel": "project.7"}})["type"] == "subscribed"
    got = answer(boss, {"action": "send_to_channel", "request_id": "unique-id",
                        "data": {"channel": "project.7", "content": "Привет всем!"}})
    assert got["type"] == "published" and got["request_id"] == "unique-id"
    # the answer came after the commit
    assert place.db.run("SELECT own_new, data FROM pgherald.journal WHERE id = %s", (got["content"]["id"],)) == \
        [(["#project.7"], "Привет всем!")]
    assert answer(boss, {"action": "send_to_user", "data": {"user_id": "2", "content": "Личное сообщение"}})["type"] == "published"
    assert answer(boss, {"action": "send_to_user", "data": {"user_id": 3, "content": [1.0]}})["type"] == "published"
    # without a request_id, as the samples of the document have it: to everybody
    boss.ask({"action": "message", "data": {"content": "Hello from React!"}})
    for c, want in ((anna, ["text", "Привет всем!", "text", "Личное сообщение", "message", "Hello from React!"]),
                    (boris, ["text", [1.0], "message", "Hello from React!"]), (boss, ["message", "Hello from React!"])):
        c.read_until(lambda c=c: any(m["type"] == "message" for m in said(c)), "what was said to everybody")
        heard = [m for m in said(c) if "request_id" not in m and m["type"] != "published"]
        assert sum(([m["type"], m["content"]] for m in heard), []) == want
        assert all(list(m) == ["type", "content"] for m in heard)  # and the id, which the reader has taken
    boss.read_until(lambda: [m for m in said(boss) if m["type"] == "published" and "request_id" not in m])
    for c in (anna, boris, boss):
        c.close()


def test_what_may_be_said_besides(place):
    """A type, a key, and that it is kept."""
    boss = WebSocket(place.daemon, place.boss, path="/events")
    boss.read_until(lambda: boss.frames, "a greeting")
    message = {"channel": "project.8", "content": {"a": 1}, "type": "render_progress", "id": "k1", "persist": True}
    first = answer(boss, {"action": "message", "data": message})
    assert first["type"] == "herald.published"
    assert answer(boss, {"action": "send_to_channel", "data": message})["data"] == first["data"]
    late = Client(place.daemon, place.anna, path="/api/v1/sse/events/", extra_query="channels=project.8", parser=Parser()).hello()
    assert late.wait_message("render_progress")["data"] == {"a": 1}
    assert [j for j in journal(place) if j[3] == "k1"] == [(["#project.8"], "render_progress", {"a": 1}, "k1")]
    late.close()
    boss.close()


@pytest.mark.parametrize("action, data, kind, words", [
    ("send_to_channel", None, "invalid_data", '"data"'),
    ("send_to_channel", [], "invalid_data", "object"),
    ("send_to_channel", {}, "invalid_data", '"channel" is missing'),
    ("send_to_channel", {"channel": "project.1"}, "invalid_data", '"content" is missing'),
    ("send_to_channel", {"channel": "a b", "content": 1}, "invalid_data", "A channel has"),
    ("send_to_channel", {"channel": "project.1", "user_id": "3", "content": 1}, "invalid_data", "user_id"),
    ("send_to_channel", {"user_id": "3", "content": 1}, "invalid_data", 'no "user_id"'),
    ("send_to_channel", {"channel": "project.1", "content": 1, "type": "a b"}, "invalid_data", "a type has"),
    ("send_to_channel", {"channel": "project.1", "content": 1, "type": None}, "invalid_data", '"type"'),
    ("send_to_channel", {"channel": "project.1", "content": "\0"}, "invalid_data", ""),
    ("send_to_channel", {"channel": "project.1", "content": 1, "persist": True}, "invalid_data", 'needs an "id"'),
    ("send_to_channel", {"channel": "project.1", "content": 1, "type": "estimate.created"}, "forbidden", "watched table"),
    ("send_to_channel", {"channel": "project.1", "content": 1, "type": "system.pong"}, "forbidden", "daemon's own"),
    # rights are those of what is posted
    ("send_to_channel", {"channel": "news", "content": 1}, "forbidden", '"news"'),
    ("send_to_channel", {"channel": "*", "content": 1}, "forbidden", '"*"'),
    ("message", {"content": 1}, "forbidden", '"*"'),
    ("message", {"channel": None, "content": 1}, "invalid_data", '"channel" must be'),
    ("send_to_user", {"content": 1}, "invalid_data", '"user_id" is missing'),
    ("send_to_user", {"user_id": "", "content": 1}, "invalid_data", "user's id"),
    ("send_to_user", {"user_id": "x" * 1001, "content": 1}, "invalid_data", "user's id"),
    ("send_to_user", {"user_id": None, "content": 1}, "invalid_data", '"user_id" must be'),
    ("send_to_user", {"user_id": "1", "content": 1}, "forbidden", '"user/1"'),
    ("send_to_user", {"user_id": "3/2", "content": 1}, "forbidden", '"user/3/2"'),
    ("send_to_user", {"channel": "project.1", "content": 1}, "invalid_data", 'no "channel"'),
])
def test_what_is_refused(place, action, data, kind, words):
    anna, before = opened(connect(place, place.anna)), journal(place)
    got = answer(anna, {"action": action, **({} if data is None else {"data": data})})
    assert got["type"] == "error" and got["content"]["type"] == kind and words in got["content"]["error"], got
    assert "ERROR:" not in got["content"]["error"]
    assert journal(place) == before
    anna.close()


def test_users_that_a_role_may_write_to(place):
    """By both ways; `user/` in a pattern is no channel."""
    anna = opened(connect(place, place.anna))
    for user, may in (("2", True), (3, True), ("1", False), ("user/2", False), ("*", False), ("#news", False)):
        got = answer(anna, {"action": "send_to_user", "data": {"user_id": user, "content": 1}})
        assert (got["type"] == "published") is may, got
        status, why = post(place, "/send", {"user_id": user, "event": "m", "data": 1}, "token-anna")
        assert status == (201 if may else 403), why
    for body, status, words in (
            ({"user_id": "2", "channel": "project.1"}, 422, "user_id"), ({"user_id": None}, 422, "must be a string"),
            ({"user_id": 2.5}, 422, "must be a string"), ({"user_id": ""}, 422, "user's id"),
            ({"user_id": "x" * 1001}, 422, "user's id"), ({}, 422, '"channel" is missing')):
        got, why = post(place, "/send", {**body, "event": "m", "data": 1}, "token-anna")
        assert got == status and words in why["detail"], why
    assert post(place, "/broadcast", {"user_id": "2", "event": "m", "data": 1}, "token-boss")[0] == 422
    # a user who is called like a channel is that user
    assert post(place, "/send", {"user_id": "#news", "event": "m", "data": 1}, "token-boss")[0] == 201
    assert journal(place)[-1][0] == ["=#news"]
    anna.close()


def test_no_room(place):
    place.db.run("UPDATE pgherald.meta SET stop_bytes = 0")
    try:
        status, why = post(place, "/send", {"channel": "project.1", "event": "m", "data": 1})
        assert (status, why["detail"]) == (507, "There is no room for messages.")
        boss = opened(connect(place, place.boss))
        got = answer(boss, {"action": "message", "data": {"content": 1}})
        assert got["content"] == {"type": "no_room", "error": "There is no room for messages."}
        boss.close()
    finally:
        place.db.run("UPDATE pgherald.meta SET stop_bytes = max_bytes")


def test_many_at_a_time(place):
    """All in one write, more than are published at a time: each is told, in order, and answered."""
    boss = opened(connect(place, place.boss))
    anna = opened(connect(place, place.anna, extra_query="channels=project.9"))
    boss.send(*(frame(TEXT, json.dumps({"action": "send_to_channel", "request_id": n,
                                        "data": {"channel": "project.9", "content": n}})) for n in range(150)))
    anna.read_until(lambda: len([m for m in said(anna) if m["type"] == "text"]) == 150, "all of them")
    assert [m["content"] for m in said(anna) if m["type"] == "text"] == list(range(150))
    boss.read_until(lambda: len([m for m in said(boss) if m["type"] == "published"]) == 150, "all answers")
    assert [m["request_id"] for m in said(boss) if m["type"] == "published"] == list(range(150))
    boss.close()
    anna.close()


def test_who_has_gone_is_not_answered(place):
    """What he has said before is published, and his answers go nowhere."""
    holder = place.db.connect(user="app", autocommit=False)
    holder.cursor().execute("SELECT pgherald.publish('*', 'm', '1', key => 'held')")
    boss, other = opened(connect(place, place.boss)), opened(connect(place, place.boss))
    other.ask({"action": "message", "request_id": "held", "data": {"content": 1, "id": "held"}})
    boss.ask({"action": "message", "data": {"content": "last", "id": "last words"}})
    boss.send(frame(CLOSE, close_payload(1000)))
    assert boss.wait_closed()[0] == 1000
    other.read_until(lambda: [m for m in said(other) if m.get("request_id") == "held"], "an answer")
    assert said(other)[-1]["content"]["type"] == "unavailable", "somebody holds that key"
    holder.rollback()
    holder.close()
    wait_until(lambda: [j for j in journal(place) if j[3] == "last words"], "it is published")
    assert answer(other, {"action": "message", "data": {"content": 2, "id": "held"}})["type"] == "published"
    other.close()


def test_a_credential_that_has_ended_says_nothing_more(place):
    place.db.run("INSERT INTO api_user (id, username, role) VALUES (8, 'eve', 'manager')")
    place.db.run("INSERT INTO authtoken_token (key, user_id) VALUES ('token-eve', 8)")
    eve = opened(connect(place, "token-eve"))
    assert answer(eve, {"action": "message", "data": {"content": "eve"}})["type"] == "published"
    place.db.run("UPDATE api_user SET role = 'foreman' WHERE id = 8")
    place.db.run("SELECT pgherald.publish('*', 'after', '1')")
    eve.read_until(lambda: any(m["type"] == "after" for m in said(eve)), "it has the other role")
    assert answer(eve, {"action": "message", "data": {"content": "eve"}})["content"]["type"] == "forbidden"
    place.db.run("DELETE FROM authtoken_token WHERE user_id = 8")
    assert eve.wait_closed()[0] == 4401
    assert len([j for j in journal(place) if j[2] == "eve"]) == 1


def test_the_database_goes_away(place):
    """Every message has its answer, at the latest when a request's time is over; with an id it is told once."""
    boss = opened(connect(place, place.boss))
    place.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgherald'"
                 " AND datname = current_database()")
    for n in range(5):
        while answer(boss, {"action": "message", "data": {"content": n, "id": f"gone{n}"}})["type"] != "published":
            pass
    assert [j[2] for j in journal(place) if (j[3] or "").startswith("gone")] == list(range(5))
    boss.close()


def test_the_daemon_must_be_a_publisher(served):
    served.install.conf.write_text(served.install.conf.read_text().replace("receives = all", "receives = all\npublish = *"))
    d = served.daemon.start().wait_ready()
    c = WebSocket(d, served.boss).hello()
    c.ask({"action": "message", "data": {"content": 1}, "request_id": 1})
    got = c.wait_message("system.error")
    assert got["data"]["type"] == "forbidden" and "[publish]" in got["data"]["error"]
    c.close()


@pytest.fixture(scope="module")
def one_worker(cluster, tmp_path_factory):
    conf = CONF.replace("[server]\n", "[server]\nworkers = 1\nrequest_timeout = 60s\n")
    with served_by(cluster, tmp_path_factory.mktemp("room"), conf) as s:
        yield s


def half_say(c):
    """The greater part of a message; whether it has been taken."""
    c.send(frame(TEXT, b" " * 40000, fin=False), frame(PING, b"there?"))  # 64 KiB in memory
    c.read_until(lambda: c.parser.control or c.parser.closed, "that it has been read")
    return not c.parser.closed


def test_what_is_half_said_takes_its_users_share_and_nobody_elses(one_worker):
    """It has no deadline: whoever never ends his sentence keeps nobody from posting but himself."""
    annas = [opened(connect(one_worker, one_worker.anna)) for _ in range(64)]
    assert all([half_say(c) for c in annas])
    late = opened(connect(one_worker, one_worker.anna))
    assert not half_say(late) and late.wait_closed()[0] == 1013
    said_to = {"channel": "project.1", "event": "m", "data": 1}
    assert post(one_worker, "/send", said_to, "token-anna")[0] == 503
    one_worker.daemon.wait_log("no room for another body")
    boris = opened(connect(one_worker, one_worker.boris))
    assert half_say(boris)
    large = {"event": "m", "data": "x" * 1000000}
    assert [post(one_worker, "/broadcast", large)[0] for _ in range(5)] == [201] * 5
    for c in (boris, annas[0]):  # who ends his sentence has his answer, and gives the room back
        c.send(frame(CONTINUATION, '{"action": "ping", "request_id": "end"}'))
        c.read_until(lambda c=c: any(m.get("request_id") == "end" for m in said(c)), "an answer")
    assert post(one_worker, "/send", said_to, "token-anna")[0] == 201
    for c in (*annas, boris):
        c.close()
    wait_until(lambda: post(one_worker, "/send", {**said_to, "data": "x" * 1000000}, "token-anna")[0] == 201,
               "that who has gone has given it back")


def test_what_waits_to_be_published_takes_its_users_share(one_worker):
    """No more than a quarter of the room, as by POST, while the connection that publishes is away."""
    db, message = one_worker.db, {"channel": "project.1", "content": "x" * 62000}
    annas = [opened(connect(one_worker, one_worker.anna)) for _ in range(80)]
    assert answer(annas[0], {"action": "send_to_channel", "data": message})["type"] == "published"
    db.run(f"ALTER DATABASE {db.name} CONNECTION LIMIT 0")
    assert db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                  " AND usename = 'pgherald' AND query LIKE '%pgherald.publish(%'") == [(True,)]
    try:
        for c in annas:
            c.ask({"action": "send_to_channel", "request_id": "r", "data": message})
            c.send(frame(PING, b"there?")).wait_control(PONG)
        answered = [c for c in annas if any(m.get("request_id") == "r" for m in said(c))]
        assert 80 - len(answered) in range(60, 68), "so many have a place in a quarter of 16 MiB"
        for c in answered:
            assert [m["content"]["type"] for m in said(c) if m.get("request_id") == "r"] == ["busy"]
        head = (b"POST /broadcast HTTP/1.1\r\nHost: t\r\nAuthorization: Token token-boss\r\n"
                b"Expect: 100-continue\r\nContent-Length: 1048576\r\n\r\n")
        for _ in range(4):
            with socket.create_connection(one_worker.daemon.address, timeout=PATIENCE_S) as s:
                s.sendall(head)
                assert s.recv(65536).startswith(b"HTTP/1.1 100 ")
    finally:
        db.run(f"ALTER DATABASE {db.name} CONNECTION LIMIT -1")
    for c in annas:
        c.read_until(lambda c=c: any(m.get("request_id") == "r" for m in said(c)), "an answer")
        c.close()
