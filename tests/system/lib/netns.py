# SPDX-License-Identifier: PostgreSQL
"""A network of its own, with addresses that are not of the loopback interface's range: for what
depends on where a client comes from. Needs root and iproute2."""

import ctypes
import os
import shutil
import socket
import subprocess
import threading

PATIENCE_S = 60.0
CLONE_NEWNET = 0x40000000


def why_not():
    """Why there can be none here; empty when there can."""
    if os.geteuid() != 0:
        return "needs root to make a network"
    if not shutil.which("ip") or not shutil.which("nsenter"):
        return "ip or nsenter is not installed"
    done = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True)
    return "" if done.returncode == 0 else "no network can be made here: " + done.stderr.strip()


class Network:
    """`prefix` goes before a command that shall run in it."""

    def __init__(self, *addresses):
        self._holder = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self._holder.stdin.write(b"\n")  # it answers once it is there
        self._holder.stdin.flush()
        self._holder.stdout.readline()
        self.prefix = ["nsenter", "--net", "-t", str(self._holder.pid)]
        self._fd = os.open(f"/proc/{self._holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        subprocess.run([*self.prefix, "ip", "link", "set", "lo", "up"], check=True)
        for a in addresses:
            nodad = ["nodad"] if ":" in a else []
            subprocess.run([*self.prefix, "ip", "addr", "add", a, "dev", "lo", *nodad], check=True)

    def connect(self, address, source):
        """A connection in it, from that address; usable everywhere."""
        got = []

        def inside():
            if ctypes.CDLL(None, use_errno=True).setns(self._fd, CLONE_NEWNET):
                got.append(OSError(ctypes.get_errno(), "setns"))
                return
            try:
                got.append(socket.create_connection(address, PATIENCE_S, (source, 0)))
            except OSError as e:
                got.append(e)

        t = threading.Thread(target=inside)  # its network is the thread's, and goes with it
        t.start()
        t.join()
        if isinstance(got[0], OSError):
            raise got[0]
        return got[0]

    def close(self):
        os.close(self._fd)
        self._holder.stdin.close()
        self._holder.wait()
        self._holder.stdout.close()
