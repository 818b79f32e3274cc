# SPDX-License-Identifier: PostgreSQL
"""`pgherald sql render --migration`, within a transaction of somebody else, as a role that may do
nothing but own its tables: what `sql roles` prints lets it install once, and it cannot read a thing
afterwards."""

import psycopg2
import pytest
from conftest import CONF, OWNERS, Install, run_pgherald
from test_sql_cli import dump

SHOP = f"""
DO $$ BEGIN CREATE ROLE shop LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
REVOKE {", ".join(OWNERS)} FROM shop;
DO $$ DECLARE t regclass; BEGIN
  FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO shop', t);
  END LOOP;
END $$;
"""
MEMBER = """SELECT count(*) FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member
            WHERE r.rolname = 'shop' AND m.roleid::regrole::text LIKE 'pgherald%'"""
WRITE = "INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('x', 10, 2)"


@pytest.fixture
def shop(cluster, db, tmp_path):
    """The application's own role; Install for its database."""
    for role in OWNERS:
        cluster.execute(f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    db.run(SHOP)
    yield Install(db, tmp_path)
    db.run("DROP OWNED BY shop CASCADE")
    cluster.execute("DROP ROLE shop")


def text(shop, *args):
    done = run_pgherald("sql", *args, "-c", shop.conf)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lend(shop, role="shop"):
    shop.db.run(text(shop, "roles", "--for", role))


def installed(db):
    """The catalog but for what lets the owner of the tables dump it, which no migration grants."""
    db.run("REVOKE ALL ON ALL TABLES IN SCHEMA pgherald FROM shop; REVOKE ALL ON SCHEMA pgherald FROM shop;"
           "REVOKE ALL ON ALL SEQUENCES IN SCHEMA pgherald FROM shop")
    return dump(db)


def settings(cursor):
    cursor.execute("""SELECT current_setting('search_path'), current_setting('lock_timeout'), current_user,
        current_setting('client_min_messages'), current_setting('default_tablespace'), txid_current()""")
    return cursor.fetchone()


def migrate(shop, sql, user="shop", before="", end="commit"):
    """Within a transaction that has settings and a role of its own, and goes on afterwards."""
    connection = shop.db.connect(user, autocommit=False)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '7s'; SET LOCAL search_path = public;" + before)
            found = settings(cursor)
            cursor.execute(sql)
            assert settings(cursor) == found
            cursor.execute("SELECT count(*) FROM api_estimate")
        getattr(connection, end)()
    finally:
        connection.close()


def test_a_superuser_needs_nothing_else(shop):
    before = dump(shop.db)
    migrate(shop, text(shop, "render", "--migration"), "postgres", end="rollback")
    assert dump(shop.db) == before
    migrate(shop, text(shop, "render", "--migration"), "postgres")
    found = dump(shop.db)
    assert installed(shop.db) == found
    shop.apply()
    assert installed(shop.db) == found, "install finds nothing else to do"
    migrate(shop, text(shop, "render", "--migration"), "postgres")
    assert dump(shop.db) == found, "nor does the migration"
    migrate(shop, text(shop, "uninstall", "--watch", "project", "--migration"), "postgres")
    assert shop.db.one("SELECT to_regprocedure('pgherald.on_project()') IS NULL")
    migrate(shop, text(shop, "uninstall", "--migration"), "postgres")
    assert shop.db.one("SELECT to_regnamespace('pgherald') IS NULL")


def test_a_function_of_its_own_is_asked(shop):
    """It may say who hears what, and has nothing of the role that asks it afterwards."""
    shop.write(CONF + "[route a]\npath = /a\nauthorize = public.may_hear\n")
    lend(shop)
    shop.db.run("CREATE FUNCTION public.may_hear(user_id text, role text, channel text) RETURNS boolean LANGUAGE sql "
                "STABLE SECURITY DEFINER SET search_path = public, pg_temp AS 'SELECT true';"
                "ALTER FUNCTION public.may_hear(text, text, text) OWNER TO shop")
    try:
        migrate(shop, text(shop, "render", "--migration"))
        assert shop.db.one(MEMBER) == 0
        assert shop.db.run("SELECT * FROM pgherald.authorize_a('2', 'foreman', '{a}')", user="pgherald") == []
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            shop.db.run("SELECT * FROM pgherald.authorize_a('2', 'foreman', '{a}')", user="shop")
        assert shop.sql("check").returncode == 0
        shop.apply("uninstall")
    finally:
        shop.db.run("DROP OWNED BY pgherald_authorize CASCADE; DROP ROLE pgherald_authorize")


def test_a_role_that_owns_its_tables_and_no_more(shop):
    render = text(shop, "render", "--migration")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege) as refused:
        migrate(shop, render)
    assert "pgherald sql roles --for shop" in str(refused.value)
    lend(shop)
    assert shop.db.one(MEMBER) == len(OWNERS)
    migrate(shop, render, end="rollback")
    assert shop.db.one(MEMBER) == len(OWNERS), "a migration that failed may be tried again"
    migrate(shop, render)
    assert shop.db.one(MEMBER) == 0 and shop.db.one("SELECT to_regnamespace('pgherald_lent') IS NULL")
    shop.db.run(WRITE, user="shop")
    assert shop.db.one("SELECT count(*) FROM pgherald.journal") == 1
    for sql in ("SELECT * FROM pgherald.journal", "SELECT * FROM pgherald.tell(ARRAY[1])",
                "SET ROLE pgherald_owner", "SELECT pgherald.prune(interval '0', 1)"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            shop.db.run(sql, user="shop")
    check = shop.sql("check")
    assert check.returncode == 0 and "notice dump: shop" in check.stdout, check.stdout
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        migrate(shop, render)
    # PUBLIC has that right, and shop cannot grant it
    readers = ", ".join(r for r in OWNERS if r != "pgherald_owner")
    shop.db.run(f"GRANT USAGE ON SCHEMA public TO {readers}")
    found = dump(shop.db)
    shop.apply()
    assert "dump" not in shop.sql("check").stdout
    assert installed(shop.db) == found, "an administrator's install finds nothing else to do"


def test_and_back(shop, cluster):
    """Also where an administrator's install has made the roles, which shop may not drop."""
    for role in OWNERS:
        cluster.execute(f"COMMENT ON ROLE {role} IS 'made by pgherald sql install'")
    lend(shop)
    migrate(shop, text(shop, "render", "--migration"))
    lend(shop)
    migrate(shop, text(shop, "uninstall", "--watch", "estimate", "--migration"))
    assert shop.db.one(MEMBER) == 0
    lend(shop)
    migrate(shop, text(shop, "uninstall", "--migration"))
    assert shop.db.one(MEMBER) == 0
    assert shop.db.one("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgherald%'") == 0
    assert shop.db.one("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_pgherald%'") == 0
    for role in OWNERS:
        assert shop.db.one("SELECT to_regrole(%s) IS NOT NULL", (role,))
        cluster.execute(f"COMMENT ON ROLE {role} IS NULL")
    shop.db.run(WRITE, user="shop")


def test_a_role_that_is_another_one_for_the_session(shop, cluster):
    """As Django's assume_role has it: RESET ROLE would be the wrong way back."""
    cluster.execute("DO $$ BEGIN CREATE ROLE shop_web LOGIN NOINHERIT;"
                    " EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT shop TO shop_web")
    lend(shop)
    migrate(shop, text(shop, "render", "--migration"), "shop_web", "SET ROLE shop;")
    assert shop.db.one("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_pgherald_u%'") == 2


def test_what_is_lent_is_given_back_by_nobody_else(shop):
    lend(shop)
    for sql in ("SET ROLE pgherald_owner; CREATE OR REPLACE FUNCTION pgherald_lent.give_back()"
                " RETURNS void LANGUAGE sql AS ''", "DROP SCHEMA pgherald_lent CASCADE"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            shop.db.run(sql, user="shop")
        shop.db.close()
    for stranger in ("app", "pgherald"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            shop.db.run("SELECT pgherald_lent.give_back()", user=stranger)
    migrate(shop, text(shop, "render", "--migration"))
    assert shop.db.one(MEMBER) == 0


TRAP = """CREATE SCHEMA pgherald_lent AUTHORIZATION intruder; SET ROLE intruder;
CREATE TABLE pgherald_lent.seen (who text);
CREATE FUNCTION pgherald_lent.give_back() RETURNS void LANGUAGE plpgsql {} AS $$
BEGIN INSERT INTO pgherald_lent.seen VALUES (current_user); END $$;
GRANT USAGE ON SCHEMA pgherald_lent TO PUBLIC; GRANT INSERT ON pgherald_lent.seen TO PUBLIC; RESET ROLE"""


@pytest.mark.parametrize("how", ["SECURITY INVOKER", "SECURITY DEFINER"])
@pytest.mark.parametrize("who", ["postgres", "shop"])
def test_a_function_of_that_name_is_a_trap(shop, cluster, who, how):
    cluster.execute("DO $$ BEGIN CREATE ROLE intruder; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    if who == "shop":
        lend(shop)
        shop.db.run("DROP SCHEMA pgherald_lent CASCADE")
    shop.db.run(TRAP.format(how))
    migrate(shop, text(shop, "render", "--migration"), who)
    assert shop.db.run("SELECT who FROM pgherald_lent.seen") == []
    lend(shop)
    assert shop.db.one("SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'give_back'") == "postgres"


def test_an_administrator_who_is_no_superuser(shop, cluster):
    cluster.execute("DO $$ BEGIN CREATE ROLE admin LOGIN CREATEROLE; EXCEPTION WHEN duplicate_object THEN NULL;"
                    f" END $$; GRANT CREATE ON DATABASE {shop.db.name} TO admin;"
                    f" GRANT {', '.join(OWNERS)} TO admin WITH ADMIN OPTION")
    shop.db.run(text(shop, "roles", "--for", "shop"), user="admin")
    migrate(shop, text(shop, "render", "--migration"))
    assert shop.db.one(MEMBER) == 0
    cluster.execute(f"REVOKE {', '.join(OWNERS)} FROM admin")


def test_an_administrator_meets_no_event_trigger(shop, cluster):
    """Only a superuser makes one; its function may be given away, as on managed servers."""
    cluster.execute("DO $$ BEGIN CREATE ROLE intruder; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    shop.db.run("CREATE FUNCTION trap() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
                "CREATE EVENT TRIGGER trap ON ddl_command_end EXECUTE FUNCTION trap();"
                "ALTER FUNCTION trap() OWNER TO intruder")
    with pytest.raises(psycopg2.errors.RaiseException, match="event trigger trap calls .*trap"):
        lend(shop)


@pytest.mark.parametrize("name, status", [('a"b; DROP', 0), ("Ü 'x'", 0), ("$pgherald$", 1), ("", 1),
                                          ("x" * 64, 1), ("$give_back$", 1)])
def test_names(shop, cluster, name, status):
    done = run_pgherald("sql", "roles", "--for", name, "-c", shop.conf)
    assert done.returncode == status, done.stderr
    if not status:
        role = '"' + name.replace('"', '""') + '"'
        cluster.execute(f"CREATE ROLE {role}")
        try:
            shop.db.run(done.stdout)
            assert shop.db.one("SELECT pg_has_role(%s, 'pgherald_auth', 'USAGE')", (name,))
            shop.db.run("SELECT pgherald_lent.give_back()")
            assert not shop.db.one("SELECT pg_has_role(%s, 'pgherald_auth', 'USAGE')", (name,))
        finally:
            cluster.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("args", [["install", "--migration"], ["render", "--for", "x"], ["roles"],
                                  ["uninstall", "--migration", "--apply"], ["check", "--migration"]])
def test_options_that_do_not_fit(shop, args):
    done = run_pgherald("sql", *args, "-c", shop.conf)
    assert done.returncode in (1, 2) and "pgherald: sql " in done.stderr
