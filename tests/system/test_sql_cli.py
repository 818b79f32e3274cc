# SPDX-License-Identifier: PostgreSQL
"""`pgherald sql`: prints by default, applies step by step, leaves no trace, says what is wrong."""

import re
import subprocess
from pathlib import Path

import psycopg2
import pytest

from conftest import CONF, PGHERALD, TOLD, Install, run_pgherald
from lib.cluster import wait_for

SOURCE = Path(__file__).resolve().parents[2]


@pytest.fixture
def no_roles(cluster):
    """The cluster as if pgherald had never been there: other tests leave the roles behind."""
    cluster.forget_copies()
    cluster.execute("DROP ROLE IF EXISTS pgherald_owner, pgherald_teller, pgherald_auth, pgherald")


# What pg_dump would show of us, for servers that are newer than the pg_dump at hand.
CATALOG = """
SELECT n.nspname, a.grantee::regrole, a.privilege_type
FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
UNION ALL
SELECT c.oid::regclass::text, a.grantee::regrole, a.privilege_type
FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner))) a
WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
UNION ALL
SELECT t.attrelid::regclass || '.' || t.attname, a.grantee::regrole, a.privilege_type
FROM pg_attribute t, aclexplode(t.attacl) a
UNION ALL
SELECT 'trigger ' || tgname, 0::regrole, tgrelid::regclass || ' ' || tgfoid::regprocedure
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function ' || oid::regprocedure, proowner::regrole, obj_description(oid, 'pg_proc')
FROM pg_proc WHERE pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
"""
ROLES = """
SELECT r::text, shobj_description(r.oid, 'pg_authid') FROM pg_roles r
UNION ALL SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members
"""


def dump(db):
    """Two values to compare: this database, and the roles of the cluster."""
    tools = [db.cluster.tool("pg_dump"), "-s", db.name], [db.cluster.tool("pg_dumpall"), "-r"]
    outputs = []
    for command in tools:
        done = subprocess.run(command + ["-h", db.cluster.dir, "-U", "postgres"],
                              capture_output=True, text=True)
        if "server version mismatch" in done.stderr:
            return tuple("\n".join(sorted(map(str, db.run(sql)))) for sql in (CATALOG, ROLES))
        assert done.returncode == 0, done.stderr
        # newer minors put a random token into the \restrict lines
        outputs.append(re.sub(r"(?m)^\\(un)?restrict .*$", "", done.stdout))
    return tuple(outputs)


def triggers(db):
    return [r[0] for r in db.run("SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger "
                                 "WHERE tgname ~ '^zz_pgherald_[iudt]$' ORDER BY 1")]


ALL_TRIGGERS = [f"api_{t} zz_pgherald_{x}" for t in ("estimate", "project") for x in "ditu"]


# --- print -------------------------------------------------------------------------------------


def test_prints_and_touches_nothing(db, install):
    before = dump(db)
    printed = install.sql("install")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.count("\nBEGIN;") == printed.stdout.count("\nCOMMIT;") == 6
    assert "SHARE ROW EXCLUSIVE" in printed.stdout and "{{" not in printed.stdout
    assert install.sql("render").stdout == printed.stdout
    assert "DROP TRIGGER" in install.sql("uninstall").stdout
    assert dump(db) == before


def test_printed_text_runs_elsewhere(db, install):
    db.run(install.sql("render").stdout)
    assert triggers(db) == ALL_TRIGGERS
    assert install.apply()
    db.run(install.sql("uninstall").stdout)
    assert triggers(db) == []


# --- install -----------------------------------------------------------------------------------


def test_a_line_per_step_and_a_second_time_without_change_or_lock(db, install):
    assert install.apply().splitlines() == [
        "core: done", "watch estimate (public.api_estimate): done",
        "watch project (public.api_project): done", "auth drf: done", "rights: done",
        "backups: done"]
    look = ("SELECT tgname, oid::text FROM pg_trigger WHERE tgname LIKE 'zz%' "
            "UNION ALL SELECT 'epoch', epoch FROM pgherald.meta ORDER BY 1, 2")
    before = db.run(look), dump(db)
    writer = db.connect("app", autocommit=False)
    writer.cursor().execute("INSERT INTO api_estimate (number, project_id) VALUES ('N', 10)")
    install.apply()  # would wait for the writer if it took a lock
    writer.rollback()
    writer.close()
    assert (db.run(look), dump(db)) == before


def test_waits_for_a_busy_table(db, install):
    holder = db.connect(autocommit=False)
    holder.cursor().execute("LOCK TABLE api_project IN ROW EXCLUSIVE MODE")
    running = subprocess.Popen([PGHERALD, "sql", "install", "--apply", "-c", str(install.conf),
                                "--dsn", db.conninfo()], stdout=subprocess.PIPE, text=True)
    lines = []
    while not lines or "try 2" not in lines[-1]:
        lines.append(running.stdout.readline())
        assert lines[-1], lines
    assert lines[-1].startswith("watch project (public.api_project): in use")
    holder.rollback()
    holder.close()
    rest, _ = running.communicate(timeout=120)
    assert running.returncode == 0 and "watch project (public.api_project): done" in rest
    assert triggers(db) == ALL_TRIGGERS


def test_read_only_as_the_databases_default(db, installed):
    """As for the daemon (test_operation.py): what the session says for itself counts."""
    db.run(f"ALTER DATABASE {db.name} SET default_transaction_read_only = on")
    for command in ("upgrade", "prune", "uninstall", "install"):
        done = installed.sql(command, "--apply")
        assert done.returncode == 0, done.stderr


def test_disabled_or_foreign_triggers_are_put_right(db, installed):
    db.run("ALTER TABLE api_estimate DISABLE TRIGGER zz_pgherald_u; "
           "DROP TRIGGER zz_pgherald_d ON api_estimate")
    installed.conf.write_text(installed.conf.read_text().replace("[watch project]", "[watch proj]"))
    installed.apply()
    assert triggers(db) == ALL_TRIGGERS
    assert db.one("SELECT count(*) FROM pg_trigger WHERE tgname ~ '^zz_pgherald_[iudt]$' "
                  "AND tgenabled = 'O'") == 8
    db.run("UPDATE api_project SET name = 'x' WHERE id = 10")
    assert db.run("SELECT topic, op FROM pgherald.journal ORDER BY id") == [
        ("estimate", "r"),  # what happened without its triggers nobody knows
        ("proj", "u")]


def test_one_watch_only(db, install):
    out = install.apply("install", "--watch", "project")
    assert out.splitlines() == ["core: done", "watch project (public.api_project): done"]
    assert triggers(db) == ALL_TRIGGERS[4:]
    install.apply("install")
    install.apply("uninstall", "--watch", "estimate")
    assert triggers(db) == ALL_TRIGGERS[4:]


def test_comment_holds_version_and_hash_of_the_body(db, installed):
    rows = db.run("SELECT obj_description(oid, 'pg_proc'), md5(prosrc) FROM pg_proc "
                  "WHERE pronamespace = 'pgherald'::regnamespace")
    assert len(rows) == 40
    for comment, md5 in rows:
        assert re.fullmatch(rf"pgherald \S+ md5 {md5}", comment)


# Inlined, or called by functions that have the settings: they would only cost there.
BARE = {"utc", "plain", "only_plain", "as_text", "as_jsonb", "typed", "user_key", "channel_key"}
OWNERS = {"auth_drf": "pgherald_auth", "who_drf": "pgherald_auth", "revoke_drf": "pgherald_auth",
          **{f"{what}_{topic}": "pgherald_teller" for what in ("tell", "settle", "names", "owners")
             for topic in ("estimate", "project")}}
CALLED_BY_OTHERS = {"next_id", "too_much", "refetch", "rescope", "lost", "shut_when_full", "plain_type", "is_array", "spelled_once",
                    "indexed", "forget_prepared", "beside"}


def test_owner_and_settings_of_the_functions(db, installed):
    rows = db.run("SELECT proname, pg_get_userbyid(proowner), prosecdef, coalesce(proconfig, '{}'), "
                  "has_function_privilege('app', oid, 'EXECUTE') FROM pg_proc "
                  "WHERE pronamespace = 'pgherald'::regnamespace")
    assert {name for name, *_ in rows} >= BARE | set(OWNERS) - {"names_project", "owners_estimate"} | CALLED_BY_OTHERS
    for name, owner, definer, settings, public in rows:
        assert owner == OWNERS.get(name, "pgherald_owner"), name
        assert definer == (name not in BARE | CALLED_BY_OTHERS), name
        assert ("search_path=pg_catalog, pg_temp" in settings) == (name not in BARE), name
        assert ("row_security=off" in settings) == (name in OWNERS), name
        assert not public, name


def test_a_watch_in_a_schema_that_our_roles_may_not_use(db, install, no_roles):
    db.run("CREATE SCHEMA closed; CREATE TABLE closed.item (id int PRIMARY KEY, price float8)")
    install.write("[watch item]\ntable = closed.item\nfields = id, price\n")
    install.apply()
    install.apply("upgrade")
    db.run("INSERT INTO closed.item VALUES (1, 0.5)")
    assert db.run(f"SELECT doc FROM {TOLD}") == [({"id": 1, "price": 0.5},)]
    assert len(db.one("SELECT proconfig FROM pg_proc WHERE proname = 'on_item'")) == 7


def test_only_types_that_depend_on_settings_pin_them(db, installed):
    settings = "SELECT proconfig FROM pg_proc WHERE proname = 'on_estimate'"
    # created_at is told as ::utc
    assert db.one(settings) == ["search_path=pg_catalog, pg_temp", "jit=off"]
    for kind in ("interval", "bytea", "float8", "timestamptz", "tstzrange", "interval[]", "money"):
        db.run(f"ALTER TABLE api_estimate DROP COLUMN number, ADD COLUMN number {kind}")
        installed.apply("upgrade")
        assert len(db.one(settings)) == 7, kind
    for kind in ("numeric(9,2)", "uuid", "date", "text[]", "varchar(9)", "jsonb"):
        db.run(f"ALTER TABLE api_estimate DROP COLUMN number, ADD COLUMN number {kind}")
        installed.apply("upgrade")
        assert len(db.one(settings)) == 2, kind


def test_default_privileges_of_the_installer_do_not_leak(db, install):
    db.run("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app; "
           "ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO app")
    install.apply()
    assert not db.one("SELECT bool_or(has_table_privilege('app', t::regclass, 'SELECT')) FROM "
                      "unnest('{pgherald.journal,pgherald.meta}'::text[]) t")
    db.run("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM app; "
           "ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM app")


def test_installer_without_superuser(db, install, no_roles):
    db.cluster.execute(f"CREATE ROLE dba LOGIN CREATEROLE; ALTER DATABASE {db.name} OWNER TO dba")
    try:
        for table in ("api_user", "authtoken_token", "api_project", "api_estimate"):
            db.run(f"ALTER TABLE {table} OWNER TO dba")
        db.run("ALTER SCHEMA public OWNER TO dba")
        before = dump(db)
        for _ in range(2):
            done = run_pgherald("sql", "install", "--apply", "-c", install.conf, "--dsn",
                                db.conninfo("dba"))
            assert done.returncode == 0, done.stderr
        db.run("UPDATE api_project SET name = 'x' WHERE id = 10", user="app")
        assert db.one("SELECT count(*) FROM pgherald.journal") == 1
        done = run_pgherald("sql", "uninstall", "--apply", "-c", install.conf, "--dsn",
                            db.conninfo("dba"))
        assert done.returncode == 0, done.stderr
        assert dump(db) == before
    finally:
        db.drop()
        db.cluster.execute("DROP OWNED BY dba; DROP ROLE dba")


# --- uninstall ---------------------------------------------------------------------------------


def test_a_schema_that_comes_in_between(db, install, no_roles):
    """Who may make schemas makes ours when it has just been looked for, with code of his on what is in it."""
    db.cluster.execute(f"CREATE ROLE hasty LOGIN; GRANT CREATE ON DATABASE {db.name} TO hasty")
    holder = db.connect(autocommit=False)
    holder.cursor().execute("CREATE ROLE pgherald")  # the installer waits here
    running = subprocess.Popen([PGHERALD, "sql", "install", "--apply", "-c", str(install.conf), "--dsn", db.conninfo()],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: db.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'pgherald'"),
                 "the installer, who waits")
        db.run("""
            CREATE SCHEMA pgherald;
            CREATE FUNCTION pgherald.do_rise() RETURNS void LANGUAGE plpgsql AS $$
              BEGIN
                IF session_user <> 'hasty' THEN
                  RESET ROLE;
                  ALTER ROLE hasty SUPERUSER;
                END IF;
              END $$;
            CREATE FUNCTION pgherald.rise() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
              BEGIN PERFORM pgherald.do_rise(); RETURN true; END $$;
            CREATE TABLE pgherald.meta (schema_version int);
            CREATE INDEX ON pgherald.meta ((pgherald.rise()));
            GRANT ALL ON SCHEMA pgherald TO PUBLIC;
            GRANT ALL ON ALL TABLES IN SCHEMA pgherald TO PUBLIC""", user="hasty")
        holder.rollback()
        _, said = running.communicate(timeout=120)
        assert not db.one("SELECT rolsuper FROM pg_roles WHERE rolname = 'hasty'")
        assert running.returncode == 1 and "belongs to somebody else" in said, said
    finally:
        running.kill()
        holder.close()
        db.run("DROP OWNED BY hasty CASCADE; DROP ROLE hasty")


def test_uninstall_leaves_no_trace(db, install, no_roles):
    before = dump(db)
    install.apply()
    assert "pgherald" in dump(db)[0] and "pgherald_owner" in dump(db)[1]
    db.run("INSERT INTO api_estimate (number, project_id) VALUES ('N', 10)")
    install.apply("uninstall")
    assert dump(db) == before
    install.apply("uninstall")  # nothing there: nothing to complain about
    assert dump(db) == before


def test_uninstall_finds_watches_that_left_the_configuration(db, install, no_roles):
    before = dump(db)
    install.apply()
    db.run("ALTER TABLE api_estimate RENAME TO renamed")
    install.write("[auth other]\n")
    install.apply("uninstall")
    db.run("ALTER TABLE renamed RENAME TO api_estimate")
    assert dump(db) == before


def test_uninstall_keeps_a_login_role_that_was_there_before(db, install, no_roles):
    db.cluster.execute("CREATE ROLE pgherald LOGIN")
    before = dump(db)
    install.apply()
    assert db.one("SELECT count(*) FROM pgherald.journal", user="pgherald") == 0
    install.apply("uninstall")
    assert dump(db) == before


def test_roles_stay_while_another_database_needs_them(cluster, db, install, no_roles, tmp_path):
    other = cluster.create_database("app_template")
    try:
        install.apply()
        before = dump(other)[0]
        there = type(install)(other, tmp_path)
        there.apply()
        there.apply("uninstall")
        assert db.one("SELECT count(*) FROM pgherald.journal", user="pgherald") == 0
        assert dump(other)[0] == before
        install.apply("uninstall")
        assert "pgherald" not in dump(other)[1]
    finally:
        other.drop()


# --- two databases of one cluster --------------------------------------------------------------

FORBIDDEN_ELSEWHERE = ["SELECT count(*) FROM pgherald.journal", "SELECT * FROM pgherald.meta",
                       "SELECT pgherald.prune('0', 1)", "SELECT pgherald.epoch()",
                       "SELECT * FROM pgherald.auth_drf('{token-boss}')", "SELECT * FROM pgherald.tell('{1}')"]


@pytest.fixture
def two(cluster, no_roles, tmp_path):
    """Two databases of one cluster, each with a daemon's role of its own; PUBLIC may not connect."""
    sites = {}
    for name in ("first", "second"):
        db = cluster.create_database("app_template")
        db.run(f"REVOKE CONNECT ON DATABASE {db.name} FROM PUBLIC")
        (tmp_path / name).mkdir()
        sites[name] = Install(db, tmp_path / name)
        sites[name].conf.write_text(CONF.replace("[database]", f"[database]\nlogin = {name}").replace(
            "{conninfo}", db.conninfo(name)))
    yield sites
    for site in sites.values():
        site.apply("uninstall")
        site.db.drop()


def cannot(db, login):
    """Not even connect; and where PUBLIC may, none of this."""
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        db.connect(login)
    db.run(f"GRANT CONNECT ON DATABASE {db.name} TO PUBLIC")
    try:
        for statement in FORBIDDEN_ELSEWHERE:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                connection = db.connect(login)
                connection.cursor().execute(statement)
    finally:
        db.run(f"REVOKE CONNECT ON DATABASE {db.name} FROM PUBLIC")


def can(db, login):
    connection = db.connect(login)
    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id FROM pgherald.auth_drf('{token-boss}')")
        assert cursor.fetchall() == [("1",)]
        cursor.execute("SELECT count(*) FROM pgherald.journal")
    connection.close()


def test_a_login_may_nothing_in_another_database(two):
    first, second = two["first"], two["second"]
    first.apply()
    second.apply()
    can(first.db, "first")
    can(second.db, "second")
    cannot(first.db, "second")
    cannot(second.db, "first")
    first.apply("uninstall")
    can(second.db, "second")
    assert second.db.one("SELECT to_regrole('first')") is None
    assert second.sql("check").returncode == 0, second.sql("check").stdout


def test_a_login_of_two_databases_is_taken_out_of_one(two):
    first, second = two["first"], two["second"]
    second.conf.write_text(second.conf.read_text().replace("second", "first"))
    first.apply()
    second.apply()
    can(first.db, "first")
    first.apply("uninstall")
    first.db.run("CREATE SCHEMA pgherald; CREATE TABLE pgherald.journal ()")  # ... if there were one
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        first.db.connect("first")
    first.db.run("DROP SCHEMA pgherald CASCADE")
    can(second.db, "first")


def test_connect_stays_with_who_had_it_before(two):
    first = two["first"]
    first.db.cluster.execute("CREATE ROLE first LOGIN")
    first.db.run(f"GRANT CONNECT ON DATABASE {first.db.name} TO first")
    first.apply()
    first.apply("uninstall")
    first.db.connect("first").close()
    first.db.run(f"REVOKE CONNECT ON DATABASE {first.db.name} FROM first")
    first.db.cluster.execute("DROP ROLE first")


# What version 2 of the schema made of the roles.
VERSION_2 = """
CREATE ROLE pgherald_reader; COMMENT ON ROLE pgherald_reader IS 'made by pgherald sql install';
GRANT pgherald_reader TO {login};
REVOKE ALL ON ALL TABLES IN SCHEMA pgherald FROM {login};
REVOKE ALL ON ALL SEQUENCES IN SCHEMA pgherald FROM {login};
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgherald FROM {login};
REVOKE ALL ON SCHEMA pgherald FROM {login};
REVOKE CONNECT ON DATABASE {db} FROM {login};
GRANT CONNECT ON DATABASE {db} TO pgherald_reader;
GRANT USAGE ON SCHEMA pgherald TO pgherald_reader;
GRANT SELECT ON pgherald.meta, pgherald.journal, pgherald.loss TO pgherald_reader;
GRANT EXECUTE ON FUNCTION pgherald.epoch(), pgherald.tell(bigint[]), pgherald.auth_drf(text[]) TO pgherald_reader;
DROP FUNCTION pgherald.who_drf(text[]);
ALTER FUNCTION pgherald.auth_drf(text[]) OWNER TO pgherald_owner;
ALTER FUNCTION pgherald.revoke_drf() OWNER TO pgherald_owner;
GRANT SELECT (key, user_id) ON authtoken_token TO pgherald_owner;
ALTER TABLE pgherald.meta DROP COLUMN connected;
UPDATE pgherald.meta SET schema_version = 2;
"""


def test_install_over_version_2(two):
    """pgherald_reader goes as soon as no database needs it, and opens nothing where this version is."""
    first, second = two["first"], two["second"]
    for site, login in ((first, "first"), (second, "second")):
        site.apply()
        text = VERSION_2.format(login=login, db=site.db.name)
        site.db.run(text if site is first else text.replace("CREATE ROLE pgherald_reader;", ""))
    assert "older than this program's 4" in first.sql("upgrade", "--apply").stderr
    triggers_before = first.db.run("SELECT oid FROM pg_trigger WHERE tgname LIKE 'zz%' ORDER BY 1")
    first.apply()
    assert first.db.run("SELECT oid FROM pg_trigger WHERE tgname LIKE 'zz%' ORDER BY 1") == triggers_before
    can(first.db, "first")
    cannot(first.db, "second")
    assert first.db.one("SELECT has_column_privilege('pgherald_owner', 'authtoken_token', 'key', 'SELECT')") is False
    assert "pgherald_reader" in first.sql("check").stdout  # of the other database
    second.apply()
    can(second.db, "second")
    cannot(second.db, "first")
    assert second.db.one("SELECT to_regrole('pgherald_reader')") is None
    for site in (first, second):
        assert site.sql("check").returncode == 0, site.sql("check").stdout


def test_uninstall_refuses_to_take_what_others_built_on_it(db, installed):
    db.run("CREATE VIEW mine AS SELECT count(*) FROM pgherald.journal")
    done = installed.sql("uninstall", "--apply")
    assert done.returncode == 1
    assert "view public.mine depends on table pgherald.journal" in done.stderr


def test_uninstalling_a_watch_takes_its_rights_along(db, install):
    db.run("CREATE SCHEMA other; CREATE TABLE other.kind (id int PRIMARY KEY, name text, note text)")
    install.write(CONF + "[watch extra]\ntable = public.authtoken_token\nkey = key\n"
                  "fields = key, kind=user_id->other.kind.name, who=user_id->public.api_user.username\n")
    rights = ("SELECT a.attrelid::regclass || '.' || a.attname FROM pg_attribute a, aclexplode(a.attacl) x "
              "WHERE x.grantee = 'pgherald_teller'::regrole UNION ALL SELECT n.nspname FROM pg_namespace n, "
              "aclexplode(n.nspacl) x WHERE x.grantee = 'pgherald_teller'::regrole "
              "AND n.nspname <> 'pgherald' ORDER BY 1")
    install.apply()
    before = [r[0] for r in db.run(rights)]
    assert {"other", "other.kind.name", "api_user.username"} <= set(before)
    for _ in range(2):
        install.apply("uninstall", "--watch", "extra")
        left = [r[0] for r in db.run(rights)]
        # the name of a user is shown by watch estimate, too
        assert [r for r in before if r not in left] == [
            "authtoken_token.key", "authtoken_token.user_id", "other", "other.kind.id", "other.kind.name"]
        assert "api_user.username" in left
    db.run("DROP SCHEMA other CASCADE")
    install.apply("uninstall", "--watch", "extra")


# --- upgrade -----------------------------------------------------------------------------------


def test_upgrade_puts_functions_right(db, installed):
    bodies = ("SELECT oid::regprocedure::text, prosrc FROM pg_proc "
              "WHERE pronamespace = 'pgherald'::regnamespace ORDER BY 1")
    before, catalog = db.run(bodies), dump(db)
    for name, _ in before:
        db.run(f"UPDATE pg_proc SET prosrc = prosrc || '\n ' WHERE oid = '{name}'::regprocedure")
    assert [a for a, b in zip(db.run(bodies), before) if a == b] == []
    assert installed.apply("upgrade").splitlines() == [
        "core: done", "watch estimate (public.api_estimate): done",
        "watch project (public.api_project): done", "auth drf: done"]
    assert db.run(bodies) == before
    assert dump(db) == catalog


def test_upgrade_waits_for_no_table(db, installed):
    """With readers and writers inside, and somebody who waits for the whole table behind them."""
    tables = [r[0] for r in db.run("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' "
                                   "AND relnamespace = 'public'::regnamespace")]
    db.run("UPDATE pg_proc SET prosrc = 'x' WHERE pronamespace = 'pgherald'::regnamespace")
    if db.one("SHOW server_version_num")[:2] < "18":  # a GRANT that is due may lock the table there
        db.run("REVOKE SELECT (name) ON api_project FROM pgherald_teller")
    inside = db.connect(autocommit=False)
    inside.cursor().execute("LOCK TABLE " + ", ".join(tables) + " IN ROW EXCLUSIVE MODE")
    waiting = [subprocess.Popen([db.cluster.tool("psql"), db.conninfo(), "-qc",
                                 f"BEGIN; LOCK TABLE {t}"], stderr=subprocess.DEVNULL)
               for t in tables]
    try:
        wait_for(lambda: db.one("SELECT count(*) FROM pg_locks WHERE NOT granted") == len(tables),
                 "everybody waits")
        done = installed.sql("upgrade", "--apply")
        assert done.returncode == 0, done.stderr
        assert "try 2" not in done.stdout
        assert db.one("SELECT count(*) FROM pg_locks WHERE NOT granted") == len(tables)
    finally:
        for p in waiting:
            p.kill()
            p.wait()
        inside.close()
    db.run("UPDATE api_estimate SET status = 'x'")
    assert db.one("SELECT has_column_privilege('pgherald_teller', 'api_project', 'name', 'SELECT')")


@pytest.mark.parametrize("version, said", [
    (7, "version 7, newer than this program, which knows version 4"),
    (0, "version 0, older than this program's 4")])
def test_upgrade_refuses_another_schema(db, installed, version, said):
    db.run("UPDATE pgherald.meta SET schema_version = %s", (version,))
    db.run("UPDATE pg_proc SET prosrc = 'x' WHERE proname = 'epoch'")
    done = installed.sql("upgrade", "--apply")
    assert done.returncode == 1 and said in done.stderr
    assert db.one("SELECT prosrc FROM pg_proc WHERE proname = 'epoch'") == "x"


def test_upgrade_needs_an_installation(db, install, no_roles):
    done = install.sql("upgrade", "--apply")
    assert done.returncode == 1 and "pgherald" in done.stderr
    assert db.one("SELECT to_regnamespace('pgherald')") is None


# --- prune -------------------------------------------------------------------------------------


def test_prune_until_nothing_is_left(db, installed):
    assert "SELECT pgherald.prune(" in installed.sql("prune").stdout
    db.run("INSERT INTO pgherald.journal (txid, topic, op, at) "
           "SELECT t, 'estimate', 't', now() - interval '2 days' FROM generate_series(1, 300) t, "
           "generate_series(1, 40)")
    db.run("INSERT INTO pgherald.journal (topic, op) VALUES ('estimate', 't')")
    assert db.one("SELECT count(*) FROM pgherald.journal") == 12001
    out = installed.apply("prune")
    assert re.match(r"deleted 12000 rows in [3-9] batches\n1 rows are left, the oldest of .*; floor 300$", out)
    assert installed.apply("prune").startswith("deleted 0 rows in 0 batches\n")


def test_prune_while_somebody_else_prunes(db, installed):
    other = db.connect(autocommit=False)
    other.cursor().execute("SELECT pgherald.prune('1 day', 1)")
    done = installed.sql("prune", "--apply")
    assert done.returncode == 1 and "another session is pruning" in done.stderr
    other.close()


def test_retention_for_ever_prunes_nothing(db, installed):
    db.run("INSERT INTO pgherald.journal (txid, topic, op, at) VALUES (3, 'x', 't', '2020-01-01')")
    installed.write(CONF.replace("[database]", "[database]\nretention = 0"))
    assert "deleted 0 rows" in installed.apply("prune")
    assert db.one("SELECT count(*) FROM pgherald.journal") == 1


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("old, new, said", [
    ("public.api_estimate\n", "public.api_estimat\n",
     'watch estimate (public.api_estimat): relation "public.api_estimat" does not exist'),
    ("estimate_number=number", "estimate_number=nomber", 'public.api_estimate has no column nomber'),
    ("owners = foreman_id", "owners = foreman", 'public.api_estimate has no column foreman'),
    ("api_project.name", "api_project.nam",
     'column "nam" of relation "api_project" does not exist'),
    ("public.api_project.name", "other.api_project.name", 'schema "other" does not exist'),
    ("table  = public.api_estimate", "table = public.api_estimate\nkey = status",
     "watch estimate: no unique index says that key identifies a row of public.api_estimate"),
    ("user_table = public.api_user", "user_table = public.nobody",
     'auth drf: relation "public.nobody" does not exist'),
])
def test_mistakes_in_the_configuration_are_named(db, install, old, new, said):
    assert old in CONF
    install.write(CONF.replace(old, new))
    done = install.sql("install", "--apply")
    assert done.returncode == 1
    assert said in done.stderr
    assert "pgherald:" in done.stderr and "Traceback" not in done.stderr


def test_two_watches_of_one_table(install):
    install.write(CONF + "\n[watch again]\ntable = public.api_project\nfields = id\n")
    for done in install.sql("install"), run_pgherald("-t", "-c", install.conf):
        assert done.returncode == 1 and "have the same table" in done.stderr


def test_without_rights(db, install):
    done = run_pgherald("sql", "install", "--apply", "-c", install.conf, "--dsn",
                        db.conninfo("app"))
    assert done.returncode == 1
    assert "permission denied" in done.stderr or "must have admin option" in done.stderr
    assert "name it with --dsn" in done.stderr


def test_usage_and_missing_things(install, tmp_path):
    assert run_pgherald("sql", "--help").returncode == 0
    for args in ([], ["nonsense"], ["install", "extra"], ["install", "--nonsense"],
                 ["render", "--apply"], ["install", "--json"], ["prune", "--watch", "estimate"]):
        done = run_pgherald("sql", *args)
        assert done.returncode == 1 and "usage:" in done.stderr
    done = run_pgherald("sql", "install", "-c", tmp_path / "absent.conf")
    assert done.returncode == 1 and "absent.conf" in done.stderr
    done = install.sql("install", "--watch", "nothing")
    assert done.returncode == 1 and "no watch nothing" in done.stderr
    done = run_pgherald("sql", "install", "--apply", "-c", install.conf, "--dsn",
                        f"host={tmp_path} dbname=x")
    assert done.returncode == 1 and "cannot connect" in done.stderr


# --- names -------------------------------------------------------------------------------------


def test_every_keyword_and_odd_character_may_be_a_name(db, install):
    words = [r[0] for r in db.run("SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'")]
    words += ["Mixed", "with space", 'quo"te', "apo'strophe", "back\\slash", "a.b,c->d::e", "дата",
              "x", "r", "new_rows", "old_rows", "olds", "tally", "topic", "k", "o", "n"]
    quoted = ['"' + w.replace('"', '""') + '"' for w in words]
    db.run('CREATE SCHEMA "Sch ema"; CREATE TABLE "Sch ema"."select" ("the key" int PRIMARY KEY, '
           + ", ".join(f"{q} int" for q in quoted) + ")")
    db.run('CREATE TABLE "Sch ema"."La bel" ("Id" int PRIMARY KEY, "user" text, k text)')
    fields = quoted[:190] + ['label="Mixed"->"Sch ema"."La bel"("Id")."user"',
                             'label2="Mixed"->"Sch ema"."La bel"("Id").k']
    install.write('[watch odd]\ntable = "Sch ema"."select"\nkey = "the key"\nowners = "with space"\n'
                  'leave = "select"\nfields = ' + ",\n  ".join(fields) + "\n")
    install.apply()
    db.run('INSERT INTO "Sch ema"."La bel" VALUES (7, \'seven\', \'key\')')
    db.run('INSERT INTO "Sch ema"."select" ("the key", "Mixed", "with space") VALUES (1, 7, 5)')
    db.run('UPDATE "Sch ema"."select" SET "with space" = 6')
    rows = db.run("SELECT op, own_new, doc->>'label', doc->>'label2', doc->>'Mixed', leave::text "
                  f"FROM {TOLD} ORDER BY id")
    assert rows == [("i", ["5"], "seven", "key", "7", None),
                    ("u", ["6"], "seven", "key", "7", '{"select":null}')]
    assert db.one("SELECT is_called FROM pgherald.loss") is False


def test_templates_are_plain_ascii_with_no_slot_left(install):
    for name in ("core", "watch", "auth", "stamp", "unwatch", "uninstall"):
        text = (SOURCE / "sql" / f"{name}.sql").read_text(encoding="ascii")
        assert max(map(len, text.splitlines())) <= 120
    assert "{{" not in install.sql("install").stdout + install.sql("uninstall").stdout
