# SPDX-License-Identifier: PostgreSQL
"""Every proxy of doc/recipes/ as that page has it, with the README's page in a real browser: it
comes back whatever happens, events are on time, the departed are noticed, no log has a token."""

import subprocess
import time

import pytest
from lib.daemon import EVENTS, wait_until
from lib.recipe import Apache, Caddy, HAProxy, Nginx, PlainHAProxy, blocks
from lib.stage import CONF, Stage, machine_lacks


def conf_of(kind):
    """Apache wants another keep-alive: a second where the recipe says five."""
    shown = blocks(kind.DOCUMENT).get("/etc/pgherald/pgherald.conf")
    if not shown:
        return CONF  # an hour: nothing is sent in which a proxy could notice anything
    assert "keepalive = 5s" in shown
    return CONF.replace("keepalive = 1h", "keepalive = 1s")


@pytest.fixture(scope="module", params=[Nginx, HAProxy, Apache, Caddy], ids=lambda kind: kind.NAMES[0])
def stage(request, cluster, tmp_path_factory):
    kind = request.param
    if machine_lacks(kind):
        pytest.skip(machine_lacks(kind))
    s = Stage(cluster, tmp_path_factory.mktemp(kind.NAMES[0]), kind, conf_of(kind))
    try:
        yield s
    finally:
        s.close()


@pytest.fixture
def page(stage):
    p = stage.open()
    yield p
    p.close()


@pytest.mark.parametrize("end, in_vain", [("stop", 1), ("kill", 2)])
def test_the_daemon_is_away(stage, page, end, in_vain):
    stage.outage(page, end, in_vain)
    assert page.eval("gaveUp") == 0, "the browser's own EventSource has done it all"


class Curl:
    """A stream without a browser, over HTTP/1.1 or 2: what a proxy does differs between them."""

    def __init__(self, url, version):
        self.run = subprocess.Popen(
            ["curl", "-skN", f"--http{version}", f"{url}{EVENTS}?token=token-anna"],
            stdout=subprocess.PIPE)
        self.wait("connected")

    def wait(self, text):
        """Until a line has it."""
        while True:
            line = self.run.stdout.readline()
            assert line, f"the stream ended before {text}"
            if text.encode() in line:
                return

    def close(self):
        self.run.kill()
        self.run.stdout.close()
        self.run.wait()


def delays(stage, url, version):
    """How long an event took, in seconds, the quickest of ten: who waits for more does so each time."""
    curl, took = Curl(url, version), []
    for _ in range(10):
        begin = time.monotonic()
        stage.write()
        curl.wait(f'"s{stage.n}"')
        took.append(time.monotonic() - begin)
    curl.close()
    return min(took)


def departure(stage, url, version):
    """Somebody comes and goes, and the daemon knows."""
    wait_until(lambda: stage.streams() == 0, "nobody is there")
    curl = Curl(url, version)
    assert stage.streams() == 1
    curl.close()
    wait_until(lambda: stage.streams() == 0, "it is noticed")


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_no_event_waits_and_the_departed_are_noticed(stage, version):
    assert delays(stage, stage.proxy.url, version) < 0.15
    departure(stage, stage.proxy.url, version)
    if (stage.kind, version) == (HAProxy, "1.1"):
        proxy = PlainHAProxy(stage.daemon.address[1], stage.site.port)
        assert delays(stage, proxy.url, version) < 0.15, "without TLS"
        departure(stage, proxy.url, version)
        proxy.close()


def test_a_reload(stage, page):
    stage.write()
    stage.same(page)
    stage.proxy.reload()
    for _ in range(5):
        stage.write()
        stage.same(page)
    more = stage.open()
    stage.write()
    stage.same(more)
    stage.same(page)
    more.close()
    assert page.eval("gaveUp") == 0


def test_a_websocket(stage, page):
    """The browser's own: it is told, it asks, and it sees why it ends."""
    page.eval("""window.said = [], window.ended = null,
      window.open_socket = (more) => {
        window.socket = new WebSocket(`${location.origin.replace('http', 'ws')}/api/v1/sse/events/?token=${token}${more}`,
                                      'pgherald');
        socket.onmessage = (e) => said.push(JSON.parse(e.data));
        socket.onclose = (e) => { ended = [e.code, e.wasClean]; };
      }, open_socket(''), 0""")
    page.wait("said.length === 1 && said[0].event === 'connected'", "the greeting")
    stage.write()
    page.wait("said.some((m) => m.event.startsWith('order.'))", "an event")
    page.eval("socket.send(JSON.stringify({action: 'ping', request_id: 'x'})), 0")
    page.wait("said.some((m) => m.event === 'system.pong' && m.request_id === 'x')", "an answer")
    last = "said.filter((m) => m.id).at(-1).id"
    stage.daemon.stop()
    page.wait("ended", "the end")
    assert page.eval("ended") == [1012, True] and page.eval("said.at(-1).retry") >= 200
    stage.write()
    stage.daemon.start().wait_ready()
    page.eval(f"open_socket('&last_event_id=' + {last}), said = [], 0")
    page.wait("said.some((m) => m.event.startsWith('order.'))", "what it has missed")
    assert page.eval("ended") == [1012, True] and page.eval("socket.readyState") == 1
    page.eval("ended = null, socket.close(1000, 'bye'), 0")
    page.wait("ended", "the end of it")
    assert page.eval("ended") == [1000, True], "a clean end"
    stage.same(page)


def test_a_refusal_is_passed_on(stage, page):
    page.eval("token = 'token-wrong', listen()")
    page.wait("logins === 1")


def test_who_can_read_a_status_gets_one(stage):
    """Clients that send the token in a header are told 503 and when to come again."""
    stage.daemon.stop()
    try:
        answers = [subprocess.run(["curl", "-sik", *headers, stage.proxy.url + EVENTS],
                                  capture_output=True, text=True).stdout.lower()
                   for headers in ([], ["-H", "Authorization: Token token-anna"])]
    finally:
        stage.daemon.start().wait_ready()
    page, header = answers
    assert page.split()[1] == "200" and "content-type: text/event-stream" in page, page
    assert "retry: " in page and "access-control-allow-origin" in page or stage.kind is Nginx, page
    assert header.split()[1] == "503" and "retry-after: 5" in header, header


def test_no_token_in_any_log(stage):
    """The last for each: everything above has been through these logs."""
    stage.daemon.stop()
    subprocess.run(["curl", "-sk", f"{stage.proxy.url}{EVENTS}?token=token-anna"], check=True,
                   capture_output=True)
    stage.daemon.start().wait_ready()
    wait_until(lambda: EVENTS in stage.proxy.logs(), "its log")
    assert "token-" not in stage.proxy.logs()
