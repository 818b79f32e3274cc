# SPDX-License-Identifier: PostgreSQL
"""Credentials are not guessed for long, and whoever guesses keeps nobody else out: neither those behind
the same proxy, nor those with a credential that has been good."""

import base64
import hmac
import json
import re
import subprocess
import time

import pytest

from conftest import PGHERALD, Install, Served, run_pgherald
from lib.daemon import EVENTS, Client, wait_until

LIMITS = "[server]\nauth_failures = 10\nauth_failures_window = 1h\n"


def guesses(d, n, headers=None, word="guess"):
    """The status codes of so many requests, each with a token of its own."""
    return [d.get(EVENTS, f"{word}-{i}", headers=headers or {})[0] for i in range(n)]


def ask(d, token, headers=None):
    """The status of a request without consequences."""
    return d.get("/api/v1/sse/stats/", token, headers=headers or {})[0]


def test_failures_of_an_address_are_limited(served):
    served.configure("[server]", LIMITS)
    d = served.daemon.start().wait_ready()
    Client(d, served.anna).hello().close()
    assert guesses(d, 14) == [401] * 10 + [429] * 4
    status, headers, body = d.get(EVENTS, "another")
    assert status == 429 and 3 <= int(headers["Retry-After"]) <= 3600 / 10 + 1
    assert "unknown credentials" in json.loads(body)["detail"]
    # an EventSource would give up for good: it gets a time to come back
    status, headers, body = d.get(EVENTS + "?token=another")
    assert status == 200 and headers["Content-Type"].startswith("text/event-stream")
    assert int(re.match(rb"retry: (\d+)\n", body).group(1)) > 300_000
    # what has been good lately passes, whoever guesses beside it; what is not looked up costs nothing
    Client(d, served.anna).hello()
    assert ask(d, served.anna) == 403  # of a role that may not
    assert ask(d, served.boss) == 429  # nobody knows it yet
    assert d.get(EVENTS)[0] == 401 and d.get("/healthz")[0] == 200
    d.wait_log(r"one address has tried auth_failures unknown credentials within .* peer=127\.0\.0\.1:")
    d.wait_log(r"no address tries too many unknown credentials any more clients=\d+ seconds=\d+")


def test_it_refills(served):
    served.configure("[server]", "[server]\nauth_failures = 2\nauth_failures_window = 1s")
    d = served.daemon.start().wait_ready()
    seen = []
    while 429 not in seen or seen[-1] != 401:  # refused, and then looked up again
        seen += guesses(d, 1)
        assert len(seen) < 100_000
    wait_until(lambda: ask(d, served.boss) == 200, "a credential that is good")


@pytest.mark.parametrize("setting, header, value", [
    ("x-forwarded-for", "X-Forwarded-For", "{}"),
    ("x-forwarded-for", "X-Forwarded-For", "198.51.100.77, {}"),
    ("x-forwarded-for", "X-Forwarded-For", "{}, 127.0.0.7"),
    ("x-forwarded-for", "X-Forwarded-For", "{}:4711"),
    ("forwarded", "Forwarded", "for=198.51.100.77, for={};proto=https"),
    ("forwarded", "Forwarded", 'for="{}:4711"'),
])
def test_others_behind_the_same_proxy_are_not_kept_out(served, setting, header, value):
    served.configure("[server]", LIMITS + f"trusted_proxies = 127.0.0.0/8\nclient_address = {setting}")
    d = served.daemon.start().wait_ready()
    bad, good = {header: value.format("203.0.113.1")}, {header: value.format("203.0.113.2")}
    assert guesses(d, 12, bad) == [401] * 10 + [429] * 2
    # what the client writes himself stands on the left, and lets him off as little
    # as a header that is not the configured one
    other = {"X-Forwarded-For": "Forwarded", "Forwarded": "X-Forwarded-For"}[header]
    forged = {header: "for=203.0.113.3, " + bad[header] if setting == "forwarded"
              else "203.0.113.3, " + bad[header], other: "203.0.113.3"}
    assert guesses(d, 2, forged, "forged") == [429] * 2
    assert ask(d, served.boss, good) == 200
    assert ask(d, served.anna, bad) == 429
    c = Client(d, served.anna, headers=good).hello()
    c.close()
    d.wait_log(r"SSE stream closed .* peer=203\.0\.113\.2 ")
    d.wait_log("unknown credentials within auth_failures_window")
    assert re.search(r"told to come back peer=203\.0\.113\.1\n", d.log())


def test_who_is_not_listed_is_not_believed(served):
    served.configure("[server]", LIMITS + "trusted_proxies = 192.0.2.1, 10.0.0.0/8")
    d = served.daemon.start().wait_ready()
    for i in range(10):
        assert guesses(d, 1, {"X-Forwarded-For": f"203.0.113.{i}"}, f"w{i}") == [401]
    assert guesses(d, 1, {"X-Forwarded-For": "203.0.113.99"}, "last") == [429]
    size = d.log_size()
    served.daemon.stop()
    d.start().wait_ready()
    Client(d, served.anna, headers={"X-Forwarded-For": "203.0.113.99"}).hello().close()
    d.wait_log(r"SSE stream closed .* peer=127\.0\.0\.1:\d+ ", size)


def test_a_proxy_that_says_nothing(served):
    """Its clients are taken for one, and the log says why."""
    served.configure("[server]", LIMITS + "trusted_proxies = 127.0.0.1")
    d = served.daemon.start().wait_ready()
    assert guesses(d, 11) == [401] * 10 + [429]
    d.wait_log("a proxy of trusted_proxies does not say for whom it asks, in the header that client_address"
               r" names: all its clients are taken for one peer=127\.0\.0\.1:")
    assert guesses(d, 1, {"X-Forwarded-For": "203.0.113.1"}, "other") == [401]


def test_many_who_come_in_are_no_attack(served):
    """After a restart nobody is known, and behind a proxy that is not listed all have one address: a
    few of many credentials have ended meanwhile."""
    served.configure("[server]", LIMITS)
    served.db.run("INSERT INTO api_user (id, username, role) SELECT g, 'u' || g, 'foreman'"
                  " FROM generate_series(100, 299) AS g")
    served.db.run("INSERT INTO authtoken_token (key, user_id) SELECT 'token-' || g, g"
                  " FROM generate_series(100, 299) AS g")
    d = served.daemon.start().wait_ready()
    for g in range(100, 300):
        Client(d, f"token-{g}").hello().close()
        if g % 5 == 0:
            assert guesses(d, 1, word=f"ended-{g}") == [401]
    assert guesses(d, 12, word="now")[-1] == 429


def test_a_list_that_is_none(install):
    text = install.conf.read_text()
    install.conf.write_text(text.replace("[server]", "[server]\ntrusted_proxies = 10.0.0.1, proxy"))
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode == 1
    assert '[server] trusted_proxies: "proxy" is no address, no range such as 10.0.0.0/8' in done.stderr


DOORS = """
[publish]
roles = pgherald
[auth jwt]
preset = jwt
key_file = {dir}/secret
user_table = public.api_user
[auth robots]
preset = apikey
key_file = {dir}/robots
users = claims
places = header:X-API-Key, authorization
[auth stored]
preset = apikey
user_table = public.api_user
places = header:X-Stored-Key
[auth page]
preset = custom
places = cookie:access
user_table = public.api_user
[auth ticket]
preset = ticket
[route events]
path = /api/v1/sse/events/
auth = ticket, robots, stored, jwt, page, drf
[route send]
path = /send
kind = send
auth = robots, stored, jwt, drf
[route ticket]
path = /auth/ticket
kind = ticket
opens = events
auth = jwt, drf
[route renew]
path = /auth/renew
kind = renew
auth = jwt, drf
"""


def secret_like(n):
    return f"pgh_{n:08d}_" + "A" * 43


def ticket_like(n):
    return "pgt_" + base64.urlsafe_b64encode(bytes([n]) * 32).rstrip(b"=").decode()


def forged(n):
    """Well made, but for the key."""
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()  # noqa: E731
    head = part({"alg": "HS256"}) + "." + part({"sub": "1", "exp": int(time.time()) + 3600, "n": n})
    return head + "." + base64.urlsafe_b64encode(hmac.digest(b"x" * 40, head.encode(), "sha256")).rstrip(b"=").decode()


# What is guessed, by what goes around it: (method, path, headers).
GUESSES = {
    "a JWT": lambda n: ("GET", EVENTS, {"Authorization": "Bearer " + forged(n)}),
    "a JWT in the URL": lambda n: ("GET", EVENTS + "?transport=poll&token=" + forged(n), {}),
    "an API key of a file": lambda n: ("GET", EVENTS, {"X-API-Key": secret_like(n)}),
    "an API key of a table": lambda n: ("GET", EVENTS, {"X-Stored-Key": secret_like(n)}),
    "a cookie": lambda n: ("GET", EVENTS + "?transport=ndjson", {"Cookie": f"access=guess-{n}"}),
    "a ticket": lambda n: ("GET", EVENTS + "?transport=ndjson&token=" + ticket_like(n), {}),
    "a token for a WebSocket": lambda n: ("GET", EVENTS, {
        "Authorization": f"Token guess-{n}", "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}),
    "who posts": lambda n: ("POST", "/send", {"Authorization": f"Token guess-{n}"}),
    "who posts with a JWT": lambda n: ("POST", "/send", {"Authorization": "Bearer " + forged(n)}),
    "who wants a ticket": lambda n: ("POST", "/auth/ticket", {"Authorization": f"Token guess-{n}"}),
    "who renews": lambda n: ("POST", "/auth/renew?stream=0.1", {"Authorization": "Bearer " + forged(n)}),
}


@pytest.fixture(scope="module")
def many_doors(cluster, tmp_path_factory):
    """One daemon; each test is another client's."""
    directory = tmp_path_factory.mktemp("many_doors")
    directory.chmod(0o755)
    db = cluster.create_database("app_template")
    db.run("CREATE TABLE api_key (hash text PRIMARY KEY, user_id bigint NOT NULL REFERENCES api_user)")
    install = Install(db, directory)
    keys = {"secret": "a secret of more than thirty-two bytes\n"}
    keys["robots"], good = subprocess.run(
        [PGHERALD, "token", "key", "--user", "importer", "--role", "manager"], capture_output=True, text=True,
        check=True).stdout.splitlines()
    for name, text in keys.items():
        (directory / name).write_text(text + "\n")
        (directory / name).chmod(0o600)
    install.conf.write_text(install.conf.read_text().replace(
        "[server]\n", "[server]\nauth_failures = 3\nauth_failures_window = 1h\ntrusted_proxies = 127.0.0.1\n")
        .replace("receives = all\n", "receives = all\npublish = *\n") + DOORS.replace("{dir}", str(directory)))
    install.apply()
    s = Served(install, directory)
    s.good = good
    s.daemon.start().wait_ready()
    yield s
    s.daemon.kill()
    db.drop()


@pytest.mark.parametrize("what", GUESSES)
def test_every_door_counts_guesses(many_doors, what):
    """However it comes, and whatever it is to open."""
    d = many_doors.daemon
    who = {"X-Forwarded-For": f"198.51.100.{list(GUESSES).index(what)}"}

    def guess(n):
        method, path, headers = GUESSES[what](n)
        return d.request(method, path, headers | who)[0]

    assert [guess(n) for n in range(5)] == [401] * 3 + [429] * 2
    # for all doors of that client, but not for another one
    assert d.request("GET", EVENTS, {"Authorization": "Token token-anna"} | who)[0] == 429
    stats = d.request("POST", "/send", {"X-API-Key": many_doors.good, "X-Forwarded-For": "203.0.113.1"})
    assert stats[0] == 400  # a body that is none
