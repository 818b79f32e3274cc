# SPDX-License-Identifier: PostgreSQL
"""Installing, upgrading and uninstalling while the application writes: none of its statements
fails, and none waits for a table longer than the lock_timeout of ours and what we do with the lock."""

import subprocess
import threading

import pytest

from conftest import PGHERALD

LOCK_TIMEOUT_S = 2
OURS_S = 2  # a step's work with the lock in hand: milliseconds, but the machine may be busy
CLIENTS = 16


class Writer(threading.Thread):
    """One client of the application; remembers its errors."""

    def __init__(self, db, number):
        super().__init__(daemon=True)
        self.db, self.number = db, number
        self.running, self.errors, self.count = True, [], 0

    def run(self):
        connection = self.db.connect()
        with connection.cursor() as cur:
            while self.running:
                try:
                    if self.count % 3:
                        cur.execute("UPDATE api_estimate SET status = %s WHERE id = %s",
                                    (str(self.count), self.number))
                    else:
                        cur.execute("INSERT INTO api_estimate (number, project_id)"
                                    " VALUES ('w', 10)")
                except Exception as error:  # noqa: BLE001 - any of them is a failure of ours
                    self.errors.append(error)
                self.count += 1
        connection.close()


def test_sixteen_writers_do_not_notice(install):
    db = install.db
    db.run("INSERT INTO api_estimate (id, number, project_id)"
           " SELECT g, 'e', 10 FROM generate_series(1, %s) AS g", (CLIENTS,))
    db.run("SELECT setval(pg_get_serial_sequence('api_estimate', 'id'), 1000)")
    waits = db.watch_lock_waits(LOCK_TIMEOUT_S + OURS_S)
    writers = [Writer(db, i + 1) for i in range(CLIENTS)]
    for w in writers:
        w.start()
    try:
        for _ in range(3):
            install.apply()
            install.apply("upgrade")
            install.apply("uninstall")
        install.apply()
        recorded = db.one("SELECT count(*) FROM pgherald.journal")
        before = sum(w.count for w in writers)
        while sum(w.count for w in writers) < before + 50:
            threading.Event().wait(0.01)
        assert db.one("SELECT count(*) FROM pgherald.journal") > recorded
    finally:
        for w in writers:
            w.running = False
        for w in writers:
            w.join(60)
    assert not [e for w in writers for e in w.errors][:3]
    assert waits() == []


WAITING = ("SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)"
           " WHERE NOT l.granted AND l.relation = 'api_estimate'::regclass AND a.application_name = %s")


def wait_until(db, what, *arguments):
    for _ in range(6000):
        if db.one(what, arguments):
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"never happened: {what} {arguments}")


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_lock_that_does_not_come_is_given_up(install, command):
    """A transaction that stays open keeps the table from us. A writer that has come to stand behind
    us must get past while it is still open: our request was given up, and made again later."""
    db = install.db
    if command == "uninstall":
        install.apply()
    db.run("INSERT INTO api_estimate (id, number, project_id) VALUES (1, 'a', 10), (2, 'b', 10)")
    blocker, writer = db.connect(), db.connect()
    blocker.autocommit = False
    blocker.cursor().execute("UPDATE api_estimate SET status = 'open' WHERE id = 1")
    writer.cursor().execute("SET application_name = 'writer'")
    ours = subprocess.Popen([PGHERALD, "sql", command, "--apply", "-c", str(install.conf), "--dsn",
                             db.conninfo() + " application_name=ours"], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    try:
        for status in ("first", "second"):  # and again while we try again
            wait_until(db, WAITING, "ours")
            behind = threading.Thread(target=lambda text: writer.cursor().execute(
                "UPDATE api_estimate SET status = %s WHERE id = 2", (text,)), args=(status,))
            behind.start()
            behind.join(60)
            assert not behind.is_alive()  # the blocker's transaction is still open
            assert db.one("SELECT status FROM api_estimate WHERE id = 2") == status
        assert ours.poll() is None
        blocker.commit()
        out = ours.communicate(timeout=60)[0]
        assert ours.returncode == 0, out
    finally:
        blocker.rollback()
        ours.kill()
        ours.wait()
        blocker.close()
        writer.close()
    assert db.one("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'api_estimate'::regclass"
                  " AND tgname LIKE 'zz_pgherald%%'") == (4 if command == "install" else 0)
