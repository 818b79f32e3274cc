# SPDX-License-Identifier: PostgreSQL
"""The same events over every transport at the same URL, and the same position: a client may change the
transport at each reconnect and is told everything once."""

import json
import random
import shutil
import signal
import subprocess
import threading

import pytest

from lib.daemon import EVENTS, Answer, Client, Lines, wait_until
from lib.websocket import HANDSHAKE, WebSocket

NDJSON = "application/x-ndjson"


def ndjson(d, token, **more):
    c = Client(d, token, headers={"Accept": NDJSON}, by_query=False, parser=Lines(), **more).hello()
    assert c.headers["Content-Type"] == NDJSON
    return c


class Poll:
    """A client that asks again and again, read like the others: `more()` is one answer."""

    def __init__(self, d, token, last_id=None, extra_query=""):
        self.d, self.token, self.last_id, self.query = d, token, last_id, extra_query
        self.frames, self.polls, self.retry = [], 0, None

    def more(self):
        query = "&".join(filter(None, ["transport=poll", self.query, self.last_id and "last_event_id=" + self.last_id]))
        status, headers, body = self.d.get(f"{EVENTS}?{query}", self.token)
        assert status == 200 and headers["Content-Type"] == "application/json", (status, body)
        answer = json.loads(body)
        first, *rest = answer["events"]
        assert first["event"] == "connected" and list(answer) == ["events", "last_event_id", "retry"]
        self.frames += rest
        self.last_id, self.retry, self.polls = answer["last_event_id"], answer["retry"], self.polls + 1
        return rest

    def messages(self):
        return [{k: v for k, v in m.items() if k != "id"} for m in self.frames]

    def read_until(self, condition):
        while not condition():
            self.more()

    def close(self):
        pass


TRANSPORTS = {"sse": lambda d, token, **more: Client(d, token, by_query=False, **more).hello(), "ndjson": ndjson,
              "websocket": lambda d, token, **more: WebSocket(d, token, by_query=False, **more).hello()}
RESUMABLE = TRANSPORTS | {"poll": Poll}


def insert(served, number, foreman=2):
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id, status) VALUES (%s, 10, %s, %s)",
                  (str(number), foreman, "a\nb\u2028c"))


def numbers(client):
    return [int(m["data"]["estimate_number"]) for m in client.messages() if m["event"] == "estimate.created"]


@pytest.fixture
def d(served):
    return served.daemon.start().wait_ready()


def test_the_same_events(served, d):
    clients = [connect(d, token) for connect in TRANSPORTS.values()
               for token in (served.boss, served.anna)]
    insert(served, 1)
    served.db.run("UPDATE api_estimate SET foreman_id = 3")
    for c in clients:
        c.wait_messages(2)
    for a, b in zip(clients[:2] * (len(TRANSPORTS) - 1), clients[2:]):
        assert a.messages() == b.messages() and a.last_id == b.last_id
        assert [f.id for f in a.frames[1:]] == [f.id for f in b.frames[1:]]
    assert clients[3].messages()[1]["scope"] == "leave"
    assert [c.parser.retry for c in clients] == [3000] * len(clients)


@pytest.mark.parametrize("accept, query, transport", [
    (None, "", "text/event-stream; charset=utf-8"),
    ("*/*", "", "text/event-stream; charset=utf-8"),
    (NDJSON, "", NDJSON),
    (f"{NDJSON}, */*;q=0.1", "", NDJSON),
    (f"{NDJSON}, text/event-stream", "", "text/event-stream; charset=utf-8"),
    (f"{NDJSON};q=0, */*", "", "text/event-stream; charset=utf-8"),
    ("*/*", "transport=ndjson", NDJSON),
    ("application/json", "transport=ndjson", NDJSON),
    (NDJSON, "transport=sse", "text/event-stream; charset=utf-8"),
    (NDJSON, "transport=telepathy", None),
    ("application/*", "", None),
    (f"{NDJSON};q=0", "", None),
])
def test_what_is_asked_for(served, d, accept, query, transport):
    headers = {"Accept": accept} if accept else {}
    c = Client(d, served.boss, headers=headers, extra_query=query, parser=Lines() if transport == NDJSON else None)
    if transport:
        assert c.hello().headers["Content-Type"] == transport
        return
    c.read_until(lambda: c.ended)
    assert c.status == 406 and b"sse, ndjson, poll, websocket" in c.buffer + c.raw_body or NDJSON.encode() in c.raw_body + c.buffer


def test_every_transport_has_a_reader_here(served, d):
    """One that is not in TRANSPORTS would be in none of these tests."""
    status, _, body = d.get(EVENTS + "?transport=telepathy", served.boss)
    assert status == 406 and set(json.loads(body)["detail"].partition(": ")[2].rstrip(".").split(", ")) == set(RESUMABLE)


@pytest.mark.parametrize("path, query, headers, status, words", [
    ("/talk", "", {}, 426, "Transports here: websocket."),
    ("/talk", "transport=websocket", {}, 426, "Transports here: websocket."),
    ("/talk", "transport=sse", {}, 406, "there are: websocket."),
    ("/lines", "transport=websocket", {}, 406, "there are: sse, ndjson."),
    ("/lines", "transport=poll", {}, 406, "there are: sse, ndjson."),
    ("/lines", "", HANDSHAKE, 426, "Transports here: sse, ndjson."),
    ("/ask", "", {"Accept": "text/html"}, 406, "what there is: application/json."),
    ("/ask", "", {}, 200, '"events"'),
    ("/ask", "", {"Accept": "application/json"}, 200, '"events"'),
    ("/both", "", {}, 200, '"events"'),
])
def test_what_cannot_be_served_comes_with_the_list(served, path, query, headers, status, words):
    served.install.conf.write_text(served.install.conf.read_text() + "".join(
        f"[route {name}]\npath = /{name}\nkeepalive = 1s\ntransports = {transports}\n" for name, transports in {
            "talk": "websocket", "lines": "sse, ndjson", "ask": "poll", "both": "websocket, poll"}.items()))
    d = served.daemon.start().wait_ready()
    got, said, body = d.get(f"{path}?{query}".rstrip("?"), served.boss, headers=headers)
    assert (got, words in body.decode()) == (status, True), body
    if path == "/talk" and status == 426:
        assert said["Upgrade"] == "websocket"


def test_refusals_are_no_stream(served, d):
    """Who reads a fetch sees the status; what makes an EventSource come back would be no line."""
    status, headers, body = d.get(EVENTS + "?transport=ndjson", "nobody", headers={"Accept": NDJSON})
    assert status == 401 and json.loads(body)["detail"] == "Invalid token."
    served.configure("[database]", "max_streams_per_user = 1\n[database]")
    d.signal(signal.SIGHUP)
    d.wait_log("configuration reloaded")
    first = ndjson(d, served.boss)
    status, headers, body = d.get(EVENTS + "?transport=ndjson&token=" + served.boss)
    assert status == 429 and headers["Retry-After"] and json.loads(body)["detail"]
    first.close()


def test_a_poll_that_reads_the_journal_ends_with_what_it_had(served):
    """It does not wait for more, or for its time."""
    served.configure("[watch estimate]", "[route events]\npath = /api/v1/sse/events/\nkeepalive = 1h\n[watch estimate]")
    d = served.daemon.start().wait_ready()
    client = Poll(d, served.anna, last_id=ndjson(d, served.anna).last_id)
    for n in range(3):
        insert(served, n)
    d.stop()
    d.start().wait_ready()  # what is in its ring has been told before, and she hears her own
    client.more()
    assert numbers(client) == [0, 1, 2] and client.polls == 1


def test_one_position_for_all(served, d):
    """Cut at any place and resumed over any transport: each event once, in order."""
    chance = random.Random(12)
    last, told, n = ndjson(d, served.anna).last_id, [], 0
    for _ in range(25):
        for _ in range(chance.randrange(4)):
            insert(served, n)
            n += 1
        c = RESUMABLE[chance.choice(list(RESUMABLE))](d, served.anna, last_id=last)
        want = chance.randrange(n - len(told) + 1)
        c.read_until(lambda c=c, want=want: len(numbers(c)) >= want)
        told, last = told + numbers(c), c.last_id
        c.close()
    insert(served, n)
    c = ndjson(d, served.anna, last_id=last)
    c.read_until(lambda: n in numbers(c))
    assert told + numbers(c) == list(range(n + 1))


def test_from_the_journal(served, d):
    first = ndjson(d, served.boss)
    insert(served, 0)
    first.wait_messages(1)
    first.close()
    d.stop()
    for i in range(1, 300):
        insert(served, i)
    d.start().wait_ready()
    c = ndjson(d, served.boss, last_id=first.last_id)
    c.read_until(lambda: len(numbers(c)) == 299)
    assert numbers(c) == list(range(1, 300))
    c.close()
    c = ndjson(d, served.boss, last_id="nonsense")
    assert c.wait_messages(1)[0]["data"]["reason"] == "cursor"


def test_quiet_and_ended(served, d):
    """Keep-alives are lines that move the position along; an end says when to come back."""
    served.daemon.stop()
    served.install.conf.write_text(served.install.conf.read_text() + """
[route events]
path = /api/v1/sse/events/
keepalive = 1s
""")
    d.start().wait_ready()
    boss, anna = ndjson(d, served.boss, extra_query="topics=project"), ndjson(d, served.anna)
    insert(served, 1, foreman=3)
    boss.read_until(lambda: [m for m in boss.messages(keepalive=True) if m["event"] == "keepalive"])
    assert boss.frames[-1].id
    served.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    anna.read_until(lambda: anna.ended)
    d.signal(signal.SIGTERM)
    boss.read_until(lambda: boss.ended)
    assert boss.frames[-1].json["event"] == "system.farewell" and 3000 <= boss.parser.retry <= 9000
    d.wait_end()
    d.wait_log("NDJSON stream closed")


def test_a_poll_waits_for_something(served, d):
    """It is answered with the first event, and with nothing but a position after `keepalive`."""
    served.daemon.stop()
    served.install.conf.write_text(served.install.conf.read_text() + """
[route events]
path = /api/v1/sse/events/
keepalive = 1s
""")
    d.start().wait_ready()
    quiet = Poll(d, served.anna)
    assert quiet.more() == [] and quiet.retry == 0
    before = quiet.last_id
    insert(served, 1, foreman=3)
    wait_until(lambda: quiet.more() == [] and quiet.last_id != before, "the position moves along")
    waiting = Client(d, served.anna, extra_query="transport=poll", parser=Answer())
    waiting.read_until(lambda: b"connected" in waiting.raw_body)
    insert(served, 2)
    waiting.read_until(lambda: waiting.ended)
    answer = json.loads(waiting.raw_body)
    assert [e["event"] for e in answer["events"]] == ["connected", "estimate.created"]
    assert answer["last_event_id"] == answer["events"][1]["id"]
    assert waiting.headers["Connection"] == "close" and waiting.headers["Cache-Control"] == "no-store"
    old = Client(d, served.anna, extra_query="transport=poll", version="1.0", last_id=before, parser=Answer())
    old.read_until(lambda: old.ended)
    assert len(json.loads(old.raw_body)["events"]) == 2


def test_polls_miss_nothing(served, d):
    """One row, many rows, all the while: in order, each once, in answers that have an end."""
    c = Poll(d, served.boss)
    fresh = Client(d, served.boss, extra_query="transport=poll", parser=Answer())
    fresh.read_until(lambda: b"connected" in fresh.raw_body)
    insert(served, 0)
    fresh.read_until(lambda: fresh.ended)
    c.last_id = json.loads(fresh.raw_body)["last_event_id"]
    n = 400
    writer = threading.Thread(target=lambda: [
        served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id)"
                      " SELECT i, 10, 2 FROM generate_series(%s::int, %s::int) AS i", (i, i + k - 1))
        for i, k in [(i, 1) for i in range(1, 50)] + [(i, 50) for i in range(50, n, 50)]])
    writer.start()
    c.read_until(lambda: n - 1 in numbers(c))
    writer.join()
    assert numbers(c) == list(range(1, n))
    later = Poll(d, served.boss, last_id=c.frames[0]["id"])
    later.read_until(lambda: n - 1 in numbers(later))
    assert numbers(later) == list(range(2, n)) and later.polls >= n // 200


def test_polls_that_are_ended(served, d):
    """Whatever ends an answer, it is a document; and it never says more than has been told."""
    def waiting(token):
        c = Client(d, token, extra_query="transport=poll", parser=Answer())
        return c.read_until(lambda: b"connected" in c.raw_body)
    anna, boss = waiting(served.anna), waiting(served.boss)
    served.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    anna.read_until(lambda: anna.ended)
    assert json.loads(anna.raw_body)["last_event_id"] is None
    d.signal(signal.SIGTERM)
    boss.read_until(lambda: boss.ended)
    answer = json.loads(boss.raw_body)
    assert answer["last_event_id"] and 3000 <= answer["retry"] <= 9000
    d.wait_end()
    insert(served, 7)
    d.start().wait_ready()
    c = Poll(d, served.boss, last_id=answer["last_event_id"])
    c.more()
    assert numbers(c) == [7]
    c.last_id = "nonsense"
    assert c.more()[0]["data"]["reason"] == "cursor"
    before = c.polls
    insert(served, 8)
    c.read_until(lambda: 8 in numbers(c))
    assert numbers(c) == [7, 8] and c.polls <= before + 2
    status, _, _ = d.get(EVENTS + "?transport=poll", served.anna)
    assert status == 401


NODE = """
const answer = await fetch(process.argv[1], { headers: { Accept: "application/x-ndjson",
  Authorization: "Token " + process.argv[2] } });
let rest = "";
for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + part).split("\\n");
  rest = lines.pop();
  for (const line of lines) console.log(JSON.stringify(JSON.parse(line)));
}
"""


@pytest.mark.parametrize("client", ["curl", "node"])
def test_clients_of_others(served, d, tmp_path, client):
    if not shutil.which(client):
        pytest.skip(f"{client} is not installed")
    host, port = d.address
    url = f"http://{host}:{port}{EVENTS}"
    argv = {"curl": ["curl", "-sN", "-H", f"Accept: {NDJSON}", "-H", f"Authorization: Token {served.anna}", url],
            "node": ["node", "--input-type=module", "-e", NODE, "--", url, served.anna]}[client]
    out = tmp_path / "out"
    with out.open("w", encoding="utf-8") as f:
        process = subprocess.Popen(argv, stdout=f, stderr=f)
    try:
        wait_until(lambda: "connected" in out.read_text(), out.read_text)
        for i in range(50):
            insert(served, i)
        wait_until(lambda: out.read_text().count("\n") == 51, lambda: out.read_text()[-2000:])
        told = [json.loads(line)["data"] for line in out.read_text(encoding="utf-8").split("\n")[1:-1]]
        assert [int(t["estimate_number"]) for t in told] == list(range(50))
        assert all(t["status"] == "a\nb\u2028c" for t in told)
    finally:
        process.kill()
        process.wait()
