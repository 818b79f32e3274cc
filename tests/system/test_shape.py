# SPDX-License-Identifier: PostgreSQL
"""Migrations of the application: the daemon notices by itself that a watched table is not what the
configuration says, names what it is in the log and in /readyz, and clients fetch again; the same when
it is whole again."""

import json
import signal

import pytest
from conftest import Install, Served
from lib.daemon import Client, wait_until

RENAME = "ALTER TABLE api_estimate RENAME COLUMN number TO no"
MIGRATIONS = {
    "a column renamed": (RENAME, "public.api_estimate has no column number",
                         "ALTER TABLE api_estimate RENAME COLUMN no TO number"),
    "a column dropped": ("ALTER TABLE api_estimate DROP COLUMN status",
                         "public.api_estimate has no column status",
                         "ALTER TABLE api_estimate ADD COLUMN status varchar"),
    "the owners' column renamed": ("ALTER TABLE api_estimate RENAME COLUMN foreman_id TO owner_id",
                                   "public.api_estimate has no column foreman_id",
                                   "ALTER TABLE api_estimate RENAME COLUMN owner_id TO foreman_id"),
    "a joined column renamed": ("ALTER TABLE api_user RENAME COLUMN username TO login",
                                "public.api_user has no column username",
                                "ALTER TABLE api_user RENAME COLUMN login TO username"),
    "the table renamed": ("ALTER TABLE api_estimate RENAME TO api_estimates",
                          "there is no table public.api_estimate",
                          "ALTER TABLE api_estimates RENAME TO api_estimate"),
    "a joined table becomes a view": (
        "ALTER TABLE api_user RENAME TO users; CREATE VIEW api_user AS SELECT * FROM users", "public.api_user is no table",
        "DROP VIEW api_user; ALTER TABLE users RENAME TO api_user"),
    "the table becomes a view": (
        "ALTER TABLE api_estimate RENAME TO e; CREATE VIEW api_estimate AS SELECT * FROM e",
        "public.api_estimate is no table", "DROP VIEW api_estimate; ALTER TABLE e RENAME TO api_estimate"),
    "triggers disabled": ("ALTER TABLE api_estimate DISABLE TRIGGER USER",
                          "triggers on public.api_estimate are missing or disabled",
                          "ALTER TABLE api_estimate ENABLE TRIGGER USER"),
    "another schema": ("CREATE SCHEMA other; ALTER TABLE api_estimate SET SCHEMA other",
                       "there is no table public.api_estimate",
                       "ALTER TABLE other.api_estimate SET SCHEMA public"),
}


@pytest.fixture(autouse=True)
def often(served):
    served.configure("[database]\n", "[database]\nverify = 100ms\n")


@pytest.fixture
def connect(served):
    clients = []

    def one(token, **kw):
        clients.append(Client(served.daemon, token, **kw))
        return clients[-1]

    yield one
    for client in clients:
        client.close()


def look(served):
    """A reload makes it look at once."""
    mark = served.daemon.log_size()
    served.daemon.signal(signal.SIGHUP)
    served.daemon.wait_log("configuration reloaded", mark)


def problems(served):
    status, _, body = served.daemon.get("/readyz")[:3]
    assert status == 200
    return json.loads(body).get("problems", [])


def wait_problem(served, start):
    """Among others: a line in the log comes before the workers hear of it."""
    wait_until(lambda: any(p.startswith(start) for p in problems(served)), lambda: f"{start}; there is {problems(served)}")


def wait_problems(served, n):
    """So many."""
    wait_until(lambda: len(problems(served)) == n, lambda: f"{n} problems; there is {problems(served)}")


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_migration_is_noticed(served, connect, migration):
    do, problem, undo = MIGRATIONS[migration]
    served.daemon.start().wait_ready()
    boss, anna = connect(served.boss).hello(), connect(served.anna).hello()
    assert problems(served) == []
    mark = served.daemon.log_size()
    served.db.run(do)
    served.daemon.wait_log(f"watch estimate: {problem}", mark)
    served.daemon.wait_log("pgherald sql install --apply", mark)
    wait_problem(served, f"watch estimate: {problem}")
    for client in (boss, anna):
        assert client.wait_message("system.resync", reason="schema")["data"]["topics"] == ["estimate"]
    n = len(boss.messages())
    mark = served.daemon.log_size()
    served.db.run(undo)
    served.daemon.wait_log("watch estimate: whole again", mark)
    boss.read_until(lambda: len(boss.messages()) > n, "the second resync")
    assert boss.messages()[-1]["data"]["reason"] == "schema"
    wait_problems(served, 0)


@pytest.mark.parametrize("table, do, problem, undo", [
    ("authtoken_token", "ALTER TABLE authtoken_token DISABLE TRIGGER USER", "triggers on public.authtoken_token are missing",
     "ALTER TABLE authtoken_token ENABLE TRIGGER USER"),
    ("api_user", "ALTER TABLE api_user DISABLE TRIGGER zz_pgherald_auth_drf_u", "triggers on public.api_user are missing",
     "ALTER TABLE api_user ENABLE TRIGGER zz_pgherald_auth_drf_u"),
    ("authtoken_token", "ALTER TABLE authtoken_token RENAME TO t", "there is no table public.authtoken_token",
     "ALTER TABLE t RENAME TO authtoken_token"),
    ("authtoken_token", "ALTER TABLE authtoken_token RENAME TO t; CREATE TABLE authtoken_token (LIKE t INCLUDING ALL)",
     "triggers on public.authtoken_token are missing",
     "DROP TABLE authtoken_token; ALTER TABLE t RENAME TO authtoken_token"),
], ids=["tokens", "one of the users'", "renamed", "made again"])
def test_rights_that_would_not_be_noticed_at_once(served, connect, table, do, problem, undo):
    """A migration that takes these triggers along leaves streams open until `recheck`: nobody may be in the dark."""
    served.daemon.start().wait_ready()
    boss = connect(served.boss).hello()
    mark = served.daemon.log_size()
    served.db.run(do)
    served.daemon.wait_log(f"auth drf: {problem}", mark)
    wait_problem(served, f"auth drf: {problem}")
    mark = served.daemon.log_size()
    look(served)  # said once
    served.db.run(undo)
    served.daemon.wait_log("auth drf: whole again", mark)
    assert problem not in served.daemon.log(mark)
    wait_problems(served, 0)
    assert boss.messages() == []


def test_table_dropped_and_made_again(served, connect):
    served.daemon.start().wait_ready()
    boss = connect(served.boss).hello()
    served.db.run("DROP TABLE api_estimate CASCADE; CREATE TABLE api_estimate (id bigint PRIMARY KEY,"
                  " number varchar, status varchar, created_at timestamptz, project_id bigint,"
                  " foreman_id bigint, creator_id bigint)")
    served.daemon.wait_log("watch estimate: triggers on public.api_estimate are missing")
    boss.wait_message("system.resync", reason="schema")
    served.install.apply()
    served.daemon.wait_log("watch estimate: whole again")
    served.db.run("INSERT INTO api_estimate (id, number) VALUES (1, 'E-1')")
    boss.wait_message("estimate.created", estimate_number="E-1")


def test_client_that_was_away_hears_it_too(served, connect):
    """Nothing was recorded while the triggers were off, and its position says nothing of that."""
    served.daemon.start().wait_ready()
    boss = connect(served.boss).hello()
    last_id = boss.frames[-1].id
    boss.close()
    mark = served.daemon.log_size()
    served.db.run("ALTER TABLE api_project DISABLE TRIGGER USER")
    served.daemon.wait_log("watch project: triggers", mark)
    served.db.run("UPDATE api_project SET name = 'Dam' WHERE id = 10;"
                  "ALTER TABLE api_project ENABLE TRIGGER USER")
    served.daemon.wait_log("watch project: whole again", mark)
    connect(served.boss, last_id=last_id).hello().wait_message("system.resync", reason="schema")


def test_an_installation_that_mends_triggers_says_so(served, connect):
    """Without a daemon that has noticed: it was away, or it all took a moment."""
    served.db.run("ALTER TABLE api_project DISABLE TRIGGER USER;"
                  "UPDATE api_project SET name = 'Dam' WHERE id = 10")
    served.install.apply()
    assert served.db.run("SELECT topic, data->>'reason' FROM pgherald.journal") == [("project", "schema")]
    served.install.apply()
    assert served.db.one("SELECT count(*) FROM pgherald.journal") == 1


@pytest.mark.parametrize("change", [
    "ALTER TABLE api_project ALTER name TYPE varchar(200) USING upper(name)",
    "ALTER TABLE api_project ALTER name TYPE text",
])
def test_rewritten_table(served, connect, change):
    served.daemon.start().wait_ready()
    boss = connect(served.boss).hello()
    mark = served.daemon.log_size()
    served.db.run(change)
    served.daemon.wait_log("watch project: its table was rewritten", mark)
    assert boss.wait_message("system.resync", reason="schema")["data"]["topics"] == ["project"]
    assert problems(served) == []


def test_a_migration_that_touches_nothing_watched(served, connect):
    served.daemon.start().wait_ready()
    boss = connect(served.boss).hello()
    served.db.run("ALTER TABLE api_project ADD COLUMN remark text; CREATE INDEX ON api_project (name);"
                  "ALTER TABLE api_estimate RENAME COLUMN number TO no")
    boss.wait_message("system.resync", reason="schema")
    assert "watch project" not in served.daemon.log()


def test_truncate_is_told_once(served, connect):
    served.daemon.start().wait_ready()
    boss = connect(served.boss).hello()
    served.db.run("TRUNCATE api_project CASCADE")
    boss.wait_messages(2)
    for n, turn in enumerate(("DISABLE", "ENABLE", "DISABLE"), 3):  # three looks
        served.db.run(f"ALTER TABLE api_estimate {turn} TRIGGER USER")
        assert boss.wait_messages(n)[n - 1]["data"] == {"reason": "schema", "topics": ["estimate"]}
    served.db.run("ALTER TABLE api_project ALTER name TYPE text")
    boss.wait_message("system.resync", reason="schema", topics=["project"])


def test_partitions_come_and_go(served, connect):
    served.db.run("""
        CREATE TABLE part (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
        CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
        CREATE TABLE part_2 (LIKE part INCLUDING ALL);
        INSERT INTO part_2 VALUES (10, 'ten')""")
    served.install.conf.write_text(served.install.conf.read_text() + """
[watch part]
table = public.part
fields = id, name
""")
    served.install.apply()
    served.daemon.start().wait_ready()
    boss = connect(served.boss).hello()
    for n, change in enumerate(("ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20)",
                                "ALTER TABLE part DETACH PARTITION part_1", "DROP TABLE part_2"), 1):
        served.db.run(change)
        boss.read_until(lambda: len(boss.messages()) == n, change)
        assert boss.messages()[-1]["data"] == {"reason": "schema", "topics": ["part"]}


def test_new_watch_without_an_installation(served, connect):
    served.daemon.start().wait_ready()
    served.install.conf.write_text(served.install.conf.read_text() + """
[watch user]
table = public.api_user
fields = id, username
""")
    look(served)
    served.daemon.wait_log("watch user: nothing is installed for public.api_user")
    wait_problems(served, 1)
    boss = connect(served.boss).hello()
    served.install.apply()
    served.daemon.wait_log("watch user: whole again")
    served.db.run("UPDATE api_user SET username = 'anne' WHERE id = 2")
    boss.wait_message("user.updated", username="anne")


def test_other_fields_without_an_installation(served):
    served.daemon.start().wait_ready()
    served.configure("status, created_at::utc", "status, note, created_at::utc")
    look(served)
    served.daemon.wait_log("watch estimate: what is installed is of another configuration")
    served.install.apply("upgrade")
    served.daemon.wait_log("watch estimate: whole again")


def test_problem_at_the_start(served):
    served.db.run(RENAME)
    served.daemon.start().wait_ready()
    served.daemon.wait_log("watch estimate: public.api_estimate has no column number")
    count = "SELECT count(*) FROM pgherald.journal WHERE op = 'r'"
    wait_until(lambda: served.db.one(count) == 1, "it is told: it may be a moment old")
    served.daemon.stop()
    mark = served.daemon.log_size()
    served.daemon.start().wait_ready()
    served.daemon.wait_log("watch estimate: public.api_estimate has no column number", mark)
    served.db.run("ALTER TABLE api_project DISABLE TRIGGER USER")
    served.daemon.wait_log("watch project: triggers", mark)
    wait_until(lambda: served.db.one(count) == 2, "the second problem, and the first not again")


def test_several_daemons_say_it_once(served, tmp_path, connect):
    served.daemon.start().wait_ready()
    directory = tmp_path / "second"
    directory.mkdir()
    second = Served(Install(served.db, directory), directory)
    second.configure("[database]\n", "[database]\nverify = 100ms\n")
    second.daemon.start().wait_ready()
    boss = connect(served.boss).hello()
    served.db.run(RENAME)
    for daemon in (served.daemon, second.daemon):
        daemon.wait_log("watch estimate: public.api_estimate has no column number")
    boss.wait_message("system.resync", reason="schema")
    assert served.db.one("SELECT count(*) FROM pgherald.journal WHERE op = 'r'") <= 2
    second.daemon.kill()


def test_it_says_it_once_and_not_every_few_seconds(served):
    served.daemon.start().wait_ready()
    served.db.run(RENAME)
    served.daemon.wait_log("has no column number")
    look(served)
    served.db.run("ALTER TABLE api_project DISABLE TRIGGER USER")
    served.daemon.wait_log("watch project: triggers")
    assert served.daemon.log().count("has no column number") == 1
    wait_problems(served, 2)
