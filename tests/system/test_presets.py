# SPDX-License-Identifier: PostgreSQL
"""The presets: each is one line, all of them stand beside each other, and a file goes on with what it has
included. What cannot be included says so, with its place."""

import json
import re

import pytest

from conftest import HEAD, HERE, run_pgherald
from lib.daemon import Client

PRESETS = HERE.parents[1] / "presets"
NAMES = ("chat", "estimates", "projects", "publishing", "streaming", "tasks")
ROLES = HEAD.replace("receives = own\n", "receives = own\nchannels = chat:*, project.*, session:*\n") + "\n[publish]\nroles = pgherald\n"
PATHS = {"/my/chat/session-id/events/": b"heartbeat", "/api/v1/sse/events/": b"SSE connection established",
         "/api/v1/events/project.7": b"id: ", "/sse/connect": b"id: ", "/events": b"herald.hello",
         "/events?session_id=4": b"herald.hello"}


class Raw:
    def feed(self, data):
        return []


def test_every_preset_is_tried():
    assert sorted(p.stem for p in PRESETS.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_one_line(install, name):
    install.write(ROLES + f"\ninclude = {PRESETS}/{name}.conf\n")
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode == 0, done.stderr
    printed = run_pgherald("--print-config", "-c", install.conf).stdout
    assert f"dialect = {dict(chat='chat', estimates='django', publishing='django', projects='raw', streaming='streaming', tasks='plain')[name]}\n" in printed


def test_all_of_them_at_once(served):
    served.install.conf.write_text("".join(f"include = {PRESETS}/{n}.conf\n" for n in NAMES) +
                                   ROLES.replace("{conninfo}", served.db.conninfo("pgherald")) +
                                   served.install.conf.read_text().partition("user_table = public.api_user\n")[2])
    d = served.daemon.start().wait_ready()
    for path, first in PATHS.items():
        where, _, query = path.partition("?")
        c = Client(d, served.anna, path=where, extra_query=query, parser=Raw())
        c.read_until(lambda c=c, first=first: first in c.raw_body, path)
        c.close()
    assert d.get("/api/v1/sse/stats/", served.boss)[0] == 200
    assert d.get("/ws/stats", served.boss)[0] == d.get("/ws/connections", served.boss)[0] == 200
    for path in ("/ws/broadcast", "/ws/send-to-channel", "/ws/send-to-user", "/sse/send-to-channel", "/sse/notification"):
        assert d.request("POST", path, {"Authorization": "Token " + served.boss}, body=b"{}")[0] == 403, path  # no publish =
    assert d.get("/my/chat/a/events/", None)[0] == 401
    assert d.request("POST", "/sse/subscribe?stream=0.1", {"Authorization": "Token " + served.anna}, body=b"{}")[0] == 404


METHODS = {"/events": "GET, OPTIONS", "/sse/connect": "GET, OPTIONS", "/my/chat/7/events/": "GET, OPTIONS",
           "/api/v1/sse/stats/": "GET, OPTIONS", "/ws/stats": "GET, OPTIONS", "/ws/connections": "GET, OPTIONS",
           "/ws/broadcast": "POST, OPTIONS", "/ws/send-to-channel": "POST, OPTIONS", "/ws/send-to-user": "POST, OPTIONS",
           "/sse/send-to-channel": "POST, OPTIONS", "/sse/notification": "POST, OPTIONS", "/sse/subscribe": "POST, OPTIONS",
           "/sse/unsubscribe": "POST, OPTIONS", "/ws/connections/0.1": "DELETE, OPTIONS", "/healthz": "GET, HEAD",
           "/readyz": "GET, HEAD"}


def test_a_path_names_its_methods(served):
    """Whatever the method, and however the path is spelled; what is not there has none."""
    served.install.conf.write_text("".join(f"include = {PRESETS}/{n}.conf\n" for n in NAMES) +
                                   ROLES.replace("{conninfo}", served.db.conninfo("pgherald")) +
                                   served.install.conf.read_text().partition("user_table = public.api_user\n")[2])
    d = served.daemon.start().wait_ready()
    for path, allow in METHODS.items():
        use = allow.partition(",")[0]
        for method in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "TRACE", "QUERY", "get"):
            if method in allow:
                continue
            for target in (path, path + "?x=1", f"http://t{path}", path.replace("s", "%73")):
                status, headers, body = d.request(method, target, {"Host": "t"})
                assert (status, headers.get("Allow")) == (405, allow), (method, target, status, headers)
                assert method == "HEAD" or json.loads(body)["detail"] == f"Method not allowed: use {use}.", (method, target, body)
        if "OPTIONS" in allow:
            status, headers, _ = d.request("OPTIONS", path)
            assert (status, headers["Allow"]) == (204, allow), path
    for method in ("PUT", "DELETE", "PATCH", "BREW"):
        for path in ("/", "/nowhere", "/ws/broadcast/", "/my/chat//events/"):
            status, headers, _ = d.request(method, path)
            assert (status, headers.get("Allow")) == (404, None), (method, path)
    body = b'{"event": "m", "data": 1}'
    for target in ("http://t/ws/broadcast", "/ws/%62roadcast"):  # the same path, and it takes a body
        assert d.request("POST", target, {"Host": "t", "Authorization": "Token " + served.boss}, body=body)[0] == 403, target  # no publish =
    assert d.request("POST", "/ws/broadcast/", {"Authorization": "Token " + served.boss}, body=body)[0] == 404


def test_the_numbers_of_the_documents(install):
    """What each of the five says of its pauses, queues and limits stands in its preset."""
    install.write(ROLES + "".join(f"include = {PRESETS}/{n}.conf\n" for n in NAMES))
    printed = run_pgherald("--print-config", "-c", install.conf).stdout
    routes = dict(re.findall(r"^\[route ([^]]+)]\n((?:.+\n)*)", printed, re.M))
    for name, settings in {
            "events": ("keepalive = 30s", "retry = 3s", "queue_events = 100"),
            "project": ("keepalive = 15s",),
            "sse": ("keepalive = 30s", "retry = 3s", "queue_events = 100", "max_streams = 500"),
            "ws": ("keepalive = 30s", "stall = 60s", "queue_events = 100", "max_streams = 1000"),
            "sse-send": ("max_body = 1048576",),
            "tasks": ("retry = 5s", "retry_each = yes")}.items():
        for setting in settings:
            assert setting + "\n" in routes[name], (name, setting, routes[name])


def test_where_a_file_is_looked_for(install, tmp_path):
    """Beside the one that names it; sections go on where the including file says so, once."""
    beside = tmp_path / "routes"
    beside.mkdir()
    (beside / "mine.conf").write_text("[route mine]\npath = /mine\nretry = 7s\n")
    install.write(ROLES + "\ninclude = routes/mine.conf\n[route mine]\nkeepalive = 9s\n")
    printed = run_pgherald("--print-config", "-c", install.conf).stdout
    assert printed.count("[route ") == 1 and "path = /mine\n" in printed
    assert "keepalive = 9s\n" in printed and "retry = 7s\n" in printed


@pytest.mark.parametrize("tail, within, said", [
    ("include = nothing.conf\n", "", "include: "),
    ("include =\n", "", "include names no file"),
    ("include = mine.conf\n", "include = mine.conf\n", "a file that is included includes none"),
    ("include = mine.conf\n", "[route a]\npath = x\n", "[route a] path must begin with /"),
    ("include = mine.conf\n", "path = /x\n", "path stands before the first section"),
    ("include = mine.conf\n", "[route a]\nretry = 3s\n", "[route a] has no path"),
    ("include = mine.conf\nretry = 3s\n", "[route a]\npath = /x\n", "retry stands before the first section"),
    ("include = mine.conf\ninclude = mine.conf\n", "[route a]\npath = /x\n", "[route a] is there twice"),
    ("include = mine.conf\n[route a]\n[route a]\n", "[route a]\npath = /x\n", "[route a] is there twice"),
    ("include = mine.conf\n" * 33, "", "more than 32 files are included"),
    ("[route b]\ninclude = mine.conf\n", "", "[route b] has no path"),
])
def test_what_cannot_be_included(install, tmp_path, tail, within, said):
    (tmp_path / "mine.conf").write_text(within)
    install.write(ROLES + "\n" + tail)
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode != 0 and said in done.stderr, done.stderr
    inside = within and "twice" not in said and "retry stands" not in said
    assert (":" if not inside else "mine.conf:") in done.stderr
