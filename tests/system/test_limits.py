# SPDX-License-Identifier: PostgreSQL
"""Limits of a route: from where one may come, how many streams there may be, how often one opens. What
each kind of client is told, and what is counted."""

import contextlib
import http.client
import json
import random
import re
import socket

import pytest
from conftest import Served
from lib.daemon import EVENTS, STATS, Answer, Client, Lines, Parser, wait_until
from lib.websocket import Messages, WebSocket

ROUTES = """
[route events]
path = /api/v1/sse/events/
[route inside]
path = /inside/
allow_ips = 10.0.0.0/8, 192.168.1.0/24, 2001:db8::/32
[route page]
path = /page/
kind = page
opens = inside
allow_ips = 10.0.0.0/8
[route few]
path = /few/
max_streams = 3
retry = 1s
[route home]
path = /home/
max_streams_per_address = 2
[route slow]
path = /slow/
opens_per_address = 4
[route calm]
path = /calm/
opens_per_user = 3
[route stats]
path = /api/v1/sse/stats/
kind = stats
"""


@pytest.fixture
def limits(installed, tmp_path):
    served = Served(installed, tmp_path)
    installed.conf.write_text(installed.conf.read_text().replace(
        "[server]\n", "[server]\ntrusted_proxies = 127.0.0.2\ndeveloper = yes\n") + ROUTES)
    served.daemon.start().wait_ready()
    yield served
    served.daemon.kill()


def stream(served, path=EVENTS, token=None, source=None, **headers):
    return Client(served.daemon, None, path=path, source=source and (source, 0),
                  headers={"Authorization": "Token " + (token or served.boss)} | headers)


def answer(served, path, **kw):
    client = stream(served, path, **kw)
    client.read_until(lambda: client.headers is not None, "an answer")
    if client.status != 200 or "Accept" in kw:  # what is over at once
        client.wait_end()
    client.close()
    return client


def refused(served):
    _, _, body = served.daemon.get(STATS, served.boss)
    return json.loads(body).get("refused", {})


def test_from_where(limits):
    for peer, status in (("127.0.0.1", 403), ("127.0.0.3", 403)):
        assert answer(limits, "/inside/", source=peer).status == status
    for client, status in (("10.1.2.3", 200), ("192.168.1.7", 200), ("2001:db8:1::7", 200), ("::ffff:10.9.9.9", 200),
                           ("192.168.2.7", 403), ("11.0.0.1", 403), ("2001:db9::1", 403), ("10.0.0.1, 11.0.0.1", 403),
                           ("rubbish", 403), ("", 403), ("127.0.0.2", 403)):
        got = answer(limits, "/inside/", source="127.0.0.2", **{"X-Forwarded-For": client})
        assert got.status == status, client
    # a page that is for everybody else is as well
    for client, status in (("11.0.0.1", 403), ("10.0.0.1", 200)):
        c = http.client.HTTPConnection(*limits.daemon.address, timeout=30, source_address=("127.0.0.2", 0))
        c.request("GET", "/page/", headers={"X-Forwarded-For": client})
        assert c.getresponse().status == status
        c.close()
    # who is not a listed proxy says nothing about himself
    assert answer(limits, "/inside/", source="127.0.0.3", **{"X-Forwarded-For": "10.1.2.3"}).status == 403
    # whatever the credential is: nothing is tried there
    assert answer(limits, "/inside/", token="nobody").status == 403
    assert refused(limits)["allow_ips"] >= 9
    assert answer(limits, EVENTS).status == 200


def test_a_reload_that_keeps_an_address_out(limits):
    """Whose address may not come in any more does not stay either, over whichever transport; the others do."""
    def through(client, path="/inside/", transport="sse", **kw):
        parser = {"sse": Parser, "ndjson": Lines, "poll": Answer, "websocket": Messages}[transport]()
        where = {"source": ("127.0.0.2", 0)} if client else {"source": ("127.0.0.9", 0)}
        headers = {"Authorization": "Token " + limits.boss} | ({"X-Forwarded-For": client} if client else {})
        c = Client(limits.daemon, None, path=path, parser=parser, headers=headers, extra_query="transport=" + transport,
                   **where, **kw)
        return c.read_until(lambda: c.status in (101, 200) and (transport == "poll" or c.frames), "it has begun")

    def reload(old, new):
        limits.configure(old, new)
        size = limits.daemon.log_size()
        limits.daemon.signal(1)
        limits.daemon.wait_log("reloaded", size)
        return size

    out = [through("192.168.1.7", transport=t) for t in ("sse", "ndjson", "websocket", "poll")]
    out += [through("2001:db8::2"), through("2001:db8:1::1", transport="websocket")]
    stay = [through("10.1.2.3"), through("10.255.0.1", transport="websocket"), through("2001:db8::1"),
            through("192.168.1.7", path=EVENTS)]
    size = reload("allow_ips = 10.0.0.0/8, 192.168.1.0/24, 2001:db8::/32", "allow_ips = 10.0.0.0/8, 2001:db8::1")
    for client in out:
        client.wait_end()
    assert limits.daemon.log(size).count("its address may not use this route any more") == len(out)
    # a route that had no such list; and a client that turns out to be a proxy, which says of nobody who he is
    out = [through("11.0.0.1", path="/home/"), through(None, path="/home/", transport="websocket")]
    stay += [through("10.4.4.4", path="/home/"), through(None, path="/calm/")]
    reload("path = /home/\n", "path = /home/\nallow_ips = 10.0.0.0/8\n")
    for client in out:
        client.wait_end()
    out = [through("127.0.0.9", path="/slow/")]
    reload("path = /slow/\n", "path = /slow/\nallow_ips = 127.0.0.9\n")
    assert not out[0].ended
    reload("trusted_proxies = 127.0.0.2", "trusted_proxies = 127.0.0.2, 127.0.0.9")
    out[0].wait_end()
    limits.db.run("UPDATE api_project SET name = name || '.' WHERE id = 10")
    for client in stay:
        client.wait_message("project.updated", project_id=10)
        client.close()
    assert len(re.findall("stream closed.*its address", limits.daemon.log(size))) == 9


def test_a_unix_socket_that_is_kept_out(limits, tmp_path):
    (tmp_path / "sockets").mkdir()
    (tmp_path / "sockets").chmod(0o777)  # the daemon may be another user
    sock = str(tmp_path / "sockets" / "http.sock")
    limits.daemon.stop()
    limits.configure("listen = ", f"listen = unix:{sock}, ")
    limits.configure("allow_ips = 10.0.0.0/8", "allow_ips = unix:, 10.0.0.0/8")
    limits.daemon.start().wait_ready()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(sock)
        s.sendall(f"GET /inside/ HTTP/1.0\r\nAuthorization: Token {limits.boss}\r\n\r\n".encode())
        got = b""
        while b"connected" not in got:
            got += s.recv(4096)
        limits.configure("allow_ips = unix:, ", "allow_ips = ")
        limits.daemon.signal(1)
        while s.recv(4096):
            pass


def test_a_reload_while_it_is_looked_up(limits):
    """Who was let in by what stood there when he came, and is gone when it is known who he is, does not stay."""
    text = limits.install.conf.read_text()
    for old, new, why in (("[route home]\npath = /home/", "[route other]\npath = /other/", "its route is gone"),
                          ("path = /home/\n", "path = /home/\nallow_ips = 10.0.0.0/8\n", "its address may not"),
                          ("path = /home/\n", "path = /home/\nroles = foreman\n", "ole may not use this r")):
        size = limits.daemon.log_size()
        migration = limits.db.connect(autocommit=False)
        migration.cursor().execute("LOCK TABLE authtoken_token IN ACCESS EXCLUSIVE MODE")
        client = stream(limits, "/home/")
        wait_until(lambda: limits.db.one("SELECT count(*) FROM pg_locks WHERE NOT granted"), "he is being looked up")
        limits.configure(old, new)
        limits.daemon.signal(1)
        limits.daemon.wait_log("configuration reloaded", size)
        migration.rollback()
        migration.close()
        client.wait_end()
        if client.status == 200:
            limits.daemon.wait_log(why, size)
        else:
            assert why in client.raw_body.decode()
        limits.install.conf.write_text(text)
        limits.daemon.signal(1)
        limits.daemon.wait_log("configuration reloaded(.|\n)*configuration reloaded", size)


def test_streams_of_a_route(limits):
    held = [stream(limits, "/few/", token=t).hello() for t in (limits.boss, limits.anna, limits.boris)]
    over = answer(limits, "/few/")
    assert over.status == 503 and int(over.headers["Retry-After"]) >= 1
    assert json.loads(over.raw_body)["code"] == "max_streams"
    source = answer(limits, "/few/", Accept="text/event-stream")
    assert source.status == 200 and re.search(rb"retry: (1|2)\d{3}\n", source.raw_body), source.raw_body
    talks = WebSocket(limits.daemon, limits.boss, path="/few/", by_query=False)
    talks.wait_end()
    assert talks.status == 503 and "Retry-After" in talks.headers  # before it is upgraded
    assert answer(limits, EVENTS).status == 200  # another route has its own
    held.pop().close()
    wait_until(lambda: answer(limits, "/few/").status == 200, "a place is free")
    assert refused(limits)["max_streams"] >= 2


def test_streams_of_an_address(limits):
    held = [stream(limits, "/home/", token=t, source="127.0.0.5").hello() for t in (limits.boss, limits.anna)]
    over = answer(limits, "/home/", source="127.0.0.5")
    assert over.status == 429 and "Retry-After" in over.headers
    assert json.loads(over.raw_body)["code"] == "max_streams_per_address"
    assert answer(limits, "/home/", source="127.0.0.6").status == 200
    for i in range(3):  # behind a listed proxy each client is counted alone
        held.append(stream(limits, "/home/", source="127.0.0.2", **{"X-Forwarded-For": f"10.0.0.{i}"}).hello())
    held.append(stream(limits, "/home/", source="127.0.0.2", **{"X-Forwarded-For": "2001:db8::1"}).hello())
    held.append(stream(limits, "/home/", source="127.0.0.2", **{"X-Forwarded-For": "2001:db8::2"}).hello())
    got = answer(limits, "/home/", source="127.0.0.2", **{"X-Forwarded-For": "2001:db8::3"})
    assert got.status == 429  # one network of 64 bits is one client
    held[0].close()
    wait_until(lambda: answer(limits, "/home/", source="127.0.0.5").status == 200, "a place is free")


def test_streams_of_nobody_in_particular(limits):
    """Who has a network of 64 bits to number himself in is one where everybody comes in, as he is elsewhere."""
    limits.daemon.stop()
    limits.configure("[server]\n", "[server]\nmax_streams_per_user = 2\n")
    limits.install.conf.write_text(limits.install.conf.read_text() + "[auth board]\npreset = none\nrole = manager\n"
                                   "[route board]\npath = /board/\nauth = board\n")
    limits.daemon.start().wait_ready()

    def come(client):
        c = Client(limits.daemon, None, path="/board/", source=("127.0.0.2", 0), headers={"X-Forwarded-For": client})
        return c.read_until(lambda: c.headers is not None, "an answer")

    held = [come(f"2001:db8::{n}") for n in range(1, 3)] + [come("10.0.0.1"), come("10.0.0.2"), come("2001:db8:0:1::1")]
    assert [c.status for c in held] == [200] * 5
    assert come("2001:db8::3").status == 429
    limits.daemon.wait_log("user=anonymous@2001:db8:: role=manager route=board peer=2001:db8::1")
    held += [come("::1"), come("::1")]  # this machine is not others of such a network
    assert come("::1").status == 429
    assert "user=anonymous@::1 role" in limits.daemon.log()


def test_opens_of_an_address(limits):
    got = [answer(limits, "/slow/", source="127.0.0.7") for _ in range(5)]
    assert [a.status for a in got] == [200] * 4 + [429]
    assert 10 <= int(got[4].headers["Retry-After"]) <= 16
    assert json.loads(got[4].raw_body)["code"] == "opens_per_address"
    assert answer(limits, "/slow/", token="nobody", source="127.0.0.7").status == 429  # before a look-up
    source = answer(limits, "/slow/", source="127.0.0.7", Accept="text/event-stream")
    assert source.status == 200 and int(re.search(rb"retry: (\d+)", source.raw_body)[1]) >= 10000
    assert answer(limits, "/slow/", source="127.0.0.8").status == 200
    assert refused(limits)["opens_per_address"] == 3
    limits.daemon.wait_log("opens_per_address")


def test_opens_of_a_user(limits):
    got = [answer(limits, "/calm/", token=limits.anna, source=f"127.0.0.{i}") for i in range(10, 14)]
    assert [a.status for a in got] == [200] * 3 + [429]
    assert json.loads(got[3].raw_body)["code"] == "opens_per_user"
    assert answer(limits, "/calm/", token=limits.boris).status == 200


def test_a_reload_changes_them(limits):
    held = [stream(limits, "/few/").hello() for _ in range(3)]
    limits.configure("max_streams = 3", "max_streams = 4")
    size = limits.daemon.log_size()
    limits.daemon.signal(1)
    limits.daemon.wait_log("reloaded", size)
    held.append(stream(limits, "/few/").hello())
    assert answer(limits, "/few/").status == 503
    limits.configure("max_streams = 4\n", "")
    size = limits.daemon.log_size()
    limits.daemon.signal(1)
    limits.daemon.wait_log("reloaded", size)
    held.append(stream(limits, "/few/").hello())
    for client in held:
        client.close()
    wait_until(lambda: json.loads(limits.daemon.get(STATS, limits.boss)[2])["total_connections"] == 0, "all gone")


def test_no_place_is_left_taken(limits):
    """Streams of every kind come and go, change what they hear, and end by their client, by a reload, with their user's
    rights and with the daemon, while limits and routes come and go: at its stop the daemon holds that all places are free."""
    rng = random.Random(16)
    limits.db.run("UPDATE api_user SET role = 'manager'")
    text = limits.install.conf.read_text().replace("receives = all\n", "receives = all\nchannels = *\n")
    bounds = ("max_streams", "max_streams_per_address", "max_streams_per_channel")
    parsers = {"sse": Parser, "ndjson": Lines, "poll": Answer, "websocket": Messages}
    clients = []

    def route(name):
        return f"[route {name}]\npath = /{name}/\n" + "".join(
            f"{bound} = {rng.choice((1, 3, 50))}\n" for bound in bounds if rng.random() < 0.6)

    def configure():
        names = [name for name in ("one", "two", "three") if rng.random() < 0.8]
        limits.install.conf.write_text(text + "".join(map(route, names)))
        size = limits.daemon.log_size()
        limits.daemon.signal(1)
        limits.daemon.wait_log("reloaded", size)

    def come():
        transport, channels = rng.choice(list(parsers)), rng.sample(["a", "b", "c"], rng.randrange(3))
        query = f"transport={transport}" + ("&channels=" + ",".join(channels) if channels else "")
        kind = WebSocket if transport == "websocket" else Client
        more = {} if kind is WebSocket else {"parser": parsers[transport]()}
        clients.append(kind(limits.daemon, rng.choice((limits.boss, limits.anna)), extra_query=query, by_query=True,
                            path=rng.choice(("/one/", "/two/", "/three/", "/home/")), source=("127.0.0.9", 0), **more))

    def change():
        c = rng.choice(clients)
        if isinstance(c, WebSocket) and not c.ended:
            with contextlib.suppress(OSError):
                c.ask({"action": rng.choice(("subscribe", "unsubscribe")), "data": {"channel": rng.choice("abcd")}})

    configure()
    for n in range(300):
        what = rng.random()
        if what < 0.45 or not clients:
            come()
        elif what < 0.65:
            change()
        elif what < 0.95:
            clients.pop(rng.randrange(len(clients))).close()
        elif what < 0.98:
            configure()
        else:
            limits.db.run("UPDATE api_user SET is_active = NOT is_active WHERE id = 2")
    limits.install.conf.write_text(text + "[route one]\npath = /one/\nmax_streams = 2\n")
    for client in clients[::2]:
        client.close()
    size = limits.daemon.log_size()
    limits.daemon.signal(1)
    limits.daemon.wait_log("reloaded", size)
    limits.daemon.stop()
