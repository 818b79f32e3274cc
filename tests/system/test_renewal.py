# SPDX-License-Identifier: PostgreSQL
"""A stream is told that its credential ends, and goes on with another one of the same user. Rechecks are
an hour apart."""

import http.client
import json
import subprocess
import sys
import threading
import time

import pytest
from conftest import HERE, PGHERALD, Served
from lib.daemon import EVENTS, Client, wait_until
from lib.websocket import WebSocket

SECRET = "a secret of more than thirty-two bytes"
DOORS = """
[auth jwt]
preset = jwt
key_file = {dir}/secret
user_table = public.api_user
places = authorization, query, cookie:access

[route events]
path = /api/v1/sse/events/
auth = jwt, drf
[route lines]
path = /lines/
auth = jwt
[route renew]
path = /auth/renew
kind = renew
auth = jwt, drf
[route stats]
path = /api/v1/sse/stats/
kind = stats
auth = drf
"""


@pytest.fixture
def doors(install, tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "secret").chmod(0o600)
    install.conf.write_text(
        install.conf.read_text().replace("[database]\n", "[database]\nrecheck = 1h\n")
        .replace("[server]\n", "[server]\nworkers = 2\n") + DOORS.replace("{dir}", str(tmp_path)))
    install.apply()
    served = Served(install, tmp_path)
    served.secret = tmp_path / "secret"
    served.daemon.start().wait_ready()
    yield served
    served.daemon.kill()


def mint(served, user=2, seconds=3600):
    return subprocess.run([PGHERALD, "token", "jwt", "--key-file", served.secret, "--user", str(user),
                           "--expires", f"{seconds}s"], capture_output=True, text=True, check=True).stdout.strip()


def stream(served, token, path=EVENTS, scheme="Bearer", **headers):
    return Client(served.daemon, None, path=path, headers={"Authorization": f"{scheme} {token}"} | headers)


def notice(client):
    client.read_until(lambda: [m for m in client.messages() if m["event"] == "system.expiring"], "a notice")
    return next(m for m in client.messages() if m["event"] == "system.expiring")["data"]


def renew(served, name, token=None, scheme="Bearer", method="POST", path=None, **headers):
    c = http.client.HTTPConnection(*served.daemon.address, timeout=60)
    try:
        if token:
            headers["Authorization"] = f"{scheme} {token}"
        c.request(method, path or f"/auth/renew?stream={name}", headers=headers)
        r = c.getresponse()
        return r.status, json.loads(r.read())
    finally:
        c.close()


def estimate(served, foreman):
    return served.db.one("INSERT INTO api_estimate (number, project_id, foreman_id)"
                         " VALUES ('n', 10, %s) RETURNING id", (foreman,))


def test_goes_on(doors):
    end = time.time() + 4
    clients = [stream(doors, mint(doors, seconds=4)).hello() for _ in range(4)]  # of both workers
    other = stream(doors, mint(doors, seconds=4)).hello()
    for client in clients:
        told = notice(client)
        assert 0 < told["seconds"] <= 5
        status, answer = renew(doors, told["stream"], mint(doors))
        assert status == 200 and answer["stream"] == told["stream"] and 3590 < answer["expires_in"] <= 3600, answer
    other.wait_end()  # who does not renew ends in that second
    assert time.time() >= end - 1
    wait_until(lambda: time.time() > end + 2, "its first end")
    mine = estimate(doors, 2)
    for client in clients:
        client.wait_message("estimate.created", estimate_id=mine)
    # and it lives by the new one
    size = doors.daemon.log_size()
    doors.db.run("UPDATE api_user SET is_active = false WHERE id = 2")
    for client in clients:
        client.wait_end()
    doors.daemon.wait_log("user is not active any more", size)


def test_by_another_door(doors):
    client = stream(doors, mint(doors, seconds=20)).hello()
    status, answer = renew(doors, notice(client)["stream"], doors.anna, "Token")
    assert status == 200 and answer["expires_in"] is None
    client.wait_message("estimate.created", estimate_id=estimate(doors, 2))
    doors.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    client.wait_end()


def test_told_again(doors):
    client = stream(doors, mint(doors, seconds=20)).hello()
    first = notice(client)
    assert renew(doors, first["stream"], mint(doors, seconds=40))[0] == 200
    client.read_until(lambda: len([m for m in client.messages() if m["event"] == "system.expiring"]) == 2,
                      "a second notice")
    assert client.messages()[-1]["data"]["seconds"] > 20


def test_refused(doors):
    client = stream(doors, mint(doors, seconds=20)).hello()
    lines = stream(doors, mint(doors, seconds=20), path="/lines/").hello()
    name, of_lines = notice(client)["stream"], notice(lines)["stream"]
    assert renew(doors, name, mint(doors, user=1))[0] == 404      # another user's, whatever he may
    assert renew(doors, of_lines, doors.anna, "Token")[0] == 404  # no door of its route
    for wrong in ("0.999", "9.1", "0", "0.", ".1", "-1.1", "0.1.1", "0.18446744073709551616", "x", "",
                  "18446744073709551615.1"):
        assert renew(doors, wrong, mint(doors))[0] == 404, wrong
    assert renew(doors, name)[0] == 401
    assert renew(doors, name, "a.b.c")[0] == 401
    assert renew(doors, name, mint(doors, user=999))[0] == 401
    assert renew(doors, name, mint(doors), method="GET")[0] == 405
    assert renew(doors, name, mint(doors), path="/auth/renew")[0] == 400
    assert renew(doors, name, mint(doors), path=f"/auth/renew?stream={name}&stream={name}")[0] == 400
    cookie = {"Cookie": "access=" + mint(doors)}
    assert renew(doors, name, **cookie)[0] == 403
    assert renew(doors, name, Origin="https://evil.example", **cookie)[0] == 403
    assert renew(doors, name, Origin="http://%s:%s" % doors.daemon.address, **cookie)[0] == 200
    client.wait_message("estimate.created", estimate_id=estimate(doors, 2))


def test_what_does_not_end_is_told_nothing(doors):
    client = stream(doors, doors.anna, scheme="Token").hello()
    late = stream(doors, mint(doors)).hello()
    mine = estimate(doors, 2)
    for c in (client, late):
        c.wait_message("estimate.created", estimate_id=mine)
        assert [m["event"] for m in c.messages()] == ["estimate.created"]


def test_over_the_websocket(doors):
    c = WebSocket(doors.daemon, mint(doors, seconds=4)).hello()
    end = time.time() + 4
    assert 0 < notice(c)["seconds"] <= 5

    def ask(token):
        n = len([m for m in c.messages() if m["event"] in ("system.renewed", "system.error")])
        c.ask({"action": "renew", "data": {"token": token}, "request_id": "r"})
        c.read_until(lambda: len([m for m in c.messages() if m["event"] in ("system.renewed", "system.error")]) > n)
        return [m for m in c.messages() if m["event"] in ("system.renewed", "system.error")][n]

    for bad in (mint(doors, user=1), mint(doors, user=999), "a.b.c", doors.boss):
        answer = ask(bad)
        assert answer["event"] == "system.error" and answer["data"]["type"] == "invalid_token", bad
        assert answer["request_id"] == "r"
    answer = ask(mint(doors, seconds=600))
    assert answer["event"] == "system.renewed" and 590 < answer["data"]["expires_in"] <= 600
    wait_until(lambda: time.time() > end + 2, "its first end")
    c.wait_message("estimate.created", estimate_id=estimate(doors, 2))
    answer = ask(doors.anna)  # by another door
    assert answer["event"] == "system.renewed" and answer["data"]["expires_in"] is None
    doors.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    c.wait_end()


def test_by_a_key_that_has_come_since(doors, tmp_path):
    """Over the WebSocket as by a request: it is for whichever door takes it now."""
    def made():
        line, key = subprocess.run([PGHERALD, "token", "key", "--user", "2"], capture_output=True, text=True,
                                   check=True).stdout.splitlines()
        return line + "\n", key

    keys = tmp_path / "keys"
    keys.write_text(made()[0])
    keys.chmod(0o600)
    doors.daemon.stop()
    doors.configure("[route events]\npath = /api/v1/sse/events/\nauth = jwt, drf", "[auth keys]\npreset = apikey\n"
                    f"key_file = {keys}\nuser_table = public.api_user\n"
                    "[route events]\npath = /api/v1/sse/events/\nauth = jwt, keys, drf")
    doors.install.apply()
    doors.daemon.start().wait_ready()
    c = WebSocket(doors.daemon, mint(doors)).hello()
    line, key = made()
    keys.write_text(keys.read_text() + line)
    size = doors.daemon.log_size()
    doors.daemon.signal(1)
    doors.daemon.wait_log("reloaded", size)

    def answers():
        return [m["event"] for m in c.messages() if m["event"] in ("system.renewed", "system.error")]

    def renewed():  # its worker hears of the file some time after the log does
        before = len(answers())
        c.ask({"action": "renew", "data": {"token": key}})
        c.read_until(lambda: len(answers()) > before)
        return answers()[-1] == "system.renewed"
    wait_until(renewed, c.messages)


def test_guesses_over_the_websocket_are_counted(doors):
    doors.configure("[server]\n", "[server]\nauth_failures = 3\n")
    doors.daemon.stop()
    doors.daemon.start().wait_ready()
    c = WebSocket(doors.daemon, mint(doors, seconds=600)).hello()
    for n in range(4):
        c.ask({"action": "renew", "data": {"token": f"guess-{n}"}})
        c.read_until(lambda n=n: len([m for m in c.messages() if m["event"] == "system.error"]) > n)
    types = [m["data"]["type"] for m in c.messages() if m["event"] == "system.error"]
    assert types == ["invalid_token"] * 3 + ["too_many"], types


@pytest.mark.parametrize("via", ["sse", "ndjson", "websocket"])
def test_the_client_for_python_renews_by_itself(doors, via):
    """Told that its token ends it hands over another one: the stream goes on beyond the first one's end."""
    sys.path.insert(0, str(HERE.parents[1] / "clients" / "python" / "src"))
    pytest.importorskip("httpx", reason="not installed: httpx")
    from pgherald import Herald

    reasons, got = [], []

    def token(reason):
        reasons.append(reason)
        return mint(doors, seconds=4 if reason == "start" else 3600)

    herald = Herald("http://%s:%d%s" % (*doors.daemon.address, EVENTS), token=token, renew="/auth/renew", via=via)
    reader = threading.Thread(target=lambda: [got.append(e) for e in herald.events()], daemon=True)
    end = time.time() + 4
    reader.start()
    doors.daemon.wait_log("stream renewed")
    wait_until(lambda: time.time() > end + 1, "its first end")
    mine = estimate(doors, 2)
    wait_until(lambda: [e.data["estimate_id"] for e in got if e.type == "estimate.created"] == [mine], "the event")
    assert reasons == ["start", "expired"] and herald.status.state == "open"
    assert doors.daemon.log().count("stream opened") == 1
    herald.close()
    estimate(doors, 2)
    reader.join(30)
    assert not reader.is_alive()


def test_told_a_minute_before(doors):
    """Not earlier; and who polls hears it with his answer."""
    began = time.monotonic()
    client = stream(doors, mint(doors, seconds=63)).hello()
    said = notice(client)
    passed = time.monotonic() - began  # less than the token's 63 s by what whole seconds round away, twice
    assert 30 <= said["seconds"] <= 60 and passed > 0.9, (said, passed)
    def poll(seconds):
        token = mint(doors, seconds=seconds)
        path = f"{EVENTS}?transport=poll&last_event_id={first}"
        status, _, body = doors.daemon.request("GET", path, {"Authorization": "Bearer " + token})
        assert status == 200, body
        return json.loads(body)
    first = client.last_id
    doors.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('n', 10, 2)")
    assert 30 <= poll(40)["expires_in"] <= 40
    assert "expires_in" not in poll(3600)
    client.close()
