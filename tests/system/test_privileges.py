# SPDX-License-Identifier: PostgreSQL
"""Least privilege: the rights as pgTAP sees them, and what an application's role tries in vain."""

from pathlib import Path

import psycopg2
import pytest

from conftest import TOLD
from lib.daemon import Client

PGTAP = Path(__file__).resolve().parents[1] / "pgtap"


def test_pgtap(db, installed):
    if not db.one("SELECT count(*) FROM pg_available_extensions WHERE name = 'pgtap'"):
        pytest.skip("this PostgreSQL has no pgTAP (Debian: postgresql-NN-pgtap)")
    db.run("CREATE EXTENSION pgtap")
    connection = db.connect()
    lines = []
    with connection.cursor() as cursor:
        for statement in (PGTAP / "privileges.sql").read_text(encoding="ascii").split(";\n"):
            if not statement.strip():
                continue
            cursor.execute(statement)
            if cursor.description:
                lines += [str(row[0]) for row in cursor.fetchall()]
    connection.close()
    tests = [line for line in lines if line.startswith(("ok ", "not ok "))]
    assert len(tests) > 60, "\n".join(lines)
    bad = [line for line in lines if "not ok" in line or line.startswith("# Looks")]
    assert not bad, "\n".join(bad)


# --- what the application's role tries ---------------------------------------------------------

FORBIDDEN = {
    "read the journal": "SELECT * FROM pgherald.journal",
    "read a column of it": "SELECT data FROM pgherald.journal",
    "copy it": "COPY pgherald.journal TO STDOUT",
    "read the floor": "SELECT * FROM pgherald.meta",
    "read the counter": "SELECT * FROM pgherald.loss",
    "forge an event": "INSERT INTO pgherald.journal (topic, op) VALUES ('estimate', 't')",
    "change an event": "UPDATE pgherald.journal SET own_new = '{2}'",
    "delete events": "DELETE FROM pgherald.journal",
    "truncate them": "TRUNCATE pgherald.journal",
    "lock them": "BEGIN; LOCK TABLE pgherald.journal IN ACCESS SHARE MODE",
    "raise the floor": "UPDATE pgherald.meta SET floor_txid = 1",
    "count a loss": "SELECT nextval('pgherald.loss')",
    "set the counter": "SELECT setval('pgherald.loss', 9)",
    "prune": "SELECT pgherald.prune('0', 1)",
    "look up a token": "SELECT * FROM pgherald.auth_drf('{token-boss}')",
    "call a trigger function": "SELECT pgherald.on_estimate()",
    "use it for a trigger": "CREATE TABLE pg_temp.mine (id int); CREATE TRIGGER t AFTER INSERT ON "
                            "pg_temp.mine FOR EACH STATEMENT EXECUTE FUNCTION pgherald.on_estimate()",
    "make something in the schema": "CREATE TABLE pgherald.mine ()",
    "make a function there": "CREATE FUNCTION pgherald.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "replace a function": "CREATE OR REPLACE FUNCTION pgherald.epoch() RETURNS text LANGUAGE sql "
                          "AS 'SELECT 1'",
    "drop a function": "DROP FUNCTION pgherald.on_estimate()",
    "switch a trigger off": "ALTER TABLE api_estimate DISABLE TRIGGER zz_pgherald_i",
    "write as a replica": "SET session_replication_role = replica",
    "become the owner": "SET ROLE pgherald_owner",
    "become who looks up tokens": "SET ROLE pgherald_auth",
    "become the daemon": "SET SESSION AUTHORIZATION pgherald",
    "take a role": "GRANT pgherald_owner TO app",
    "take a right": "GRANT SELECT ON pgherald.journal TO app",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_application_cannot(db, installed, what):
    db.run("UPDATE api_project SET name = 'x' WHERE id = 10")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        app = db.connect("app")
        with app.cursor() as cursor:
            cursor.execute(FORBIDDEN[what])
    assert db.run("SELECT topic, op FROM pgherald.journal") == [("project", "u")]
    assert db.one("SELECT is_called FROM pgherald.loss") is False


DAEMON_FORBIDDEN = {
    "read tokens": "SELECT key FROM authtoken_token",
    "read users": "SELECT username FROM api_user",
    "read a watched table": "SELECT * FROM api_estimate",
    "forge an event": "INSERT INTO pgherald.journal (topic, op) VALUES ('estimate', 't')",
    "delete events": "DELETE FROM pgherald.journal",
    "raise the floor": "UPDATE pgherald.meta SET floor_txid = 1",
    "set the counter": "SELECT setval('pgherald.loss', 9)",
    "call a trigger function": "SELECT pgherald.on_estimate()",
    "make something": "CREATE TABLE pgherald.mine ()",
    "become the owner": "SET ROLE pgherald_owner",
}


@pytest.mark.parametrize("what", DAEMON_FORBIDDEN)
def test_the_daemon_cannot(db, installed, what):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        db.run(DAEMON_FORBIDDEN[what], user="pgherald")


# --- functions that run with the owner's rights cannot be captured -----------------------------

# Everything a statement of ours could mean to find in pg_catalog, put where a session looks first.
TRAPS = """
CREATE FUNCTION {s}.trap() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.caught VALUES (current_user, TG_OP);
EXCEPTION WHEN OTHERS THEN RAISE EXCEPTION 'caught as %', current_user;
END $$;
CREATE FUNCTION {s}.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'caught as %', current_user; END$$;
CREATE FUNCTION {s}.to_jsonb(anyelement) RETURNS jsonb LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'caught as %', current_user; END$$;
CREATE FUNCTION {s}.nullif(text, text) RETURNS text LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'caught as %', current_user; END$$;
CREATE FUNCTION {s}.split_part(text, text, int) RETURNS text LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'caught as %', current_user; END$$;
CREATE FUNCTION {s}.current_setting(text, boolean) RETURNS text LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'caught as %', current_user; END$$;
CREATE FUNCTION {s}.arrow(jsonb, text) RETURNS jsonb LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'caught as %', current_user; END$$;
CREATE FUNCTION {s}.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'caught as %', current_user; END$$;
CREATE OPERATOR {s}.-> (FUNCTION = {s}.arrow, LEFTARG = jsonb, RIGHTARG = text);
CREATE OPERATOR {s}.= (FUNCTION = {s}.equal, LEFTARG = text, RIGHTARG = text);
"""


@pytest.mark.parametrize("path", ["traps, pg_catalog, public", "pg_temp, traps, pg_catalog, public"])
def test_search_path_operators_and_temporary_objects_capture_nothing(db, installed, path):
    # open to all: what the owner could not use, it would not find
    db.run("CREATE SCHEMA traps AUTHORIZATION app; GRANT USAGE ON SCHEMA traps TO PUBLIC")
    app = db.connect("app")
    with app.cursor() as cursor:
        cursor.execute(TRAPS.replace("{s}", "traps"))
        cursor.execute("CREATE TEMP TABLE journal (LIKE public.api_user); "
                       "CREATE TEMP TABLE api_user (id bigint, username text); "
                       "CREATE TEMP TABLE api_project (id bigint, name text); "
                       "CREATE TEMP TABLE new_rows (id int); CREATE TEMP TABLE old_rows (id int); "
                       "CREATE TEMP TABLE meta (epoch text); CREATE TYPE pg_temp.jsonb AS (x int)")
        cursor.execute(f"SET search_path = {path}")
        cursor.execute("INSERT INTO public.api_estimate (id, number, project_id, foreman_id) "
                       "VALUES (1, 'N', 10, 2)")
        cursor.execute("UPDATE public.api_estimate SET number = 'M'")
        cursor.execute("DELETE FROM public.api_estimate")
        assert app.notices == []
    app.close()
    assert db.one("SELECT is_called FROM pgherald.loss") is False
    assert db.run(f"SELECT op, doc->>'project_name', doc->>'foreman_name' FROM {TOLD} "
                  "ORDER BY id") == [(op, "Bridge", "anna") for op in "iud"]


def test_look_ups_are_not_captured_either(db, installed):
    db.run("CREATE SCHEMA traps; GRANT ALL ON SCHEMA traps TO PUBLIC")
    daemon = db.connect("pgherald")
    with daemon.cursor() as cursor:
        cursor.execute(TRAPS.replace("{s}", "traps"))
        cursor.execute("CREATE TEMP TABLE authtoken_token (key text, user_id int); "
                       "SET search_path = pg_temp, traps, pg_catalog, public")
        cursor.execute("SELECT user_id, role FROM pgherald.auth_drf('{token-boss}')")
        assert cursor.fetchall() == [("1", "manager")]
    daemon.close()


# --- a forged notification ---------------------------------------------------------------------


def test_a_forged_notification_is_a_wake_up_and_nothing_else(served):
    d = served.daemon.start().wait_ready()
    boss = Client(d, served.boss).hello()
    forged = ['{"v":1,"topic":"*"}', '{"v":1,"topic":"auth"}', '{"v":1,"topic":"estimate"}',
              '{"v":1,"topic":"estimate","data":{"estimate_id":1}}',
              '{"event":"estimate.created","data":{}}', "", "nonsense", "x" * 7999]
    app = served.db.connect("app")
    with app.cursor() as cursor:
        for payload in forged:
            cursor.execute("SELECT pg_notify('pgherald', %s)", (payload,))
    app.close()
    served.db.run("INSERT INTO api_estimate (number, project_id) VALUES ('real', 10)", user="app")
    message = boss.wait_message("estimate.created")
    assert message["data"]["estimate_number"] == "real"
    assert [m["event"] for m in boss.messages()] == ["estimate.created"]
    boss.close()
