# SPDX-License-Identifier: PostgreSQL
"""The application's role owns the database, its public schema and every table in it, and has put a trap
behind every door (lib/traps.py). No command springs one as anybody but that role."""

import contextlib
import os
import re
import subprocess
import threading

import psycopg2
import pytest

from conftest import PGHERALD, run_pgherald
from lib.daemon import Client, Daemon, wait_until
from lib.traps import (AFTER, ALONE, ASSERTING, BEFORE, CONF, DEEDS, EVIL, FETCHING, IN_VAIN, LEFT, LOOPING, NAMES,
                       OURS, REPLACING, SHOP, SPY, TABLES, doing)


class Site:
    """A database of the application's role, and a configuration that reads all of it."""

    def __init__(self, cluster, directory, template=None, tables_of=EVIL):
        self.cluster = cluster
        self.db = cluster.create_database(template or "template1")
        self.db.run(f"ALTER DATABASE {self.db.name} OWNER TO {EVIL}")
        if not template:
            self.db.run(f"ALTER SCHEMA public OWNER TO {EVIL}")
            self.evil(SPY.replace("{directory}", cluster.dir))
            self.db.run(f"GRANT CREATE ON SCHEMA public TO {tables_of}")
            self.as_role(tables_of, TABLES)
        self.keys = directory / "keys"
        self.keys.write_text("secret\n")
        self.keys.chmod(0o600)
        os.chown(self.keys, *self.owner())
        self.conf = directory / "pgherald.conf"
        self.conf.write_text(CONF.replace("{conninfo}", self.db.conninfo("pgherald"))
                             .replace("{keys}", str(self.keys)))
        self.begin = os.path.getsize(cluster.log)

    def owner(self):
        found = os.stat(self.cluster.data)
        return found.st_uid, found.st_gid

    def evil(self, sql):
        """As the application's role, on a connection of its own."""
        self.as_role(EVIL, sql)

    def as_role(self, role, sql):
        connection = self.db.connect(role)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET search_path = pg_catalog, public")
                cursor.execute(sql)
        finally:
            connection.close()

    def plant(self, trap):
        begin = os.path.getsize(self.cluster.log)
        if trap.super:
            self.db.run(trap.plant)
        else:
            self.evil(trap.plant)
        if trap.proof:
            self.evil(trap.proof)
            assert EVIL in self.sprung(begin, evil=True), f"{trap.name}: it is no trap"

    def sprung(self, begin=None, evil=False):
        """Who met a trap since: {role: [what]}; the application's role itself only if asked."""
        with open(self.cluster.log, encoding="utf-8", errors="replace") as log:
            log.seek(self.begin if begin is None else begin)
            found = re.findall(r"TRAP <(.*?)> as (\S+) of", log.read())
        who = {}
        for what, role in found:
            if evil or role != EVIL:
                who.setdefault(role, set()).add(what)
        return who

    def assert_safe(self, what, residual=()):
        """Nothing ran as somebody else, but for what PostgreSQL makes these roles run (LEFT)."""
        who = self.sprung()
        for role in residual:
            assert who.pop(role, set()) <= LEFT, what
        assert not who, what
        assert not os.path.exists(f"{self.cluster.dir}/pwned"), what
        assert not self.db.one(f"SELECT rolsuper FROM pg_roles WHERE rolname = '{EVIL}'"), what

    def sql(self, *args, dsn=None):
        return run_pgherald("sql", *args, "-c", self.conf, "--dsn", dsn or self.db.conninfo())

    def explain(self, dsn=None):
        return run_pgherald("explain", "-c", self.conf, "--dsn", dsn or self.db.conninfo(), "--user", "2", "--row", "item:1")

    def psql(self, text, before="", user="postgres"):
        """A rendered text, as a DBA runs it."""
        return subprocess.run(
            [self.cluster.tool("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1",
             self.db.conninfo(user)],
            input=before + text, capture_output=True, text=True)

    @staticmethod
    def all_uses():
        return [s.replace("{t}", f"public.{t}") for t in ("item", "news") for s in USE] + USE_OF_RIGHTS

    def use(self, role=EVIL):
        """What the application does all day, as far as its own types let it."""
        connection = self.db.connect(role)
        with connection.cursor() as cursor:
            cursor.execute("SET search_path = pg_catalog, public")
            for statement in self.all_uses():
                try:
                    cursor.execute(statement)
                except psycopg2.Error:
                    pass
        connection.close()

    def ask(self):
        """What the daemon asks, as its role."""
        connection = self.db.connect("pgherald")
        answers = []
        with connection.cursor() as cursor:
            for question in ASK:
                try:
                    cursor.execute(question)
                    answers.append(cursor.fetchall())
                except psycopg2.Error as e:
                    answers.append(str(e))
        connection.close()
        return answers


USE = [
    "INSERT INTO {t} (id, customer_id, owner_id) VALUES ('1', '1', '2')",
    "INSERT INTO {t} (id, customer_id, owner_id) VALUES ('2', '2', '1'), ('3', '1', '2'), ('4', '2', '2')",
    "UPDATE {t} SET title = 'a' WHERE id OPERATOR(pg_catalog.=) '1'",
    "UPDATE {t} SET title = 'b' WHERE id OPERATOR(pg_catalog.<) '4'",
    "DO $$BEGIN UPDATE {t} SET title = 'c' WHERE id OPERATOR(pg_catalog.=) '4';"
    " UPDATE {t} SET title = 'd', owner_id = '1' WHERE id OPERATOR(pg_catalog.=) '4'; END$$",
    "UPDATE {t} SET owner_id = '1' WHERE id OPERATOR(pg_catalog.=) '1'",
    "UPDATE {t} SET id = '9' WHERE id OPERATOR(pg_catalog.=) '3'",
    "DELETE FROM {t} WHERE id OPERATOR(pg_catalog.=) '1'",
    "DELETE FROM {t}",
    "TRUNCATE {t}",
]
USE_OF_RIGHTS = [
    "INSERT INTO public.talk (id, title) VALUES (1, 'a'), (2, 'b')",
    "DO $$BEGIN UPDATE public.talk SET room = '2' WHERE id OPERATOR(pg_catalog.=) 1;"
    " UPDATE public.talk SET title = 'c' WHERE id OPERATOR(pg_catalog.=) 1; END$$",
    "DELETE FROM public.talk",
    "UPDATE public.api_key SET user_id = user_id",
    "SELECT pgherald.publish('room.1', 'note.sent', '{}', NULL, 'k', true)",
    "SELECT pgherald.publish(NULL, 'note.sent', '{}', '2')",
    "INSERT INTO public.token (key, user_id) VALUES ('t9', 2), ('t8', 2)",
    "UPDATE public.token SET user_id = 1 WHERE key OPERATOR(pg_catalog.=) 't9'",
    "DELETE FROM public.token WHERE key OPERATOR(pg_catalog.~) 't[89]'",
    "UPDATE public.users SET is_active = false",
    "UPDATE public.users SET is_active = true",
    "UPDATE public.grp SET name = pg_catalog.concat(name, 's')",
    "UPDATE public.grp SET name = pg_catalog.rtrim(name, 's')",
    "UPDATE public.membership SET group_id = group_id",
    "UPDATE public.django_session SET session_data = 'z:y:z'",
    "DELETE FROM public.django_session",
    "INSERT INTO public.django_session VALUES ('s1', 'x:y:z', '2030-01-01')",
    "UPDATE public.django_session SET expire_date = '2030-01-01'",
]
ASK = [
    "SELECT pgherald.epoch()",
    "SELECT * FROM pgherald.tell((SELECT array_agg(DISTINCT j.txid) FROM pgherald.journal AS j))",
    "SELECT * FROM pgherald.auth_drf('{t1,t2,t7}')",
    "SELECT * FROM pgherald.auth_web('{s1}')",
    "SELECT * FROM pgherald.session_web('{1,2}', '{x}', '{y}')",
    "SELECT pgherald.prune('1 hour', 10, 1000000)",
    "SELECT * FROM pgherald.auth_stored('{k1}')",
    "SELECT * FROM pgherald.kept_for('{#room.1}')",
]


@pytest.fixture(scope="module")
def roles(cluster):
    cluster.execute(f"DO $$BEGIN CREATE ROLE {EVIL} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$")


@pytest.fixture(scope="module")
def planted(cluster, roles, tmp_path_factory):
    """The name of a database with every trap of BEFORE, to make others of."""
    made = Site(cluster, tmp_path_factory.mktemp("planted"))
    for trap in BEFORE:
        made.plant(trap)
    made.db.close()
    yield made.db.name
    made.db.drop()


@pytest.fixture
def site(cluster, roles, tmp_path):
    made = Site(cluster, tmp_path)
    yield made
    made.db.drop()


@pytest.fixture
def trapped(cluster, planted, tmp_path):
    made = Site(cluster, tmp_path, planted)
    yield made
    made.db.drop()


def done(result):
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def refused(result, words):
    assert result.returncode == 1 and words in result.stderr, result.stdout + result.stderr


# What a session of whoever installs might have picked up before the text is run in it.
TEMPORARY = """
SET search_path = pg_temp, public, pg_catalog;
CREATE TEMP VIEW pg_proc AS SELECT p.* FROM pg_catalog.pg_proc AS p WHERE public.spy('pg_temp.pg_proc');
CREATE TEMP VIEW pg_roles AS SELECT r.* FROM pg_catalog.pg_roles AS r WHERE public.spy('pg_temp.pg_roles');
CREATE TEMP VIEW pg_class AS SELECT r.* FROM pg_catalog.pg_class AS r WHERE public.spy('pg_temp.pg_class');
CREATE TEMP TABLE pg_trigger AS SELECT 1 AS oid;
CREATE DOMAIN pg_temp.regclass AS pg_catalog.text CHECK (public.spy('pg_temp.regclass'));
CREATE DOMAIN pg_temp.int8 AS pg_catalog.text CHECK (public.spy('pg_temp.int8'));
"""


def test_no_command_runs_code_of_the_application(trapped):
    """As superuser, each command as it is run and as it is printed."""
    commands = {
        "install": lambda: done(trapped.sql("install", "--apply")),
        "install again": lambda: done(trapped.sql("install", "--apply")),
        "render": lambda: done(trapped.psql(done(trapped.sql("render")), TEMPORARY)),
        "roles": lambda: done(trapped.psql(done(trapped.sql("roles", "--for", EVIL))
                                           + "SELECT pgherald_lent.give_back();", TEMPORARY)),
        "migration": lambda: done(trapped.psql("BEGIN;" + done(trapped.sql("render", "--migration")) + "COMMIT;",
                                               TEMPORARY)),
        "upgrade": lambda: done(trapped.sql("upgrade", "--apply")),
        "upgrade, printed": lambda: done(trapped.psql(done(trapped.sql("upgrade")), TEMPORARY)),
        "check": lambda: trapped.sql("check"),
        "check as the daemon": lambda: trapped.sql("check", dsn=trapped.db.conninfo("pgherald")),
        "doctor": lambda: run_pgherald("doctor", "-c", trapped.conf),
        "explain": lambda: refused(trapped.explain(), "superuser"),
        "explain as the daemon": lambda: done(trapped.explain(trapped.db.conninfo("pgherald"))),
        "types": lambda: done(run_pgherald("types", "--ts", "-c", trapped.conf, "--dsn", trapped.db.conninfo())),
        "init": lambda: run_pgherald("init", "--yes", "-c", "-", "--dsn", trapped.db.conninfo()),
        "prune": lambda: done(trapped.sql("prune", "--apply")),
        "prune, printed": lambda: done(trapped.psql(done(trapped.sql("prune")), TEMPORARY)),
        "uninstall of a watch": lambda: done(trapped.sql("uninstall", "--watch", "item", "--apply")),
        "install of a watch": lambda: done(trapped.sql("install", "--watch", "item", "--apply")),
        "uninstall": lambda: done(trapped.sql("uninstall", "--apply")),
        "render once more": lambda: done(trapped.psql(done(trapped.sql("render")), TEMPORARY)),
        "uninstall, printed": lambda: done(trapped.psql(done(trapped.sql("uninstall")), TEMPORARY)),
    }
    for what, run in commands.items():
        run()
        trapped.assert_safe(what)


@pytest.mark.parametrize("installed", [False, True])
def test_a_database_that_makes_everybody_its_owner(cluster, roles, tmp_path, installed):
    """ALTER DATABASE SET role: a superuser's session begins as the application's role, whose code could take
    the rights back. None runs, not even as that role; the commands fail, or do what they are for."""
    site = Site(cluster, tmp_path)
    try:
        if installed:
            done(site.sql("install", "--apply"))
        for trap in NAMES:
            site.plant(trap)
        site.evil(f"ALTER DATABASE {site.db.name} SET role = '{EVIL}'")
        site.begin = os.path.getsize(cluster.log)
        for command in ("install", "upgrade", "prune", "uninstall", "install"):
            site.sql("check")
            site.sql(command, "--apply")
            assert not site.sprung(evil=True), command
        run_pgherald("init", "--yes", "-c", "-", "--dsn", site.db.conninfo())
        assert not site.sprung(evil=True)
        assert not os.path.exists(f"{cluster.dir}/pwned")
        assert not site.db.one(f"SELECT rolsuper FROM pg_roles WHERE rolname = '{EVIL}'")
    finally:
        cluster.execute(f"ALTER DATABASE {site.db.name} RESET role")
        site.sql("uninstall", "--apply")
        site.db.drop()


def test_who_installs_without_being_a_superuser(cluster, roles, tmp_path):
    """The owner of the tables, with roles made by an administrator, in the database of somebody else."""
    cluster.execute(f"CREATE ROLE {SHOP} LOGIN")
    made = [r for r in ("pgherald_owner", "pgherald_teller", "pgherald_auth", "pgherald")
            if cluster_has_no(cluster, r)]
    site = Site(cluster, tmp_path, tables_of=SHOP)
    try:
        for role in made:
            cluster.execute(f"CREATE ROLE {role}" + (" LOGIN" if role == "pgherald" else ""))
        cluster.execute(f"GRANT pgherald_owner, pgherald_teller, pgherald_auth TO {SHOP}")
        site.db.run(f"GRANT CREATE ON DATABASE {site.db.name} TO {SHOP}")
        for trap in NAMES:
            site.plant(trap)
        site.begin = os.path.getsize(cluster.log)
        dsn = site.db.conninfo(SHOP)
        for command in ["install", "install", "upgrade", "prune", "uninstall"]:
            if command == "uninstall":
                site.use(SHOP)
                site.ask()
            done(site.sql(command, "--apply", dsn=dsn))
            site.assert_safe(command)
        done(site.psql(done(site.sql("render")), TEMPORARY, SHOP))
        site.sql("check", dsn=dsn)
        done(site.psql(done(site.sql("uninstall")), TEMPORARY, SHOP))
        site.assert_safe("printed texts")
    finally:
        site.db.drop()
        for role in made:
            cluster.execute(f"DROP ROLE {role}")
        cluster.execute(f"DROP OWNED BY {SHOP}; DROP ROLE {SHOP}")


def cluster_has_no(cluster, role):
    connection = cluster.connect("postgres")
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regrole(%s) IS NULL", (role,))
        return cursor.fetchone()[0]


@pytest.mark.parametrize("trap", ALONE, ids=lambda t: t.name)
def test_refused(site, trap):
    """Nothing is done, by no command, and the daemon reads nothing."""
    site.plant(trap)
    site.begin = os.path.getsize(site.cluster.log)
    for command in ["install", "upgrade", "uninstall", "prune"]:
        found = site.sql(command, "--apply")
        site.assert_safe(command)
        if command == "install":
            assert found.returncode == 1 and trap.refused in found.stderr, found.stdout + found.stderr
    for dsn in [None, site.db.conninfo(EVIL)]:
        site.sql("check", dsn=dsn)
    site.assert_safe("check")
    for role in ("postgres", "pgherald"):
        refused(site.explain(site.db.conninfo(role)), "")
    run_pgherald("types", "--ts", "-c", site.conf, "--dsn", site.db.conninfo())
    run_pgherald("doctor", "-c", site.conf, "--dsn", site.db.conninfo())
    run_pgherald("init", "--yes", "-c", "-", "--dsn", site.db.conninfo())
    site.assert_safe("other commands")


def test_the_daemon_asks_nothing_of_a_schema_of_somebody_else(site, tmp_path):
    """Its role can set its own password, and end sessions of other daemons of the cluster."""
    begin = ALONE[-1]
    assert begin.name == "schema pgherald beforehand"
    site.plant(begin)
    made = cluster_has_no(site.cluster, "pgherald")
    if made:  # as it is where another database has pgherald
        site.db.run("CREATE ROLE pgherald LOGIN")
    site.begin = os.path.getsize(site.cluster.log)
    refused(site.explain(site.db.conninfo("pgherald")), "belongs to somebody else")
    daemon = Daemon(PGHERALD, site.conf, tmp_path / "daemon.log").start()
    try:
        for connection in ("journal", "auth", "replay"):
            daemon.wait_log(rf"database \({connection}\): schema pgherald belongs to {EVIL}, and nothing is asked there")
        site.assert_safe("serve")
        site.evil("DROP SCHEMA pgherald CASCADE")
        done(site.sql("install", "--apply"))
        daemon.wait_ready()
    finally:
        daemon.stop()
        site.sql("uninstall", "--apply")
        if made:
            site.db.run("DROP ROLE pgherald")


def test_a_daemon_that_runs_asks_nothing_behind_an_uninstall(cluster, installed_site, tmp_path):
    """Somebody makes a schema of that name in the very moment in which ours goes."""
    site = Site(cluster, tmp_path, installed_site)
    daemon = Daemon(PGHERALD, site.conf, tmp_path / "daemon.log").start().wait_ready()
    planted = threading.Event()

    def plant():
        while not planted.is_set():
            with contextlib.suppress(psycopg2.Error):
                site.evil(ALONE[-1].plant)
                planted.set()

    thread = threading.Thread(target=plant)
    try:
        Client(daemon, "t1").hello().close()  # each connection has asked, and has its statements prepared
        thread.start()
        done(site.sql("uninstall", "--apply"))
        assert planted.wait(30)
        for connection in ("journal", "auth", "replay"):
            daemon.wait_log(rf"database \({connection}\): schema pgherald belongs to {EVIL}, and nothing is asked there")
        site.assert_safe("behind an uninstall")
    finally:
        planted.set()
        thread.join()
        daemon.stop()
        site.db.drop()


@pytest.fixture(scope="module")
def installed_site(cluster, roles, tmp_path_factory):
    """The name of a database with everything installed and no trap yet."""
    made = Site(cluster, tmp_path_factory.mktemp("installed"))
    done(made.sql("install", "--apply"))
    answers = made.ask()
    assert not [a for a in answers if isinstance(a, str)], answers
    assert [len(a) for a in answers[2:5]] == [2, 1, 2] and len(answers[6]) == 1, answers
    made.db.close()
    yield made.db.name
    made.sql("uninstall", "--apply")
    made.db.drop()


@pytest.fixture(scope="module")
def used_site(cluster, installed_site, tmp_path_factory):
    """The name of one in which the application has been at work."""
    made = Site(cluster, tmp_path_factory.mktemp("used"), installed_site)
    made.use()
    made.db.close()
    yield made.db.name
    made.db.drop()


@pytest.mark.parametrize("trap", AFTER, ids=lambda t: t.name)
def test_planted_after_the_install(cluster, used_site, tmp_path, trap):
    """The application's own statements, and what the daemon asks."""
    site = Site(cluster, tmp_path, used_site)
    try:
        site.plant(trap)
        site.begin = os.path.getsize(cluster.log)
        for _ in range(2):  # whose code has run once may have left something for the next time
            site.use()
            site.ask()
        site.sql("check")
        site.sql("check", dsn=site.db.conninfo("pgherald"))
        assert set(site.sprung()) <= set(trap.residual), site.sprung()
    finally:
        site.db.drop()


def test_the_daemon_runs_no_code_of_the_application(trapped, tmp_path):
    done(trapped.sql("install", "--apply"))
    daemon = Daemon(PGHERALD, trapped.conf, tmp_path / "daemon.log").start().wait_ready()
    try:
        streams = [Client(daemon, token).hello() for token in ("t1", "t2")]
        trapped.use()
        for stream in streams:
            stream.wait_message("system.resync", topics=["item"])
            stream.close()
    finally:
        daemon.stop()
    trapped.assert_safe("serve", ["pgherald_teller"])


# What somebody could have left behind in the catalog.
LEFT_BEHIND = """
SELECT ARRAY(SELECT concat_ws(' ', p.oid::regprocedure, p.proowner::regrole, p.prosecdef, p.proconfig, p.proacl,
                              p.provolatile, p.proisstrict, p.procost, md5(p.prosrc), obj_description(p.oid, 'pg_proc'))
             FROM pg_proc AS p
             WHERE p.pronamespace = 'pgherald'::regnamespace OR p.proowner IN (SELECT oid FROM pg_roles
                                                                               WHERE rolname ~ '^pgherald')
             ORDER BY p.oid)
    || ARRAY(SELECT r.oid::regclass::text FROM pg_class AS r
             WHERE r.relowner IN (SELECT oid FROM pg_roles WHERE rolname ~ '^pgherald') ORDER BY r.oid)
    || ARRAY(SELECT concat_ws(' ', a.attrelid::regclass, a.attname, a.attacl) FROM pg_attribute AS a
             WHERE a.attacl IS NOT NULL ORDER BY a.attrelid, a.attnum)
    || ARRAY(SELECT concat_ws(' ', d.defaclrole::regrole, d.defaclacl) FROM pg_default_acl AS d ORDER BY d.oid)
    || ARRAY(SELECT concat_ws(' ', s.setrole::regrole, s.setconfig) FROM pg_db_role_setting AS s
             WHERE s.setrole <> 0 ORDER BY s.setrole)
    || ARRAY(SELECT concat_ws(' ', a.rolname, a.rolpassword) FROM pg_authid AS a ORDER BY a.oid)"""
# ... and in a session.
OF_SESSION = """
SELECT ARRAY(SELECT s.name || ' ' || s.setting FROM pg_catalog.pg_settings AS s
             WHERE s.name OPERATOR(pg_catalog.!~) '^plpgsql' ORDER BY 1),
       ARRAY(SELECT pg_catalog.pg_listening_channels()), pg_catalog.pg_my_temp_schema()"""


TELL, DRF, WEB, USERS_WEB = ASK[1:5]
WRITE = ["UPDATE public.news SET title = pg_catalog.concat(title, 'x') WHERE id = 2",
         "DELETE FROM public.item WHERE id = (SELECT min(i.id) FROM public.item AS i)"]
READERS = {  # of each table: who reads it as one of our roles, and what his statement is
    "customer": [*[(EVIL, w) for w in WRITE], ("pgherald", TELL)],
    "member": [*[(EVIL, w) for w in WRITE], ("pgherald", TELL)],
    "item": [("pgherald", TELL)],
    "users": [("pgherald", DRF), ("pgherald", USERS_WEB), ("pgherald", TELL)],
    "token": [("pgherald", DRF)],
    "django_session": [("pgherald", WEB)],
    "grp": [("pgherald", DRF)],
    "membership": [("pgherald", DRF), (EVIL, "UPDATE public.grp SET name = pg_catalog.concat(name, 's')")],
}


# A look gives up where it would wait for a lock: also when the server, vacuuming pg_proc after all these deeds, is just
# cutting off its end. Then the deed is not done, and once more is asked for.
TRIES = 3


def do_and_look_at_the_session(db, role, statement, deed):
    connection = db.connect(role)
    with connection.cursor() as cursor:
        cursor.execute(OF_SESSION)
        session = cursor.fetchone()
        cursor.execute(statement)
        cursor.execute(OF_SESSION)
        assert cursor.fetchone() == session, (deed, statement)
    connection.close()


@pytest.mark.parametrize("table", READERS)
def test_what_runs_there_is_undone(cluster, installed_site, tmp_path, table):
    """PostgreSQL lets who owns a table that we read run code as the role that reads it. It leaves nothing behind
    that anybody else would meet: no function altered or gone, no right, nothing in the sessions of others."""
    site = Site(cluster, tmp_path, installed_site)
    try:
        site.evil(doing(table))
        site.use()  # so that there is something to tell
        site.evil("INSERT INTO public.item (id) SELECT pg_catalog.generate_series(1000, 1030);"
                  "INSERT INTO public.news (id) VALUES (2)")
        site.evil("DO $$BEGIN UPDATE public.item SET title = 'p' WHERE id = 1030;"
                  " UPDATE public.item SET title = 'q' WHERE id = 1030; END$$")
        before = site.db.one(LEFT_BEHIND)
        for deed in DEEDS:
            site.db.run("UPDATE public.turn SET deed = %s", [deed])
            for role, statement in READERS[table]:
                for _ in range(TRIES):
                    begin = os.path.getsize(cluster.log)
                    do_and_look_at_the_session(site.db, role, statement, deed)
                    assert site.db.one(LEFT_BEHIND) == before, (deed, statement)
                    if deed in IN_VAIN or site.sprung(begin):
                        break
                assert deed in IN_VAIN or list(site.sprung(begin).values()) == [{deed}], (deed, statement)
    finally:
        site.db.drop()


def test_a_prepared_statement_of_the_daemon_is_not_replaced(cluster, installed_site, tmp_path):
    site = Site(cluster, tmp_path, installed_site)
    daemon = Daemon(PGHERALD, site.conf, tmp_path / "daemon.log").start().wait_ready()
    try:
        stream = Client(daemon, "t1").hello()
        site.evil("INSERT INTO public.item (id) VALUES (100)")
        stream.wait_message("item.created", id=100)
        site.evil(REPLACING)
        for n in range(101, 106):
            site.evil(f"INSERT INTO public.item (id) VALUES ({n})")
            stream.wait_message("item.created", id=n)
        stream.close()
        assert site.sprung() == {"pgherald_teller": {"replaced"}}
    finally:
        daemon.stop()
        site.db.drop()


def test_an_error_that_others_do_not_catch_is_the_tables_own(cluster, installed_site, tmp_path):
    site = Site(cluster, tmp_path, installed_site)
    try:
        site.evil("INSERT INTO public.item (id) VALUES (1), (2)")
        site.evil(ASSERTING)
        for t in ("item", "news"):
            site.evil(f"INSERT INTO public.{t} (id) VALUES (3)")
            site.evil(f"UPDATE public.{t} SET owner_id = 1")
            site.evil(f"DELETE FROM public.{t}")
        told = site.db.run("SELECT t.op, t.doc::text FROM pgherald.tell((SELECT array_agg(DISTINCT j.txid)"
                            " FROM pgherald.journal AS j)) AS t WHERE t.topic = 'item'")
        assert {t[0] for t in told} == {"r"} and len(told) > 3, told
    finally:
        site.db.drop()


def test_a_session_that_no_cancel_ends_does_not_stay(cluster, installed_site, tmp_path):
    """Or each attempt to tell would leave one behind, until the server has no room for anybody."""
    site = Site(cluster, tmp_path, installed_site)
    daemon = Daemon(PGHERALD, site.conf, tmp_path / "daemon.log").start().wait_ready()
    looping = ("SELECT array_agg(pid) FROM pg_stat_activity WHERE datname = current_database()"
               " AND usename = 'pgherald' AND wait_event = 'PgSleep'")
    try:
        stream = Client(daemon, "t1").hello()
        site.evil(LOOPING)
        site.evil("INSERT INTO public.item (id) VALUES (1)")
        wait_until(lambda: site.db.one(looping), "a session that does not end")
        stuck = set(site.db.one(looping))
        wait_until(lambda: not site.db.run("SELECT pid FROM pg_stat_activity WHERE pid = ANY (%s)", [list(stuck)]),
                   "that it is ended")
        stream.close()
    finally:
        daemon.stop()
        site.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND usename = 'pgherald'")
        site.db.drop()


@pytest.mark.parametrize("function", ["tell", "replay"])
def test_who_is_told_of_one_topic_reads_no_cursor_with_others(cluster, installed_site, tmp_path, function):
    """PostgreSQL asks nobody who fetches from a cursor, such as that of a loop in PL/pgSQL."""
    site = Site(cluster, tmp_path, installed_site)
    try:
        site.evil("INSERT INTO public.item (id) VALUES (1)")
        site.db.run("INSERT INTO pgherald.journal (topic, op) SELECT concat('other_', n), 't'"
                    " FROM generate_series(1, 40) AS n")
        site.evil(FETCHING)
        args = "array_agg(DISTINCT j.txid)" + (", array_agg(j.id)" if function == "replay" else "")
        connection = site.db.connect("pgherald")
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {args} FROM pgherald.journal AS j")
            found = cursor.fetchone()
            site.begin = os.path.getsize(cluster.log)
            cursor.execute(f"SELECT t.topic FROM pgherald.{function}({', '.join(['%s::bigint[]'] * len(found))}) AS t",
                           found)
            assert cursor.rowcount > 40
        connection.close()
        assert not site.sprung()
    finally:
        site.db.drop()


@pytest.mark.parametrize("what", OURS)
def test_who_installed_becomes_no_superuser_by_one_who_comes_later(cluster, installed_site, tmp_path, what):
    site = Site(cluster, tmp_path, installed_site)
    try:
        site.db.run(f"GRANT pgherald_owner TO {EVIL}; GRANT ALL ON SCHEMA pgherald TO {EVIL}")
        for statement in [OURS[what]]:
            try:
                site.as_role(EVIL, statement)
            except (psycopg2.errors.SyntaxError, psycopg2.errors.FeatureNotSupported):
                assert what == "statistics", "expressions came with PostgreSQL 14"
                return
        site.begin = os.path.getsize(cluster.log)
        for command in ("prune", "upgrade", "install", "uninstall"):
            site.sql("check")
            site.sql(command, "--apply")
        site.assert_safe(what)
    finally:
        site.db.run(f"REVOKE pgherald_owner FROM {EVIL}")
        site.db.drop()
