# SPDX-License-Identifier: PostgreSQL
"""How often may be published, by a user, from an address, to a channel and at a route, by POST and over
WebSockets; how often may be chosen anew what is heard, and how many may hear a channel. What is refused is not done,
and counted."""

import json

import pytest
from conftest import HEAD, served_by
from lib.daemon import EVENTS, Client, wait_until
from lib.websocket import WebSocket

KINDS = ("user", "address", "channel")
CONF = HEAD.replace("[server]\n", "[server]\ntrusted_proxies = 127.0.0.0/8\n").replace(
    "receives = all\n", "receives = all\nchannels = *\npublish = *\n").replace(
    "receives = own\n", "receives = own\nchannels = *\npublish = *\n") + """
[publish]
roles = pgherald, app
[watch estimate]
table = public.api_estimate
owners = foreman_id
fields = estimate_id=id
[route events]
path = /api/v1/sse/events/
publishes_per_user = 2
subscribes_per_user = 2
[route crowd]
path = /crowd/
max_streams_per_channel = 2
subscribes_per_channel = 3
retry = 1s
[route crowd_more]
path = /crowd/subscribe
kind = subscribe
subscribes_per_address = 3
[route crowd_less]
path = /crowd/unsubscribe
kind = unsubscribe
[route rush]
path = /rush/
opens_per_channel = 2
[route all_rush]
path = /all_rush/
opens_in_all = 2
[route stats]
path = /stats
kind = stats
[route all]
path = /all
kind = send
publishes = 3
""" + "".join(f"[route {kind}]\npath = /{kind}\nkind = send\npublishes_per_{kind} = 2\n" for kind in KINDS)


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    with served_by(cluster, tmp_path_factory.mktemp("publish_limits"), CONF) as s:
        yield s


def ask(place, path, document, token, source):
    status, headers, body = place.daemon.request(
        "POST", path, {"Authorization": "Token " + token, "X-Forwarded-For": source, "Content-Type": "application/json"},
        body=json.dumps(document))
    return status, headers["Retry-After"], json.loads(body)


def post(place, path, channel="news", token="token-boss", source="192.0.2.1", text="x"):
    status, again, said = ask(place, path, {"channel": channel, "message": {"type": "said", "content": text}}, token, source)
    return status, again, said.get("code")


OTHERS = {  # what somebody else is, for each limit, and what makes no difference
    "user": ({"token": "token-anna"}, {"source": "192.0.2.9", "channel": "other"}),
    "address": ({"source": "192.0.2.7"}, {"token": "token-anna", "channel": "other"}),
    "channel": ({"channel": "other"}, {"token": "token-anna", "source": "192.0.2.9"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_by_post(place, kind):
    other, same = OTHERS[kind]
    path = f"/{kind}"
    heard = Client(place.daemon, None, path=EVENTS + "?channels=news,other",
                   headers={"Authorization": "Token token-boris"}).hello()
    assert [post(place, path, text=kind)[0] for _ in range(2)] == [201, 201]
    for more in ({}, same):
        status, wait, code = post(place, path, text="refused", **more)
        assert (status, code) == (429, f"publishes_per_{kind}")
        assert 1 <= int(wait) <= 30  # a bucket of two has one again within half a minute
    assert post(place, path, text="last", **other)[0] == 201
    heard.read_until(lambda: [m for m in heard.messages() if "last" in json.dumps(m)], "the last one")
    said = [m for m in heard.messages() if m["event"] == "said"]
    assert len(said) == 3 and "refused" not in json.dumps(said)
    _, _, body = place.daemon.get("/stats", "token-boss")
    assert json.loads(body)["refused"][f"publishes_per_{kind}"] == 2
    place.daemon.wait_log(f"publishes_per_{kind} messages")


def test_of_all(place):
    for i in range(3):
        assert post(place, "/all", f"c{i}", ("token-boss", "token-anna", "token-boris")[i], f"192.0.2.{i}")[0] == 201
    assert post(place, "/all", "c9", "token-anna", "192.0.2.99")[2] == "publishes"


def test_over_a_websocket(place):
    c = WebSocket(place.daemon, "token-anna").hello()
    more = WebSocket(place.daemon, "token-anna").hello()  # the limit is the user's

    def answers(client):
        return {m["request_id"]: m for m in client.messages() if "request_id" in m}
    for i, client in enumerate((c, more, c), 1):
        client.ask({"action": "send_to_channel", "data": {"channel": "news", "content": "x"}, "request_id": i})
        client.read_until(lambda client=client, i=i: i in answers(client), "an answer")
    assert answers(c)[1]["event"] == answers(more)[2]["event"] == "system.published"
    assert answers(c)[3]["data"]["type"] == "too_often"
    assert "You publish too often. Try again in" in answers(c)[3]["data"]["error"]
    for i, action in enumerate(("subscribe", "unsubscribe", "subscribe"), 4):
        c.ask({"action": action, "data": {"channel": "news"}, "request_id": i})
    c.read_until(lambda: 6 in answers(c), "the last answer")
    assert [answers(c)[i]["event"] for i in (4, 5)] == ["system.subscribed", "system.unsubscribed"]
    assert answers(c)[6]["data"]["type"] == "too_often"
    assert not c.ended
    _, _, body = place.daemon.get("/stats", "token-boss")
    assert json.loads(body)["refused"]["subscribes_per_user"] == 1


def come(place, path, token="token-boss", **headers):
    client = Client(place.daemon, None, path=path, headers={"Authorization": "Token " + token} | headers)
    client.read_until(lambda: client.headers is not None, "an answer")
    if client.status == 503 or "Accept" in headers:
        client.wait_end()
    return client


def choose(place, stream, channel, what="subscribe", token="token-boss", source="192.0.2.1"):
    status, again, said = ask(place, f"/crowd/{what}?stream={stream}", {"channels": [channel]}, token, source)
    return status, said.get("code") or said.get("channels"), again


def name_of(client):
    return client.frames[0].json["stream"]


def test_streams_of_a_channel(place):
    """However a stream comes to hear it, and whatever makes room again."""
    first = come(place, "/crowd/?channels=a,b", "token-anna")
    second = come(place, "/crowd/?channels=a&hello=full").hello()
    third = come(place, "/crowd/?channels=b&hello=full").hello()
    over = come(place, "/crowd/?channels=c,a")
    assert over.status == 503 and json.loads(over.raw_body)["code"] == "max_streams_per_channel"
    source = come(place, "/crowd/?channels=a", Accept="text/event-stream")
    assert source.status == 200 and source.raw_body.startswith(b"retry: ")
    assert come(place, "/crowd/?channels=c").status == 200  # who was refused holds no place in another one
    assert come(place, EVENTS + "?channels=a").status == 200  # another route has its own
    assert choose(place, name_of(third), "a") == (503, "max_streams_per_channel", "3")
    assert choose(place, name_of(second), "a", "unsubscribe")[0] == 200
    assert choose(place, name_of(third), "a")[:2] == (200, ["a", "b"])
    ws = WebSocket(place.daemon, "token-boris", path="/crowd/").hello()
    ws.ask({"action": "subscribe", "data": {"channels": ["d", "a"]}, "request_id": 1})
    refused = ws.wait_message("system.error")
    assert refused["data"]["type"] == "channel_full" and not ws.ended
    first.close()
    wait_until(lambda: come(place, "/crowd/?channels=a").status == 200, "a place is free")
    _, _, body = place.daemon.get("/stats", "token-boss")
    assert json.loads(body)["refused"]["max_streams_per_channel"] >= 4
    for client in (second, third, ws):
        client.close()
    # its places went with each of them
    wait_until(lambda: all(come(place, f"/crowd/?channels={c}").status == 200 for c in "ab"), "all have gone")


def test_changes_by_an_address_and_to_a_channel(place):
    client = come(place, "/crowd/?channels=x&hello=full").hello()
    source = "192.0.2.77"
    assert [choose(place, name_of(client), f"x{i}", source=source)[0] for i in range(3)] == [200] * 3
    status, code, wait = choose(place, name_of(client), "x9", source=source)
    assert (status, code) == (429, "subscribes_per_address") and 1 <= int(wait) <= 21
    assert choose(place, name_of(client), "x9", source="192.0.2.78")[0] == 200
    client.close()
    sockets = [WebSocket(place.daemon, "token-anna", path="/crowd/").hello() for _ in range(2)]
    for i in range(4):
        ws = sockets[i % 2]
        ws.ask({"action": "subscribe", "data": {"channel": "y"}, "request_id": i})
        ws.read_until(lambda ws=ws, i=i: any(m.get("request_id") == i for m in ws.messages()), "an answer")
    assert "This channel is being subscribed to too often" in sockets[1].messages()[-1]["data"]["error"]
    for ws in sockets:
        ws.close()


def test_opens_of_a_channel_and_of_all(place):
    tokens = ("token-boss", "token-anna", "token-boris")
    got = [come(place, "/rush/?channels=a", t) for t in tokens]
    assert [a.status for a in got] == [200, 200, 503]
    assert json.loads(got[2].raw_body)["code"] == "opens_per_channel" and 10 <= int(got[2].headers["Retry-After"]) <= 31
    assert come(place, "/rush/?channels=b").status == come(place, "/rush/").status == 200
    got = [come(place, "/all_rush/", t) for t in tokens]
    assert [a.status for a in got] == [200, 200, 503]
    assert json.loads(got[2].raw_body)["code"] == "opens_in_all"
