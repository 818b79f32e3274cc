# SPDX-License-Identifier: PostgreSQL
"""The doorbell with real daemons: awake while writers are busy, asleep when they are not, and
whatever is killed or stopped at whatever moment, no event waits longer than the poll."""

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
def ring(served, tmp_path):
    """The daemon on a database whose writers ring; the cluster allows prepared transactions, where
    they would not."""
    served.configure("[database]", "[log]\nlevel = debug\n[database]\ndoorbell = notify")
    served.install.conf.write_text(served.install.conf.read_text() + LONG_QUEUES)
    served.install.apply()
    served.daemon.start().wait_ready()
    served.other = Daemon(PGHERALD, served.install.conf, tmp_path / "other.log")
    yield served
    if served.daemon.proc.poll() is None:
        served.daemon.signal(signal.SIGCONT)
    served.other.kill()


def held(db):
    return db.one(HELD) == 1


def keys(db):
    return {row[0] for row in db.run("SELECT id FROM api_estimate")}


def all_of(db):
    return db.one("SELECT count(*) FROM pgherald.journal WHERE topic = 'estimate'")


def test_awake_while_busy_and_asleep_again(ring):
    c = Client(ring.daemon, ring.boss, extra_query="x=1").hello()
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
    text = ring.install.conf.read_text()
    other_conf = ring.install.conf.parent / "other.conf"
    other_conf.write_text("\n".join("listen = 127.0.0.1:0" if line.startswith("listen")
                                    else line for line in text.splitlines()))
    ring.other.conf = str(other_conf)
    busy = Busy(ring.db)
    busy.start()
    wait_until(lambda: held(ring.db), "the lock is held")
    ring.other.start().wait_ready()
    c = Client(ring.other, ring.boss).hello()
    before = keys(ring.db)  # of before the hello, and some that will be heard
    c.read_until(lambda: len(c.messages()) > 100, "events by the keeper's relay or the poll")
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
