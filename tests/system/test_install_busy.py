# SPDX-License-Identifier: PostgreSQL
"""Installing, upgrading and uninstalling while the application writes: none of its statements
fails, and none waits for much longer than the lock_timeout of ours."""

import threading
import time

LOCK_TIMEOUT_S = 2
PATIENCE_S = 20  # the queue of sixteen behind a lock that was waited for, on a slow machine
CLIENTS = 16


class Writer(threading.Thread):
    """One client of the application; remembers its errors and its longest statement."""

    def __init__(self, db, number):
        super().__init__(daemon=True)
        self.db, self.number = db, number
        self.running, self.errors, self.longest, self.count = True, [], 0.0, 0

    def run(self):
        connection = self.db.connect()
        with connection.cursor() as cur:
            while self.running:
                began = time.monotonic()
                try:
                    if self.count % 3:
                        cur.execute("UPDATE api_estimate SET status = %s WHERE id = %s",
                                    (str(self.count), self.number))
                    else:
                        cur.execute("INSERT INTO api_estimate (number, project_id)"
                                    " VALUES ('w', 10)")
                except Exception as error:  # noqa: BLE001 - any of them is a failure of ours
                    self.errors.append(error)
                self.longest = max(self.longest, time.monotonic() - began)
                self.count += 1
        connection.close()


def test_sixteen_writers_do_not_notice(install):
    db = install.db
    db.run("INSERT INTO api_estimate (id, number, project_id)"
           " SELECT g, 'e', 10 FROM generate_series(1, %s) AS g", (CLIENTS,))
    db.run("SELECT setval(pg_get_serial_sequence('api_estimate', 'id'), 1000)")
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
    assert max(w.longest for w in writers) < LOCK_TIMEOUT_S + PATIENCE_S
