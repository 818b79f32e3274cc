# SPDX-License-Identifier: PostgreSQL
"""PgBouncer with the files of doc/recipes/pgbouncer.md, unpacked from Debian's package where it is not
installed, run as an ordinary user."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg2

from . import debs, recipe
from .cluster import _unprivileged
from .daemon import free_port, wait_until

INI, USERS = "/etc/pgbouncer/pgbouncer.ini", "/etc/pgbouncer/userlist.txt"


class PgBouncer:
    """Before a cluster, in the place of 127.0.0.1:5432 and the database `shop`."""

    def __init__(self, database):
        self.dir, self.port, self.process = Path(tempfile.mkdtemp(prefix="pgherald-bouncer-")), free_port(), None
        self.prefix, uid, gid = _unprivileged()
        files = recipe.blocks("pgbouncer.md")
        users, ini = self.dir / "userlist.txt", self.dir / "pgbouncer.ini"
        users.write_text(files[USERS])
        ini.write_text(recipe.exchanged(files[INI], ("host=127.0.0.1 port=5432", f"host={database.cluster.dir} port=5432"),
                                        ("dbname=shop", f"dbname={database.name}"), ("6432", self.port),
                                        (USERS, users)))
        for path in (self.dir, users, ini):
            os.chown(path, uid, gid)
        self.start()

    @staticmethod
    def program():
        """Its path, or None."""
        debs.fetch("pgbouncer")
        return debs.find("pgbouncer")

    def conninfo(self, database, user):
        return f"host=127.0.0.1 port={self.port} dbname={database} user={user}"

    def connect(self, database, user):
        connection = psycopg2.connect(self.conninfo(database, user))
        connection.autocommit = True
        return connection

    def start(self):
        with open(self.dir / "output.log", "ab") as log:
            self.process = subprocess.Popen(
                [*(list(self.prefix) or ["setpriv"]), "--pdeathsig", "TERM", self.program(), self.dir / "pgbouncer.ini"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=debs.environment(), cwd="/",
                start_new_session=True)
        wait_until(self._listens, lambda: "PgBouncer listens:\n" + self.log())

    def _listens(self):
        assert self.process.poll() is None, self.log()
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def log(self):
        return (self.dir / "output.log").read_text(errors="replace")

    def stop(self):
        """At once: which signal waits for whom differs from version to version."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
