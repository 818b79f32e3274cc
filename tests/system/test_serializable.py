# SPDX-License-Identifier: PostgreSQL
"""SERIALIZABLE transactions meet no conflict of ours, nor one another by way of us: neither single rows nor
bulk, in no way that the triggers can go. And a conflict of their own is theirs: it is not taken for a loss."""

import json
import threading

import psycopg2
import pytest

from conftest import CONF, TOLD
from lib.cluster import wait_for
from lib.daemon import Client
from lib.ear import Ear

TABLES = """
CREATE TABLE a (id int PRIMARY KEY, v int, p int);
CREATE TABLE b (id int PRIMARY KEY, v int, p int);
CREATE TABLE p (id int PRIMARY KEY, name text);
INSERT INTO a SELECT g, 0, 1 FROM generate_series(1, 2000) AS g;
INSERT INTO b SELECT g, 0, 1 FROM generate_series(1, 2000) AS g;
INSERT INTO p VALUES (1, 'one'), (2, 'two');
ANALYZE;
"""
SECTIONS = "".join(f"[watch {t}]\ntable = public.{t}\nowners = v\nfields = id, v, n=p->public.p.name\n" for t in "ab")

# What both transactions do, each on rows of its own ({i} and up): nothing here reads what the other writes.
WORK = {
    "row": ["UPDATE {t} SET v = 1 WHERE id = {i}"],
    "rows": ["UPDATE {t} SET v = 1 WHERE id IN ({i}, {i} + 1)"],
    "inserts": ["INSERT INTO {t} VALUES (-{i}, 1, 1), (-{i} - 1, 1, 1)"],
    "delete": ["DELETE FROM {t} WHERE id = {i}"],
    "deletes": ["DELETE FROM {t} WHERE id IN ({i}, {i} + 1)"],
    "moved": ["UPDATE {t} SET id = -id WHERE id = {i}"],
    "many rows": ["UPDATE {t} SET v = 1 WHERE id BETWEEN {i} AND {i} + 600"],
    "many": ["UPDATE {t} SET v = v + 1 WHERE id = {i}"] * 40,
    "many bulks": ["UPDATE {t} SET v = v + 1 WHERE id IN ({i}, {i} + 1)"] * 40,
}


@pytest.fixture(params=["same table", "two tables"])
def pair(request, db, install):
    """Two connections with an open SERIALIZABLE transaction each, and a third to put others between."""
    db.run(TABLES)
    install.write(SECTIONS)
    install.apply()
    # With a sequential scan, or a page of an index between them, they would conflict without us.
    tables = ("a", "a") if request.param == "same table" else ("a", "b")
    sessions = [db.connect(autocommit=False) for _ in range(2)]
    for c in sessions:
        c.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE)
    yield sessions, tables
    for c in sessions:
        c.close()


def interleave(sessions, tables, work, between=None):
    """One statement of the one, one of the other; both must commit."""
    lists = [[s.format(t=t, i=i) for s in work] for t, i in zip(tables, (1, 1301))]
    for step in zip(*lists):
        for c, sql in zip(sessions, step):
            c.cursor().execute(sql)
        if between:
            between()
    for c in sessions:
        c.commit()


@pytest.mark.parametrize("name", WORK)
def test_interleaved_pairs(db, pair, name):
    if name != "many rows":
        db.run("SET enable_seqscan = off")
    for c in pair[0]:
        c.cursor().execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        c.commit()
    if name in ("many rows", "moved", "inserts") and pair[1][0] == pair[1][1]:
        pytest.skip("rows of one page of an index conflict without us")
    interleave(*pair, WORK[name] * (2 if name in ("row", "rows") else 1))
    assert db.one("SELECT is_called FROM pgherald.loss") is False
    assert db.one("SELECT count(DISTINCT txid) FROM pgherald.journal") == 2
    if name.startswith("many"):
        assert db.one("SELECT count(*) FROM pgherald.journal WHERE op = 'r'") == 2
        assert db.one("SELECT count(*) FROM pgherald.journal") <= 132
    else:
        names = db.run(f"SELECT doc->>'n' FROM {TOLD}")
        assert names and set(names) == {("one",)}  # of deleted rows, too: looked up when they are told


def test_with_others_between(db, pair):
    """So that transaction numbers are far behind, as on a busy server."""
    other = db.connect()
    for c in pair[0]:
        c.cursor().execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        c.commit()

    def between():
        for i in range(40):
            other.cursor().execute("UPDATE b SET v = v + 1 WHERE id = 700")

    interleave(*pair, WORK["row"] * 3 + WORK["rows"] * 2, between)
    other.close()
    assert db.one("SELECT is_called FROM pgherald.loss") is False


def test_while_the_journal_is_shut(db, pair):
    db.run("SELECT setval('pgherald.gate', 1000), setval('pgherald.journal_id_seq', 9223372036854775807)")
    for c in pair[0]:
        c.cursor().execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        c.commit()
    interleave(*pair, WORK["row"] + WORK["rows"])
    assert db.one("SELECT last_value FROM pgherald.loss") == 4


@pytest.mark.parametrize("capture", ["journal", "notify"])
def test_a_joined_table_that_another_writes(db, install, capture):
    """Who reads the row that the one writes, and writes a row that is named there, has nothing to do with him."""
    db.run(TABLES)
    install.write(SECTIONS.replace("fields =", f"capture = {capture}\nfields ="))
    install.apply()
    ear = Ear(db, "pgherald_inline")
    sessions = [db.connect(autocommit=False) for _ in range(2)]
    for c in sessions:
        c.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE)
        c.cursor().execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        c.commit()
    for work in ("UPDATE a SET v = v + 1 WHERE id = 1", "UPDATE a SET v = v + 1 WHERE id IN (1, 2)", "DELETE FROM a WHERE id = 1"):
        sessions[0].cursor().execute(work)
        sessions[1].cursor().execute("SELECT v FROM a WHERE id = 1")
        sessions[1].cursor().execute("UPDATE p SET name = name || 'x' WHERE id = 1")
        for c in sessions:
            c.commit()
    assert db.one("SELECT is_called FROM pgherald.loss") is False
    told = [json.loads(payload) for payload in ear.payloads()]
    assert [(e["op"], e["reason"]) for e in told] == ([("r", "loss")] * 3 if capture == "notify" else [])
    for c in (ear, *sessions):
        c.close()


def test_rights(db, installed):
    """Tokens and groups, too."""
    db.run("INSERT INTO auth_group VALUES (1, 'a'), (2, 'b')")
    sessions = [db.connect(autocommit=False) for _ in range(2)]
    installed.write(CONF.replace("user_table = public.api_user", "user_table = public.api_user\nrole_from = groups\n"
                                 "membership_table = public.api_user_groups"))
    installed.apply()
    for c in sessions:
        c.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE)
        c.cursor().execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        c.commit()
    for step in range(40):
        for n, c in enumerate(sessions, 2):
            c.cursor().execute("UPDATE api_user SET is_active = NOT is_active WHERE id = %s", [n])
    for n, c in enumerate(sessions, 1):
        c.cursor().execute("UPDATE auth_group SET name = name || 'x' WHERE id = %s", [n])
    for c in sessions:
        c.commit()
        c.close()
    assert db.run("SELECT count(*), count(*) FILTER (WHERE own_old = '{}') FROM pgherald.journal "
                  "WHERE op = 'a' GROUP BY txid") == [(33, 1)] * 2
    assert db.one("SELECT is_called FROM pgherald.loss") is False


def test_a_conflict_of_the_applications_own_is_not_a_loss(db, install):
    """The error comes while we write, since somebody reads the journal: the transaction must be tried again,
    and is."""
    db.run(TABLES + "CREATE TABLE seen (id int PRIMARY KEY, v int); INSERT INTO seen VALUES (1, 0)")
    install.write(SECTIONS)
    install.apply()
    db.run("INSERT INTO a VALUES (-1, 1, 1)")
    admin, writer = db.connect(autocommit=False), db.connect(autocommit=False)
    for c in (admin, writer):
        c.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE)
    for work in ("UPDATE a SET v = v + 1 WHERE id = 1", "UPDATE a SET v = v + 1 WHERE id IN (1, 2)"):
        admin.cursor().execute("SELECT count(*) FROM pgherald.journal")
        writer.cursor().execute("SELECT v FROM seen")
        db.run("BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE seen SET v = v + 1; COMMIT")
        with pytest.raises(psycopg2.errors.SerializationFailure):
            writer.cursor().execute(work)
        writer.rollback()
        admin.rollback()
        writer.cursor().execute(work)
        writer.commit()
    assert db.one("SELECT is_called FROM pgherald.loss") is False
    assert db.one("SELECT v FROM a WHERE id = 1") == 2
    admin.close()
    writer.close()


def test_eight_writers_and_a_daemon_where_it_is_the_default(served):
    """Each writer on a table of its own, two rows an update: no transaction fails, and each is told."""
    db = served.db
    db.run("".join(f"CREATE TABLE w{n} (id int PRIMARY KEY, v int); INSERT INTO w{n} VALUES (1, 0), (2, 0);"
                   f"GRANT ALL ON w{n} TO app;" for n in range(8))
           + f"ALTER DATABASE {db.name} SET default_transaction_isolation = serializable;")
    served.install.write(CONF + "".join(f"[watch w{n}]\ntable = public.w{n}\nfields = id, v\n" for n in range(8)))
    db.close()
    served.install.apply()
    served.use_long_queues()
    d = served.daemon.start().wait_ready()
    client = Client(d, served.boss).hello()
    failed = []

    def write(n):
        c = db.connect("app")
        try:
            for i in range(40):
                c.cursor().execute(f"UPDATE w{n} SET v = v + 1")
        except psycopg2.Error as error:
            failed.append(error)
        c.close()

    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
    assert not failed, failed
    for n in range(8):
        client.wait_message(f"w{n}.updated", v=40, id=2)
    assert {m["event"].split(".")[1] for m in client.messages()} == {"updated"}
    assert db.one("SELECT is_called FROM pgherald.loss") is False
    db.run("DELETE FROM authtoken_token WHERE user_id = 1")
    client.wait_end()
    assert wait_for(lambda: db.one("SELECT pgherald.prune('0', 1000)") >= 0, "nobody else prunes")
    assert d.get("/readyz")[0] == 200
