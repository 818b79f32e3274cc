# SPDX-License-Identifier: PostgreSQL
"""The estimates project on a Django of choice: the distribution's, or the newest LTS in an
environment of its own that is made once below .cache/ of the work tree."""

import fcntl
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from .venv import make as make_venv

TOP = Path(__file__).resolve().parents[3]
PROJECT = TOP / "examples" / "estimates"
WORKER = Path(__file__).with_name("orm_worker.py")
SETTINGS = Path(__file__).with_name("project")
LTS = ["django~=5.2", "djangorestframework", "psycopg[binary]"]
LTS_PYTHON = (3, 10)
PIP_TIMEOUT_S = 300
COMMAND_TIMEOUT_S = 120


class Unavailable(Exception):
    """This machine cannot have that Django; the text says why."""


def distribution_python():
    modules = "django, rest_framework"
    done = subprocess.run([sys.executable, "-c", f"import {modules}"], capture_output=True)
    if done.returncode:
        raise Unavailable(f"{sys.executable} has no {modules}")
    return sys.executable


def lts_python():
    if sys.version_info < LTS_PYTHON:
        raise Unavailable("Django 5.2 needs Python 3.10")
    cache = Path(os.environ.get("PGHERALD_CACHE", TOP / ".cache"))
    tag = "django-lts-py%d.%d" % sys.version_info[:2]
    venv, python = cache / tag, cache / tag / "bin" / "python"
    try:
        cache.mkdir(exist_ok=True)
        lock = open(cache / (tag + ".lock"), "w")  # two test runs at once make it once
    except OSError as error:
        raise Unavailable(str(error)) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = venv / "ready"
        if not ready.exists() or ready.read_text() != "\n".join(LTS):
            pip = make_venv(_must, venv)
            _must([*pip, "install", "--quiet", "--retries=1", "--timeout=15",
                   "--disable-pip-version-check", *LTS])
            ready.write_text("\n".join(LTS))
    return str(python)


def _must(argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PIP_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"no environment for the newest LTS: {error}") from None
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "?").splitlines()[-1]
        raise Unavailable(f"no environment for the newest LTS: {words}")


PYTHONS = {"distribution": distribution_python, "lts": lts_python}


class Django:
    """The project on one interpreter and one database."""

    def __init__(self, python, database, user="estimates"):
        self.python = python
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        self.env.update(PGHOST=database.cluster.dir, PGPORT="5432", PGDATABASE=database.name,
                        PGUSER=user, ESTIMATES=str(PROJECT), ESTIMATES_LANGUAGE="ru", PYTHONDONTWRITEBYTECODE="1",
                        PYTHONIOENCODING="utf-8", PYTHONPATH=str(SETTINGS),
                        DJANGO_SETTINGS_MODULE="quick_settings")
        self.worker = None

    def manage(self, *args):
        """Runs a manage.py command; what it printed."""
        done = subprocess.run([self.python, str(PROJECT / "manage.py"), *args], env=self.env,
                              capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)
        assert done.returncode == 0, f"manage.py {args}: {done.stdout}{done.stderr}"
        return done.stdout

    def run(self, code):
        """Executes code in a Django that lives on; its variable `result`."""
        if not self.worker:
            self.worker = subprocess.Popen([self.python, str(WORKER)], env=self.env, text=True,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.worker.stdin.write(json.dumps({"code": textwrap.dedent(code)}) + "\n")
        self.worker.stdin.flush()
        line = self.worker.stdout.readline()
        assert line, "Django ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self):
        if self.worker:
            self.worker.stdin.close()
            self.worker.stdout.close()
            self.worker.wait()
            self.worker = None
