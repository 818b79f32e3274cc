# SPDX-License-Identifier: PostgreSQL
"""doc/recipes/, as the pages stand: PgBouncer before the database, replicas, several daemons, a
PostgreSQL without a superuser, backups. Only hosts, ports and names are exchanged. The pages of the
proxies are run by test_proxy.py."""

import os
import subprocess
from pathlib import Path

import pytest
from conftest import APP_TABLES, PGHERALD, Install, run_pgherald
from lib.cluster import Cluster, Database
from lib.daemon import Client, Daemon, wait_until
from lib.pgbouncer import PgBouncer
from lib.recipe import blocks, commands, exchanged
from lib.replica import Replica


def insert(connection, number):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES (%s, 10, 2)", (number,))


def hears(client, number):
    client.wait_message("estimate.created", estimate_number=number)


# --- PgBouncer ---------------------------------------------------------------------------------


@pytest.fixture
def bouncer(served):
    """The application's role is `shop`; the daemon is woken by notifications and, so that nobody
    takes one for the other, polls once in half a minute."""
    if not PgBouncer.program():
        pytest.skip("there is no pgbouncer here")
    served.db.run("DO $$ BEGIN CREATE ROLE shop LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
                  "GRANT app TO shop")
    served.configure("[database]\n", "[database]\ndoorbell = notify\npoll = 30s\n")
    served.install.apply()
    pooler = PgBouncer(served.db)
    yield pooler
    pooler.close()


def through(served, bouncer, database="shop_pgherald"):
    """The daemon goes through it, by the file that the page puts into conf.d."""
    drop = served.install.conf.parent / "conf.d"
    drop.mkdir(exist_ok=True)
    text = blocks("pgbouncer.md")["/etc/pgherald/conf.d/database.conf"]
    (drop / "database.conf").write_text(exchanged(text, ("port=6432", f"port={bouncer.port}"),
                                                  ("dbname=shop_pgherald", f"dbname={database}")))
    served.daemon.start().wait_ready()


def test_past_pgbouncer(served, bouncer):
    """The application goes through it in transaction mode, the daemon past it."""
    served.daemon.start().wait_ready()
    c = Client(served.daemon, served.anna).hello()
    application = bouncer.connect("shop", "shop")
    insert(application, "E-1")
    hears(c, "E-1")
    with application.cursor() as cursor:
        cursor.execute("BEGIN; INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('no', 10, 2); ROLLBACK")
    insert(application, "E-2")
    hears(c, "E-2")
    assert [m["data"]["estimate_number"] for m in c.messages()] == ["E-1", "E-2"]
    application.close()


def test_through_a_pool_of_its_own(served, bouncer):
    through(served, bouncer)
    c = Client(served.daemon, served.anna).hello()
    application = bouncer.connect("shop", "shop")
    insert(application, "E-1")
    hears(c, "E-1")
    doctor = run_pgherald("doctor", "-c", served.install.conf)
    assert "pooler:" in doctor.stdout and "pooler-transaction" not in doctor.stdout, doctor.stdout
    # PgBouncer is restarted; the application writes meanwhile, past it
    bouncer.stop()
    insert(served.db.connect(), "E-2")
    bouncer.start()
    hears(c, "E-2")
    insert(bouncer.connect("shop", "shop"), "E-3")
    hears(c, "E-3")
    assert not c.ended and not [m for m in c.messages() if m["event"] == "system.resync"]


def test_through_a_pool_in_transaction_mode(served, bouncer):
    """What the page warns of: late, and nothing is lost."""
    served.configure("poll = 30s", "poll = 1s")
    through(served, bouncer, "shop")
    c = Client(served.daemon, served.anna).hello()
    application = bouncer.connect("shop", "shop")
    for i in range(20):
        insert(application, f"E-{i}")
    hears(c, "E-19")
    assert [m["data"]["estimate_number"] for m in c.messages()] == [f"E-{i}" for i in range(20)]
    doctor = run_pgherald("doctor", "-c", served.install.conf)
    assert "pooler-transaction:" in doctor.stdout, doctor.stdout


# --- Replicas ----------------------------------------------------------------------------------


def test_a_standby_is_not_read(tmp_path):
    """The page's conninfo finds the primary, also behind a standby; `check` says what is wrong with one.
    What a failover is to clients is in test_failover.py."""
    primary = Cluster()
    replica = daemon = None
    try:
        primary.execute("CREATE DATABASE shop")
        primary.execute(APP_TABLES, "shop")
        replica = Replica(primary)
        install = Install(Database(primary, "shop"), tmp_path)
        ini, = commands("replicas.md", "ini")
        drop = tmp_path / "conf.d"
        drop.mkdir()
        (drop / "database.conf").write_text(exchanged(ini, ("db1.example.org", replica.dir),
                                                      ("db2.example.org", primary.dir)))
        install.apply()
        wait_until(replica.caught_up, "the standby has it all")
        done = run_pgherald("sql", "check", "-c", install.conf, "--dsn", f"host={replica.dir} dbname=shop user=postgres")
        assert done.returncode == 1 and "standby:" in done.stdout, done.stdout + done.stderr
        daemon = Daemon(PGHERALD, install.conf, tmp_path / "daemon.log")
        daemon.start().wait_ready()
        c = Client(daemon, "token-anna").hello()
        insert(primary.connect("shop"), "E-1")
        hears(c, "E-1")
    finally:
        if daemon:
            daemon.kill()
        if replica:
            replica.destroy()
        primary.destroy()


def test_logical_replication(db, install, tmp_path_factory):
    """The page's publication leaves the journal out; what a subscriber applies is not recorded there."""
    install.apply()
    if db.connect().server_version < 150000:
        pytest.skip("a schema cannot be published before PostgreSQL 15")
    there = Cluster({"wal_level": "logical"})
    try:
        there.execute("CREATE DATABASE shop")
        there.execute(APP_TABLES, "shop")
        publisher = Database(there, "shop")
        first = Install(publisher, tmp_path_factory.mktemp("publisher"))
        first.apply()
        publisher.run(*commands("replicas.md", "sql"))
        assert "published" not in first.sql("check").stdout
        db.run("TRUNCATE api_user, authtoken_token, api_project, api_estimate, auth_group, api_user_groups")
        recorded = db.one("SELECT count(*) FROM pgherald.journal")
        db.run(f"CREATE SUBSCRIPTION shop CONNECTION '{publisher.conninfo()}' PUBLICATION shop")
        try:
            insert(publisher.connect("app"), "E-1")
            wait_until(lambda: db.run("SELECT number FROM api_estimate") == [("E-1",)], "it has been applied")
            assert db.one("SELECT count(*) FROM pgherald.journal") == recorded
            db.run("INSERT INTO api_project (id, name) VALUES (12, 'here')", user="app")  # is this side's
            assert db.one("SELECT count(*) FROM pgherald.journal") == recorded + 1
        finally:
            db.run("DROP SUBSCRIPTION shop")
        publisher.run("CREATE PUBLICATION everything FOR ALL TABLES")
        assert "published:" in first.sql("check").stdout
    finally:
        there.destroy()


# --- Several daemons ---------------------------------------------------------------------------


@pytest.fixture
def two(served, tmp_path):
    """Two daemons with the same configuration, but for the port."""
    second = tmp_path / "second.conf"
    second.write_text(served.install.conf.read_text())
    daemons = [served.daemon, Daemon(PGHERALD, second, tmp_path / "second.log")]
    for d in daemons:
        d.start().wait_ready()
    yield daemons
    daemons[1].kill()


def test_an_upgrade_one_by_one(served, two):
    """A is stopped: its clients come back at B with their position. Then B is, and they come back at A.
    Nothing is lost or doubled, and readyz says where to go."""
    heard, position = [], None
    for number, (stays, goes) in enumerate([(1, 0), (0, 1)]):
        c = Client(two[goes], served.anna, position).hello()
        insert(served.db.connect(), f"before-{number}")
        hears(c, f"before-{number}")
        two[goes].stop()
        c.read_until(lambda c=c: c.ended)
        insert(served.db.connect(), f"between-{number}")
        heard += [m["data"]["estimate_number"] for m in c.messages()]
        c = Client(two[stays], served.anna, c.last_id).hello()
        hears(c, f"between-{number}")
        heard += [m["data"]["estimate_number"] for m in c.messages()]
        position = c.last_id
        c.close()
        assert two[stays].get("/readyz")[0] == 200
        two[goes].start().wait_ready()
    assert heard == ["before-0", "between-0", "before-1", "between-1"]


def test_limits_are_each_daemons_own(served, two):
    """What the page warns of: two daemons allow a user twice as many streams."""
    for d in two:
        conf = Path(d.conf)
        conf.write_text(conf.read_text().replace("[server]\n", "[server]\nmax_streams_per_user = 1\n"))
        d.stop()
        d.start().wait_ready()
    first = [Client(d, served.anna).hello() for d in two]
    for d in two:
        more = Client(d, served.anna, by_query=False)
        more.read_until(lambda more=more: more.status)
        assert more.status == 429
    assert len(first) == 2


# --- Backups -----------------------------------------------------------------------------------


def test_dump_and_restore(served, tmp_path):
    """Each command of the page, by a role that may make databases, as a shell runs it."""
    db, shop = served.db, "shop"
    db.run("DO $$ BEGIN CREATE ROLE shop LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    served.install.apply()
    db.run("INSERT INTO api_estimate (number, project_id) VALUES ('E-1', 10)")
    tools = tmp_path / "bin"
    tools.mkdir()
    script(tools / "pgherald", f'exec {PGHERALD} "$@" -c {served.install.conf}')
    for name in ("pg_dump", "pg_restore", "createdb", "psql"):
        script(tools / name, f'exec {db.cluster.tool(name)} "$@"')
    env = dict(os.environ, PATH=f"{tools}:{os.environ['PATH']}", PGHOST=db.cluster.dir, PGUSER="postgres")
    dump, again, elsewhere, public = commands("backup.md", "sh")
    try:
        shell(exchanged(dump, (" shop\n", f" {db.name}\n")), tmp_path, env)
        shell(again, tmp_path, env)
        shell(elsewhere, tmp_path, env)
        shell(exchanged(public, (" shop\n", f" {db.name}\n")), tmp_path, env)
        restored, *copies = (Database(db.cluster, f"shop_{name}") for name in ("new", "test", "public"))
        for database in (restored, *copies):
            assert database.one("SELECT number FROM api_estimate") == "E-1"
        triggers = "SELECT count(*) FROM pg_trigger WHERE tgname ~ 'zz_pgherald'"
        assert restored.one(triggers) == db.one(triggers) and [copy.one(triggers) for copy in copies] == [0, 0]
        served.configure(f"dbname={db.name}", "dbname=shop_new")
        served.daemon.start().wait_ready()
        c = Client(served.daemon, served.boss).hello()
        insert(restored.connect(), "E-2")
        hears(c, "E-2")
    finally:
        served.daemon.kill()
        for name in ("shop_new", "shop_test", "shop_public"):
            Database(db.cluster, name).drop()


# --- A managed PostgreSQL ----------------------------------------------------------------------


@pytest.fixture
def managed(tmp_path):
    """A provider's database: an administrator who may make roles, made that of the application, and is
    no superuser. (sh, sql): run a command of the page, and a statement as the administrator."""
    cluster = Cluster()
    try:
        cluster.execute("CREATE ROLE admin LOGIN CREATEROLE CREATEDB")
        run_as = Database(cluster, "postgres")
        run_as.run("CREATE ROLE shop LOGIN", user="admin")
        cluster.execute("CREATE DATABASE shop OWNER shop")
        db = Database(cluster, "shop")
        db.run(APP_TABLES)
        db.run(OWNED_BY_SHOP)
        install = Install(db, tmp_path)
        tools = tmp_path / "bin"
        tools.mkdir()
        script(tools / "pgherald", f'exec {PGHERALD} "$@" -c {install.conf}')
        script(tools / "psql", f'exec {cluster.tool("psql")} -q -v ON_ERROR_STOP=1 "$@"')
        env = dict(os.environ, PATH=f"{tools}:{os.environ['PATH']}", PGDATABASE="shop")

        def sh(text):
            shell(exchanged(text, ("host=…", f"host={cluster.dir}"), (" sslmode=verify-full", "")), tmp_path, env)

        install.admin = lambda sql: db.run(sql.replace("…", "secret"), user="admin")
        install.sh = sh
        yield install
        db.close()
        run_as.close()
    finally:
        cluster.destroy()


OWNED_BY_SHOP = """
DO $$ DECLARE t regclass; BEGIN
  FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO shop', t);
  END LOOP;
END $$"""


def serves(install, directory):
    """An event is heard, and `check` finds nothing that is too much or missing."""
    check = install.sql("check")
    assert "danger" not in check.stdout and "warning" not in check.stdout, check.stdout
    assert install.db.one("SELECT count(*) FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member"
                          " WHERE r.rolname = 'shop' AND m.roleid::regrole::text LIKE 'pgherald%'") == 0
    daemon = Daemon(PGHERALD, install.conf, directory / "daemon.log")
    try:
        daemon.start().wait_ready()
        c = Client(daemon, "token-anna").hello()
        insert(install.db.connect("shop"), "E-1")
        hears(c, "E-1")
    finally:
        daemon.kill()


def test_managed_by_the_administrator(managed, tmp_path):
    grant, revoke, *_ = commands("managed.md", "sql")
    managed.admin(grant)
    managed.sh(commands("managed.md", "sh")[0])
    managed.admin(revoke)
    serves(managed, tmp_path)


def test_managed_by_the_owner_of_the_tables(managed, tmp_path):
    _, roles, migration = commands("managed.md", "sh")
    *_, grant, password = commands("managed.md", "sql")
    managed.db.run(grant, user="shop")
    managed.sh(roles)
    managed.admin(password)
    managed.sh(migration)
    serves(managed, tmp_path)


# --- What runs the pages -----------------------------------------------------------------------


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def shell(text, directory, env):
    done = subprocess.run(["sh", "-euc", text], cwd=directory, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
