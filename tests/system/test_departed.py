# SPDX-License-Identifier: PostgreSQL
"""A page that is reloaded behind a proxy that does not say so: HAProxy and Apache as they come notice a
client that has gone only when they write to it, so that the third reload would meet
max_streams_per_user. The daemon writes to the others first."""

import socket
import time

import pytest
from lib.daemon import PATIENCE_S, Client
from lib.recipe import Apache, HAProxy


class PlainHAProxy(HAProxy):
    """Nothing but addresses and long times."""

    def configure(self):
        return [self.program(), "-db", "-f", self.write("haproxy.cfg", f"""
defaults
    mode http
    timeout connect 3s
    timeout client 1h
    timeout server 1h
listen all
    bind 127.0.0.1:{self.port}
    server pgherald {self.exchange[0][1]}
""")]


class PlainApache(Apache):
    MODULES = Apache.MODULES | {"proxy", "proxy_http"}

    def configure(self):
        super().configure()  # finds the modules
        main = (self.dir / "main.conf").read_text().rpartition("Include ")[0]
        return [self.program(), "-D", "FOREGROUND", "-f", self.write("plain.conf", main + f"""
ProxyPass / http://{self.exchange[0][1]}/ flushpackets=on timeout=3600
""")]


class Through:
    """What a Client needs of a daemon."""

    def __init__(self, daemon, port):
        self.address, self.log = ("127.0.0.1", port), daemon.log


@pytest.mark.parametrize("kind", [PlainHAProxy, PlainApache], ids=["haproxy", "apache"])
def test_a_page_that_is_reloaded(served, kind):
    if not kind.program():
        pytest.skip("not installed: " + kind.NAMES[0])
    served.configure("[server]", "[server]\nmax_streams_per_user = 2")
    d = served.daemon.start().wait_ready()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        proxy = kind(d.address[1], nobody.getsockname()[1])
    try:
        through = Through(d, proxy.port)
        pages = [Client(through, served.anna, by_query=False).hello() for _ in range(2)]
        for _ in range(3):
            for page in pages:
                page.close()
            began = time.monotonic()
            pages = [Client(through, served.anna, by_query=False).hello() for _ in range(2)]
            assert time.monotonic() - began < PATIENCE_S / 2
        served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('e', 10, 2)")
        for page in pages:
            page.wait_message("estimate.created")
        # who is there stays: one more is refused, after a while
        more = Client(through, served.anna, by_query=False)
        more.read_until(lambda: more.status, "an answer")
        assert more.status == 429
    finally:
        proxy.close()
