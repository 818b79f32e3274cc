# SPDX-License-Identifier: PostgreSQL
"""What pages of other sites can do with somebody's browser, over every kind of route: which page may use a cookie, or
open a WebSocket, by what the browser says of it; what CORS lets a page read, to the letter; and what a page of the
public net is told that asks for an address behind a wall."""

import http.client
import json

import pytest
from conftest import HEAD, served_by
from lib.daemon import PATIENCE_S, wait_until
from lib.websocket import HANDSHAKE

LISTED = "https://app.example.org"
CONF = HEAD.replace("[server]\n", f"[server]\ncors_origins = {LISTED}, https://other.example.org:8443\nauth_failures = 0\n"
                    ).replace("receives = all\n", "receives = all\npublish = *\n") + """
[publish]
roles = pgherald
[watch project]
table = public.api_project
fields = id
[role guest]
receives = all
events = project.*
[auth page]
preset = custom
places = cookie:access
user_table = public.api_user
[auth everybody]
preset = none
role = guest
[auth ticket]
preset = ticket
[route events]
path = /events/
auth = ticket, page, drf
[route board]
path = /board/
auth = page, drf, everybody
[route stats]
path = /stats/
kind = stats
auth = page, drf
[route explain]
path = /explain/
kind = explain
auth = page, drf
[route ticket]
path = /ticket/
kind = ticket
opens = events
auth = page, drf
[route renew]
path = /renew/
kind = renew
auth = page, drf
[route broadcast]
path = /broadcast/
kind = broadcast
auth = page, drf
[route send]
path = /send/
kind = send
auth = page, drf
"""

SAID = json.dumps({"event": "chat.said", "data": {}})
SENT = json.dumps({"channel": "news", "event": "chat.said", "data": {}})
# (method, path, body, what somebody is answered who may): every kind of route.
KINDS = {
    "events": ("GET", "/events/", None, 200),
    "websocket": ("GET", "/events/", None, 101),
    "board": ("GET", "/board/", None, 200),
    "stats": ("GET", "/stats/", None, 200),
    "explain": ("GET", "/explain/?user=1&event=1", None, 200),
    "ticket": ("POST", "/ticket/", None, 201),
    "renew": ("POST", "/renew/?stream=0.999", None, 404),
    "broadcast": ("POST", "/broadcast/", SAID, 201),
    "send": ("POST", "/send/", SENT, 201),
}
POSTS = {kind for kind, (method, *_) in KINDS.items() if method == "POST"}
YES, NO, GET_ONLY = "yes", "no", "no post"

# What a browser, or what is none, says of the page; whether a cookie is of use then.
PAGES = [
    ({"Origin": "https://test"}, YES),
    ({"Origin": "http://test"}, YES),  # TLS is the proxy's
    ({"Origin": "https://test", "Sec-Fetch-Site": "same-origin"}, YES),
    ({"Origin": "http://test", "Sec-Fetch-Site": "cross-site"}, NO),  # the name, made by whoever is on the way
    ({"Origin": "https://TEST"}, YES),
    ({"Origin": LISTED}, YES),
    ({"Origin": LISTED, "Sec-Fetch-Site": "cross-site"}, YES),
    ({}, GET_ONLY),
    ({"Sec-Fetch-Site": "same-origin"}, GET_ONLY),
    ({"Sec-Fetch-Site": "none"}, GET_ONLY),
    ({"Referer": "https://test/page"}, GET_ONLY),  # it opens nothing …
    ({"Referer": LISTED + "/page"}, GET_ONLY),
    ({"Referer": "https://test/page", "Sec-Fetch-Site": "cross-site"}, NO),
    ({"Referer": "https://test/page", "Origin": "https://evil.example.org"}, NO),
    ({"Referer": "https://evil.example.org/", "Origin": "https://test"}, YES),  # … and closes nothing
    ({"Sec-Fetch-Site": "same-site"}, NO),
    ({"Sec-Fetch-Site": "cross-site"}, NO),
    ({"Sec-Fetch-Site": "something-new"}, NO),
    ({"Sec-Fetch-Site": ""}, NO),
    ({"Origin": "null"}, NO),
    ({"Origin": ""}, NO),
    ({"Origin": "https://evil.example.org"}, NO),
    ({"Origin": "https://evil.example.org", "Sec-Fetch-Site": "same-origin"}, NO),
    ({"Origin": "https://test.evil.example.org"}, NO),
    ({"Origin": "https://eviltest"}, NO),
    ({"Origin": "https://test:8443"}, NO),
    ({"Origin": "https://test/"}, NO),
    ({"Origin": "https://user@test"}, NO),
    ({"Origin": "test"}, NO),
    ({"Origin": LISTED + ".evil.example.org"}, NO),
    ({"Origin": LISTED + ":443"}, NO),
    ({"Origin": LISTED + "/"}, NO),
    ({"Origin": LISTED.upper()}, NO),
    ({"Origin": LISTED.replace("https", "http")}, NO),
    ({"Origin": "https://other.example.org"}, NO),  # listed with another port
    ({"Origin": "*"}, NO),
]


@pytest.fixture(scope="module")
def d(cluster, tmp_path_factory):
    with served_by(cluster, tmp_path_factory.mktemp("cross_site"), CONF) as s:
        yield s.daemon


def ask(d, kind, headers, method=None):
    """(status, headers) of an answer, whose body is left where it is."""
    usual, path, body, _ = KINDS[kind]
    headers = {"Host": "test"} | headers | ({"Content-Type": "application/json"} if body and not method else {})
    if kind == "websocket" and not method:
        headers |= HANDSHAKE
    c = http.client.HTTPConnection(*d.address, timeout=PATIENCE_S)
    try:
        c.request(method or usual, path, body=None if method else body, headers=headers)
        answer = c.getresponse()
        return answer.status, answer.headers
    finally:
        c.close()


def reads(headers):
    return headers["Access-Control-Allow-Origin"], headers["Access-Control-Allow-Credentials"]


@pytest.mark.parametrize("kind", KINDS)
def test_which_page_may_use_a_cookie(d, kind):
    good = KINDS[kind][3]
    for page, may in PAGES:
        status, headers = ask(d, kind, {"Cookie": "access=token-boss"} | page)
        allowed = may == YES or (may == GET_ONLY and kind not in POSTS)
        assert status == (good if allowed else 403), (page, status)
        listed = page.get("Origin") == LISTED
        if kind != "websocket":
            assert reads(headers) == ((LISTED, "true") if listed else (None, None)), page
            assert headers["Vary"] == "Origin", page
            assert "no-store" in headers["Cache-Control"] or "no-cache" in headers["Cache-Control"], page
    # what is refused has not been looked up: a wrong cookie is no news for that page
    assert ask(d, kind, {"Cookie": "access=wrong", "Origin": "https://evil.example.org"})[0] == 403
    assert ask(d, kind, {"Cookie": "access=wrong", "Origin": LISTED})[0] == 401


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_comes_from_nobody_but_the_page(d, kind):
    """No browser adds it by itself: whose page it is decides what may be read, and nothing else."""
    good = KINDS[kind][3]
    for page, _ in PAGES[::4]:
        status, headers = ask(d, kind, {"Authorization": "Token token-boss"} | page)
        assert status == good, page
        if kind != "websocket":
            assert reads(headers) == ((LISTED, "true") if page.get("Origin") == LISTED else (None, None)), page


def test_the_first_that_is_found_decides_whose_page_it_must_be(d):
    """A cookie's rules are for the request that is let in by it; at a route of tickets a header is looked at first."""
    both = {"Cookie": "access=token-boss", "Authorization": "Token token-boss", "Origin": "https://evil.example.org"}
    first = {"events": 200, "websocket": 101}
    assert {kind: ask(d, kind, both)[0] for kind in KINDS} == dict.fromkeys(KINDS, 403) | first
    both["Authorization"] = "Token wrong"
    assert {kind: ask(d, kind, both)[0] for kind in first} == dict.fromkeys(first, 401)


def test_two_origins_are_none(d):
    for two in (LISTED + ", https://evil.example.org", LISTED + " https://evil.example.org"):
        status, headers = ask(d, "events", {"Cookie": "access=token-boss", "Origin": two})
        assert status in (400, 403) and reads(headers) == (None, None), two


def test_no_websocket_of_another_page_where_everybody_comes_in(d):
    """CORS keeps a page from reading an anonymous stream; nothing but this keeps it from a WebSocket."""
    def status(**page):
        c = http.client.HTTPConnection(*d.address, timeout=PATIENCE_S)
        try:
            c.request("GET", "/board/", headers={"Host": "test"} | HANDSHAKE | page)
            return c.getresponse().status
        finally:
            c.close()

    for page, may in PAGES:
        foreign = "Origin" in page and may == NO
        assert status(**page) in ((403,) if foreign else (101, 403) if may == NO else (101,)), page


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "websocket"])
def test_preflights(d, kind):
    method = KINDS[kind][0]
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
    for origin, private, answer in (
            (LISTED, None, (LISTED, "true", None)), (LISTED, "true", (LISTED, "true", "true")),
            (LISTED, "false", (LISTED, "true", None)), ("https://evil.example.org", "true", (None, None, None)),
            ("null", "true", (None, None, None)), (LISTED + ".evil", "true", (None, None, None)),
            (None, "true", (None, None, None))):
        page = asked | ({"Origin": origin} if origin else {})
        if private:
            page |= {"Access-Control-Request-Private-Network": private}
        status, headers = ask(d, kind, page, "OPTIONS")
        assert (status, headers["Vary"]) == (204, "Origin")
        assert (*reads(headers), headers["Access-Control-Allow-Private-Network"]) == answer, page
        assert headers["Access-Control-Allow-Methods"] == f"{method}, OPTIONS"
        assert "*" not in headers["Access-Control-Allow-Headers"]
    # a preflight brings no credential, and needs none
    assert ask(d, kind, asked | {"Origin": LISTED, "Cookie": "access=wrong"}, "OPTIONS")[0] == 204


def test_a_star_lets_read_what_needs_no_cookie(d):
    """Every page may read with a token of its own; none gets to use a cookie, nor behind a wall."""
    with open(d.conf) as f:
        text = f.read()
    size = d.log_size()
    with open(d.conf, "w") as f:
        f.write(text.replace("cors_origins = ", "cors_origins = *, "))
    d.signal(1)
    d.wait_log("configuration reloaded", size)
    evil = {"Origin": "https://evil.example.org"}
    try:
        wait_until(lambda: reads(ask(d, "stats", evil)[1])[0], "the new configuration")
        for kind in KINDS:
            assert ask(d, kind, evil | {"Cookie": "access=token-boss"})[0] == 403, kind
            status, headers = ask(d, kind, evil | {"Authorization": "Token token-boss"})
            assert status == KINDS[kind][3], kind
            if kind != "websocket":
                assert reads(headers) == (evil["Origin"], None), kind
                private = evil | {"Access-Control-Request-Private-Network": "true"}
                headers = ask(d, kind, private | {"Access-Control-Request-Method": "GET"}, "OPTIONS")[1]
                assert headers["Access-Control-Allow-Private-Network"] is None, kind
    finally:
        size = d.log_size()
        with open(d.conf, "w") as f:
            f.write(text)
        d.signal(1)
        d.wait_log("configuration reloaded", size)
