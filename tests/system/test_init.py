# SPDX-License-Identifier: PostgreSQL
"""`pgherald init`: what it proposes for a real Django project works as it is, and looking does no harm."""

import json
import os
import pty
import re
import stat
import subprocess
from pathlib import Path

import psycopg2
import pytest
from conftest import PGHERALD, run_pgherald
from lib.daemon import Client, Daemon
from lib.django_env import PROJECT, Django, Unavailable, distribution_python

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(cluster):
    """The example's tables, made by its migrations, and its users."""
    try:
        python = distribution_python()
    except Unavailable as why:
        pytest.skip(str(why))
    db = cluster.create_database()
    cluster.execute("DO $$ BEGIN CREATE ROLE estimates LOGIN;"
                    " EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    cluster.execute(f"ALTER DATABASE {db.name} OWNER TO estimates")
    db.django = Django(python, db)
    db.django.manage("migrate", "-v", "0")
    db.users = json.loads(db.django.manage("seed"))
    pristine = cluster.create_database(db.name)
    db.pristine = pristine.name
    yield db
    db.django.close()
    db.drop()
    pristine.drop()


def init(db, *args, dsn=None):
    return run_pgherald("init", "--dsn", dsn or db.conninfo(), *args)


def proposed(db, tmp_path, *args):
    """The file that init writes without asking."""
    conf = tmp_path / "pgherald.conf"
    done = init(db, "--yes", "-c", conf, *args)
    assert done.returncode == 0, done.stderr
    return conf


def test_proposal_as_it_is_tells_each_user_what_is_his(site, tmp_path):
    conf = proposed(site, tmp_path)
    assert run_pgherald("-t", "-c", conf).returncode == 0
    # the daemon of the tests is another system user, and the port is free
    text = conf.read_text()
    text = text.replace("127.0.0.1:8080", "127.0.0.1:0")
    conf.write_text(text)
    conf.chmod(0o644)
    done = run_pgherald("sql", "install", "--apply", "-c", conf, "--dsn", site.conninfo())
    assert done.returncode == 0, done.stderr
    daemon = Daemon(PGHERALD, conf, tmp_path / "daemon.log").start().wait_ready()
    try:
        users, printed = tmp_path / "users.json", tmp_path / "printed.conf"
        users.write_text(json.dumps(site.users))
        printed.write_text(run_pgherald("--print-config", "-c", conf).stdout)
        proof = subprocess.run(
            [site.django.python, str(PROJECT / "proof.py"), "http://%s:%d/api/v1/sse/events/" % daemon.address,
             str(users), "--conf", str(printed), "--", site.django.python, str(PROJECT / "manage.py")],
            env=site.django.env, capture_output=True, text=True, timeout=120)
        assert proof.returncode == 0, proof.stdout + proof.stderr
        heard = {who: Client(daemon, user["token"]) for who, user in site.users.items()}
        for client in heard.values():
            client.hello()
        site.django.run("""
            project = Project.objects.create(name="Bridge")
            Estimate.objects.create(number="E-1", project=project, foreman=foreman1, creator=manager)
            Estimate.objects.create(number="E-2", project=project, foreman=foreman2, creator=manager)
        """)
        for who, numbers in (("manager", ["E-1", "E-2"]), ("foreman1", ["E-1"]),
                             ("foreman2", ["E-2"])):
            for number in numbers:
                data = heard[who].wait_message("estimate.created", number=number)["data"]
                assert data["project_name"] == "Bridge"
                assert data["foreman_name"] == {"E-1": "foreman1", "E-2": "foreman2"}[number]
    finally:
        daemon.stop()
        done = run_pgherald("sql", "uninstall", "--apply", "-c", conf, "--dsn", site.conninfo())
        assert done.returncode == 0, done.stderr


def test_nothing_is_written_into_the_database(site, tmp_path):
    count = "SELECT count(*) FROM pg_class, LATERAL (SELECT count(*) FROM pg_proc) AS p"
    before = site.one(count), site.one("SELECT pg_snapshot_xmax(pg_current_snapshot())")
    proposed(site, tmp_path)
    assert (site.one(count), site.one("SELECT pg_snapshot_xmax(pg_current_snapshot())")) == before


def test_owner_of_the_tables_needs_no_more_rights(site, tmp_path):
    """As the application's role, who reads its own tables."""
    conf = tmp_path / "pgherald.conf"
    done = init(site, "--yes", "-c", conf, dsn=site.conninfo("estimates"))
    assert done.returncode == 0, done.stderr
    assert "[role foreman]" in conf.read_text()


def test_password_stays_out_of_the_file(site, tmp_path):
    conf = proposed(site, tmp_path, "--dsn", site.conninfo() + " password='hunter two'")
    assert "hunter" not in conf.read_text()
    assert f"dbname={site.name}" in conf.read_text()


def test_named_tables_only(site, tmp_path):
    text = proposed(site, tmp_path, "--watch", "public.api_estimate:creator_id",
                    "--watch", "public.api_project").read_text()
    assert "owners = creator_id\n" in text
    assert re.findall(r"^\[watch (.*)\]", text, re.M) == ["estimate", "project"]
    done = init(site, "--yes", "-c", "-", "--watch", "public.api_estimate:nobody")
    assert done.returncode == 1 and "has no column nobody" in done.stderr and not done.stdout


def test_without_a_terminal_it_does_not_guess_what_to_take(site, tmp_path):
    done = subprocess.run([PGHERALD, "init", "--dsn", site.conninfo(), "-c", tmp_path / "c"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 1 and "--yes" in done.stderr
    assert not list(tmp_path.iterdir())


class Terminal:
    """The program in a terminal of its own."""

    def __init__(self, *args):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execv(PGHERALD, [PGHERALD, *map(str, args)])
        self.seen = ""

    def read_until(self, words):
        while words not in self.seen:
            try:
                piece = os.read(self.fd, 4096).decode()
            except OSError:  # the other side has gone
                piece = ""
            assert piece, f"{words!r} did not come: {self.seen}"
            self.seen += piece
        self.seen = self.seen.split(words, 1)[1]

    def say(self, text):
        os.write(self.fd, text.encode())

    def status(self):
        try:
            while os.read(self.fd, 4096):
                pass
        except OSError:
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_conversation(site, tmp_path):
    conf = tmp_path / "pgherald.conf"
    t = Terminal("init", "--dsn", site.conninfo(), "-c", conf)
    t.read_until("public.api_estimate")
    t.read_until("owners: foreman_id")
    t.read_until("[Y/n] ")
    t.say("perhaps\n")
    t.read_until("[Y/n] ")
    t.say("\n")
    t.read_until("public.api_project")
    t.read_until("[Y/n] ")
    t.say("n\n")
    t.read_until("is written")
    assert t.status() == 0
    assert re.findall(r"^\[watch (.*)\]", conf.read_text(), re.M) == ["estimate"]


@pytest.mark.parametrize("key", ["\x04", "\x03"], ids=["end-of-file", "ctrl-c"])
def test_leaving_the_conversation_leaves_nothing(site, tmp_path, key):
    t = Terminal("init", "--dsn", site.conninfo(), "-c", tmp_path / "pgherald.conf")
    t.read_until("[Y/n] ")
    t.say(key)
    assert t.status() != 0
    assert not list(tmp_path.iterdir())


def test_a_file_that_says_something_is_kept(site, tmp_path):
    conf = proposed(site, tmp_path)
    edited = conf.read_text() + "# mine\n"
    conf.write_text(edited)
    conf.chmod(0o604)
    done = init(site, "--yes", "-c", conf)
    assert done.returncode == 1 and "--force" in done.stderr
    assert conf.read_text() == edited
    done = init(site, "--yes", "-c", conf, "--force")
    assert done.returncode == 0, done.stderr
    assert "# mine" not in conf.read_text()
    assert (tmp_path / "pgherald.conf.old").read_text() == edited
    assert stat.S_IMODE(conf.stat().st_mode) == 0o604
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pgherald.conf", "pgherald.conf.old"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n[server]\nlisten = 127.0.0.1:8080\n#[watch x]\n"])
def test_a_file_without_a_watch_is_replaced(site, tmp_path, text):
    (tmp_path / "pgherald.conf").write_text(text)
    assert "[watch estimate]" in proposed(site, tmp_path).read_text()


def test_a_broken_file_is_not_replaced(site, tmp_path):
    conf = tmp_path / "pgherald.conf"
    conf.write_text("[watch x]\ntable = public.x\nfields = ((\n")
    done = init(site, "--yes", "-c", conf)
    assert done.returncode == 1 and conf.read_text().startswith("[watch x]")


def test_new_file_is_not_for_everybody(site, tmp_path):
    assert stat.S_IMODE(proposed(site, tmp_path).stat().st_mode) & 0o007 == 0


def test_a_directory_that_is_not_there(site, tmp_path):
    done = init(site, "--yes", "-c", tmp_path / "none" / "pgherald.conf")
    assert done.returncode == 1 and "No such file" in done.stderr


def test_database_that_is_not_djangos(cluster, tmp_path):
    db = cluster.create_database()
    try:
        db.run("CREATE TABLE customers (id int PRIMARY KEY, name text)")
        done = init(db, "--yes", "-c", tmp_path / "c")
        assert done.returncode == 1
        assert "public.customers" in done.stderr and "preset = custom" in done.stderr
        assert not (tmp_path / "c").exists()
    finally:
        db.drop()


def test_no_database(tmp_path):
    done = run_pgherald("init", "--yes", "--dsn", f"host={tmp_path} dbname=x", "-c", "-")
    assert done.returncode == 1 and "cannot connect" in done.stderr and not done.stdout
    done = run_pgherald("init", "--yes", "--dsn", "nonsense", "-c", "-")
    assert done.returncode == 1 and done.stderr
    assert run_pgherald("init", "--yes").returncode == 2


# What an application's role could put in the way of an administrator who looks. public.trap() says so
# in a warning, which a transaction that is read only cannot hold back.
TRAPS = {
    "operator": "CREATE FUNCTION public.same(text, text) RETURNS boolean LANGUAGE sql AS"
                " 'SELECT public.trap()';"
                "CREATE OPERATOR public.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = public.same);",
    "policy on users": "ALTER TABLE api_user ENABLE ROW LEVEL SECURITY;"
                       "ALTER TABLE api_user FORCE ROW LEVEL SECURITY;"
                       "CREATE POLICY p ON api_user USING (public.trap());",
    "policy on content types": "ALTER TABLE django_content_type ENABLE ROW LEVEL SECURITY;"
                               "ALTER TABLE django_content_type FORCE ROW LEVEL SECURITY;"
                               "CREATE POLICY p ON django_content_type USING (public.trap());",
    "view for users": "ALTER TABLE api_user RENAME TO old_user; CREATE VIEW api_user AS"
                      " SELECT * FROM old_user WHERE public.trap();",
    "view for content types": "ALTER TABLE django_content_type RENAME TO old_type;"
                              "CREATE VIEW django_content_type AS"
                              " SELECT * FROM old_type WHERE public.trap();",
    "role of a type with a cast": "CREATE TYPE mood AS ENUM ('manager', 'foreman');"
                                  "ALTER TABLE api_user ALTER role DROP DEFAULT,"
                                  " ALTER role TYPE mood USING role::text::mood;"
                                  "CREATE FUNCTION mood_text(mood) RETURNS text LANGUAGE sql AS"
                                  " 'SELECT public.trap()::text';"
                                  "CREATE CAST (mood AS text) WITH FUNCTION mood_text(mood);",
}


@pytest.mark.parametrize("trap", TRAPS)
def test_looking_runs_no_code_of_the_application(site, cluster, trap):
    """As superuser, and as a role that may read."""
    db = cluster.create_database(site.pristine)
    try:
        db.run("""
            CREATE FUNCTION public.trap() RETURNS boolean LANGUAGE plpgsql AS $$
              BEGIN RAISE WARNING 'TRAPPED as %', current_user; RETURN true; END $$;
            GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;""" + TRAPS[trap])
        db.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
        for user in ("postgres", "estimates"):
            done = init(db, "--yes", "-c", "-", dsn=db.conninfo(user))
            assert "TRAPPED" not in done.stderr, done.stderr
    finally:
        db.drop()


# What PostgreSQL runs when it plans a query on a table, with the rights of whoever asks: of an application's own function.
PLANNED = {
    "index": "CREATE INDEX ON api_user ((public.trap()))",
    "predicate of an index": "CREATE INDEX ON api_user (id) WHERE public.trap()",
    "check": "ALTER TABLE api_user ADD CHECK (public.trap())",
    "index of an operator": "CREATE FUNCTION public.same(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS"
                            " $$BEGIN RETURN public.trap(); END$$;"
                            "CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = public.same);"
                            "CREATE INDEX ON api_user ((1 OPERATOR(public.===) 1))",
    "index of content types": "CREATE INDEX ON django_content_type ((public.trap()))",
    "index of a child": "CREATE TABLE other_user () INHERITS (api_user); CREATE INDEX ON other_user ((public.trap()))",
    "statistics": "CREATE STATISTICS guess ON (public.trap()), id FROM api_user",
}


@pytest.mark.parametrize("trap", PLANNED)
def test_looking_runs_nothing_where_it_is_planned(site, cluster, trap):
    """Whoever has more rights than a table's owner does not look into it where that has code of his, nor does who
    cannot keep him from putting some there meanwhile; and says so. The owner himself may, and finds the roles."""
    cluster.execute("DO $$BEGIN CREATE ROLE looker LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$")
    db = cluster.create_database(site.pristine)
    try:
        try:
            db.run("""
                GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
                GRANT USAGE, CREATE ON SCHEMA public TO estimates;
                SET ROLE estimates;
                CREATE FUNCTION public.trap() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
                  BEGIN RAISE WARNING 'TRAPPED as %', current_user; RETURN true; END $$;""" + PLANNED[trap])
        except psycopg2.errors.SyntaxError:
            assert trap == "statistics", "expressions came with PostgreSQL 14"
            return
        for user in ("postgres", "looker", "estimates"):
            done = init(db, "--yes", "-c", "-", dsn=db.conninfo(user))
            assert done.returncode == 0, done.stderr
            assert "TRAPPED" not in done.stderr or user == "estimates", done.stderr
            assert ("code of estimates could run" in done.stderr) == (user != "estimates"), done.stderr
            assert "[role foreman]" in done.stdout or user != "estimates", done.stdout
    finally:
        db.drop()


def test_looking_waits_for_no_one(site, cluster):
    """Who has a table locked keeps its roles from being found, and nothing else; afterwards nothing is locked."""
    holder = site.connect()
    holder.autocommit = False
    holder.cursor().execute("LOCK TABLE api_user IN SHARE ROW EXCLUSIVE MODE")
    done = init(site, "--yes", "-c", "-")
    assert done.returncode == 0 and "rows of public.api_user are not looked at" in done.stderr, done.stderr
    holder.close()


# Names that would be lines of the configuration, or move the cursor of a terminal.
SAYING = "id\n[auth guest]\npreset = none\nother_role = user\n#"
ODD = ["x\n[role all]\nreceives = all\n#", "x\x1b[2J", "x\x9b2J", "x\u202ey"]


def test_names_that_say_something_else(site, cluster):
    db = cluster.create_database(site.pristine)
    try:
        db.run(f'ALTER TABLE api_user_groups RENAME COLUMN group_id TO "{SAYING}"')
        db.run(f'ALTER TABLE api_estimate RENAME COLUMN id TO "{SAYING}"')
        for name in ODD:
            db.run(f'CREATE TABLE "{name}" (id int PRIMARY KEY, user_id bigint REFERENCES api_user);'
                   f'CREATE TABLE odd_{ODD.index(name)} (id int PRIMARY KEY, user_id bigint REFERENCES api_user,'
                   f' "{name}" text);'
                   f'CREATE SCHEMA "{name}"; CREATE TABLE "{name}".loose (id int PRIMARY KEY)')
        done = init(db, "--yes", "-c", "-")
        assert done.returncode == 0, done.stderr
        for text in (done.stdout, done.stderr):
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), text
        assert "[role all]" not in done.stdout and "[auth guest]" not in done.stdout
        assert "table = public.odd_0" in done.stdout
    finally:
        db.drop()
