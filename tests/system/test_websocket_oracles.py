# SPDX-License-Identifier: PostgreSQL
"""WebSocket by the implementations of others: wsproto, which says what each byte means, under random
fragmentation; and the library websockets as an application uses it."""

import asyncio
import json
import random
import socket

import pytest
from lib.daemon import EVENTS, PATIENCE_S

MESSAGES = 60


@pytest.fixture
def d(served):
    return served.daemon.start().wait_ready()


def insert(served, number):
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id, status) VALUES (%s, 10, 2, 'κόσμε 𝄞')",
                  (str(number),))


def test_wsproto_under_random_fragmentation(served, d):
    """Messages, pings and pongs in frames and pieces of any size, cut anywhere; all that the daemon says is right
    for wsproto, and every message has its answer."""
    wsproto = pytest.importorskip("wsproto", reason="python3-wsproto is not installed")
    ev = wsproto.events
    chance = random.Random(6455)
    client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    s = socket.create_connection(d.address, PATIENCE_S)
    s.sendall(client.send(ev.Request(host="test", target=f"{EVENTS}?token={served.anna}", subprotocols=["pgherald"])))
    got = {"text": [], "pongs": [], "closed": None, "accepted": None}
    half = [""]

    def read(condition):
        while not condition():
            data = s.recv(chance.randint(1, 400))
            client.receive_data(data or None)
            for e in client.events():
                if isinstance(e, ev.AcceptConnection):
                    got["accepted"] = e.subprotocol
                elif isinstance(e, ev.TextMessage):
                    half[0] += e.data
                    if e.message_finished:
                        got["text"].append(json.loads(half[0]))
                        half[0] = ""
                elif isinstance(e, ev.Pong):
                    got["pongs"].append(bytes(e.payload))
                elif isinstance(e, ev.CloseConnection):
                    got["closed"] = e.code
                else:
                    assert isinstance(e, ev.Ping), e

    def frames(text, n):
        """As wsproto would frame it, a ping between any two pieces."""
        out, pings = b"", []
        while text:
            size = chance.choice((1, 2, 7, len(text)))
            piece, text = text[:size], text[size:]
            out += client.send(ev.TextMessage(piece, message_finished=not text))
            if chance.random() < 0.1:
                pings.append(f"{n}.{len(pings)}".encode())
                out += client.send(ev.Ping(pings[-1]))
        return out, pings

    read(lambda: got["text"])
    assert got["accepted"] == "pgherald" and got["text"][0]["event"] == "connected"
    want, pings = [], []
    for i in range(MESSAGES):
        id = "".join(chance.choice("aκ𝄞\\\"\u2028") for _ in range(chance.randint(0, 12)))
        want.append(id)
        data, more = frames(json.dumps({"action": "ping", "request_id": id}, ensure_ascii=bool(i % 2)), i)
        pings += more
        while data:
            n = chance.randint(1, 300)
            s.sendall(data[:n])
            data = data[n:]
        if i % 20 == 0:
            insert(served, i)
        if i % 3 == 0:
            read(lambda: [m["event"] for m in got["text"]].count("system.pong") == len(want))
    answers = lambda: [m for m in got["text"] if m["event"] == "system.pong"]  # noqa: E731
    read(lambda: len(answers()) == len(want) and len(got["pongs"]) == len(pings))
    assert [m["request_id"] for m in answers()] == want and got["pongs"] == pings
    read(lambda: [m["event"] for m in got["text"]].count("estimate.created") == MESSAGES // 20)
    s.sendall(client.send(ev.CloseConnection(code=3001, reason="done")))
    read(lambda: got["closed"])
    assert got["closed"] == 3001
    s.close()


def test_websockets_as_an_application_uses_it(served, d):
    websockets = pytest.importorskip("websockets", reason="python3-websockets is not installed")
    url = "ws://%s:%d%s?token=%s" % (*d.address, EVENTS, served.anna)

    async def talk():
        async with websockets.connect(url, subprotocols=["pgherald"], open_timeout=PATIENCE_S) as ws:
            hello = json.loads(await ws.recv())
            assert hello["event"] == "connected" and ws.subprotocol == "pgherald"
            assert not ws.extensions, "it offers permessage-deflate"
            insert(served, 1)
            event = json.loads(await ws.recv())
            assert event["event"] == "estimate.created" and event["data"]["status"] == "κόσμε 𝄞"
            await (await ws.ping(b"x" * 125))

            async def pieces():
                for c in '{"action": "ping", "request_id": "κ"}':
                    yield c
            await ws.send(pieces())
            assert json.loads(await ws.recv())["request_id"] == "κ"
            served.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await ws.recv()
            assert closed.value.rcvd.code == 4401 and closed.value.sent.code == 4401

    asyncio.run(asyncio.wait_for(talk(), PATIENCE_S))
