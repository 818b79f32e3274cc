# SPDX-License-Identifier: PostgreSQL
"""Pushpin: three processes (connections, proxy, handler), fed over ZeroMQ, and
beside it, not counted, what it asks when a stream comes: zurl and a small origin."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

from .common import APPS, Peer, debian, free_port, libraries, quiet

CONF = """
[global]
include={dir}/internal.conf
libdir={root}/usr/lib/pushpin
rundir={dir}
ipc_prefix=
port_offset=0
stats_connection_ttl=120
[proxy]
routesfile={dir}/routes
sig_key=changeme
updates_check=off
[handler]
push_in_spec=tcp://127.0.0.1:{control}
stats_spec=ipc://{dir}/stats
command_spec=ipc://{dir}/command
message_rate=1000000
message_hwm=1000000
message_wait=5000
id_cache_ttl=60
connection_subscription_max=20
subscription_linger=60
stats_subscription_ttl=60
stats_report_interval=600
stats_format=tnetstring
"""

ZURL = """
[General]
in_spec=ipc://{dir}/zurl-in
in_stream_spec=ipc://{dir}/zurl-in-stream
out_spec=ipc://{dir}/zurl-out
in_req_spec=
defpolicy=allow
max_open_requests=2000
buffer_size=200000
timeout=600
in_hwm=1000
out_hwm=1000
"""


class Pusher:
    """A PUSH socket of ZeroMQ (RFC 23/ZMTP, the NULL mechanism), which is all that is needed."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
        ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 4) + b"PUSH"
        self.socket.sendall(greeting + b"\x04" + bytes([len(ready)]) + ready)
        self.socket.recv(4096)

    def send(self, messages: list[bytes]) -> None:
        self.socket.sendall(b"".join(b"\x02" + struct.pack(">Q", len(m)) + m for m in messages))

    def settle(self) -> None:
        """Nothing is answered."""


class Pushpin(Peer):
    name = "pushpin"
    label = "Pushpin"
    in_flight = 8  # with 64 a few never get their answer

    @classmethod
    def install(cls, cache: Path) -> str:
        cls.cache = debian(cache, "pushpin", "condure", "zurl")
        text = quiet([str(cls.cache / "usr/bin/pushpin"), "--version"], env=libraries(cls.cache))
        return "Pushpin " + text.strip().rpartition(" ")[2]

    def begin(self) -> list[subprocess.Popen[str]]:
        usr, origin, self.control = self.cache / "usr", free_port(), free_port()
        internal = (usr / "lib/pushpin/internal.conf").read_text()
        internal = internal.replace("ipc:///var/run/zurl/", f"ipc://{self.dir}/")
        files = {
            "internal.conf": internal,
            "pushpin.conf": CONF.format(dir=self.dir, root=self.cache, control=self.control),
            "zurl.conf": ZURL.format(dir=self.dir),
            "routes": f"* 127.0.0.1:{origin}\n",
        }
        for name, text in files.items():
            (self.dir / name).write_text(text)
        env, conf = libraries(self.cache), f"--config={self.dir}/pushpin.conf"
        self.helpers.append(self.run([sys.executable, APPS / "grip_origin.py", str(origin)], server=False))
        self.helpers.append(self.run([usr / "bin/zurl", f"--config={self.dir}/zurl.conf", "--loglevel=0"],
                                     server=False, env=env))
        condure = [usr / "bin/condure", f"--listen=127.0.0.1:{self.port},stream", "--log-level=1",
                   f"--zclient-stream=ipc://{self.dir}/condure", "--buffer-size=8192", "--workers=1",
                   "--stream-maxconn=19000"]
        rest = [conf, "--ipc-prefix=", "--loglevel=1"]
        return [self.run(condure, env=env), self.run([usr / "bin/pushpin-proxy", *rest], env=env),
                self.run([usr / "bin/pushpin-handler", *rest], env=env)]

    def post_port(self) -> int:
        return self.control

    def publisher(self) -> Pusher:
        return Pusher(self.control)

    def publish(self, events: list[tuple[str, str]]) -> None:
        self.poster.send([b"J" + json.dumps({
            "channel": channel,
            "formats": {"http-stream": {"content": f"id: {self.number}\ndata: {text}\n\n"}},
        }).encode() for channel, text in events])
