# SPDX-License-Identifier: PostgreSQL
"""What systemd is for a daemon: it listens in its place, hears its notifications, and keeps
descriptors for it from one process to the next."""

import array
import os
import socket
import subprocess
import tempfile
import threading

from lib.daemon import Daemon, as_ordinary_user

MAX_FDS = 253  # SCM_MAX_FD


class Store:
    """$NOTIFY_SOCKET, read by a thread until close(). Stored descriptors as (name, fd)."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="pgherald-notify-")
        os.chmod(self.directory, 0o755)
        self.path = os.path.join(self.directory, "notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o666)
        self.fds, self.lines = [], []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        size = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
        while True:
            try:
                data, control, _, _ = self.sock.recvmsg(4096, size)
            except OSError:
                return
            if data == b"bye":
                return
            passed = array.array("i")
            for level, kind, part in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    passed.frombytes(part[:len(part) - len(part) % passed.itemsize])
            lines = dict(line.partition("=")[::2] for line in data.decode().splitlines())
            self.lines.append(lines)
            if "FDSTORE" in lines:
                self.fds += [(lines["FDNAME"], fd) for fd in passed]
                continue
            for fd in passed:  # a barrier's
                os.close(fd)
            if "FDSTOREREMOVE" in lines:
                self.drop(lines["FDNAME"])

    def drop(self, name=None):
        for entry in [e for e in self.fds if name in (None, e[0])]:
            self.fds.remove(entry)
            os.close(entry[1])

    def named(self, name):
        return [fd for n, fd in self.fds if n == name]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"bye", self.path)
        self.thread.join()
        self.sock.close()
        self.drop()
        os.unlink(self.path)
        os.rmdir(self.directory)


class Managed(Daemon):
    """A daemon that is passed these listening sockets and what is in the store."""

    def __init__(self, binary, conf, log, sockets, store=None, store_max=0):
        super().__init__(binary, conf, log)
        self.sockets, self.store, self.store_max = sockets, store, store_max
        self.address = sockets[0].getsockname() if sockets else None

    def start(self, wait=True):
        offset = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        passed = [("socket", s.fileno()) for s in self.sockets]
        passed += self.store.fds if self.store else []
        # They have to be the descriptors from 3 on: a shell moves them, first out of the way.
        fds = [fd for _, fd in passed]
        far = 3 + len(fds) + max([64, *fds])
        script = "".join(f"exec {far + i}<&{fd}\n" for i, fd in enumerate(fds))
        script += "".join(f"exec {3 + i}<&{far + i} {far + i}<&-\n" for i in range(len(fds)))
        script += 'export LISTEN_PID=$$\nexec "$@"\n'
        env = {**os.environ, "LISTEN_FDS": str(len(fds)),
               "LISTEN_FDNAMES": ":".join(name for name, _ in passed)}
        if self.store:
            env |= {"NOTIFY_SOCKET": self.store.path, "FDSTORE": str(self.store_max)}
        argv = as_ordinary_user(["bash", "-c", script, "-", self.binary, "-c", self.conf, "serve"])
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                         pass_fds=fds, env=env)
        if wait:
            self.wait_log(r"listening on \S+, which was passed to us", offset)
        return self
