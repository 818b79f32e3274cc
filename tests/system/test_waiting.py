# SPDX-License-Identifier: PostgreSQL
"""A writer waits for no table of ours, holds no lock on one that it has not written to, and is in no
migration's way: names and owners come from tables that a migration may have locked."""

import threading

import pytest

from conftest import TOLD
from lib.cluster import wait_for

ESTIMATES = ("INSERT INTO api_estimate (id, number, project_id, foreman_id, creator_id) "
             "SELECT g, 'N', 10, 2, 1 FROM generate_series(1, 20) AS g")

# Whatever the trigger does for these, each looks names or owners up, or could.
WRITES = {
    "delete": "DELETE FROM api_estimate WHERE id = 1",
    "deletes": "DELETE FROM api_estimate WHERE id IN (2, 3)",
    "updates": "UPDATE api_estimate SET number = 'M' WHERE id IN (4, 5)",
    "other owners": "UPDATE api_estimate SET status = 'x', foreman_id = foreman_id WHERE id IN (6, 7)",
    "another key": "UPDATE api_estimate SET id = id + 100 WHERE id IN (8, 9)",
}


@pytest.fixture
def estimates(db, installed):
    """Rows to write to; none of their foreign keys is left, which would wait by themselves."""
    db.run(ESTIMATES)
    for column in ("project_id", "foreman_id", "creator_id"):
        db.run(f"ALTER TABLE api_estimate DROP CONSTRAINT api_estimate_{column}_fkey")
    db.run("DELETE FROM pgherald.journal")
    return db


@pytest.fixture
def migration(db):
    """Holds the tables that names come from."""
    c = db.connect(autocommit=False)
    c.cursor().execute("LOCK TABLE api_project, api_user")
    yield c
    c.close()


@pytest.mark.parametrize("write", WRITES)
def test_no_writer_waits_for_a_table_with_names(estimates, migration, write):
    estimates.run("SET statement_timeout = '30s'; " + WRITES[write], user="app")  # it is held for ever
    assert estimates.one("SELECT is_called FROM pgherald.loss") is False
    migration.rollback()
    told = estimates.run(f"SELECT op, doc->>'project_name', doc->>'foreman_name' FROM {TOLD} WHERE topic = 'estimate'")
    assert told and {names for _, *names in map(tuple, told) if names != ["Bridge", "anna"]} == set(), told


def test_no_writer_waits_for_a_table_with_owners(db, installed):
    """Those of a project stand in its estimates; who reads finds them."""
    db.run(ESTIMATES)
    holder = db.connect(autocommit=False)
    holder.cursor().execute("LOCK TABLE api_estimate")
    db.run("DELETE FROM pgherald.journal")
    db.run("SET statement_timeout = '30s'; UPDATE api_project SET name = 'Ford' WHERE id = 10; "
           "UPDATE api_project SET name = name || '!'")
    holder.rollback()
    holder.close()
    assert db.run(f"SELECT pk, own_old, own_new FROM {TOLD} ORDER BY pk, id") == [
        ("10", ["2"], ["2"]), ("10", ["2"], ["2"]), ("11", [], [])]


@pytest.mark.parametrize("write", WRITES)
def test_no_lock_outlives_the_look(estimates, write):
    writer = estimates.connect(autocommit=False)
    writer.cursor().execute(WRITES[write])
    held = estimates.run("SELECT relation::regclass::text, mode FROM pg_locks WHERE pid = %s "
                         "AND relation::regclass::text ~ '^(api_project|api_user)'", [writer.info.backend_pid])
    assert held == []
    writer.commit()
    writer.close()
    told = estimates.run(f"SELECT doc->>'project_name' FROM {TOLD} WHERE topic = 'estimate' AND op = 'd'")
    assert set(told) <= {("Bridge",)}


def test_a_migration_that_goes_on_to_the_watched_table(estimates, migration):
    """It waits for the writer, as ever; the writer does not wait for it, which would be a deadlock."""
    writer = estimates.connect(autocommit=False)
    writer.cursor().execute("SET deadlock_timeout = '100ms'")
    writer.cursor().execute(WRITES["delete"])
    done = []
    migration.cursor().execute("SET deadlock_timeout = '100ms'")

    def go_on():
        migration.cursor().execute("ALTER TABLE api_estimate ADD COLUMN more int")
        migration.commit()
        done.append(True)

    thread = threading.Thread(target=go_on)
    thread.start()
    wait_for(lambda: estimates.one("SELECT count(*) FROM pg_locks WHERE NOT granted"), "the migration waits")
    for write in WRITES.values():
        writer.cursor().execute(write)
    writer.commit()
    writer.close()
    thread.join()
    assert done == [True]
    assert estimates.one("SELECT is_called FROM pgherald.loss") is False


def test_a_lock_timeout_of_the_application_stays(estimates):
    writer = estimates.connect(autocommit=False)
    with writer.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '7s'")
        cursor.execute(WRITES["deletes"])
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("7s",)
    writer.close()


def test_groups_are_not_waited_for(db, installed):
    """Who is in a group that got another name: everybody is looked up again instead."""
    installed.conf.write_text(installed.conf.read_text().replace(
        "user_table = public.api_user", "user_table = public.api_user\nrole_from = groups\n"
        "membership_table = public.api_user_groups"))
    installed.apply()
    db.run("INSERT INTO auth_group VALUES (1, 'a'), (2, 'b'); INSERT INTO api_user_groups VALUES (1, 1), (3, 1)")
    db.run("DELETE FROM pgherald.journal")
    db.run("UPDATE auth_group SET name = name; UPDATE auth_group SET name = 'c' WHERE id = 1")
    holder = db.connect(autocommit=False)
    holder.cursor().execute("LOCK TABLE api_user_groups")
    db.run("SET statement_timeout = '30s'; DELETE FROM auth_group WHERE id = 1")
    holder.close()
    assert db.run("SELECT own_old FROM pgherald.journal ORDER BY id") == [(["1", "3"],), ([],)]
