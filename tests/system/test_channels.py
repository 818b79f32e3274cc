# SPDX-License-Identifier: PostgreSQL
"""Channels: a watch sends its rows to them, a client asks for some of those that his role may hear. What is for
a channel is nobody else's, and an id that looks like one is none."""

import itertools
import json
import signal
import urllib.parse

import pytest

from conftest import HEAD, Install, run_pgherald, served_by
from lib.daemon import Client
from lib.websocket import TEXT, WebSocket, frame

CONF = HEAD.replace("receives = own\n", "receives = own\nchannels = project.*, status.{user}, news\n") + """
[watch task]
table = public.task
owners = who
channels = project.{project_id}, status.{status}
fields = id, project_id, status
"""
TABLES = """
CREATE TABLE task (id int PRIMARY KEY, project_id int, status text, who text);
CREATE TABLE team (task_id int, who text);
GRANT SELECT, INSERT, UPDATE, DELETE ON task TO app;
"""


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    with served_by(cluster, tmp_path_factory.mktemp("channels"), CONF, TABLES) as s:
        yield s


@pytest.fixture
def tasks(place):
    yield place
    c = listen(place, "project.99")
    place.db.run("DELETE FROM task")
    fence(place, c)  # nothing of this is left for the next test
    c.close()


def listen(place, channels, token="token-anna", last_id=None, **more):
    query = urllib.parse.urlencode({"channels": channels}, safe=",:.@")
    return Client(place.daemon, token, last_id, extra_query=query, **more).hello()


def told(client):
    """But for fences."""
    return [(m["event"], m["data"]["id"], m.get("scope")) for m in client.messages() if m["data"].get("id", 0) > 0]


def test_channels_of_a_websocket(tasks):
    """They come and go in mid-stream, from its position on; and while it reads what it has missed."""
    db = tasks.db
    c = WebSocket(tasks.daemon, "token-anna", extra_query="channels=project.99").hello()
    db.run("INSERT INTO task VALUES (1, 7, 'new')")
    fence(tasks, c)
    position = c.last_id
    c.ask({"action": "subscribe", "data": {"channel": "project.7"}, "request_id": 1})
    c.read_until(lambda: [m for m in asked(c) if m.get("request_id") == 1])
    assert asked(c)[-1]["data"]["channels"] == ["project.7", "project.99"]
    db.run("UPDATE task SET status = 'done' WHERE id = 1")
    fence(tasks, c)
    c.ask({"action": "unsubscribe", "data": {"channels": ["project.7", "project.8"]}, "request_id": 2})
    c.read_until(lambda: [m for m in asked(c) if m.get("request_id") == 2])
    assert asked(c)[-1]["data"]["channels"] == ["project.99"]
    db.run("UPDATE task SET status = 'paid' WHERE id = 1")
    db.run("UPDATE task SET project_id = 8 WHERE id = 1")
    fence(tasks, c)
    assert told(c) == [("task.updated", 1, None)]
    c.close()
    tasks.daemon.stop()  # the journal has the rest
    tasks.daemon.start().wait_ready()
    back = WebSocket(tasks.daemon, "token-anna", extra_query="channels=project.99&last_event_id=" + position,
                     behind=frame(TEXT, '{"action": "subscribe", "data": {"channels": ["project.7"]}}'))
    other = listen(tasks, "project.7,project.99", last_id=position)
    fence(tasks, back, other)
    assert told(back)[-1] == ("task.updated", 1, "leave")
    assert told(back) == told(other)[-len(told(back)):], "what its position was by then, it has passed"


def asked(c):
    return [m for m in c.messages() if m["event"].startswith("system.")]


FENCES = itertools.count(1)


def fence(place, *clients):
    """One row more that all of them hear of: what they have not heard by then they do not hear."""
    id = -next(FENCES)
    place.db.run("INSERT INTO task VALUES (%s, 99, 'x')", (id,))
    for c in clients:
        c.wait_message("task.created", id=id)


def test_a_row_that_moves_enters_one_channel_and_leaves_the_other(tasks):
    db = tasks.db
    seven, eight = listen(tasks, "project.7,project.99"), listen(tasks, "project.8,project.99")
    both = listen(tasks, "project.7,project.8,project.99")
    db.run("INSERT INTO task VALUES (1, 7, 'new')")
    db.run("UPDATE task SET project_id = 8 WHERE id = 1")
    db.run("UPDATE task SET status = 'done' WHERE id = 1")
    db.run("UPDATE task SET project_id = NULL WHERE id = 1")  # NULL: no channel
    db.run("UPDATE task SET status = 'gone' WHERE id = 1")
    fence(tasks, seven, eight, both)
    assert told(seven) == [("task.created", 1, None), ("task.updated", 1, "leave")]
    assert told(eight) == [("task.updated", 1, "enter"), ("task.updated", 1, None), ("task.updated", 1, "leave")]
    # who hears both has not lost it in between, and is told once
    assert told(both) == [("task.created", 1, None), ("task.updated", 1, None), ("task.updated", 1, None),
                               ("task.updated", 1, "leave")]
    for c in (seven, eight, both):
        assert [m["data"] for m in c.messages() if m.get("scope") == "leave"] == [{"id": 1}]
        c.close()


def test_the_same_is_told_to_who_comes_back(tasks):
    """From the ring, and from the journal by a daemon that begins anew."""
    db, d = tasks.db, tasks.daemon
    asks = ("project.7,project.99", "project.8,project.99", "project.7,project.8,project.99", "project.99")
    firsts = [listen(tasks, a) for a in asks]
    ids = [c.frames[0].id for c in firsts]
    db.run("INSERT INTO task VALUES (1, 7, 'new'), (2, 8, 'new'), (3, NULL, 'new')")
    db.run("UPDATE task SET project_id = 15 - project_id")
    db.run("BEGIN; UPDATE task SET project_id = 7 WHERE id = 2; UPDATE task SET status = 's' WHERE id = 2; COMMIT")
    db.run("DELETE FROM task WHERE id = 1")
    fence(tasks, *firsts)
    lives = [told(c) for c in firsts]
    assert [len(live) for live in lives] == [4, 4, 6, 0], lives
    agains = [listen(tasks, a, last_id=i) for a, i in zip(asks, ids)]
    for c, live in zip(agains, lives):
        c.read_until(lambda c=c, live=live: len(told(c)) >= len(live), "the same")
        assert told(c)[:len(live)] == live
    d.stop()
    d.start().wait_ready()
    db.run("UPDATE task SET status = 'later' WHERE id = 3")
    late = [listen(tasks, a, last_id=i) for a, i in zip(asks, ids)]
    for c, live in zip(late, lives):
        c.read_until(lambda c=c, live=live: len(told(c)) >= len(live), "the same")
        assert told(c)[:len(live)] == live
    for c in firsts + agains + late:
        c.close()


def test_an_owner_and_a_channel_are_one_audience(tasks):
    """The event comes once; that his row is in no channel any more is nothing that its owner loses."""
    db = tasks.db
    anna, boss = listen(tasks, "project.7,project.99"), Client(tasks.daemon, "token-boss").hello()
    db.run("INSERT INTO task VALUES (1, 7, 'new', '2')")
    db.run("UPDATE task SET project_id = 8 WHERE id = 1")
    db.run("UPDATE task SET who = NULL WHERE id = 1")
    fence(tasks, anna, boss)
    assert told(anna) == [("task.created", 1, None), ("task.updated", 1, None), ("task.updated", 1, "leave")]
    assert told(boss) == [("task.created", 1, None)] + 2 * [("task.updated", 1, None)]
    anna.close()
    boss.close()


@pytest.mark.parametrize("id", ["#project.7", "*", "=2", "#", "=#project.7", "##", "=="])
def test_an_id_is_never_a_channel(tasks, id):
    """Text that users of the application may choose: neither who hears the channel nor everybody hears of it."""
    seven, anna = listen(tasks, "project.7,project.99"), listen(tasks, "project.99")
    tasks.db.run("INSERT INTO task VALUES (1, NULL, 'new', %s)", (id,))
    tasks.db.run("INSERT INTO task VALUES (2, NULL, 'new', %s), (3, NULL, 'new', %s)", (id, id))  # the careful way
    fence(tasks, seven, anna)
    assert told(seven) + told(anna) == []
    stored = tasks.db.run("SELECT DISTINCT own_new FROM pgherald.journal WHERE op = 'I' AND data->>1 IN ('1', '2')"
                          " AND own_new::text LIKE %s", ("%" + id.replace("\\", "") + "%",))
    assert any(["=" + id] == [k for k in own if not k.startswith("#status")] for (own,) in stored), stored
    seven.close()
    anna.close()


@pytest.mark.parametrize("status", ["a b", "x,project.7", "*", "#x", "x" * 129, "ä", "", "a\nb"])
def test_what_is_no_name_of_a_channel_is_nobodys(tasks, status):
    """Were it a whole megabyte: the writer's statement succeeds, and no such key is recorded."""
    tasks.db.run("INSERT INTO task VALUES (1, NULL, %s)", (status,))
    tasks.db.run("UPDATE task SET status = %s WHERE id = 1", (status * 10000 + "b\n",))
    own = tasks.db.run("SELECT own_new FROM (SELECT * FROM pgherald.journal ORDER BY txid DESC LIMIT 2) AS j")
    assert [k for (keys,) in own for k in keys] == (["#status."] if status == "" else [])


def test_a_name_that_a_client_may_not_hear_is_refused(tasks):
    d = tasks.daemon
    for channels, token in (("secret", "token-anna"), ("news,secret", "token-anna"), ("status.3", "token-anna"),
                            ("news", "token-boss")):  # a role that says nothing may hear none
        status, _, body = d.get(f"/api/v1/sse/events/?channels={channels}", token)
        why = f'Your role may not hear the channel "{channels.split(",")[-1]}".'
        assert (status, json.loads(body)["detail"]) == (403, why)
    listen(tasks, "status.2,news", by_query=False).close()
    for channels in ("", "a,", "a b", "a%2Fb", "*", "%23news", "x" * 129, ",".join(["news"] * 33)):
        status, _, body = d.get(f"/api/v1/sse/events/?channels={channels.replace(' ', '%20')}", "token-anna")
        assert status == 400 and b"channels is a list of at most 32" in body, (channels, body)
    assert d.get("/api/v1/sse/stats/?channels=news", "token-boss")[0] == 400
    assert d.get("/api/v1/sse/events/?channels=secret", "wrong")[0] == 401  # nobody learns which there are


def test_who_gets_another_role_hears_no_channel_of_the_one_before(tasks):
    """Neither live, nor while his rights are looked up."""
    db = tasks.db
    c = listen(tasks, "project.7,project.99")
    db.run("BEGIN; UPDATE api_user SET role = 'manager' WHERE id = 2; INSERT INTO task VALUES (1, 7, 'new'); COMMIT")
    try:
        c.wait_end()
        assert told(c) == []
        tasks.daemon.wait_log("role may not hear its channels any more")
    finally:
        db.run("UPDATE api_user SET role = 'foreman' WHERE id = 2")
    c.close()


def test_a_reload_takes_a_channel_away(tasks):
    """Who listens to it is closed, who does not goes on, and who was away is not told of it any more."""
    d, conf = tasks.daemon, tasks.install.conf
    news, seven = listen(tasks, "news,project.7"), listen(tasks, "project.7,project.99")
    before, size = conf.read_text(), d.log_size()
    try:
        tasks.configure("channels = project.*, status.{user}, news\n", "channels = project.*\n")
        d.signal(signal.SIGHUP)
        news.wait_end()
        d.wait_log("role may not hear its channels any more", size)
        assert d.get("/api/v1/sse/events/?channels=news,project.7", "token-anna")[0] == 403
        fence(tasks, seven)
    finally:
        size = d.log_size()
        conf.write_text(before)
        d.signal(signal.SIGHUP)
        d.wait_log("reloaded", size)
    news.close()
    seven.close()


def test_owners_in_other_tables_beside_channels(cluster, tmp_path):
    """Their ids are keys, too; and what was recorded before there were channels says so."""
    db = cluster.create_database("app_template")
    install = Install(db, tmp_path)
    db.run(TABLES)
    before = CONF.replace("owners = who\n", "owners = who, id<-public.team.task_id.who\n")
    install.write(before.replace("channels = project.{project_id}, status.{status}\n", ""))
    install.apply()
    db.run("INSERT INTO team VALUES (1, '#project.7'), (1, '2')")
    db.run("INSERT INTO task VALUES (1, 7, 'old', '#status.2')")
    install.write(before)
    install.apply("upgrade")
    db.run("UPDATE task SET status = 'a'")
    db.run("INSERT INTO team SELECT 2, '=' FROM generate_series(1, 2)")
    db.run("INSERT INTO task VALUES (2, 8, 'b', '*')")
    ops = db.run("SELECT op, own_old, own_new FROM pgherald.tell(ARRAY(SELECT DISTINCT txid FROM pgherald.journal))"
                 " ORDER BY id")
    assert ops[0][0] == "r"
    assert ops[1:] == [("U", ["#project.7", "#status.old", "2", "=#project.7", "=#status.2"],
                        ["#project.7", "#status.a", "2", "=#project.7", "=#status.2"]),
                       ("I", [], ["#project.8", "#status.b", "=*", "=="])]
    # and back again: rows of a watch that had channels are told to nobody as users' ids
    install.write(before.replace("channels = project.{project_id}, status.{status}\n", ""))
    install.apply("upgrade")
    ops = db.run("SELECT op FROM pgherald.tell(ARRAY(SELECT DISTINCT txid FROM pgherald.journal))")
    assert {op for (op,) in ops} == {"i", "r"}
    db.drop()


@pytest.mark.parametrize("channels, why", [
    ("a b", 'channels, item 1: unexpected text, near "b"'),
    ("a,,b", "channels, item 2: expected a channel: letters, digits, any of _.:@- and {column}"),
    ("{id", 'channels, item 1: expected "}" after the column, at the end'),
    ("{}", "channels, item 1: expected a column"),
    ("a*", "channels, item 1: unexpected text"),
    ("{a}{b}{c}{d}{e}", "channels, item 1: more than 4 columns in a name"),
    (",".join(f"c{n}" for n in range(17)), "channels, item 17: more than 16 channels"),
    ("x" * 129, "channels, item 1: the name of a channel has at most 128 bytes"),
    ("a\nfollow = yes\nowners = id<-public.team.task_id.who", "channels cannot be had with follow = yes"),
    ("a\ncapture = notify", "channels cannot be had with capture = notify"),
])
def test_a_setting_that_makes_no_sense_is_refused(install, channels, why):
    text = HEAD + f"[watch task]\ntable = public.task\nfields = id\nchannels = {channels}\n"
    install.write(text)
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode == 1 and why in done.stderr, done.stderr


def test_a_column_that_is_not_there_is_named_by_install(install):
    install.db.run(TABLES)
    install.write(HEAD + "[watch task]\ntable = public.task\nfields = id\nchannels = x.{nothing}\n")
    done = install.sql("install", "--apply")
    assert done.returncode and "has no column nothing" in done.stdout + done.stderr
