# SPDX-License-Identifier: PostgreSQL
"""A PostgreSQL of its own in which a suite is run, and what came of it."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from lib.cluster import Cluster

from . import suites

INSIDE = Path(__file__).resolve().parents[1] / "inside"
ROLE = "suite"
TIMEOUT_S = 2 * 3600
EXTENSIONS = "bloom btree_gin btree_gist citext hstore pgcrypto pg_trgm unaccent uuid-ossp".split()
# Nothing that is lost with the machine is missed, and no statement is worth being compiled.
QUICK = {"synchronous_commit": "off", "full_page_writes": "off", "jit": "off", "shared_buffers": "256MB",
         "max_wal_size": "1GB", "checkpoint_timeout": "1h"}


@dataclass
class Facts:
    """What was seen beside the tests."""

    tables: int = 0
    left_out: list = field(default_factory=list)
    losses: int = 0
    recorded: int = 0
    transactions: int = 0
    conflicts: int = 0
    heard: int = 0
    seconds: float = 0.0  # of the tests alone
    complaints: list = field(default_factory=list)

    def wrong(self):
        said = list(self.complaints)
        if self.losses:
            said.append(f"{self.losses} changes could not be recorded")
        if self.conflicts:
            said.append(f"{self.conflicts} of {self.transactions} SERIALIZABLE transactions failed, "
                        "each on a table of its own")
        if not self.tables or not self.recorded:
            said.append("nothing was recorded")
        if not self.heard:
            said.append("the daemon has told nothing")
        return said


_running = set()
_ending = threading.Event()


def end_all():
    """Ends what runs, and lets nothing begin: the threads that wait for it come back."""
    _ending.set()
    for process in list(_running):
        _kill(process)


def _kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _run_all(argv, **kw):
    """Its exit status; whatever it has started ends with it, or with us."""
    process = subprocess.Popen(argv, start_new_session=True, **kw)
    _running.add(process)
    try:
        if _ending.is_set():
            raise suites.Unavailable("it was ended")
        return process.wait(TIMEOUT_S)
    finally:
        _kill(process)
        process.wait()
        _running.remove(process)


class Place:
    def __init__(self, pgherald, serializable):
        self.pgherald = pgherald
        level = {"default_transaction_isolation": "serializable"} if serializable else {}
        self.cluster = Cluster({"max_connections": "200", "max_prepared_transactions": "0",
                                "max_locks_per_transaction": "1024", **QUICK, **level})
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self):
        self.cluster.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
        # What only a superuser may make, and the tests of django.contrib.postgres want to be there.
        for name in EXTENSIONS:
            self.cluster.execute(f"""DO $$ BEGIN CREATE EXTENSION "{name}";
                                 EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLERRM; END $$""", "template1")
        for name in ("guest", "other"):
            self.cluster.execute(f"CREATE DATABASE {name} OWNER {ROLE}")

    def run(self, suite, mode, short, jobs, only=None):
        """Runs it; ({test: outcome}, Facts)."""
        argv, cwd, more = suite.command(short, jobs, only)
        with tempfile.TemporaryDirectory(prefix="pgherald-foreign-") as name:
            os.chmod(name, 0o755)
            temporary = Path(name) / "tmp"  # of whoever is killed
            temporary.mkdir()
            os.chmod(temporary, 0o1777)
            path = [str(INSIDE), *filter(None, [more.pop("PYTHONPATH", "")])]
            env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "DJANGO_"))}
            env.update(
                PGHOST=self.cluster.dir, PGPORT="5432", PGUSER=ROLE, DATABASE_HOST=self.cluster.dir,
                DATABASE_PORT="5432", DATABASE_USER=ROLE, PYTHONPATH=os.pathsep.join(path),
                DATABASE_URL=f"postgres://{ROLE}@/guest?host={self.cluster.dir}&port=5432",
                PYTHONDONTWRITEBYTECODE="1", TMPDIR=str(temporary), FOREIGN_MODE=mode, FOREIGN_OUT=name,
                FOREIGN_PGHERALD=self.pgherald, **more)
            with open(Path(name) / "output", "w+", encoding="utf-8", errors="replace") as output:
                status = _run_all(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.STDOUT)
                output.seek(0)
                said = output.read()
            outcomes = Path(name) / "outcomes.json"
            facts = Path(name) / "facts.json"
            if not outcomes.exists() or not facts.exists():
                raise suites.Unavailable(f"it did not run (status {status}):\n{said[-4000:]}")
            if outcomes.read_text() == "{}":
                raise suites.Unavailable(f"no test was run:\n{said[-4000:]}")
            return json.loads(outcomes.read_text()), Facts(**json.loads(facts.read_text()))

    def close(self):
        self.cluster.destroy()
