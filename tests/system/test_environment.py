# SPDX-License-Identifier: PostgreSQL
"""Variables of the environment on top of the file, for routes that say so; and the test pages of a developer."""

import json
import os
import re
import subprocess

import pytest

from conftest import HEAD, HERE, Install, Served, run_pgherald
from lib.browser import Browser, find
from lib.daemon import PATIENCE_S, Client
from lib.posting import post
from lib.websocket import WebSocket

PRESETS = HERE.parents[1] / "presets"
ROLES = HEAD.replace("receives = own\n", "receives = own\nchannels = news, project.*\n").replace(
    "receives = all\n", "receives = all\npublish = *\n")
CONF = f"""{ROLES}
[publish]
roles = pgherald
include = {PRESETS}/streaming.conf
include = {PRESETS}/projects.conf
[route mine]
path = /mine
[route said]
path = /said
kind = send
environment = SSE
"""
NONE = "[auth everybody]\npreset = none\nrole = foreman\n"


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    db = cluster.create_database("app_template")
    directory = tmp_path_factory.mktemp("environment")
    install = Install(db, directory)
    install.write(CONF)
    install.apply()
    s = Served(install, directory)
    yield s
    s.daemon.kill()
    db.drop()


@pytest.fixture
def started(place):
    """A daemon with these variables and this configuration."""
    def start(server="", below="", **variables):
        place.install.write(CONF.replace("listen = 127.0.0.1:0\n", f"listen = 127.0.0.1:0\n{server}") + below)
        place.daemon.prefix = ["env", *(f"{k}={v}" for k, v in variables.items())]
        return place.daemon.start().wait_ready()
    yield start
    place.daemon.stop()
    place.daemon.prefix = []


def printed(install, **variables):
    """Each route's settings, as --print-config has them; or what the program has to say."""
    done = subprocess.run([os.environ["PGHERALD"], "--print-config", "-c", install.conf], text=True,
                          capture_output=True, env={**os.environ, **variables}, timeout=PATIENCE_S)
    if done.returncode:
        return done.stderr
    routes = re.findall(r"^\[route ([^]]+)]\n((?:.+\n)*)", done.stdout, re.M)
    return {name: dict(line.split(" = ", 1) if " = " in line else (line.removesuffix(" ="), "")
                       for line in body.splitlines()) for name, body in routes}


# A variable, its value, and what it sets of which route.
SETS = [
    ("WEBSOCKET_ENABLED", "false", "ws", "enabled", "no"),
    ("WEBSOCKET_ENABLED", "true", "ws", "enabled", "yes"),
    ("WEBSOCKET_ENABLED", "0", "ws-page", "enabled", "no"),
    ("WEBSOCKET_AUTH_REQUIRED", "true", "ws", "auth", "drf"),
    ("WEBSOCKET_AUTH_REQUIRED", "false", "ws", "auth", "drf, everybody"),
    ("WEBSOCKET_HEARTBEAT_INTERVAL", "7", "ws", "keepalive", "7s"),
    ("WEBSOCKET_MAX_CONNECTIONS", "12", "ws", "max_streams", "12"),
    ("WEBSOCKET_MESSAGE_QUEUE_SIZE", "13", "ws", "queue_events", "13"),
    ("WEBSOCKET_DISCONNECT_TIMEOUT", "61", "ws", "stall", "61s"),
    ("SSE_ENABLED", "False", "sse", "enabled", "no"),
    ("SSE_AUTH_REQUIRED", "false", "sse", "auth", "drf, everybody"),
    ("SSE_HEARTBEAT_INTERVAL", "8", "sse", "keepalive", "8s"),
    ("SSE_MAX_CONNECTIONS", "14", "sse", "max_streams", "14"),
    ("SSE_RETRY_TIMEOUT", "3500", "sse", "retry", "3500ms"),
    ("SSE_MAX_MESSAGE_SIZE", "2048", "said", "max_body", "2048"),
    ("TEST_MODE", "true", "project", "test_mode", "yes"),
    ("TEST_MODE", "", "project", "test_mode", "no"),
]


@pytest.mark.parametrize("variable, value, route, setting, means", SETS)
def test_each_sets_what_it_says(place, variable, value, route, setting, means):
    place.install.write(CONF + NONE)
    without, there = printed(place.install), printed(place.install, **{variable: value})
    assert there[route][setting] == means
    # ... and of a route that names no family nothing at all
    assert there["mine"] == without["mine"]
    family = "WEBSOCKET" if variable.startswith("WEBSOCKET") else "SSE" if variable.startswith("SSE") else "TEST_MODE"
    assert {n for n in there if there[n] != without[n]} <= {n for n in there if there[n]["environment"] == family}


@pytest.mark.parametrize("family", ["WEBSOCKET", "SSE"])
def test_a_family_is_switched_off_as_a_whole(place, family):
    """Whatever stands below its path in any preset, and nothing else; also what is posted there."""
    everything = "".join(f"include = {p}\n" for p in sorted(PRESETS.iterdir()))
    place.install.write(f"{ROLES}\n[publish]\nroles = pgherald\n{everything}")
    without, there = printed(place.install), printed(place.install, **{family + "_ENABLED": "false"})
    below = {"WEBSOCKET": "/ws/", "SSE": "/sse/"}[family]
    its_own = {name for name, route in without.items() if route["path"].startswith(below)}
    assert len(its_own) > 3 and {n for n in there if there[n]["enabled"] == "no"} == its_own
    assert all(there[n] == without[n] for n in set(there) - its_own)


# As it stands; the last five are of pgherald.compat and of keys, and nothing of a route's.
BLOCK = """
# Включение компонентов
WEBSOCKET_ENABLED=true
SSE_ENABLED=true
WEBSOCKET_AUTH_REQUIRED=false
SSE_AUTH_REQUIRED=false

# Настройки WebSocket
WEBSOCKET_HEARTBEAT_INTERVAL=30
WEBSOCKET_MAX_CONNECTIONS=1000
WEBSOCKET_MESSAGE_QUEUE_SIZE=100
WEBSOCKET_DISCONNECT_TIMEOUT=60

# Настройки SSE
SSE_HEARTBEAT_INTERVAL=30
SSE_MAX_CONNECTIONS=500
SSE_RETRY_TIMEOUT=3000
SSE_MAX_MESSAGE_SIZE=1048576

# Авторизация
WS_JWT_SECRET_KEY=your-websocket-secret-key
WS_JWT_ALGORITHM=HS256
WS_JWT_EXPIRE_MINUTES=60
WS_API_KEY_HEADER=X-API-Key
WS_API_KEYS=api-key-1,api-key-2
"""


def test_the_block_of_the_document(place, started):
    """All of it at once is what the presets say by themselves, but for who is let in."""
    block = dict(line.split("=") for line in BLOCK.splitlines() if "=" in line)
    place.install.write(CONF + NONE)
    without, there = printed(place.install), printed(place.install, **block)
    for name in ("ws", "sse"):
        changed = {k for k in there[name] if there[name][k] != without[name].get(k)}
        assert changed <= {"auth"}, (name, changed)
    assert there["ws"]["auth"] == there["sse"]["auth"] != without["ws"]["auth"]
    d = started(below=NONE, **block)
    for path, status in (("/ws/connect", 101), ("/sse/connect", 200)):
        c = (WebSocket if status == 101 else Client)(d, None, path=path)
        c.read_until(lambda c=c: c.headers is not None, path)
        assert c.status == status
        c.close()


# What cannot be meant: the variable is named, and where it would have gone.
WRONG = [
    ({"SSE_MAX_CONNECTIONS": "many"}, "SSE_MAX_CONNECTIONS in the environment, for [route sse]: max_streams must be a "
                                      "number"),
    ({"SSE_MAX_CONNECTIONS": "-1"}, "max_streams must be a number"),
    ({"SSE_HEARTBEAT_INTERVAL": "0"}, "keepalive must be between 1000 and 3600000 milliseconds"),
    ({"SSE_HEARTBEAT_INTERVAL": "30s"}, "SSE_HEARTBEAT_INTERVAL in the environment"),
    ({"SSE_RETRY_TIMEOUT": "3600001"}, "retry must be between"),
    ({"SSE_MAX_MESSAGE_SIZE": "1048577"}, "max_body must be"),
    ({"WEBSOCKET_ENABLED": "maybe"}, 'enabled must be yes or no, not "maybe"'),
    ({"SSE_AUTH_REQUIRED": "maybe"}, "it is neither true nor false"),
    ({"SSE_AUTH_REQUIRED": "false"}, "needs an [auth] with preset = none and a role"),
    ({"TEST_MODE": "x" * 100000}, "test_mode must be yes or no"),
]


@pytest.mark.parametrize("variables, words", WRONG)
def test_a_wrong_value_is_named(place, variables, words):
    place.install.write(CONF)
    said = printed(place.install, **variables)
    assert words in said and len(said) < 400, said


def test_a_family_that_is_none_is_refused(install):
    install.write(ROLES + "[route a]\npath = /a\nenvironment = PATH\n")
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode and "environment: there is no PATH; there are WEBSOCKET, SSE and TEST_MODE" in done.stderr


def test_what_is_switched_off_is_not_there(place, started):
    d = started(WEBSOCKET_ENABLED="false", SSE_MAX_CONNECTIONS="1", SSE_RETRY_TIMEOUT="4321",
                SSE_MAX_MESSAGE_SIZE="1024", TEST_MODE="true")
    assert "from the environment, on top of the file: WEBSOCKET_ENABLED = false, SSE_MAX_CONNECTIONS = 1" in d.log()
    for path in ("/ws/connect", "/ws/stats", "/ws/connections"):
        assert d.get(path, place.boss)[0] == 404
    # the stream's first bytes, and the one place that there is
    c = Client(d, place.anna, path="/sse/connect")
    c.read_until(lambda: b"retry: 4321\n" in c.raw_body, "the first bytes")
    assert d.get("/sse/connect", place.boris)[0] == 503
    c.close()
    # one message that says so, and the end
    status, headers, body = d.get("/api/v1/events/project.7", place.anna)
    assert (status, body) == (200, b'data: {"type":"test","message":"SSE endpoint working"}\n\n')
    for size, status in ((1024, 201), (1025, 413)):
        body = json.dumps({"channel": "news", "event": "e", "data": ""})
        body = body.replace('""', '"' + "x" * (size - len(body)) + '"')
        assert len(body) == size
        assert post(place, "/said", body.encode())[0] == status


def test_without_a_credential_when_that_is_said(place, started):
    d = started(below=NONE, WEBSOCKET_AUTH_REQUIRED="false", SSE_AUTH_REQUIRED="true")
    assert "/ws/connect lets everybody in, as foreman" in d.log()
    c = WebSocket(d, None, path="/ws/connect").hello()
    assert c.status == 101
    c.close()
    assert d.get("/sse/connect", None)[0] == 401
    assert d.get("/ws/connect", "wrong", headers={"Connection": "Upgrade", "Upgrade": "websocket"})[0] in (401, 426)


# Where everybody may be let in by a variable: on this machine, or where somebody has said that it is meant.
OPEN = [
    ("listen = 127.0.0.1:8080", None),
    ("listen = localhost:8080, [::1]:8081, 127.1.2.3:8082", None),
    ("listen = 0.0.0.0:8080", "listen = 0.0.0.0:8080 is reached from elsewhere"),
    ("listen = :8080", "listen = :8080 is reached from elsewhere"),
    ("listen = 127.0.0.1:8080, [::]:8080", "listen = [::]:8080 is reached"),
    ("listen = localhost.example.org:8080", "is reached from elsewhere"),
    ("listen = 127.0.0.1.example.org:8080", "is reached from elsewhere"),
    ("listen = unix:/run/pgherald/http.sock", "is reached from elsewhere"),
    ("listen = 127.0.0.1:8080\ntrusted_proxies = 127.0.0.1", "there are trusted_proxies"),
    ("listen = 0.0.0.0:8080\nallow_insecure = no", "is reached from elsewhere"),
    ("listen = 0.0.0.0:8080\nallow_insecure = yes", None),
]


@pytest.mark.parametrize("listen, words", OPEN)
@pytest.mark.parametrize("variable", ["SSE_AUTH_REQUIRED", "WEBSOCKET_AUTH_REQUIRED"])
def test_everybody_is_let_in_on_this_machine_only(place, variable, listen, words):
    place.install.write(CONF.replace("listen = 127.0.0.1:0", listen) + NONE)
    assert isinstance(printed(place.install), dict)  # without the variable all of these are good
    assert isinstance(printed(place.install, **{variable: "true"}), dict)
    said = printed(place.install, **{variable: "false"})
    route = "sse" if variable.startswith("SSE") else "ws"
    if words is None:
        assert said[route]["auth"] == "drf, everybody"
    else:
        assert variable in said and f"[route {route}]" in said and words in said and "allow_insecure = yes" in said


def test_the_file_may_let_everybody_in_anywhere(place):
    place.install.write(CONF.replace("listen = 127.0.0.1:0", "listen = 0.0.0.0:8080") + NONE
                        + "[route all]\npath = /all\nenvironment = SSE\nauth = drf, everybody\n")
    said = printed(place.install, SSE_AUTH_REQUIRED="false")
    assert "[route all]" not in said and "[route sse]" in said


def test_each_start_warns_of_it(place, started):
    d = started("allow_insecure = yes\n", below=NONE, SSE_AUTH_REQUIRED="false")
    assert "has a door with preset = none, by SSE_AUTH_REQUIRED" in d.log()
    size = d.log_size()
    d.stop()
    d.start().wait_ready()
    for words in ("/sse/connect lets everybody in, as foreman", "allow_insecure = yes: variables of the environment"):
        assert words in d.log(size)


# --- the pages -----------------------------------------------------------------------------------


def test_no_page_but_for_developers(place, started):
    d = started()
    for path in ("/ws/test-page", "/sse/test"):
        assert d.get(path, place.boss)[0] == 404
    assert "test pages" not in d.log()


def test_the_page_may_do_nothing_else(place, started):
    d = started("developer = yes\n")
    assert "there are test pages" in d.log()
    seen = set()
    for path in ("/ws/test-page", "/sse/test"):
        status, headers, body = d.get(path, None)
        assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
        policy = headers["Content-Security-Policy"]
        nonce = re.search(r"script-src 'nonce-([A-Za-z0-9_-]{22})'", policy).group(1)
        assert policy == (f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
                          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
        text = body.decode()
        assert text.count(f'nonce="{nonce}"') == text.count("nonce=") == 2
        assert not re.search(r"{{|\son\w+=|javascript:|innerHTML|https?://", text)
        assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"
        seen.add(nonce)
    assert len(seen) == 2
    assert d.request("POST", "/sse/test")[0] == 405


def test_a_page_is_of_a_route_of_events(install):
    install.write(ROLES + "[route p]\npath = /p\nkind = page\nopens = nothing\n")
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode and "[route p] opens must name a route of events" in done.stderr


@pytest.mark.skipif(not find(), reason="not installed: chromium")
def test_the_pages_in_a_browser(place, started):
    d = started("developer = yes\n")
    url = f"http://{d.address[0]}:{d.address[1]}"
    lines = "[...document.querySelectorAll('#log div')].map((l) => l.textContent)"
    b = Browser()
    try:
        page = b.open(url + "/ws/test-page")
        fill = "document.getElementById('token').value = '%s'; document.getElementById('channels').value = 'news';"
        press = fill + "document.getElementById('go').click(), 0"
        page.eval(press % place.anna)
        page.wait("document.getElementById('state').textContent === 'connected'")
        page.eval("document.querySelector('#talk button').click(), 0")
        page.wait(f"{lines}.some((l) => l.includes('pong') && l.includes('\"1\"'))", "the answer to a ping")
        place.db.run("SELECT pgherald.publish('news', 'told', '{\"a\": \"<b>1</b>\"}')")
        page.wait(f"{lines}.some((l) => l.includes('<b>1</b>'))", "a message, as text")
        page.eval("document.getElementById('stop').click(), 0")
        page.wait(f"{lines}.some((l) => l.startsWith('closed: 1000'))")
        page.eval(press % "wrong")
        page.wait(f"{lines}.some((l) => l.startsWith('closed: 1006'))", "a refusal")

        page = b.open(url + "/sse/test")
        for transport, sign in (("sse", "event: told"), ("ndjson", '"told"'), ("poll", '"told"')):
            page.eval(f"document.getElementById('log').textContent = ''; document.getElementById('transport').value = "
                      f"'{transport}';" + press % place.anna)
            page.wait("!document.getElementById('stop').disabled")
            if transport != "poll":
                page.wait(f"{lines}.some((l) => l.startsWith('200 '))")
            place.db.run("SELECT pgherald.publish('news', 'told', '{}')")
            page.wait(f"{lines}.some((l) => l.includes('{sign}'))", transport)
            page.eval("document.getElementById('stop').click(), 0")
            page.wait("document.getElementById('stop').disabled")
        page.eval(press % "wrong")
        page.wait(f"{lines}.some((l) => l.startsWith('401 '))", "a refusal in words")
    finally:
        b.close()
