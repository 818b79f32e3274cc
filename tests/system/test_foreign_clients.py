# SPDX-License-Identifier: PostgreSQL
"""Client libraries that others wrote, behind a proxy that cuts every connection somewhere in the middle
of an event: none is lost, and every document arrives as it is. The libraries come from npm, the Go proxy
and PyPI, once, into .cache/; what cannot be had is skipped."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lib.daemon import EVENTS, wait_until

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("PGHERALD_CACHE", HERE.parents[1] / ".cache")) / "foreign-clients"
FETCH_S = 300
EVENTS_TOLD = 150
# What ends a line to Python's str.splitlines() and to nobody who reads the standard.
TEXT = "a\u2028b\u2029c\x85d\u00e9\u20ac\U0001f600\\n\"\n\r\t"


def fetch(directory, *argv):
    """Runs what fetches a library into a directory of its own, once."""
    done = CACHE / directory / "fetched"
    if done.exists():
        return done.parent
    if not shutil.which(argv[0]):
        pytest.skip(f"{argv[0]} is not installed")
    done.parent.mkdir(parents=True, exist_ok=True)
    ran = subprocess.run(argv, cwd=done.parent, capture_output=True, text=True, timeout=FETCH_S)
    if ran.returncode:
        shutil.rmtree(done.parent)
        pytest.skip(f"{directory} cannot be fetched: {(ran.stderr.strip() or '?').splitlines()[-1]}")
    done.touch()
    return done.parent


def npm(package, version):
    directory = fetch(f"{package.replace('/', '-')}-{version}", "npm", "install", "--no-save", "--no-audit",
                      "--no-fund", "--loglevel=error", "--prefix", ".", f"{package}@{version}")
    return str(directory / "node_modules" / package)


def newer_node(major):
    found = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout if shutil.which("node") else "v0"
    if int(found[1:].split(".")[0]) < major:
        pytest.skip(f"it wants Node {major}, this is {found.strip()}")


def go(source, module, version):
    if not shutil.which("go"):
        pytest.skip("go is not installed")
    directory = CACHE / f"{source}-{version}"
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / "go.mod").exists():
        (directory / "go.mod").write_text(f"module {source}\n\ngo 1.19\n")
    shutil.copy(HERE / "foreign" / f"{source}.go", directory / "main.go")
    fetch(directory.name, "sh", "-c", f"go get {module}@{version} && go build -o client .")
    return str(directory / "client")


def cargo():
    if not shutil.which("cargo"):
        pytest.skip("cargo is not installed")
    directory = CACHE / "tungstenite-0.24.0"
    (directory / "src").mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "foreign/rust/Cargo.toml", directory)
    shutil.copy(HERE / "foreign/rust/main.rs", directory / "src")
    fetch(directory.name, "cargo", "build", "--quiet")
    return str(directory / "target/debug/foreign")


def pypi(package, version):
    directory = fetch(f"{package}-{version}", sys.executable, "-m", "pip", "install", "--quiet",
                      "--disable-pip-version-check", "--target", ".", f"{package}=={version}")
    return {"PYTHONPATH": str(directory)}


CLIENTS = {
    "eventsource 1": lambda: (["node", HERE / "foreign/eventsource.cjs", npm("eventsource", "1.1.2")], {}),
    "eventsource 2": lambda: (["node", HERE / "foreign/eventsource.cjs", npm("eventsource", "2.0.2")], {}),
    "eventsource 3": lambda: (["node", HERE / "foreign/eventsource.mjs", npm("eventsource", "3.0.7")], {}),
    "eventsource 5": lambda: newer_node(22) or (["node", HERE / "foreign/eventsource.mjs", npm("eventsource", "5.1.5")], {}),
    "reconnecting-eventsource": lambda: (["node", HERE / "foreign/reconnecting-eventsource.cjs",
                                          npm("reconnecting-eventsource", "1.6.5"), npm("eventsource", "2.0.2")], {}),
    "fetch-event-source": lambda: (["node", HERE / "foreign/fetch-event-source.mjs",
                                    npm("@microsoft/fetch-event-source", "2.0.1")], {}),
    "r3labs/sse": lambda: ([go("r3labs", "github.com/r3labs/sse/v2", "v2.10.0")], {}),
    "sseclient-py": lambda: ([sys.executable, HERE / "foreign/sseclient_py.py"], pypi("sseclient-py", "1.9.0")),
    "httpx-sse": lambda: ([sys.executable, HERE / "foreign/httpx_sse_client.py"], pypi("httpx-sse", "0.4.0")),
    "sseclient": lambda: ([sys.executable, HERE / "foreign/sseclient_plain.py"], pypi("sseclient", "0.0.27")),
}


class Cutter(threading.Thread):
    """Passes on what the daemon says, and hangs up after so many bytes; every second time with a reset.
    Not between the two line ends of an event: who takes an id with its line loses that event, wherever
    in it the id stands."""

    def __init__(self, address, seed):
        super().__init__(daemon=True)
        self.address, self.random, self.cuts = address, random.Random(seed), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        server = socket.create_connection(self.address)
        # the head, the greeting, and of the events some, or a part of the first
        left = self.random.randrange(700, 2600)
        try:
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(65536)
            server.sendall(request)
            while left > 0:
                got = server.recv(65536)
                if not got:
                    break
                left += got[left - 1:left + 1] == b"\n\n"
                client.sendall(got[:left])
                left -= len(got)
        except OSError:
            pass
        self.cuts += 1
        if self.cuts % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        server.close()


def parse(line):
    """None for what is no message: r3labs/sse hands out the beginning of one when the connection ends. It
    takes the beginning of an id as well, which is no position of ours and answered with a resync."""
    try:
        return json.loads(line)
    except ValueError:
        return None


@pytest.mark.parametrize("name", CLIENTS)
def test_no_event_is_lost(served, tmp_path, name):
    argv, env = CLIENTS[name]()
    served.install.conf.write_text(served.install.conf.read_text() + """
[route events]
path = /api/v1/sse/events/
retry = 10ms
""")
    d = served.daemon.start().wait_ready()
    seed = int(os.environ.get("PGHERALD_SEED") or random.randrange(1 << 30))
    print(f"PGHERALD_SEED={seed}")
    cutter = Cutter(d.address, seed)
    cutter.start()
    out = tmp_path / "client.out"
    url = f"http://127.0.0.1:{cutter.port}{EVENTS}?token={served.boss}"
    with out.open("w", encoding="utf-8") as f:
        client = subprocess.Popen([*map(str, argv), url], stdout=f, stderr=f, env=os.environ | env)
    try:
        def told():
            """The numbers of the events, in the order of arrival; not the last line, maybe half."""
            lines = out.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
            messages = [m for m in map(parse, lines) if m]
            events = [m["data"] for m in messages if m["event"] == "estimate.created"]
            assert all(e["status"] == TEXT for e in events)
            if any(m["event"] == "system.resync" for m in messages):
                return list(range(EVENTS_TOLD))
            return [int(e["estimate_number"]) for e in events]

        wait_until(lambda: "connected" in out.read_text(encoding="utf-8", errors="replace"), lambda: out.read_text()[-2000:])
        for i in range(EVENTS_TOLD):
            served.db.run("INSERT INTO api_estimate (number, project_id, status) VALUES (%s, 10, %s)",
                          (str(i), TEXT))
        wait_until(lambda: EVENTS_TOLD - 1 in told(), lambda: f"{told()[-9:]}\n{out.read_text()[-2000:]}")
        assert sorted(set(told())) == list(range(EVENTS_TOLD))
        assert cutter.cuts > 20 or name == "r3labs/sse"
    finally:
        client.kill()
        client.wait()
        cutter.listener.close()


WEBSOCKETS = {
    "ws": lambda: ["node", HERE / "foreign/ws.cjs", npm("ws", "8.23.0")],
    "gorilla": lambda: [go("gorilla", "github.com/gorilla/websocket", "v1.5.3")],
    "tungstenite": lambda: [cargo()],
}


@pytest.mark.parametrize("name", WEBSOCKETS)
def test_websockets_of_others(served, tmp_path, name):
    """The greeting, events in order, a pong, an answer, and the code of the end."""
    argv = WEBSOCKETS[name]()
    d = served.daemon.start().wait_ready()
    out = tmp_path / "client.out"
    with out.open("w", encoding="utf-8") as f:
        client = subprocess.Popen([*map(str, argv), "ws://%s:%d%s?token=%s" % (*d.address, EVENTS, served.anna)], stdout=f, stderr=f)
    try:
        def told():
            return [m for m in map(parse, out.read_text(encoding="utf-8").split("\n")[:-1]) if m]
        wait_until(lambda: {"connected", "pong", "system.pong"} <= {m["event"] for m in told()}, out.read_text)
        for i in range(20):
            served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id, status) VALUES (%s, 10, 2, %s)",
                          (str(i), TEXT))
        wait_until(lambda: len([m for m in told() if m["event"] == "estimate.created"]) == 20, out.read_text)
        events = [m["data"] for m in told() if m["event"] == "estimate.created"]
        assert [(int(e["estimate_number"]), e["status"]) for e in events] == [(i, TEXT) for i in range(20)]
        assert [m["data"] for m in told() if m["event"] == "pong"] == [125]
        assert [m["request_id"] for m in told() if m["event"] == "system.pong"] == ["κ" * 20]
        served.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
        wait_until(lambda: [m["data"] for m in told() if m["event"] == "close"] == [4401], out.read_text)
    finally:
        client.kill()
        client.wait()
