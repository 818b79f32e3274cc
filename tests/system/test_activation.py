# SPDX-License-Identifier: PostgreSQL
"""Sockets that somebody else listens on, as systemd passes them: nobody is refused while the daemon
restarts, and all workers serve the same socket."""

import collections
import os
import re
import shutil
import socket
import tempfile

import pytest

from conftest import PGHERALD
from lib.daemon import Client, connect, wait_until
from lib.manager import Managed

@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=128) as s:
        yield s


@pytest.fixture
def activated(served, tmp_path, listener):
    """A daemon with two workers on a socket that was passed."""
    served.configure("[server]\n", "[server]\nworkers = 2\n")
    served.daemon = Managed(PGHERALD, served.install.conf, tmp_path / "daemon.log", [listener])
    served.daemon.start().wait_ready()
    return served


def test_listen_has_no_meaning(activated):
    log = activated.daemon.log()
    assert re.findall(r"listening on (\S+?)(?:,|$)", log, re.M) == [
        "127.0.0.1:%d" % activated.daemon.address[1]]
    assert activated.daemon.get("/healthz")[0] == 200


def test_clients_wait_while_the_daemon_is_replaced(activated):
    """They are in the kernel's queue, and served by the next one."""
    activated.daemon.stop()
    early = [Client(activated.daemon, activated.boss) for _ in range(20)]
    activated.daemon.start()
    for client in early:
        client.read_until(lambda c=client: c.status is not None, "an answer")
    activated.daemon.wait_ready()
    clients = [Client(activated.daemon, activated.boss).hello() for _ in range(3)]
    activated.db.run("INSERT INTO api_estimate (number, project_id) VALUES ('e', 10)")
    for client in clients:
        client.read_until(lambda c=client: c.messages())


def test_workers_share_the_socket(activated):
    """The kernel would wake always the same one: streams go to both in equal parts."""
    clients = [Client(activated.daemon, activated.boss).hello() for _ in range(200)]
    opened = re.compile(r"SSE stream opened stream=(\d+)\.")
    wait_until(lambda: len(opened.findall(activated.daemon.log())) == 200, "a line for each")
    by_worker = collections.Counter(opened.findall(activated.daemon.log()))
    assert min(by_worker["0"], by_worker["1"]) >= 80, by_worker
    for client in clients[:150]:
        client.sock.close()
    wait_until(lambda: activated.daemon.streams(activated.boss) == 50, "closed streams are seen")
    Client(activated.daemon, activated.boss).hello()


def test_unix_socket_stays(served, tmp_path):
    """Its file belongs to whoever made it."""
    path = tempfile.mkdtemp(prefix="pgherald-") + "/http.sock"
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen(16)
            os.chmod(path, 0o666)
            os.chmod(os.path.dirname(path), 0o755)
            served.daemon = Managed(PGHERALD, served.install.conf, tmp_path / "daemon.log", [s])
            served.daemon.start()
            with connect(path) as c:
                c.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert c.recv(1000).startswith(b"HTTP/1.1 200")
            served.daemon.stop()
            assert os.path.exists(path)
    finally:
        shutil.rmtree(os.path.dirname(path))


def test_what_does_not_listen_is_refused(served, tmp_path):
    with socket.socket() as s:
        served.daemon = Managed(PGHERALD, served.install.conf, tmp_path / "daemon.log", [s])
        served.daemon.start(wait=False)
        assert served.daemon.wait_end() == 1
    assert "descriptor 3, which was passed, is no listening socket" in served.daemon.log()


@pytest.mark.parametrize("host, good", [("127.0.0.1", True), ("0.0.0.0", False)])
def test_a_variable_opens_no_socket_that_others_reach(served, tmp_path, monkeypatch, host, good):
    """[server] listen, which has a loopback address, has no meaning then."""
    served.install.conf.write_text(served.install.conf.read_text()
                                   + "[auth all]\npreset = none\nrole = manager\n"
                                     "[route sse]\npath = /sse\nenvironment = SSE\n")
    monkeypatch.setenv("SSE_AUTH_REQUIRED", "false")
    with socket.create_server((host, 0)) as s:
        served.daemon = Managed(PGHERALD, served.install.conf, tmp_path / "daemon.log", [s])
        served.daemon.start(wait=good)
        if good:
            assert "/sse lets everybody in, as manager" in served.daemon.log()
        else:
            assert served.daemon.wait_end()
            assert "the socket that was passed is reached from elsewhere" in served.daemon.log()
