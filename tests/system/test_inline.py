# SPDX-License-Identifier: PostgreSQL
"""Events without a journal: applications that pg_notify JSON themselves, and triggers with
capture = notify."""

import json

import pytest

from lib.daemon import Client

LISTEN = """
[listen news]
channel = News from "Chan"
owner_keys = user, users
[listen plain]
channel = plain
event_key = type
data_key = payload
"""


@pytest.fixture
def d(served):
    served.install.conf.write_text(served.install.conf.read_text() + LISTEN)
    return served.daemon.start().wait_ready()


def send(served, channel, payload):
    # letters as they are and not as \\u: that is what applications and PostgreSQL send
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    served.db.run("SELECT pg_notify(%s, %s)", (channel, text))


NEWS = 'News from "Chan"'


def test_a_payload_is_an_event(served, d):
    boss, anna, boris = (Client(d, t).hello() for t in (served.boss, served.anna, served.boris))
    first = boss.last_id
    send(served, NEWS, '{"event": "news.flash", "user": 2, "big": 12345678901234567890123.10}')
    send(served, NEWS, {"users": ["2", 3], "text": "Привет"})
    send(served, "plain", {"type": "x:y", "payload": [1, {"a": None}], "other": 1})
    for c, n in ((boss, 3), (anna, 2), (boris, 1)):
        c.wait_messages(n)
    assert [m["event"] for m in boss.messages()] == ["news.flash", "news", "x:y"]
    assert boss.messages()[2]["data"] == [1, {"a": None}]
    assert b"12345678901234567890123.10" in boss.raw_body  # passes through as text
    assert [m["event"] for m in anna.messages()] == ["news.flash", "news"]
    assert [m["data"]["text"] for m in boris.messages()] == ["Привет"]
    assert boss.last_id == first  # no place in any journal: no id
    for c in (boss, anna, boris):
        assert all(f.id == first for f in c.frames)


def test_documents_are_passed_on_byte_for_byte(served, d):
    c = Client(d, served.boss).hello()
    deep = "[" * 30 + '{"ё": "\x7f"}' + "]" * 30
    payloads = ['{"n": 18446744073709551616, "m": -1e400, "z": -0, "f": 1.10}',
                '{ "a" : "\\/\\u00e9\\ud800" ,"a":' + deep + "}",
                json.dumps({"text": "Привет, мир: 你好 🐘"}, ensure_ascii=False)]
    for payload in payloads:
        send(served, NEWS, payload)
        send(served, "plain", '{"type": "x", "payload": %s}' % payload)
    c.wait_messages(6)
    for payload in payloads:
        told = payload.replace("\u2028", "\\u2028")  # what some readers take for a line's end
        assert c.raw_body.count(told.encode()) == 2, payload


@pytest.mark.parametrize("kind", ["system.resync", "system.anything", "system", "connected", "keepalive", "herald.gap",
                                  "stream-error", "error", "heartbeat", "estimate.deleted"])
def test_types_of_the_daemon_and_of_tables_are_their_own(served, d, kind):
    c = Client(d, served.boss).hello()
    send(served, NEWS, {"event": kind, "data": {"reason": "storm", "topics": ["estimate"]}})
    send(served, "plain", {"type": kind, "payload": 1})
    send(served, NEWS, {"event": "after"})
    assert [m["event"] for m in c.wait_messages(1)] == ["after"]
    d.wait_log("type is one of (the daemon's own|a watched table)")


@pytest.mark.parametrize("payload", [
    '{"a": Infinity}', '{"a": NaN}', '{"a": "\t"}', '{"a": 01}', '{"a": 1.}', "{'a': 1}", '{"a": 1,}',
    '{"a": "\\x41"}', '{"a":' + "[" * 600 + "]" * 600 + "}",
    "", "hello", "{", "[1]", "null", '{"event": "new\\nline"}', '{"event": "' + "x" * 129 + '"}',
    '{"a": 1} trailing', "[" * 3000, '{"a":' * 1000, '{"users": [' + '"longish",' * 700 + '"x"]}',
])
def test_malformed_payloads_hurt_nobody(served, d, payload):
    c = Client(d, served.boss).hello()
    send(served, NEWS, payload)
    send(served, NEWS, {"event": "after"})
    assert c.wait_messages(1)[0]["event"] == "after"
    d.wait_log("a payload is no event")


def test_malformed_payloads_are_logged_now_and_then(served, d):
    c = Client(d, served.boss).hello()
    # together: the complaint comes at most every ten seconds, which is not to be measured here
    served.db.run("SELECT pg_notify(%s, 'nonsense ' || g) FROM generate_series(1, 200) AS g", (NEWS,))
    send(served, NEWS, {"event": "after"})
    c.wait_messages(1)
    d.wait_log("a payload is no event")
    assert d.log().count("a payload is no event") == 1
    assert "nonsense" not in d.log()


def test_a_gap_is_told_after_every_outage(served, d):
    c = Client(d, served.boss).hello()
    served.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                  " WHERE application_name = 'pgherald' AND datname = current_database()")
    m = c.wait_message("system.resync", reason="gap")
    assert m["data"]["topics"] == ["news", "plain"]
    send(served, NEWS, {"event": "after"})
    c.wait_messages(2)
    assert c.messages()[-1]["event"] == "after"


def test_other_channels_are_not_heard(served, d):
    c = Client(d, served.boss).hello()
    send(served, "pgherald_inline", {"v": 1, "topic": "estimate", "op": "i", "doc": {}})
    send(served, "elsewhere", {"event": "x"})
    send(served, NEWS, {"event": "after"})
    assert [m["event"] for m in c.wait_messages(1)] == ["after"]


# --- capture = notify --------------------------------------------------------------------------


@pytest.fixture
def triggered(served):
    served.db.run("ALTER TABLE api_estimate ADD sum numeric, ADD extra json")
    served.configure("[watch estimate]", "[watch estimate]\ncapture = notify")
    served.configure("  status, created_at::utc\nleave", "  status, sum, extra\nleave")
    served.install.apply()
    served.daemon.start().wait_ready()
    return served


def test_rows_are_told_as_postgresql_spells_them(triggered):
    boss, anna = (Client(triggered.daemon, t).hello() for t in (triggered.boss, triggered.anna))
    deep = "[" * 40 + '"мост"' + "]" * 40
    triggered.db.run("INSERT INTO api_estimate (number, project_id, foreman_id, sum, extra) "
                     "VALUES ('Смета', 10, 2, 18446744073709551616.10, %s)", (deep,))
    for c in (boss, anna):
        c.wait_message("estimate.created", estimate_number="Смета")
        assert b'"sum":18446744073709551616.10' in c.raw_body and deep.encode() in c.raw_body


@pytest.mark.parametrize("payload", [
    {"topic": "project", "op": "u", "doc": {"forged": True}},  # has a journal, which nobody can forge
    {"topic": "system", "op": "u", "doc": {"forged": True}},
    {"topic": "estimate", "op": "a", "before": ["1"], "doc": {"forged": True}},
])
def test_the_channel_of_triggers_is_for_their_topics(triggered, payload):
    c = Client(triggered.daemon, triggered.boss).hello()
    send(triggered, "pgherald_inline", {"v": 1, **payload})
    triggered.db.run("INSERT INTO api_estimate (number, project_id) VALUES ('after', 10)")
    assert [m["event"] for m in c.wait_messages(1)] == ["estimate.created"]
    triggered.daemon.wait_log("channel pgherald_inline: a payload is no event")
