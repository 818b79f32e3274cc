# SPDX-License-Identifier: PostgreSQL
"""The same change in every dialect: the bytes that existing clients were written against, live, in what
is caught up, and when something cannot be told one by one."""

import json
import signal

import pytest

from lib.daemon import Client

ROUTES = "".join(f"""
[route {name}]
path = /{name}
keepalive = 1s
{settings}
""" for name, settings in {
    "django": "", "chat": "dialect = chat", "raw": "dialect = raw", "streaming": "dialect = streaming",
    "plain": "dialect = plain\ntxid = yes\nretry = 5s\nretry_each = yes",
    "verbatim": "dialect = raw\nids = no", "crlf": "dialect = raw\nids = no\nline_ends = crlf", "test": "dialect = raw\ntest_mode = yes",
}.items())


class Raw:
    """A parser that parses nothing."""
    def feed(self, data):
        return []


@pytest.fixture
def d(served):
    served.install.conf.write_text(served.install.conf.read_text() + ROUTES)
    return served.daemon.start().wait_ready()


def listen(d, token, dialect, transport="sse", last_id=None, **more):
    c = Client(d, token, path="/" + dialect, extra_query="transport=" + transport, parser=Raw(), last_id=last_id, **more)
    c.read_until(lambda: c.raw_body)
    assert c.status == 200, c.raw_body
    return c


def fields(block):
    return [line.partition(b": ")[::2] for line in block.split(b"\n") if line]


def events(client):
    """What a page hears of an event stream: name, data, id."""
    heard = []
    for block in client.raw_body.split(b"\n\n")[:-1]:
        said = dict(fields(block))
        if b"data" in said:
            heard.append((said.get(b"event", b"message").decode(), json.loads(said[b"data"]), said.get(b"id", b"").decode()))
    return heard


def last_position(client):
    return client.raw_body.rpartition(b"id: ")[2].partition(b"\n")[0].decode()


def lines(client):
    return [json.loads(line) for line in client.raw_body.split(b"\n")[:-1] if line]


def of(heard, kind):
    return [h for h in heard if not h[0].startswith("herald.")] if kind == "change" else [h for h in heard if h[0] == kind]


def insert(served, foreman=2):
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('7', 10, %s)", (foreman,))


def block_of(client):
    """The whole of the event that has the row, as it stands on the wire."""
    client.read_until(lambda: b'"7"' in client.raw_body and client.raw_body.partition(b'"7"')[2].count(b"\n\n") > 0)
    block = next(b for b in client.raw_body.split(b"\n\n") if b'"7"' in b).decode()
    return block.removeprefix("retry: 3000\n").split("\n")  # which ends at its line, without a greeting


def test_the_wire(served, d):
    sse = {name: listen(d, served.anna, name) for name in ("django", "chat", "raw", "streaming", "plain", "verbatim")}
    crlf = listen(d, served.anna, "crlf")
    insert(served)
    blocks = {name: block_of(c) for name, c in sse.items()}
    document = json.loads(blocks["verbatim"][0].removeprefix("data: "))
    assert document["estimate_number"] == "7" and len(blocks["verbatim"]) == 1
    assert [line.partition(": ")[0] for line in blocks["django"]] == ["data", "id"]
    for name in ("chat", "streaming"):
        assert blocks[name][0] == "event: estimate.created"
        assert blocks[name][1] == blocks["verbatim"][0] and blocks[name][2].startswith("id: ")
    assert [line.partition(": ")[0] for line in blocks["plain"]] == ["event", "data", "id", "retry"]
    assert blocks["plain"][3] == "retry: 5000"
    plain = json.loads(blocks["plain"][1].removeprefix("data: "))
    assert plain.pop("txid") > 0 and plain == document
    assert blocks["raw"] == [blocks["verbatim"][0], blocks["chat"][2]]
    crlf.read_until(lambda: b"+00:00\r\n\r\n" in crlf.raw_body)
    assert crlf.raw_body.count(b"\n") == crlf.raw_body.count(b"\r\n")
    assert blocks["verbatim"][0].encode() + b"\r\n\r\n" in crlf.raw_body and crlf.raw_body.startswith(b"retry: 3000\r\n")
    heartbeats = {"chat": b": heartbeat\n", "raw": b": ping - 20", "streaming": b": ping\n", "plain": b": hb\n",
                  "verbatim": b"+00:00\n\n"}
    for name, comment in heartbeats.items():
        sse[name].read_until(lambda name=name, comment=comment: comment in sse[name].raw_body)
    assert b"id:" not in sse["verbatim"].raw_body and b"event:" not in sse["verbatim"].raw_body


def test_objects(served, d):
    said = {name: listen(d, served.anna, name, "ndjson") for name in ("chat", "streaming", "plain", "verbatim")}
    told = {}
    insert(served)
    xid = served.db.one("SELECT max(txid) FROM pgherald.journal")
    for name, c in said.items():
        c.read_until(lambda c=c: b'"7"' in c.raw_body and c.raw_body.endswith(b"\n"))
        told[name] = next(m for m in lines(c) if '"7"' in json.dumps(m))
    document = told["verbatim"]
    assert list(told["chat"]) == ["event_type", "payload", "id"] and told["chat"]["payload"] == document
    assert list(told["streaming"]) == ["id", "type", "content"] and told["streaming"]["content"] == document
    plain = told["plain"]
    assert list(plain) == ["id", "type", "channel", "data", "ts", "txid"]
    assert plain["data"] == document and plain["channel"] is None and plain["txid"] == xid
    assert len({told[name]["id"] for name in ("chat", "streaming", "plain")}) == 1
    said["chat"].read_until(lambda: said["chat"].raw_body.count(b'"heartbeat"') > 1)
    beats = [m for m in lines(said["chat"]) if m["event_type"] == "heartbeat"]
    assert all(list(m) == ["event_type", "payload"] for m in beats) and beats[0]["payload"]["retry"] == 3000
    for name in ("chat", "streaming", "plain", "raw"):
        status, _, body = d.get(f"/{name}?transport=poll&last_event_id={beats[0]['payload']['id']}", served.anna)
        answer = json.loads(body)
        assert status == 200 and len(answer["events"]) == 2 and answer["last_event_id"]
        assert answer["events"][1] == (document if name == "raw" else told[name])
    status, _, body = d.get("/raw?transport=ndjson", served.anna)
    assert status == 406 and json.loads(body)["detail"].endswith("there are: sse, poll.")


@pytest.mark.parametrize("dialect", ["chat", "raw", "streaming", "plain"])
def test_whoever_comes_back(served, d, dialect):
    """From any place, a quiet one's too: positions are the same in all of them, from memory and journal."""
    c = listen(d, served.anna, dialect)
    before, servers = last_position(c), set()
    insert(served)
    c.read_until(lambda: of(events(c), "change"))
    first = of(events(c), "change")
    c.close()
    for again in range(2):
        back = listen(d, served.anna, dialect, last_id=before)
        back.read_until(lambda back=back: of(events(back), "change"))
        assert of(events(back), "change") == first
        if dialect == "plain":
            name, greeting, _ = events(back)[0]
            servers.add(greeting.pop("server"))
            assert (name, greeting) == ("herald.hello", {"keepalive": 1, "resumed": True})
        back.close()
        if not again:
            d.stop()
            d.start().wait_ready()
    assert len(servers) == (2 if dialect == "plain" else 0) and "" not in servers  # one for each start
    other = listen(d, served.anna, "django", last_id=before)
    other.read_until(lambda: len(events(other)) > 1)
    assert events(other)[1][1]["event"] == "estimate.created"
    lost = listen(d, served.anna, dialect, last_id="nonsense")
    lost.read_until(lambda: of(events(lost), "herald.gap"))
    gap = of(events(lost), "herald.gap")[0]
    assert gap[1] == {"reason": "cursor", "topics": ["estimate", "project"]} and gap[2]


def test_rows_that_come_and_go(served, d):
    insert(served, foreman=3)
    anna = {name: listen(d, served.anna, name) for name in ("chat", "streaming", "plain")}
    served.db.run("UPDATE api_estimate SET foreman_id = 2")
    served.db.run("UPDATE api_estimate SET foreman_id = 3")
    for c in anna.values():
        c.read_until(lambda c=c: len(of(events(c), "change")) == 2)
        come, go = of(events(c), "change")
        assert come[0] == "estimate.updated" and come[1]["foreman_id"] == 2
        assert go[0] == "estimate.leave" and {k: v for k, v in go[1].items() if k != "txid"} == {
            "estimate_id": 1, "project_id": 10}


def test_why_it_ends(served, d):
    anna = {name: listen(d, served.anna, name) for name in ("chat", "raw", "streaming", "plain")}
    served.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    for name, c in anna.items():
        c.read_until(lambda c=c: c.ended)
        want = {"chat": "stream-error", "streaming": "error", "plain": "stream-error"}.get(name)
        last = events(c)[-1:]
        assert (last[0][:2] == (want, {"type": "closed", "error": "token is not valid any more"})) if want else not last


def test_a_route_that_is_a_test(served, d):
    c = Client(d, served.anna, path="/test", parser=Raw())
    c.read_until(lambda: c.ended or c.raw_body.endswith(b"\n\n"))
    assert c.raw_body == b'data: {"type":"test","message":"SSE endpoint working"}\n\n'
    assert c.headers["Content-Type"].startswith("text/event-stream") and c.headers["Connection"] == "close"
    assert d.get("/test", "nobody")[0] == 401


def test_a_dialect_changes_for_new_streams(served, d):
    old = listen(d, served.anna, "chat")
    served.configure("path = /chat\nkeepalive = 1s\ndialect = chat", "path = /chat\nkeepalive = 1s\ndialect = plain")
    d.signal(signal.SIGHUP)
    d.wait_log("configuration reloaded")
    new = listen(d, served.anna, "chat")
    insert(served)
    for c in (old, new):
        c.read_until(lambda c=c: of(events(c), "change"))
    assert b"herald.hello" in new.raw_body and b"herald.hello" not in old.raw_body
