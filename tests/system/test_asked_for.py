# SPDX-License-Identifier: PostgreSQL
"""What a request asks for besides its path: it is done, or refused with a word on what there is, and
never passed over in silence. Filters, live and in what is caught up."""

import json

import pytest

from lib.daemon import EVENTS, STATS, Client, wait_until
from lib.websocket import HANDSHAKE


@pytest.fixture
def d(served):
    return served.daemon.start().wait_ready()


def detail(answer):
    status, headers, body = answer
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(body)["detail"]


def estimate(served, number="e"):
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES (%s, 10, 2)",
                  (number,))


def project(served, name="p"):
    served.db.run("UPDATE api_project SET name = name || %s WHERE id = 10", (name,))


def events(client):
    return [m["event"] for m in client.messages()]


# --- parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize("path, words", [
    (EVENTS + "?filter=x", 'no parameter "filter" here; there are: token, types, topics, channels,'
                           " last_event_id, hello, transport."),
    (EVENTS + "?token={boss}&topic=estimate", 'no parameter "topic"'),
    (EVENTS + "?Token={boss}", 'no parameter "Token"'),
    (EVENTS + "?token={boss}&token={anna}", '"token" is there twice'),
    (EVENTS + "?last_event_id=1&last_event_id=2", '"last_event_id" is there twice'),
    (EVENTS + "?hello=half", 'hello can only be "full"'),
    (EVENTS + "?types=", "types is a list"),
    (EVENTS + "?topics=estimate,", "topics is a list"),
    (EVENTS + "?types=" + ",".join("a" * 65), "at most 64 names"),
    (STATS + "?types=estimate.*", 'no parameter "types" here; there are none.'),
    ("/healthz?x=1", 'no parameter "x" here; there are none.'),
    ("/healthz?token={boss}", "No token is taken in the URL of this path."),
    ("/readyz?verbose", 'no parameter "verbose"'),
])
def test_what_is_not_known_is_refused(served, d, path, words):
    path = path.replace("{boss}", served.boss).replace("{anna}", served.anna)
    status, text = detail(d.get(path))
    assert status == 400 and words in text


NO_TOKEN_THERE = """
[route events]
path = /api/v1/sse/events/
query_token = no
transports = sse, ndjson, poll, websocket
[route open]
path = /open/
auth = drf, everybody
query_token = no
[route stats]
path = /api/v1/sse/stats/
kind = stats
"""


def test_no_token_is_taken_in_the_url(served):
    """Neither a good one nor a bad one, whatever stands in the header; in the header it is."""
    served.configure("[watch estimate]", "[auth everybody]\npreset = none\nrole = manager\n\n[watch estimate]")
    served.install.conf.write_text(served.install.conf.read_text() + NO_TOKEN_THERE)
    d = served.daemon.start().wait_ready()
    for path in (EVENTS, STATS):
        for token in (served.boss, "stranger", ""):
            for transport in ("", "&transport=poll") if path == EVENTS else ("",):
                for header in ({}, {"Authorization": "Token " + served.boss}):
                    status, headers, body = d.request("GET", f"{path}?token={token}{transport}", header)
                    assert (status, headers.get("WWW-Authenticate")) == (401, "Token"), (path, token, transport, header)
                    assert json.loads(body) == {"detail": "No token is taken in the URL of this path."}
    status, headers, _ = d.request("GET", EVENTS + "?token=" + served.boss, HANDSHAKE)
    assert (status, headers.get("WWW-Authenticate")) == (401, "Token")
    assert d.request("GET", "/open/?token=" + served.boss)[0] == 400  # nobody has to say who he is
    Client(d, served.anna, by_query=False).hello()


@pytest.mark.parametrize("path, words", [
    (EVENTS + "?topics=estimat", 'Nothing is called "estimat" here; topics are: estimate, project.'),
    (EVENTS + "?topics=estimate&topics=order.*", '"order"'),
    (EVENTS + "?types=estimates.updated", '"estimates.updated"'),
])
def test_a_filter_for_nothing_is_refused(served, d, path, words):
    """To those who may know; a stranger hears that he is one."""
    status, text = detail(d.get(path, served.boss))
    assert status == 400 and words in text
    assert d.get(path, "stranger")[0] == 401


@pytest.mark.parametrize("query", ["_=1764150000000", "r=0312", "padding=true&lastEventId=",
                                   "evs_preamble=2056&evs_buffer_size_limit=262144", "&&"])
def test_what_polyfills_add_is_taken(served, d, query):
    c = Client(d, served.anna, extra_query=query).hello()
    estimate(served)
    c.wait_message("estimate.created")


@pytest.mark.parametrize("name", ["last_event_id", "lastEventId", "Last-Event-ID", "Last-Event-Id",
                                  "evs_last_event_id"])
def test_positions_in_the_url(served, d, name):
    c = Client(d, served.anna).hello()
    estimate(served, "one")
    c.wait_messages(1)
    estimate(served, "two")
    # what a polyfill adds is of later date than what the page began with
    query = f"last_event_id={c.frames[0].id}&{name}={c.last_id}" if name != "last_event_id" \
        else f"last_event_id={c.last_id}"
    back = Client(d, served.anna, extra_query=query).hello()
    assert back.wait_messages(1)[0]["data"]["estimate_number"] == "two"


# --- Accept and Upgrade ------------------------------------------------------------------------


@pytest.mark.parametrize("path, accept, status", [
    (EVENTS, "application/json", 406),
    (EVENTS, "text/event-stream;q=0, */*", 406),
    (STATS, "text/html", 406),
    (STATS, "application/json, text/plain, */*", 200),
    ("/healthz", "text/plain", 200),
])
def test_accept(served, d, path, accept, status):
    answer = d.get(path, served.boss, headers={"Accept": accept})
    assert answer[0] == status
    if status == 406:
        assert "Accept leaves out what there is: " in detail(answer)[1]


def test_accept_of_a_stream(served, d):
    for accept in ("*/*", "text/event-stream", "text/html,*/*;q=0.8"):
        Client(d, served.anna, headers={"Accept": accept}).hello().close()


@pytest.mark.parametrize("headers, upgrade", [
    ({"Connection": "Upgrade", "Upgrade": "irc"}, True),
    ({"Upgrade": "WebSocket"}, True),  # of a proxy that has taken the other one away; see test_websocket.py
    ({"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}, False),
    ({"Connection": "upgrade", "Upgrade": ""}, False),
    ({"Connection": "upgrade"}, False),
    ({"Upgrade-Insecure-Requests": "1"}, False),
])
def test_upgrade(served, d, headers, upgrade):
    if not upgrade:
        Client(d, served.anna, headers=headers).hello()
        return
    answer = d.get(EVENTS, served.anna, headers=headers)
    assert answer[0] == 426 and answer[1]["Upgrade"] == "websocket"
    assert "WebSocket" in detail(answer)[1]
    answer = d.get(STATS, served.boss, headers=headers)
    assert answer[0] == 426 and answer[1]["Upgrade"] == "HTTP/1.1"


# --- filters -----------------------------------------------------------------------------------


def test_topics_live(served, d):
    all_of_it = Client(d, served.boss).hello()
    one = Client(d, served.boss, extra_query="topics=project").hello()
    other = Client(d, served.boss, extra_query="topics=estimate.*&topics=project").hello()
    estimate(served)
    project(served)
    for c in (all_of_it, other):
        c.wait_messages(2)
    one.wait_messages(1)
    assert events(one) == ["project.updated"]
    assert events(other) == events(all_of_it)


def test_types_live(served, d):
    c = Client(d, served.boss, extra_query="types=estimate.updated,project.*").hello()
    estimate(served)
    served.db.run("UPDATE api_estimate SET status = 'x'")
    served.db.run("DELETE FROM api_estimate")
    project(served)
    c.wait_messages(2)
    assert events(c) == ["estimate.updated", "project.updated"]
    both = Client(d, served.boss, extra_query="types=project.updated&topics=project,estimate")
    both.hello()
    project(served)
    both.wait_message("project.updated")


@pytest.mark.parametrize("ring", ["20000", "1"], ids=["ring", "journal"])
def test_what_is_caught_up_is_filtered_too(served, ring):
    served.configure("[server]", f"[server]\nring_events = {ring}")
    d = served.daemon.start().wait_ready()
    witness = Client(d, served.boss).hello()
    c = Client(d, served.boss, extra_query="topics=project").hello()
    c.close()
    for i in range(3):
        estimate(served)
        project(served, str(i))
    estimate(served)
    witness.wait_messages(7)
    back = Client(d, served.boss, last_id=c.last_id, extra_query="topics=project").hello()
    back.wait_messages(3)
    project(served, "live")
    assert [m["data"]["project_name"] for m in back.wait_messages(4)] == [
        "Bridge0", "Bridge01", "Bridge012", "Bridge012live"]
    # the same position serves another filter, or none
    other = Client(d, served.boss, last_id=c.last_id, extra_query="types=estimate.created").hello()
    assert events(other.read_until(lambda: len(other.messages()) >= 4)) == ["estimate.created"] * 4
    whole = Client(d, served.boss, last_id=c.last_id).hello()
    whole.wait_messages(8)


def test_the_position_moves_on_without_events(served):
    """Or a quiet stream would have hours to replay when it comes back."""
    served.install.conf.write_text(served.install.conf.read_text() + """
[route events]
path = /api/v1/sse/events/
keepalive = 1s
[route stats]
path = /api/v1/sse/stats/
kind = stats
""")
    d = served.daemon.start().wait_ready()
    c = Client(d, served.boss, extra_query="topics=project").hello()
    first = c.last_id
    estimate(served)
    c.read_until(lambda: c.messages(keepalive=True) and c.last_id != first, "an id that has moved")
    assert events(c) == [] and c.messages(keepalive=True)


def test_resyncs_of_other_topics_are_not_sent(served, d):
    c = Client(d, served.boss, extra_query="topics=project").hello()
    typed = Client(d, served.boss, extra_query="types=project.updated").hello()
    whole = Client(d, served.boss).hello()
    served.db.run("TRUNCATE api_estimate")
    whole.wait_message("system.resync", reason="truncate")
    # one that names all topics comes with those that were asked for
    served.db.run("UPDATE pgherald.meta SET epoch = 'zzzzzzzz'")
    served.db.run("NOTIFY pgherald")
    assert whole.wait_message("system.resync", reason="epoch")["data"]["topics"] == [
        "estimate", "project"]
    for x in (c, typed):
        assert x.wait_message("system.resync", reason="epoch")["data"]["topics"] == ["project"]
        assert len(x.messages()) == 1
    # and to a position that is worth nothing the same
    back = Client(d, served.boss, last_id="garbage", extra_query="topics=project").hello()
    assert back.wait_message("system.resync")["data"] == {"reason": "cursor", "topics": ["project"]}


def test_a_filter_is_no_right(served, d):
    c = Client(d, served.boris, extra_query="topics=estimate").hello()  # a foreman without estimates
    estimate(served)
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('his', 10, 3)")
    c.wait_messages(1)
    assert [m["data"]["estimate_number"] for m in c.messages()] == ["his"]


# --- come back ---------------------------------------------------------------------------------


def test_a_client_of_event_streams_is_told_when_to_come_back(served):
    """Whatever way its token came: libraries that send it in a header never come back after a 503."""
    served.configure("[server]", "[server]\nmax_streams = 1")
    d = served.daemon.start().wait_ready()
    c = Client(d, served.anna).hello()
    wait_until(lambda: d.streams(served.boss) == 1, "the stream")
    status, headers, body = d.get(EVENTS, served.boss, headers={"Accept": "text/event-stream"})
    assert status == 200 and headers["Content-Type"].startswith("text/event-stream")
    assert body.startswith(b"retry: ") and b"Too many streams" in body
    status, headers, _ = d.get(EVENTS, served.boss)  # curl, a script
    assert status == 503 and headers["Retry-After"] == "3"
    c.close()
