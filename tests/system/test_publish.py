# SPDX-License-Identifier: PostgreSQL
"""pgherald.publish(): a message in a transaction of the application's reaches whom it is for, in order, once, and
when it has committed. Who may publish can do that and nothing else."""

import itertools
import json
import threading
import urllib.parse

import psycopg2
import pytest

from conftest import HEAD, Install, served_by
from lib.daemon import Client, Lines

# Few events are kept in memory, so that who comes back is told from the journal as well.
CONF = HEAD.replace("[server]\n", "[server]\nring_events = 5\n").replace("receives = all\n", "receives = all\nchannels = news\n").replace(
    "receives = own\n", "receives = own\nchannels = project.*, news\n") + """
[role deaf]
receives = own
events = estimate.*
[publish]
roles = app
[watch estimate]
table = public.api_estimate
owners = foreman_id
channels = project.{project_id}
fields = estimate_id=id, number
leave = estimate_id
[watch project]
table = public.api_project
fields = id, name
"""


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    with served_by(cluster, tmp_path_factory.mktemp("publish"), CONF) as s:
        yield s


NUMBERS = itertools.count(1)


def publish(db, channel, type, payload, user="app", **more):
    named = "".join(f", {name} => %s" for name in more)
    return db.one(f"SELECT pgherald.publish(%s, %s, %s::jsonb{named})",
                  (channel, type, json.dumps(payload), *more.values()), user=user)


def listen(place, token, channels="", last_id=None, **more):
    query = urllib.parse.urlencode({"channels": channels}, safe=",.") if channels else ""
    return Client(place.daemon, token, last_id, extra_query=query, **more).hello()


def told(client):
    """But for fences, and for what is kept of tests before."""
    return [(m["event"], m["data"]) for m in client.messages() if m["event"] != "fence"]


def fence(place, *clients):
    """A message to everybody: what has not come by then does not come."""
    n = next(NUMBERS)
    publish(place.db, "*", "fence", {"n": n})
    for c in clients:
        c.wait_message("fence", n=n)


def test_to_a_user_to_a_channel_and_to_everybody(place):
    """In one order, and who receives all rows does not read others' letters."""
    db = place.db
    boss, anna, boris = listen(place, place.boss), listen(place, place.anna, "news"), listen(place, place.boris)
    ids = [publish(db, None, "letter", {"a": 1}, user_id="2"), publish(db, "news", "news_update", {"title": "Привет"}),
           publish(db, "*", "broadcast", [1, "x", None]), publish(db, None, "letter", "to the boss", user_id="1"),
           publish(db, "project.7", "task.progress", {})]
    assert ids == sorted(ids)
    fence(place, boss, anna, boris)
    everybody = [("broadcast", [1, "x", None])]
    assert told(boss) == [*everybody, ("letter", "to the boss")]
    assert told(anna) == [("letter", {"a": 1}), ("news_update", {"title": "Привет"}), *everybody]
    assert told(boris) == everybody
    for c in (boss, anna, boris):
        c.close()


def test_who_hears_it_by_several_keys_hears_it_once(place):
    anna = listen(place, place.anna, "news,project.1,project.2")
    for channel in ("news", "project.1", "*"):
        publish(place.db, channel, "m", channel)
    fence(place, anna)
    assert told(anna) == [("m", "news"), ("m", "project.1"), ("m", "*")]
    anna.close()


def test_the_order_of_a_transaction_and_nothing_of_one_that_is_rolled_back(place):
    db = place.db
    anna = listen(place, place.anna, "news,project.10")
    with db.connect(user="app", autocommit=False) as connection:
        cur = connection.cursor()
        cur.execute("SELECT pgherald.publish('news', 'm', '1')")
        cur.execute("INSERT INTO api_estimate (id, number, project_id) VALUES (7, 'N', 10)")
        cur.execute("SAVEPOINT a")
        cur.execute("SELECT pgherald.publish('news', 'm', '2')")
        cur.execute("SELECT pgherald.publish('news', 'm', '2', key => 'once')")
        cur.execute("ROLLBACK TO a")
        cur.execute("SELECT pgherald.publish('news', 'm', '3')")
        connection.commit()
        cur.execute("SELECT pgherald.publish('news', 'm', '4')")
        connection.rollback()
    connection.close()
    db.run("DELETE FROM api_estimate")
    fence(place, anna)
    row = {"estimate_id": 7, "number": "N"}
    assert told(anna) == [("m", 1), ("estimate.created", row), ("m", 3), ("estimate.deleted", row)]
    anna.close()


def test_the_same_to_who_was_away(place):
    """From the ring and from the journal, in each form; exactly that."""
    db, d = place.db, place.daemon
    firsts = [listen(place, place.boss), listen(place, place.anna, "news"), listen(place, place.boris)]
    asks = ((place.boss, ""), (place.anna, "news"), (place.boris, ""))
    positions = [c.last_id or c.frames[0].id for c in firsts]
    publish(db, None, "letter", {"a": 1}, user_id="2")
    publish(db, "news", "m", 1)
    db.run("BEGIN; SELECT pgherald.publish('*', 'm', '2'); SELECT pgherald.publish(NULL, 'm', '3', user_id => '3');"
           " SELECT pgherald.publish('news', 'm', '4'); COMMIT", user="app")
    fence(place, *firsts)
    lives = [told(c) for c in firsts]
    assert [len(live) for live in lives] == [1, 4, 2]

    def same(parser, transport):
        for (token, channels), at, live in zip(asks, positions, lives):
            query = f"transport={transport}" + (f"&channels={channels}" if channels else "")
            c = Client(d, token, at, extra_query=query, parser=parser)
            c.read_until(lambda c=c: any(m["event"] == "fence" for m in c.messages()), "the fence")
            assert told(c) == live
            c.close()

    for c in firsts:
        c.close()
    same(None, "sse")
    same(Lines(), "ndjson")
    d.stop()
    d.start().wait_ready()
    same(None, "sse")
    for n in range(10):
        publish(db, "project.nobody", "m", n)
    fence(place, *[listen(place, place.anna)])
    same(None, "sse")
    same(Lines(), "ndjson")
    listen(place, place.boris).close()  # everything that is asked over one connection has been by now
    assert "lost" not in d.log()


def test_a_key_is_told_once(place):
    """Whoever tries again, at the same time or later, is given the first one's id."""
    db, key = place.db, f"order-{next(NUMBERS)}"
    anna = listen(place, place.anna, "news,project.1")
    first = publish(db, "news", "paid", {"id": 1}, key=key)
    assert publish(db, "news", "paid", {"id": 1}, key=key) == first
    assert publish(db, "news", "other", {}, key=key) == first
    publish(db, "project.1", "paid", {"id": 1}, key=key)  # of another audience it is another
    publish(db, None, "paid", {"id": 1}, user_id="2", key=key)
    opened = db.connect(user="app", autocommit=False)
    opened.cursor().execute("SELECT pgherald.publish('news', 'late', '1', key => %s)", (key + "b",))
    other = threading.Thread(target=lambda: db.connect(user="app").cursor().execute(
        "SELECT pgherald.publish('news', 'late', '2', key => %s)", (key + "b",)))
    other.start()
    opened.rollback()
    other.join(60)
    fence(place, anna)
    assert told(anna) == 3 * [("paid", {"id": 1})] + [("late", 2)]
    anna.close()


def test_what_is_kept_comes_first_to_who_comes_later(place):
    db, n = place.db, next(NUMBERS)
    channel = f"project.kept{n}"
    early = listen(place, place.anna, channel)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("a", 3), ("c", 4), ("b", 2)):
        publish(db, channel, "state", value, key=key, persist=True)
    publish(db, channel, "gone.by", 0, key="d")
    publish(db, None, "state", "his", user_id="3", key=f"k{n}", persist=True)
    fence(place, early)
    assert told(early) == [("state", 1), ("state", 2), ("state", 3), ("state", 4), ("gone.by", 0)]
    late = listen(place, place.anna, channel)
    late.read_until(lambda: [t[1] for t in told(late) if t[0] == "state"] == [2, 3, 4], "what is kept")
    publish(db, channel, "state", 5, key="c", persist=True)
    fence(place, late, early)
    assert [t for t in told(late) if t[0] == "state"] == [("state", 2), ("state", 3), ("state", 4), ("state", 5)]
    # who comes back goes on from his position, and is told nothing twice
    back = listen(place, place.anna, channel, last_id=late.last_id)
    # another's letter is another's
    other = listen(place, place.boss, "news")
    # and a daemon that has just begun has it as well
    place.daemon.stop()
    place.daemon.start().wait_ready()
    last = listen(place, place.anna, channel)
    fence(place, last)
    assert told(last) == [("state", 2), ("state", 3), ("state", 5)]
    assert told(back) == [] and told(other) == []
    for c in (early, late, back, other, last):
        c.close()


def test_a_schema_without_them_is_no_reason_to_hear_nothing(place):
    """Before `install` has run again, say: who comes is told what happens from now on."""
    db = place.db
    db.run("ALTER TABLE pgherald.kept RENAME TO elsewhere")
    try:
        c = listen(place, place.anna, "news")
        db.run("INSERT INTO api_estimate (id, number, project_id, foreman_id) VALUES (11, 'N', 10, 2)")
        db.run("DELETE FROM api_estimate")
        c.wait_message("estimate.deleted", estimate_id=11)
        place.daemon.wait_log("replay: .*kept.*install")
        assert db.run("SELECT pgherald.prune('24h', 1)") == [(0,)]
        c.close()
    finally:
        db.run("ALTER TABLE pgherald.elsewhere RENAME TO kept")


def test_of_an_audience_a_hundred_are_kept(place):
    db = place.db
    channel = f"project.many{next(NUMBERS)}"
    db.run("SELECT pgherald.publish(%s, 'state', to_jsonb(n), key => n::text, persist => true)"
           " FROM generate_series(1, 130) AS n", (channel,), user="app")
    early = listen(place, place.boris)
    fence(place, early)  # now it is past
    early.close()
    c = listen(place, place.anna, channel)
    fence(place, c)
    assert told(c) == [("state", n) for n in range(31, 131)]
    c.close()


def test_a_role_that_hears_some_types_hears_no_other(place):
    db = place.db
    db.run("UPDATE api_user SET role = 'deaf' WHERE id = 3")
    try:
        boris = listen(place, place.boris)
        publish(db, None, "letter", 1, user_id="3")
        db.run("INSERT INTO api_estimate (id, number, project_id, foreman_id) VALUES (9, 'N', 10, 3)")
        db.run("DELETE FROM api_estimate")
        boris.wait_message("estimate.deleted", estimate_id=9)
        assert [event for event, _ in told(boris)] == ["estimate.created", "estimate.deleted"]
        boris.close()
    finally:
        db.run("UPDATE api_user SET role = 'foreman' WHERE id = 3")


def test_a_publisher_that_stays_in_his_transaction_stops_nobody_else(place):
    """Who has what is kept locked waits for nobody, and neither others who publish nor prune wait for him."""
    db = place.db
    channel = f"project.held{next(NUMBERS)}"
    for n in range(101):
        publish(db, channel, "state", n, key=f"{n}", persist=True)
    holder = db.connect(user="app", autocommit=False)
    try:
        holder.cursor().execute("SELECT pgherald.publish(%s, 'state', '\"x\"', key => n::text, persist => true)"
                                " FROM generate_series(1, 100) AS n", (channel,))
        with db.connect(user="app") as other, other.cursor() as cur:
            cur.execute("SET lock_timeout = '10s'")
            for n in range(3):
                cur.execute("SELECT pgherald.publish(%s, 'state', '1', key => %s, persist => true)",
                            (channel, f"other{n}"))
        other.close()
        with db.connect() as admin, admin.cursor() as cur:
            cur.execute("SET lock_timeout = '10s'; SELECT pgherald.prune('0s', 100000)")
        admin.close()
    finally:
        holder.rollback()
        holder.close()
    assert db.one("SELECT count(*) FROM pgherald.kept WHERE audience = %s", ("#" + channel,)) >= 100


@pytest.mark.parametrize("call, error", [
    # as an event of a watched table, or as the daemon
    ("'*', 'estimate.created', '{}'", "InsufficientPrivilege"),
    ("'*', 'estimate', '{}'", "InsufficientPrivilege"),
    ("'*', 'project.anything.else', '{}'", "InsufficientPrivilege"),
    *[(f"'*', '{type}', '{{}}'", "InsufficientPrivilege") for type in
      ("system.resync", "system", "connected", "keepalive", "heartbeat", "herald.gap", "error", "stream-error")],
    # no type, and no message
    *[(f"'*', {type}, '{{}}'", "InvalidParameterValue") for type in
      ("''", "'a b'", "E'a\\nb'", "'a\"b'", "'ä'", "repeat('x', 129)", "NULL")],
    ("'*', 'm', NULL", "NullValueNotAllowed"),
    ("'*', 'm', to_jsonb(repeat('x', 1048575))", "ProgramLimitExceeded"),
    # nobody, two audiences, and what is no name
    ("NULL, 'm', '{}'", "InvalidParameterValue"),
    ("'*', 'm', '{}', user_id => '2'", "InvalidParameterValue"),
    *[(f"{channel}, 'm', '{{}}'", "InvalidParameterValue") for channel in
      ("''", "'#news'", "'a*'", "'**'", "'a,b'", "'ä'", "E'a\\n'", "repeat('x', 129)", "'='")],
    ("NULL, 'm', '{}', user_id => ''", "InvalidParameterValue"),
    ("NULL, 'm', '{}', user_id => repeat('x', 1001)", "InvalidParameterValue"),
    ("'*', 'm', '{}', key => ''", "InvalidParameterValue"),
    ("'*', 'm', '{}', key => repeat('x', 201)", "InvalidParameterValue"),
    ("'*', 'm', '{}', persist => true", "InvalidParameterValue"),
])
def test_a_role_that_may_publish_can_do_no_more(place, call, error):
    """An error for the caller, and nothing that anybody hears."""
    before = place.db.one("SELECT count(*) FROM pgherald.journal")
    with pytest.raises(getattr(psycopg2.errors, error)):
        place.db.run(f"SELECT pgherald.publish({call})", user="app")
    assert place.db.one("SELECT count(*) FROM pgherald.journal") == before


def test_a_user_whose_id_looks_like_a_channel_is_one(place):
    """His letter is his; nobody hears it as everybody's, or in the channel."""
    anna = listen(place, place.anna, "news")
    for id in ("#news", "*", "=2", "#"):
        publish(place.db, None, "letter", id, user_id=id)
    fence(place, anna)
    assert told(anna) == []
    own = place.db.run("SELECT own_new FROM pgherald.journal WHERE op = 'm' AND past::text = '\"letter\"'"
                       " ORDER BY id DESC LIMIT 4")
    assert own == [(["=#"],), (["==2"],), (["=*"],), (["=#news"],)]
    anna.close()


def test_who_may_publish_reaches_nothing_else_of_ours(place):
    db = place.db
    for what in ("SELECT FROM pgherald.journal", "SELECT FROM pgherald.kept", "DELETE FROM pgherald.kept",
                 "INSERT INTO pgherald.journal (topic, op) VALUES ('#', 'm')", "SELECT nextval('pgherald.loss')",
                 "SELECT pgherald.refetch('estimate', 'loss', 1)", "SELECT pgherald.tell('{1}')",
                 "SELECT pgherald.kept_for('{*}')", "SELECT pgherald.shut_when_full()", "SELECT pgherald.user_key('x')",
                 "SELECT pgherald.next_id()", "CREATE TABLE pgherald.mine ()"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            db.run(what, user="app")
    db.run("DO $$ BEGIN IF to_regrole('publish_stranger') IS NULL THEN CREATE ROLE publish_stranger LOGIN; END IF; END $$")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        publish(db, "*", "m", 1, user="publish_stranger")


def test_temporary_objects_and_settings_of_the_caller_change_nothing(place):
    """What he has in his own schemas, first in his search_path, is not found."""
    db = place.db
    anna = listen(place, place.anna)
    connection = db.connect(user="app")
    cur = connection.cursor()
    cur.execute("CREATE TEMP TABLE pg_proc (proname text, pronamespace regnamespace); CREATE TEMP TABLE journal ();"
                "CREATE FUNCTION pg_temp.split_part(text, text, int) RETURNS text LANGUAGE sql AS 'SELECT ''x''';"
                "CREATE FUNCTION pg_temp.octet_length(text) RETURNS int LANGUAGE sql AS 'SELECT 1';"
                "SET search_path = pg_temp, pg_catalog")
    for call in ("'*', 'estimate.created', '{}'", "'*', 'm', to_jsonb(repeat('x', 1048575))"):
        with pytest.raises(psycopg2.Error):
            cur.execute(f"SELECT pgherald.publish({call})")
    cur.execute("SELECT pgherald.publish('*', 'm', '1')")
    connection.close()
    fence(place, anna)
    assert told(anna) == [("m", 1)]
    anna.close()


def test_install_grants_it_to_those_that_are_named_and_to_nobody_else(cluster, tmp_path):
    db = cluster.create_database("app_template")
    install = Install(db, tmp_path)
    install.write(CONF)
    db.run("""DO $$ BEGIN IF to_regrole('"Herald-Writer"') IS NULL THEN CREATE ROLE "Herald-Writer" LOGIN; END IF; END $$""")
    install.apply()
    publish(db, "*", "m", 1)
    done = install.sql("check")
    assert done.returncode == 0, done.stdout
    install.write(CONF.replace("roles = app", "roles = Herald-Writer"))
    assert "right-unknown" in install.sql("check").stdout
    install.apply()
    assert install.sql("check").returncode == 0
    publish(db, "*", "m", 2, user="Herald-Writer")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        publish(db, "*", "m", 3)
    install.apply("upgrade")
    assert install.sql("check").returncode == 0
    install.write(CONF.replace("[publish]\nroles = app\n", ""))
    install.apply()
    assert install.sql("check").returncode == 0
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        publish(db, "*", "m", 4, user="Herald-Writer")
    install.write(CONF.replace("roles = app", "roles = nobody there"))
    assert "does not exist" in install.sql("install", "--apply").stderr
    install.apply("uninstall")
    assert db.one("SELECT to_regnamespace('pgherald')") is None
    db.drop()


def test_messages_fill_the_journal_up_to_its_last_eighth(cluster, tmp_path):
    """From there on the publisher gets an error, and changes of tables are still recorded."""
    db = cluster.create_database("app_template")
    install = Install(db, tmp_path)
    install.write(CONF.replace("[database]\n", "[database]\njournal_size = 8MiB\n"))
    install.apply()
    # nothing that can be compressed
    noise = "SELECT pgherald.publish('*', 'm', (SELECT jsonb_agg(md5(random()::text)) FROM generate_series(1, 2000)){})"
    with pytest.raises(psycopg2.errors.ConfigurationLimitExceeded):
        for n in range(200):
            db.run(noise.format(""), user="app")
    size = db.one("SELECT pg_total_relation_size('pgherald.journal')")
    assert 7 * 1048576 < size < 8 * 1048576
    db.run("SELECT pgherald.prune('0s', 100000)")
    db.run("VACUUM FULL pgherald.journal")
    db.run("SELECT set_config('pgherald.actor', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300000) AS n),"
           " false), pgherald.publish('*', 'm', '1')", user="app")  # the settings that he may make
    assert db.one("SELECT pg_total_relation_size('pgherald.journal')") < 1048576
    db.run("INSERT INTO api_estimate (number, project_id) VALUES ('N', 10)")
    assert db.one("SELECT count(*) FROM pgherald.journal WHERE op = 'I'") == 1
    db.run("SELECT pgherald.prune('0s', 100000)")
    db.run("VACUUM FULL pgherald.journal")
    with pytest.raises(psycopg2.errors.ConfigurationLimitExceeded):
        for n in range(200):
            db.run(noise.format(f", key => '{n}', persist => true"), user="app")
    assert db.one("SELECT pg_total_relation_size('pgherald.kept')") < 2 * 1048576
    publish(db, "*", "m", 1)  # without a key there is room
    db.run("SELECT pgherald.prune('0s', 100000)")
    assert db.one("SELECT count(*) FROM pgherald.kept") == 0
    db.drop()
