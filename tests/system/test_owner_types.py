# SPDX-License-Identifier: PostgreSQL
"""A user id has one spelling: in rows that are recorded one at a time and in bulk, in look-ups of owners, as
the user of a token, and in what tells that his rights have changed."""

import psycopg2
import pytest

from conftest import HEAD, TOLD, Install
from lib.beliefs import Beliefs

# (type, two values, and how they are spelled)
KINDS = [
    ("int", "7", "8", "7", "8"),
    ("char(10)", "'anna'", "'boris'", "anna", "boris"),
    ("varchar(10)", "'anna '", "'boris'", "anna ", "boris"),
    ("padded", "'anna'", "'boris'", "anna", "boris"),
    ("mood", "'happy'", "'sad'", "happy", "sad"),
    ("uuid", "'C0FFEE00-0000-4000-8000-000000000001'", "'c0ffee00-0000-4000-8000-000000000002'",
     "c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002"),
    ("numeric(10,2)", "7", "8", "7.00", "8.00"),
    ("boolean", "true", "false", "true", "false"),
    ("bytea", "'\\xC0'", "'\\xff00'", "\\xc0", "\\xff00"),
    ("float8", "0.1", "1e300", "0.1", "1e+300"),
    ("date", "'2025-12-31'", "'2026-01-02'", "2025-12-31", "2026-01-02"),
    ("timestamp", "'2025-12-31 01:02'", "'2026-01-02'", "2025-12-31 01:02:00", "2026-01-02 00:00:00"),
    ("timestamptz", "'2025-12-31 01:02+02'", "'2026-01-02 00:00+00'", "2025-12-30 23:02:00+00",
     "2026-01-02 00:00:00+00"),
    ("interval", "'1 day'", "'2:30'", "P1D", "PT2H30M"),
    ("inet", "'10.0.0.1/8'", "'::1'", "10.0.0.1/8", "::1/128"),
    ("name", "'Anna'", "'Boris'", "Anna", "Boris"),
    ('"char"', "'a'", "'b'", "a", "b"),
    ("bit(3)", "B'101'", "B'111'", "101", "111"),
    ("int4range", "'[1,5)'", "'[3,4]'", "[1,5)", "[3,5)"),
    ("jsonb", "'7'", "'\"x\"'", "7", '"x"'),
]

# One set of tables, and one [auth], for each kind {n}.
TABLES = """
CREATE TABLE u{n} (id {kind} PRIMARY KEY, role text DEFAULT 'foreman', is_active boolean DEFAULT true);
CREATE TABLE tok{n} (key text PRIMARY KEY, user_id {kind});
CREATE TABLE t{n} (id int PRIMARY KEY, v int, owner {kind});
CREATE TABLE member{n} (t_id int, u_id {kind});
CREATE TABLE j{n} (id int PRIMARY KEY, v int);
CREATE TABLE k{n} (id {kind} PRIMARY KEY, v int);
INSERT INTO u{n} VALUES ({one}), ({two}); INSERT INTO tok{n} VALUES ('one', {one}), ('two', {two});
INSERT INTO member{n} VALUES (1, {one}), (1, {two}), (2, {two});
"""
SECTIONS = """
[auth a{n}]
user_table = public.u{n}
token_table = public.tok{n}
[watch t{n}]
table = public.t{n}
owners = owner
fields = id, v
[watch j{n}]
table = public.j{n}
owners = id<-public.member{n}.t_id.u_id
fields = id, v
[watch k{n}]
table = public.k{n}
fields = id, v
"""


@pytest.fixture(scope="module")
def kinds(cluster, tmp_path_factory):
    """A database with all of them, and a session whose settings spell everything in another way."""
    db = cluster.create_database()
    db.run("CREATE DOMAIN padded AS char(8); CREATE TYPE mood AS ENUM ('sad', 'happy')")
    db.run("".join(TABLES.format(n=n, kind=kind, one=one, two=two) for n, (kind, one, two, _, _) in enumerate(KINDS)))
    install = Install(db, tmp_path_factory.mktemp("kinds"))
    install.write(HEAD.replace("[auth drf]\nuser_table = public.api_user\n", "")
                  + "".join(SECTIONS.format(n=n) for n in range(len(KINDS))))
    install.apply()
    db.run("SET timezone = 'Asia/Tokyo'; SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; "
           "SET bytea_output = 'escape'; SET extra_float_digits = -10")
    yield db
    db.drop()


@pytest.mark.parametrize("n, kind, one, two, spelled_one, spelled_two", [(n, *k) for n, k in enumerate(KINDS)],
                         ids=[k[0] for k in KINDS])
def test_one_spelling(kinds, n, kind, one, two, spelled_one, spelled_two):
    db = kinds

    def taken(topic):
        rows = db.run(f"SELECT op, own_old, own_new FROM {TOLD} WHERE topic = %s ORDER BY id", [topic])
        db.run("DELETE FROM pgherald.journal")
        return rows

    a, b = [spelled_one], [spelled_two]
    db.run(f"INSERT INTO t{n} VALUES (1, 0, {one})")
    db.run(f"INSERT INTO t{n} VALUES (2, 0, {two}), (3, 0, {one}), (4, 0, NULL)")
    assert taken(f"t{n}") == [("i", [], a), ("i", [], b), ("i", [], a), ("i", [], [])]
    db.run(f"UPDATE t{n} SET v = 1 WHERE id = 1")
    db.run(f"UPDATE t{n} SET v = 1 WHERE id IN (2, 3)")
    assert taken(f"t{n}") == [("u", a, a), ("u", b, b), ("u", a, a)]
    db.run(f"UPDATE t{n} SET owner = {two} WHERE id = 1")
    db.run(f"UPDATE t{n} SET owner = {one} WHERE id IN (2, 4)")
    assert taken(f"t{n}") == [("u", a, b), ("u", b, a), ("u", [], a)]
    db.run(f"DELETE FROM t{n} WHERE id = 1")
    db.run(f"DELETE FROM t{n}")
    assert taken(f"t{n}") == [("d", b, []), ("d", a, []), ("d", a, []), ("d", a, [])]

    both = sorted(a + b)
    db.run(f"INSERT INTO j{n} VALUES (1, 0)")
    db.run(f"UPDATE j{n} SET v = 1")
    db.run(f"DELETE FROM j{n}")
    assert taken(f"j{n}") == [("i", [], both), ("u", both, both), ("d", both, [])]

    ask = f"SELECT user_id FROM pgherald.auth_a{n}('{{one,two}}') ORDER BY n"
    reader = db.connect("pgherald")
    with reader.cursor() as cursor:
        # the daemon's settings of dates and the like: src/pg/conn.c
        cursor.execute("SET timezone = 'UTC'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = 1; " + ask)
        assert cursor.fetchall() == [(spelled_one,), (spelled_two,)]
    reader.close()
    if kind not in ("bytea", "float8", "date", "timestamp", "timestamptz", "interval"):  # as the session has them
        db.run(f"UPDATE tok{n} SET key = 'changed' WHERE key = 'one'")
        db.run(f"UPDATE u{n} SET is_active = false WHERE id = {two}")
        assert db.run("SELECT own_old FROM pgherald.journal WHERE op = 'a' ORDER BY id") == [(a,), (b,)]
    db.run("DELETE FROM pgherald.journal")

    # and of a key: else two changes of a row in one transaction would be taken for those of two rows
    db.run(f"BEGIN; INSERT INTO k{n} VALUES ({one}, 0); INSERT INTO k{n} VALUES ({two}, 0); "
           f"UPDATE k{n} SET v = 1; COMMIT")
    assert db.run("SELECT pk FROM pgherald.journal ORDER BY id") == [
        (spelled_one,), (spelled_two,), (spelled_one,), (spelled_two,)]
    db.run("DELETE FROM pgherald.journal")


# Values that PostgreSQL takes for the same, and clients do not: (type, two of these, another)
ALIKE = [
    ("numeric", "1.0", "1.00", "'NaN'"),
    ("positive", "1.0", "1.00", "2"),
    ("float8", "0", "'-0'", "'NaN'"),
    ("numrange", "'[1.0,2)'", "'[1.00,2)'", "'empty'"),
    ("folded", "'anna'", "'ANNA'", "'boris'"),
    ("citext", "'anna'", "'ANNA'", "'boris'"),
]
# {one}: a row with the first of these, {other} one with another; {c} is the column.
ALIKE_STEPS = [
    "INSERT INTO {t} VALUES ({one})",
    "UPDATE {t} SET {c} = {y}",
    "UPDATE {t} SET v = v + 1; UPDATE {t} SET {c} = {x}",
    "UPDATE {t} SET {c} = {y}; UPDATE {t} SET v = v + 1",
    "DELETE FROM {t}; INSERT INTO {t} VALUES ({one}); UPDATE {t} SET v = v + 1",
    "INSERT INTO {t} VALUES ({other}); UPDATE {t} SET {c} = {y} WHERE v > 0",
    "UPDATE {t} SET {c} = CASE WHEN v > 0 THEN {x}::{kind} ELSE {z}::{kind} END",
    "UPDATE {t} SET v = v + 1; DELETE FROM {t}",
]


@pytest.fixture(scope="module")
def alike(cluster, tmp_path_factory):
    db = cluster.create_database("app_template")
    db.run("CREATE EXTENSION citext; CREATE DOMAIN positive AS numeric CHECK (value > 0)")
    try:
        db.run("CREATE COLLATION nobody_shouts (provider = icu, locale = 'und-u-ks-level2', deterministic = false); "
               "CREATE DOMAIN folded AS text COLLATE nobody_shouts")
    except psycopg2.Error:  # this PostgreSQL has no ICU
        db.run("CREATE DOMAIN folded AS citext")
    sections = ""
    for n, (kind, *_) in enumerate(ALIKE):
        db.run(f"CREATE TABLE key{n} (id {kind} PRIMARY KEY, v int, owner int); "
               f"CREATE TABLE own{n} (id int PRIMARY KEY, v int, owner {kind})")
        sections += "".join(f"[watch {t}]\ntable = public.{t}\nowners = owner\nfields = id, v, owner\n"
                            for t in (f"key{n}", f"own{n}"))
    install = Install(db, tmp_path_factory.mktemp("alike"))
    install.write(sections)
    install.apply()
    yield db
    db.drop()


@pytest.mark.parametrize("late", [False, True], ids=["", "late"])
@pytest.mark.parametrize("place", ["key", "own"])
@pytest.mark.parametrize("n", range(len(ALIKE)), ids=[k[0] for k in ALIKE])
def test_what_postgresql_takes_for_the_same(alike, n, place, late):
    """Another spelling is another key for a client, and another user."""
    kind, x, y, z = ALIKE[n]
    t = f"{place}{n}"
    alike.run(f"TRUNCATE {t}; DELETE FROM pgherald.journal")
    users = [alike.one(f"SELECT {v}::{kind}::text") for v in (x, y, z)] if place == "own" else ("1", "2", "3")
    b = Beliefs(alike, {t: "json_build_object('id', id, 'v', v, 'owner', owner), ARRAY[owner::text]"}, users)
    rows = {"key": (f"{x}, 0, 1", f"{z}, 0, 2"), "own": (f"1, 0, {x}", f"2, 0, {z}")}
    for step in ALIKE_STEPS:
        sql = step.format(t=t, c={"key": "id", "own": "owner"}[place], one=rows[place][0], other=rows[place][1], x=x, y=y, z=z,
                          kind=kind)
        alike.run(f"BEGIN; {sql}; COMMIT")
        if not late:
            told = b.hear()
            b.check((sql, told))
    b.hear()
    b.check("all of them")
    assert b.again == 0


@pytest.mark.parametrize("follow", ["", "follow = yes\n"], ids=["", "follow"])
@pytest.mark.parametrize("one, other", [('COLLATE "C"', 'COLLATE "und-x-icu"'), ("COLLATE nobody_shouts", "COLLATE nobody_shouts"),
                                        ("COLLATE nobody_shouts", "")], ids=["two", "one", "default"])
def test_columns_with_collations(db, install, one, other, follow):
    """Names and owners by way of them are found, by who writes and by who tells."""
    try:
        db.run("CREATE COLLATION nobody_shouts (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except psycopg2.Error:
        pytest.skip("this PostgreSQL has no ICU")
    db.run(f"CREATE TABLE g (id text {one} PRIMARY KEY, name text {one}); "
           f"CREATE TABLE m (g text {other}, usr text {other}); "
           f"CREATE TABLE t (id text {other} PRIMARY KEY, v int, g text {other}); CREATE INDEX ON m (g); CREATE INDEX ON t (g)")
    install.write("[watch t]\ntable = public.t\nowners = g<-public.m.g.usr\n"
                  f"fields = id, v, g, name=g->public.g.name\n{follow}")
    install.apply()
    db.run("INSERT INTO g VALUES ('a', 'A'), ('b', 'B'); INSERT INTO m VALUES ('a', '1'), ('b', '2'), ('a', '3')")
    b = Beliefs(db, {"t": "json_build_object('id', id, 'v', v, 'g', g, 'name', (SELECT name FROM g WHERE g.id = t.g COLLATE \"C\")), "
                          "ARRAY(SELECT usr FROM m WHERE m.g = t.g)"})
    b.hear()
    steps = ["INSERT INTO t VALUES ('x', 0, 'a')", "INSERT INTO t VALUES ('y', 0, 'a'), ('z', 0, 'b')", "UPDATE t SET v = 1",
             "UPDATE t SET g = 'b' WHERE id = 'x'", "BEGIN; UPDATE t SET v = 2; UPDATE t SET v = 3; COMMIT",
             "DELETE FROM t WHERE id = 'y'", "DELETE FROM t"]
    if follow:
        steps += ["INSERT INTO t VALUES ('x', 0, 'a')", "INSERT INTO m VALUES ('a', '2')", "DELETE FROM m WHERE usr = '3'",
                  "UPDATE m SET g = 'b' WHERE usr = '1'"]
    for sql in steps:
        db.run(sql)
        told = b.hear()
        b.check((sql, told))
    assert b.again == 0 and db.one("SELECT is_called FROM pgherald.loss") is False
