# SPDX-License-Identifier: PostgreSQL
"""What a writer pays for the trigger. One backend on its own (postgres --single) under callgrind
writes the same rows to a watched table and to its unwatched twin; the difference is the trigger.
Nobody rings, as while a daemon is awake; the look at its lock is left out with it, since in a server of
one backend nobody else can hold that. What the daemon's session pays comes last: pgherald.tell() of
what was recorded, one transaction and all of them."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
from pathlib import Path

from bench.lib.process import as_postgres, end
from bench.lib.servers import Postgres

from . import callgrind

ROWS = 100
STATEMENTS = 30
MARK = "pg_backend_pid"  # a function of PostgreSQL: callgrind dumps whenever it is called

SETUP = f"""
CREATE SCHEMA app;
CREATE TABLE app.users (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE app.tokens (key text PRIMARY KEY, user_id bigint NOT NULL);
CREATE TABLE app.project (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE app.estimate (
  id bigint PRIMARY KEY, number text NOT NULL, status text NOT NULL DEFAULT 'draft', total numeric(12,2),
  note text NOT NULL DEFAULT '', created_at timestamptz NOT NULL DEFAULT '2026-01-02 03:04:05.6+00',
  project_id bigint NOT NULL, foreman_id bigint, creator_id bigint);
INSERT INTO app.users SELECT g, 'user ' || g FROM generate_series(1, 9) AS g;
INSERT INTO app.project SELECT g, 'project ' || g FROM generate_series(1, 9) AS g;
CREATE TABLE app.twin (LIKE app.estimate INCLUDING ALL);
INSERT INTO app.twin
SELECT g, 'E-' || g, 'draft', g, '', DEFAULT, 1 + g % 9, 1 + g % 9, 1 FROM generate_series(1, {ROWS}) AS g;
INSERT INTO app.estimate SELECT * FROM app.twin;
CREATE TABLE app.ticket (id bigint PRIMARY KEY, title text NOT NULL DEFAULT '', project_id bigint NOT NULL);
CREATE TABLE app.member (id bigint PRIMARY KEY, project_id bigint NOT NULL, user_id bigint NOT NULL);
CREATE INDEX ON app.ticket (project_id);
CREATE INDEX ON app.member (project_id);
INSERT INTO app.ticket SELECT g, 'T-' || g, g FROM generate_series(1, {ROWS}) AS g;
INSERT INTO app.member SELECT g, g, 1 + g % 9 FROM generate_series(1, {ROWS}) AS g;
CREATE TABLE app.ticket_twin (LIKE app.ticket INCLUDING ALL);
CREATE TABLE app.member_twin (LIKE app.member INCLUDING ALL);
INSERT INTO app.ticket_twin SELECT * FROM app.ticket;
INSERT INTO app.member_twin SELECT * FROM app.member;
""".replace("DEFAULT, 1 +", "'2026-01-02 03:04:05.6+00', 1 +")

CONF = """
[database]
conninfo = host={socket} dbname=writers user=pgherald
doorbell = poll
[role manager]
receives = all
[role foreman]
receives = own
[auth bench]
token_table = app.tokens
token_column = key
token_user = user_id
user_table = app.users
user_key = id
user_active =
role_from = column
role_column = name
[watch estimate]
table = app.estimate
owners = foreman_id
fields = estimate_id=id, estimate_number=number, project_id,
  project_name=project_id->app.project.name,
  foreman_id, foreman_name=foreman_id->app.users.name,
  creator_id, creator_name=creator_id->app.users.name,
  status, created_at::utc
leave = estimate_id, project_id
[watch ticket]
table = app.ticket
owners = project_id<-app.member.project_id.user_id
fields = id, title, project_id
follow = yes
[route events]
path = /events
kind = events
auth = bench
"""

# {t} is the table, {i} the row or number of the statement, {p} never the same. The many rows come
# first: the plans that PostgreSQL then makes, and keeps, must suit the single ones as well.
SCRIPTS = {
    "bulk": "UPDATE {t} SET total = total + 1, number = 'B{i}.{p}.' || id WHERE id <= 100;",
    "update": "UPDATE {t} SET status = 's{i}.{p}' WHERE id = {i};",
    "unchanged": "UPDATE {t} SET note = 'n{i}.{p}', status = status WHERE id = {i};",
    "insert": "INSERT INTO {t} (id, number, project_id, foreman_id, creator_id)"
              " VALUES (1000 + {i}, 'N{i}', 1, 2, 3);",
}
# With follow = yes: a row of the table between, which leads to one watched row; a watched row itself.
FOLLOWED = {
    "way": ("member", "INSERT INTO {t} (id, project_id, user_id) VALUES (1000 + {i}, {i}, 5);"),
    "followed.insert": ("ticket", "INSERT INTO {t} (id, project_id) VALUES (1000 + {i}, {i});"),
    "followed.update": ("ticket", "UPDATE {t} SET title = 's{i}.{p}' WHERE id = {i};"),
    "followed.delete": ("ticket", "DELETE FROM {t} WHERE id = {i};"),
}
COUNTS = {"bulk": 5}
ROWS_EACH = {"bulk": 100}

# The settings are those of src/pg/conn.c.
READ_SETTINGS = [f"SET {name} = {value};" for name, value in {
    "search_path": "''", "plan_cache_mode": "force_generic_plan", "jit": "off", "enable_seqscan": "off",
    "enable_hashjoin": "off", "enable_mergejoin": "off"}.items()]
READS = {
    "one": "SELECT count(*) FROM pgherald.tell(ARRAY(SELECT max(txid) FROM pgherald.journal))",
    "all": "SELECT count(*) FROM pgherald.tell(ARRAY(SELECT DISTINCT txid FROM pgherald.journal))",
}
READ_TIMES = {"one": 30, "all": 2}


_passes = itertools.count(100)


def _script(kind: str, table: str, first: int = 1) -> list[str]:
    n, p = COUNTS.get(kind, STATEMENTS), next(_passes)
    text = FOLLOWED[kind][1] if kind in FOLLOWED else SCRIPTS[kind]
    return [text.format(t=table, i=i, p=p) for i in range(first, first + n)]


def _followed(mark: str) -> tuple[list[str], list[str]]:
    """Their part of the script, and what is counted up to each mark."""
    script, segments = [], []
    for kind, (table, _) in FOLLOWED.items():
        pair = (f"app.{table}", f"app.{table}_twin")
        script += [*_script(kind, pair[0]), *_script(kind, pair[1]), mark]
        segments.append("warm-up")
        for name, which in zip(pair, ("ours", "twin")):
            script += [*_script(kind, name, STATEMENTS + 1), mark]
            segments.append(f"{kind} {which}")
        if kind == "way":
            ask = ["EXECUTE read_one;"] * READ_TIMES["one"]
            script += [*ask, mark, *ask, mark]
            segments += ["warm-up", "read way"]
    return script, segments


def _ours(postgres: Postgres, database: str, *sql: str) -> list[str]:
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(postgres.dir),
               "-U", "postgres", "-d", database]
    done = subprocess.run(command, input=";\n".join(sql) + ";\n", capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.split()


def prepare(build: Path, postgres: Postgres) -> None:
    _ours(postgres, "postgres", "CREATE DATABASE writers")
    _ours(postgres, "writers", SETUP)
    conf = postgres.dir / "writers.conf"
    conf.write_text(CONF.format(socket=postgres.dir))
    subprocess.run([build / "pgherald", "sql", "install", "-c", conf, "--apply", "--dsn",
                    f"host={postgres.dir} dbname=writers user=postgres"],
                   check=True, stdout=subprocess.DEVNULL)


def exact(postgres: Postgres) -> dict[str, float]:
    """What an ordinary session can see: WAL, transaction numbers, locks."""
    figures = {}
    wal, txid = "SELECT pg_current_wal_insert_lsn() - '0/0'", "SELECT txid_current()"
    for kind in ("update", "unchanged", "insert"):
        got: dict[str, list[int]] = {}
        for table in ("app.estimate", "app.twin"):
            first = STATEMENTS + 1
            warm = _script(kind, table)
            # No page of a catalog is to be pruned on the way: after a checkpoint it is logged whole.
            answers = _ours(postgres, "writers", "VACUUM",
                            "SET synchronous_commit = off", *warm, "CHECKPOINT",
                            *_script(kind, table, 2 * STATEMENTS + 1), txid, wal,
                            *_script(kind, table, first), wal, txid)
            begin, low, high, last = map(int, answers)
            got[table] = [high - low, last - begin]
        ours, none = got["app.estimate"], got["app.twin"]
        figures[f"write.{kind}.wal"] = (ours[0] - none[0]) / STATEMENTS
        figures[f"write.{kind}.transactions"] = (ours[1] - none[1]) / STATEMENTS
    locks = ["BEGIN", "UPDATE app.{t} SET status = 'lock' WHERE id = 1",
             "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()", "ROLLBACK"]
    ours, none = (int(_ours(postgres, "writers", *[s.format(t=t) for s in locks])[0])
                  for t in ("estimate", "twin"))
    figures["write.update.locks"] = ours - none
    return figures


def writing(build: Path, postgres: Postgres) -> dict[str, float]:
    """Stops the server: nothing else can be measured after this."""
    prepare(build, postgres)
    figures = exact(postgres)
    _ours(postgres, "writers", "TRUNCATE pgherald.journal", "DELETE FROM app.estimate WHERE id > 1000",
          "DELETE FROM app.twin WHERE id > 1000", "VACUUM")
    end(postgres.process, signal.SIGINT)
    mark, script, segments = f"SELECT {MARK}();", [], []
    for kind in SCRIPTS:
        for table in ("app.estimate", "app.twin"):
            script += _script(kind, table)
        script.append(mark)
        segments.append("warm-up")
        for table in ("app.estimate", "app.twin"):
            if kind == "insert":
                script += [f"DELETE FROM {table} WHERE id > 1000;", mark]
                segments.append("clean")
            script += [*_script(kind, table, 1 if kind == "insert" else STATEMENTS + 1), mark]
            segments.append(f"{kind} {table}")
    script += READ_SETTINGS
    for kind, question in READS.items():
        ask = [f"EXECUTE read_{kind};"] * READ_TIMES[kind]
        script += [f"PREPARE read_{kind} AS {question};", *ask, mark, *ask, mark]
        segments += ["warm-up", f"read {kind}"]
    more, counted = _followed(mark)
    script += more
    segments += counted
    out = postgres.dir / "single.out"
    command = [*callgrind.command(out), f"--dump-before={MARK}", f"{postgres.bin}/postgres", "--single",
               "-D", f"{postgres.dir}/pg", "-c", "fsync=off", "-c", "log_min_messages=error",
               "-c", "autovacuum=off", "writers"]
    drop = ["setpriv", *as_postgres()] if as_postgres() else []
    done = subprocess.run([*drop, *command], input="\n".join(script) + "\n", capture_output=True,
                          text=True, cwd="/")
    if done.returncode or "ERROR" in done.stderr or "WARNING" in done.stderr:
        raise RuntimeError(f"postgres --single: {done.stderr[-2000:]}")
    counts = {what: callgrind.total(Path(f"{out}.{i}")) for i, what in enumerate(segments, 1)}
    for kind in SCRIPTS:
        rows = COUNTS.get(kind, STATEMENTS) * ROWS_EACH.get(kind, 1)
        added = counts[f"{kind} app.estimate"] - counts[f"{kind} app.twin"]
        figures[f"write.{kind}.instructions"] = added / rows
    rows = max(map(int, re.findall(r'count = "(\d+)"', done.stdout)))
    for kind in FOLLOWED:
        added = counts[f"{kind} ours"] - counts[f"{kind} twin"]
        figures[f"write.{kind}.instructions"] = added / STATEMENTS
    figures["read.way.instructions"] = counts["read way"] / READ_TIMES["one"]
    figures["read.one.instructions"] = counts["read one"] / READ_TIMES["one"]
    figures["read.row.instructions"] = counts["read all"] / READ_TIMES["all"] / rows
    return figures
