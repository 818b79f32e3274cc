# SPDX-License-Identifier: PostgreSQL
"""clients/python against a real daemon: killed, stopped and replaced while rows change; a token that
ends; two users. Each event comes once, in order, whichever way it is read."""

import asyncio
import itertools
import sys
import threading
from pathlib import Path

import pytest
from lib.daemon import EVENTS, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "clients" / "python" / "src"))
pytest.importorskip("httpx", reason="not installed: httpx")

from pgherald import Herald, Refused, Retry  # noqa: E402

QUICK = Retry(min=0.05, max=0.2)


class Listener(threading.Thread):
    """Reads events in the background, until it is closed or refused."""

    def __init__(self, daemon, token, by, *types, **options):
        super().__init__(daemon=True)
        url = f"http://{daemon.address[0]}:{daemon.address[1]}{EVENTS}"
        self.herald = Herald(url, token=token, retry=QUICK, **options)
        self.by, self.types, self.got, self.error = by, types, [], None
        self.start()
        wait_until(lambda: self.herald.status.state == "open", "the stream")

    def run(self):
        try:
            if self.by == "for":
                for event in self.herald.events(*self.types):
                    self.got.append(event)
            else:
                asyncio.run(self.listen())
        except Refused as error:
            self.error = error

    async def listen(self):
        async for event in self.herald.events(*self.types):
            self.got.append(event)

    def wait(self, number):
        wait_until(lambda: any(e.data.get("estimate_number") == number for e in self.got),
                   lambda: f"{number} in {[e.data for e in self.got][-5:]}, {self.herald.status}")
        return [e.data["estimate_number"] for e in self.got if e.type == "estimate.created"]


@pytest.fixture(params=["for", "async for"])
def listen(request, served):
    # for close(), which the next keep-alive lets through
    served.install.conf.write_text(served.install.conf.read_text() + """
[route events]
path = /api/v1/sse/events/
keepalive = 1s
""")
    served.daemon.start().wait_ready()
    made = []

    def start(token, *types, **options):
        made.append(Listener(served.daemon, token, request.param, *types, **options))
        return made[-1]

    yield start
    for listener in made:
        listener.herald.close()
    for listener in made:
        listener.join(30)
        assert not listener.is_alive()


def create(served, number, foreman=2):
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES (%s, 10, %s)",
                  (number, foreman))


def test_each_event_once_whatever_breaks(served, listen):
    boss, anna = listen(served.boss), listen(served.anna, "estimate.created")
    names = itertools.count(1)
    for end in ("kill", "stop", "kill"):
        for _ in range(5):
            create(served, f"n{next(names)}")
        getattr(served.daemon, end)()
        for _ in range(3):
            create(served, f"n{next(names)}")
        served.daemon.start().wait_ready()
    create(served, "other", foreman=3)
    create(served, "last")
    want = [f"n{i}" for i in range(1, 25)]
    assert anna.wait("last") == [*want, "last"]
    assert boss.wait("last") == [*want, "other", "last"]
    assert anna.herald.status.user == "2"


def test_a_position_of_an_earlier_process(served, listen):
    first = listen(served.anna)
    create(served, "one")
    first.wait("one")
    first.herald.close()
    first.join(30)
    create(served, "two")
    second = listen(served.anna, position=first.got[-1].position)
    assert second.wait("two") == ["two"]


def test_a_token_that_ends(served, listen):
    tokens = iter([served.anna, "token-new"])
    reasons = []

    def token(reason):
        reasons.append(reason)
        return next(tokens)

    by_function, by_text = listen(token), listen(served.anna)
    create(served, "one")
    by_function.wait("one")
    served.db.run("UPDATE authtoken_token SET key = 'token-new' WHERE user_id = 2")
    by_text.join(30)
    assert by_text.error.status == 401 and by_text.herald.status.state == "failed"
    create(served, "two")
    assert by_function.wait("two") == ["one", "two"]
    assert reasons == ["start", "expired"]
