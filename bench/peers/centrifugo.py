# SPDX-License-Identifier: PostgreSQL
"""Centrifugo: its unidirectional event streams, its engine in memory, one processor."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.lib.process import Load

from .common import Absent, Peer, only_once, quiet, say

MODULE = "github.com/centrifugal/centrifugo/v6"

CONF = {
    "http_server": {"address": "127.0.0.1"},
    "log": {"level": "error"},
    # Everybody may connect and subscribe: none of it is what is measured.
    "client": {"insecure": True, "allowed_origins": ["*"], "ping_interval": "1h", "pong_timeout": "1m"},
    "channel": {"without_namespace": {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True}},
    "uni_sse": {"enabled": True},
    "http_api": {"insecure": True},
    "usage_stats": {"disabled": True},
}


class Centrifugo(Peer):
    name = "centrifugo"
    label = "Centrifugo"
    path = "/connection/uni_sse"

    @classmethod
    def install(cls, cache: Path) -> str:
        def make(to: Path) -> None:
            if not shutil.which("go"):
                raise Absent("no go here")
            say(f"go install {MODULE} into {to.parent}")
            quiet(["go", "install", MODULE + "@latest"], env={**os.environ, "GOBIN": str(to)})

        cls.cache = only_once(cache / "centrifugo", make)
        built = quiet(["go", "version", "-m", str(cls.cache / "centrifugo")])
        found = re.search(rf"\smod\s+{MODULE}\s+v(\S+)", built)
        return f"Centrifugo {found[1] if found else '?'}"

    def begin(self) -> list[subprocess.Popen[str]]:
        conf = self.dir / "centrifugo.json"
        http: dict[str, Any] = {**CONF["http_server"], "port": self.port}
        conf.write_text(json.dumps({**CONF, "http_server": http}))
        return [self.run([self.cache / "centrifugo", "-c", conf], env={**os.environ, "GOMAXPROCS": "1"})]

    def load(self, streams: int, role: str = "manager", **more: Any) -> Load:
        """What a stream hears stands in its URL, as JSON."""
        more.setdefault("in_flight", self.in_flight)
        channel = self.everybody if role == "manager" else self.one
        subs = quote(json.dumps({"subs": {channel: {}}}), safe="%").replace("%", "%%").replace("%%u", "%u")
        return Load(self.build, self.port, streams, path=self.path, token_format="x&cf_connect=" + subs, **more)

    def publish(self, events: list[tuple[str, str]]) -> None:
        commands = ",".join(f'{{"publish":{{"channel":"{c}","data":{t}}}}}' for c, t in events)
        self.poster.post("/api/batch", f'{{"commands":[{commands}]}}'.encode())
