# SPDX-License-Identifier: PostgreSQL
"""Where each suite comes from, and how it is started."""

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from lib.venv import make as make_venv

TOP = Path(__file__).resolve().parents[3]
PIP_TIMEOUT_S = 900

# Apps of Django's own tests that write much, in many ways: the short form.
SHORT = """basic bulk_create custom_pk delete delete_regress fixtures force_insert_update
generic_relations get_or_create m2m_through many_to_many many_to_one model_inheritance
multiple_database one_to_one select_for_update serializers sessions_tests transactions update
update_only_fields""".split()


class Unavailable(Exception):
    """This machine cannot have that suite; the text says why."""


class Suite:
    def __init__(self, name, title, requirements, source):
        self.name, self.title, self.requirements, self.source = name, title, requirements, source
        self.home = Path(os.environ.get("PGHERALD_CACHE", TOP / ".cache")) / "foreign" / name

    @property
    def python(self):
        return str(self.home / "venv" / "bin" / "python")

    def command(self, short, jobs, only=None):
        """(argv, working directory, environment)."""
        raise NotImplementedError

    def fetch(self):
        """The environment and the sources, made once; two at once make it once."""
        if sys.version_info < (3, 10):
            raise Unavailable("needs Python 3.10")
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            lock = open(self.home / "lock", "w")
        except OSError as error:
            raise Unavailable(str(error)) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            want = "\n".join([self.source, *self.requirements])
            ready = self.home / "ready"
            if ready.exists() and ready.read_text() == want:
                return
            for place in ("source", "unpacked"):
                shutil.rmtree(self.home / place, ignore_errors=True)
            pip = [*make_venv(_must, self.home / "venv"), "--quiet", "--retries=1", "--disable-pip-version-check"]
            _must([*pip, "install", *self.requirements])
            _must([*pip, "download", "--no-deps", "--no-binary", ":all:",
                   "-d", str(self.home), self.source])
            self.unpack()
            ready.write_text(want)

    def unpack(self):
        archive = next(self.home.glob("*.tar.gz"))
        with tarfile.open(archive) as tar:
            tar.extractall(self.home / "unpacked")
        (inner,) = (self.home / "unpacked").iterdir()
        inner.rename(self.home / "source")
        shutil.rmtree(self.home / "unpacked")
        archive.unlink()


class Django(Suite):
    def command(self, short, jobs, only=None):
        labels = only or (SHORT if short else [])
        argv = [self.python, "runtests.py", "--settings=foreign_settings", f"--parallel={jobs}",
                "--noinput", *labels]
        return argv, self.home / "source" / "tests", {"PYTHONPATH": str(self.home / "source")}


class RestFramework(Suite):
    def command(self, short, jobs, only=None):
        argv = [self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "foreign_pytest",
                *(only or ["tests"])]
        return argv, self.home / "source", {}


class Wagtail(Suite):
    def command(self, short, jobs, only=None):
        argv = [self.python, "-m", "django", "test", "--testrunner=foreign_runner.Runner",
                f"--parallel={jobs}", "--noinput", *(only or ["wagtail"])]
        return argv, self.home / "source", {
            "DJANGO_SETTINGS_MODULE": "foreign_wagtail", "PYTHONPATH": str(self.home / "source"),
            "DATABASE_ENGINE": "django.db.backends.postgresql", "DATABASE_NAME": "guest"}


ALL = {suite.name: suite for suite in (
    Django("django", "Django's own tests, 5.2.19",
           ["psycopg[binary]==3.3.*", "asgiref", "sqlparse", "tblib", "Jinja2", "docutils"],
           "Django==5.2.19"),
    RestFramework("rest_framework", "Django REST framework's tests, 3.18.3",
                  ["Django==5.2.19", "psycopg[binary]==3.3.*", "pytest==9.*", "pytest-django", "requests",
                   "dj-database-url", "importlib-metadata<10"],
                  "djangorestframework==3.18.3"),
    Wagtail("wagtail", "Wagtail's tests, 8.0.1",
            ["wagtail==8.0.1", "Django==5.2.19", "psycopg[binary]==3.3.*", "Jinja2", "freezegun<0.4",
             "responses<1", "factory-boy", "tblib>=3,<4", "django-pattern-library", "polib", "boto3",
             "azure-identity", "azure-mgmt-cdn<16", "azure-mgmt-frontdoor<3"],
            "wagtail==8.0.1"),
)}


def get(name):
    ALL[name].fetch()
    return ALL[name]


def _must(argv):
    try:
        with tempfile.TemporaryDirectory(prefix="pgherald-foreign-") as temporary:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=PIP_TIMEOUT_S,
                                  env={**os.environ, "TMPDIR": temporary})
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from None
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "?").splitlines()[-1]
        raise Unavailable(words)
