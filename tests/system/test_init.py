# SPDX-License-Identifier: PostgreSQL
"""`pgherald init`: what it proposes for a real Django project works as it is, and looking does no harm."""

import grp
import json
import os
import pty
import re
import resource
import signal
import stat
import subprocess
from pathlib import Path

import psycopg2
import pytest
from conftest import PGHERALD, run_pgherald
from lib.daemon import Client, Daemon, as_ordinary_user
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


def findings(db, conf, command):
    done = run_pgherald(*command, "--json", "-c", conf, "--dsn", db.conninfo())
    return done.returncode, {f["id"]: f for f in json.loads(done.stdout)["findings"]}


def test_check_and_doctor_have_nothing_to_say_of_the_proposal(site, tmp_path):
    """Whoever takes it as it is has nothing left to mend: owners in another table are followed."""
    conf = proposed(site, tmp_path)
    text = conf.read_text()
    assert "owners = id<-public.api_estimate.project_id.foreman_id\nfollow = yes\n" in text
    conf.write_text(text.replace("127.0.0.1:8080", "127.0.0.1:0"))
    assert "hint" not in run_pgherald("-t", "-c", conf).stdout
    done = run_pgherald("sql", "install", "--apply", "-c", conf, "--dsn", site.conninfo())
    assert done.returncode == 0, done.stderr
    try:
        # of the tests' servers, and of the daemon that does not run
        others = {"prepared-possible", "server-version", "daemon-away", "files", "login-refused", "conf-readable"}
        for command in (["sql", "check"], ["doctor"]):
            status, found = findings(site, conf, command)
            assert set(found) <= others, found
    finally:
        done = run_pgherald("sql", "uninstall", "--apply", "-c", conf, "--dsn", site.conninfo())
        assert done.returncode == 0, done.stderr


def test_a_way_without_an_index_is_not_followed(site, cluster, tmp_path):
    """The file says what is to be made first; with that, and follow, nothing is left to say."""
    db = cluster.create_database(site.pristine)
    try:
        db.run("CREATE TABLE t_part (id int PRIMARY KEY, \"Whole\" int REFERENCES api_estimate)")
        conf = proposed(db, tmp_path)
        text = conf.read_text()
        part = text[text.index("[watch t_part]"):].split("\n\n")[0]
        make = re.search(r"^# (CREATE INDEX CONCURRENTLY ON .*;)$", part, re.M)[1]
        assert make == 'CREATE INDEX CONCURRENTLY ON public.t_part ("Whole");' and "\nfollow" not in part
        connection = db.connect()
        connection.autocommit = True
        connection.cursor().execute(make)
        connection.close()
        part = re.search(r"\[watch t_part\][^[]*", proposed(db, tmp_path, "--force").read_text())[0]
        assert "\nfollow = yes\n" in part and "CREATE INDEX" not in part
    finally:
        db.drop()


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


def test_a_file_that_names_another_is_kept(site, tmp_path):
    conf, text = tmp_path / "pgherald.conf", "include = chat.conf\n"
    conf.write_text(text)
    done = init(site, "--yes", "-c", conf)
    assert done.returncode == 1 and "--force" in done.stderr and conf.read_text() == text


WATCH = "[watch {}]\ntable = public.api_estimate\nfields = id\n"


def test_tables_that_conf_d_names(site, tmp_path):
    """They are read after it: nobody finds out from a daemon that does not start."""
    conf, drop = tmp_path / "pgherald.conf", tmp_path / "conf.d"
    drop.mkdir()
    (drop / "10-shop.conf").write_text(WATCH.format("mine").replace("estimate", "user"))
    done = init(site, "--yes", "-c", conf)
    assert done.returncode == 1 and not conf.exists(), done.stderr
    assert f"{drop}/10-shop.conf names tables too; --force" in done.stderr
    proposed(site, tmp_path, "--force")
    assert run_pgherald("-t", "-c", conf).returncode == 0
    conf.unlink()
    (drop / "10-shop.conf").write_text(WATCH.format("estimate"))
    done = init(site, "--yes", "-c", conf, "--force")
    assert done.returncode == 1 and not conf.exists(), done.stderr
    assert "10-shop.conf:1: [watch estimate] is there twice" in done.stderr


def test_what_conf_d_says_besides_is_no_obstacle(site, tmp_path):
    conf, drop = tmp_path / "pgherald.conf", tmp_path / "conf.d"
    drop.mkdir()
    (drop / "local.conf").write_text("[server]\nlisten = 127.0.0.1:0\n# [watch x]\n")
    (drop / "local.conf~").write_text("[watch x]\n")
    proposed(site, tmp_path)
    assert run_pgherald("-t", "-c", conf).returncode == 0


@pytest.mark.parametrize("make, why", [
    (lambda p: p.symlink_to("nowhere"), "No such file or directory"), (lambda p: p.mkdir(), "Is a directory")],
    ids=["dangling", "directory"])
def test_what_cannot_be_read_in_conf_d(site, tmp_path, make, why):
    conf, drop = tmp_path / "pgherald.conf", tmp_path / "conf.d"
    drop.mkdir()
    make(drop / "x.conf")
    done = init(site, "--yes", "-c", conf)
    assert done.returncode == 1 and not conf.exists()
    assert f"{drop}/x.conf: {why}" in done.stderr


def test_new_file_is_not_for_everybody(site, tmp_path):
    assert stat.S_IMODE(proposed(site, tmp_path).stat().st_mode) & 0o007 == 0


def test_a_directory_that_is_not_there(site, tmp_path):
    done = init(site, "--yes", "-c", tmp_path / "none" / "pgherald.conf")
    assert done.returncode == 1 and "No such file" in done.stderr


def test_a_directory_that_cannot_be_written(site, tmp_path):
    tmp_path.chmod(0o555)
    done = subprocess.run(as_ordinary_user([PGHERALD, "init", "--dsn", site.conninfo(), "--yes", "-c",
                                            str(tmp_path / "pgherald.conf")]), capture_output=True, text=True)
    assert done.returncode == 1 and "pgherald.conf: Permission denied" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("before", [None, "# nothing yet\n"], ids=["new", "in place of another"])
def test_a_full_disk(site, tmp_path, before):
    """Room for the first bytes, and then none: the file is as it was."""
    conf = tmp_path / "pgherald.conf"
    if before:
        conf.write_text(before)

    def no_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))

    done = subprocess.run([PGHERALD, "init", "--dsn", site.conninfo(), "--yes", "-c", conf],
                          preexec_fn=no_room, capture_output=True, text=True)
    assert done.returncode == 1 and "pgherald.conf: File too large" in done.stderr
    assert [p.read_text() for p in tmp_path.iterdir()] == ([before] if before else [])


def test_nowhere_to_print_it(site):
    with open("/dev/full", "w") as full:
        done = subprocess.run([PGHERALD, "init", "--dsn", site.conninfo(), "--yes", "-c", "-"], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "standard output: No space left" in done.stderr


def test_what_somebody_left_behind_is_in_nobodys_way(site, tmp_path):
    """Of an earlier one, that was killed."""
    (tmp_path / "pgherald.conf.new").write_text("half")
    proposed(site, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another group")
def test_the_daemon_can_read_a_new_file(site, tmp_path):
    """As /etc/pgherald is the daemon's group's, so is what is new there."""
    group = grp.getgrnam("nogroup").gr_gid
    os.chown(tmp_path, 0, group)
    conf = proposed(site, tmp_path)
    assert (conf.stat().st_gid, stat.S_IMODE(conf.stat().st_mode)) == (group, 0o640)


def test_what_the_environment_says_is_in_the_file(site, tmp_path):
    """The daemon and sudo do not see it."""
    service = tmp_path / "service"
    service.write_text(f"[shop]\nhost={site.cluster.dir}\ndbname={site.name}\nuser=postgres\n")
    for dsn, env in ((f"dbname={site.name}", {"PGHOST": site.cluster.dir, "PGUSER": "postgres"}),
                     ("service=shop", {"PGSERVICEFILE": str(service)})):
        conf = tmp_path / "pgherald.conf"
        done = subprocess.run([PGHERALD, "init", "--dsn", dsn, "--yes", "--force", "-c", conf],
                              env={**os.environ, **env}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        conninfo = re.search(r"^conninfo = (.*)$", conf.read_text(), re.M)[1].split()
        assert sorted(conninfo) == [f"dbname={site.name}", f"host={site.cluster.dir}", "user=pgherald"]
        assert f"host={site.cluster.dir}" in re.search("sql install .*", done.stderr)[0]


def test_sessions_alone_need_the_secret_and_the_first_command_brings_it(site, cluster, tmp_path):
    db = cluster.create_database(site.pristine)
    try:
        db.run("DROP TABLE authtoken_token")
        conf, key = tmp_path / "pgherald.conf", tmp_path / "secret_key"
        done = init(db, "--yes", "-c", conf)
        assert done.returncode == 0, done.stderr
        place = re.search(r"^secret_key_file = (.*)$", conf.read_text(), re.M)[1]
        conf.write_text(conf.read_text().replace(place, str(key)))
        first, second = re.search(r"( *python3 manage.py.*\|)\n(.*)\n", done.stderr).groups()
        second = second.replace("sudo ", "").replace("-g pgherald ", "")
        assert place in second
        subprocess.run(["sh", "-ec", first.replace("python3", site.django.python) + "\n" + second.replace(place, str(key))],
                       cwd=PROJECT, env=site.django.env, check=True)
        assert re.fullmatch("estimates-example-not-a-secret-\\w+\n", key.read_text())
        done = run_pgherald("-t", "-c", conf)
        assert done.returncode == 0, done.stderr
    finally:
        db.drop()


EVIL = "\n[role evil]\nreceives = all\n#"
# What an application's role could call what it makes, or a project has by its nature: the proposal is one, and
# names none of "evil".
CATALOGS = {
    "quotes": """CREATE SCHEMA "we""ird; %s";
        CREATE TABLE "we""ird; %s"."ta'b""le; # %d" ("i""d; %n" int PRIMARY KEY, "a,b" text, "c -> d" int, "x=y" text,
            "q::utc" timestamptz, "u;#; ""ser" int REFERENCES api_user)""",
    "schema": f"""CREATE SCHEMA "s{EVIL}"; CREATE TABLE "s{EVIL}".t (id int PRIMARY KEY, u int REFERENCES api_user)""",
    "table": f"""CREATE TABLE "t{EVIL}" (id int PRIMARY KEY, u int REFERENCES api_user)""",
    "terminal": """CREATE TABLE "t\033[2Jevil" (id int PRIMARY KEY, u int REFERENCES api_user)""",
    "column": f"""CREATE TABLE t (id int PRIMARY KEY, u int REFERENCES api_user, "c{EVIL}" text)""",
    "owner": f"""CREATE TABLE t (id int PRIMARY KEY, "u{EVIL}" int REFERENCES api_user)""",
    "key": f"""CREATE TABLE t (a int, "k{EVIL}" int, u int REFERENCES api_user, PRIMARY KEY (a, "k{EVIL}"))""",
    "key of a whole": f"""CREATE TABLE whole ("k{EVIL}" int PRIMARY KEY, name text);
        CREATE TABLE t (id int PRIMARY KEY, w int REFERENCES whole, u int REFERENCES api_user);
        CREATE INDEX ON t (w)""",
    "members": f"""CREATE TABLE whole (id int PRIMARY KEY, name text);
        CREATE TABLE "m{EVIL}" (id int PRIMARY KEY, w int REFERENCES whole, u int REFERENCES api_user);
        CREATE TABLE m2 (id int PRIMARY KEY, "w{EVIL}" int REFERENCES whole, u int REFERENCES api_user)""",
    # in both of them there is somebody
    "members of groups": f"""ALTER TABLE api_user RENAME role TO was_role;
        INSERT INTO auth_group (name) VALUES ('x{EVIL}'), ('Managers');
        INSERT INTO api_user_groups (user_id, group_id) SELECT u.id, g.id FROM api_user AS u, auth_group AS g;
        CREATE TABLE a_m (id int PRIMARY KEY, "u{EVIL}" int REFERENCES api_user, g int REFERENCES auth_group);
        CREATE TABLE a_n (id int PRIMARY KEY, " u " int REFERENCES api_user, g int REFERENCES auth_group);
        INSERT INTO a_m SELECT max(u.id), max(u.id), max(g.id) FROM api_user AS u, auth_group AS g;
        INSERT INTO a_n SELECT max(u.id), max(u.id), max(g.id) FROM api_user AS u, auth_group AS g""",
    "role": f"""ALTER TABLE api_user DROP CONSTRAINT IF EXISTS c, ALTER role TYPE text;
        UPDATE api_user SET role = 'x{EVIL}' WHERE role = 'manager'""",
    "key of a user": f"""ALTER TABLE api_user RENAME id TO "User;# ""id" """,
    "key that nobody reads": "CREATE TYPE evil AS ENUM ('a'); CREATE TABLE t (k evil PRIMARY KEY, u int REFERENCES api_user)",
    "user by another name": "CREATE TABLE evil (id int PRIMARY KEY, who varchar REFERENCES api_user (username))",
    "another schema": """CREATE SCHEMA aaa; CREATE TABLE aaa.api_user (id int PRIMARY KEY, evil text);
        CREATE TABLE aaa.authtoken_token (key text PRIMARY KEY, user_id int REFERENCES aaa.api_user)""",
    "all in a schema": "ALTER SCHEMA public RENAME TO shop; CREATE SCHEMA public",
}


@pytest.mark.parametrize("odd", CATALOGS)
def test_odd_catalogs(site, cluster, tmp_path, odd):
    """What comes out installs, and an administrator's eyes see what is there."""
    db = cluster.create_database(site.pristine)
    try:
        db.run(CATALOGS[odd])
        conf = tmp_path / "pgherald.conf"
        done = init(db, "--yes", "-c", conf)
        assert done.returncode == 0, done.stderr
        text = conf.read_text()
        watched = [line for line in text.splitlines() if not line.startswith("#")]
        assert not [line for line in watched if "evil" in line] and "\033" not in text + done.stderr, text
        assert "[watch estimate]" in watched
        for args in (["-t", "-c", conf],
                     ["sql", "install", "--apply", "-c", conf, "--dsn", db.conninfo()],
                     ["sql", "check", "-c", conf, "--dsn", db.conninfo()]):
            done = run_pgherald(*args)
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        db.drop()


def test_more_tables_than_a_configuration_holds(site, cluster, tmp_path):
    db = cluster.create_database(site.pristine)
    try:
        db.run("DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format("
               "'CREATE TABLE t_%s (id int PRIMARY KEY, u int REFERENCES api_user)', i); COMMIT; END LOOP; END $$")
        conf = tmp_path / "pgherald.conf"
        done = init(db, "--yes", "-c", conf)
        assert done.returncode == 0, done.stderr
        assert "holds 64 tables: 938 more" in done.stderr
        assert len(re.findall(r"^\[watch ", conf.read_text(), re.M)) == 64
        assert len(re.findall(r"^#   public.t_\d+$", conf.read_text(), re.M)) == 938
        assert run_pgherald("-t", "-c", conf).returncode == 0
    finally:
        db.drop()


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
        except (psycopg2.errors.SyntaxError, psycopg2.errors.FeatureNotSupported):
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
