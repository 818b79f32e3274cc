# SPDX-License-Identifier: PostgreSQL
"""Channels that a credential brings along, and is limited to: claims of JSON Web Tokens as other software
makes them, and lines of API keys. The same live, from memory, from the journal, and after a renewal."""

import http.client
import itertools
import json
import subprocess
import time

import pytest
from conftest import HEAD, PGHERALD, Install, Served, run_pgherald
from lib.daemon import EVENTS, Client
from lib.websocket import WebSocket

jwt = pytest.importorskip("jwt", reason="no PyJWT")

SECRET = "a secret of more than thirty-two bytes"
CLAIM = "https://board.example/claims"
CONF = HEAD.replace("[server]\n", "[server]\nring_events = 5\n").replace(
    "[database]\n", "[database]\nrecheck = 1h\n").replace(
    "receives = own\n", "receives = own\nchannels = board.*, news, room.{user}\n", 1) + """
[publish]
roles = app
[watch estimate]
table = public.api_estimate
owners = foreman_id
fields = id
[auth jwt]
preset = jwt
key_file = {dir}/secret
users = claims
channels_claim = "https://board.example/claims".hears
[auth robots]
preset = apikey
key_file = {dir}/keys
users = claims
[route events]
path = /api/v1/sse/events/
auth = robots, jwt, drf
[route one]
path = /board/{n}/
channels = board.{n}
auth = jwt
[route stats]
path = /api/v1/sse/stats/
kind = stats
auth = drf
[route renew]
path = /auth/renew
kind = renew
auth = jwt
"""
NUMBERS = itertools.count(1)


def key(place, *args):
    done = subprocess.run([PGHERALD, "token", "key", "--user", "robot", "--role", "foreman", *args],
                          capture_output=True, text=True, check=True)
    line, text = done.stdout.strip().split("\n")
    with open(place / "keys", "a") as f:
        f.write(line + "\n")
    return text


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    db = cluster.create_database("app_template")
    directory = tmp_path_factory.mktemp("granted")
    (directory / "secret").write_text(SECRET + "\n")
    (directory / "keys").touch(0o600)
    (directory / "secret").chmod(0o600)
    keys = {"limited": key(directory, "--channels", "board.1,board.2*,secret"), "free": key(directory)}
    install = Install(db, directory)
    install.write(CONF.replace("{dir}", str(directory)))
    install.apply()
    s = Served(install, directory)
    s.keys = keys
    s.daemon.start().wait_ready()
    yield s
    s.daemon.kill()
    db.drop()


def mint(hears, role="foreman", seconds=3600, **more):
    claims = {} if hears is None else {CLAIM: {"hears": hears}}
    return jwt.encode({"sub": "anna", "role": role, "exp": int(time.time()) + seconds} | claims | more,
                      SECRET, "HS256")


def stream(place, token, path=EVENTS, query="", **more):
    name = {"X-API-Key": token} if token.startswith("pgh_") else {"Authorization": "Bearer " + token}
    return Client(place.daemon, None, path=path + query, headers=name | more)


def answer(place, token, path=EVENTS, query=""):
    client = stream(place, token, path, query)
    client.read_until(lambda: client.headers is not None, "an answer")
    client.close()
    return client.status


def say(place, channel):
    n = next(NUMBERS)
    place.db.one("SELECT pgherald.publish(%s, 'said', %s::jsonb)", (channel, json.dumps({"n": n})), user="app")
    return n


def heard(client):
    return [m["data"]["n"] for m in client.messages() if m["event"] == "said"]


def says(place, *channels):
    return [say(place, c) for c in channels]


ALL = ("board.1", "board.22", "board.3", "news", "secret", "*")


@pytest.mark.parametrize("hears", [["board.1", "board.2*", "secret"], "board.1 board.2* secret",
                                   "board.1,board.2*,secret", "key"])
def test_by_itself_and_no_others(place, hears):
    token = place.keys["limited"] if hears == "key" else mint(hears)
    c = stream(place, token).hello()
    asks = stream(place, token, query="?channels=board.22").hello()
    one, twenty_two, _, _, _, everybody = says(place, *ALL)
    for client, want in ((c, [one, everybody]), (asks, [one, twenty_two, everybody])):
        client.read_until(lambda client=client: everybody in heard(client), "the last one")
        assert heard(client) == want
    assert answer(place, token, query="?channels=board.3") == 403  # the role may, the credential may not
    assert answer(place, token, query="?channels=secret") == 403   # the other way round
    # back again from memory, and from the journal
    for _ in range(2):
        at = next(f.id for f in asks.frames if f.id and f.json and f.json.get("data", {}) == {"n": one})
        back = stream(place, token, query="?channels=board.22", **{"Last-Event-ID": at}).hello()
        back.read_until(lambda back=back: everybody in heard(back), "what was missed")
        assert heard(back) == [twenty_two, everybody]
        says(place, *["news"] * 8)  # out of the ring


def test_who_has_no_claim(place):
    for hears in (None, [], ""):
        c = stream(place, mint(hears)).hello()
        everybody = says(place, *ALL)[-1]
        c.read_until(lambda c=c, n=everybody: n in heard(c), "what everybody hears")
        assert heard(c) == [everybody]
        assert answer(place, mint(hears), query="?channels=news") == 403
    # a line that says nothing: as its role
    assert answer(place, place.keys["free"], query="?channels=news,board.7") == 200


@pytest.mark.parametrize("hears", [["a/b"], [1], {"a": 1}, 7, True, None, ["x"] * 33, ["a*b"], ["#a"], [["a"]]])
def test_claims_that_are_none(place, hears):
    token = jwt.encode({"sub": "anna", "role": "foreman", "exp": int(time.time()) + 60,
                        CLAIM: {"hears": hears}}, SECRET, "HS256")
    assert answer(place, token) == 401


def test_a_route_with_channels(place):
    token = mint(["board.1", "news"])
    c = stream(place, token, "/board/1/").hello()
    one, *_, everybody = says(place, *ALL)
    c.read_until(lambda: everybody in heard(c), "the last one")
    assert heard(c) == [one, everybody]  # not the news: the route leads to its own
    assert answer(place, token, "/board/3/") == 403


def test_a_websocket_and_its_renewal(place):
    c = WebSocket(place.daemon, mint(["board.1", "board.2*"])).hello()
    c.ask({"action": "subscribe", "data": {"channels": ["board.3"]}, "request_id": 1})
    c.ask({"action": "subscribe", "data": {"channels": ["board.22"]}, "request_id": 2})

    def answers():
        return {m["request_id"]: m for m in c.messages() if "request_id" in m}
    c.read_until(lambda: 2 in answers(), "two answers")
    assert answers()[1]["data"]["type"] == "forbidden"
    assert answers()[2]["data"]["channels"] == ["board.1", "board.22"]
    # another one, which brings along something else: what was asked for stays, if it may
    c.ask({"action": "renew", "data": {"token": mint(["board.3", "board.2*"])}, "request_id": 3})
    c.read_until(lambda: 3 in answers(), "renewed")
    place.daemon.wait_log("stream has other channels")
    _, twenty_two, three, *_, everybody = says(place, *ALL)
    c.read_until(lambda: everybody in heard(c), "the last one")
    assert heard(c) == [twenty_two, three, everybody]
    # one that may not hear what was asked for ends it
    size = place.daemon.log_size()
    c.ask({"action": "renew", "data": {"token": mint(["board.3"])}, "request_id": 4})
    c.wait_end()
    place.daemon.wait_log("credential may not hear its channels any more", size)


def test_a_renewal_by_post(place):
    c = stream(place, mint(["board.1"], seconds=50)).hello()
    c.read_until(lambda: [m for m in c.messages() if m["event"] == "system.expiring"], "a notice")
    name = next(m for m in c.messages() if m["event"] == "system.expiring")["data"]["stream"]
    conn = http.client.HTTPConnection(*place.daemon.address, timeout=60)
    size = place.daemon.log_size()
    conn.request("POST", f"/auth/renew?stream={name}",
                 headers={"Authorization": "Bearer " + mint(["news"])})
    assert conn.getresponse().status == 200
    place.daemon.wait_log("stream has other channels", size)
    _, _, _, news, _, everybody = says(place, *ALL)
    c.read_until(lambda: everybody in heard(c), "the last one")
    assert heard(c) == [news, everybody]


def test_a_file_with_channels_that_are_none(place, tmp_path):
    keys = tmp_path / "keys"
    line = (place.install.conf.parent / "keys").read_text().split("\n")[0]
    for channels in ("a/b", "a*b", ",".join(f"c{i}" for i in range(33))):
        keys.write_text(line.replace("channels=board.1,board.2*,secret", "channels=" + channels))
        keys.chmod(0o600)
        conf = tmp_path / "x.conf"
        conf.write_text(place.install.conf.read_text().replace(
            f"key_file = {place.install.conf.parent}/keys", f"key_file = {keys}"))
        done = run_pgherald("-c", conf, "-t")
        assert done.returncode != 0 and "line 1 has channels that are none" in done.stderr, done.stderr
    done = run_pgherald("token", "key", "--user", "a", "--channels", "a/b")
    assert done.returncode != 0 and "--channels is" in done.stderr
