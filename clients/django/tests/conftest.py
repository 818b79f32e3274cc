# SPDX-License-Identifier: PostgreSQL
"""A cluster, and the project of tests/project in a database of its own, by whichever Django and psycopg
this interpreter has."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[2]
SOURCE = HERE.parent / "src"
sys.path[:0] = [str(TOP / "tests" / "system"), str(SOURCE)]

from lib.cluster import Cluster  # noqa: E402
from lib.daemon import Daemon  # noqa: E402

PGHERALD = os.path.abspath(os.environ.get("PGHERALD", TOP / "build" / "pgherald"))
TIMEOUT_S = 300
# the roles that own what is installed
OWNERS = re.search('OWNER_NAMES +"(.*)"', (TOP / "src/sql/owners.h").read_text()).group(1)
collect_ignore = ["project"]


@pytest.fixture(scope="session")
def cluster():
    c = Cluster({"max_prepared_transactions": "0"})
    c.execute("CREATE ROLE shop LOGIN")
    yield c
    c.destroy()


class Project:
    """A copy of tests/project, and how to call its manage.py."""

    made: ClassVar[dict] = {}

    def __init__(self, cluster, directory, owner="postgres"):
        self.cluster, self.dir, self.owner = cluster, directory / "project", owner
        shutil.copytree(HERE / "project", self.dir, ignore=shutil.ignore_patterns("__pycache__"))
        self.db = cluster.create_database()
        if owner != "postgres":
            cluster.execute(f"ALTER DATABASE {self.db.name} OWNER TO {owner}")
            self.db.run(f"GRANT ALL ON SCHEMA public TO {owner}")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "DJANGO_", "PYTEST"))}
        self.env.update(
            PGHOST=cluster.dir,
            PGPORT="5432",
            PGDATABASE=self.db.name,
            PGUSER=owner,
            PGHERALD=PGHERALD,
            PYTHONPATH=str(SOURCE),
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONWARNINGS="ignore::DeprecationWarning",
        )

    def run(self, *argv, status=0, **env):
        """Standard output and error of the interpreter with these arguments."""
        done = subprocess.run(
            [sys.executable, *argv],
            cwd=self.dir,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{argv}: status {done.returncode}\n{said}"
        return said

    def manage(self, *argv, **kw):
        return self.run("manage.py", *argv, **kw)

    def shell(self, code, **kw):
        """The value of `result`."""
        out = self.manage("shell", "-c", f"import json\n{code}\nprint('=' + json.dumps(result))", **kw)
        return json.loads(out.rpartition("\n=")[2] if "\n=" in out else out.partition("=")[2])

    def prepared(self):
        """With a migration that makes tables and one of ours, neither of which has been run."""
        migrations = self.dir / "orders" / "migrations"
        if not self.made:  # the same for all
            self.manage("makemigrations", "orders", "-v", "0")
            self.manage("pgherald", "makemigrations")
            self.made.update((path.name, path.read_text()) for path in migrations.glob("*.py"))
        migrations.mkdir(exist_ok=True)
        for name, text in self.made.items():
            (migrations / name).write_text(text)
        return self

    def daemon(self, directory):
        conf = directory / "pgherald.conf"
        text = self.manage("pgherald", "conf")
        conf.write_text(
            text.replace("[database]\n", f"[database]\nconninfo = {self.db.conninfo('pgherald')}\n")
            + "\n[server]\nlisten = 127.0.0.1:0\n"
        )
        return Daemon(PGHERALD, conf, directory / "daemon.log")

    def close(self):
        for name in self.cluster_databases():
            self.cluster.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.db.drop()

    def cluster_databases(self):
        rows = self.db.run(
            "SELECT datname FROM pg_database WHERE datname LIKE %s", (f"test_{self.db.name}%",)
        )
        return [name for (name,) in rows]


@pytest.fixture
def project(cluster, tmp_path):
    """As a superuser, which is what a container for tests gives."""
    p = Project(cluster, tmp_path)
    yield p
    p.close()


@pytest.fixture
def plain(cluster, tmp_path):
    """As a role that owns its database and may do nothing else."""
    for role in OWNERS.split(", "):
        cluster.execute(
            f"DO $$ BEGIN REVOKE {role} FROM shop; EXCEPTION WHEN undefined_object THEN NULL; END $$"
        )
    p = Project(cluster, tmp_path, "shop")
    yield p
    p.close()
    cluster.execute("ALTER ROLE shop NOCREATEDB")
