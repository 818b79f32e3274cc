# SPDX-License-Identifier: PostgreSQL
"""`pgherald sql check`: each kind of damage is found, alone, and the fix that is printed mends it."""

import json
import os
import re
import shlex
import socket
import struct
import subprocess
import threading

import psycopg2
import pytest

from conftest import CONF, PGHERALD, APP_TABLES, Install, run_pgherald
from lib.cluster import Cluster, wait_for

# What the test cluster is: nothing to mend.
KNOWN = {"prepared-possible", "server-version", "owners-unfollowed"}


class Checked:
    def __init__(self, install):
        self.install, self.db = install, install.db

    def run(self, *args, user="postgres"):
        done = run_pgherald("sql", "check", "--json", "-c", self.install.conf, "--dsn",
                            self.db.conninfo(user), *args)
        assert done.stderr == "", done.stderr
        found = json.loads(done.stdout)
        assert done.returncode == (0 if found["clean"] else 1)
        bad = [f for f in found["findings"] if f["severity"] != "notice"]
        assert found["clean"] == (not bad)
        for f in found["findings"]:
            assert list(f) == ["id", "severity", "object", "message", "means", "fix"]
            assert f["means"].endswith(".") and f["message"] and f["object"]
            assert f["severity"] in ("danger", "warning", "notice")
        return [f for f in found["findings"] if f["id"] not in KNOWN]

    def ids(self):
        return [f["id"] for f in self.run()]

    def mend(self, findings):
        for f in findings:
            if f["fix"].startswith("pgherald "):
                words = shlex.split(f["fix"])[1:]
                done = run_pgherald(*words, "-c", self.install.conf, "--dsn", self.db.conninfo())
                assert done.returncode == 0, done.stderr
            else:
                for statement in f["fix"].split(";"):
                    if statement.strip():
                        self.db.run(statement)

    def expect(self, *ids, fix=True):
        """Exactly these; and when they can be mended by what is printed, mended they are."""
        found = self.run()
        assert [f["id"] for f in found] == list(ids), found
        if fix:
            self.mend(found)
            assert self.run() == []
        return found


@pytest.fixture
def checked(cluster, installed):
    cluster.execute("DO $$ BEGIN IF to_regrole('intruder') IS NULL THEN CREATE ROLE intruder LOGIN; "
                    "END IF; END $$")
    yield Checked(installed)
    # roles are the cluster's: the next test must find them in order
    cluster.execute("""
        ALTER ROLE pgherald_owner NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS;
        ALTER ROLE pgherald_auth NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS;
        ALTER ROLE pgherald_teller NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS;
        ALTER ROLE app RESET ALL; REVOKE pgherald_owner, pgherald_teller, pgherald_auth FROM intruder;
        REVOKE intruder FROM pgherald_owner, pgherald_teller, pgherald_auth""")
    installed.db.run("DROP OWNED BY intruder CASCADE")


# --- one damage, one finding, and its fix --------------------------------------------------------

DAMAGE = {
    # the schema
    "object-missing": "DROP TABLE pgherald.journal CASCADE",
    "object-missing gate": "DROP SEQUENCE pgherald.gate",
    "object-missing sequence": "DROP SEQUENCE pgherald.loss",
    "meta-rows": "DELETE FROM pgherald.meta",
    "object-owner": "ALTER TABLE pgherald.meta OWNER TO postgres",
    "object-owner sequence": "ALTER SEQUENCE pgherald.loss OWNER TO postgres",
    "object-owner schema": "ALTER SCHEMA pgherald OWNER TO postgres",
    # functions
    "function-missing": "DROP FUNCTION pgherald.epoch()",
    "function-differs": "UPDATE pg_proc SET prosrc = prosrc || ' ' WHERE oid = "
                        "'pgherald.on_estimate()'::regprocedure",
    "function-differs auth": "UPDATE pg_proc SET prosrc = replace(prosrc, 'asked.token', 'token') "
                             "WHERE oid = 'pgherald.auth_drf(text[])'::regprocedure",
    "function-head invoker": "ALTER FUNCTION pgherald.on_project() SECURITY INVOKER",
    "function-head path": "ALTER FUNCTION pgherald.epoch() SET search_path = public",
    "function-head more": "ALTER FUNCTION pgherald.on_project() SET work_mem = '1MB'",
    "function-head less": "ALTER FUNCTION pgherald.tell(bigint[]) RESET timezone",
    "function-head volatility": "ALTER FUNCTION pgherald.epoch() VOLATILE",
    "function-owner": "ALTER FUNCTION pgherald.on_project() OWNER TO postgres",
    # triggers
    "trigger-missing": "DROP TRIGGER zz_pgherald_u ON api_estimate",
    "trigger-missing truncate": "DROP TRIGGER zz_pgherald_t ON api_project",
    "trigger-disabled": "ALTER TABLE api_estimate DISABLE TRIGGER zz_pgherald_d",
    "trigger-disabled replica": "ALTER TABLE api_estimate ENABLE REPLICA TRIGGER zz_pgherald_d",
    "trigger-differs": "DROP TRIGGER zz_pgherald_i ON api_estimate; CREATE TRIGGER zz_pgherald_i "
                       "AFTER UPDATE ON api_estimate REFERENCING OLD TABLE AS old_rows "
                       "NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION "
                       "pgherald.on_estimate()",
    "trigger-differs function": "DROP TRIGGER zz_pgherald_t ON api_project; "
                                "CREATE TRIGGER zz_pgherald_t AFTER TRUNCATE ON api_project "
                                "FOR EACH STATEMENT EXECUTE FUNCTION pgherald.on_estimate()",
    "trigger-missing auth": "DROP TRIGGER zz_pgherald_auth_drf_d ON authtoken_token",
    "trigger-disabled auth": "ALTER TABLE api_user DISABLE TRIGGER zz_pgherald_auth_drf_u",
    "trigger-differs auth": "DROP TRIGGER zz_pgherald_auth_drf_t ON api_user; "
                            "CREATE TRIGGER zz_pgherald_auth_drf_t AFTER TRUNCATE ON api_user "
                            "FOR EACH STATEMENT EXECUTE FUNCTION pgherald.revoke_drf('token')",
    "trigger-unknown": "CREATE TRIGGER mine AFTER TRUNCATE ON api_user FOR EACH STATEMENT "
                       "EXECUTE FUNCTION pgherald.on_project()",
    "trigger-unknown here": "CREATE TRIGGER mine AFTER TRUNCATE ON api_project FOR EACH STATEMENT "
                            "EXECUTE FUNCTION pgherald.on_project()",
    "published": "CREATE PUBLICATION p FOR TABLE pgherald.journal, pgherald.meta, api_user",
    "replica-role": "ALTER ROLE app SET session_replication_role = replica",
    # tables
    "unlogged-table": "ALTER TABLE api_estimate SET UNLOGGED",
    "rls-joined": "ALTER TABLE authtoken_token ENABLE ROW LEVEL SECURITY",
    "foreign-code index": "CREATE INDEX ON api_project ((mine_text(name)))",
    "foreign-code check": "ALTER TABLE authtoken_token ADD CHECK (mine_text(key) <> 'x')",
    "foreign-code index of a part": "CREATE TABLE part () INHERITS (authtoken_token); CREATE TABLE deep () INHERITS (part); "
                                    "CREATE INDEX ON deep ((mine_text(key)))",
    "foreign-code check of a part": "CREATE TABLE part (CHECK (mine_text(key) <> 'x')) INHERITS (authtoken_token)",
    "open-type": "CREATE TYPE mine AS ENUM ('manager', 'foreman'); ALTER TYPE mine OWNER TO intruder; "
                 "ALTER TABLE api_user ALTER role TYPE mine USING role::mine",
    # rights
    "role-attributes": "ALTER ROLE pgherald_owner LOGIN",
    "role-attributes super": "ALTER ROLE pgherald_owner SUPERUSER",
    "role-attributes rls": "ALTER ROLE pgherald_owner BYPASSRLS",
    "role-attributes auth": "ALTER ROLE pgherald_auth CREATEROLE",
    "owner-member": "GRANT pgherald_owner TO intruder",
    "owner-member auth": "GRANT pgherald_auth TO intruder",
    "owner-in-role": "GRANT intruder TO pgherald_owner",
    "owner-in-role auth": "GRANT intruder TO pgherald_auth",
    "right-unknown public": "GRANT USAGE ON SCHEMA pgherald TO PUBLIC",
    "right-unknown schema": "GRANT CREATE ON SCHEMA pgherald TO intruder",
    "right-unknown journal": "GRANT SELECT, INSERT ON pgherald.journal TO intruder",
    "right-unknown daemon": "GRANT DELETE ON pgherald.journal TO pgherald",
    "right-unknown teller": "GRANT SELECT ON pgherald.journal TO pgherald_teller",
    "right-unknown auth": "GRANT SELECT ON pgherald.journal TO pgherald_auth",
    "right-unknown loss": "GRANT USAGE ON SEQUENCE pgherald.loss TO intruder",
    "right-unknown function": "GRANT EXECUTE ON FUNCTION pgherald.auth_drf(text[]) TO PUBLIC",
    "right-unknown trigger": "GRANT EXECUTE ON FUNCTION pgherald.on_estimate() TO intruder",
    "right-on-column": "GRANT SELECT (data) ON pgherald.journal TO intruder",
    "right-missing": "REVOKE SELECT ON pgherald.journal FROM pgherald",
    "right-missing loss": "REVOKE SELECT ON pgherald.loss FROM pgherald",
    "right-missing schema": "REVOKE USAGE ON SCHEMA pgherald FROM pgherald",
    "right-missing auth": "REVOKE EXECUTE ON FUNCTION pgherald.revoked(text[]) FROM pgherald_auth",
    "right-missing function": "REVOKE EXECUTE ON FUNCTION pgherald.auth_drf(text[]) FROM "
                              "pgherald",
    "joined-column": "REVOKE SELECT (username) ON api_user FROM pgherald_teller",
    "joined-column auth": "REVOKE SELECT (key) ON authtoken_token FROM pgherald_auth",
    "right-beyond": "GRANT SELECT (key) ON authtoken_token TO pgherald_owner",
    "right-beyond table": "GRANT UPDATE ON api_user TO pgherald_auth",
    "login-rights": "ALTER ROLE pgherald NOLOGIN",
    "login-rights connect": "REVOKE CONNECT ON DATABASE {db} FROM PUBLIC",
    "login-reader": "CREATE ROLE pgherald_reader; GRANT pgherald_reader TO pgherald",
    "function-owner auth": "ALTER FUNCTION pgherald.auth_drf(text[]) OWNER TO pgherald_owner",
    "login-powers": "ALTER ROLE pgherald SUPERUSER",
    "settings-free": "ALTER TABLE api_estimate ALTER number TYPE bytea USING number::bytea",
    # the journal
    "loss": "SELECT nextval('pgherald.loss')",
    "journal-unlogged": "ALTER TABLE pgherald.journal SET UNLOGGED",
    "journal-key": "ALTER TABLE pgherald.journal DROP CONSTRAINT journal_pkey",
    "journal-meddled trigger": "CREATE TRIGGER mine AFTER TRUNCATE ON pgherald.journal FOR EACH "
                               "STATEMENT EXECUTE FUNCTION mine()",
    "object-code rule": "CREATE RULE mine AS ON INSERT TO pgherald.journal DO INSTEAD NOTHING",
    "object-code rls": "ALTER TABLE pgherald.journal ENABLE ROW LEVEL SECURITY",
    "autovacuum": "ALTER TABLE pgherald.journal SET (autovacuum_enabled = off)",
    "autovacuum toast": "ALTER TABLE pgherald.journal SET (toast.autovacuum_enabled = false)",
    "journal-old": "INSERT INTO pgherald.journal (txid, topic, op, at) "
                   "VALUES (3, 'estimate', 't', now() - interval '25 hours')",
    "journal-future": "INSERT INTO pgherald.journal (txid, topic, op) "
                      "VALUES (txid_current() + 1000, 'estimate', 't')",
    "journal-closed": "SELECT setval('pgherald.journal_id_seq', 9223372036854775807)",
    "journal-limit": "UPDATE pgherald.meta SET max_bytes = 5",
    "floor": "UPDATE pgherald.meta SET floor_txid = txid_current() + 1000",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage(checked, name):
    if "mine()" in DAMAGE[name]:
        checked.db.run("CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    if "mine_text(" in DAMAGE[name]:
        checked.db.run("CREATE FUNCTION mine_text(v varchar) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT v'; "
                       "ALTER FUNCTION mine_text(varchar) OWNER TO intruder")
    try:
        checked.db.run(DAMAGE[name].replace("{db}", checked.db.name))
        # what is to be done about somebody's code he has to know himself
        checked.expect(name.split()[0], fix=not name.startswith("object-code"))
    finally:
        checked.db.cluster.execute("ALTER ROLE pgherald LOGIN NOSUPERUSER; "
                                   "DROP ROLE IF EXISTS pgherald_reader")


@pytest.mark.parametrize("table, column, kind, value", [
    ("api_estimate", "number", "text", "'N' || id"),  # recorded
    ("api_estimate", "foreman_id", "bigint", "id + 1"),  # an owner
    ("api_user", "role", "text", "lower(username)"),  # a right
    ("authtoken_token", "user_id", "bigint", "length(key)"),
])
def test_what_is_computed_when_it_is_read(checked, table, column, kind, value):
    """PostgreSQL 18 gives triggers no virtual column: nothing is watched by it, and one that comes later is named."""
    if int(checked.db.one("SHOW server_version_num")) < 180000:
        pytest.skip("there are virtual columns since PostgreSQL 18")
    for how, found in (("VIRTUAL", True), ("STORED", False)):
        checked.db.run(f"ALTER TABLE {table} DROP COLUMN {column} CASCADE;"
                       f"ALTER TABLE {table} ADD {column} {kind} GENERATED ALWAYS AS ({value}) {how}")
        assert ("virtual-column" in [f["id"] for f in checked.run()]) is found
        done = checked.install.sql("install", "--apply")
        assert (done.returncode == 1) is found, done.stdout + done.stderr
        assert (f"{table}.{column} is a virtual column" in done.stderr) is found


def test_every_check_is_tested():
    """A new question needs a damage here; those with tests of their own are named."""
    own = {"standby", "schema-missing", "schema-newer", "schema-older", "function-unknown",
           "event-trigger", "table-missing", "column-missing", "key-not-unique", "table-kind",
           "partitioned", "partition", "rls-watched", "role-missing", "right-by-membership",
           "login-missing", "journal-big", "joined-kind", "object-kind", "lock-held", "pooler", "prepared-old", "prepared-possible",
           "notify-queue", "server-version", "foreign-part", "utc-type", "temp-files", "commits-unflushed", "children", "dump",
           "owners-unfollowed", "way-index",  # test_follow.py
           "authorize-function", "authorize-owner", "authorize-writes", "authorize-path",  # test_authorize.py
           "virtual-column",  # what_is_computed_when_it_is_read
           "auth-owners", "teller-shared", "owners-mixed", "looks-early", "looks-inline"}  # test_tellers.py
    asked = set()
    here = os.path.join(os.path.dirname(__file__), "..", "..", "sql", "check")
    for name in os.listdir(here):
        before = ""
        for line in open(os.path.join(here, name), encoding="ascii"):
            if line.startswith("--! ") and not before.startswith("--! "):
                asked.add(line.split()[1])
            before = line
    assert asked == own | {name.split()[0] for name in DAMAGE}


# --- how it tells --------------------------------------------------------------------------------


def test_text_for_a_terminal(checked):
    done = checked.install.sql("check")
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("clean: 0 to mend")
    checked.db.run("ALTER TABLE api_estimate DISABLE TRIGGER zz_pgherald_u")
    checked.db.run("GRANT SELECT ON pgherald.meta TO intruder")
    done = checked.install.sql("check")
    assert done.returncode == 1
    paragraphs = done.stdout.split("\n\n")
    assert paragraphs[0].splitlines() == [
        "danger trigger-disabled: public.api_estimate: trigger zz_pgherald_u is disabled",
        "  Changes of this kind are not recorded while the trigger is off.",
        "  Fix: ALTER TABLE public.api_estimate ENABLE TRIGGER zz_pgherald_u;"]
    found, = (p for p in paragraphs if p.startswith("danger right-unknown: pgherald.meta: intruder has SELECT\n"))
    assert max(map(len, found.splitlines())) <= 82
    assert "not clean: 2 to mend" in paragraphs[-1]


def test_names_move_no_cursor(checked):
    """Roles and functions may have any name, and errors quote them."""
    role = "x\x1b[2J\x9b2J\u202e"
    checked.db.run(f'CREATE ROLE "{role}"; GRANT SELECT ON pgherald.meta TO "{role}";'
                   f'CREATE FUNCTION public."{role}"() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$;'
                   f'ALTER FUNCTION public."{role}"() OWNER TO "{role}";'
                   f'CREATE EVENT TRIGGER odd ON ddl_command_end EXECUTE FUNCTION public."{role}"()')
    try:
        check, install = checked.install.sql("check"), checked.install.sql("install", "--apply")
    finally:
        checked.db.run(f'DROP EVENT TRIGGER odd; DROP OWNED BY "{role}" CASCADE; DROP ROLE "{role}"')
    assert '"x?[2J?2J?" has SELECT' in check.stdout, check.stdout
    assert 'event trigger odd calls public."x?[2J?2J?"' in install.stderr, install.stderr
    for text in (check.stdout, check.stderr, install.stdout, install.stderr):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), text


def test_with_the_daemons_own_rights(checked):
    assert checked.run(user="pgherald") == []
    checked.db.run("ALTER TABLE api_estimate DISABLE TRIGGER zz_pgherald_u")
    assert [f["id"] for f in checked.run(user="pgherald")] == ["trigger-disabled"]


def test_it_changes_nothing_and_waits_for_no_table(checked):
    db = checked.db
    holder = db.connect(autocommit=False)
    holder.cursor().execute("LOCK TABLE api_estimate, api_project, api_user, authtoken_token")
    written = ("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_sys_tables"
               " WHERE relname <> ALL ('{pg_class,pg_statistic}')")  # autovacuum's
    before = db.one(written)
    assert checked.run() == []
    assert db.one(written) == before
    holder.close()


def test_could_not_look(checked, install, tmp_path):
    done = run_pgherald("sql", "check", "-c", install.conf, "--dsn", f"host={tmp_path} dbname=x")
    assert done.returncode == 2 and "cannot connect" in done.stderr
    done = run_pgherald("sql", "check", "-c", tmp_path / "absent.conf")
    assert done.returncode == 2
    assert run_pgherald("sql", "check", "--apply").returncode == 2
    # somebody who may not read the journal
    done = run_pgherald("sql", "check", "--json", "-c", install.conf, "--dsn",
                        install.db.conninfo("app"))
    assert done.returncode == 2 and "could not check" in done.stderr
    assert json.loads(done.stdout)["clean"] is False
    # who may not read all of it is told the rest
    install.db.run("GRANT USAGE ON SCHEMA pgherald TO app; GRANT SELECT ON pgherald.meta TO app")
    done = run_pgherald("sql", "check", "--json", "-c", install.conf, "--dsn", install.db.conninfo("app"))
    blind = set(re.findall("could not check ([a-z-]+)", done.stderr))
    assert done.returncode == 1 and blind == {"loss", "journal-old", "journal-future"}, done.stderr
    found = json.loads(done.stdout)["findings"]
    assert [f["object"] for f in found if f["id"] == "right-unknown"] == ["pgherald", "pgherald.meta"]
    assert "prepared-possible" in {f["id"] for f in found}  # which is asked after those


# --- damage that takes more than a statement -----------------------------------------------------


def test_nothing_is_installed(db, install):
    c = Checked(install)
    assert c.expect("schema-missing")[0]["fix"] == "pgherald sql install --apply"


def test_what_is_no_table_is_not_read(checked):
    checked.db.run("ALTER TABLE pgherald.meta RENAME TO before; CREATE VIEW pgherald.meta AS"
                   " SELECT b.* FROM pgherald.before AS b, (SELECT 1 / (b.schema_version - b.schema_version)"
                   "  FROM pgherald.before AS b) AS bang;"
                   "ALTER VIEW pgherald.meta OWNER TO pgherald_owner")
    checked.expect("object-kind", fix=False)


def test_a_joined_table_becomes_a_view(checked):
    checked.db.run("ALTER TABLE api_user RENAME TO hidden; CREATE VIEW api_user AS SELECT * FROM hidden;"
                   "GRANT SELECT (id, username) ON api_user TO pgherald_teller;"
                   "GRANT SELECT (id, role, is_active) ON api_user TO pgherald_auth")
    found = [f for f in checked.run() if f["id"] == "joined-kind"]
    assert {f["message"] for f in found} == {"it is a view, and pgherald_teller would read it",
                                             "it is a view, and pgherald_auth would read it"}


def test_a_role_is_missing(cluster, db, install):
    cluster.forget_copies()
    cluster.execute("DROP ROLE IF EXISTS pgherald")
    install.apply()
    install.db.run("REVOKE ALL ON ALL TABLES IN SCHEMA pgherald FROM pgherald; "
                   "REVOKE ALL ON SCHEMA pgherald FROM pgherald; "
                   "REVOKE ALL ON ALL SEQUENCES IN SCHEMA pgherald FROM pgherald; "
                   "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgherald FROM pgherald")
    cluster.execute("DROP ROLE pgherald")
    Checked(install).expect("login-missing")


def test_owner_role_is_missing(cluster, db, install):
    install.apply()
    cluster.execute("ALTER ROLE pgherald_auth RENAME TO pgherald_auth_away")
    try:
        assert Checked(install).ids() == ["role-missing"]
    finally:
        cluster.execute("ALTER ROLE pgherald_auth_away RENAME TO pgherald_auth")


@pytest.mark.parametrize("version, name", [(9, "schema-newer"), (0, "schema-older")])
def test_another_schema_version(checked, version, name):
    checked.db.run("UPDATE pgherald.meta SET schema_version = %s", (version,))
    found = checked.expect(name, fix=False)
    assert str(version) in found[0]["message"]


def test_changed_by_hand_or_by_another_configuration(checked):
    db, conf = checked.db, checked.install.conf
    db.run("UPDATE pg_proc SET prosrc = prosrc || ' ' WHERE oid = 'pgherald.epoch()'::regprocedure")
    assert "by hand" in checked.expect("function-differs")[0]["message"]
    conf.write_text(conf.read_text().replace("  status, created_at::utc\n", "  status\n"))
    *found, right = checked.expect(*["function-differs"] * 3, "right-beyond")  # what records, and what tells
    assert all("another version or configuration" in f["message"] for f in found)
    assert right["message"] == "pgherald_teller has SELECT (created_at)"


def test_a_watch_that_left_the_configuration(checked):
    text = checked.install.conf.read_text()
    checked.install.conf.write_text(text[:text.index("[watch project]")])
    found = checked.expect("function-differs", *["function-unknown"] * 4, fix=False)
    checked.mend(found)
    checked.expect("right-beyond")  # of what the functions have read, and no other does
    assert {f["object"] for f in found} == {"pgherald.tell(bigint[])", "pgherald.on_project()",
                                            "pgherald.tell_project(bigint[],pgherald.journal[],boolean)",
                                            "pgherald.settle_project(bigint[],pgherald.journal[])",
                                            "pgherald.owners_project(text[])"}
    assert checked.db.one("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_pgherald%' "
                          "AND tgrelid = 'api_project'::regclass") == 0


def test_a_watch_that_is_not_installed(checked):
    checked.install.conf.write_text(checked.install.conf.read_text() + "\n[watch user]\n"
                                    "table = public.api_user\nfields = id\n")
    assert set(checked.ids()) == {"function-differs", "function-missing", "trigger-missing"}
    checked.mend([next(f for f in checked.run() if f["id"] == "function-missing")])
    assert checked.run() == []


def test_an_event_trigger(checked):
    checked.db.run("CREATE FUNCTION pgherald.mine() RETURNS event_trigger LANGUAGE plpgsql "
                   "AS 'BEGIN END'; ALTER FUNCTION pgherald.mine() OWNER TO pgherald_owner; "
                   "REVOKE ALL ON FUNCTION pgherald.mine() FROM PUBLIC; "
                   "CREATE EVENT TRIGGER mine ON sql_drop EXECUTE FUNCTION pgherald.mine()")
    try:
        found = checked.run()
        assert [f["id"] for f in found] == ["function-unknown", "event-trigger"]
        checked.mend(found[::-1])
        assert checked.run() == []
    finally:
        checked.db.run("DROP EVENT TRIGGER IF EXISTS mine")


@pytest.mark.parametrize("sql, said", [
    ("ALTER TABLE api_project RENAME TO renamed", "it is now public.renamed"),
    ("CREATE SCHEMA moved; ALTER TABLE api_project SET SCHEMA moved", "it is now moved.api_project"),
    ("DROP TABLE api_project CASCADE", "it does not exist")])
def test_a_watched_table_is_gone(checked, sql, said):
    # nothing of the other watch may be joined with it, or that is found as well
    checked.install.conf.write_text(checked.install.conf.read_text().replace(
        "project_name=project_id->public.api_project.name,", ""))
    checked.install.apply("upgrade")
    checked.db.run(sql)
    found = checked.expect("table-missing", fix=False)
    assert said in found[0]["message"] and found[0]["fix"] is None


def test_a_joined_table_is_gone(checked):
    checked.db.run("ALTER TABLE api_user RENAME TO people")
    found = checked.run()
    assert {f["id"] for f in found} == {"joined-column", "trigger-unknown"}
    assert {f["message"] for f in found if f["id"] == "joined-column"} == {"it does not exist"}


def test_columns_that_are_gone(checked):
    checked.db.run("ALTER TABLE api_estimate DROP COLUMN status")
    found = checked.expect("column-missing", fix=False)
    assert found[0]["message"] == "there is no column status"
    checked.db.run("ALTER TABLE api_estimate DROP COLUMN id")
    assert checked.ids() == ["column-missing"] * 2


def test_a_key_that_is_no_key(checked):
    db = checked.db
    db.run("ALTER TABLE api_estimate DROP CONSTRAINT api_estimate_pkey; "
           "CREATE UNIQUE INDEX ON api_estimate (id) WHERE id > 5; "
           "CREATE UNIQUE INDEX ON api_estimate (id, number)")
    assert "(id)" in checked.expect("key-not-unique")[0]["fix"]


@pytest.mark.parametrize("make, said", [
    ("CREATE VIEW api_project AS SELECT * FROM hidden", "it is a view"),
    ("CREATE MATERIALIZED VIEW api_project AS SELECT * FROM hidden", "it is a materialized view")])
def test_not_a_table(checked, make, said):
    checked.install.conf.write_text(checked.install.conf.read_text().replace(
        "project_name=project_id->public.api_project.name,", ""))
    checked.install.apply("upgrade")
    checked.db.run("ALTER TABLE api_project RENAME TO hidden; " + make)
    found = checked.run()
    assert [f for f in found if f["id"] == "table-kind"][0]["message"] == said


def test_partitions(db, install):
    db.run("CREATE TABLE part (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); "
           "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (9)")
    c = Checked(install)
    install.write(CONF + "[watch part]\ntable = public.part\nfields = id, v\n")
    install.apply()
    found = c.run()
    assert [(f["id"], f["severity"]) for f in found] == [("partitioned", "notice")]
    install.apply("uninstall", "--watch", "part")
    install.write(CONF + "[watch part]\ntable = public.part_1\nfields = id, v\n")
    install.apply()
    assert c.expect("partition", fix=False)[0]["message"] == "it is a part of public.part"


def test_a_publication_for_all_tables(checked):
    checked.db.run("CREATE PUBLICATION everything FOR ALL TABLES")
    found, = checked.expect("published", fix=False)
    assert found["object"] == "publication everything" and not found["fix"]
    done = run_pgherald("sql", "install", "--apply", "-c", checked.install.conf, "--dsn",
                        checked.db.conninfo())
    assert "publication everything takes the tables of pgherald along" in done.stderr
    checked.db.run("DROP PUBLICATION everything; CREATE PUBLICATION named FOR TABLE api_project, pgherald.journal")
    found, = checked.expect("published")  # and what it prints mends it
    assert found["object"] == "publication named"


def test_a_publication_for_a_schema(checked):
    if int(checked.db.one("SHOW server_version_num")) < 150000:
        pytest.skip("before PostgreSQL 15 there is none")
    checked.db.run("CREATE PUBLICATION ours FOR TABLES IN SCHEMA pgherald;"
                   "CREATE PUBLICATION theirs FOR TABLES IN SCHEMA public")
    found, = checked.expect("published", fix=False)
    assert found["object"] == "publication ours" and "journal" in found["message"]


def test_children(checked):
    checked.db.run("CREATE TABLE old_estimate () INHERITS (api_estimate)")
    found, = checked.expect("children", fix=False)
    assert found["message"] == "1 table inherits from it"


def test_commits_that_a_crash_takes_back(checked):
    """The daemon's own are safe all the same: test_publish_http.py."""
    try:
        checked.db.run("ALTER ROLE app SET synchronous_commit = off; ALTER DATABASE "
                       f"{checked.db.name} SET synchronous_commit = off; ALTER ROLE pgherald SET synchronous_commit = local")
        found = checked.expect(*["commits-unflushed"] * 3, fix=False)
        assert {f["object"] for f in found} == {"server", "database", "role app"}
    finally:
        checked.db.run("ALTER ROLE app RESET synchronous_commit; ALTER ROLE pgherald RESET synchronous_commit")


def test_a_foreign_table_as_a_part_of_the_tokens(checked):
    """PostgreSQL would refuse what the application does with its tokens, as with rows of a watched table."""
    db, logout = checked.db, "DELETE FROM authtoken_token WHERE key = 'old'"
    if not db.one("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'"):
        pytest.skip("this server has no postgres_fdw")
    db.run(f"CREATE EXTENSION postgres_fdw; CREATE SERVER f FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{db.cluster.dir}', "
           f"dbname '{db.name}'); CREATE USER MAPPING FOR PUBLIC SERVER f OPTIONS (user 'postgres'); "
           "CREATE TABLE old_token AS SELECT 'old'::varchar AS key, t.created, t.user_id FROM authtoken_token AS t LIMIT 1; "
           "CREATE FOREIGN TABLE far () INHERITS (authtoken_token) SERVER f OPTIONS (table_name 'old_token')")
    assert db.one("SELECT count(*) FROM authtoken_token WHERE key = 'old'") == 1
    with pytest.raises(psycopg2.errors.FeatureNotSupported, match="transition"):
        db.run(logout)
    found = [f for f in checked.run() if f["id"] == "foreign-part"]
    assert [(f["object"], f["message"]) for f in found] == [
        ("public.authtoken_token", "the foreign table public.far is a part of it")] and not found[0]["fix"]
    checked.install.apply("uninstall")
    done = checked.install.sql("install", "--apply")
    assert done.returncode == 1 and "public.far is a foreign table: name the table behind it" in done.stderr, done.stderr
    db.run("ALTER FOREIGN TABLE far NO INHERIT authtoken_token")
    checked.install.apply()
    db.run(logout)


def test_a_limit_of_temporary_files(checked):
    try:
        checked.db.run("ALTER ROLE app SET temp_file_limit = '5MB'; ALTER DATABASE "
                       f"{checked.db.name} SET temp_file_limit = '6MB'")
        found = checked.run()
        assert {(f["id"], f["severity"], f["object"], f["message"]) for f in found} == {
            ("temp-files", "notice", "server", "temp_file_limit is 6MB"),
            ("temp-files", "notice", "database", "temp_file_limit is 6MB"),
            ("temp-files", "notice", "role app", "temp_file_limit is 5MB")}
        done = checked.install.sql("install", "--apply")
        assert done.returncode == 0 and "temp_file_limit is 6MB: a statement that" in done.stderr
    finally:
        checked.db.run("ALTER ROLE app RESET temp_file_limit")


def test_row_level_security(checked):
    checked.db.run("ALTER TABLE api_estimate ENABLE ROW LEVEL SECURITY")
    assert [(f["id"], f["severity"]) for f in checked.run()][0] == ("rls-watched", "notice")


def test_members_of_all_data(checked):
    if checked.db.one("SELECT to_regrole('pg_write_all_data')") is None:
        pytest.skip("this server has no pg_write_all_data")
    checked.db.run("GRANT pg_write_all_data TO intruder")
    checked.expect("right-by-membership")


def test_a_prepared_transaction_nobody_ends(checked):
    db, conf = checked.db, checked.install.conf
    conf.write_text(conf.read_text().replace("[database]", "[database]\nretention = 1s"))
    mine = db.connect(autocommit=False)
    mine.cursor().execute("CREATE TABLE nothing (); PREPARE TRANSACTION 'forgotten'")
    mine.close()
    try:
        found = wait_for(checked.run, "it is old enough")
        assert [(f["id"], f["object"]) for f in found] == [("prepared-old", "forgotten")]
    finally:
        db.run("ROLLBACK PREPARED 'forgotten'")


def test_an_advisory_lock_of_somebody_else(checked):
    """A writer's look at it, and a daemon, are nothing to tell of."""
    daemon = checked.db.connect("pgherald")
    daemon.cursor().execute("SELECT pg_advisory_lock(1885825394, 2)")
    outsider = checked.db.connect("app")
    outsider.cursor().execute("SET application_name = 'odd'; SELECT pg_advisory_lock(1885825394, 1)")
    found = checked.run()
    assert [(f["id"], f["object"]) for f in found] == [("lock-held", "advisory lock (1885825394, 1)")]
    assert found[0]["message"] == f"process {outsider.info.backend_pid} of role app holds it (odd)"
    checked.mend(found)
    wait_for(lambda: checked.run() == [], "the lock is free")
    daemon.close()


def test_prepared_transactions_are_possible(checked):
    done = checked.install.sql("check", "--json")
    ids = [f["id"] for f in json.loads(done.stdout)["findings"]]
    assert "prepared-possible" in ids


def pooler(db, path):
    """What PgBouncer does as far as we can tell from outside: another key, the same answers."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path / ".s.PGSQL.5432"))
    listener.listen()

    def pump(source, target, change):
        first = True
        while data := source.recv(65536):
            if change and first:
                at = data.index(b"K\0\0\0\x0c")
                data = data[:at + 5] + struct.pack("!I", 4242) + data[at + 9:]
                first = False
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    def serve():
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(db.cluster.dir + "/.s.PGSQL.5432")
            threading.Thread(target=pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=pump, args=(server, client, True), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return f"host={path} port=5432 dbname={db.name} user=postgres"


def test_a_pooler_in_between(checked, tmp_path):
    dsn = pooler(checked.db, tmp_path)
    done = run_pgherald("sql", "check", "--json", "-c", checked.install.conf, "--dsn", dsn)
    assert done.returncode == 1, done.stderr
    found = [f for f in json.loads(done.stdout)["findings"] if f["id"] not in KNOWN]
    assert [(f["id"], f["object"]) for f in found] == [("pooler", "4242")]


# --- other servers -------------------------------------------------------------------------------


@pytest.fixture
def other_cluster(tmp_path):
    made = []

    def make(settings):
        c = Cluster(settings)
        made.append(c)
        c.execute("CREATE DATABASE app_template")
        c.execute(APP_TABLES, "app_template")
        db = c.create_database("app_template")
        install = Install(db, tmp_path)
        install.apply()
        return Checked(install)

    yield make
    for c in made:
        c.destroy()


def test_a_standby(other_cluster):
    c = other_cluster({})
    cluster = c.db.cluster
    c.db.close()
    cluster.stop()
    with open(os.path.join(cluster.data, "standby.signal"), "w"):
        pass
    cluster.start()
    assert c.ids() == ["standby"]


def test_a_full_queue(other_cluster):
    try:
        c = other_cluster({"max_notify_queue_pages": "64"})
    except Exception:
        pytest.skip("this server cannot limit its queue of notifications (17 can)")
    listener = c.db.connect(autocommit=False)
    listener.cursor().execute("LISTEN x")
    listener.commit()
    listener.cursor().execute("SELECT 1")
    for i in range(12):
        c.db.run("SELECT pg_notify('x', repeat('x', 7000) || g) FROM generate_series(1, 1) g")
    assert "notify-queue" in c.ids()
    listener.close()
