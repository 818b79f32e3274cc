# SPDX-License-Identifier: PostgreSQL
"""What a block of code would tell to whom, without a daemon and without a commit: the journal's reader
sees the transaction that is running.

    with capture_events(user) as events:
        order.save()
    assert [e.type for e in events] == ["order.updated"]"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, List, Optional

from django.db import connections

from . import conf
from .scope import Event, Told, role_of

__all__ = ["Event", "Heard", "Told", "capture_events"]

TOLD = "iudtr"  # the others are the daemon's own: who is to be asked again, what another row says already
MARK = "SELECT pg_catalog.coalesce(pg_catalog.max(j.id), 0) FROM pgherald.journal AS j"
TELL = """
SELECT t.topic, t.op, t.own_old, t.own_new, t.doc, t.leave
FROM pgherald.tell(ARRAY(SELECT DISTINCT j.txid FROM pgherald.journal AS j WHERE j.id > %s)) AS t
WHERE t.id > %s
ORDER BY t.id
"""


class Heard(List[Any]):
    """With a user: the events he is sent. Without one: every `Told`, and `of(user)` for each."""

    told: List[Told]

    def of(self, user: Any) -> List[Event]:
        """What this user is sent, by the role that he has now."""
        role, roles = role_of(user), conf.roles()
        events = (told.to(str(user.pk), role, roles) for told in self.told)
        return [event for event in events if event is not None]

    @property
    def types(self) -> List[str]:
        return [one.type for one in self]


@contextmanager
def capture_events(user: Optional[Any] = None, using: str = "") -> Iterator[Heard]:
    """The list is filled when the block ends."""
    alias = using or conf.get("DATABASE")
    heard = Heard()
    heard.told = []
    begin = _mark(alias)
    yield heard
    heard.told = _told(alias, begin)
    heard += heard.told if user is None else heard.of(user)


def _mark(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(MARK.replace("pg_catalog.coalesce", "coalesce"))
        return int(cursor.fetchone()[0])


def _told(alias: str, begin: int) -> List[Told]:
    import json

    def value(text: Any) -> Any:
        return json.loads(text) if isinstance(text, (str, bytes)) else text

    with connections[alias].cursor() as cursor:
        cursor.execute(TELL, [begin, begin])
        return [
            Told(topic, op, tuple(before), tuple(after), value(doc), value(leave))
            for topic, op, before, after, doc, leave in cursor.fetchall()
            if op in TOLD
        ]
