# SPDX-License-Identifier: PostgreSQL
"""Processes that end with us, and the load client."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from . import machine


def as_postgres() -> list[str]:
    """PostgreSQL and the daemon refuse to be root."""
    if os.geteuid():
        return []
    return ["--reuid=postgres", "--regid=postgres", "--clear-groups"]


def place(server: bool | None) -> list[str]:
    """Servers on the first processor, everything else on the others; None: anywhere."""
    cpus = machine.processors()
    chosen = cpus[:1] if server else cpus[1:] or cpus
    if server is None:
        chosen = cpus
    return ["taskset", "-c", ",".join(map(str, chosen))]


def spawn(
    command: list[str], *, server: bool | None = False, drop: bool = False, death: str = "KILL", **more: Any
) -> subprocess.Popen[str]:
    """Starts a process that gets a signal when we die, even by SIGKILL."""
    setpriv = ["setpriv", "--pdeathsig", death, *(as_postgres() if drop else [])]
    return subprocess.Popen([*setpriv, *place(server), *command], text=True, cwd="/", **more)


def end(process: subprocess.Popen[str], sig: int = signal.SIGTERM, wait_s: float = 15) -> None:
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


def lost(report: dict[str, Any]) -> str:
    """What went wrong with the streams, in words; empty when nothing did."""
    wrong = ("failed", "closed", "missing", "backward", "resyncs")
    return ", ".join(f"{report[key]} {key}" for key in wrong if report[key])


class Load:
    """bench/load, with streams to one server."""

    def __init__(self, build: Path, port: int, streams: int, spread: bool = False,
                 **options: Any) -> None:
        command = [str(build / "bench/load"), "--port", str(port), "--streams", str(streams)]
        for name, value in options.items():
            if value is True:
                command.append("--" + name.replace("_", "-"))
            elif value is not None and value is not False:
                command += ["--" + name.replace("_", "-"), str(value)]
        self.streams = streams
        pipe = subprocess.PIPE
        self.process = spawn(command, server=None if spread else False, stdin=pipe, stdout=pipe)

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the load client has ended")
        return dict(json.loads(line))

    def connect(self, wait_s: float = 60, tries: int = 1) -> dict[str, Any]:
        """All streams up, or a complaint."""
        for _ in range(tries):
            self.ask("zero")
            self.ask("connect")
            report = self.ask(f"up {int(wait_s * 1000)}")
            if report["up"] == self.streams:
                break
        if report["up"] != self.streams:
            raise RuntimeError(
                f"only {report['up']} of {self.streams} streams are up "
                f"(HTTP status of the last refusal: {report['last_status']})"
            )
        return report

    def wait(self, events: int, wait_s: float = 30) -> dict[str, Any]:
        return self.ask(f"wait {events} {int(wait_s * 1000)}")

    def close(self) -> None:
        if self.process.stdin and not self.process.stdin.closed:
            try:
                self.process.stdin.write("quit\n")
                self.process.stdin.flush()
                self.process.wait(15)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                pass
        end(self.process, signal.SIGKILL)


def find_programs(build: Path) -> None:
    for name in ("pgherald", "bench/load", "bench/epoll_sender"):
        if not os.access(build / name, os.X_OK):
            raise SystemExit(f"bench: {build / name} is missing: run make and make bench-programs there")
    for name in ("setpriv", "taskset", "psql"):
        if not shutil.which(name):
            raise SystemExit(f"bench: {name} is missing")
