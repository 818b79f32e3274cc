# SPDX-License-Identifier: PostgreSQL
"""Nightly dumps of the application's own role go on working, and what comes out of them does no harm
where it is restored, with pgherald's roles there and without."""

import re
import subprocess

import pytest
from conftest import CONF, run_pgherald
from lib.cluster import Cluster

# All tables that there can be: messages that are kept, tickets.
MORE = """
[publish]
roles = pgherald, shopkeeper
[auth tickets]
preset = ticket
[route events]
path = /events
auth = tickets, drf
[route ticket]
path = /ticket
kind = ticket
opens = events
"""


@pytest.fixture
def owned(db, install):
    """As demo.sh has it: the application's role owns its tables and its database."""
    db.cluster.execute("DO $$ BEGIN CREATE ROLE shopkeeper LOGIN; EXCEPTION WHEN duplicate_object THEN NULL;"
                       " END $$")
    db.run(f"ALTER DATABASE {db.name} OWNER TO shopkeeper; ALTER SCHEMA public OWNER TO shopkeeper")
    for table, in db.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        db.run(f"ALTER TABLE {table} OWNER TO shopkeeper")
    install.write(CONF + MORE)
    install.apply()
    db.run("SELECT pgherald.publish('*', 'm', '1', key => 'kept', persist => true)", user="shopkeeper")
    yield db


def change(db, user, number):
    db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES (%s, 10, 2)", (number,), user)


def tool(cluster, name, *args, user):
    return subprocess.run([cluster.tool(name), "-h", cluster.dir, "-p", "5432", "-U", user, *map(str, args)],
                          capture_output=True, text=True, timeout=120)


def major(text):
    return int(re.search(r"\d+", text).group())


def dump(db, user, path, *args):
    has = subprocess.run([db.cluster.tool("pg_dump"), "--version"], capture_output=True, text=True).stdout
    if major(has) < major(db.one("SHOW server_version")):
        pytest.skip(f"{has.strip()} is too old for this server")
    return tool(db.cluster, "pg_dump", "-Fc", "-f", path, *args, db.name, user=user)


def restore(cluster, user, path, name, *args):
    done = tool(cluster, "pg_restore", "--exit-on-error", "-d", name, *args, path, user=user)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def empty_database(cluster, owner):
    copy = cluster.create_database("template0")
    cluster.execute(f"ALTER DATABASE {copy.name} OWNER TO {owner}")
    copy.run(f"ALTER SCHEMA public OWNER TO {owner}")
    return copy


def writers_are_well(db, user):
    """No statement of the application fails, and none gets a warning."""
    connection = db.connect(user)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO api_estimate (number, project_id) VALUES ('copy', 10);"
                       "UPDATE api_estimate SET status = 'x'; DELETE FROM api_estimate WHERE number = 'copy'")
    assert not connection.notices
    connection.close()


def test_dump_by_the_applications_role(owned, tmp_path):
    change(owned, "shopkeeper", "E-1")
    done = dump(owned, "shopkeeper", tmp_path / "dump")
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_what_pg_dump_does(owned):
    """Statement by statement, where no pg_dump of this version is at hand."""
    change(owned, "shopkeeper", "E-1")
    found = {"r": 0, "S": 0}
    for oid, name, kind in owned.run("SELECT oid, oid::regclass::text, relkind FROM pg_class WHERE relkind IN ('r', 'S')"
                                     " AND relnamespace IN ('public'::regnamespace, 'pgherald'::regnamespace)"):
        found[kind] += 1
        if kind == "r":
            owned.run(f"BEGIN; LOCK TABLE {name} IN ACCESS SHARE MODE; COMMIT", user="shopkeeper")
        owned.run(f"SELECT * FROM {name}", user="shopkeeper")
        if kind == "S" and major(owned.one("SHOW server_version")) >= 18:
            assert owned.one(f"SELECT last_value FROM pg_get_sequence_data({oid})", user="shopkeeper") is not None
    assert found["r"] >= 10 and found["S"] >= 2


def test_what_it_may_read_for_that_is_what_it_could_read(owned):
    assert owned.one("SELECT count(*) FROM pgherald.journal WHERE op <> 'm'", user="shopkeeper") == 0
    for forbidden in ("INSERT INTO pgherald.journal (topic, op) VALUES ('estimate', 't')",
                      "UPDATE pgherald.meta SET floor_txid = 5", "DELETE FROM pgherald.journal",
                      "SELECT nextval('pgherald.loss')", "SELECT pgherald.auth_drf('{x}')",
                      "SELECT pgherald.prune('0', 5)", "SELECT pgherald.tell('{1}')",
                      "CREATE TABLE pgherald.x ()", "BEGIN; LOCK TABLE pgherald.journal"):
        with pytest.raises(Exception, match="permission denied"):
            owned.run(forbidden, user="shopkeeper")
        owned.run("ROLLBACK", user="shopkeeper")


def test_check_has_nothing_against_it(owned, install):
    done = run_pgherald("sql", "check", "-c", install.conf, "--dsn", owned.conninfo())
    assert "right-unknown" not in done.stdout and "dump" not in done.stdout, done.stdout


@pytest.mark.parametrize("hide", ["REVOKE SELECT ON api_estimate FROM shopkeeper",
                                  "ALTER TABLE api_user OWNER TO postgres; REVOKE ALL ON api_user FROM shopkeeper"],
                         ids=["another role's watched table", "another role's joined table"])
def test_who_may_not_read_all_of_it_may_not_read_the_journal(db, install, hide):
    db.cluster.execute("DO $$ BEGIN CREATE ROLE shopkeeper LOGIN; EXCEPTION WHEN duplicate_object THEN NULL;"
                       " END $$")
    db.run("ALTER TABLE api_project OWNER TO shopkeeper; GRANT SELECT ON ALL TABLES IN SCHEMA public TO shopkeeper;" + hide)
    install.apply()
    with pytest.raises(Exception, match="permission denied"):
        db.run("SELECT FROM pgherald.journal", user="shopkeeper")
    done = run_pgherald("sql", "check", "-c", install.conf, "--dsn", db.conninfo())
    assert "notice dump: shopkeeper: it owns watched tables and cannot dump" in done.stdout


def test_right_that_is_not_justified_any_more_is_found(owned, install):
    owned.run("ALTER TABLE api_user OWNER TO postgres; REVOKE ALL ON api_user FROM shopkeeper")
    done = run_pgherald("sql", "check", "-c", install.conf, "--dsn", owned.conninfo())
    assert "right-unknown: pgherald.journal: shopkeeper has SELECT" in done.stdout


def test_restore_by_the_applications_role(owned, tmp_path):
    """Into a database of its own, as it makes copies for tests: without owners and rights."""
    change(owned, "shopkeeper", "E-1")
    assert dump(owned, "shopkeeper", tmp_path / "dump").returncode == 0
    copy = empty_database(owned.cluster, "shopkeeper")
    try:
        restore(owned.cluster, "shopkeeper", tmp_path / "dump", copy.name, "-O", "-x", "--no-comments")
        assert copy.one("SELECT count(*) FROM api_estimate") == 1
        writers_are_well(copy, "shopkeeper")
        copy.run("DROP SCHEMA pgherald CASCADE", user="shopkeeper")  # what the manual says for a copy
        writers_are_well(copy, "shopkeeper")
        assert copy.one("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'pgherald'") == 0
    finally:
        copy.drop()


def test_restore_by_a_superuser_where_the_roles_are(owned, install, tmp_path):
    change(owned, "shopkeeper", "E-1")
    assert dump(owned, "shopkeeper", tmp_path / "dump").returncode == 0
    copy = empty_database(owned.cluster, "shopkeeper")
    try:
        restore(owned.cluster, "postgres", tmp_path / "dump", copy.name)
        writers_are_well(copy, "shopkeeper")
        done = run_pgherald("sql", "install", "--apply", "-c", install.conf, "--dsn", copy.conninfo())
        assert done.returncode == 0, done.stderr
        done = run_pgherald("sql", "uninstall", "--apply", "-c", install.conf, "--dsn", copy.conninfo())
        assert done.returncode == 0, done.stderr
        assert copy.one("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'pgherald'") == 0
    finally:
        copy.drop()


def test_restore_where_there_is_no_pgherald(owned, tmp_path):
    """Another cluster, that has none of the roles."""
    change(owned, "shopkeeper", "E-1")
    assert dump(owned, "shopkeeper", tmp_path / "dump").returncode == 0
    other = Cluster()
    try:
        other.execute("CREATE ROLE shopkeeper LOGIN")
        copy = empty_database(other, "shopkeeper")
        restore(other, "shopkeeper", tmp_path / "dump", copy.name, "-O", "-x", "--no-comments")
        writers_are_well(copy, "shopkeeper")
        assert copy.one("SELECT count(*) FROM api_estimate") == 1
        copy.close()
    finally:
        other.destroy()
