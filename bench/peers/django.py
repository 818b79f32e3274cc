# SPDX-License-Identifier: PostgreSQL
"""Django, in two ways: the library django-eventstream under uvicorn, and the view that many have
written themselves, a generator that waits on a queue, which takes a thread of gunicorn for each
stream. Both hold their streams in the memory of one process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from .common import APPS, Peer, debian, only_once, quiet, say

PACKAGES = ["django<6", "django-eventstream", "uvicorn", "gunicorn"]


def _packages(cache: Path) -> Path:
    def make(to: Path) -> None:
        env = dict(os.environ)
        if importlib.util.find_spec("pip") is None:
            root = debian(cache, "python3-pip", "python3-wheel")
            env["PYTHONPATH"] = str(root / "usr/lib/python3/dist-packages")
        say(f"pip install --target {to.with_suffix('')} {' '.join(PACKAGES)}")
        quiet([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
               "--root-user-action", "ignore", "--target", str(to), *PACKAGES], env=env)

    return only_once(cache / "django", make)


class EventStream(Peer):
    name = "django-eventstream"
    label = "django-eventstream (uvicorn)"
    most = 2000
    most_batch = 8  # it keeps 10 waiting messages and tells of the others with an error
    depth = 1

    @classmethod
    def install(cls, cache: Path) -> str:
        cls.cache = _packages(cache)
        found = quiet([sys.executable, "-c",
                       "from importlib.metadata import version as v\n"
                       "print(*(f'{p} {v(p)}' for p in ('django-eventstream', 'Django', 'uvicorn',"
                       " 'gunicorn')), sep=', ')"], env=cls.environment()).strip()
        return cls.pick(found)

    @classmethod
    def environment(cls) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": f"{cls.cache}:{APPS}", "PYTHONDONTWRITEBYTECODE": "1"}

    @classmethod
    def pick(cls, versions: str) -> str:
        return ", ".join(versions.split(", ")[:3])

    def command(self) -> list[str | Path]:
        return ["-m", "uvicorn", "--host", "127.0.0.1", "--port", str(self.port), "--backlog", "4096",
                "--log-level", "warning", "--no-access-log", "--lifespan", "off",
                "--timeout-keep-alive", "600",
                "--ws", "none",  # else it takes the system's websockets, which may be too old for it
                "bench_eventstream:application"]

    def begin(self) -> list[subprocess.Popen[str]]:
        return [self.run([sys.executable, *self.command()],
                         env={**self.environment(), "HOME": str(self.dir)})]


class View(EventStream):
    name = "django-view"
    label = "Django view, queue (gunicorn)"
    most = 1000
    most_batch = 50

    @classmethod
    def pick(cls, versions: str) -> str:
        return ", ".join(versions.split(", ")[i] for i in (1, 3))

    def command(self) -> list[str | Path]:
        return ["-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--workers", "1", "--worker-class",
                "gthread", "--threads", str(self.most + 20), "--worker-connections", "2000", "--backlog",
                "2048", "--timeout", "600", "--keep-alive", "600", "--worker-tmp-dir", str(self.dir), "--log-level", "warning",
                "bench_view:application"]
