# SPDX-License-Identifier: PostgreSQL
"""What a role of the application can put into its database so that somebody else's statement runs its
code: each trap is a line. A trap that is sprung says so in the server's log, which no roll-back takes
back, and tries to become a superuser and to start a program."""

import re
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3]
EVIL = "evil"  # owns the database, the schema public and every table; no superuser
SHOP = "trapped_shop"  # where the tables are another role's, which installs and is no superuser

# The tables of an application, with everything in the configuration that reads one.
TABLES = """
CREATE TYPE public.mood AS ENUM ('glad', 'sad');
CREATE DOMAIN public.code AS text;
CREATE DOMAIN public.userid AS bigint;
CREATE TYPE public.size AS (w int, h int);
CREATE TYPE public.span AS RANGE (SUBTYPE = int4);
CREATE TABLE public.users (id bigint PRIMARY KEY, role text, is_active boolean, password varchar,
  nick text, mood public.mood DEFAULT 'glad');
CREATE TABLE public.token (key varchar(40) PRIMARY KEY, user_id bigint, expires timestamptz,
  mood public.mood DEFAULT 'glad');
CREATE TABLE public.django_session (session_key varchar(40) PRIMARY KEY, session_data text,
  expire_date timestamptz, mood public.mood DEFAULT 'glad');
CREATE TABLE public.grp (id int PRIMARY KEY, name varchar);
CREATE TABLE public.membership (user_id bigint, group_id int);
CREATE TABLE public.customer (id bigint PRIMARY KEY, name text, code public.code DEFAULT 'c');
CREATE TABLE public.member (item_id bigint, user_id bigint, mood public.mood DEFAULT 'glad');
CREATE TABLE public.item (id bigint PRIMARY KEY, title text, status public.mood DEFAULT 'glad',
  code public.code DEFAULT 'c', size public.size DEFAULT '(1,2)', moods public.mood[] DEFAULT '{sad}',
  span public.span DEFAULT '[1,3)', at timestamptz DEFAULT '2026-01-01', total numeric DEFAULT 1,
  customer_id bigint DEFAULT 1, owner_id bigint DEFAULT 2, note public.mood DEFAULT 'glad');
CREATE TABLE public.news (id bigint PRIMARY KEY, title text, mood public.mood DEFAULT 'glad',
  customer_id bigint DEFAULT 1, owner_id bigint DEFAULT 2);
CREATE TABLE public.api_key (hash text PRIMARY KEY, user_id bigint, ends timestamptz);
CREATE TABLE public.talk (id bigint PRIMARY KEY, title text, room bigint DEFAULT 1);
INSERT INTO public.api_key VALUES (encode(sha256('k1'), 'hex'), 1, '2030-01-01');
INSERT INTO public.users VALUES (1, 'manager', true, 'h1', 'boss'), (2, 'foreman', true, 'h2', 'anna');
INSERT INTO public.token VALUES ('t1', 1, '2030-01-01'), ('t2', 2, NULL);
INSERT INTO public.django_session VALUES ('s1', 'x:y:z', '2030-01-01');
INSERT INTO public.grp VALUES (1, 'manager'), (2, 'foreman');
INSERT INTO public.membership VALUES (1, 1), (2, 2);
INSERT INTO public.customer VALUES (1, 'Bridge'), (2, 'Tower');
INSERT INTO public.member VALUES (1, 2), (2, 2);
"""

CONF = """
[server]
listen = 127.0.0.1:0
[database]
conninfo = {conninfo}
[role manager]
receives = all
[role foreman]
receives = own
[auth drf]
token_table = public.token
token_expires = expires
user_table = public.users
role_from = groups
group_table = public.grp
membership_table = public.membership
[auth web]
preset = session
secret_key_file = {keys}
user_table = public.users
role_column = role
[auth stored]
preset = apikey
token_table = public.api_key
token_expires = ends
user_table = public.users
role_column = role
places = header:X-Stored-Key
[publish]
roles = evil
[watch talk]
table = public.talk
channels = room.{room}
fields = id, title
[watch item]
table = public.item
owners = owner_id, id<-public.member.item_id.user_id
fields = id, title, status, code, size, moods, span, at::utc, total, note_text=status::text,
  customer=customer_id->public.customer.name, nick=owner_id->public.users.nick
leave = id, customer
[watch news]
table = public.news
capture = notify
owners = owner_id, id<-public.member.item_id.user_id
fields = id, title, mood, customer=customer_id->public.customer.name
"""

# Says who ran it, and tries what a superuser could.
SPY = """
CREATE FUNCTION public.strike(what text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  attempt text;
BEGIN
  RAISE WARNING 'TRAP <%> as % of %', what, current_user, session_user;
  FOREACH attempt IN ARRAY ARRAY[
      'ALTER ROLE evil SUPERUSER', 'RESET ROLE', 'ALTER ROLE evil SUPERUSER',
      'SET SESSION AUTHORIZATION DEFAULT', 'ALTER ROLE evil SUPERUSER',
      'COPY (SELECT 1) TO PROGRAM ''touch {directory}/pwned'''] LOOP
    BEGIN
      EXECUTE attempt;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
END $$;
CREATE FUNCTION public.spy(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM public.strike(what);
  RETURN true;
END $$;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""

TYPES = ["oid", "regclass", "regproc", "regprocedure", "regtype", "regnamespace", "regrole", "name", "text",
         '"char"', "varchar", "bpchar", "int2", "int4", "int8", "numeric", "bool", "json", "jsonb", "xid",
         "timestamptz", "interval", "text[]", "oid[]", "int2[]", "int8[]", "name[]", "int2vector",
         "oidvector", "public.mood", "public.code", "public.size", "public.span"]
COMPARISONS = ["=", "<>", "<", "<=", ">", ">=", "*<>", "<@", "@>", "~", "!~", "~~", "!~~"]
OTHERS = ["||", "+", "-", "*", "/", "%", "->", "->>"]


def operators():
    """Every operator that a statement of ours could mean, on every pair of types."""
    return f"""
DO $do$
DECLARE
  p record;
  op text;
BEGIN
  FOR p IN SELECT row_number() OVER () AS n, l, r
           FROM unnest($${{{",".join(t.replace('"', chr(92) + '"') for t in TYPES)}}}$$::text[]) AS l,
                unnest($${{{",".join(t.replace('"', chr(92) + '"') for t in TYPES)}}}$$::text[]) AS r LOOP
    EXECUTE format('CREATE FUNCTION public.o%s(%s, %s) RETURNS bool LANGUAGE sql IMMUTABLE AS '
                   '$f$SELECT public.spy(%L)$f$', p.n, p.l, p.r, 'operator on ' || p.l || ' and ' || p.r);
    EXECUTE format('CREATE FUNCTION public.p%s(%s, %s) RETURNS text LANGUAGE sql IMMUTABLE AS '
                   '$f$SELECT public.spy(%L)::text$f$', p.n, p.l, p.r, 'operator on ' || p.l || ' and ' || p.r);
    FOREACH op IN ARRAY ARRAY{COMPARISONS!r} LOOP
      EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.o%s, LEFTARG = %s, RIGHTARG = %s)',
                     op, p.n, p.l, p.r);
    END LOOP;
    FOREACH op IN ARRAY ARRAY{OTHERS!r} LOOP
      EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.p%s, LEFTARG = %s, RIGHTARG = %s)',
                     op, p.n, p.l, p.r);
    END LOOP;
  END LOOP;
END $do$;
"""


def functions():
    """A double of every function of the server whose name stands in our texts."""
    texts = [*SOURCE.glob("sql/**/*.sql"), *SOURCE.glob("src/**/*.c")]
    names = sorted({name for t in texts for name in re.findall(r"\b([a-z][a-z0-9_]+)\(",
                                                               t.read_text(encoding="utf-8"))})
    return f"""
DO $do$
DECLARE
  f record;
BEGIN
  FOR f IN SELECT p.proname, p.proretset, p.prorettype, p.prokind, p.provariadic,
                  (SELECT string_agg(CASE WHEN n = p.pronargs AND p.provariadic <> 0 THEN 'VARIADIC ' ELSE '' END
                                     || format_type(a, NULL), ', ' ORDER BY n)
                   FROM unnest(p.proargtypes) WITH ORDINALITY AS u(a, n)) AS args
           FROM pg_proc AS p
           WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
             AND p.proname = ANY (ARRAY{names!r})
             AND p.proname NOT IN ('format_type')
             AND (p.prorettype IN (SELECT oid FROM pg_type WHERE typtype <> 'p')
                  OR p.prorettype IN ('record'::regtype, 'void'::regtype)
                  OR p.prorettype = ANY (p.proargtypes))
             AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) AS a JOIN pg_type AS t ON t.oid = a
                             WHERE t.typtype = 'p' AND t.typname !~ '^any(element|array|range)$') LOOP
    BEGIN
      EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s %s LANGUAGE plpgsql STABLE AS '
                     '$f$BEGIN PERFORM public.strike(%L); %s END$f$',
                     f.proname, f.args, CASE WHEN f.proretset THEN 'SETOF' ELSE '' END,
                     f.prorettype::regtype, 'function ' || f.proname,
                     CASE WHEN f.proretset OR f.prorettype = 'void'::regtype THEN 'RETURN;'
                          ELSE 'RETURN NULL;' END);
    EXCEPTION WHEN OTHERS THEN
      RAISE NOTICE 'no double of %(%): %', f.proname, f.args, SQLERRM;
    END;
  END LOOP;
END $do$;
"""


@dataclass(frozen=True)
class Trap:
    """`proof`, run by the application's role itself, must spring it."""
    name: str
    plant: str
    proof: str = ""
    refused: str = ""  # the installer says this and does nothing
    residual: tuple[str, ...] = ()  # PostgreSQL leaves this door: the roles that may meet it, and no other
    super: bool = False  # a superuser has planted it


def cast(source, target, how="", body="NULL"):
    """A cast whose function is a trap."""
    body = "'null'" if target in ("json", "jsonb") else body
    name = re.sub(r"\W+", "_", f"cast_{source}_{target}")
    return (f"CREATE FUNCTION public.{name}({source}) RETURNS {target} LANGUAGE plpgsql AS $f$"
            f"BEGIN PERFORM public.strike('cast of {source} to {target}'); RETURN {body}; END $f$;"
            f"CREATE CAST ({source} AS {target}) WITH FUNCTION public.{name}({source}) {how};")


# Planted before anything of ours is there; all of them in one database.
BEFORE = [
    Trap("casts of an enum", cast("public.mood", "json") + cast("public.mood", "jsonb")
         + cast("public.mood", "text", "AS IMPLICIT", "'x'") + cast("public.mood", "varchar", "AS ASSIGNMENT")
         + cast("public.mood", "int8", "AS IMPLICIT") + cast("text", "public.mood", "AS ASSIGNMENT"),
         "SELECT to_json('glad'::public.mood)"),
    Trap("casts of an array", cast("public.mood[]", "json") + cast("public.mood[]", "jsonb")
         + cast("public.mood[]", "text", "AS ASSIGNMENT"), "SELECT '{sad}'::public.mood[]::text"),
    Trap("casts of a row", cast("public.size", "json") + cast("public.size", "jsonb")
         + cast("public.size", "text"), "SELECT '(1,2)'::public.size::text"),
    Trap("casts of a range", cast("public.span", "json") + cast("public.span", "jsonb")
         + cast("public.span", "text"), "SELECT to_jsonb('[1,2)'::public.span)"),
    Trap("casts of a table's row", cast("public.item", "json") + cast("public.item", "jsonb")
         + cast("public.item", "text"), "SELECT '(1,,,,,,,,,,,)'::public.item::text"),
    Trap("domain with a check", "ALTER DOMAIN public.code ADD CHECK (public.spy('domain'))",
         "SELECT 'a'::public.code"),
    Trap("index of a watched table", "CREATE INDEX ON public.item ((public.spy('index of item')));"
         "CREATE INDEX ON public.item (id) WHERE public.spy('predicate of item');"
         "ALTER TABLE public.item ADD CHECK (public.spy('check of item'))",
         "SELECT title FROM public.item WHERE id = 5"),
    Trap("partition of a watched table", "CREATE TABLE public.parted (id int) PARTITION BY RANGE"
         " ((id + public.spy('partition key')::int))"),
    Trap("triggers of a watched table",
         "CREATE FUNCTION public.change() RETURNS trigger LANGUAGE plpgsql AS $$"
         "BEGIN PERFORM public.strike('trigger'); RETURN NULL; END$$;"
         "CREATE TRIGGER aa AFTER INSERT OR UPDATE ON public.item FOR EACH ROW EXECUTE FUNCTION public.change();"
         "CREATE RULE also AS ON DELETE TO public.member DO ALSO SELECT public.spy('rule')"),
    Trap("default privileges", "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO evil;"
         "ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO evil"),
    Trap("generated column", "ALTER TABLE public.talk ADD made boolean GENERATED ALWAYS AS (public.spy('generated')) STORED",
         "INSERT INTO public.talk (id) VALUES (100)"),
    Trap("functions of a range", "CREATE FUNCTION public.apart(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$"
         "BEGIN PERFORM public.strike('difference of a range'); RETURN 1; END$$;"
         "CREATE TYPE public.gap AS RANGE (SUBTYPE = int4, SUBTYPE_DIFF = public.apart);"
         "ALTER TABLE public.talk ADD gap public.gap DEFAULT '[1,2)';"
         "CREATE INDEX ON public.talk USING gist (gap)"),
    Trap("statistics", "DO $$BEGIN IF current_setting('server_version_num')::int >= 140000 THEN"
         " EXECUTE 'CREATE STATISTICS public.guess ON (public.spy(''statistics of talk'')), id FROM public.talk';"
         " END IF; END$$"),
    Trap("tables by the names of Django's", "".join(
        f"CREATE TABLE public.{t} ({columns}); CREATE INDEX ON public.{t} ((public.spy('index of {t}')));"
        for t, columns in [
            ("django_migrations", "id bigint PRIMARY KEY"),
            ("django_content_type", "id bigint PRIMARY KEY, app_label varchar(100)"),
            ("auth_user", "id bigint PRIMARY KEY, password text, last_login timestamptz, role text"),
            ("auth_group", "id int PRIMARY KEY, name varchar(150)"),
            ("auth_user_groups", "id bigint PRIMARY KEY, user_id bigint REFERENCES public.auth_user,"
                                 " group_id int REFERENCES public.auth_group"),
            ("authtoken_token", "key varchar(40) PRIMARY KEY, user_id bigint REFERENCES public.auth_user")]),
         "SELECT FROM public.django_content_type"),
    Trap("rules of watched tables", "CREATE RULE too AS ON UPDATE TO public.talk DO ALSO SELECT public.spy('rule of talk');"
         "CREATE RULE token_too AS ON DELETE TO public.api_key DO ALSO SELECT public.spy('rule of api_key')",
         "UPDATE public.talk SET title = 'x' WHERE id = 1"),
    Trap("schemas by the names of roles", "".join(
        f"CREATE SCHEMA {s}; GRANT USAGE ON SCHEMA {s} TO PUBLIC;"
        f"CREATE FUNCTION {s}.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS"
        f" $f$SELECT public.spy('{s}.format')::text$f$;"
        f"CREATE VIEW {s}.pg_roles AS SELECT r.* FROM pg_catalog.pg_roles AS r WHERE public.spy('{s}.pg_roles');"
        for s in ["pgherald_owner", "pgherald_teller", "pgherald_auth", "postgres"]),
         "SELECT FROM pgherald_owner.pg_roles"),
    # from here on names mean something else
    Trap("aggregates", "CREATE FUNCTION public.gather(text, anyelement) RETURNS text LANGUAGE plpgsql AS $$"
         "BEGIN PERFORM public.strike('aggregate'); RETURN NULL; END$$;" + "".join(
             f"CREATE AGGREGATE public.{a}(anyelement) (SFUNC = public.gather, STYPE = text);"
             for a in ["array_agg", "count", "max", "min", "bool_or", "bool_and", "sum", "jsonb_agg"]),
         "SET search_path = public, pg_catalog; SELECT public.max(1)"),
    Trap("operators", operators(), "SELECT 1::oid = 'pg_class'::regclass"),
    Trap("functions", functions(),
         "SET search_path = public, pg_catalog; SELECT format('%s', VARIADIC ARRAY['a'])"),
    Trap("search_path of the database",
         "DO $$BEGIN EXECUTE pg_catalog.format('ALTER DATABASE %I SET search_path = public, pg_catalog',"
         " pg_catalog.current_database()); END$$"),
    Trap("settings of the database", "".join(
        f"DO $$BEGIN EXECUTE pg_catalog.format('ALTER DATABASE %I SET {s}', pg_catalog.current_database()); END$$;"
        for s in ["standard_conforming_strings = off", "transform_null_equals = on", "array_nulls = off",
                  "quote_all_identifiers = on", "bytea_output = escape", "datestyle = SQL",
                  "intervalstyle = sql_standard", "plan_cache_mode = force_custom_plan", "check_function_bodies = off",
                  "row_security = off", "extra_float_digits = -10", "default_transaction_isolation = serializable"])),
    Trap("types", "".join(f"CREATE DOMAIN public.{t} AS pg_catalog.text CHECK (public.spy('type {t}'));"
                          for t in ["regclass", "regrole", "oid", "int8", "text", "name", "jsonb", "json",
                                    "timestamptz", "regnamespace", "regprocedure", "record"]),
         "SET search_path = public, pg_catalog; SELECT '1'::public.oid"),
]

# What the planner computes of the former: the finding foreign-code.
LEFT = {"index of item", "predicate of item", "statistics of talk"}

# Those that need no table: what the owner of a database can do to the owner of its tables.
NAMES = [t for t in BEFORE if t.name in ("operators", "functions", "types") or "of the database" in t.name]

# Each in a database of its own: what is refused, or would keep others from being met.
ALONE = [
    Trap("watched view", "ALTER TABLE public.item RENAME TO item_table;"
         "CREATE VIEW public.item AS SELECT i.* FROM public.item_table AS i WHERE public.spy('view')",
         "SELECT FROM public.item", refused="public.item is a view"),
    Trap("joined view", "ALTER TABLE public.customer RENAME TO customer_table;"
         "CREATE VIEW public.customer AS SELECT c.* FROM public.customer_table AS c WHERE public.spy('joined view')",
         "SELECT FROM public.customer", refused="public.customer is a view"),
    Trap("view of tokens", "ALTER TABLE public.token RENAME TO token_table;"
         "CREATE VIEW public.token AS SELECT t.* FROM public.token_table AS t WHERE public.spy('token view')",
         "SELECT FROM public.token", refused="public.token is a view"),
    Trap("foreign part of a joined table", "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER far FOREIGN DATA WRAPPER far;"
         "CREATE FOREIGN TABLE public.elsewhere () INHERITS (public.customer) SERVER far;"
         "ALTER FOREIGN TABLE public.elsewhere OWNER TO evil",
         refused="public.elsewhere is a foreign table", super=True),
    Trap("event trigger", "CREATE FUNCTION public.ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$"
         "BEGIN PERFORM public.strike('event trigger'); END$$; ALTER FUNCTION public.ddl() OWNER TO evil;"
         "CREATE EVENT TRIGGER ddl ON ddl_command_end EXECUTE FUNCTION public.ddl()",
         "CREATE TABLE public.made ()", refused="event trigger ddl", super=True),
    Trap("schema pgherald beforehand", "CREATE SCHEMA pgherald; GRANT USAGE ON SCHEMA pgherald TO PUBLIC;"
         "CREATE TABLE pgherald.row AS SELECT true AS one, 9 AS schema_version, 'epoch001'::text AS epoch,"
         " 1::bigint AS floor_txid, now() AS installed_at, 1::bigint AS max_bytes, 1::bigint AS stop_bytes;"
         "CREATE VIEW pgherald.meta AS SELECT r.* FROM pgherald.row AS r WHERE public.spy('meta');"
         "CREATE VIEW pgherald.journal AS SELECT 1::bigint AS txid, 1::bigint AS id, now() AS at, 't' AS topic,"
         " 'r'::\"char\" AS op, NULL::text AS pk, '{}'::text[] AS own_old, '{}'::text[] AS own_new,"
         " '{}'::json AS data, NULL::json AS past, NULL::text AS actor, 1 AS n WHERE public.spy('journal');"
         "CREATE VIEW pgherald.loss AS SELECT 1::bigint AS last_value, public.spy('loss') AS is_called;"
         "CREATE VIEW pgherald.gate AS SELECT 1::bigint AS last_value, public.spy('gate') AS is_called;"
         "CREATE FUNCTION pgherald.epoch() RETURNS text LANGUAGE sql AS $$SELECT public.spy('epoch')::text$$;"
         "CREATE FUNCTION pgherald.prune(interval, int, bigint) RETURNS bigint LANGUAGE sql AS"
         " $$SELECT public.spy('prune')::int::bigint$$;"
         "GRANT SELECT ON ALL TABLES IN SCHEMA pgherald TO PUBLIC",
         "SELECT pgherald.epoch(), m.* FROM pgherald.meta AS m", refused="belongs to"),
]


def retyped(table, column, labels):
    """A column gets a type of the application's, with a cast to whatever somebody might want."""
    name = f"public.trap_{table}_{column}"
    values = {"text": "'x'", "varchar": "'x'", "int8": "1", "bool": "true", "timestamptz": "now()",
              "json": "'null'", "jsonb": "'null'"}
    return Trap(
        f"{table}.{column} gets a type with casts",
        f"CREATE TYPE {name} AS ENUM ({', '.join(map(repr, labels))});"
        f"ALTER TABLE public.{table} ALTER {column} DROP DEFAULT,"
        f" ALTER {column} TYPE {name} USING {column}::pg_catalog.text::{name};"
        + "".join(cast(name, to, "AS IMPLICIT", value) for to, value in values.items()),
        f"SELECT CAST({labels[0]!r}::{name} AS pg_catalog.text)")


def domained(table, column, base):
    """A column gets a domain whose check is a trap: for who makes a value of text."""
    name = f"public.domain_{table}_{column}"
    return Trap(
        f"{table}.{column} gets a domain with a check",
        f"CREATE DOMAIN {name} AS {base};"
        f"ALTER TABLE public.{table} ALTER {column} TYPE {name};"
        f"ALTER DOMAIN {name} ADD CHECK (public.spy('domain of {column}'))",
        f"SELECT NULL::{name}")


def policy(table):
    return Trap(f"policy on {table}",
                f"ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
                f"CREATE POLICY trap ON public.{table} USING (public.spy('policy on {table}'))"
                f" WITH CHECK (true)",
                f"SELECT FROM public.{table}")


def viewed(table):
    return Trap(f"{table} becomes a view",
                f"ALTER TABLE public.{table} RENAME TO {table}_table;"
                f"CREATE VIEW public.{table} AS SELECT t.* FROM public.{table}_table AS t"
                f" WHERE public.spy('view {table}'); GRANT ALL ON public.{table} TO PUBLIC",
                f"SELECT FROM public.{table}")


ALTERING = """
CREATE FUNCTION public.differs(name, name) RETURNS boolean LANGUAGE plpgsql AS $f$
  BEGIN PERFORM public.strike('operator'); RETURN false; END $f$;
CREATE OPERATOR public.<> (LEFTARG = name, RIGHTARG = name, FUNCTION = public.differs);
CREATE FUNCTION public.alter_all() RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
  f regprocedure;
BEGIN
  FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_roles AS r ON r.oid = p.proowner
           WHERE r.rolname = current_user AND p.pronamespace = 'pgherald'::regnamespace LOOP
    EXECUTE format('ALTER FUNCTION %s SECURITY INVOKER SET search_path = public, pg_catalog', f);
  END LOOP;
END $f$;
CREATE FUNCTION public.alter_it() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
  PERFORM public.strike('index that alters'), public.alter_all();
  RETURN true;
END $f$;"""


def indexed(table, *roles):
    """The planner computes constant calls of an index: this door PostgreSQL leaves."""
    return Trap(f"index of {table}", f"CREATE INDEX ON public.{table} ((public.spy('index of {table}')))",
                f"SELECT FROM public.{table}", residual=roles)


def altering(table, *roles):
    """Through the same door: the role alters its functions, so that they run with the rights of their caller."""
    return Trap(f"index of {table} alters what reads it", ALTERING + f"""
CREATE INDEX ON public.{table} ((public.alter_it()))""", f"SELECT FROM public.{table}", residual=roles)


def member(table, column, kind, value):
    """A column's type has a part somewhere inside, which gets casts."""
    return Trap(
        f"{table}.{column} gets a type with {kind} inside",
        cast("public.mood", "json") + cast("public.mood", "jsonb") + cast("public.mood", "text", "AS IMPLICIT", "'x'")
        + f"CREATE TYPE public.inner_type AS (a public.mood[]);"
        f"CREATE DOMAIN public.outer_type AS {kind} CHECK (public.spy('domain of {column}'));"
        f"ALTER TABLE public.{table} ALTER {column} TYPE public.outer_type USING NULL;"
        f"ALTER TABLE public.{table} ALTER {column} SET DEFAULT {value}::public.outer_type;"
        f"UPDATE public.{table} SET {column} = DEFAULT",
        f"SELECT to_json({value}::public.outer_type)")


# Planted when all is installed, each in a database of its own.
AFTER = [
    member("item", "title", "public.inner_type", "ROW('{glad}')"),
    member("item", "title", "public.inner_type[]", "ARRAY[ROW('{glad}')::public.inner_type]"),
    member("item", "title", "public.mood[]", "'{glad}'"),
    member("talk", "title", "public.inner_type", "ROW('{glad}')"),
    member("customer", "name", "public.inner_type", "ROW('{glad}')"),
    Trap("item.size gets a member with casts", cast("public.mood", "json") + cast("public.mood", "jsonb")
         + cast("public.mood", "text", "AS IMPLICIT", "'x'") + "ALTER TYPE public.size ADD ATTRIBUTE m public.mood;"
         "ALTER TABLE public.item ALTER size SET DEFAULT '(1,2,glad)'",
         "SELECT to_json('(1,2,glad)'::public.size)"),
    Trap("item.title gets a range over a domain", "CREATE DOMAIN public.edge AS int CHECK (public.spy('edge'));"
         "CREATE TYPE public.edges AS RANGE (SUBTYPE = public.edge);"
         "ALTER TABLE public.item ALTER title TYPE public.edges USING NULL;"
         "ALTER TABLE public.item ALTER title SET DEFAULT '[1,2)'", "SELECT '[1,2)'::public.edges::pg_catalog.text"),
    Trap("a child of customer", "CREATE TABLE public.child (CHECK (public.spy('check of a child'))) INHERITS (public.customer);"
         "INSERT INTO public.child VALUES (9, 'x'); ALTER TABLE public.child ENABLE ROW LEVEL SECURITY;"
         "CREATE POLICY p ON public.child USING (public.spy('policy of a child'))",
         "SELECT FROM public.customer WHERE name = 'x'", residual=("pgherald_teller",)),
    Trap("a child of token", "CREATE TABLE public.child () INHERITS (public.token);"
         "CREATE INDEX ON public.child ((public.spy('index of a child')))",
         "SELECT FROM public.token", residual=("pgherald_auth",)),
    retyped("token", "key", ["t1", "t2", "t8", "t9"]),
    retyped("token", "user_id", ["1", "2"]),
    retyped("token", "expires", ["2030-01-01 00:00:00+00"]),
    retyped("users", "id", ["1", "2"]),
    retyped("users", "role", ["manager", "foreman"]),
    retyped("users", "is_active", ["true", "false"]),
    retyped("users", "password", ["h1", "h2"]),
    retyped("django_session", "session_key", ["s1"]),
    retyped("django_session", "session_data", ["x:y:z", "z:y:z"]),
    retyped("django_session", "expire_date", ["2030-01-01 00:00:00+00"]),
    retyped("grp", "id", ["1", "2"]),
    retyped("grp", "name", ["manager", "foreman"]),
    retyped("membership", "user_id", ["1", "2"]),
    retyped("membership", "group_id", ["1", "2"]),
    domained("users", "id", "bigint"),
    domained("token", "user_id", "bigint"),
    # watched
    retyped("item", "id", ["1", "2", "3", "4", "5", "9"]),
    retyped("item", "title", ["a", "b", "c", "d"]),
    retyped("item", "at", ["2026-01-01 00:00:00+00"]),
    retyped("item", "total", ["1"]),
    retyped("item", "customer_id", ["1", "2"]),
    retyped("item", "owner_id", ["1", "2"]),
    retyped("news", "title", ["a", "b", "c", "d"]),
    retyped("news", "owner_id", ["1", "2"]),
    domained("item", "id", "bigint"),
    domained("item", "owner_id", "bigint"),
    Trap("casts of watched types", cast("public.mood", "json") + cast("public.mood", "jsonb")
         + cast("public.mood", "text", "AS IMPLICIT", "'x'") + cast("public.mood", "int8", "AS IMPLICIT")
         + cast("text", "public.mood", "AS ASSIGNMENT") + cast("public.mood[]", "text", "AS ASSIGNMENT")
         + cast("public.size", "text") + cast("public.span", "json") + cast("public.span", "text"),
         "SELECT to_json('glad'::public.mood)"),
    Trap("a domain of a watched and a joined table gets a check",
         "ALTER DOMAIN public.code ADD CHECK (public.spy('domain'))", "SELECT 'a'::public.code"),
    # with names and owners
    retyped("customer", "id", ["1", "2"]),
    retyped("customer", "name", ["Bridge", "Tower"]),
    retyped("member", "item_id", ["1", "2"]),
    retyped("member", "user_id", ["2"]),
    retyped("users", "nick", ["boss", "anna"]),
    domained("customer", "id", "bigint"),
    domained("member", "item_id", "bigint"),
    *[policy(t) for t in ("token", "users", "django_session", "grp", "membership", "customer", "member", "item")],
    *[viewed(t) for t in ("token", "users", "django_session", "grp", "membership", "customer", "member", "item")],
    *[indexed(t, "pgherald_auth") for t in ("token", "django_session", "grp", "membership")],
    *[indexed(t, "pgherald_teller") for t in ("customer", "member", "item")],
    indexed("users", "pgherald_auth", "pgherald_teller"),
    # keys of the API, and channels
    domained("api_key", "hash", "text"),
    retyped("api_key", "user_id", ["1", "2"]),
    retyped("api_key", "ends", ["2030-01-01 00:00:00+00"]),
    retyped("talk", "room", ["1", "2"]),
    domained("talk", "room", "bigint"),
    *[policy(t) for t in ("api_key", "talk")],
    *[viewed(t) for t in ("api_key", "talk")],
    indexed("api_key", "pgherald_auth"),
    indexed("talk", "pgherald_teller"),
    *[altering(t, "pgherald_auth") for t in ("token", "django_session", "grp")],
    *[altering(t, "pgherald_teller") for t in ("customer", "member", "item")],
    altering("users", "pgherald_auth", "pgherald_teller"),
]


# What code that runs as one of our roles could do there beyond reading, for others to meet later: {f} is each
# function of the role, {r} the role.
DEEDS = [
    "ALTER FUNCTION {f} SET search_path = public, pg_catalog",
    "ALTER FUNCTION {f} SET timezone = 'Asia/Tokyo'",
    "ALTER FUNCTION {f} RESET ALL",
    "ALTER FUNCTION {f} SECURITY INVOKER",
    "ALTER FUNCTION {f} VOLATILE STRICT COST 1000000",
    "GRANT EXECUTE ON FUNCTION {f} TO PUBLIC",
    "REVOKE ALL ON FUNCTION {f} FROM pgherald_owner, pgherald",
    "COMMENT ON FUNCTION {f} IS 'as it was'",
    "ALTER FUNCTION {f} SET SCHEMA public",
    "ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO PUBLIC",
    "ALTER ROLE {r} SET search_path = public",
    "ALTER ROLE {r} PASSWORD 'known'",
    "CREATE FUNCTION public.kept_{r}() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
    "CREATE TABLE public.kept_{r} AS SELECT 1 AS rights",
    "CREATE TEMP TABLE journal AS SELECT 1 AS txid",
    "LISTEN pgherald",
    "SET search_path = public, pg_catalog",
    "SET timezone = 'Asia/Tokyo'",
    "SET session_replication_role = 'origin'; SET row_security = on",
    "DROP FUNCTION {f}",
    "DROP OWNED BY {r}",
]
IN_VAIN = [d for d in DEEDS if "DROP OWNED" in d or "replication_role" in d]  # PostgreSQL refuses these


def doing(table):
    """An index that does what public.turn says, as whoever plans a statement on the table."""
    return f"""
GRANT CREATE ON SCHEMA public TO PUBLIC;
CREATE TABLE public.turn (deed text);
INSERT INTO public.turn VALUES ('');
GRANT SELECT ON public.turn TO PUBLIC;
CREATE FUNCTION public.act() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $f$
DECLARE
  deed CONSTANT text := (SELECT t.deed FROM public.turn AS t);
  f    text;
BEGIN
  FOREACH f IN ARRAY CASE WHEN strpos(deed, '{{f}}') = 0 THEN '{{-}}' ELSE ARRAY(
      SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = p.proowner
      WHERE r.rolname = current_user AND p.pronamespace = 'pgherald'::regnamespace) END LOOP
    BEGIN
      EXECUTE replace(replace(deed, '{{f}}', f), '{{r}}', current_user);
      RAISE WARNING 'TRAP <%> as % of %', deed, current_user, session_user;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
END $f$;
CREATE FUNCTION public.act_now() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
  IF current_user <> session_user THEN
    PERFORM public.act();
  END IF;
  RETURN true;
END $f$;
CREATE INDEX ON public.{table} ((public.act_now()))"""


# The same door, and what no roll-back takes back: the session's prepared statements get a trap's name.
REPLACING = """
CREATE FUNCTION public.replace_all() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $f$
DECLARE
  p record;
BEGIN
  FOR p IN SELECT * FROM pg_prepared_statement() AS s WHERE NOT s.from_sql LOOP
    EXECUTE format('DEALLOCATE %I', p.name);
    EXECUTE format('PREPARE %I (%s) AS SELECT public.spy(%L)', p.name,
                   array_to_string(p.parameter_types, ', '), 'prepared statement');
    RAISE WARNING 'TRAP <replaced> as % of %', current_user, session_user;
  END LOOP;
END $f$;
CREATE FUNCTION public.replace_it() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
  PERFORM public.replace_all();
  RETURN true;
END $f$;
CREATE INDEX ON public.customer ((public.replace_it()))"""

# An error that WHEN OTHERS lets pass, of whoever reads the table but its owner.
ASSERTING = """
CREATE FUNCTION public.fail() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
  ASSERT current_user = session_user, 'not for you';
  RETURN true;
END $f$;
CREATE INDEX ON public.customer ((public.fail()))"""

# What no cancel ends, of whoever reads the table but its owner.
LOOPING = """
CREATE FUNCTION public.loop() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
  WHILE current_user <> session_user LOOP
    BEGIN
      PERFORM pg_catalog.pg_sleep(1);
    EXCEPTION WHEN query_canceled THEN
      NULL;
    END;
  END LOOP;
  RETURN true;
END $f$;
CREATE INDEX ON public.customer ((public.loop()))"""

# The same door, and somebody else's cursors: those of PL/pgSQL's loops, and the writer's own.
FETCHING = """
CREATE FUNCTION public.fetch_all() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $f$
DECLARE
  p record;
  r record;
BEGIN
  IF current_user = session_user THEN
    RETURN;
  END IF;
  FOR p IN SELECT c.name, w.way FROM pg_cursor() AS c,
                  unnest('{FETCH NEXT FROM,FETCH ABSOLUTE 1 FROM,FETCH PRIOR FROM,FETCH FIRST FROM}'::text[]) AS w (way)
           WHERE c.statement !~ 'pg_cursor' LOOP
    BEGIN
      EXECUTE format('%s %I', p.way, p.name) INTO r;
      IF r IS NOT NULL OR r::text ~ '[a-z]' THEN
        RAISE WARNING 'TRAP <% %> as % of %', p.way, left(r::text, 20), current_user, session_user;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
END $f$;
CREATE FUNCTION public.fetch_it() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
  PERFORM public.fetch_all();
  RETURN true;
END $f$;
CREATE INDEX ON public.customer ((public.fetch_it()))"""


# What a member of pgherald_owner, who installs without being a superuser, can leave in our own tables for a superuser
# who comes later; each as that role.
OURS = {
    "an index": "CREATE INDEX ON pgherald.meta ((public.spy('index of meta')))",
    "a predicate": "CREATE INDEX ON pgherald.journal (id) WHERE public.spy('predicate of journal')",
    "a check": "ALTER TABLE pgherald.meta ADD CHECK (public.spy('check of meta'))",
    "a default": "ALTER TABLE pgherald.journal ALTER n SET DEFAULT CASE WHEN public.spy('default of journal') THEN 1 END",
    "a generated column": "ALTER TABLE pgherald.kept ADD x boolean GENERATED ALWAYS AS (public.spy('generated')) STORED",
    "a child": "CREATE TABLE public.child () INHERITS (pgherald.meta);"
               "CREATE INDEX ON public.child ((public.spy('index of a child')))",
    "a cast": "CREATE TYPE public.version AS ENUM ('4');"
              "CREATE FUNCTION public.to_int(public.version) RETURNS int LANGUAGE plpgsql AS"
              " $f$BEGIN PERFORM public.strike('cast of meta'); RETURN 4; END$f$;"
              "CREATE CAST (public.version AS int) WITH FUNCTION public.to_int(public.version) AS IMPLICIT;"
              "ALTER TABLE pgherald.meta ALTER schema_version TYPE public.version"
              " USING schema_version::text::public.version",
    "a rule": "CREATE RULE trap AS ON UPDATE TO pgherald.meta DO ALSO SELECT public.spy('rule of meta')",
    "a policy": "ALTER TABLE pgherald.journal ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
                "CREATE POLICY trap ON pgherald.journal USING (public.spy('policy of journal'))",
    "a trigger": "CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql AS"
                 " $f$BEGIN PERFORM public.strike('trigger of meta'); RETURN NEW; END$f$;"
                 "CREATE TRIGGER trap BEFORE INSERT OR UPDATE OR DELETE ON pgherald.meta FOR EACH ROW"
                 " EXECUTE FUNCTION public.fire()",
    "statistics": "CREATE STATISTICS pgherald.trap ON (public.spy('statistics')), n FROM pgherald.journal",
    "an extra function of ours": "CREATE FUNCTION pgherald.md5(text) RETURNS text LANGUAGE plpgsql AS"
                                 " $f$BEGIN PERFORM public.strike('md5'); RETURN $1; END$f$",
    "prune as whoever calls it": "ALTER FUNCTION pgherald.prune(interval, int, bigint) SECURITY INVOKER",
}
