# SPDX-License-Identifier: PostgreSQL
"""The same events over every transport at the same URL, and the same position: a client may change the
transport at each reconnect and is told everything once."""

import json
import random
import shutil
import signal
import subprocess
from types import SimpleNamespace

import pytest

from lib.daemon import EVENTS, Client, wait_until

NDJSON = "application/x-ndjson"


class Lines:
    """A reader of newline-delimited JSON: what is no object is no line."""

    def __init__(self):
        self.rest, self.retry = b"", None

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            self.retry = message.pop("retry", self.retry)
            yield SimpleNamespace(id=message.pop("id", None), json=message)


def ndjson(d, token, **more):
    c = Client(d, token, headers={"Accept": NDJSON}, by_query=False, parser=Lines(), **more).hello()
    assert c.headers["Content-Type"] == NDJSON
    return c


TRANSPORTS = {"sse": lambda d, token, **more: Client(d, token, by_query=False, **more).hello(), "ndjson": ndjson}


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
    sse, lines = clients[:2], clients[2:]
    for a, b in zip(sse, lines):
        assert a.messages() == b.messages() and a.last_id == b.last_id
        assert [f.id for f in a.frames[1:]] == [f.id for f in b.frames[1:]]
    assert clients[3].messages()[1]["scope"] == "leave"
    assert clients[0].parser.retry == clients[2].parser.retry == 3000


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
    assert c.status == 406 and b"sse, ndjson" in c.buffer + c.raw_body or NDJSON.encode() in c.raw_body + c.buffer


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


def test_one_position_for_all(served, d):
    """Cut at any place and resumed over any transport: each event once, in order."""
    chance = random.Random(12)
    last, told, n = ndjson(d, served.anna).last_id, [], 0
    for _ in range(25):
        for _ in range(chance.randrange(4)):
            insert(served, n)
            n += 1
        c = TRANSPORTS[chance.choice(list(TRANSPORTS))](d, served.anna, last_id=last)
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
    assert "NDJSON stream closed" in d.log()


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
