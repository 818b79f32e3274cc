# SPDX-License-Identifier: PostgreSQL
"""A private PostgreSQL in a temporary directory, on a Unix socket only.

The server is our child with a parent-death signal, so it ends with us however we end. Two test
runs never meet: each has its own directory and nobody listens on TCP."""

import ctypes
import glob
import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg2

DEADLINE_S = 60
PR_SET_PDEATHSIG = 1
MEMORY, ROOM_BYTES = "/dev/shm", 3 << 30
# initdb makes this superuser; every connection is trusted, the socket's directory is the guard
ADMIN = "postgres"

_libc = ctypes.CDLL(None, use_errno=True)


def wait_for(condition, what, deadline_s=DEADLINE_S):
    """The first true value of condition(), or a failure that says what did not come."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s} s: {what}")
        time.sleep(0.01)


def find_bindir():
    """$PG_BINDIR, or what pg_config says, or Debian's newest."""
    candidates = [os.environ.get("PG_BINDIR", "")]
    try:
        candidates.append(subprocess.check_output(["pg_config", "--bindir"], text=True).strip())
    except (OSError, subprocess.CalledProcessError):
        pass
    debian = glob.glob("/usr/lib/postgresql/*/bin")
    candidates += sorted(debian, key=lambda d: -float(d.split("/")[-2]))
    for directory in candidates:
        if directory and os.access(os.path.join(directory, "initdb"), os.X_OK):
            return directory
    raise RuntimeError("no PostgreSQL server found; set PG_BINDIR")


def _unprivileged():
    """(command prefix, uid, gid): the server refuses to run as root."""
    if os.geteuid() != 0:
        return [], os.geteuid(), os.getegid()
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        # binaries may lie below a home that only root can enter
        caps = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        if subprocess.run(prefix + caps + ["true"], capture_output=True).returncode == 0:
            prefix += caps
        return prefix, user.pw_uid, user.pw_gid
    raise RuntimeError("running as root and there is no user postgres or nobody")


def _memory():
    """The machine's memory as a directory, when it has room for all that tests write; None, which is the usual
    place, when not or when somebody has named one. A database is three hundred files: in memory it is made in
    a quarter of the time."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return None
    try:
        room = os.statvfs(MEMORY)
        with open("/proc/meminfo", encoding="ascii") as f:
            available = int(re.search(r"MemAvailable:\s+(\d+) kB", f.read()).group(1)) << 10
    except (OSError, AttributeError):
        return None
    return MEMORY if min(available, room.f_bavail * room.f_frsize) >= ROOM_BYTES else None


def _alone_in(connection, sql):
    """Runs what wants a database for itself. The server gives whoever is in it, autovacuum too, five seconds to
    go, which on a busy machine may not do."""

    def done():
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
            return True
        except psycopg2.errors.ObjectInUse:
            return False

    wait_for(done, sql)


class Cluster:
    def __init__(self, settings=None, files=()):
        """`files` are copied into the server's directory, for its eyes only."""
        self.bindir = find_bindir()
        self._prefix, uid, gid = _unprivileged()
        measured = (settings or {}).get("fsync") == "on"  # with the disk, then
        self.dir = tempfile.mkdtemp(prefix="pgherald-", dir=None if measured else _memory())
        self.data = os.path.join(self.dir, "data")
        self.log = os.path.join(self.dir, "server.log")
        self._server = None
        self._numbers = itertools.count(1)
        self._made = {}
        try:
            os.chown(self.dir, uid, gid)
            self._run("initdb", "-D", self.data, "-U", ADMIN, "-A", "trust", "--no-sync",
                      "-E", "UTF8", "--locale=C")
            self._configure(settings or {})
            for path in files:
                copy = shutil.copy(path, self.data)
                os.chown(copy, uid, gid)
                os.chmod(copy, 0o600)
            self.start()
        except BaseException:
            self.destroy()
            raise

    def _run(self, program, *args):
        done = subprocess.run(self._prefix + [self.tool(program), *args], cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}")
        return done.stdout

    def tool(self, name):
        """A program of this PostgreSQL, or of the system where this one ships none (psql)."""
        path = os.path.join(self.bindir, name)
        return path if os.access(path, os.X_OK) else shutil.which(name) or path

    def _configure(self, settings):
        values = {
            "listen_addresses": "",
            "unix_socket_directories": self.dir,
            "fsync": "off",
            "max_wal_size": "256MB",
            "max_connections": "100",
            "max_prepared_transactions": "10",
            "log_timezone": "UTC",
            "timezone": "UTC",
            "logging_collector": "off",
            **settings,
        }
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a", encoding="utf-8") as f:
            for key, value in values.items():
                f.write(f"{key} = '{value}'\n")

    # --- life ------------------------------------------------------------------------------

    def start(self):
        assert self._server is None, "already running"

        def die_with_parent():
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)

        prefix = self._prefix + ["--pdeathsig", "QUIT"] if self._prefix else []
        with open(self.log, "ab") as log:
            # a session of its own: Ctrl-C must not stop it before the tests are done with it
            self._server = subprocess.Popen(
                prefix + [self.tool("postgres"), "-D", self.data], cwd="/", stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=None if prefix else die_with_parent)
        wait_for(self._answers, "the server answers")

    def _answers(self):
        if self._server.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                raise RuntimeError("the server did not start:\n" + f.read()[-2000:])
        try:
            self.connect("postgres").close()
            return True
        except psycopg2.OperationalError:
            return False

    def stop(self, mode="fast"):
        """mode as pg_ctl has it: smart, fast, immediate."""
        if self._server is None:
            return
        wanted = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self._server.send_signal(wanted[mode])
        try:
            self._server.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def destroy(self):
        self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- databases -------------------------------------------------------------------------

    def conninfo(self, database, user=ADMIN):
        return f"host={self.dir} port=5432 dbname={database} user={user}"

    def connect(self, database, user=ADMIN, autocommit=True):
        connection = psycopg2.connect(self.conninfo(database, user))
        connection.autocommit = autocommit
        return connection

    def copy_of(self, what, make, template="template1"):
        """A new database as make(database) leaves one of that template; what it does is done once for each `what`."""
        if what not in self._made:
            database = self.create_database(template)
            make(database)
            database.close()
            self._made[what] = database
        return self.create_database(self._made[what].name)

    def forget_copies(self):
        """For tests that drop roles: what copy_of() keeps has rights for them."""
        while self._made:
            self._made.popitem()[1].drop()

    def execute(self, sql, database="postgres"):
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()

    def create_database(self, template="template1"):
        """A new database; Database.drop() removes it together with whoever is connected."""
        name = f"db{next(self._numbers)}"
        connection = self.connect("postgres")
        try:
            # 15 and later write the whole of it into the WAL when nothing is said
            files = " STRATEGY file_copy" if connection.server_version >= 150000 else ""
            _alone_in(connection, f"CREATE DATABASE {name} TEMPLATE {template}{files}")
        finally:
            connection.close()
        return Database(self, name)


class Database:
    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self._connections = {}

    def conninfo(self, user=ADMIN):
        return self.cluster.conninfo(self.name, user)

    def connect(self, user=ADMIN, autocommit=True):
        """A connection of the caller's own."""
        return self.cluster.connect(self.name, user, autocommit)

    def _shared(self, user):
        if user not in self._connections or self._connections[user].closed:
            self._connections[user] = self.connect(user)
        return self._connections[user]

    def run(self, sql, params=None, user=ADMIN):
        """Runs one text in autocommit; the rows, if it gave any."""
        with self._shared(user).cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else None

    def one(self, sql, params=None, user=ADMIN):
        """The only value of the only row."""
        rows = self.run(sql, params, user)
        assert len(rows) == 1 and len(rows[0]) == 1, rows
        return rows[0][0]

    def watch_lock_waits(self, seconds):
        """The server notes whenever a session that begins from now on waits longer for a table. A
        function that gives its notes: what it measures is the lock, not how busy the machine is."""
        self.run(f"ALTER DATABASE {self.name} SET log_lock_waits = on; "
                 f"ALTER DATABASE {self.name} SET deadlock_timeout = '{seconds}s'")
        begin = os.path.getsize(self.cluster.log)

        def notes():
            with open(self.cluster.log, encoding="utf-8", errors="replace") as log:
                log.seek(begin)
                return [line for line in log if "still waiting for" in line and " on relation " in line]

        return notes

    def close(self):
        """Forgets the connections, for instance because the server was restarted."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def drop(self):
        self.close()
        connection = self.cluster.connect("postgres")
        try:
            _alone_in(connection, f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        finally:
            connection.close()
