# SPDX-License-Identifier: PostgreSQL
"""What all peers have in common: they are fed by POST requests that hold an event's text, and put
a frame around it. No peer knows tokens, rights or positions here; the tables say so."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.lib import machine
from bench.lib.process import Load, end, spawn

APPS = Path(__file__).resolve().parent / "apps"


class Absent(Exception):
    """The peer cannot be had here, and why."""


def say(text: str) -> None:
    print(f"bench: {text}", flush=True)


def quiet(command: list[str], **more: Any) -> str:
    """Output of a command of the installation; its failure makes the peer absent."""
    try:
        done = subprocess.run(command, text=True, capture_output=True, timeout=600,
                              stdin=subprocess.DEVNULL, **more)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"{command[0]}: {error}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["failed"]
        raise Absent(f"`{' '.join(command[:3])} …`: {lines[-1][:200]}")
    return done.stdout + done.stderr


def only_once(directory: Path, make: Callable[[Path], None]) -> Path:
    """Fills a directory of the cache, or leaves none behind."""
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        part = directory.with_name(directory.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            make(part)
            part.rename(directory)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return directory


def debian(cache: Path, *packages: str) -> Path:
    """Packages and what they need, unpacked into the cache: nothing is installed, no service is
    started, and root is not asked for."""

    def make(to: Path) -> None:
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise Absent("no apt-get here")
        plan = ["apt-get", "install", "--simulate", "--no-install-recommends", "--reinstall", *packages]
        try:
            names = re.findall(r"^Inst (\S+)", quiet(plan), re.M)
        except Absent:
            if os.geteuid():
                raise
            say("apt-get update")
            quiet(["apt-get", "update"])
            names = re.findall(r"^Inst (\S+)", quiet(plan), re.M)
        say(f"unpacking {', '.join(names)} into {to.parent}")
        quiet(["apt-get", "download", "-o", "APT::Sandbox::User=root", *names], cwd=to)
        for deb in sorted(to.glob("*.deb")):
            quiet(["dpkg-deb", "-x", str(deb), str(to)])
            deb.unlink()

    return only_once(cache / f"debian-{packages[0]}", make)


def libraries(root: Path) -> dict[str, str]:
    """The environment in which unpacked programs find their libraries."""
    found = [str(p) for p in root.glob("usr/lib/*-linux-gnu*")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(found)}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Poster:
    """POST requests over one connection, a number of them under way."""

    def __init__(self, port: int, depth: int) -> None:
        self.port, self.depth, self.under_way, self.rest = port, depth, 0, b""
        self.socket = self.connect()

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), 30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def reconnect_when_idle_for_long(self) -> None:
        """Servers close a connection over which nothing comes while the others are measured."""
        if not self.under_way and select.select([self.socket], [], [], 0)[0]:
            self.socket.close()
            self.socket = self.connect()

    def post(self, path: str, body: bytes) -> None:
        self.reconnect_when_idle_for_long()
        head = (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        self.socket.sendall(head.encode() + body)
        self.under_way += 1
        self.settle(self.depth - 1)

    def settle(self, left: int = 0) -> None:
        """Reads answers until so many are still to come."""
        while self.under_way > left:
            head, found, rest = self.rest.partition(b"\r\n\r\n")
            if found:
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                need = int(length[1]) if length else 0
                if head[9:10] != b"2" or (not length and head[9:12] not in (b"204", b"202")):
                    raise RuntimeError(f"the publisher was answered {head[:100]!r}")
                if len(rest) >= need:
                    self.rest = rest[need:]
                    self.under_way -= 1
                    continue
            piece = self.socket.recv(65536)
            if not piece:
                raise RuntimeError("the publisher's connection was closed")
            self.rest += piece


class Peer:
    """A server under measurement. What differs is in the subclass: install(), begin(), publish()."""

    name = ""  # as on the command line
    label = ""  # as in tables
    path = "/events"
    most = 15000  # streams it carries in bounded time
    most_batch = 50  # events that it takes at once without loss
    in_flight = 64  # streams that open at once
    depth = 16  # POSTs under way
    everybody = "all"
    one = "c%u"
    cache: Path

    @classmethod
    def install(cls, cache: Path) -> str:
        """Makes sure that it is there; its version. Raises Absent."""
        raise NotImplementedError

    def begin(self) -> list[subprocess.Popen[str]]:
        """Starts its processes on self.port; the first is the one that accepts streams."""
        raise NotImplementedError

    def publish(self, events: list[tuple[str, str]]) -> None:
        """Hands over events, each a channel and its text."""
        self.poster.post("/publish", "".join(f"{c}\t{t}\n" for c, t in events).encode())

    def __init__(self, build: Path, frame_bytes: int) -> None:
        self.build, self.frame_bytes = build, frame_bytes
        self.number, self.pad, self.target = 0, 220, 0
        self.port = free_port()
        self.dir = Path(tempfile.mkdtemp(prefix="pgherald-bench-peer."))
        if not os.geteuid():
            shutil.chown(self.dir, "postgres", "postgres")
        self.log = (self.dir / "log").open("w")
        self.helpers: list[subprocess.Popen[str]] = []  # not counted: what the peer asks
        self.processes: list[subprocess.Popen[str]] = []
        try:
            self.processes = self.begin()
            self._wait_ready()
            self.poster = self.publisher()
        except BaseException:
            self.stop()
            raise

    def post_port(self) -> int:
        return self.port

    def publisher(self) -> Any:
        return Poster(self.port, self.depth)

    def run(self, command: list[str | Path], *, server: bool = True, **more: Any) -> subprocess.Popen[str]:
        return spawn([str(part) for part in command], server=server, drop=True, death="TERM",
                     stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **more)

    def _wait_ready(self) -> None:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", self.post_port()), 1).close()
                url = f"http://127.0.0.1:{self.port}{self.path}?token=nobody"
                request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})
                urllib.request.urlopen(request, timeout=5).close()
                return
            except OSError:  # an HTTP error is one too
                time.sleep(0.05)
            if any(p.poll() is not None for p in self.processes):
                break
        said = Path(self.log.name).read_text().strip().splitlines() or ["it says nothing"]
        raise RuntimeError(f"{self.name} does not start: {said[-1][-300:]}")

    def cpu(self) -> float:
        return sum(machine.tree_running_s(p.pid) for p in self.processes)

    def private_kb(self) -> int:
        return sum(machine.tree_private_kb(p.pid) for p in self.processes)

    def load(self, streams: int, role: str = "manager", **more: Any) -> Load:
        more.setdefault("in_flight", self.in_flight)
        token = self.everybody if role == "manager" else self.one
        return Load(self.build, self.port, streams, path=self.path, token_format=token, **more)

    def event(self) -> str:
        self.number += 1
        return (f'{{"m":"@@{time.time_ns():016x}{self.number:08x}","pad":"{"x" * self.pad}"}}')

    def learn_frame(self, load: Load) -> None:
        """Makes an event, with the peer's own framing, as long as ours with ours."""
        for _ in range(2):
            load.ask("zero")
            self.broadcast(load, 4, 1, 50)
            report = load.ask("report")
            if not report["events"]:
                raise RuntimeError("no event arrived")
            self.pad += round(self.frame_bytes + 7 - report["bytes"] / report["events"])
            self.pad = max(self.pad, 0)

    def _paced(self, load: Load, count: int, batch: int, rate: float, channels: Callable[[], str],
               receivers: int) -> dict[str, Any]:
        base, began = load.ask("report")["events"], time.monotonic()
        for k in range(count // batch):
            if rate:
                time.sleep(max(0, began + k / rate - time.monotonic()))
            elif k > 1:
                load.wait(base + (k - 1) * batch * receivers, 20)
            self.publish([(channels(), self.event()) for _ in range(batch)])
        self.poster.settle()
        return load.wait(base + count * receivers, 10)

    def broadcast(self, load: Load, count: int, batch: int, rate: float) -> dict[str, Any]:
        return self._paced(load, count, batch, rate, lambda: self.everybody, load.streams)

    def targeted(self, load: Load, count: int, batch: int, rate: float) -> dict[str, Any]:
        def next_channel() -> str:
            self.target = (self.target + 7919) % load.streams
            return self.one.replace("%u", str(self.target))

        return self._paced(load, count, batch, rate, next_channel, 1)

    def stop(self) -> None:
        for process in [*self.processes, *self.helpers]:
            end(process)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
