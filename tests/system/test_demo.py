# SPDX-License-Identifier: PostgreSQL
"""./demo.sh as a visitor uses it, in a copy of the work tree so that a demo that is running in
the tree itself is left alone: the proof, Ctrl-C at any moment, kill -9, and the start after it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PGHERALD
from lib.daemon import wait_until
from lib.django_env import TOP, Unavailable, distribution_python

PROGRAMS = ("bash", "setpriv", "setsid", "flock", "curl", "psql", "make", "cc", "pkg-config",
            "autoreconf", "automake")
DEMO_TIMEOUT_S = 300


def machine_lacks():
    missing = [p for p in PROGRAMS if not shutil.which(p)]
    try:
        distribution_python()
    except Unavailable as reason:
        missing.append(str(reason))
    return ", ".join(missing)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The demo's files, and a build/ that is up to date: what is built is what is tested."""
    # The demo installs what is missing; a test must not.
    missing = machine_lacks()
    if missing:
        pytest.skip(missing)
    top = tmp_path_factory.mktemp("demo")
    shutil.copy(TOP / "demo.sh", top)
    (top / "build-aux").mkdir()
    for name in ("packages.sh", "supervise.sh"):
        shutil.copy(TOP / "build-aux" / name, top / "build-aux")
    shutil.copytree(TOP / "examples", top / "examples",
                    ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    (top / "src").mkdir()
    (top / "build").mkdir()
    (top / "build" / "Makefile").write_text("all:\n")
    shutil.copy(PGHERALD, top / "build" / "pgherald")
    return top


class Demo:
    def __init__(self, tree, *args, application=False):
        self.tree = tree
        env = dict(os.environ, PYTHON=sys.executable)
        self.output = open(tree / "output", "w+b")
        self.process = subprocess.Popen(
            [str(tree / "demo.sh"), *([] if application else ["--no-application"]), *args], stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=subprocess.STDOUT, env=env, cwd="/", start_new_session=True)

    def text(self):
        return (self.tree / "output").read_text(encoding="utf-8", errors="replace")

    def wait_text(self, text):
        def look():
            assert text in self.text() or self.process.poll() is None, self.text()
            return text in self.text()
        wait_until(look, lambda: f"{text!r} in\n{self.text()}", DEMO_TIMEOUT_S)

    def wait_file(self, name):
        """For a file below .demo/, which tells how far the start is."""
        def look():
            assert self.process.poll() is None, self.text()
            return (self.tree / ".demo" / name).exists()
        wait_until(look, lambda: f"{name} with\n{self.text()}", DEMO_TIMEOUT_S)

    def end(self):
        status = self.process.wait(DEMO_TIMEOUT_S)
        self.output.close()
        return status


@pytest.fixture
def demo(tree):
    started = []

    def start(*args, **options):
        started.append(Demo(tree, *args, **options))
        return started[-1]

    yield start
    for d in started:
        if d.process.poll() is None:
            d.process.terminate()
            d.end()


def processes_of(tree):
    """Command lines of every process that names the tree or works in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(tree) in line:
            found.append(line)
    return found


def nothing_left(tree):
    assert processes_of(tree) == []
    assert not [p for p in ("run", "pg", "sock") if (tree / ".demo" / p).exists()]


@pytest.mark.parametrize("options", [["--once"], ["--once", "--russian"]], ids=" ".join)
def test_once(tree, demo, options):
    d = demo(*options)
    assert d.end() == 0, d.text()
    lines = d.text().splitlines()
    for who, events in {"manager": 7, "foreman1": 5, "foreman2": 5}.items():
        assert len([x for x in lines if x.startswith(f"{who}| data: ")]) == events, d.text()
    assert ("Смета_" in d.text(), "Estimate_" in d.text()) == (len(options) > 1, len(options) == 1)
    nothing_left(tree)


def test_a_tree_that_is_configured_in_place(tree, demo):
    """As `./configure && make` leaves it: what is built there is used, and no build/ is made."""
    build = tree / "build"
    for name in ("Makefile", "pgherald"):
        (build / name).rename(tree / name)
    build.rmdir()
    (tree / "config.status").touch()
    try:
        d = demo("--once")
        assert d.end() == 0, d.text()
        assert not build.exists()
    finally:
        build.mkdir(exist_ok=True)
        for name in ("Makefile", "pgherald"):
            (tree / name).rename(build / name)
        (tree / "config.status").unlink()
    nothing_left(tree)


def test_show_with_traffic_until_ctrl_c(tree, demo):
    d = demo("--traffic=50")
    d.wait_text("creates")
    urls = [line.split()[-1].strip("'") for line in d.text().splitlines() if "http://" in line]
    page, streams = urls[0], urls[1:]
    assert len(streams) == 3
    for name, kind in {"": "text/html", "live.js": "javascript", "live.css": "text/css",
                       "config.json": "application/json"}.items():
        head = curl("-i", page + name)
        assert head.startswith("HTTP/1.0 200") and kind in head.partition("\r\n\r\n")[0], head
    assert all("/api/v1/sse/events/?token=" in url for url in streams)
    assert " 404 " in curl("-i", page + "serve.py") and " 403 " in curl("-i", "-H", "Host: x", page)
    # The buttons are the page's own: not for other sites, nor for a form of one.
    origin, kind = "Origin: " + page.rstrip("/"), "Content-Type: application/json"
    assert '{"done": "' in curl("-H", origin, "-H", kind, "-d", '"create"', page + "act")
    for status, *args in [("403", "-H", kind), ("403", "-H", kind, "-H", "Origin: http://evil.example"),
                          ("404", "-H", origin), ("400", "-H", origin, "-H", kind, "-d", '"drop"'),
                          ("400", "-H", origin, "-H", kind, "-d", "[{"),
                          ("413", "-H", origin, "-H", kind, "-d", "x" * 300)]:
        assert f" {status} " in curl("-i", *(["-d", '"create"'] if "-d" not in args else []), *args,
                                     page + "act")
    allowed = curl("-i", "-m", "1", "-H", "Origin: " + page.rstrip("/"), streams[0])
    assert "Access-Control-Allow-Origin: " + page.rstrip("/") in allowed, allowed
    d.process.send_signal(signal.SIGINT)
    assert d.end() == 130
    assert d.text().endswith("demo: stopped; nothing is left running\n")
    nothing_left(tree)


def test_the_application(tree, demo):
    """What the demo serves; what is in it is tested with the clients. Built already: npm has no part."""
    dist = tree / "examples" / "estimates" / "frontend" / "dist"
    dist.mkdir(exist_ok=True)
    (tree / "clients" / "js" / "src").mkdir(parents=True)
    (dist / "index.html").write_text("<title>built</title>")
    d = demo(application=True)
    d.wait_text("Ctrl-C ends everything")
    found = re.search(r"Application.*?(http://127.0.0.1:\d+)/", d.text())
    if not found:
        assert "it needs Node" in d.text()
        pytest.skip("no Node that is new enough")
    app = found.group(1)
    assert all("<title>built" in curl(app + path) for path in ("/", "/estimates/3"))
    config = json.loads(curl(app + "/config.json"))
    boss = next(u["token"] for u in config["users"] if u["name"] == "manager")
    assert " 401 " in curl("-i", app + "/api/v1/estimates/")
    me = json.loads(curl("-H", "Authorization: Token " + boss, app + "/api/v1/users/me/"))
    assert me["username"] == "manager"
    assert " 403 " in curl("-i", "-H", "Host: x", app)
    head = curl("-i", "-m", "1", "-H", "Origin: " + app, config["events_url"] + "?token=" + boss)
    assert "Access-Control-Allow-Origin: " + app in head, head
    d.process.send_signal(signal.SIGINT)
    assert d.end() == 130
    nothing_left(tree)


def curl(*args):
    return subprocess.run(["curl", "-sN", *args], capture_output=True, text=True).stdout


@pytest.mark.parametrize("moment, number", [
    ("log/make.log", signal.SIGINT), ("run/initdb.pid", signal.SIGTERM),
    ("run/postgres.pid", signal.SIGINT), ("log/migrate.log", signal.SIGINT),
    ("log/seed.log", signal.SIGTERM), ("log/page.log", signal.SIGINT),
    ("log/install.log", signal.SIGTERM), ("log/daemon.log", signal.SIGINT),
    ("run/proof.pid", signal.SIGINT)])
def test_a_signal_during_the_start(tree, demo, moment, number):
    shutil.rmtree(tree / ".demo" / "log", ignore_errors=True)  # what is there is of this start
    d = demo("--once")
    d.wait_file(moment)
    if number == signal.SIGINT:
        os.killpg(d.process.pid, number)  # as Ctrl-C does: the shell and what it waits for
    else:
        d.process.send_signal(number)
    assert d.end() == 128 + number, d.text()
    nothing_left(tree)


def second_run(d):
    """The pid of what does the work while the script that was started waits."""
    pid = d.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def test_kill_9_of_what_was_started(tree, demo):
    d = demo()
    d.wait_text("Ctrl-C ends everything")
    d.process.kill()
    d.end()
    wait_until(lambda: processes_of(tree) == [], lambda: f"the end of {processes_of(tree)}")
    nothing_left(tree)


def test_a_start_waits_for_the_end_of_one_that_was_killed(tree, demo):
    d = demo()
    d.wait_text("Ctrl-C ends everything")
    d.process.kill()
    d.end()
    d = demo("--once")
    assert d.end() == 0, d.text()
    nothing_left(tree)


def test_the_start_after_kill_9(tree, demo):
    d = demo()
    d.wait_text("Ctrl-C ends everything")
    os.kill(second_run(d), signal.SIGKILL)
    assert d.end() == 128 + signal.SIGKILL
    # The kernel tells them that we are dead.
    wait_until(lambda: processes_of(tree) == [], lambda: f"the end of {processes_of(tree)}")
    assert (tree / ".demo" / "run" / "postgres.pid").exists()
    d = demo("--once")
    assert d.end() == 0, d.text()
    nothing_left(tree)


def test_a_process_of_a_former_run_is_ended_and_a_stranger_is_not(tree, demo):
    run = tree / ".demo" / "run"
    run.mkdir(parents=True)
    ours, stranger = (subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in "12")
    try:
        ticks = Path(f"/proc/{ours.pid}/stat").read_text().rpartition(") ")[2].split()[19]
        (run / "old.pid").write_text(f"{ours.pid} {ticks} TERM\n")
        (run / "reused.pid").write_text(f"{stranger.pid} 1 TERM\n")
        (run / "broken.pid").write_text("")
        d = demo("--once")
        assert d.end() == 0, d.text()
        assert ours.wait(1) == -signal.SIGTERM
        assert stranger.poll() is None
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait()
    nothing_left(tree)


def test_two_at_once_are_refused(tree, demo):
    first = demo()
    first.wait_text("Ctrl-C ends everything")
    second = subprocess.run([str(tree / "demo.sh"), "--once"], capture_output=True, text=True)
    assert second.returncode == 1 and "another ./demo.sh is running" in second.stderr
    first.process.send_signal(signal.SIGTERM)
    assert first.end() == 143
    nothing_left(tree)


def test_a_daemon_that_dies_is_told(tree, demo):
    d = demo()
    d.wait_text("Ctrl-C ends everything")
    pid = int((tree / ".demo" / "run" / "daemon.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    assert d.end() == 1
    assert "demo: daemon ended" in d.text() and "listening on 127.0.0.1:" in d.text()
    nothing_left(tree)


@pytest.mark.parametrize("args, status, words", [
    (["--help"], 0, "Usage: ./demo.sh"), (["--what"], 2, "Usage: ./demo.sh"),
    (["--once", "x"], 2, "Usage"), (["--once", "--traffic"], 2, "Usage"), (["--traffic=0"], 2, "above 0"), (["--traffic=x"], 2, "above 0")])
def test_options(tree, args, status, words):
    done = subprocess.run([str(tree / "demo.sh"), *args], capture_output=True, text=True)
    assert (done.returncode, words in done.stdout + done.stderr) == (status, True)


def test_the_proof_notices_a_wrong_document(tree, demo):
    """The proof itself is put to the test: a field too many, and an event too many."""
    conf = tree / "examples" / "estimates" / "pgherald.conf"
    right = conf.read_text(encoding="utf-8")
    try:
        for old, new, complaint in [("status, created_at::utc", "status, amount, created_at::utc",
                                     "expected ['estimate_id'"),
                                    ("receives = own", "receives = all", "foreman2: event 1: ")]:
            assert old in right
            conf.write_text(right.replace(old, new), encoding="utf-8")
            d = demo("--once")
            assert d.end() == 1, d.text()
            assert "proof: " in d.text() and complaint in d.text(), d.text()
    finally:
        conf.write_text(right, encoding="utf-8")
    nothing_left(tree)


def test_the_status_is_the_signals_whatever_bash_makes_of_the_trap(tmp_path):
    script = tmp_path / "script.sh"
    script.write_text(f". {TOP}/build-aux/supervise.sh\nsupervise {script}\ntrap 'exit 2' TERM\n"
                      "echo up\nwhile :; do sleep 0.1; done\n")
    run = subprocess.Popen(["bash", str(script)], stdout=subprocess.PIPE, start_new_session=True)
    assert run.stdout.readline() == b"up\n"
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == 130
