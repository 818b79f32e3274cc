# SPDX-License-Identifier: PostgreSQL
"""pgherald.tell(): what is made of the journal's rows when they are read, names first of all."""

import json
import threading

import psycopg2
import pytest

from conftest import TOLD
from lib.cluster import wait_for
from lib.daemon import Client

INSERT = "INSERT INTO api_estimate (id, number, project_id, foreman_id) VALUES (1, 'N', 10, 2)"


@pytest.fixture
def app(db, installed):
    return App(db, installed)


class App:
    def __init__(self, db, installed):
        self.db, self.installed = db, installed

    def run(self, sql):
        return self.db.run(sql, user="app")

    def told(self):
        """(op, document, what a former owner gets) of every row."""
        return self.db.run(f"SELECT op, doc, leave FROM {TOLD} ORDER BY id")

    def reconfigure(self, old, new):
        text = self.installed.conf.read_text()
        assert old in text
        self.installed.conf.write_text(text.replace(old, new))
        self.installed.apply()


@pytest.fixture
def d(served):
    return served.daemon.start().wait_ready()


REFETCH = ("r", {"reason": "loss"}, None)


# --- names ---------------------------------------------------------------------------------


def test_names_are_those_of_now_or_of_the_end(app):
    app.run(INSERT)
    app.run("UPDATE api_project SET name = 'Viaduct' WHERE id = 10")
    (_, inserted, _), (_, project, _) = app.told()
    assert inserted["project_name"] == project["project_name"] == "Viaduct"
    app.run("DELETE FROM api_estimate; DELETE FROM api_project WHERE id = 10; "
            "UPDATE api_user SET username = 'anya' WHERE id = 2")
    assert [(op, doc["project_name"], doc.get("foreman_name")) for op, doc, _ in app.told()] == [
        ("i", None, "anya"), ("u", "Viaduct", None), ("d", "Viaduct", "anna"), ("d", "Viaduct", None)]


def test_names_of_several_rows_that_are_gone(app):
    """Those that the rows had; of a row whose key has changed, what they are when it is told."""
    app.run("INSERT INTO api_estimate (id, number, project_id, foreman_id) "
            "SELECT g, 'N', 10 + g % 2, nullif(g, 1) FROM generate_series(1, 3) AS g")
    app.run("UPDATE api_estimate SET id = 4 WHERE id = 3")
    app.run("DELETE FROM api_estimate; DELETE FROM api_project; DELETE FROM authtoken_token; DELETE FROM api_user")
    told = [(op, doc["estimate_id"], doc["project_name"], doc["foreman_name"])
            for op, doc, _ in app.told() if "estimate_id" in (doc or {})]
    assert told == [("i", 1, None, None), ("i", 2, None, None), ("i", 3, None, None),
                    ("d", 3, None, None), ("i", 4, None, None),
                    ("d", 1, "Tower", None), ("d", 2, "Bridge", "anna"), ("d", 4, "Tower", "boris")]


def test_a_former_owner_gets_names_of_the_old_row(app):
    app.reconfigure("leave = estimate_id, project_id", "leave = project_name, status, estimate_id")
    app.run(INSERT)
    app.run("UPDATE api_estimate SET foreman_id = 3, project_id = 11, status = 'secret'")
    _, (op, doc, leave) = app.told()
    assert (op, doc["project_name"], doc["foreman_name"]) == ("u", "Tower", "boris")
    assert leave == {"estimate_id": 1, "project_name": "Bridge", "status": "draft"}


def test_a_writer_needs_no_table_with_names(app):
    """It neither waits for a lock on it nor fails without it."""
    app.run(INSERT)  # an insert looks at the tables of its foreign keys, an update of others does not
    holder = app.db.connect(autocommit=False)
    holder.cursor().execute("LOCK TABLE api_user")
    app.run("SET lock_timeout = '10s'; UPDATE api_estimate SET status = 'sent'")
    holder.rollback()
    holder.close()
    app.db.run("DROP TABLE api_user CASCADE")
    app.run("UPDATE api_estimate SET status = 'done'")
    assert app.db.one("SELECT is_called FROM pgherald.loss") is False
    assert app.told() == [REFETCH] * 3


def test_a_name_that_is_gone_stops_no_other_topic(app):
    app.run(INSERT)
    app.run("UPDATE api_project SET name = 'Viaduct' WHERE id = 10")
    app.db.run("ALTER TABLE api_user RENAME COLUMN username TO login")
    reader = app.db.connect("pgherald")
    with reader.cursor() as cursor:
        cursor.execute("SELECT topic, op, doc FROM pgherald.tell(ARRAY(SELECT txid FROM pgherald.journal))")
        told = {topic: (op, doc) for topic, op, doc in cursor.fetchall()}
    assert told["estimate"] == ("r", {"reason": "loss"})
    assert told["project"][0] == "u" and told["project"][1]["project_name"] == "Viaduct"
    assert "pgherald: estimate not told: " in reader.notices[0] and "username" in reader.notices[0]
    reader.close()
    app.db.run("ALTER TABLE api_user RENAME COLUMN login TO username")
    assert [op for op, _, _ in app.told()] == ["i", "u"]


def test_who_locks_a_table_with_names_is_waited_for_but_not_long(app):
    app.run(INSERT)
    holder = app.db.connect(autocommit=False)
    holder.cursor().execute("LOCK TABLE api_user")
    assert app.told() == [REFETCH]  # lock_timeout of pgherald.tell()
    app.db.run("ALTER FUNCTION pgherald.tell(bigint[]) SET lock_timeout = '1min'")
    result = []

    def read():
        with app.db.connect("pgherald").cursor() as cursor:
            cursor.execute("SELECT op, doc->>'foreman_name' "
                           "FROM pgherald.tell(ARRAY(SELECT txid FROM pgherald.journal))")
            result.extend(cursor.fetchall())

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: app.db.one("SELECT count(*) FROM pg_locks WHERE NOT granted"), "the reader waits")
    holder.rollback()
    holder.close()
    reader.join()
    assert result == [("i", "anna")]


def deepest(app):
    """As deeply nested as the server takes it: a little less than it can read where more is going on."""
    low, high = 1000, 1000000
    while high - low > 1:
        depth = (low + high) // 2
        try:
            app.db.run("SELECT %s::json IS NULL", ("[" * depth + "]" * depth,), user="app")
            low = depth
        except psycopg2.errors.StatementTooComplex:
            high = depth
    return "[" * low + "]" * low


@pytest.mark.parametrize("value", [lambda app: '{"a": "\\u0000"}', deepest], ids=["NUL", "deep"])
def test_a_value_that_cannot_be_told_stops_no_other_transaction(app, value):
    app.db.run("ALTER TABLE api_estimate ADD extra json")
    app.reconfigure("  status, created_at::utc\n", "  status, extra\n")
    app.run(INSERT)
    app.db.run("UPDATE api_estimate SET extra = %s", (value(app),), user="app")
    app.run("UPDATE api_project SET name = 'Viaduct' WHERE id = 10")
    app.run("UPDATE api_estimate SET extra = '{\"a\": \"b\"}'")
    reader = app.db.connect("pgherald")
    with reader.cursor() as cursor:
        cursor.execute("SELECT place, op, doc->'extra'->>'a' FROM "
                       "pgherald.tell(ARRAY(SELECT txid FROM pgherald.journal ORDER BY 1)) ORDER BY id")
        assert cursor.fetchall() == [(1, "i", None), (2, "r", None), (3, "u", None), (4, "u", "b")]
    assert len(reader.notices) == 1 and "estimate not told" in reader.notices[0]
    reader.close()


# --- rows of another configuration ---------------------------------------------------------


def test_rows_of_another_list_of_columns_say_fetch_again(app):
    app.run(INSERT)
    app.run("UPDATE api_estimate SET foreman_id = 3")
    app.reconfigure("  status, created_at::utc\n", "  status, note\n")
    app.run("UPDATE api_estimate SET note = 'new'")
    *old, (op, doc, _) = app.told()
    assert old == [REFETCH, REFETCH]
    assert op == "u" and doc["note"] == "new" and "created_at" not in doc


def test_rows_of_other_joined_names_say_fetch_again(app):
    app.run(INSERT)
    app.run("DELETE FROM api_estimate")
    app.reconfigure("api_user.username,\n  status", "api_user.role,\n  status")
    assert app.told() == [REFETCH, REFETCH]


def test_the_same_columns_under_other_names_are_told(app):
    app.run(INSERT)
    app.reconfigure("estimate_number=number", "title=number")
    ((op, doc, _),) = app.told()
    assert (op, doc["title"]) == ("i", "N") and "estimate_number" not in doc


def test_a_topic_of_another_configuration_is_told_too(app):
    app.run(INSERT)
    text = app.installed.conf.read_text()
    app.installed.conf.write_text(text[:text.index("[watch estimate]")] + "[watch user]\n"
                                  "table = public.api_user\nfields = id, username\n")
    app.installed.apply()
    app.run("UPDATE api_user SET username = 'anya' WHERE id = 2")
    (_, estimate, _), (_, user, _) = app.told()
    assert (estimate["foreman_name"], user) == ("anya", {"id": 2, "username": "anya"})


@pytest.mark.parametrize("how", ["uninstalled", "inline"])
def test_rows_of_a_topic_that_is_recorded_no_more_say_fetch_again(app, how):
    app.run(INSERT)
    app.run("TRUNCATE api_estimate")
    if how == "uninstalled":
        assert app.installed.sql("uninstall", "--apply", "--watch", "estimate").returncode == 0
    else:
        app.reconfigure("[watch estimate]\n", "[watch estimate]\ncapture = notify\n")
    assert app.told() == [REFETCH, ("t", None, None)]


@pytest.mark.parametrize("command", ["install", "upgrade"])
def test_functions_that_returned_other_columns_are_replaced(app, command):
    app.run(INSERT)
    before = app.told()
    for name in ("tell", "tell_estimate"):
        app.db.run(f"DROP FUNCTION IF EXISTS pgherald.{name}(bigint[]); CREATE FUNCTION pgherald.{name}"
                   "(txids bigint[]) RETURNS TABLE (txid bigint, doc json) LANGUAGE sql "
                   f"AS 'SELECT 1::bigint, NULL::json'; ALTER FUNCTION pgherald.{name}(bigint[]) "
                   "OWNER TO pgherald_owner")
    app.installed.apply(command)
    assert app.told() == before
    assert app.installed.sql("check").returncode == 0


def test_functions_of_version_3_tell_until_they_are_replaced(app):
    """Each watch is replaced in a transaction of its own: meanwhile nothing says "fetch again"."""
    app.run(INSERT)
    before = app.told()
    app.db.run("UPDATE pgherald.meta SET schema_version = 3; "
               "DROP FUNCTION pgherald.tell_estimate(bigint[], pgherald.journal[], boolean), "
               "pgherald.settle_estimate(bigint[], pgherald.journal[])")
    for name in ("tell", "settle"):
        app.db.run(f"""
            CREATE FUNCTION pgherald.{name}_estimate(txids bigint[])
            RETURNS TABLE (place bigint, txid bigint, id bigint, at timestamptz, topic text, op "char", own_old text[],
                           own_new text[], doc json, leave json) LANGUAGE sql STABLE AS
            $$SELECT p.place, j.txid, j.id, j.at, j.topic, j.op, j.own_old, j.own_new, '{{"by":"{name}"}}'::json, NULL::json
              FROM unnest(txids) WITH ORDINALITY AS p(txid, place) JOIN pgherald.journal AS j ON j.txid = p.txid
              WHERE j.topic = 'estimate'$$;
            ALTER FUNCTION pgherald.{name}_estimate(bigint[]) OWNER TO pgherald_owner""")
    assert app.told() == [("i", {"by": "tell"}, None)]
    assert app.installed.sql("upgrade", "--apply").returncode == 1
    app.installed.apply()
    assert app.told() == before
    assert app.installed.sql("check").returncode == 0


def test_the_journal_of_version_1_is_taken_over(app):
    """Its rows have finished documents, and say "fetch again"."""
    app.db.run("ALTER TABLE pgherald.journal RENAME data TO doc; "
               "ALTER TABLE pgherald.journal RENAME past TO leave; "
               "UPDATE pgherald.meta SET schema_version = 1; "
               "DROP FUNCTION pgherald.tell(bigint[]), "
               "pgherald.tell_estimate(bigint[], pgherald.journal[], boolean), "
               "pgherald.tell_project(bigint[], pgherald.journal[], boolean); "
               "INSERT INTO pgherald.journal (topic, op, pk, doc, leave) "
               "VALUES ('estimate', 'u', '1', '{\"estimate_id\":1}', '{\"estimate_id\":1}')")
    assert app.installed.sql("upgrade", "--apply").returncode == 1
    app.installed.apply()
    app.run(INSERT)
    told = app.told()
    assert told[0] == REFETCH
    assert told[1][1]["project_name"] == "Bridge"
    found = json.loads(app.installed.sql("check", "--json").stdout)["findings"]
    assert {f["id"] for f in found} <= {"prepared-possible", "server-version", "owners-unfollowed"}  # the tests' servers


# --- the daemon ----------------------------------------------------------------------------


def test_clients_are_told_to_refetch_what_has_no_name(served, d):
    client = Client(d, served.boss).hello()
    served.db.run("ALTER TABLE api_project RENAME COLUMN name TO title")
    served.db.run(INSERT)
    client.wait_message("system.resync", topics=["estimate"], reason="loss")
    d.wait_log("pgherald: estimate not told: column t.name does not exist")
    served.db.run("ALTER TABLE api_project RENAME COLUMN title TO name")
    served.db.run("UPDATE api_estimate SET status = 'done'")
    client.wait_message("estimate.updated", project_name="Bridge")


def test_names_come_as_they_are_while_thousands_are_told(served, d):
    """Pages of many rows, with names that change in between: every event has one of them."""
    served.use_long_queues()
    d.stop()
    d.start().wait_ready()
    client = Client(d, served.boss).hello()
    served.db.run("INSERT INTO api_estimate (id, number, project_id, foreman_id) "
                  "SELECT g, 'N', 10 + g % 2, 2 FROM generate_series(1, 490) AS g")
    for n in range(20):
        served.db.run(f"UPDATE api_project SET name = 'name {n}' WHERE id = 10")
        served.db.run(f"UPDATE api_estimate SET status = 's{n}' WHERE id <= 490")
    served.db.run("UPDATE api_estimate SET status = 'end' WHERE id = 2")
    last = client.wait_message("estimate.updated", estimate_id=2, status="end")
    assert last["data"]["project_name"] == "name 19"
    named = {m["data"]["project_name"] for m in client.messages() if m["event"].startswith("estimate.")}
    assert named <= {"Bridge", "Tower", *(f"name {n}" for n in range(20))}
