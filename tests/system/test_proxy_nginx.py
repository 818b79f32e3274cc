# SPDX-License-Identifier: PostgreSQL
"""nginx as doc/recipes/nginx.md has it, a page with the README's code in a real browser before it;
behind it the daemon is stopped, killed and replaced."""

import re
import subprocess

import pytest
from lib.daemon import EVENTS, wait_until
from lib.django_env import TOP
from lib.recipe import Nginx
from lib.stage import Stage, machine_lacks

LACKS = machine_lacks(Nginx)
pytestmark = pytest.mark.skipif(bool(LACKS), reason=LACKS)


@pytest.fixture(scope="module")
def stage(cluster, tmp_path_factory):
    s = Stage(cluster, tmp_path_factory.mktemp("nginx"), Nginx)
    try:
        yield s
    finally:
        s.close()


@pytest.fixture
def page(stage):
    p = stage.open()
    yield p
    p.close()


# What differs between an outage of a second and one of a minute is how often a page asks in vain.
@pytest.mark.parametrize("end, in_vain", [("stop", 1), ("kill", 1), ("stop", 4), ("kill", 20)])
def test_the_daemon_is_away(stage, page, end, in_vain):
    stage.outage(page, end, in_vain)
    assert page.eval("gaveUp") == 0, "the browser's own EventSource has done it all"


def test_an_upgrade_of_the_daemon(stage, page):
    stage.outage(page, between=lambda: stage.install.apply("upgrade"))
    assert page.eval("gaveUp") == 0


def test_with_the_times_of_the_recipe(stage):
    proxy = stage.another()
    page = stage.open(proxy.url)
    try:
        stage.outage(page)
        assert page.eval("gaveUp") == 0
    finally:
        page.close()
        proxy.close()


class FrontPage(Nginx):
    """With the lines that the README itself shows."""

    def configure(self):
        text = (TOP / "README.md").read_text(encoding="utf-8")
        text = re.search(r"```nginx\n(.*?)```", text, re.S).group(1)
        for old, new in [("retry: 3000", "retry: 200"), *self.exchange]:
            text = text.replace(old, new)
        site = dict(self.exchange)["127.0.0.1:8000"]
        return super().configure(self.write("front.conf", f"""
server {{
  listen 127.0.0.1:{self.port} ssl; ssl_certificate {self.pem}; ssl_certificate_key {self.key};
  location / {{ proxy_pass http://{site}; }}
{text}}}"""))


def test_the_lines_of_the_front_page(stage):
    proxy = FrontPage(stage.daemon.address[1], stage.site.port)
    page = stage.open(proxy.url)
    try:
        stage.outage(page, "kill")
        assert page.eval("gaveUp") == 0
        assert "token-" not in proxy.logs()
    finally:
        page.close()
        proxy.close()


def test_reload_of_nginx(stage, page):
    size = stage.daemon.log_size()
    stage.proxy.reload()
    stage.write()
    # The old process ends with worker_shutdown_timeout; its streams come back to the new one.
    stage.daemon.wait_log(r"stream closed(.|\n)*stream (opened|resumed)", size)
    stage.write()
    stage.same(page)
    assert page.eval("gaveUp") == 0


def test_more_tabs_than_connections(stage, page):
    """HTTP/2: eight streams and the list over one connection."""
    page.eval("window.more = [...Array(7)].map(() => new EventSource(source.url)), 0")
    page.wait("more.every((s) => s.readyState === 1)")
    stage.write()
    stage.same(page)
    page.eval("more.forEach((s) => s.close())")


def test_a_proxy_that_answers_502(stage):
    """Without the recipe EventSource gives up, and the page's code does not."""
    proxy = stage.another([("error_page            502 504 = @pgherald_away;", "")])
    page = stage.open(proxy.url)
    try:
        stage.write()
        stage.same(page)
        stage.daemon.kill()
        page.wait("gaveUp > 1", "EventSource has given up, twice")
        stage.write()
        lists = stage.site.lists
        stage.daemon.start().wait_ready()
        stage.same(page)
        assert stage.site.lists == lists, "it went on from its position, and loaded nothing again"
        assert page.eval("logins") == 0
    finally:
        page.close()
        proxy.close()
        if stage.daemon.proc.poll() is not None:
            stage.daemon.start().wait_ready()


def test_a_token_that_ends_and_is_renewed(stage, page):
    stage.write()
    stage.same(page)
    stage.db.run("UPDATE authtoken_token SET key = 'token-new' WHERE user_id = 2")
    try:
        page.wait("logins === 1", "the page is told to log in")
        stage.write()
        page.eval("token = 'token-new', listen()")
        stage.same(page)
        assert page.eval("logins") == 1
    finally:
        stage.db.run("UPDATE authtoken_token SET key = 'token-anna' WHERE user_id = 2")


def test_a_list_that_is_older_than_the_messages(stage):
    """The list is read, rows change, the messages come, and only then does the list arrive."""
    stage.site.gate.clear()
    try:
        before = stage.site.lists
        page = stage.open()
        wait_until(lambda: stage.site.lists > before, "the page loads its list")
        position = page.eval("position")
        stage.write()
        page.wait(f"position !== '{position}'", "the messages")
        assert page.eval("orders.size") == 0
    finally:
        stage.site.gate.set()
    stage.same(page)
    page.close()


def test_a_list_that_cannot_be_loaded_is_loaded_later(stage, page):
    page.eval("window.tries = 0, window.right = load,"
              "load = () => { tries += 1; throw new Error('no list'); }, startOver('the test')")
    page.wait("tries > 1", "it tries, and tries again")
    stage.write()
    page.eval("load = right, 0")
    stage.same(page)


def test_a_page_of_another_origin(stage):
    """The answer while the daemon is away must be readable for it, too."""
    origin = f"http://localhost:{stage.site.port}"
    stage.install.conf.write_text(stage.install.conf.read_text().replace(
        "[server]", f"[server]\ncors_origins = {origin}"))
    stage.daemon.stop()
    stage.daemon.start().wait_ready()
    page = stage.open(origin, more=f"&origin={stage.proxy.url}")
    stage.outage(page)
    assert page.eval("gaveUp") == 0
    page.close()


def test_no_token_in_any_log(stage):
    """The last of this file: everything above has been through these logs."""
    stage.daemon.stop()
    run = subprocess.run(["curl", "-sik", f"{stage.proxy.url}{EVENTS}?token=token-anna"],
                         capture_output=True, text=True)
    stage.daemon.start().wait_ready()
    assert "\n\nretry: " in run.stdout.replace("\r", "")
    logs = stage.proxy.logs()
    assert EVENTS in logs and " 200 502 " in logs and "token-" not in logs
