# SPDX-License-Identifier: PostgreSQL
"""Our server and the limit, behind the interface that the peers have too (bench/peers/common.py),
and the database behind ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from . import machine
from .process import Load, end, spawn

N_USERS = 20000  # of each role
FOREMAN_OFFSET = 100000

SETUP = f"""
CREATE SCHEMA bench;
CREATE TABLE bench.users (id bigint PRIMARY KEY, role text NOT NULL, active bool NOT NULL);
CREATE TABLE bench.tokens (key text PRIMARY KEY, user_id bigint NOT NULL REFERENCES bench.users);
CREATE TABLE bench.item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                         owner_id bigint, m text, pad text);
INSERT INTO bench.users SELECT g, 'manager', true FROM generate_series(0, {N_USERS} - 1) AS g;
INSERT INTO bench.users SELECT {FOREMAN_OFFSET} + g, 'foreman', true
FROM generate_series(0, {N_USERS} - 1) AS g;
INSERT INTO bench.tokens SELECT 'benchmanager' || lpad(g::text, 28, '0'), g
FROM generate_series(0, {N_USERS} - 1) AS g;
INSERT INTO bench.tokens SELECT 'benchforeman' || lpad(g::text, 28, '0'), {FOREMAN_OFFSET} + g
FROM generate_series(0, {N_USERS} - 1) AS g;
ANALYZE bench.users, bench.tokens;

CREATE FUNCTION bench.stamp(number bigint) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT '@@' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000000000)::bigint), 16, '0')
         || lpad(to_hex(number), 8, '0') $$;

-- Journal rows as a trigger would have written them, `batch` to a transaction, `rate`
-- transactions a second (0: as fast as it goes). owners = 0: everybody's, else one owner of so many.
CREATE PROCEDURE bench.journal(first bigint, count int, batch int, rate float8, owners int, pad int)
LANGUAGE plpgsql AS $$
DECLARE
  began CONSTANT timestamptz := clock_timestamp();
  -- what rows of the watch begin with
  mark  CONSTANT text := substring(pg_get_functiondef('pgherald.on_item()'::regprocedure)
                                   FROM 'json_build_array\(''([0-9a-f]{{8}})');
BEGIN
  FOR k IN 0 .. count / batch - 1 LOOP
    IF rate > 0 THEN
      PERFORM pg_sleep(greatest(0, k / rate - extract(epoch FROM clock_timestamp() - began)));
    END IF;
    INSERT INTO pgherald.journal (topic, op, pk, own_new, data)
    SELECT 'item', 'i', n::text,
           CASE WHEN owners > 0
                THEN ARRAY[({FOREMAN_OFFSET} + n * 7919 % owners)::text] ELSE '{{}}' END,
           json_build_array(mark, n, bench.stamp(n), repeat('x', pad))
    FROM generate_series(first + k * batch, first + (k + 1) * batch - 1) AS n;
    PERFORM pg_notify('pgherald', '{{"v":1,"topic":"item"}}');
    COMMIT;
  END LOOP;
END $$;

-- Rows of the watched table, each its own transaction, captured by the real triggers.
CREATE PROCEDURE bench.change(first bigint, count int, rate float8, pad int)
LANGUAGE plpgsql AS $$
DECLARE
  began CONSTANT timestamptz := clock_timestamp();
BEGIN
  FOR k IN 0 .. count - 1 LOOP
    PERFORM pg_sleep(greatest(0, k / rate - extract(epoch FROM clock_timestamp() - began)));
    INSERT INTO bench.item (owner_id, m, pad) VALUES (1, bench.stamp(first + k), repeat('x', pad));
    COMMIT;
  END LOOP;
END $$;
"""

CONF = """
[server]
listen = 127.0.0.1:0
workers = {workers}
{server}
[log]
level = {log}
[database]
conninfo = host={socket} dbname=postgres user=pgherald
{database}
[role manager]
receives = all
[role foreman]
receives = own
channels = *
[auth bench]
token_table = bench.tokens
token_column = key
token_user = user_id
user_table = bench.users
user_key = id
user_active = active
role_from = column
role_column = role
[watch item]
table = bench.item
key = id
owners = owner_id
fields = id, m, pad
[route events]
path = /events
kind = events
auth = bench
query_token = yes
{route}
"""


class Postgres:
    """A private cluster on a Unix socket. fsync is off: the disk is not what is measured."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parts[-2]))
        found += sorted(Path("/").glob("usr/pgsql-*/bin"))
        if not found:
            raise SystemExit("bench: no PostgreSQL server is installed")
        self.bin = found[-1]
        self.dir = Path(tempfile.mkdtemp(prefix="pgherald-bench."))
        if not os.geteuid():
            shutil.chown(self.dir, "postgres", "postgres")
        with (self.dir / "initdb.log").open("w") as log:
            initdb = [f"{self.bin}/initdb", "-D", f"{self.dir}/pg", "-U", "postgres", "-A", "trust"]
            initdb += ["-E", "UTF8", "--locale=C.UTF-8", "-N"]
            if spawn(initdb, drop=True, stdout=log, stderr=log).wait():
                raise SystemExit(f"bench: initdb failed: {self.dir}/initdb.log")
        self.log = (self.dir / "postgres.log").open("w")
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.dir,
            "fsync": "off",
            "shared_buffers": "256MB",
            "max_wal_size": "4GB",
            "autovacuum": "off",  # it would run in somebody's round
        }
        command = [f"{self.bin}/postgres", "-D", f"{self.dir}/pg"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.process = spawn(command, drop=True, death="INT", stdout=self.log, stderr=self.log)
        for _ in range(200):
            if not subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", self.dir]).returncode:
                break
            time.sleep(0.05)
        psql = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        psql += ["-h", str(self.dir), "-U", "postgres", "-d", "postgres"]
        pipe = subprocess.PIPE
        self.session = spawn(psql, stdin=pipe, stdout=pipe)
        self.run(SETUP)

    def begin(self, sql: str) -> None:
        assert self.session.stdin
        self.session.stdin.write(sql + "\n;\n\\echo =done=\n")
        self.session.stdin.flush()

    def finish(self) -> list[str]:
        assert self.session.stdout
        lines = []
        for line in self.session.stdout:
            if line == "=done=\n":
                return lines
            lines.append(line.rstrip("\n"))
        raise RuntimeError("psql has ended: see its message above")

    def run(self, sql: str) -> list[str]:
        self.begin(sql)
        return self.finish()

    def cpu(self) -> float:
        return machine.tree_cpu_s(self.process.pid)

    def stop(self) -> None:
        end(self.session)
        end(self.process, signal.SIGINT)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Pgherald:
    """The daemon as it is, fed through PostgreSQL."""

    name = "pgherald"
    path = "/events"
    pad = 220  # makes an event about 350 bytes on the wire

    def __init__(self, build: Path, postgres: Postgres, *, workers: int = 1, log: str = "info",
                 server: str = "", database: str = "recheck = 1h", route: str = "keepalive = 1h",
                 spread: bool = False) -> None:
        self.build, self.postgres, self.spread = build, postgres, spread
        self.number = 1  # of the next event
        self.conf = postgres.dir / "pgherald.conf"
        self.conf.write_text(CONF.format(workers=workers, log=log, socket=postgres.dir,
                                         server=server, database=database, route=route))
        self.program = str(build / "pgherald")
        subprocess.run([self.program, "sql", "install", "-c", self.conf, "--apply", "--dsn",
                        f"host={postgres.dir} dbname=postgres user=postgres"],
                       check=True, stdout=subprocess.DEVNULL)
        # The past belongs to the last scenario.
        postgres.run("TRUNCATE pgherald.journal; TRUNCATE bench.item; SELECT 1")
        self.frame_bytes = 0
        self._start()

    def _start(self) -> None:
        self.log = (self.postgres.dir / "daemon.log").open("w+")
        self.process = spawn([self.program, "serve", "-c", str(self.conf)],
                             server=None if self.spread else True, drop=True, death="TERM",
                             stdout=self.log, stderr=self.log)
        self.port = self._wait_ready()

    def halt(self, how: str) -> None:
        """stop: as a service manager does; kill: as a crash does."""
        end(self.process, signal.SIGKILL if how == "kill" else signal.SIGTERM, 20)

    def start_again(self) -> None:
        """At the same address."""
        text = re.sub(r"(?m)^listen = .*", f"listen = 127.0.0.1:{self.port}", self.conf.read_text())
        self.conf.write_text(text)
        self.log.close()
        self._start()

    def log_count(self, text: str) -> int:
        """Lines of the log so far that have that text."""
        return sum(text in line for line in Path(self.log.name).read_text().splitlines())

    def _wait_ready(self) -> int:
        log = Path(self.log.name)
        for _ in range(1200):
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text())
            try:
                if found and urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/readyz").status == 200:
                    return int(found[1])
            except (urllib.error.URLError, ConnectionError):
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"bench: the daemon does not start: {log.read_text()[-2000:]}")

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu(self) -> float:
        return machine.cpu_s(self.pid)

    def private_kb(self) -> int:
        return machine.private_kb(self.pid)

    def threads(self) -> tuple[float, float]:
        """CPU of the database thread and of the workers."""
        cpu = machine.thread_cpu_s(self.pid)
        return cpu.get(self.pid, 0.0), sum(cpu.values()) - cpu.get(self.pid, 0.0)

    def token(self, role: str) -> str:
        return f"bench{role}%028u"

    def load(self, streams: int, role: str = "manager", **more: Any) -> Load:
        return Load(self.build, self.port, streams, path=self.path, token_format=self.token(role),
                    **more)

    def write(self, count: int, batch: int, rate: float, owners: int) -> str:
        sql = f"CALL bench.journal({self.number}, {count}, {batch}, {rate}, {owners}, {self.pad})"
        self.number += count
        return sql

    def learn_frame(self, load: Load) -> None:
        """How many bytes one event has, without chunk framing: the others send the same."""
        load.ask("zero")
        self.broadcast(load, 10, 1, 100)
        report = load.ask("report")
        per_event = report["bytes"] / max(report["events"], 1)
        self.frame_bytes = round(per_event - 7)  # "15e" CR LF … CR LF

    def broadcast(self, load: Load, count: int, batch: int, rate: float) -> dict[str, Any]:
        """Everybody hears `count` events, `batch` to a transaction, `rate` transactions a second;
        0: so that two are always under way."""
        base = load.ask("report")["events"]
        if rate:
            self.postgres.run(self.write(count, batch, rate, 0))
            return load.wait(base + count * load.streams)
        for k in range(count // batch):
            self.postgres.run(self.write(batch, batch, 0, 0))
            if k:
                load.wait(base + (k - 1) * batch * load.streams)
        return load.wait(base + count * load.streams)

    def targeted(self, load: Load, count: int, batch: int, rate: float) -> dict[str, Any]:
        base = load.ask("report")["events"]
        self.postgres.run(self.write(count, batch, rate, load.streams))
        return load.wait(base + count)

    def mixed(self, everybody: Load, own: Load, count: int, batch: int, rate: float) -> dict[str, Any]:
        """Events that `everybody` hears, each owned by one of `own`."""
        base, own_base = everybody.ask("report")["events"], own.ask("report")["events"]
        self.postgres.run(self.write(count, batch, rate, own.streams))
        own.wait(own_base + count)
        return everybody.wait(base + count * everybody.streams)

    def change(self, load: Load, count: int, rate: float) -> dict[str, Any]:
        """Through the watched table and its triggers."""
        base = load.ask("report")["events"]
        self.postgres.run(f"CALL bench.change({self.number}, {count}, {rate}, {self.pad})")
        self.number += count
        return load.wait(base + count * load.streams)

    def stop(self) -> None:
        end(self.process, signal.SIGTERM, 10)
        self.log.close()


class EpollSender:
    """The limit."""

    name = "epoll_sender"
    path = "/"

    def __init__(self, build: Path, frame_bytes: int) -> None:
        self.build, self.frame_bytes = build, frame_bytes
        pipe = subprocess.PIPE
        self.process = spawn([str(build / "bench/epoll_sender"), str(frame_bytes)], server=True,
                             stdin=pipe, stdout=pipe)
        self.port = int(self._answer()["port"])

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        return dict(json.loads(self.process.stdout.readline()))

    def _command(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        self._answer()

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu(self) -> float:
        return machine.cpu_s(self.pid)

    def private_kb(self) -> int:
        return machine.private_kb(self.pid)

    def load(self, streams: int, role: str = "", **more: Any) -> Load:
        return Load(self.build, self.port, streams, **more)

    def broadcast(self, load: Load, count: int, batch: int, rate: float) -> dict[str, Any]:
        base = load.ask("report")["events"]
        self._command(f"broadcast {rate} {count} {batch}")
        return load.wait(base + count * load.streams)

    def targeted(self, load: Load, count: int, batch: int, rate: float) -> dict[str, Any]:
        base = load.ask("report")["events"]
        self._command(f"targeted {rate} {count} {batch}")
        return load.wait(base + count)

    def stop(self) -> None:
        end(self.process)
