# SPDX-License-Identifier: PostgreSQL
"""What the triggers write into the journal, and that they never hurt the application."""

import io
import json

import psycopg2
import pytest

from conftest import CONF, TOLD
from lib.ear import Ear

COLUMNS = "topic, op, pk, own_old, own_new, doc::text, leave::text, n"


class Row:
    def __init__(self, values):
        (self.topic, self.op, self.pk, self.own_old, self.own_new, self.doc, self.leave,
         self.n) = values

    def __repr__(self):
        return str(self.__dict__)


@pytest.fixture
def app(db, installed):
    """The application's connection, with the journal as `app.journal()`."""
    return App(db)


class App:
    def __init__(self, db):
        self.db = db

    def run(self, sql, params=None):
        return self.db.run(sql, params, user="app")

    def journal(self, topic="estimate"):
        """The rows since the last call."""
        rows = self.db.run(f"SELECT {COLUMNS} FROM {TOLD} ORDER BY id")
        self.db.run("DELETE FROM pgherald.journal")
        return [Row(r) for r in rows if topic in (None, r[0])]

    def loss(self):
        called, value = self.db.run("SELECT is_called, last_value FROM pgherald.loss")[0]
        return value if called else 0

    def estimate(self, **values):
        values = {"id": 100, "number": "N-1", "project_id": 10, "foreman_id": 2, "creator_id": 1,
                  "created_at": "2025-01-01 12:00:00+00", **values}
        names = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        self.run(f"INSERT INTO public.api_estimate ({names}) VALUES ({marks})",
                 list(values.values()))


DOC = ('{"estimate_id":100,"estimate_number":"N-1","project_id":10,"project_name":"Bridge",'
       '"foreman_id":2,"foreman_name":"anna","creator_id":1,"creator_name":"boss",'
       '"status":"draft","created_at":"2025-01-01T12:00:00Z"}')


# --- what is recorded ----------------------------------------------------------------------


def test_insert_is_recorded_byte_for_byte(app):
    app.estimate()
    (row,) = app.journal()
    assert (row.op, row.pk, row.own_old, row.own_new, row.n) == ("i", "100", [], ["2"], 1)
    assert row.doc == DOC
    assert row.leave is None


def test_update_and_delete(app):
    app.estimate()
    app.run("UPDATE api_estimate SET status = 'done' WHERE id = 100")
    app.run("DELETE FROM api_estimate WHERE id = 100")
    _, updated, deleted = app.journal()
    assert (updated.op, updated.own_old, updated.own_new) == ("u", ["2"], ["2"])
    assert updated.doc == DOC.replace("draft", "done") and updated.leave is None
    assert (deleted.op, deleted.pk, deleted.own_old, deleted.own_new) == ("d", "100", ["2"], [])
    assert deleted.doc == DOC.replace("draft", "done")


def test_truncate(app):
    app.estimate()
    app.journal()
    app.run("TRUNCATE api_estimate")
    (row,) = app.journal()
    assert (row.op, row.pk, row.doc) == ("t", None, None)


def test_bulk_statement_keeps_the_order_of_its_rows(app):
    app.run("INSERT INTO api_estimate (id, number, project_id) "
            "SELECT g, 'N', 10 FROM generate_series(300, 201, -1) g")
    assert [r.pk for r in app.journal()] == [str(i) for i in range(300, 200, -1)]


def test_rollback_leaves_nothing_and_savepoints_only_what_stayed(app, db):
    c = db.connect("app", autocommit=False)
    cursor = c.cursor()
    insert = "INSERT INTO api_estimate (id, number, project_id) VALUES (%s, 'N', 10)"
    cursor.execute(insert, [1])
    c.rollback()
    cursor.execute(insert, [2])
    cursor.execute("SAVEPOINT s")
    cursor.execute(insert, [3])
    cursor.execute("ROLLBACK TO s")
    cursor.execute(insert, [4])
    c.commit()
    assert db.one("SELECT count(DISTINCT txid) FROM pgherald.journal") == 1
    assert [r.pk for r in app.journal()] == ["2", "4"]
    c.close()


def test_updates_that_change_nothing_watched_are_silent(app, db):
    app.estimate()
    app.journal()
    listener = Ear(db, "pgherald")
    app.run("UPDATE api_estimate SET status = status")
    app.run("UPDATE api_estimate SET note = 'not watched'")
    app.run("UPDATE api_estimate SET status = 'x' WHERE false")
    assert app.journal() == []
    assert listener.heard() == []
    listener.close()


def test_notification_is_constant_and_one_per_transaction(app, db, installed):
    installed.write(CONF.replace("[database]", "[database]\ndoorbell = notify"))
    installed.apply()
    listener = Ear(db, "pgherald")
    c = db.connect("app", autocommit=False)
    for i in range(3):
        c.cursor().execute("INSERT INTO api_estimate (number, project_id) VALUES ('N', 10)")
    c.commit()
    c.close()
    assert listener.payloads() == ['{"v":1,"topic":"estimate"}']
    listener.close()


# --- owners --------------------------------------------------------------------------------


def test_reassignment_has_both_owners_and_a_leave_document_of_old_values(app):
    app.estimate()
    app.run("UPDATE api_estimate SET foreman_id = 3, project_id = 11 WHERE id = 100")
    row = app.journal()[-1]
    assert (row.op, row.own_old, row.own_new) == ("u", ["2"], ["3"])
    assert '"project_name":"Tower","foreman_id":3,"foreman_name":"boris"' in row.doc
    assert row.leave == '{"estimate_id":100,"project_id":10}'


def test_owner_to_and_from_nobody(app):
    app.estimate(foreman_id=None)
    app.run("UPDATE api_estimate SET foreman_id = 2")
    app.run("UPDATE api_estimate SET foreman_id = NULL")
    rows = app.journal()
    assert [(r.own_old, r.own_new) for r in rows] == [([], []), ([], ["2"]), (["2"], [])]
    assert '"foreman_id":null,"foreman_name":null' in rows[0].doc


def test_project_belongs_to_the_foremen_of_its_estimates(app):
    app.estimate()
    app.estimate(id=101, foreman_id=3)
    app.estimate(id=102, foreman_id=2)
    app.estimate(id=103, foreman_id=None)
    app.journal(None)
    app.run("UPDATE api_project SET name = 'Ford' WHERE id = 10")
    app.run("UPDATE api_project SET name = 'Mast' WHERE id = 11")
    ford, mast = app.journal("project")
    assert (ford.own_old, ford.own_new, ford.leave) == (["2", "3"], ["2", "3"], None)
    assert (mast.own_old, mast.own_new) == ([], [])
    assert ford.doc.startswith('{"project_id":10,"project_name":"Ford","created_at":"20')


def test_several_owner_columns_are_distinct_and_sorted(app, installed, db):
    installed.write("""
[watch estimate]
table = public.api_estimate
owners = foreman_id, creator_id
fields = id
[watch project]
table = public.api_project
fields = id
""")
    installed.apply()
    app.estimate(foreman_id=3, creator_id=2)
    app.estimate(id=101, foreman_id=2, creator_id=2)
    app.estimate(id=102, foreman_id=None, creator_id=1)
    assert [r.own_new for r in app.journal()] == [["2", "3"], ["2"], ["1"]]
    app.run("UPDATE api_project SET id = id + 50 WHERE id = 11")
    assert [(r.op, r.pk, r.own_old, r.own_new, r.leave) for r in app.journal("project")] == [
        ("d", "11", [], [], None), ("i", "61", [], [], None)]


def test_leave_document_may_hold_joined_names_of_the_old_row(app, installed):
    text = installed.conf.read_text()
    installed.conf.write_text(text.replace("leave = estimate_id, project_id",
                                           "leave = project_name, estimate_id"))
    installed.apply()
    app.estimate()
    app.run("UPDATE api_estimate SET foreman_id = 3, project_id = 11 WHERE id = 100")
    row = app.journal()[-1]
    assert row.leave == '{"estimate_id":100,"project_name":"Bridge"}'
    assert '"project_name":"Tower"' in row.doc


# --- values --------------------------------------------------------------------------------


@pytest.mark.parametrize("stored, shown", [
    ("2025-01-01 12:00:00+00", "2025-01-01T12:00:00Z"),
    ("2025-01-01 12:00:00.5+00", "2025-01-01T12:00:00.500000Z"),
    ("2025-06-30 23:59:59.123456-02", "2025-07-01T01:59:59.123456Z"),
    ("0001-01-01 00:00:00+00", "0001-01-01T00:00:00Z"),
    ("9999-12-31 23:59:59.5+00", "9999-12-31T23:59:59.500000Z"),
    ("9999-12-31 23:59:59-01", "+010000-01-01T00:59:59Z"),
    ("12345-06-07 08:09:10.5+00", "+012345-06-07T08:09:10.500000Z"),
    ("0044-03-15 12:00:00+00 BC", "-000043-03-15T12:00:00Z"),
    ("0001-03-15 12:00:00+00 BC", "+000000-03-15T12:00:00Z"),
    ("infinity", "infinity"), ("-infinity", "-infinity"),
])
def test_utc(app, stored, shown):
    app.estimate(created_at=stored)
    assert app.journal()[0].doc.endswith(f'"created_at":"{shown}"}}')


@pytest.mark.parametrize("kind, value", [("integer", "5"), ("text", "'soon'"), ("jsonb", "'\"x\"'"),
                                         ("public.years", "5")])
def test_utc_is_for_times(db, install, kind, value):
    """What is none is refused when it is installed, and seen when it comes to be later."""
    db.run("CREATE DOMAIN years AS int; CREATE DOMAIN moments AS timestamptz; CREATE DOMAIN births AS moments; "
           "CREATE TABLE t (id int PRIMARY KEY, born births, a timestamp, b date)")
    install.write("[watch t]\ntable = public.t\nfields = id, born::utc, a::utc, b::utc\n")
    install.apply()
    db.run("INSERT INTO t VALUES (1, '2025-01-01 12:00+02', '2025-01-01 12:00', '2025-01-01')")
    assert db.one(f"SELECT doc::text FROM {TOLD}") == (
        '{"id":1,"born":"2025-01-01T10:00:00Z","a":"2025-01-01T12:00:00Z","b":"2025-01-01T00:00:00Z"}')
    db.run(f"ALTER TABLE t ALTER a TYPE {kind} USING {value}")
    found = json.loads(install.sql("check", "--json").stdout)["findings"]
    (wrong,) = [f for f in found if f["severity"] == "danger"]
    assert (wrong["id"], wrong["object"]) == ("utc-type", "public.t")
    assert wrong["message"] == f"column a is of type {kind}"
    done = install.sql("install", "--apply")
    assert done.returncode == 1 and "watch t: ::utc is for times, and a is none" in done.stderr


def test_text_of_every_kind_survives(app):
    text = 'Смета "№1" \\ \t\n\x01 \U0001f600 </script>'
    app.estimate(number=text)
    doc = app.journal()[0].doc
    assert '"estimate_number":"Смета \\"№1\\" \\\\ \\t\\n\\u0001 \U0001f600 </script>"' in doc
    assert "\n" not in doc


def test_payload_far_over_8000_bytes(app):
    app.estimate(number="x" * 100_000)
    assert f'"estimate_number":"{"x" * 100_000}"' in app.journal()[0].doc
    assert app.loss() == 0


def test_session_settings_of_the_application_do_not_show(app, db):
    c = db.connect("app")
    with c.cursor() as cursor:
        cursor.execute("SET timezone = 'Asia/Tokyo'; SET datestyle = 'SQL, DMY'; "
                       "SET search_path = pg_temp; SET intervalstyle = 'sql_standard'; "
                       "SET standard_conforming_strings = off; SET bytea_output = 'escape'")
        cursor.execute("CREATE TEMP TABLE api_project (id bigint, name text)")
        cursor.execute("INSERT INTO api_project VALUES (10, 'forged')")
        cursor.execute("INSERT INTO public.api_estimate "
                       "(id, number, project_id, foreman_id, creator_id, created_at) "
                       "VALUES (100, 'N-1', 10, 2, 1, '2025-01-01 12:00:00+00')")
        cursor.execute("SHOW timezone")
        assert cursor.fetchone() == ("Asia/Tokyo",)
    c.close()
    assert app.journal()[0].doc == DOC


def test_casts_and_types_whatever_the_session_says(db, install):
    db.run("CREATE TABLE t (id uuid PRIMARY KEY, amount numeric(10,2), b bytea, day date, "
           "big bigint, f float8, span interval, at timestamp, names text[], j jsonb); "
           "CREATE TABLE days (day date PRIMARY KEY, since timestamptz)")
    install.write("""
[watch t]
table = public.t
fields = id, amount, amount_text=amount::text, b, day, big, f, span, at::utc, names, j,
  since=day->public.days(day).since::utc, same=day->public.days(day).day::text
""")
    install.apply()
    db.run("INSERT INTO days VALUES ('2025-02-01', '2025-02-01 12:00+02')")
    db.run("SET bytea_output = 'escape'; SET datestyle = 'SQL, DMY'; SET extra_float_digits = -10; "
           "SET intervalstyle = 'sql_standard'; SET timezone = 'Asia/Tokyo'")
    db.run("INSERT INTO t VALUES ('c0ffee00-0000-4000-8000-000000000001', 10.50, '\\xdead', "
           "'2025-02-01'::date, 9007199254740993, 0.1::float8 + 0.2, '1 day 02:00', "
           "'2025-01-01 12:00', '{a,b}', '{\"k\": [1, null]}')")
    assert db.one(f"SELECT doc::text FROM {TOLD}") == (
        '{"id":"c0ffee00-0000-4000-8000-000000000001","amount":10.50,"amount_text":"10.50",'
        '"b":"\\\\xdead","day":"2025-02-01","big":9007199254740993,"f":0.30000000000000004,'
        '"span":"P1DT2H","at":"2025-01-01T12:00:00Z","names":["a", "b"],"j":{"k": [1, null]},'
        '"since":"2025-02-01T10:00:00Z","same":"2025-02-01"}')
    # Two rows in a statement go the careful way, which says the same in other white space.
    db.run("DELETE FROM pgherald.journal")
    db.run("INSERT INTO t SELECT gen_random_uuid(), amount, b, day, big, f, span, at, names, j"
           " FROM t, generate_series(1, 2)")
    db.run("UPDATE t SET b = '\\x01' WHERE id = 'c0ffee00-0000-4000-8000-000000000001'")
    *careful, quick = [json.loads(doc) for doc, in db.run(
        f"SELECT doc::text FROM {TOLD} ORDER BY txid, id")]
    assert len(careful) == 2
    for doc in careful:
        assert list(doc) == list(quick)
        assert {**doc, "id": 0, "b": 0} == {**quick, "id": 0, "b": 0}


# --- everything PostgreSQL does to rows ------------------------------------------------------


def test_changed_primary_key_is_one_gone_and_one_new(app):
    app.estimate()
    app.run("UPDATE api_estimate SET id = 200")
    rows = app.journal()[1:]
    assert [(r.op, r.pk, r.own_old, r.own_new) for r in rows] == [
        ("d", "100", ["2"], []), ("i", "200", [], ["2"])]
    assert '"estimate_id":100' in rows[0].doc and '"estimate_id":200' in rows[1].doc


def test_shifted_primary_keys_end_in_the_right_state(app):
    app.estimate(id=2, number="two")
    app.estimate(id=3, number="three")
    app.journal()
    app.run("UPDATE api_estimate SET id = id - 1")
    rows = {r.pk: r for r in app.journal()}
    assert {pk: r.op for pk, r in rows.items()} == {"1": "i", "2": "u", "3": "d"}
    assert '"estimate_number":"two"' in rows["1"].doc
    assert '"estimate_number":"three"' in rows["2"].doc


def test_on_conflict_copy_and_cascade(app, db):
    app.estimate()
    app.journal()
    app.run("INSERT INTO api_estimate (id, number, project_id) VALUES (100, 'N-1', 10), (5, 'N', 10) "
            "ON CONFLICT (id) DO UPDATE SET status = 'upserted'")
    assert sorted((r.op, r.pk) for r in app.journal()) == [("i", "5"), ("u", "100")]

    c = db.connect("app")
    c.cursor().copy_expert("COPY api_estimate (id, number, project_id) FROM STDIN",
                           io.StringIO("6\tN\t10\n7\tN\t10\n"))
    c.close()
    assert [(r.op, r.pk) for r in app.journal()] == [("i", "6"), ("i", "7")]

    db.run("ALTER TABLE api_estimate DROP CONSTRAINT api_estimate_project_id_fkey, "
           "ADD FOREIGN KEY (project_id) REFERENCES api_project ON DELETE CASCADE")
    app.run("DELETE FROM api_project WHERE id = 10")
    rows = app.journal(None)
    assert sorted((r.topic, r.op, r.pk) for r in rows) == [
        ("estimate", "d", "100"), ("estimate", "d", "5"), ("estimate", "d", "6"),
        ("estimate", "d", "7"), ("project", "d", "10")]
    assert app.loss() == 0


def test_composite_key(db, install):
    db.run("CREATE TABLE t (a int, b text, v int, PRIMARY KEY (a, b))")
    install.write("[watch t]\ntable = public.t\nkey = a, b\nowners = v\nfields = a, b, v\n")
    install.apply()
    db.run("INSERT INTO t VALUES (1, 'x,y', 1), (1, 'z', 1)")
    db.run("UPDATE t SET v = 2 WHERE b = 'z'")
    assert db.run(f"SELECT op, pk, leave::text FROM {TOLD} ORDER BY id") == [
        ("i", "1,x,y", None), ("i", "1,z", None), ("u", "1,z", '{"a":1,"b":"z"}')]


def test_keys_that_read_alike(db, install):
    """What stands between the columns of a key may stand in them: two rows are never taken for one."""
    db.run("CREATE TABLE t (a text, b text, c text, v int, s text, PRIMARY KEY (a, b, c))")
    install.write("[watch t]\ntable = public.t\nkey = a, b, c\nowners = v\nfields = a, b, c, v, s\n")
    install.apply()
    keys = [("1,2", "3", "4"), ("1", "2,3", "4"), ("1", "2", "3,4"), ("1~", ".2~.3", "4"), ("1~.2", "~,3", "4"), (",", ",", ","),
            ("~", "~", "~"), ("~.", "", ","), ("", "~.", ","), ("1", "", ",2"), ("1", ",", "2"), ("1,", "", "2")]
    for n, key in enumerate(keys):
        db.run("INSERT INTO t VALUES (%s, %s, %s, %s, '')", (*key, n))
    assert db.one("SELECT count(DISTINCT pk) FROM pgherald.journal") == len(keys)
    everybody = {(str(n), *key) for n, key in enumerate(keys)}
    for change, op in [("UPDATE t SET s = s || '1'", "u"),
                       ("".join(f"UPDATE t SET s = s || '2' WHERE v = {n};" for n in range(len(keys))), "u"),
                       ("DELETE FROM t", "d")]:
        db.run("DELETE FROM pgherald.journal")
        db.run(f"BEGIN; {change}; COMMIT")
        told = db.run(f"SELECT op, own_old, doc->>'a', doc->>'b', doc->>'c' FROM {TOLD} WHERE op <> 'x'")
        assert {(own[0], *key) for _, own, *key in told} == everybody and len(told) == len(keys), change
        assert {o for o, *_ in told} == {op}, change


def test_partitioned_table_and_move_between_partitions(db, install):
    db.run("CREATE TABLE t (id int, part int, PRIMARY KEY (id, part)) PARTITION BY LIST (part); "
           "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); "
           "CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2)")
    install.write("[watch t]\ntable = public.t\nkey = id, part\nfields = id, part\n")
    install.apply()
    db.run("INSERT INTO t VALUES (1, 1)")
    db.run("UPDATE t SET part = 2")
    assert db.run("SELECT op, pk FROM pgherald.journal ORDER BY id") == [
        ("i", "1,1"), ("d", "1,1"), ("i", "1,2")]
    if db.one("SELECT current_setting('server_version_num')::int") >= 150000:  # doc/capture.md, what is not recorded
        db.run("DELETE FROM pgherald.journal")
        db.run("MERGE INTO t USING (SELECT 1 AS id) AS s ON s.id = t.id WHEN MATCHED THEN UPDATE SET part = 1")
        assert db.run("SELECT op, pk FROM pgherald.journal") == []
        db.run("UPDATE t SET part = 2")
        assert db.run("SELECT op, pk FROM pgherald.journal ORDER BY id") == [("d", "1,1"), ("i", "1,2")]


# --- storms ----------------------------------------------------------------------------------


def in_one_transaction(db, statements):
    c = db.connect("app", autocommit=False)
    cursor = c.cursor()
    for sql in statements:
        cursor.execute(sql)
    c.commit()
    c.close()


INSERT = "INSERT INTO api_estimate (number, project_id) VALUES ('N', 10)"


def test_500_rows_are_rows_and_501_are_one_resync(app):
    bulk = "INSERT INTO api_estimate (number, project_id) SELECT 'N', 10 FROM generate_series(1, %s)"
    app.run(bulk, [500])
    assert [r.op for r in app.journal()] == ["i"] * 500
    app.run(bulk, [501])
    (row,) = app.journal()
    assert (row.op, row.n, row.doc) == ("r", 501, '{"reason":"storm"}')
    app.run("UPDATE api_estimate SET status = 'x'")
    assert [r.op for r in app.journal()] == ["r"]
    app.run("DELETE FROM api_estimate")
    assert [r.op for r in app.journal()] == ["r"]
    assert app.loss() == 0


def test_many_statements_collapse_once_per_transaction_and_topic(app, db):
    in_one_transaction(db, [INSERT] * 40 + ["SET CONSTRAINTS ALL IMMEDIATE", "TRUNCATE api_estimate"] +
                       ["UPDATE api_project SET name = name || '!' WHERE id = 10"])
    rows = app.journal(None)
    assert [r.op for r in rows if r.topic == "estimate"] == ["i"] * 32 + ["r"]
    assert [r.op for r in rows if r.topic == "project"] == ["u"]
    app.run(INSERT)
    assert [r.op for r in app.journal()] == ["i"]


def test_a_collapse_that_is_rolled_back_does_not_silence_the_rest(app, db):
    bulk = "INSERT INTO api_estimate (number, project_id) SELECT 'N', 10 FROM generate_series(1, 600)"
    in_one_transaction(db, ["SAVEPOINT s", bulk, "ROLLBACK TO s", INSERT])
    assert [r.op for r in app.journal()] == ["i"]


@pytest.mark.parametrize("forged", ["'nonsense'", "txid_current() || ' 1'", "txid_current() || ' x'",
                                    "txid_current() || ' ' || (SELECT max(id) FROM api_estimate)", "' '"])
def test_the_application_cannot_silence_the_triggers(app, db, forged):
    in_one_transaction(db, [INSERT, f"SELECT set_config('pgherald.tx_estimate', ({forged})::text, true)",
                            INSERT, "UPDATE api_estimate SET status = 'x'"])
    assert [r.op for r in app.journal()] == ["i", "i", "u", "u"]
    assert app.loss() == 0


# --- do no harm ------------------------------------------------------------------------------


def test_renamed_journal_costs_an_event_not_the_write(app, db):
    db.run("ALTER TABLE pgherald.journal RENAME TO elsewhere")
    app.estimate()
    app.run("UPDATE api_estimate SET status = 'x'")
    app.run("TRUNCATE api_estimate")
    db.run("ALTER TABLE pgherald.elsewhere RENAME TO journal")
    assert app.loss() == 3
    app.estimate()
    assert [r.op for r in app.journal()] == ["i"]


NO_KEY = "ALTER TABLE api_estimate RENAME COLUMN id TO ident"


def test_failed_capture_leaves_a_resync_row(app, db):
    db.run(NO_KEY)
    c = db.connect("app")
    c.cursor().execute(INSERT)
    assert "not recorded" in c.notices[-1]
    c.close()
    (row,) = app.journal("estimate")
    assert (row.op, row.doc) == ("r", '{"reason":"loss"}')
    assert app.loss() == 1


def test_failures_in_one_transaction_are_one_resync(app, db):
    db.run(NO_KEY)
    in_one_transaction(db, [INSERT] * 50)
    assert [r.op for r in app.journal("estimate")] == ["r"]
    assert app.loss() == 1
    assert db.one("SELECT count(*) FROM api_estimate") == 50


def test_owners_that_cannot_be_looked_up_are_told_to_nobody(app, db):
    """The writer does not look; who reads says "fetch again"."""
    db.run("ALTER TABLE api_estimate RENAME COLUMN foreman_id TO who")
    app.run("INSERT INTO api_project (name) VALUES ('Ferry')")
    (row,) = app.journal("project")
    assert (row.op, row.doc) == ("r", '{"reason":"loss"}')
    assert app.loss() == 0


def test_even_without_journal_and_counter_the_write_succeeds(app, db):
    db.run("DROP TABLE pgherald.journal CASCADE; DROP SEQUENCE pgherald.loss")
    app.estimate()
    assert db.one("SELECT count(*) FROM api_estimate") == 1


def test_dropped_and_altered_columns(app, db):
    app.estimate()
    app.journal()
    db.run("ALTER TABLE api_estimate DROP COLUMN project_id, DROP COLUMN creator_id, "
           "DROP COLUMN foreman_id, ALTER COLUMN status TYPE text, ADD COLUMN extra int")
    app.run("UPDATE api_estimate SET status = 'x'")
    (row,) = app.journal()
    assert (row.op, row.own_old, row.own_new) == ("u", [], [])
    assert ('"project_id":null,"project_name":null,"foreman_id":null,"foreman_name":null,'
            '"creator_id":null,"creator_name":null,"status":"x"') in row.doc
    assert app.loss() == 0


def test_vanished_key_is_a_loss_not_nonsense(app, db):
    app.estimate()
    app.journal()
    db.run("ALTER TABLE api_estimate RENAME COLUMN id TO ident")
    app.run("UPDATE api_estimate SET status = 'x'")
    assert [r.op for r in app.journal()] == ["r"]
    assert app.loss() == 1


def test_application_role_has_no_right_on_anything_of_ours(app, db):
    app.estimate()
    for sql in ("SELECT * FROM pgherald.journal", "SELECT * FROM pgherald.meta",
                "INSERT INTO pgherald.journal (topic, op) VALUES ('estimate', 'r')",
                "SELECT nextval('pgherald.loss')", "SELECT pgherald.epoch()",
                "SELECT pgherald.prune('0', 1)", "SELECT * FROM pgherald.auth_drf('{token-boss}')",
                "CREATE TRIGGER t AFTER INSERT ON api_estimate EXECUTE FUNCTION "
                "pgherald.on_estimate()"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            app.run(sql)
    assert [r.op for r in app.journal()] == ["i"]


def test_definer_reads_only_the_named_columns(db, installed):
    ask = ("SELECT table_name, column_name FROM information_schema.column_privileges "
           "WHERE grantee = %s AND privilege_type = 'SELECT' AND table_schema = 'public' ORDER BY 1, 2")
    assert db.run(ask, ["pgherald_owner"]) == []
    assert db.run(ask, ["pgherald_teller"]) == [
        *[("api_estimate", name) for name in ("created_at", "creator_id", "foreman_id", "id", "number", "project_id",
                                              "status")],
        ("api_project", "created_at"), ("api_project", "id"), ("api_project", "name"),
        ("api_user", "id"), ("api_user", "username")]
    assert db.run(ask, ["pgherald_auth"]) == [
        ("api_user", "id"), ("api_user", "is_active"), ("api_user", "role"),
        ("authtoken_token", "key"), ("authtoken_token", "user_id")]
    assert db.one("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pgherald\\_%' "
                  "AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolbypassrls)") == 0


# --- functions for the daemon ------------------------------------------------------------------


def test_auth_by_role_column(db, installed):
    db.run("UPDATE api_user SET is_active = false WHERE id = 3")
    ask = "SELECT * FROM pgherald.auth_drf(%s) ORDER BY n"
    tokens = ["token-anna", "nobody", "token-boss", "token-boris", "token-anna"]
    assert db.run(ask, [tokens], user="pgherald") == [
        (1, "2", "foreman", True, None), (3, "1", "manager", True, None),
        (4, "3", "foreman", False, None), (5, "2", "foreman", True, None)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        db.run("SELECT * FROM authtoken_token", user="pgherald")


def test_auth_by_staff_and_by_groups(db, installed):
    installed.write("""
[auth staff]
user_table = public.api_user
role_from = staff
staff_role = manager
other_role = foreman
[auth groups]
user_table = public.api_user
role_from = groups
membership_table = public.api_user_groups
""")
    installed.apply()
    db.run("INSERT INTO auth_group VALUES (1, 'foreman'), (2, 'manager'), (3, 'other'); "
           "INSERT INTO api_user_groups VALUES (1, 1), (1, 2), (1, 3), (2, 1), (3, 3)")
    ask = "SELECT n, role FROM pgherald.auth_{}('{{token-boss,token-anna,token-boris}}') ORDER BY n"
    assert db.run(ask.format("staff"), user="pgherald") == [
        (1, "manager"), (2, "foreman"), (3, "foreman")]
    assert db.run(ask.format("groups"), user="pgherald") == [
        (1, "manager"), (2, "foreman"), (3, None)]


def test_epoch_is_stable_and_new_after_a_new_installation(db, installed):
    first = db.one("SELECT pgherald.epoch()", user="pgherald")
    assert len(first) == 8 and first.isalnum() and first == first.lower()
    installed.apply()
    assert db.one("SELECT pgherald.epoch()", user="pgherald") == first
    installed.apply("uninstall")
    installed.apply()
    assert db.one("SELECT pgherald.epoch()") != first


def floor(db):
    return db.one("SELECT floor_txid FROM pgherald.meta")


def test_prune_takes_whole_old_transactions_and_raises_the_floor(app, db):
    for size in (3, 3, 3):
        app.run("INSERT INTO api_estimate (number, project_id) "
                "SELECT 'N', 10 FROM generate_series(1, %s)", [size])
    txids = [r[0] for r in db.run("SELECT DISTINCT txid FROM pgherald.journal ORDER BY 1")]
    prune = "SELECT pgherald.prune(%s, %s)"
    assert db.one(prune, ["1 hour", 100], user="pgherald") == 0 and floor(db) == 0
    db.run("UPDATE pgherald.journal SET at = at - interval '2 hours' WHERE txid < %s", [txids[2]])
    assert db.one(prune, ["1 hour", 4], user="pgherald") == 3  # the fourth is part of the next
    assert floor(db) == txids[0]
    assert db.one(prune, ["1 hour", 1], user="pgherald") == 3  # a big one goes as a whole
    assert floor(db) == txids[1]
    assert db.one(prune, ["1 hour", 100], user="pgherald") == 0
    assert db.one("SELECT count(*) FROM pgherald.journal") == 3
    assert db.one(prune, ["0", 100], user="pgherald") == 3
    assert floor(db) == txids[2]


def test_prune_keeps_what_a_running_transaction_is_older_than(app, db):
    c = db.connect("app", autocommit=False)
    c.cursor().execute(INSERT)
    app.run(INSERT)
    assert db.one("SELECT pgherald.prune('0', 100)") == 0
    assert floor(db) == 0
    c.commit()
    c.close()
    assert db.one("SELECT pgherald.prune('0', 100)") == 2
    assert floor(db) < db.one("SELECT txid_snapshot_xmin(txid_current_snapshot())")
