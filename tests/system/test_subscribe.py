# SPDX-License-Identifier: PostgreSQL
"""Channels that a stream joins and leaves while it is open, by a request or over its WebSocket: it begins where the
stream is, behind what is kept for who comes; nothing is told twice, nothing is left out, and nobody else's stream
is touched."""

import json
import threading

import pytest

from conftest import HEAD, run_pgherald, served_by
from lib.daemon import Client, Lines, Parser, wait_until
from lib.websocket import Messages, WebSocket

CONF = HEAD.replace("[server]\n", "[server]\nworkers = 2\n").replace(
    "receives = all\n", "receives = all\nchannels = *\n").replace(
    "receives = own\n", "receives = own\nchannels = news, project.*, inbox.{user}\n") + """
[publish]
roles = pgherald, app
[watch estimate]
table = public.api_estimate
owners = foreman_id
fields = estimate_id=id, estimate_number=number
[auth other]
preset = drf
user_table = public.api_user
[route events]
path = /api/v1/sse/events/
auth = drf
queue_events = 10000
[route second]
path = /second/
auth = other
[route subscribe]
path = /sse/subscribe
kind = subscribe
auth = drf
[route unsubscribe]
path = /sse/unsubscribe
kind = unsubscribe
auth = drf
"""


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    with served_by(cluster, tmp_path_factory.mktemp("subscribe"), CONF) as s:
        yield s


@pytest.fixture(autouse=True)
def nothing_kept(place):
    yield
    place.db.run("DELETE FROM pgherald.kept")


def stream(place, token="token-anna", transport="sse", query="", **more):
    parser = {"sse": Parser, "ndjson": Lines, "websocket": Messages}[transport]()
    c = Client(place.daemon, token, parser=parser, extra_query=f"hello=full&transport={transport}{query}", **more).hello()
    c.name = c.frames[0].json["stream"]
    return c


def post(place, path, name, body, token="token-anna", **headers):
    if token:
        headers["Authorization"] = "Token " + token
    status, _, said = place.daemon.request("POST", f"{path}?stream={name}", headers,
                                           body=body if isinstance(body, bytes) else json.dumps(body))
    return status, json.loads(said)


def subscribe(place, c, *channels, **more):
    status, said = post(place, "/sse/subscribe", c.name, {"channels": channels}, **more)
    assert status == 200, said
    return said


def publish(place, channel, payload, key=None):
    place.db.run("SELECT pgherald.publish(%s, 'note', to_jsonb(%s::text), key => %s, persist => %s)",
                 (channel, payload, key, key is not None))


def notes(c):
    return [m["data"] for m in c.messages() if m["event"] == "note"]


def wait_note(c, payload):
    c.read_until(lambda: payload in notes(c), payload)


def settle(place, *clients):
    """They are as far as the database is."""
    n = place.db.one("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('now', 10, 2) RETURNING id")
    for c in clients:
        c.wait_message("estimate.created", estimate_id=n)


@pytest.mark.parametrize("transport", ["sse", "ndjson", "websocket"])
def test_from_here_on(place, transport):
    c = stream(place, transport=transport)
    publish(place, "news", "before")
    settle(place, c)
    said = subscribe(place, c, "news", "project.1")
    assert said == {"stream": c.name, "topics": None, "types": None, "channels": ["news", "project.1"]}
    publish(place, "news", "one")
    wait_note(c, "one")
    status, said = post(place, "/sse/unsubscribe", c.name, {"channel": "news"})
    assert (status, said["channels"]) == (200, ["project.1"])
    publish(place, "news", "not heard")
    publish(place, "project.1", "two")
    wait_note(c, "two")
    assert notes(c) == ["one", "two"]
    # who comes back tells them again
    again = Client(place.daemon, "token-anna", c.last_id, extra_query="channels=news").hello()
    publish(place, "news", "three")
    wait_note(again, "three")
    c.close()
    again.close()


def test_topics_and_types(place):
    c = stream(place, query="&types=note")
    assert post(place, "/sse/subscribe", c.name, {"types": "estimate.created"})[1]["types"] == ["note", "estimate.created"]
    place.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('typed', 10, 2)")
    c.wait_message("estimate.created", estimate_number="typed")
    status, said = post(place, "/sse/unsubscribe", c.name, {"topics": ["estimate"]})
    assert status == 409 and "?topics=" in said["detail"]
    c.close()


def test_refused(place):
    c, before = stream(place), {"channels": []}
    for body, status, words in (
            (b"", 400, "byte 0"), (b"{", 400, "byte 1"), (b'{"channel": "a"} x', 400, "byte 17"), ([], 422, "channel"),
            ({}, 422, "channel"), ({"channel": 1}, 422, "channel"), ({"channel": "a b"}, 422, "channel"),
            ({"channel": "a,b"}, 422, "channel"), ({"channels": []}, 422, "channels"),
            ({"channels": [f"project.{n}" for n in range(33)]}, 422, "32 channels"),
            ({"channel": "secret"}, 403, '"secret"'), ({"channel": "inbox.3"}, 403, '"inbox.3"'),
            ({"channels": ["news", "secret"]}, 403, '"secret"'), ({"topics": [["x"]]}, 422, "topics"),
            (b'{"channel": "ne\\u0000ws"}', 422, "channel")):
        got, said = post(place, "/sse/subscribe", c.name, body)
        assert got == status and words in said["detail"], (body[:40] if isinstance(body, bytes) else body, said)
    assert post(place, "/sse/subscribe", c.name, b'{"channel": "news", "x": "' + b"x" * 65536 + b'"}')[0] == 413
    subscribe(place, c, *(f"project.{n}" for n in range(32)))
    assert post(place, "/sse/subscribe", c.name, {"channel": "news"})[0] == 422
    assert len(subscribe(place, c, "project.5")["channels"]) == 32
    assert post(place, "/sse/unsubscribe", c.name, {"channels": [f"project.{n}" for n in range(32)]})[1]["channels"] == \
        before["channels"]
    assert post(place, "/sse/subscribe", c.name, {"channel": "news"}, **{"Content-Type": "text/plain"})[0] == 415
    c.close()


def test_only_ones_own(place):
    """A name that somebody has guessed, or of another kind of credential, is no stream of his."""
    mine, other = stream(place), stream(place, path="/second/")
    for name, token, status in (
            (mine.name, "token-boss", 404), (other.name, "token-anna", 404), (mine.name, None, 401), (mine.name, "x", 401),
            ("0.1", "token-anna", 404), ("9.1", "token-anna", 404), ("x", "token-anna", 404), ("", "token-anna", 404)):
        assert post(place, "/sse/subscribe", name, {"channel": "news"}, token)[0] == status, name
    cookie = place.daemon.request("POST", f"/sse/subscribe?stream={mine.name}", {"Cookie": "sessionid=x"}, body=b"{}")
    assert cookie[0] == 401
    assert place.daemon.request("POST", "/sse/subscribe", {"Authorization": "Token token-anna"}, body=b"{}")[0] == 400
    assert place.daemon.get(f"/sse/subscribe?stream={mine.name}", "token-anna")[0] == 405
    publish(place, "news", "nobody")
    place.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('own', 10, 2)")
    for c in (mine, other):
        c.wait_message("estimate.created", estimate_number="own")
        assert notes(c) == []
    mine.close()
    wait_until(lambda: post(place, "/sse/subscribe", mine.name, {"channel": "news"})[0] == 404, "it has gone")
    other.close()


def test_what_is_kept_comes_first(place):
    """The latest of each key, in order, before what is said from then on; over both ways, once."""
    for n, key in enumerate(("a", "b", "a", "c")):
        publish(place, "project.70", f"{key}{n}", key)
    publish(place, "project.71", "other", "a")
    publish(place, "*", "everybody's", "kept for all")
    sse, lines = stream(place), stream(place, transport="ndjson")
    ws = WebSocket(place.daemon, "token-anna", extra_query="hello=full").hello()
    settle(place, sse, lines, ws)
    for c in (sse, lines):
        subscribe(place, c, "project.70")
    ws.ask({"action": "subscribe", "data": {"channel": "project.70"}, "request_id": 1})
    ws.read_until(lambda: [m for m in ws.messages() if m["event"] == "system.subscribed"])
    publish(place, "project.70", "live")
    for c in (sse, lines, ws):
        wait_note(c, "live")
        assert notes(c) == ["everybody's", "b1", "a2", "c3", "live"]
        assert c.last_id
    # joined already: nothing comes again
    subscribe(place, sse, "project.70", "project.71")
    publish(place, "project.70", "end")
    wait_note(sse, "end")
    assert notes(sse)[5:] == ["other", "end"]
    # left, and joined again: he has missed what was said
    assert post(place, "/sse/unsubscribe", sse.name, {"channel": "project.71"})[0] == 200
    publish(place, "project.71", "missed", "b")
    settle(place, sse)
    subscribe(place, sse, "project.71")
    wait_note(sse, "missed")
    assert notes(sse)[7:] == ["other", "missed"]
    for c in (sse, lines, ws):
        c.close()


def test_what_is_published_meanwhile_comes_once(place):
    """Writers keep, streams join: each hears the last word about every key, nothing twice, and no older one behind
    a newer."""
    stop = threading.Event()

    def write(n):
        at = 0
        with place.db.connect() as connection:
            while not stop.is_set():
                at += 1
                connection.cursor().execute("SELECT pgherald.publish('project.80', 'note', to_jsonb(%s::text), key => %s,"
                                            " persist => true)", (f"{n}-{at % 5} {at}", f"{n}-{at % 5}"))
    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for w in writers:
        w.start()
    clients = []
    try:
        for n in range(24):
            c = stream(place, transport=("sse", "ndjson", "websocket")[n % 3])
            subscribe(place, c, "project.80")
            clients.append(c)
    finally:
        stop.set()
        for w in writers:
            w.join()
    last = dict(n.split() for n, in place.db.run("SELECT payload #>> '{}' FROM pgherald.kept WHERE audience = '#project.80'"))
    publish(place, "project.80", "the end")
    for c in clients:
        wait_note(c, "the end")
        heard = notes(c)[:-1]
        assert len(heard) == len(set(heard)), "twice"
        by_key = {}
        for key, at in (n.split() for n in heard):
            assert int(at) > by_key.get(key, 0), "older behind newer"
            by_key[key] = int(at)
        assert by_key == {k: int(v) for k, v in last.items()}
        c.close()


def test_while_its_rights_are_looked_up(place):
    """A stream that is held hears what is kept when it is known that it may."""
    publish(place, "project.90", "kept", "k")
    c = stream(place)
    settle(place, c)
    lock = place.db.connect(autocommit=False)
    lock.cursor().execute("LOCK TABLE authtoken_token")
    for role in ("manager", "foreman"):
        place.db.run("UPDATE api_user SET role = %s WHERE id = 2", (role,))
    done = []  # the credential of the request waits as well
    asking = threading.Thread(target=lambda: done.append(post(place, "/sse/subscribe", c.name, {"channel": "project.90"})))
    asking.start()
    lock.rollback()
    lock.close()
    asking.join()
    assert done[0][0] == 200
    wait_note(c, "kept")
    publish(place, "project.90", "live")
    wait_note(c, "live")
    assert notes(c) == ["kept", "live"]
    c.close()


def test_while_it_reads_the_journal(place):
    """Who has come back from far hears the channel from where he is, and what is kept once."""
    first = Client(place.daemon, "token-boss").hello()
    position = first.last_id
    first.close()
    place.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) SELECT g::text, 10, 2 FROM generate_series(1, 400) AS g")
    for n in range(3):
        publish(place, "project.95", f"kept {n}", f"k{n}")
    place.daemon.stop()
    place.daemon.start().wait_ready()
    clients = [Client(place.daemon, "token-boss", position, extra_query="hello=full") for _ in range(4)]
    for n, c in enumerate(clients):
        c.read_until(lambda c=c: c.frames)
        subscribe(place, type("Named", (), {"name": c.frames[0].json["stream"]}), "project.95", token="token-boss")
        publish(place, "project.95", f"live {n}")
    publish(place, "project.95", "the end")
    for c in clients:
        wait_note(c, "the end")
        heard = notes(c)
        assert len(heard) == len(set(heard)), heard
        assert {f"kept {n}" for n in range(3)} <= set(heard)
        assert len({m["data"]["estimate_number"] for m in c.messages() if m["event"] == "estimate.created"}) == 400
        c.close()


def test_nobodys_streams_have_no_name(install):
    """Whoever comes in without a credential has no stream that a name could be for."""
    install.write(CONF + "\n[auth all]\npreset = none\nrole = foreman\n" +
                  "[route bad]\npath = /bad\nkind = subscribe\nauth = all\n")
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode == 1 and "[auth all] is no credential" in done.stderr
