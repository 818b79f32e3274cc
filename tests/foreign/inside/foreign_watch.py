# SPDX-License-Identifier: PostgreSQL
"""Inside the interpreter of a suite: puts a watch on each table of a test database as soon as Django has
made it, before it is cloned; then runs a daemon and SERIALIZABLE writers beside the tests."""

import atexit
import json
import os
import pwd
import re
import subprocess
import threading
import time
from pathlib import Path

import psycopg

MODE = os.environ["FOREIGN_MODE"]
OUT = Path(os.environ["FOREIGN_OUT"])
PGHERALD = os.environ["FOREIGN_PGHERALD"]
ADMIN = "postgres"
A_FILE = 60  # watches; a configuration has 64 at most
N_WRITERS = 2
PATIENCE_S = 60
# A busy machine, and not a fault: whoever is told to come back does, or nothing is heard.
SLOW = "takes long to tell|canceling statement due to statement timeout|told to come back: the database"

outcomes = {}
facts = {"tables": 0, "left_out": [], "losses": 0, "recorded": 0, "transactions": 0, "conflicts": 0,
         "heard": 0, "complaints": [], "seconds": 0.0}
databases = []  # the names of those that are watched, clones too
beside = None
begun = None
main_pid = os.getpid()

TABLES = """
SELECT c.relname,
  array(SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)),
  array(SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0
        AND NOT a.attisdropped ORDER BY a.attnum)
FROM pg_class AS c
  LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY 1
"""
OWN = """
CREATE SCHEMA foreign_own;
CREATE TABLE foreign_own.users (id text PRIMARY KEY, is_active boolean NOT NULL, role text NOT NULL);
CREATE TABLE foreign_own.tokens (key text PRIMARY KEY, user_id text NOT NULL);
INSERT INTO foreign_own.users VALUES ('1', true, 'everybody');
INSERT INTO foreign_own.tokens VALUES ('foreign-token', '1');
"""
SIDE = """
CREATE TABLE foreign_own.side_{n} (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO foreign_own.side_{n} SELECT i, 0 FROM generate_series(1, 10) AS i;
"""
HEAD = """
[server]
listen = 127.0.0.1:0
workers = 1
[database]
conninfo = host={host} port={port} dbname={database} user=pgherald
[role everybody]
receives = all
[auth drf]
token_table = foreign_own.tokens
user_table = foreign_own.users
"""
WATCH = """
[watch {topic}]
table = {table}
key = {key}
fields = {fields}
"""


def connect(database, user=ADMIN):
    return psycopg.connect(host=os.environ["PGHOST"], port=os.environ["PGPORT"], user=user,
                           dbname=database, autocommit=True)


def quoted(name):
    return '"%s"' % name


def sections(cursor):
    """A [watch] for each table that has a key and a name that can be written."""
    found = []
    cursor.execute(TABLES)
    for table, key, columns in cursor.fetchall():
        if not key or len(columns) > 200 or re.search(r'["\n]', "".join([table, *columns])):
            facts["left_out"].append(table)
            continue
        found.append(WATCH.format(
            topic=f"t{len(found)}", table=f"public.{quoted(table)}", key=", ".join(map(quoted, key)),
            fields=", ".join(f"c{i}={quoted(c)}" for i, c in enumerate(columns))))
    facts["tables"] += len(found)
    return found


def watch(database):
    """Installs a trigger on everything; the last file has the writers' tables, and is the daemon's."""
    connection = connect(database)
    with connection.cursor() as cursor:
        cursor.execute(OWN)
        for n in range(N_WRITERS):
            cursor.execute(SIDE.format(n=n))
        found = sections(cursor)
        side = [WATCH.format(topic=f"side{n}", table=f"foreign_own.side_{n}", key="id", fields="id, n")
                for n in range(N_WRITERS)]
    connection.close()
    head = HEAD.format(host=os.environ["PGHOST"], port=os.environ["PGPORT"], database=database)
    files = [found[i:i + A_FILE] for i in range(0, len(found), A_FILE)] or [[]]
    for part in files:
        conf = OUT / f"{database}.conf"
        conf.write_text(head + "".join(part + side))
        done = subprocess.run(
            [PGHERALD, "sql", "install", "--apply", "-c", str(conf), "--dsn",
             f"host={os.environ['PGHOST']} port={os.environ['PGPORT']} dbname={database} user={ADMIN}"],
            capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"pgherald sql install: {done.stdout}{done.stderr}")
    databases.append(database)


def hook():
    """From now on a test database that Django makes is watched, and results are kept at the end."""
    from django.db.backends.postgresql.creation import DatabaseCreation

    def create_test_db(self, *args, **kwargs):
        name = create(self, *args, **kwargs)
        if MODE == "with" and begun is None:  # and not one that a test pretends to make
            self.connection.close()
            watch(name)
        return name

    def clone(self, suffix, *args, **kwargs):
        clone_test_db(self, suffix, *args, **kwargs)
        name = self.get_test_db_clone_settings(suffix)["NAME"]
        if MODE == "with" and begun is None and name not in databases:
            databases.append(name)

    def destroy_test_db(self, *args, **kwargs):
        end()
        destroy(self, *args, **kwargs)

    create, clone_test_db, destroy = (DatabaseCreation.create_test_db, DatabaseCreation.clone_test_db,
                                      DatabaseCreation.destroy_test_db)
    DatabaseCreation.create_test_db, DatabaseCreation.clone_test_db = create_test_db, clone
    DatabaseCreation.destroy_test_db = destroy_test_db
    atexit.register(write)


def write():
    if os.getpid() == main_pid:
        (OUT / "outcomes.json").write_text(json.dumps(outcomes))
        (OUT / "facts.json").write_text(json.dumps(facts))


def begin():
    """The databases are there: a daemon and writers, where the tests are at work."""
    global beside, begun
    begun = begun or time.monotonic()
    if databases and beside is None:  # tests that are run again, alone, may need none
        beside = Beside(next((d for d in databases if d.endswith("_1")), databases[0]))


def end():
    """Before the databases go: nobody may be connected, and what was lost is counted."""
    global beside
    if begun and not facts["seconds"] and os.getpid() == main_pid:
        facts["seconds"] = time.monotonic() - begun
    if beside is None or os.getpid() != main_pid:
        return
    beside.stop()
    beside = None
    for database in databases:
        connection = connect(database)
        with connection.cursor() as cursor:
            cursor.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pgherald.loss")
            facts["losses"] += cursor.fetchone()[0]
            cursor.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END"
                           " FROM pgherald.journal_id_seq")
            facts["recorded"] += cursor.fetchone()[0]
        connection.close()


class Beside:
    def __init__(self, database):
        self.database, self.stopping = database, threading.Event()
        conf = OUT / "daemon.conf"
        text = (OUT / f"{re.sub('_[0-9]+$', '', database)}.conf").read_text()
        conf.write_text(re.sub("dbname=[^ ]+", f"dbname={database}", text))
        self.log = open(OUT / "daemon.log", "w+", encoding="utf-8", errors="replace")
        self.daemon = subprocess.Popen(as_ordinary_user([PGHERALD, "-c", str(conf), "serve"]),
                                       stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        port = self.wait(r"listening on 127\.0\.0\.1:(\d+)")
        self.url = f"http://127.0.0.1:{port}/api/v1/sse/events/"
        self.threads = [threading.Thread(target=self.hear)]
        self.threads += [threading.Thread(target=self.write, args=(n,)) for n in range(N_WRITERS)]
        for thread in self.threads:
            thread.start()

    def said(self):
        self.log.flush()
        return (OUT / "daemon.log").read_text(errors="replace")

    def wait(self, pattern):
        end = time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, self.said())):
            if self.daemon.poll() is not None or time.monotonic() > end:
                raise SystemExit("the daemon does not start:\n" + self.said())
            time.sleep(0.02)
        return found.group(1)

    def hear(self):
        """Comes back as a browser does: it may not have been let in, or not been able to keep up."""
        while self.daemon.poll() is None and not self.stopping.is_set():
            ear = subprocess.Popen(["curl", "-sN", "-H", "Authorization: Token foreign-token", self.url],
                                   stdout=subprocess.PIPE)
            for line in ear.stdout:
                if line.startswith(b"data: ") and b'"connected"' not in line and b'"keepalive"' not in line:
                    facts["heard"] += 1
            ear.wait()
            self.stopping.wait(0.5)

    def write(self, n):
        """Two rows in one transaction, forty times a second, on a table that nobody else touches."""
        connection = connect(self.database)
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        i = 0
        while not self.stopping.wait(0.025):
            i += 1
            try:
                with connection.transaction(), connection.cursor() as cursor:
                    for row in (i % 10 + 1, (i + 5) % 10 + 1):
                        cursor.execute(f"UPDATE foreign_own.side_{n} SET n = n + 1 WHERE id = %s", (row,))
                facts["transactions"] += 1
            except psycopg.errors.SerializationFailure:
                facts["conflicts"] += 1
        connection.close()

    def stop(self):
        self.stopping.set()
        for thread in self.threads[1:]:
            thread.join()
        if self.daemon.poll() is not None:
            facts["complaints"].append(f"the daemon ended:\n{self.said()[-2000:]}")
        self.daemon.terminate()
        self.daemon.wait()
        self.threads[0].join()
        bad = [line for line in self.said().splitlines()
               if re.search(" (error|warning) ", line) and not re.search(SLOW, line)]
        facts["complaints"] += [f"the daemon's log: {line}" for line in bad[:20]]


def as_ordinary_user(argv):
    """The daemon refuses to be root."""
    if os.geteuid() != 0:
        return argv
    user = pwd.getpwnam("postgres")
    caps = "+dac_read_search"
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
            f"--inh-caps={caps}", f"--ambient-caps={caps}", "--", *argv]
