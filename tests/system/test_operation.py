# SPDX-License-Identifier: PostgreSQL
"""Running it: the command line, reload, shutdown, the database going away and coming back."""

import fcntl
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import CONF, PGHERALD, run_pgherald
from lib.daemon import EVENTS, PATIENCE_S, Client, Daemon, Reader, as_ordinary_user, wait_until


def change(served, n=1, foreman=2):
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id)"
                  " SELECT 'e', 10, %s FROM generate_series(1, %s)", (foreman, n))


# --- command line ----------------------------------------------------------------------------


def test_check_says_ok(install):
    done = run_pgherald("-t", "-c", install.conf)
    *hints, last = done.stdout.splitlines()
    assert (done.returncode, last) == (0, f"{install.conf}: configuration OK")
    assert all(line.startswith("hint: [watch ") for line in hints)


@pytest.mark.parametrize("old, new, message", [
    ("[server]\n", "[server]\ncolour = red\n", r":3: unknown setting colour in \[server\]"),
    ("[server]\n", "[sever]\n", r":2: unknown section \[sever\]"),
    ("listen = 127.0.0.1:0", "listen", r":3: expected \"name = value\""),
    ("listen = 127.0.0.1:0", "workers = many", r":3: workers must be a number, not \"many\""),
    ("receives = own", "receives = everything", r"receives must be none or own or all"),
    ("owners = foreman_id", "owners = foreman_id->x", r"\[watch estimate\] "),
    ("table  = public.api_estimate\n", "", r"\[watch estimate\] has no table"),
    ("[role manager]", "[role foreman]", r"\[role foreman\] is there twice"),
])
def test_check_says_what_is_wrong_and_where(install, old, new, message):
    text = install.conf.read_text()
    assert old in text
    install.conf.write_text(text.replace(old, new, 1))
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith(f"pgherald: {install.conf}:")
    assert re.search(message, done.stderr), done.stderr


def test_print_config_reads_back_the_same(install, tmp_path):
    first = run_pgherald("--print-config", "-c", install.conf).stdout
    again = tmp_path / "again.conf"
    again.write_text(first)
    assert run_pgherald("--print-config", "-c", again).stdout == first
    assert "password=" not in first and "host=" not in first  # conninfo is a secret


@pytest.mark.parametrize("args, status, text", [
    (["--help"], 0, "Usage: pgherald"),
    (["--version"], 0, "pgherald "),
    ([], 2, "which command?"),
    (["dance"], 2, "unknown command dance"),
    (["--colour"], 2, "unknown or incomplete option"),
    (["-t", "x.conf"], 2, "a file is named with -c: x.conf"),
    (["-c", "x.conf", "doctor"], 2, "options come after the command: pgherald doctor"),
    (["doctor", "x.conf"], 2, "doctor: too many words: x.conf"),
    (["init", "dbname=shop"], 2, "init: too many words: dbname=shop"),
    (["init", "--yes"], 2, "--dsn says which database"),
    (["-t", "-c", "/nowhere/x.conf"], 1, "/nowhere/x.conf: No such file or directory"),
])
def test_command_line(args, status, text):
    done = run_pgherald(*args)
    assert done.returncode == status
    assert text in done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to see that root is refused")
def test_root_is_refused(install):
    done = run_pgherald("-c", install.conf, "serve")
    assert done.returncode == 1 and "refusing to serve as root" in done.stderr


@pytest.mark.parametrize("listen, message", [
    ("localhost", 'listen address "localhost" must be HOST:PORT or unix:/PATH'),
    ("127.0.0.1:80000", "must be HOST:PORT"),
    ("192.0.2.1:80", "cannot listen on 192.0.2.1:80: this machine has no such address"),
    ("127.0.0.1:8, [::1]:8, 127.0.0.1:8", "127.0.0.1:8 and 127.0.0.1:8 are in each other's way"),
    ("unix:run/http.sock", "the path must begin with /"),
])
def test_the_check_refuses_what_serve_refuses(install, listen, message):
    text = install.conf.read_text()
    install.conf.write_text(text.replace("listen = 127.0.0.1:0", "listen = " + listen))
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith(f"pgherald: {install.conf}: [server] ") and message in done.stderr
    served = serve_in_vain(install.conf)
    assert served.returncode == 1 and message in served.stderr


def serve_in_vain(conf):
    return subprocess.run(as_ordinary_user([PGHERALD, "-c", str(conf), "serve"]),
                          capture_output=True, text=True, timeout=PATIENCE_S)


def test_a_second_daemon_on_the_same_address_does_not_start(served):
    d = served.daemon.start().wait_ready()
    c = Client(d, served.anna).hello()
    done = serve_in_vain(d.conf)  # of the same user, who may share a port
    assert done.returncode == 1
    assert "cannot listen on {}:{}: Address already in use".format(*d.address) in done.stderr
    assert run_pgherald("-t", "-c", d.conf).returncode == 0  # that it is in use says nothing
    change(served)
    c.wait_message("estimate.created")
    d.stop()  # streams were open, so the address is not quite free
    d.start().wait_ready()


def test_a_unix_socket(served, tmp_path):
    path = tmp_path / "run" / "http.sock"
    path.parent.mkdir()
    path.parent.chmod(0o777)
    served.configure("listen = 127.0.0.1:0",
                     f"listen = 127.0.0.1:0, unix:{path}\nsocket_mode = 0660")
    d = served.daemon.start().wait_ready()
    inet = d.address
    assert f"listening on unix:{path}\n" in d.log()
    assert path.stat().st_mode & 0o777 == 0o660
    d.address = str(path)
    clients = [Client(d, served.anna).hello() for _ in range(20)]
    change(served)
    for c in clients:
        c.wait_message("estimate.created")
    d.wait_log("route=events peer=unix")
    done = serve_in_vain(d.conf)
    assert done.returncode == 1 and "Address already in use" in done.stderr
    d.address = inet
    assert d.streams(served.boss) == 20
    d.kill()  # leaves its file behind
    assert path.exists()
    d.start().wait_ready()
    d.address = str(path)
    Client(d, served.anna).hello()
    d.stop()
    assert not path.exists()


# --- signals ---------------------------------------------------------------------------------


def test_drain(served):
    d = served.daemon.start().wait_ready()
    clients = [Client(d, served.anna).hello() for _ in range(20)]
    old = Client(d, served.anna, version="1.0").hello()
    d.signal(signal.SIGTERM)
    retries = set()
    for c in [*clients, old]:
        c.wait_end()
        assert re.search(rb"\n\nretry: \d+\n$", c.raw_body)  # a line: no event without data
        assert 3000 <= c.parser.retry <= 9000
        retries.add(c.parser.retry)
    assert len(retries) > 5, "the reconnects are not spread"
    assert all(c.buffer == b"" for c in clients), "no proper end of the chunked body"
    assert d.wait_end() == 0
    assert "stopped" in d.log()


def test_drain_delivers_what_is_queued(served):
    d = served.daemon.start().wait_ready()
    c = Client(d, served.anna).hello()
    change(served, 50)
    wait_until(lambda: served.db.one("SELECT count(*) FROM pgherald.journal") == 50, "rows")
    c.wait_messages(1)
    d.signal(signal.SIGTERM)
    c.wait_end()
    first = len(c.messages())
    d.wait_end()
    d.start().wait_ready()
    back = Client(d, served.anna, last_id=c.last_id).hello()
    back.wait_messages(50 - first)
    assert first + len(back.messages()) == 50


def stuck_client(served):
    """A client that takes nothing, with more waiting for it than the kernel holds."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(served.daemon.address)
    s.sendall(f"GET {EVENTS}?token={served.boss} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    witness = Client(served.daemon, served.boss).hello()
    for i in range(9):  # below the queue's bound of 1 MiB
        served.db.run("INSERT INTO api_estimate (number, project_id) VALUES (%s, 10)",
                      (f"{i} {'z' * 100000}",))
    witness.wait_messages(9)
    witness.close()
    wait_until(lambda: served.daemon.streams(served.boss) == 1, "only the stuck one")
    return s


def test_a_second_signal_ends_at_once(served):
    served.configure("[server]", "[server]\ndrain = 1h")
    d = served.daemon.start().wait_ready()
    stuck = stuck_client(served)
    size = d.log_size()
    d.signal(signal.SIGTERM)
    d.wait_log("stopping: 1 streams", size)
    d.signal(signal.SIGTERM)
    assert d.wait_end() == 0
    stuck.close()


def test_drain_has_a_limit(served):
    served.configure("[server]", "[server]\ndrain = 200ms")
    d = served.daemon.start().wait_ready()
    stuck = stuck_client(served)
    d.signal(signal.SIGTERM)
    assert d.wait_end() == 0
    assert "did not take the rest in time" in d.log()
    stuck.close()


def test_reload(served):
    d = served.daemon.start().wait_ready()
    c = Client(d, served.anna).hello()
    size = d.log_size()
    served.configure("[role foreman]\nreceives = own", "[role foreman]\nreceives = all")
    d.signal(signal.SIGHUP)
    d.wait_log("configuration reloaded", size)
    wait_until(lambda: change(served, 1, 3) or c.read_some(0.2) and c.messages(),
               "the stream follows its new policy")
    assert c.messages()[0]["event"] == "estimate.created"


def test_reload_keeps_the_old_on_an_error(served):
    d = served.daemon.start().wait_ready()
    c = Client(d, served.anna).hello()
    size = d.log_size()
    served.configure("[role foreman]\nreceives = own", "[role foreman]\nreceives = nonsense")
    d.signal(signal.SIGHUP)
    d.wait_log(r"not reloaded, the old configuration stays: .*pgherald\.conf:\d+: receives", size)
    change(served)
    c.wait_message("estimate.created")
    Client(d, served.boris).hello()


def test_log_file_and_rotation(served, tmp_path):
    """[log] file: moved away by somebody, it is made anew at SIGHUP; a configuration with an error
    does not stand in the way."""
    logs = tmp_path / "logs"
    logs.mkdir()
    logs.chmod(0o777)
    tmp_path.chmod(0o755)
    file = logs / "pgherald.log"
    served.configure("[database]\n", f"[log]\nfile = {file}\n[database]\n")
    daemon = served.daemon
    daemon.start(wait=False)
    daemon.wait_ready()
    assert os.stat(file).st_mode & 0o777 == 0o640
    assert not daemon.log()  # nothing on standard error
    Client(daemon, served.anna).hello().sock.close()
    wait_until(lambda: "SSE stream closed" in file.read_text(), "a line with SSE")
    os.rename(file, logs / "pgherald.log.1")
    served.configure("receives = own", "receives = everything")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: file.exists() and "not reloaded" in file.read_text(), file.read_text)
    served.configure("receives = everything", "receives = own")
    served.configure(f"[log]\nfile = {file}\n", "")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration reloaded")  # on standard error again
    daemon.stop()
    assert "stopped" in daemon.log() and "stopped" not in file.read_text()


def test_the_log_as_the_document_looks_at_it(served, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend").chmod(0o777)
    served.configure("[database]\n", f"[log]\nfile = {tmp_path}/backend/audit.log\n[database]\n")
    d = served.daemon
    d.start(wait=False)
    d.wait_ready()
    master, slave = os.openpty()  # a terminal, for which grep holds nothing back
    shell = subprocess.Popen(["sh", "-c", "tail -f backend/audit.log | grep SSE"], cwd=tmp_path, stdout=slave, start_new_session=True)
    try:
        Client(d, served.anna).hello().sock.close()
        seen = b""
        while b"SSE stream closed" not in seen:
            assert select.select([master], [], [], PATIENCE_S)[0], seen
            seen += os.read(master, 65536)
        assert b"SSE stream opened" in seen and b"listening" not in seen and served.anna.encode() not in seen
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait()
        os.close(master)
        os.close(slave)


def test_log_file_that_cannot_be_written(served, tmp_path):
    for path, why in ((tmp_path / "none/x.log", "No such file or directory"),
                      (tmp_path, "Is a directory"), ("/dev/null", "it is no ordinary file")):
        served.install.write(CONF)
        served.configure("[database]\n", f"[log]\nfile = {path}\n[database]\n")
        served.daemon.start(wait=False)
        assert served.daemon.wait_end() == 1
        assert f"cannot write the log to {path}: {why}" in served.daemon.log()


def test_conf_d_is_read_again(served, tmp_path):
    """A file that comes later counts after a reload; one with an error is named."""
    served.daemon.start().wait_ready()
    more = tmp_path / "conf.d"
    more.mkdir()
    (more / "10-log.conf").write_text("[log]\nformat = json\n")
    offset = served.daemon.log_size()
    served.daemon.signal(signal.SIGHUP)
    served.daemon.wait_log('"message":"configuration reloaded', offset)
    (more / "20-wrong.conf").write_text("\n[colour]\n")
    assert f"{more}/20-wrong.conf:2: unknown section [colour]" in run_pgherald(
        "-t", "-c", served.install.conf).stderr
    served.daemon.signal(signal.SIGHUP)
    served.daemon.wait_log(f"not reloaded.*{more}/20-wrong.conf:2", offset)


def test_reload_names_what_needs_a_restart(served):
    d = served.daemon.start().wait_ready()
    size = d.log_size()
    served.configure("[server]", "[server]\nworkers = 7\nring_events = 9")
    d.signal(signal.SIGHUP)
    d.wait_log("these changes need a restart: workers, ring_events", size)


def test_reload_closes_streams_of_a_role_that_is_gone(served):
    d = served.daemon.start().wait_ready()
    c = Client(d, served.anna).hello()
    served.configure("[role foreman]", "[role carpenter]")
    d.signal(signal.SIGHUP)
    c.wait_end()
    d.wait_log("role may not use this route any more")


# --- the log -----------------------------------------------------------------------------------


def test_a_log_reader_that_stops_stops_nobody(served):
    d = served.daemon
    d.settle_port()
    d.proc = subprocess.Popen(as_ordinary_user([PGHERALD, "-c", d.conf, "serve"]),
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    pipe = d.proc.stderr.fileno()
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
    d.wait_ready()
    witness = Client(d, served.anna).hello()

    def come_and_go():
        clients = [Client(d, served.anna) for _ in range(100)]
        for c in clients:
            c.hello().close()

    for i in range(12):  # two lines each: more than the pipe and what stands before it take
        come_and_go()
        change(served)
        witness.wait_messages(i + 1)
    # somebody reads again: it goes on, and says that something is missing
    said = b""
    while b"lines were lost" not in said:
        assert select.select([pipe], [], [], PATIENCE_S)[0], said[-1000:]
        said += os.read(pipe, 1 << 20)
    assert re.search(rb"warning the log's reader stood still: lines were lost lines=\d+\n", said)
    lines = said.splitlines()
    assert lines.index(next(x for x in lines if b"lost" in x)) > 1000, "not where they were lost"
    # stuck again, and told to stop
    come_and_go()
    d.signal(signal.SIGTERM)
    assert d.wait_end() == 0
    d.proc.stderr.close()


# --- the database ----------------------------------------------------------------------------


@pytest.fixture
def alone(cluster):
    """The cluster may be stopped by the test; it runs again afterwards."""
    yield cluster
    if cluster._server is None:
        cluster.start()


def test_database_down_at_start(served, alone):
    alone.stop("immediate")
    d = served.daemon.start()
    wait_until(lambda: d.get("/healthz")[0] == 200, "alive")
    status, headers, _ = d.get("/readyz")
    assert status == 503 and headers["Retry-After"]
    waiting = Client(d, served.anna)  # its look-up waits for the database
    alone.start()
    d.wait_ready()
    waiting.hello()
    change(served)
    waiting.wait_message("estimate.created")


def test_database_down_answers_in_time(served, alone):
    served.configure("[server]", "[server]\nrequest_timeout = 2s")
    d = served.daemon.start().wait_ready()
    alone.stop("immediate")
    status, headers, body = d.get(EVENTS, served.anna)
    assert status == 503 and headers["Retry-After"] == "3" and json.loads(body)["code"] == "database"
    status, headers, body = d.get("/readyz")
    assert status == 503 and headers["Retry-After"] and json.loads(body)["code"] == "database"
    status, headers, body = d.get(EVENTS + "?token=" + served.anna)
    assert status == 200 and body.startswith(b"retry: ") and b"not available" in body
    d.wait_log("clients are told to come back: the database is not available peer=127")


def test_database_goes_away_and_comes_back(served, alone):
    d = served.daemon.start().wait_ready()
    clients = [Client(d, served.anna).hello(), Client(d, served.boss).hello()]
    for mode in ("fast", "immediate"):
        alone.stop(mode)
        for c in clients:
            c.read_until(lambda c=c: any("connection lost" in x for x in c.parser.comments),
                         "the comment that the database is away")
        assert d.get("/readyz")[0] == 503
        alone.start()
        served.db.close()
        change(served)  # before the daemon is back: must not be lost
        d.wait_ready()
        for c in clients:
            c.read_until(lambda c=c: c.messages(), "the event")
            assert [m["event"] for m in c.messages()] == ["estimate.created"]
            c.read_until(lambda c=c: any(
                "connection restored" in x for x in
                c.parser.comments + [y for f in c.frames for y in f.comments]), "the comment")
            c.frames.clear()
            c.parser.comments.clear()


def test_restored_from_elsewhere_is_another_epoch(served):
    d = served.daemon.start().wait_ready()
    c = Client(d, served.anna).hello()
    served.db.run("UPDATE pgherald.meta SET epoch = 'zzzzzzzz'")
    served.db.run("NOTIFY pgherald")
    c.wait_message("system.resync", reason="epoch")
    change(served)
    c.wait_message("estimate.created")
    back = Client(d, served.anna, last_id=c.frames[0].id).hello()
    back.wait_message("system.resync", reason="epoch")


def test_a_lost_bell_costs_a_poll_interval(served):
    d = served.daemon.start().wait_ready()
    c = Client(d, served.boss).hello()
    served.db.run("INSERT INTO pgherald.journal (topic, op) VALUES ('estimate', 't')")  # nobody rings
    c.wait_message("system.resync", reason="truncate")


def test_schema_missing_then_installed(install, tmp_path):
    d = Daemon(PGHERALD, install.conf, tmp_path / "daemon.log")
    install.db.run("DO $$ BEGIN CREATE ROLE pgherald LOGIN; EXCEPTION WHEN duplicate_object"
                   " THEN NULL; END $$")
    try:
        d.start()
        d.wait_log("there is no schema pgherald; pgherald sql install --apply makes what is missing")
        install.apply()
        d.wait_ready()
    finally:
        d.kill()


def test_what_fails_again_and_again_is_tried_less_and_less(served):
    """And is in the log once, with what to do, then as a number."""
    served.configure("[database]", "[log]\nlevel = debug\n[database]")
    d = served.daemon.start().wait_ready()
    c = Client(d, served.boss).hello()
    size = d.log_size()
    served.db.run("REVOKE EXECUTE ON FUNCTION pgherald.tell(bigint[]) FROM pgherald")
    change(served)
    d.wait_log("journal cannot be read: .*permission denied.*install --apply gives this role its rights", size)
    pauses = []

    def four():
        pauses[:] = map(int, re.findall(r"permission denied.*next attempt in (\d+) ms", d.log(size)))
        return len(pauses) >= 4

    wait_until(four, "more attempts")
    # each twice the one before, give or take a half
    assert all(200 * 2 ** i / 2 <= ms <= 200 * 2 ** i * 1.5 + 1 for i, ms in enumerate(pauses)), pauses
    assert d.log(size).count("warning database (journal): journal cannot be read") == 1
    served.db.run("GRANT EXECUTE ON FUNCTION pgherald.tell(bigint[]) TO pgherald")
    c.wait_message("estimate.created")
    d.wait_log(r"database \(journal\): works again after \d+ failures", size)


def test_look_ups_that_fail_are_in_the_log_once(served):
    """Each login, and each client that comes back, brings one."""
    d = served.daemon.start().wait_ready()
    served.db.run("REVOKE EXECUTE ON FUNCTION pgherald.auth_drf(text[]) FROM pgherald")
    for _ in range(20):
        assert d.get(f"{EVENTS}?token={served.boss}")[2].startswith(b"retry: ")
    assert d.log().count("the look-up function failed (SQLSTATE 42501)") == 1
    assert "auth drf: the look-up function failed (SQLSTATE 42501): is pgherald sql install up to date?" in d.log()
    served.db.run("GRANT EXECUTE ON FUNCTION pgherald.auth_drf(text[]) TO pgherald")
    Client(d, served.boss).hello()


def test_time_limits_of_the_database_are_not_ours(served):
    """Nor do they end what waits for a moment. (transaction_timeout came with PostgreSQL 17, idle_session_timeout with 14.)"""
    db = served.db
    settings = [n for n, in db.run("SELECT name FROM pg_settings WHERE name IN ('lock_timeout', 'transaction_timeout',"
                                   " 'idle_session_timeout', 'idle_in_transaction_session_timeout')")]
    for name in settings:
        db.run(f"ALTER DATABASE {db.name} SET {name} = '100ms'")
    d = served.daemon.start().wait_ready()
    holder = db.connect("postgres", autocommit=False)
    with holder.cursor() as cursor:
        for name in settings:
            cursor.execute(f"SET {name} = 0")
        holder.commit()
        cursor.execute("LOCK TABLE authtoken_token IN ACCESS EXCLUSIVE MODE")
        c = Client(d, served.boss)
        cursor.execute("SELECT pg_sleep(0.3)")  # less than the half second that a look-up waits
        holder.rollback()
    holder.close()
    c.hello()
    change(served)
    c.wait_message("estimate.created")
    assert not re.search(r"timeout|lost|terminat|locked", d.log()), d.log()
    c.close()


def test_read_only_as_the_databases_default(served):
    """What a session says for itself counts; only a standby is of no use."""
    served.db.run(f"ALTER DATABASE {served.db.name} SET default_transaction_read_only = on")
    d = served.daemon.start().wait_ready()
    c = Client(d, served.boss).hello()
    with served.db.connect().cursor() as cur:
        cur.execute("SET default_transaction_read_only = off")
        cur.execute("INSERT INTO api_estimate (number, project_id) VALUES ('e', 10)")
    c.wait_message("estimate.created")
    assert "trying again" not in d.log()


def test_events_keep_their_order_under_load(served):
    served.use_long_queues()
    d = served.daemon.start().wait_ready()
    c = Client(d, served.boss).hello()
    served.db.run("INSERT INTO api_estimate (id, number, project_id) VALUES (1, '0', 10)")

    def write():
        connection = served.db.connect()
        with connection.cursor() as cur:
            for i in range(1, 1001):
                cur.execute("UPDATE api_estimate SET number = %s WHERE id = 1", (str(i),))
        connection.close()

    t = threading.Thread(target=write)
    t.start()
    c.wait_messages(1001)
    t.join()
    assert [m["data"]["estimate_number"] for m in c.messages()] == [str(i) for i in range(1001)]


# --- many ------------------------------------------------------------------------------------


def test_five_thousand_streams(served):
    """Broadcast to all, and targeted to one of many; then a restart that all come back from."""
    n = 5000
    served.use_long_queues()
    served.db.run("INSERT INTO api_user (id, username, role) SELECT g, 'u' || g, 'foreman'"
                  " FROM generate_series(100, 5098) AS g")
    served.db.run("INSERT INTO authtoken_token (key, user_id) SELECT 'token-' || g, g"
                  " FROM generate_series(100, 5098) AS g")
    d = served.daemon.start().wait_ready()
    reader = Reader()
    reader.start()
    try:
        clients = [Client(d, served.boss, source=("127.0.0.2", 0))]
        for g in range(100, 5099):
            clients.append(Client(d, f"token-{g}", source=("127.0.0.3", 0)))
        assert len(clients) == n
        for c in clients:
            reader.add(c)
        wait_until(lambda: all(c.frames for c in clients), "all hellos", 240)
        assert d.streams(served.boss) == n
        # whatever the number of clients
        assert served.db.one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'pgherald' AND datname = current_database()") in range(2, 5)

        served.db.run("TRUNCATE api_estimate")  # a broadcast: everybody is told to refetch
        wait_until(lambda: all(len(c.messages()) == 1 for c in clients), "the broadcast", 240)

        change(served, 300, 2345)
        change(served, 200, 4567)
        boss, one, two = clients[0], clients[2345 - 99], clients[4567 - 99]
        wait_until(lambda: len(boss.messages()) == 501 and len(one.messages()) == 301
                   and len(two.messages()) == 201, "the targeted events", 240)
        assert all(len(c.messages()) == 1 for c in clients if c not in (boss, one, two))

        d.kill()
        wait_until(lambda: all(c.ended for c in clients), "all ends", 240)
        change(served, 100, 2345)
        d.start().wait_ready()
        back = [Client(d, c_token, c.last_id, source=("127.0.0.4", 0))
                for c_token, c in zip([served.boss] + [f"token-{g}" for g in range(100, 5099)],
                                      clients)]
        for c in clients:
            c.close()
        for c in back:
            reader.add(c)
        wait_until(lambda: all(c.frames for c in back), "all hellos again", 240)
        wait_until(lambda: len(back[0].messages()) == 100
                   and len(back[2345 - 99].messages()) == 100, "what they missed", 240)
        assert sum(len(c.messages()) for c in back) == 200
    finally:
        reader.stop()
    started = time.monotonic()
    d.signal(signal.SIGTERM)
    assert d.wait_end() == 0
    print(f"drained {n} streams in {time.monotonic() - started:.2f} s")
