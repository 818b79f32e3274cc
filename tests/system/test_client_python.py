# SPDX-License-Identifier: PostgreSQL
"""clients/python against a real daemon: killed, stopped and replaced while rows change; a token that
ends; two users. Each event comes once, in order, whichever way it is read."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lib.daemon import EVENTS, wait_until
from lib.recipe import commands

SOURCE = str(Path(__file__).resolve().parents[2] / "clients" / "python" / "src")
sys.path.insert(0, SOURCE)
pytest.importorskip("httpx", reason="not installed: httpx")

from pgherald import Herald, NotPublished, Refused, Retry  # noqa: E402
from pgherald.ladder import ALL  # noqa: E402
from pgherald.publish import Publisher  # noqa: E402

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


@pytest.mark.parametrize("via", ["sse", "ndjson", "websocket", "poll"])
def test_each_event_once_whatever_breaks(served, listen, via):
    boss, anna = listen(served.boss, via=via), listen(served.anna, "estimate.created", via=via)
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
    assert anna.herald.status.user == "2" and anna.herald.status.via == via


def test_the_page_on_push(served, tmp_path):
    """doc/recipes/push.md: what happens while the program or the daemon is away is pushed when it is back, to the user
    that it concerns; a subscription that is taken back is forgotten."""
    program, = commands("push.md", "python")
    (tmp_path / "push.py").write_text(program)
    (tmp_path / "shop.py").write_text("""
def subscriptions(user):
    return [{"endpoint": f"https://push.example/{user}"}, {"endpoint": "gone"}]
def forget(subscription):
    print("forget", subscription["endpoint"], flush=True)
""")
    (tmp_path / "pywebpush.py").write_text("""
from types import SimpleNamespace
class WebPushException(Exception):
    response = SimpleNamespace(status_code=410)
def webpush(subscription, data, vapid_private_key, vapid_claims, ttl, timeout):
    if subscription["endpoint"] == "gone":
        raise WebPushException
    print(subscription["endpoint"], data, flush=True)
""")
    out = (tmp_path / "out").open("a+")
    d = served.daemon.start().wait_ready()

    def run():
        url = f"http://127.0.0.1:{d.address[1]}{EVENTS}"
        env = {**os.environ, "PGHERALD_URL": url, "PGHERALD_TOKEN": served.boss, "PYTHONPATH": SOURCE}
        return subprocess.Popen([sys.executable, "push.py"], cwd=tmp_path, env=env, stdout=out)

    def said():
        return (tmp_path / "out").read_text()

    def wait(number, foreman=2):
        key = served.db.one("SELECT id FROM api_estimate WHERE number = %s", (number,))
        line = f'https://push.example/{foreman} {{"type": "estimate.created", "id": {key}}}\nforget gone\n'
        wait_until(lambda: line in said(), lambda: f"{line} in {said()}")
        return line
    push = run()
    try:
        wait_until((tmp_path / "push.position").exists, "its place is kept before the first message")
        push.kill()
        push.wait()
        create(served, "1")  # while it is away
        push = run()
        first = wait("1")
        served.db.run("UPDATE api_estimate SET status = 'x'")
        d.kill()
        create(served, "nobody's", None)
        create(served, "2", 3)  # while the daemon is
        d.start().wait_ready()
        second = wait("2", 3)
        assert said() == first + second
    finally:
        push.kill()
        push.wait()
        out.close()


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


@pytest.mark.parametrize("via", ["ndjson", "websocket"])
def test_channels_and_messages(served, listen, via):
    """What is joined is heard from there on, what is left no more; and nothing twice."""
    conf = served.install.conf.read_text().replace(
        "receives = own\n", "receives = own\nchannels = news, project.*\n").replace(
        "receives = all\n", "receives = all\npublish = *\n")
    served.install.conf.write_text(conf + """
[publish]
roles = pgherald
[route send]
path = /sse/send-to-channel
kind = send
[route all]
path = /ws/broadcast
kind = broadcast
""")
    served.install.apply("upgrade")
    served.daemon.signal(signal.SIGHUP)
    served.daemon.wait_log("configuration reloaded")
    boss = Publisher("http://%s:%d/" % served.daemon.address, token=served.boss)
    anna = listen(served.anna, "said", via=via, channels=["news"])

    def said():
        return [e.data for e in anna.got if e.type == "said"]
    boss.publish("project.7", "said", "unheard")
    assert boss.publish("news", "said", 1, id="m1") == boss.publish("news", "said", 1, id="m1")
    wait_until(lambda: said() == [1], said)
    anna.herald.join("project.7")

    def heard(n):
        boss.publish("project.7", "said", n)
        return n in said()
    tries = iter(range(100, 10000))
    wait_until(lambda: heard(next(tries)), said)
    anna.herald.leave("news")
    asyncio.run(boss.apublish(None, "said", 2))
    wait_until(lambda: 2 in said(), said)
    assert len(said()) == len(set(said())) and "unheard" not in said()
    with pytest.raises(NotPublished) as refused:
        Publisher("http://%s:%d/" % served.daemon.address, token=served.anna).publish("news", "said", 3, id="m2")
    assert refused.value.status == 403
    anna.herald.join("secret")
    anna.join(30)
    assert anna.error.status == 403 and "secret" in anna.error.message


@pytest.mark.parametrize("via", ["ndjson", "websocket", "poll"])
def test_what_does_not_come_through(served, listen, via):
    """A route that serves one transport is found by its refusals."""
    served.daemon.stop()
    text = served.install.conf.read_text().replace("keepalive = 1s\n", f"keepalive = 1s\ntransports = {via}\n")
    served.install.conf.write_text(text)
    served.daemon.start().wait_ready()
    anna = listen(served.anna, via=ALL)
    assert anna.herald.status.via == via
    create(served, "one")
    assert anna.wait("one") == ["one"]
