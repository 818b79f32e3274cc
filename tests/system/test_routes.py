# SPDX-License-Identifier: PostgreSQL
"""Routes as data: a path with variables leads to the channels that its route names, and to nothing else:
not to what the same user hears elsewhere, not for who may not, live and in what is caught up."""

import json
import signal

import pytest

from conftest import HEAD, served_by
from lib.daemon import Client

CONF = HEAD.replace("receives = own\n", "receives = own\nchannels = chat:*, project.*, of.{user}.*, team:*\n").replace(
    "receives = all\n", "receives = all\nchannels = *\n") + """
[watch message]
table = public.message
owners = who
channels = chat:{session_id}, project.{project_id}
fields = id, text

[route chat]
path = /my/chat/{session_id}/events/
channels = chat:{session_id}
dialect = chat

[route project]
path = /api/v1/events/{channel}
channels = {channel}
dialect = raw

[route tasks]
path = /tasks
channels = {id}, chat:{?session_id}
types = message.created

[route mine]
path = /of/{what}
channels = of.{id}.{what}

[route team]
path = /team
channels = team:{role}

[route events]
path = /api/v1/sse/events/
[route stats]
path = /api/v1/sse/stats/
kind = stats
"""
TABLES = "CREATE TABLE message (id int PRIMARY KEY, session_id text, project_id int, who text, text text);"


class Raw:
    def feed(self, data):
        return []


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    with served_by(cluster, tmp_path_factory.mktemp("routes"), CONF, TABLES) as s:
        yield s


def say(place, id, session=None, project=None, who=None):
    place.db.run("INSERT INTO message VALUES (%s, %s, %s, %s, %s)", (id, session, project, who, "привет"))


def listen(place, path, token="token-anna", last_id=None, **more):
    c = Client(place.daemon, token, path=path, parser=Raw(), last_id=last_id, **more)
    c.read_until(lambda: c.raw_body or c.ended)
    assert c.status == 200, c.raw_body
    return c


def heard(client):
    """The rows' ids, in whatever dialect."""
    out = []
    for line in client.raw_body.split(b"\n"):
        if line.startswith(b"data: {") and not line.startswith(b'data: {"event": "connected"'):
            doc = json.loads(line[6:])
            out.append(doc.get("data", doc).get("id"))
    return out


def hears(client, *ids):
    """The last of them is what all hear: nothing else came before it."""
    client.read_until(lambda: ids[-1] in heard(client) and client.raw_body.endswith(b"\n\n"), f"{ids}")
    assert heard(client) == list(ids), client.raw_body


def first_id(client):
    return client.raw_body.rpartition(b"id: ")[2].partition(b"\n")[0].decode()


def test_a_path_leads_to_its_channel_alone(place):
    """Not to his own rows, and for who may hear everything not to the rest either."""
    paths = ("/my/chat/s-1/events/", "/api/v1/events/project.7", "/my/chat/s%2D2/events/", "/my/chat/s-1/events/")
    anna = [listen(place, p) for p in paths[:3]]
    boss = listen(place, paths[3], token="token-boss")
    everything = listen(place, "/api/v1/sse/events/", token="token-boss")
    places = [first_id(c) for c in (*anna, boss)]
    say(place, 1, session="s-1")
    say(place, 2, project=7)
    say(place, 3, session="s-2", project=8)
    say(place, 4, who="2")
    say(place, 5, session="s-1", project=7, who="1")
    say(place, 6, session="s-2", project=7)
    say(place, 7, session="s-1")
    want = [(1, 5, 7), (2, 5, 6), (3, 6), (1, 5, 7)]
    for c, ids in zip((*anna, boss), want):
        hears(c, *ids)
        c.close()
    hears(everything, *range(1, 8))
    everything.close()
    for again in range(2):  # from memory, and from the journal
        for path, at, ids, token in zip(paths, places, want, ["token-anna"] * 3 + ["token-boss"]):
            c = listen(place, path, token=token, last_id=at)
            hears(c, *ids)
            c.close()
        if not again:
            place.daemon.stop()
            place.daemon.start().wait_ready()


def test_what_the_query_adds(place):
    own, session = listen(place, "/tasks"), listen(place, "/tasks", extra_query="session_id=t")
    say(place, 21, session="t")
    say(place, 22, session="u")
    place.db.run("UPDATE message SET text = '' WHERE id = 21")  # not of a type that the route tells
    say(place, 23, who="2")
    hears(own, 23)
    hears(session, 21, 23)
    status, _, body = place.daemon.get("/tasks?session_id=a&session_id=b", "token-anna")
    assert status == 400 and "twice" in json.loads(body)["detail"]
    status, _, body = place.daemon.get("/api/v1/sse/events/?session_id=a", "token-anna")
    assert status == 400 and "session_id" in json.loads(body)["detail"]
    own.close()
    session.close()


@pytest.mark.parametrize("path, status", [
    ("/my/chat//events/", 404), ("/my/chat/a/events", 404), ("/my/chat/a/b/events/", 404),
    ("/my/chat/%D1%8F/events/", 404), ("/my/chat/a%20b/events/", 404), ("/my/chat/a%2Cb/events/", 404),
    ("/my/chat/" + "a" * 129 + "/events/", 404), ("/my/chat/" + "a" * 124 + "/events/", 404),  # "chat:" and it
    ("/my/chat/%2A/events/", 404), ("/my/chat/%23a/events/", 404),
    ("/my/chat/a%2Fb/events/", 400), ("/my/chat/a%2fevents/", 400), ("/my/chat/%zz/events/", 400),
    ("/my/chat/%00/events/", 400), ("/api/v1/events/other.7", 403), ("/api/v1/events/status", 403),
    ("/tasks?session_id=a%2Fb", 404), ("/tasks?session_id=", 404), ("/tasks?session_id=%2A", 404),
    ("/of/a?channels=of.3.a", 403), ("/of/../3", 404),
])
def test_what_is_no_channel(place, path, status):
    got, _, body = place.daemon.get(path, "token-anna")
    assert got == status and json.loads(body)["detail"], body
    assert place.daemon.get(path, None)[0] in (status, 401)


def test_a_user_s_own_channel(place):
    c = listen(place, "/of/a")
    c.close()
    c = listen(place, "/of/a", extra_query="channels=chat:x")
    say(place, 31, who="2")
    say(place, 32, session="x")
    hears(c, 32)
    c.close()


def test_another_role_has_other_channels(place):
    """Of a route that names the role: who has another one comes back, and hears its channels."""
    place.db.run("UPDATE api_user SET role = 'foreman' WHERE id = 3")
    c = listen(place, "/team", token="token-boris")
    place.db.run("UPDATE api_user SET role = 'manager' WHERE id = 3")
    c.wait_end()
    place.daemon.wait_log("it has another role, and with it other channels")
    place.db.run("UPDATE api_user SET role = 'foreman' WHERE id = 3")


def test_rights_that_go_end_it(place):
    """Who hears nothing by his id is still himself: his token, his role."""
    c = listen(place, "/my/chat/r/events/", token="token-boris")
    place.db.run("UPDATE api_user SET is_active = false WHERE id = 3")
    c.wait_end()
    assert b"user is not active any more" in c.raw_body
    place.db.run("UPDATE api_user SET is_active = true WHERE id = 3")
    c = listen(place, "/my/chat/r/events/", token="token-boris")
    place.configure("channels = chat:*, project.*", "channels = project.*")
    place.daemon.signal(signal.SIGHUP)
    c.wait_end()
    assert b"role may not hear its channels any more" in c.raw_body
    assert place.daemon.get("/my/chat/r/events/", "token-boris")[0] == 403
    place.configure("channels = project.*", "channels = chat:*, project.*")
    at = place.daemon.log_size()
    place.daemon.signal(signal.SIGHUP)
    place.daemon.wait_log("configuration reloaded", at)
    listen(place, "/my/chat/r/events/", token="token-boris").close()
