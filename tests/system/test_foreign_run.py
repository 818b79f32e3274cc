# SPDX-License-Identifier: PostgreSQL
"""tests/foreign/run leaves nothing behind, whatever ends it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import PGHERALD
from lib.daemon import wait_until

FOREIGN = Path(__file__).resolve().parents[1] / "foreign"
sys.path.insert(0, str(FOREIGN))

from foreignlib import suites  # noqa: E402

# In the place of a suite: keeps files where programs keep them, and takes its time in a process of its own.
ENDLESS = """#!/bin/sh
mktemp -d >/dev/null
sh -c 'echo $$ >"$PIDS/$FOREIGN_MODE"; exec sleep 1000' &
wait
"""


@pytest.fixture
def place():
    """Short, for the names of sockets."""
    path = Path(tempfile.mkdtemp(prefix="pgherald-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def is_gone(pid):
    try:
        return Path("/proc", pid, "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"  # nobody may have asked for it yet
    except OSError:
        return True


@pytest.mark.parametrize("name, how", [("SIGTERM", []), ("SIGTERM", ["--together"]), ("SIGINT", ["--together"])])
def test_what_is_ended_takes_everything_with_it(place, how, name):
    home, temporary, pids = place / "cache" / "foreign" / "django", place / "t", place / "pids"
    for directory in (home / "source" / "tests", home / "venv" / "bin", temporary, pids):
        directory.mkdir(parents=True)
    for directory in (temporary, pids):
        directory.chmod(0o1777)
    suite = suites.ALL["django"]
    (home / "ready").write_text("\n".join([suite.source, *suite.requirements]))
    python = home / "venv" / "bin" / "python"
    python.write_text(ENDLESS)
    python.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, FOREIGN / "run", "--short", *how], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PGHERALD": PGHERALD, "PGHERALD_CACHE": str(place / "cache"), "TMPDIR": str(temporary),
             "PIDS": str(pids), "PYTHONDONTWRITEBYTECODE": "1"})
    try:
        wanted = 2 if how else 1
        wait_until(lambda: len([p for p in pids.iterdir() if p.read_text().endswith("\n")]) == wanted or
                   process.poll() is not None, "the suite runs")
        assert process.poll() is None, process.stdout.read()
        process.send_signal(getattr(signal, name))
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + getattr(signal, name), said
        assert "Traceback" not in said, said
        assert not list(temporary.iterdir()), said
        for pid in pids.iterdir():
            wait_until(lambda: is_gone(pid.read_text().strip()), "what the suite had started is gone")
    finally:
        process.kill()
        process.wait()
