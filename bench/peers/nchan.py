# SPDX-License-Identifier: PostgreSQL
"""nchan, a module of nginx: one worker, messages kept in shared memory."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from .common import Peer, debian, libraries, quiet

MODULE = "usr/lib/nginx/modules/ngx_nchan_module.so"

CONF = """
load_module {root}/{module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {dir}/pid;
error_log {dir}/error.log warn;
events {{ worker_connections 19800; use epoll; multi_accept on; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  keepalive_timeout 1h;
  keepalive_requests 100000000;
  tcp_nodelay on;
  nchan_shared_memory_size 512M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /events {{
      nchan_subscriber eventsource;
      nchan_channel_id $arg_token;
      nchan_subscriber_first_message newest;
      nchan_eventsource_ping_interval 0;
    }}
    location = /publish {{
      nchan_publisher;
      nchan_channel_id $arg_channel;
      nchan_message_buffer_length 100;
      nchan_message_timeout 10s;
    }}
  }}
}}
"""


class Nchan(Peer):
    name = "nchan"
    label = "nchan (nginx)"

    @classmethod
    def install(cls, cache: Path) -> str:
        cls.cache = debian(cache, "libnginx-mod-nchan", "nginx")
        module_file = cls.cache / MODULE
        # Its directory for large messages is fixed and belongs to an installed nginx: the same
        # number of bytes, but below the directory that we give. No message here is large.
        fixed, ours = b"/var/lib/nginx/body", b"./././././././/body"
        code = module_file.read_bytes()
        if fixed in code:
            module_file.write_bytes(code.replace(fixed, ours))
        nginx = quiet([str(cls.cache / "usr/sbin/nginx"), "-v"], env=libraries(cls.cache))
        module = quiet(["apt-cache", "policy", "libnginx-mod-nchan"])
        found = re.search(r"Candidate: (?:\d+:)?([\d.]+)", module)
        return f"nchan {found[1] if found else '?'}, {nginx.strip().rpartition(' ')[2]}"

    def begin(self) -> list[subprocess.Popen[str]]:
        conf = self.dir / "nginx.conf"
        conf.write_text(CONF.format(root=self.cache, module=MODULE, dir=self.dir, port=self.port))
        return [self.run([self.cache / "usr/sbin/nginx", "-p", self.dir, "-e", self.dir / "error.log",
                          "-c", conf], env=libraries(self.cache))]

    def publish(self, events: list[tuple[str, str]]) -> None:
        for channel, text in events:
            self.poster.post(f"/publish?channel={channel}", text.encode())
