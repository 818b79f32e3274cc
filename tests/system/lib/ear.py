# SPDX-License-Identifier: PostgreSQL
"""Who hears what is notified on some channels, and knows when he has heard all of it."""

import select

from lib.cluster import wait_for


class Ear:
    """Notifications come in the order of commits (NOTIFY in PostgreSQL's manual), and come when they come: so a last one
    of our own is waited for, and one that never was sent is then known not to come either."""

    def __init__(self, db, *channels):
        self.db, self.last = db, channels[0]
        self.connection = db.connect()
        for channel in channels:
            self.connection.cursor().execute(f'LISTEN "{channel}"')

    def heard(self):
        """[(channel, payload)] of what has been committed since the last call."""
        self.db.run("SELECT pg_notify(%s, 'end')", (self.last,))

        def ended():
            select.select([self.connection], [], [], 1)
            self.connection.poll()
            return self.connection.notifies and self.connection.notifies[-1].payload == "end"

        wait_for(ended, "the last notification")
        heard = [(n.channel, n.payload) for n in self.connection.notifies][:-1]
        self.connection.notifies.clear()
        return heard

    def payloads(self):
        return [payload for _, payload in self.heard()]

    def close(self):
        self.connection.close()
