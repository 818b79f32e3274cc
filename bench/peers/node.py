# SPDX-License-Identifier: PostgreSQL
"""Node: what one writes with its http module in twenty lines, and the library better-sse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from .common import APPS, Absent, Peer, debian, libraries, only_once, quiet, say


def _node(cache: Path) -> tuple[str, dict[str, str]]:
    """The program, and the environment it runs in."""
    found = shutil.which("node")
    if found:
        return found, dict(os.environ)
    root = debian(cache, "nodejs")
    return str(root / "usr/bin/node"), libraries(root)


class Node(Peer):
    name = "node"
    label = "Node, http module"
    program = "node_plain.mjs"
    node: str
    env: dict[str, str]

    @classmethod
    def install(cls, cache: Path) -> str:
        cls.cache = cache
        cls.node, cls.env = _node(cache)
        return "Node " + quiet([cls.node, "--version"], env=cls.env).strip().removeprefix("v")

    def begin(self) -> list[subprocess.Popen[str]]:
        shutil.copy(APPS / self.program, self.cache / self.program)  # beside its node_modules
        return [self.run([self.node, self.cache / self.program, str(self.port)], env=self.env)]


class BetterSse(Node):
    name = "better-sse"
    label = "better-sse (Node)"
    program = "node_better.mjs"

    @classmethod
    def install(cls, cache: Path) -> str:
        def make(to: Path) -> None:
            if not shutil.which("npm"):
                raise Absent("no npm here")
            say(f"npm install better-sse into {to.parent}")
            (to / "package.json").write_text('{"private": true}\n')
            quiet(["npm", "install", "--silent", "--no-fund", "--no-audit", "better-sse"], cwd=to)

        node = super().install(cache)
        cls.cache = only_once(cache / "node", make)
        package = json.loads((cls.cache / "node_modules/better-sse/package.json").read_text())
        return f"better-sse {package['version']}, {node}"
