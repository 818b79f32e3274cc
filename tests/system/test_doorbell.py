# SPDX-License-Identifier: PostgreSQL
"""The doorbell with real daemons: awake while writers are busy, asleep when they are not, and
whatever is killed or stopped at whatever moment, no event waits longer than the poll. In ordinary
life none waits for it at all: there the poll is set so long that a test would not see the end."""

import random
import signal
import threading

import pytest

from conftest import LONG_QUEUES, PGHERALD
from lib.daemon import Client, Daemon, wait_until

HELD = ("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1885825394"
        " AND objid = 1 AND mode = 'ExclusiveLock' AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")


class Busy(threading.Thread):
    """Four writers until stop(): busy for the doorbell also on a slow machine, and with room between
    the transactions for the clients of the test, which share the interpreter with them."""

    def __init__(self, db):
        super().__init__(daemon=True)
        self.db, self.stopping = db, threading.Event()

    def run(self):
        threads = [threading.Thread(target=self.write, daemon=True) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def write(self):
        connection = self.db.connect()
        with connection.cursor() as cur:
            while not self.stopping.wait(0.002):
                cur.execute("INSERT INTO api_estimate (number, project_id) VALUES ('busy', 10)")
        connection.close()

    def stop(self):
        self.stopping.set()
        self.join()


@pytest.fixture
def quiet(served, tmp_path):
    """A database whose writers ring; the cluster allows prepared transactions, where they would not.
    No daemon runs yet."""
    served.configure("[database]", "[log]\nlevel = debug\n[database]\ndoorbell = notify")
    served.install.conf.write_text(served.install.conf.read_text() + LONG_QUEUES)
    served.install.apply()
    served.other = Daemon(PGHERALD, served.install.conf, tmp_path / "other.log")
    yield served
    if served.daemon.proc and served.daemon.proc.poll() is None:
        served.daemon.signal(signal.SIGCONT)
    served.other.kill()


@pytest.fixture
def ring(quiet):
    quiet.daemon.start().wait_ready()
    return quiet


def second_configuration(ring):
    """The other daemon's, with an address of its own."""
    text = ring.install.conf.read_text()
    path = ring.install.conf.parent / "other.conf"
    path.write_text("\n".join("listen = 127.0.0.1:0" if line.startswith("listen") else line
                              for line in text.splitlines()))
    ring.other.conf = str(path)


def held(db):
    return db.one(HELD) == 1


def keys(db):
    return {row[0] for row in db.run("SELECT id FROM api_estimate")}


def all_of(db):
    return db.one("SELECT count(*) FROM pgherald.journal WHERE topic = 'estimate'")


def test_awake_while_busy_and_asleep_again(ring):
    c = Client(ring.daemon, ring.boss).hello()
    busy = Busy(ring.db)
    busy.start()
    c.read_until(lambda: held(ring.db), "the lock is held")
    before = len(c.messages())
    c.read_until(lambda: len(c.messages()) > before + 200, "events while awake")
    busy.stop()
    wait_until(lambda: not held(ring.db), "writers ring again")
    c.read_until(lambda: len(c.messages()) == all_of(ring.db), "all of them, once")
    ring.db.run("UPDATE api_estimate SET status = 'last' WHERE id = (SELECT min(id) FROM api_estimate)")
    c.read_until(lambda: len(c.messages()) == all_of(ring.db), "the one that rang")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_the_keeper_goes_and_another_daemon_hears_everything(ring, how):
    second_configuration(ring)
    busy = Busy(ring.db)
    busy.start()
    wait_until(lambda: held(ring.db), "the lock is held")
    ring.other.start().wait_ready()
    c = Client(ring.other, ring.boss).hello()
    before = keys(ring.db)  # of before the hello, and some that will be heard
    c.read_until(lambda: len(c.messages()) > 100, "events while another daemon is the keeper")
    ring.daemon.signal(how)
    seen = len(c.messages())
    c.read_until(lambda: len(c.messages()) > seen + 100, "events without the keeper")
    busy.stop()
    later = keys(ring.db) - before
    c.read_until(lambda: {m["data"]["estimate_id"] for m in c.messages()} >= later,
                 "all that was committed after the hello")
    ids = [m["data"]["estimate_id"] for m in c.messages()]
    assert len(ids) == len(set(ids)), "twice"
    # nobody writes any more: one more change, rung for or found by the poll
    ring.db.run("UPDATE api_estimate SET status = 'last' WHERE id = %s", (ids[0],))
    c.wait_message("estimate.updated", status="last")


def test_a_writer_that_did_not_ring_and_commits_late(ring):
    c = Client(ring.daemon, ring.boss).hello()
    busy = Busy(ring.db)
    busy.start()
    c.read_until(lambda: held(ring.db), "the lock is held")
    late = ring.db.connect(autocommit=False)
    with late.cursor() as cur:
        cur.execute("INSERT INTO api_estimate (number, project_id) VALUES ('late', 10)")
    busy.stop()
    wait_until(lambda: not held(ring.db), "writers ring again")
    late.commit()  # it saw the lock held and rang for nobody
    c.wait_message("estimate.created", estimate_number="late")
    late.close()


def test_revocation_is_at_once(ring):
    c = Client(ring.daemon, ring.anna).hello()
    size = ring.daemon.log_size()
    ring.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    c.wait_end()
    closed = ring.daemon.wait_log(r'closed .*token is not valid any more" seconds=(\S+)', size)
    assert float(closed.group(1)) < 20  # recheck would be 30 s


# --- nothing waits for the poll ------------------------------------------------------------------


def test_keepers_change_and_nothing_waits_for_the_poll(quiet):
    """Bursts and pauses at random, so that now this daemon keeps the door and now the other."""
    quiet.configure("doorbell = notify", "doorbell = notify\npoll = 60s")
    second_configuration(quiet)
    daemons = [quiet.daemon.start().wait_ready(), quiet.other.start().wait_ready()]
    clients = [Client(d, quiet.boss).hello() for d in daemons]
    r = random.Random(5)
    pause = threading.Event()
    writer = quiet.db.connect()
    number = 0
    with writer.cursor() as cur:
        for _ in range(12):
            fast = r.random() < 0.7
            for _ in range(120 if fast else 3):
                number += 1
                cur.execute("INSERT INTO api_estimate (number, project_id) VALUES (%s, 10)", (str(number),))
                pause.wait(0 if fast else 0.12)
            for c in clients:  # the last of a burst as soon as the others
                c.read_until(lambda c=c: len(c.messages()) == number, f"{number} events", timeout=30)
            pause.wait(r.choice((0, 0.05, 0.3, 0.7)))
    writer.close()
    for c in clients:
        assert [m["data"]["estimate_number"] for m in c.messages()] == [str(i + 1) for i in range(number)]
    keepers = sum("polling, writers need not ring" in d.log() for d in daemons)
    assert keepers >= 1


def test_who_has_seen_the_lock_and_commits_seconds_later_does_not_wait_for_the_poll(quiet):
    quiet.configure("doorbell = notify", "doorbell = notify\npoll = 60s")
    quiet.daemon.start().wait_ready()
    c = Client(quiet.daemon, quiet.boss).hello()
    busy = Busy(quiet.db)
    busy.start()
    c.read_until(lambda: held(quiet.db), "the lock is held")
    late = quiet.db.connect(autocommit=False)
    with late.cursor() as cur:
        cur.execute("INSERT INTO api_estimate (number, project_id) VALUES ('late', 10)")
    busy.stop()
    wait_until(lambda: not held(quiet.db), "writers ring again")
    threading.Event().wait(3)  # longer than anybody looks out for what has not rung at short intervals
    late.commit()
    c.read_until(lambda: any(m["data"]["estimate_number"] == "late" for m in c.messages()), "the late one", timeout=30)
    late.close()


def hold(db, *numbers):
    """A session of an ordinary role with locks that are the daemons'."""
    connection = db.connect("app")
    for number in numbers:
        connection.cursor().execute("SELECT pg_advisory_lock(1885825394, %s)", (number,))
    return connection


def test_who_holds_the_locks_stops_nobody(quiet):
    """Neither the start nor a connection made anew, a login or an event waits for them."""
    quiet.configure("doorbell = notify", "doorbell = notify\npoll = 60s")
    outsider = hold(quiet.db, 1, 2, 3)
    d = quiet.daemon.start().wait_ready()
    c = Client(d, quiet.boss).hello()
    for n in range(3):
        quiet.db.run("INSERT INTO api_estimate (number, project_id) VALUES (%s, 10)", (str(n),))
        c.read_until(lambda n=n: len(c.messages()) > n, "an event that nobody rings for", timeout=30)
        quiet.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                     " WHERE application_name = 'pgherald' AND datname = current_database()")
        Client(d, quiet.anna).hello().close()
    found = d.wait_log("somebody else holds an advisory lock of the daemons.*")
    assert "role=app" in found.group(0) and f"pid={outsider.info.backend_pid}" in found.group(0)
    outsider.close()
    quiet.db.run("INSERT INTO api_estimate (number, project_id) VALUES ('free', 10)")
    c.wait_message("estimate.created", estimate_number="free")


def test_who_takes_the_lock_later_is_noticed(ring):
    """By the first event that comes with the poll; the others come soon."""
    c = Client(ring.daemon, ring.boss).hello()
    wait_until(lambda: not held(ring.db), "nobody keeps the door")
    outsider = hold(ring.db, 1)
    for n in range(20):
        ring.db.run("INSERT INTO api_estimate (number, project_id) VALUES (%s, 10)", (str(n),))
        c.wait_messages(n + 1)
    ring.daemon.wait_log("somebody else holds an advisory lock of the daemons")
    outsider.close()
