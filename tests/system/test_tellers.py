# SPDX-License-Identifier: PostgreSQL
"""Tables of several owners: what tells of a watch is a role that can read the tables of its owners and no others'.
Each test has roles and databases of its own; `planted` is an index that tells the log what it could read."""

import json
import os
import re

import pytest

from conftest import run_pgherald

ANN, BOB, SHOP = "teller_ann", "teller_bob", "teller_shop"

CONF = """
[server]
listen = 127.0.0.1:0
[database]
conninfo = {conninfo}
[role all]
receives = all
[auth drf]
user_table = public.users
token_table = public.token
role_column = role
[watch ann]
table = ann.doc
owners = owner_id
fields = id, title
[watch bob]
table = bob.doc
owners = owner_id
fields = id, title
"""
MIXED = """
[watch mixed]
table = ann.note
owners = owner_id, id<-bob.share.note_id.user_id
fields = id, doc=doc_id->bob.doc.title
"""
TABLES = """
CREATE TABLE public.users (id bigint PRIMARY KEY, role text, is_active boolean);
CREATE TABLE public.token (key text PRIMARY KEY, user_id bigint);
INSERT INTO public.users VALUES (1, 'all', true);
"""
OF_EACH = """
CREATE SCHEMA {name} AUTHORIZATION {role};
SET ROLE {role};
CREATE TABLE {name}.doc (id bigint PRIMARY KEY, title text, owner_id bigint DEFAULT 1);
INSERT INTO {name}.doc VALUES (1, 'secret of {name}');
CREATE TABLE {name}.note (id bigint PRIMARY KEY, doc_id bigint DEFAULT 1, owner_id bigint DEFAULT 1);
CREATE TABLE {name}.share (note_id bigint, user_id bigint);
GRANT SELECT, INSERT, DELETE ON {name}.note TO PUBLIC;
GRANT USAGE ON SCHEMA {name} TO PUBLIC;
RESET ROLE;
"""
PLANTED = """
CREATE FUNCTION {schema}.look() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
DECLARE
  what text;
BEGIN
  IF current_user <> session_user AND current_setting('looking.now', true) IS DISTINCT FROM 'yes' THEN
    PERFORM set_config('looking.now', 'yes', true);
    FOREACH what IN ARRAY '{{ann.doc,bob.doc}}'::text[] LOOP
      BEGIN
        EXECUTE format('SELECT string_agg(title, chr(44)) FROM %s', what) INTO what;
        RAISE WARNING 'LOOKED as % in the session of %: %', current_user, session_user, what;
      EXCEPTION WHEN insufficient_privilege THEN
        RAISE WARNING 'LOOKED as % in the session of %: in vain', current_user, session_user;
      END;
    END LOOP;
    PERFORM set_config('looking.now', '', true);
  END IF;
  RETURN true;
END $f$;
CREATE INDEX ON {schema}.{table} (({schema}.look()));
"""
TELLERS = "SELECT coalesce(array_agg(rolname::text ORDER BY rolname), '{}') FROM pg_roles WHERE rolname ~ '^pgherald_teller_'"
TELL = """SELECT t.topic, t.op, t.doc::text FROM pgherald.tell((SELECT array_agg(DISTINCT j.txid) FROM pgherald.journal
  AS j)) AS t ORDER BY t.id"""


class Place:
    def __init__(self, cluster, directory, conf=CONF):
        self.cluster = cluster
        self.db = cluster.create_database()
        self.conf = directory / f"{self.db.name}.conf"
        self.conf.write_text(conf.format(conninfo=self.db.conninfo("pgherald")))
        self.db.run(TABLES + OF_EACH.format(name="ann", role=ANN) + OF_EACH.format(name="bob", role=BOB))
        self.begin = os.path.getsize(cluster.log)

    def sql(self, *args, dsn=None):
        return run_pgherald("sql", *args, "-c", self.conf, "--dsn", dsn or self.db.conninfo())

    def done(self, *args, **more):
        result = self.sql(*args, "--apply", **more)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stderr

    def found(self):
        result = self.sql("check", "--json")
        assert result.returncode in (0, 1), result.stderr
        return {f["id"]: f for f in json.loads(result.stdout)["findings"]
                if f["severity"] != "notice"}

    def plant(self, role, schema, table="doc"):
        connection = self.db.connect(role)
        with connection.cursor() as cursor:
            cursor.execute(PLANTED.format(schema=schema, table=table))
        connection.close()

    def tell(self):
        """What the daemon is told, and what planted code could read meanwhile: {(role, whose session): {what}}."""
        begin = os.path.getsize(self.cluster.log)
        connection = self.db.connect("pgherald")
        with connection.cursor() as cursor:
            cursor.execute(TELL)
            told = cursor.fetchall()
        connection.close()
        return told, self.looked(begin)

    def looked(self, begin):
        with open(self.cluster.log, encoding="utf-8", errors="replace") as log:
            log.seek(begin)
            found = re.findall(r"LOOKED as (\S+) in the session of (\S+): (.*)", log.read())
        who = {}
        for role, session, what in found:
            who.setdefault((role, session), set()).add(what)
        return who

    def teller(self, topic):
        return self.db.one("SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'tell_' || %s", [topic])

    def write(self):
        """Twice of a row in a transaction, so that the table is read to tell of it."""
        for name in ("ann", "bob"):
            self.db.run(f"BEGIN; INSERT INTO {name}.doc SELECT max(id) + 1, 'new' FROM {name}.doc;"
                        f" UPDATE {name}.doc SET title = 'newer' WHERE title = 'new'; COMMIT")


@pytest.fixture
def roles(cluster):
    for role in (ANN, BOB):
        cluster.execute(f"CREATE ROLE {role} LOGIN")
    yield
    for role in (ANN, BOB):
        cluster.execute(f"DROP ROLE {role}")


@pytest.fixture
def place(cluster, roles, tmp_path):
    made = Place(cluster, tmp_path)
    yield made
    made.sql("uninstall", "--apply")
    made.db.drop()


def tellers(cluster):
    connection = cluster.connect("postgres")
    with connection.cursor() as cursor:
        cursor.execute(TELLERS)
        return cursor.fetchone()[0]


def test_code_of_an_owner_reads_nothing_of_anothers(place):
    place.done("install")
    ann, bob = place.teller("ann"), place.teller("bob")
    assert {ann, bob} == set(tellers(place.cluster)) and len({ann, bob}) == 2
    assert re.fullmatch(rf"pgherald_teller_{place.db.name}_teller_ann_[0-9a-f]{{8}}", ann), ann
    assert not place.found()
    for role, name, other, teller in ((ANN, "ann", "bob", ann), (BOB, "bob", "ann", bob)):
        place.plant(role, name)
        for command in ("install", "upgrade", "upgrade"):
            place.write()
            told, looked = place.tell()
            assert {t[0] for t in told if t[1] == "i"} == {"ann", "bob"} and not [t for t in told if t[1] == "r"], told
            assert set(looked) == {(teller, "pgherald")} and "in vain" in looked[teller, "pgherald"], looked
            assert not [w for w in looked[teller, "pgherald"] if f"of {other}" in w], looked
            place.done(command)
        if role == ANN:
            place.db.run("DROP FUNCTION ann.look CASCADE")
    assert set(place.found()) == {"foreign-code"}
    assert not place.db.one("SELECT count(*)::int FROM pg_attribute, aclexplode(attacl) AS a"
                            " WHERE a.grantee = 'pgherald_teller'::regrole")
    place.done("uninstall")
    assert not tellers(place.cluster)


def test_tables_of_one_role_are_told_by_pgherald_teller(place):
    for table in ("doc", "note", "share"):
        place.db.run(f"ALTER TABLE bob.{table} OWNER TO {ANN}")
    place.done("install")
    assert place.teller("ann") == place.teller("bob") == "pgherald_teller"
    assert not tellers(place.cluster) and not place.found()


def test_a_table_that_gets_another_owner(place):
    """`check` says so, and `install`, or `upgrade`, mends it."""
    place.db.run(f"ALTER TABLE bob.doc OWNER TO {ANN}")
    place.done("install")
    place.plant(ANN, "ann")
    for mend in ("upgrade", "install"):
        place.db.run(f"ALTER TABLE bob.doc OWNER TO {BOB}")
        assert place.found()["teller-shared"]["message"] == \
            f"it tells of watch ann (tables of {ANN}), watch bob (tables of {BOB})"
        place.done(mend)
        assert "teller-shared" not in place.found()
        place.write()
        told, looked = place.tell()
        assert not [t for t in told if t[1] == "r"] and not [w for w in looked.values() if "secret of bob" in str(w)]
        place.db.run(f"ALTER TABLE bob.doc OWNER TO {ANN}")
        place.done("install")
        assert place.done(mend) is not None
    place.done("install")
    assert place.teller("ann") == place.teller("bob") == "pgherald_teller"
    assert not tellers(place.cluster), "nothing needs them any more"


def test_a_part_of_another_role_counts(place):
    place.db.run(f"""
        CREATE TABLE ann.part (id bigint, title text, owner_id bigint) PARTITION BY LIST (id);
        ALTER TABLE ann.part OWNER TO {ANN};
        CREATE TABLE bob.part PARTITION OF ann.part (PRIMARY KEY (id)) FOR VALUES IN (1);
        ALTER TABLE bob.part OWNER TO {BOB}; ALTER TABLE ann.part ADD PRIMARY KEY (id);
        DROP TABLE bob.doc""")
    place.conf.write_text(place.conf.read_text().split("[watch bob]")[0].replace("ann.doc", "ann.part"))
    warned = place.done("install")
    assert f"its tables belong to {ANN}, {BOB}" in warned
    assert place.found()["owners-mixed"]["message"] == f"watch ann reads tables of {ANN}, {BOB}"


def test_a_watch_on_tables_of_two_owners(place):
    """Its own tables can each of them read; but in no session of who writes to the other's."""
    place.conf.write_text(place.conf.read_text() + MIXED)
    assert f"watch mixed: its tables belong to {ANN}, {BOB}" in place.done("install")
    found = place.found()
    assert found.keys() >= {"owners-mixed"} and not found.keys() & {"teller-shared", "looks-early", "right-missing"}
    place.plant(BOB, "bob")
    begin = os.path.getsize(place.cluster.log)
    writer = place.db.connect(ANN)
    with writer.cursor() as cursor:
        cursor.execute("INSERT INTO ann.note (id) VALUES (1), (2)")
        cursor.execute("DELETE FROM ann.note WHERE id = 1")  # and with it may have gone what led to its owners
    writer.close()
    assert not place.looked(begin), "in the writer's session"
    told, looked = place.tell()
    assert [t[1] for t in told if t[0] == "mixed"] == ["i", "i", "d", "r"], told
    assert "secret of bob" in told[-2][2], "a name is looked up by who reads the journal"
    mixed = place.teller("mixed")
    assert set(looked) == {(mixed, "pgherald")} and "secret of ann" not in looked[mixed, "pgherald"], looked
    place.db.run("GRANT EXECUTE ON FUNCTION pgherald.names_mixed(text[]) TO pgherald_owner")
    assert "looks-early" in place.found()
    place.done("upgrade")
    assert "looks-early" not in place.found()
    # with capture = notify there is no other session to look in, which is said
    place.conf.write_text(place.conf.read_text().replace("[watch mixed]\n", "[watch mixed]\ncapture = notify\n"))
    place.done("upgrade")
    found = place.found()
    assert "looks-early" not in found and found["looks-inline"]["severity"] == "warning"
    assert found["looks-inline"]["message"].endswith(f"_mixed(text[]) looks at tables of {BOB}")


def test_who_installs_without_being_a_superuser(place):
    """A role that may make roles, and has the rights of the tables' owners."""
    cluster = place.cluster
    cluster.execute(f"CREATE ROLE {SHOP} LOGIN CREATEROLE")
    made = [r for r in ("pgherald_owner", "pgherald_teller", "pgherald_auth", "pgherald")
            if place.db.one("SELECT to_regrole(%s) IS NULL", [r])]
    try:
        for role in made:
            cluster.execute(f"CREATE ROLE {role}" + (" LOGIN" if role == "pgherald" else ""))
        cluster.execute(f"GRANT pgherald_owner, pgherald_teller, pgherald_auth, {ANN}, {BOB} TO {SHOP}")
        place.db.run(f"ALTER TABLE public.users OWNER TO {SHOP}; ALTER TABLE public.token OWNER TO {SHOP};"
                     f"GRANT CREATE ON DATABASE {place.db.name} TO {SHOP}; GRANT CREATE ON SCHEMA public TO {SHOP}")
        dsn = place.db.conninfo(SHOP)
        for command in ("install", "install", "upgrade"):
            place.done(command, dsn=dsn)
            place.write()
            assert len(tellers(cluster)) == 2
            assert not place.found().keys() - {"owner-member"}
        place.done("uninstall", dsn=dsn)
        assert not tellers(cluster)
        cluster.execute(f"ALTER ROLE {SHOP} NOCREATEROLE")
        refused = place.sql("install", "--apply", dsn=dsn)
        assert refused.returncode == 1 and f"and {SHOP} may make no role that reads those of" in refused.stderr
    finally:
        place.sql("uninstall", "--apply")
        place.db.run(f"REASSIGN OWNED BY {SHOP} TO {ANN}; DROP OWNED BY {SHOP}")
        cluster.execute(f"DROP OWNED BY {SHOP}")
        for role in made:
            cluster.execute(f"DROP ROLE IF EXISTS {role}")
        cluster.execute(f"DROP ROLE {SHOP}")


def test_a_role_of_somebody_else_by_that_name(place):
    place.done("install")
    name = place.teller("ann")
    place.done("uninstall")
    place.cluster.execute(f"CREATE ROLE {name}; GRANT {name} TO {BOB}")
    try:
        for comment in ("NULL", "'made by pgherald sql install'"):
            place.cluster.execute(f"COMMENT ON ROLE {name} IS {comment}")
            refused = place.sql("install", "--apply")
            assert refused.returncode == 1 and f"role {name} is there already" in refused.stderr
    finally:
        place.cluster.execute(f"COMMENT ON ROLE {name} IS NULL; REVOKE {name} FROM {BOB}")
        place.sql("uninstall", "--apply")
        place.cluster.execute(f"DROP ROLE IF EXISTS {name}")


def test_two_databases_and_a_restored_one(cluster, place, tmp_path):
    other = Place(cluster, tmp_path)
    copy = None
    try:
        place.done("install")
        first = tellers(cluster)
        other.done("install")
        assert len(tellers(cluster)) == 4 and set(first) < set(tellers(cluster))
        place.db.close()
        copy = cluster.create_database(place.db.name)  # with the roles of the other, as a dump has them
        restored = Place.__new__(Place)
        restored.cluster, restored.db, restored.conf = cluster, copy, tmp_path / "copy.conf"
        restored.conf.write_text(CONF.format(conninfo=copy.conninfo("pgherald")))
        restored.done("install")
        assert len(tellers(cluster)) == 6 and not set(first) & {restored.teller("ann"), restored.teller("bob")}
        place.done("uninstall")
        assert len(tellers(cluster)) == 4 and not set(first) & set(tellers(cluster))
        assert not other.found() and not restored.found().keys() - {"journal-foreign", "journal-restored"}
        other.done("uninstall")
        restored.done("uninstall")
        assert not tellers(cluster)
    finally:
        other.sql("uninstall", "--apply")
        other.db.drop()
        if copy:
            copy.drop()


def test_tokens_of_one_role_and_users_of_another(place):
    """What looks tokens up reads all of them: `install` refuses, `check` says so, and both know `trusted_owners`."""
    place.db.run(f"ALTER TABLE public.token OWNER TO {ANN}; ALTER TABLE public.users OWNER TO {BOB}")
    refused = place.sql("install", "--apply")
    assert refused.returncode == 1 and f"the tables of the [auth] sections belong to {ANN}, {BOB}" in refused.stderr
    assert not place.db.one("SELECT has_any_column_privilege('pgherald_auth', 'public.token', 'SELECT')")
    text = place.conf.read_text()
    place.conf.write_text(text.replace("[database]", f"[database]\ntrusted_owners = {ANN}"))
    assert place.sql("install", "--apply").returncode == 1
    place.conf.write_text(text.replace("[database]", f"[database]\ntrusted_owners = {BOB}, {ANN}"))
    place.done("install")
    assert not place.found()
    place.conf.write_text(text)
    assert place.found()["auth-owners"]["message"] == f"it reads tables of {ANN}, {BOB}"
    place.db.run(f"ALTER TABLE public.users OWNER TO {ANN}")
    place.done("install")
    assert not place.found()
    place.db.run("ALTER TABLE public.users OWNER TO postgres")  # whose hashes are not for her either
    assert place.found()["auth-owners"]["message"] == f"it reads tables of postgres, {ANN}"
    assert place.sql("install", "--apply").returncode == 1


def test_what_follows_owners_is_read_by_the_same_role(place):
    """The tables on the way to owners have functions of their own; where one is another role's nobody looks in the
    session of who writes to it."""
    place.db.run("CREATE INDEX ON ann.share (note_id); CREATE INDEX ON bob.share (note_id)")
    place.conf.write_text(place.conf.read_text() + """
[watch one]
table = ann.note
owners = owner_id, id<-ann.share.note_id.user_id
follow = yes
fields = id
""")
    place.done("install")
    owner = "SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'seek_one_1'"
    lookable = "SELECT has_function_privilege('pgherald_owner', 'pgherald.seek_one_1(text[], text[], text[])', 'EXECUTE')"
    assert place.db.one(owner) == place.teller("one") == place.teller("ann") and place.db.one(lookable)
    assert not place.found()
    place.db.run("INSERT INTO ann.note (id) VALUES (1)")
    place.db.run("INSERT INTO ann.share VALUES (1, 7)")
    told, _ = place.tell()
    assert [t[1] for t in told if t[0] == "one"] == ["i", "o", "x"], told
    place.db.run(f"ALTER TABLE ann.share OWNER TO {BOB}")
    assert place.found().keys() == {"owners-mixed", "looks-early", "teller-shared"}
    place.done("upgrade")
    assert place.db.one(owner) == place.teller("one") != place.teller("ann") and not place.db.one(lookable)
    assert place.found().keys() == {"owners-mixed"}
    place.plant(ANN, "ann", "note")
    begin = os.path.getsize(place.cluster.log)
    place.db.run("INSERT INTO ann.share VALUES (1, 8)", user=BOB)
    assert not place.looked(begin)
    assert [t[1] for t in place.tell()[0] if t[0] == "one"][-1] in "rf", "those concerned fetch again"
