# SPDX-License-Identifier: PostgreSQL
"""Values that cannot be sent: without a form in UTF-8 (databases in other encodings), too large,
too slow to make; and tokens that do not end or belong to somebody unreadable. One of them stops
itself and nothing else."""

import pytest

from conftest import APP_TABLES, CONF, LONG_QUEUES, PGHERALD, Install, Served
from lib.cluster import Database
from lib.daemon import Client, wait_until

# A byte, as a bytea literal, that the encoding has and UTF-8 has not, or that is no text at all.
ENCODINGS = {
    "SQL_ASCII": r"\xff",
    "WIN1252": r"\x81",      # not assigned
    "EUC_JP": r"\xfefe",     # a place for users' own characters
}


@pytest.fixture(params=list(ENCODINGS))
def foreign(request, cluster, tmp_path):
    """A daemon on a database in another encoding; db.bad is SQL for its bad value."""
    name = "foreign_" + request.param.lower()
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{request.param}' LOCALE 'C'")
    db = Database(cluster, name)
    try:
        with db.connect().cursor() as cur:
            cur.execute(APP_TABLES)
        db.bad = f"convert_from('{ENCODINGS[request.param]}', getdatabaseencoding())"
        if request.param == "SQL_ASCII":
            db.bad = "E'\\xff'"
        install = Install(db, tmp_path)
        install.write(CONF + LONG_QUEUES)
        install.apply()
        served = Served(install, tmp_path)
        yield served
        served.daemon.kill()
    finally:
        db.drop()


def estimate(db, number, foreman=2, project=10):
    db.run("INSERT INTO api_estimate (number, project_id, foreman_id) "
           f"VALUES ({number}, {project}, {foreman})")


def numbers(client):
    return [m["data"]["estimate_number"] for m in client.messages() if m["event"] == "estimate.created"]


# --- without a form in UTF-8 ---------------------------------------------------------------------


def test_a_value_without_utf8_is_its_own_transactions_affair(foreign):
    db, d = foreign.db, foreign.daemon.start().wait_ready()
    boss, anna = (Client(d, t).hello() for t in (foreign.boss, foreign.anna))
    first = boss.last_id
    for n in range(3):
        estimate(db, f"'good {n}'")
        estimate(db, db.bad)
    db.run(f"UPDATE api_project SET name = {db.bad} WHERE id = 11")
    estimate(db, "'last'", project=11)  # its name is bad
    estimate(db, "'very last'")
    for c in (boss, anna):
        c.read_until(lambda c=c: "very last" in numbers(c), "the last one")
        assert numbers(c) == ["good 0", "good 1", "good 2", "very last"]
        told = [m["data"] for m in c.messages() if m["event"] == "system.resync"]
        assert {"reason": "loss", "topics": ["estimate"]} in told
        assert [t for t in told if t["topics"] == ["estimate"]] == [{"reason": "loss", "topics": ["estimate"]}] * 4
        assert [t for t in told if t["topics"] == ["project"]] == [{"reason": "loss", "topics": ["project"]}]
    assert d.get("/readyz")[0] == 200
    assert d.log().count("connected to server") == 3  # none was made anew
    # the same from the journal, and after a restart
    back = Client(d, foreign.boss, last_id=first).hello()
    back.read_until(lambda: "very last" in numbers(back), "the last one again")
    assert numbers(back) == numbers(boss)
    d.kill()
    d.start().wait_ready()
    estimate(db, "'after'")
    again = Client(d, foreign.boss, last_id=first).hello()
    again.read_until(lambda: "after" in numbers(again), "the new one")
    assert numbers(again) == [*numbers(boss), "after"]


def test_many_of_them_in_one_page(foreign):
    db = foreign.db
    foreign.daemon.start().wait_ready()
    c = Client(foreign.daemon, foreign.boss).hello()
    with db.connect(autocommit=True).cursor() as cur:
        for n in range(62):
            number = db.bad if n % 7 == 3 else f"'{n}'"
            cur.execute(f"INSERT INTO api_estimate (number, project_id) VALUES ({number}, 10)")
    c.read_until(lambda: "61" in numbers(c), "the last one")
    assert numbers(c) == [str(n) for n in range(62) if n % 7 != 3]


def test_a_user_without_utf8_revokes_all_the_same(foreign):
    """His rights' change is a row whose users cannot be sent: then everybody is looked up again."""
    db, d = foreign.db, foreign.daemon
    db.run("CREATE TABLE people (name text PRIMARY KEY, role text, is_active boolean DEFAULT true);"
           "CREATE TABLE keys (key text PRIMARY KEY, who text);"
           f"INSERT INTO people VALUES ('anna', 'foreman'), ({db.bad}, 'foreman');"
           f"INSERT INTO keys VALUES ('k-anna', 'anna'), ('k-bad', {db.bad})")
    foreign.install.conf.write_text(foreign.install.conf.read_text().replace(
        "[auth drf]\nuser_table = public.api_user", "[auth drf]\npreset = custom\ntoken_table = public.keys\n"
        "token_user = who\nuser_table = public.people\nuser_key = name"))
    foreign.install.apply()
    d.start().wait_ready()
    anna = Client(d, "k-anna").hello()
    assert d.get("/api/v1/sse/events/", "k-bad")[0] == 401
    size = d.log_size()
    with db.connect(autocommit=False) as connection, connection.cursor() as cur:
        cur.execute(f"UPDATE people SET is_active = false WHERE name = {db.bad}")
        cur.execute("DELETE FROM keys WHERE who = 'anna'")
    anna.wait_end()
    d.wait_log("token is not valid any more", size)


# --- tokens --------------------------------------------------------------------------------------


@pytest.fixture
def keys(served):
    """Tokens of sixty users, each with a time of its own."""
    db = served.db
    db.run("CREATE TABLE keys (secret text PRIMARY KEY, owner bigint, ends timestamptz);"
           "INSERT INTO api_user (id, username, role) SELECT g, 'u' || g, 'foreman' FROM generate_series(101, 160) g;"
           "INSERT INTO keys SELECT 'k' || g, g, now() + g * interval '1 hour' FROM generate_series(101, 160) g")
    served.install.conf.write_text(served.install.conf.read_text().replace(
        "[auth drf]\n", "[auth drf]\npreset = custom\ntoken_table = public.keys\ntoken_column = secret\n"
        "token_user = owner\ntoken_expires = ends\n"))
    served.install.apply()
    return served


def test_infinity_is_never(keys):
    keys.db.run("UPDATE keys SET ends = 'infinity' WHERE owner IN (101, 102);"
                "UPDATE keys SET ends = '-infinity' WHERE owner = 103;"
                "UPDATE keys SET ends = '294276-12-31' WHERE owner = 104")
    d = keys.daemon.start().wait_ready()
    clients = [Client(d, f"k{g}") for g in range(101, 161)]  # many in one look-up
    for g, c in zip(range(101, 161), clients):
        if g == 103:
            c.read_until(lambda c=c: c.status, "an answer")
            assert c.status == 401
        else:
            c.hello()
    estimate(keys.db, "'e'", foreman=101)
    clients[0].wait_message("estimate.created")


def test_an_error_is_its_own_tokens(keys):
    """Users whose row cannot be read: a role that is an error to look at."""
    db = keys.db
    definition = db.one("SELECT pg_get_functiondef('pgherald.auth_drf(text[])'::regprocedure)")
    assert "pgherald.as_text(u.role)" in definition
    db.run(definition.replace("pgherald.as_text(u.role)", "CASE WHEN u.id IN (110, 120, 121) THEN "
                              "convert_from('\\xff', 'UTF8') ELSE u.role::text END"))
    d = keys.daemon.start().wait_ready()
    clients = [Client(d, f"k{g}") for g in range(101, 161)]
    for g, c in zip(range(101, 161), clients):
        if g in (110, 120, 121):
            c.read_until(lambda c=c: c.status, "an answer")
            assert c.status == 401
        else:
            c.hello()
    wait_until(lambda: "what belongs to a token cannot be read (SQLSTATE 22021)" in d.log(), "the log says so")


def test_a_notification_without_utf8_hurts_nobody(foreign):
    """The server cannot send it on to us; whoever may connect can send one."""
    db, d = foreign.db, foreign.daemon
    foreign.install.conf.write_text(foreign.install.conf.read_text() + "\n[listen news]\nchannel = news\n")
    d.start().wait_ready()
    c = Client(d, foreign.boss).hello()
    for channel in ("pgherald", "news"):
        db.run(f"SELECT pg_notify('{channel}', '{{\"a\":\"' || {db.bad} || '\"}}')", user="app")
    db.run("SELECT pg_notify('news', '{\"event\": \"after\"}')", user="app")
    estimate(db, "'e'")
    c.wait_message("estimate.created")
    c.read_until(lambda: any(m["event"] in ("after", "system.resync") for m in c.messages()), "the rest")


def test_who_sends_such_notifications_all_the_time_is_not_listened_to(foreign):
    db, d = foreign.db, foreign.daemon.start().wait_ready()
    c = Client(d, foreign.boss).hello()
    size = d.log_size()
    number = 0

    def garble():
        nonlocal number
        db.run(f"SELECT pg_notify('pgherald', {db.bad})", user="app")
        number += 1
        estimate(db, f"'{number}'")
        c.read_until(lambda: str(number) in numbers(c), "an event all the same")
        return "not listening for 10 minutes" in d.log(size)

    wait_until(garble, "it stops its ears")
    lost = d.log(size).count("trying again")
    for _ in range(5):
        garble()
    assert d.log(size).count("trying again") == lost
    assert numbers(c) == [str(n + 1) for n in range(number)]
