# SPDX-License-Identifier: PostgreSQL
"""Tickets: a name for the URL that is good once, for 30 s and one route, at every daemon of the
database. Rechecks are an hour apart."""

import base64
import http.client
import json
import re
import threading

import pytest
from conftest import PGHERALD, Served, run_pgherald
from lib.daemon import EVENTS, Client, Daemon
from lib.websocket import WebSocket

DOORS = """
[auth ticket]
preset = ticket

[auth page]
preset = custom
places = cookie:access
user_table = public.api_user

[route events]
path = /api/v1/sse/events/
auth = ticket, page, drf
query_token = yes
[route other]
path = /other/
auth = ticket, drf
[route ticket]
path = /auth/ticket
kind = ticket
opens = events
auth = page, drf
[route few]
path = /auth/few
kind = ticket
opens = events
auth = drf
opens_per_user = 3
[route stats]
path = /api/v1/sse/stats/
kind = stats
auth = drf
"""


@pytest.fixture
def doors(install, tmp_path):
    install.conf.write_text(
        install.conf.read_text().replace("[database]\n", "[database]\nrecheck = 1h\n") + DOORS)
    install.apply()
    served = Served(install, tmp_path)
    served.daemon.start().wait_ready()
    yield served
    served.daemon.kill()


def ask(served, headers=None, daemon=None, method="POST", path="/auth/ticket", body=None):
    """(status, headers, JSON)"""
    c = http.client.HTTPConnection(*(daemon or served.daemon).address, timeout=60)
    try:
        c.request(method, path, body=body,
                  headers={"Authorization": "Token " + served.anna} if headers is None else headers)
        r = c.getresponse()
        return r.status, r.headers, json.loads(r.read() or b"null")
    finally:
        c.close()


def ticket(served, **kw):
    status, headers, answer = ask(served, **kw)
    assert status == 201, answer
    assert answer["expires_in"] == 30 and answer["path"] == EVENTS and "no-store" in headers["Cache-Control"]
    return answer["ticket"]


def stream(served, name, path=EVENTS, daemon=None):
    return Client(daemon or served.daemon, None, path=f"{path}?token={name}", headers={})


def status(served, name, **kw):
    client = stream(served, name, **kw)
    client.read_until(lambda: client.headers is not None, "an answer")
    client.close()
    return client.status


def estimate(served, foreman):
    return served.db.one("INSERT INTO api_estimate (number, project_id, foreman_id)"
                         " VALUES ('n', 10, %s) RETURNING id", (foreman,))


def test_once(doors):
    name = ticket(doors)
    anna = stream(doors, name).hello()
    estimate(doors, 3)
    mine = estimate(doors, 2)
    anna.wait_message("estimate.created", estimate_id=mine)
    assert len(anna.messages()) == 1
    assert status(doors, name) == 401
    assert doors.db.one("SELECT count(*) FROM pgherald.ticket") == 0
    for scheme in ("Token", "Bearer"):
        Client(doors.daemon, None, headers={"Authorization": f"{scheme} {ticket(doors)}"}).hello()
    assert name not in doors.daemon.log() and doors.anna not in doors.daemon.log()


def test_over_the_websocket(doors):
    name = ticket(doors)
    anna = WebSocket(doors.daemon, name).hello()
    anna.wait_message("estimate.created", estimate_id=estimate(doors, 2))
    again = WebSocket(doors.daemon, name)
    again.read_until(lambda: again.headers is not None)
    assert again.status == 401


def test_the_stream_lives_as_long_as_the_credential(doors):
    anna = stream(doors, ticket(doors)).hello()
    size = doors.daemon.log_size()
    doors.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    anna.wait_end()
    doors.daemon.wait_log("token is not valid any more", size)
    # and so does one that has not been used
    name = ticket(doors, headers={"Authorization": "Token " + doors.boris})
    doors.db.run("DELETE FROM authtoken_token WHERE user_id = 3")
    assert status(doors, name) == 401


def test_two_daemons_asked_at_once(doors, tmp_path):
    conf = tmp_path / "other.conf"
    conf.write_text(re.sub("listen = .*", "listen = 127.0.0.1:0", doors.install.conf.read_text(), count=1))
    other = Daemon(PGHERALD, conf, tmp_path / "other.log")
    other.start().wait_ready()
    try:
        for _ in range(10):
            name, answers = ticket(doors), []
            ready = threading.Barrier(4)

            def come(daemon, name=name, answers=answers, ready=ready):
                ready.wait()
                answers.append(status(doors, name, daemon=daemon))

            threads = [threading.Thread(target=come, args=(d,)) for d in (doors.daemon, other) * 2]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert sorted(answers) == [200, 401, 401, 401]
        assert status(doors, ticket(doors), daemon=other) == 200
    finally:
        other.kill()


def test_for_one_route_and_for_so_long(doors):
    name = ticket(doors)
    assert status(doors, name, path="/other/") == 401
    assert status(doors, name) == 200
    name = ticket(doors)
    doors.db.run("UPDATE pgherald.ticket SET ends = now()")
    assert status(doors, name) == 401
    ticket(doors)  # which throws the old one away
    assert doors.db.one("SELECT count(*) FROM pgherald.ticket") == 1
    assert doors.db.one("SELECT ends - now() BETWEEN '20 s' AND '30 s' FROM pgherald.ticket")


def test_a_restart_and_a_reload_come_between(doors):
    """What was given is good at the next process, and by the configuration of then."""
    name, other, third = ticket(doors), ticket(doors), ticket(doors)
    doors.daemon.stop()
    doors.daemon.start().wait_ready()
    stream(doors, name).hello()
    assert status(doors, name) == 401
    text = doors.install.conf.read_text()
    for now, answer, which in ((text.replace("receives = own", "receives = none"), 403, other),
                               (text, 401, other), (text, 200, third)):
        doors.install.conf.write_text(now)
        size = doors.daemon.log_size()
        doors.daemon.signal(1)
        doors.daemon.wait_log("reloaded", size)
        assert status(doors, which) == answer


def test_forged(doors):
    name = ticket(doors)
    kept = doors.db.one("SELECT hash FROM pgherald.ticket")
    changed = name[:-1] + ("A" if name[-1] != "A" else "E")
    for wrong in (changed, "pgt_" + "A" * 43, "pgt_", kept, name[:-1], name + "A", "pgt_" + "'" * 43,
                  "pgt_" + "%22" * 43, "pgt_" + "%5C" * 43):
        assert status(doors, wrong) == 401, wrong
    # whoever can write the table, and has no ticket, makes none
    doors.db.run("UPDATE pgherald.ticket SET sealed = %s",
                 (base64.urlsafe_b64encode(b"drf\0token-boss" + b"x" * 16).rstrip(b"=").decode(),))
    assert status(doors, name) == 401
    sealed = doors.db.one("SELECT coalesce(max(sealed), '') FROM pgherald.ticket")
    assert doors.boss not in sealed


def test_who_gets_one(doors):
    for headers in ({}, {"Authorization": "Token nobody"}, {"Authorization": "Bearer a.b.c"}):
        assert ask(doors, headers)[0] == 401
    doors.db.run("UPDATE api_user SET role = 'nobody' WHERE id = 2")
    assert ask(doors)[0] == 403
    for method in ("GET", "PUT", "DELETE"):
        code, headers, _ = ask(doors, method=method)
        assert code == 405, method
    code, headers, _ = ask(doors, method="GET")
    assert headers["Allow"] == "POST, OPTIONS"
    assert ask(doors, method="POST", path=EVENTS)[0] == 405
    assert ask(doors, method="POST", path="/healthz")[0] == 405
    assert ask(doors, body="x")[0] == 413
    assert ask(doors, path="/auth/ticket?token=" + doors.boss)[0] == 401
    name = ticket(doors, headers={"Authorization": "Token " + doors.boss})
    assert ask(doors, {"Authorization": "Token " + name})[0] == 401  # none for another one


def test_a_cookie_alone_is_not_enough(doors):
    cookie = {"Cookie": "access=" + doors.anna}
    host = "%s:%s" % doors.daemon.address
    assert ask(doors, cookie)[0] == 403
    assert ask(doors, cookie | {"Sec-Fetch-Site": "same-origin"})[0] == 403
    assert ask(doors, cookie | {"Origin": "https://evil.example"})[0] == 403
    assert ask(doors, cookie | {"Origin": "null"})[0] == 403
    name = ticket(doors, headers=cookie | {"Origin": "http://" + host})
    stream(doors, name).hello()


def test_other_pages(doors):
    doors.configure("listen = ", "cors_origins = https://app.example\nlisten = ")
    size = doors.daemon.log_size()
    doors.daemon.signal(1)
    doors.daemon.wait_log("reloaded", size)
    code, headers, _ = ask(doors, {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"},
                           method="OPTIONS")
    assert code == 204 and headers["Access-Control-Allow-Methods"] == "POST, OPTIONS"


def test_check_and_uninstall(doors):
    done = doors.install.sql("check")
    assert done.returncode == 0, done.stdout + done.stderr
    ticket(doors)
    doors.install.apply()  # again, with one in it
    doors.daemon.stop()
    doors.install.apply("uninstall")
    assert doors.db.one("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgherald'") == 0


@pytest.mark.parametrize("old, new, says", [
    ("opens = events", "opens = stats", "opens must name a route of events"),
    ("opens = events", "opens = nothing", "opens must name a route of events"),
    ("auth = page, drf\n[route few", "auth = page, ticket\n[route few", "no credential to give a ticket for"),
    ("auth = ticket, page, drf", "auth = ticket, drf", "must be a door of"),
    ("auth = ticket, page, drf", "auth = drf, page, ticket", "nothing is left for"),
    ("kind = ticket\n", "", "opens is for kind = ticket"),
    ("[auth page]", "[auth second]\npreset = ticket\n[auth page]", "one is enough"),
])
def test_configuration(install, old, new, says):
    text = install.conf.read_text() + DOORS
    assert old in text
    install.conf.write_text(text.replace(old, new))
    done = run_pgherald("-c", install.conf, "-t")
    assert done.returncode == 1 and says in done.stderr, done.stderr


def test_nothing_is_installed(doors):
    doors.db.run("DROP FUNCTION pgherald.tickets_keep")
    size = doors.daemon.log_size()
    assert ask(doors)[0] == 503
    doors.daemon.wait_log("is pgherald sql install up to date", size)


def test_no_more_than_so_many_of_a_user(doors):
    for _ in range(3):
        assert ask(doors, path="/auth/few")[0] == 201
    status, headers, answer = ask(doors, path="/auth/few")
    assert (status, answer["code"]) == (429, "opens_per_user") and 1 <= int(headers["Retry-After"]) <= 20
    assert ask(doors, {"Authorization": "Token " + doors.boris}, path="/auth/few")[0] == 201  # somebody else
    assert ask(doors)[0] == 201  # another route
    assert doors.db.one("SELECT count(*) FROM pgherald.ticket") == 5  # none for who was refused


def test_no_more_than_so_many_that_nobody_uses(doors):
    """Who uses his gets others; who is refused, or whose ticket could not be kept, holds none."""
    doors.configure("[server]\n", "[server]\nmax_tickets = 4\nmax_tickets_per_user = 2\n")
    size = doors.daemon.log_size()
    doors.daemon.signal(1)
    doors.daemon.wait_log("reloaded", size)
    names = [ticket(doors) for _ in range(2)]
    status_, headers, answer = ask(doors)
    assert (status_, answer["code"]) == (429, "max_tickets_per_user") and int(headers["Retry-After"]) >= 1
    others = [{"Authorization": "Token " + t} for t in (doors.boris, doors.boss)]
    assert [ask(doors, h)[0] for h in (others[0], others[0])] == [201, 201]
    assert ask(doors, others[1])[2]["code"] == "max_tickets"
    stream(doors, names[0]).hello().close()
    assert status(doors, names[0]) == 401  # a guess frees nothing
    assert [ask(doors)[0], ask(doors)[0]] == [201, 429]
    stream(doors, names[1]).hello().close()
    doors.db.run("ALTER FUNCTION pgherald.tickets_keep RENAME TO away")
    assert [ask(doors)[0] for _ in range(3)] == [503] * 3
    doors.db.run("ALTER FUNCTION pgherald.away RENAME TO tickets_keep")
    assert [ask(doors)[0], ask(doors)[0]] == [201, 429]
    _, _, body = doors.daemon.get("/api/v1/sse/stats/", doors.boss)
    assert json.loads(body)["refused"]["max_tickets_per_user"] >= 3
