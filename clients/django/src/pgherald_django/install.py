# SPDX-License-Identifier: PostgreSQL
"""Puts the watches into a database over Django's own connection, in a transaction of its own or in the one
of a migration."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Tuple

from django.core import mail
from django.db import DatabaseError, connections, transaction

from . import conf, program, render

ATTEMPTS = 5  # several processes may make the roles at once, each for a test database of its own
# SQLSTATEs of that: unique_violation, duplicate_object, "tuple concurrently updated", lock_not_available
RACES = {"23505", "42710", "XX000", "55P03"}

_installed: Dict[Tuple[str, str], str] = {}  # (alias, name of the database): the sections in force there


LEAVE = "SELECT pg_catalog.set_config('pgherald.leave', '{}', true);\n"


def forward(watched: str, gone: Iterable[str], before: str, keep: bool = False) -> str:
    """SQL that brings a database to these sections; `gone` are topics of `before` that end. What an
    administrator has lent is given back by the last piece, and kept if another migration is to need it."""
    parts = [program.statements(["uninstall", "--watch", topic], before) for topic in gone]
    last = program.statements(["render"], watched)
    if not parts and not keep:
        return last
    return "\n".join([LEAVE.format("keep"), *parts, LEAVE.format("keep" if keep else "give back"), last])


def backward(watched: str) -> str:
    """SQL that takes all of it out again, but the roles."""
    return program.statements(["uninstall"], watched)


def execute(alias: str, sql: str) -> None:
    """Runs it; once more when another process was making the same roles."""
    connection = connections[alias]
    for attempt in range(ATTEMPTS):
        try:
            with transaction.atomic(alias), connection.cursor() as cursor:
                cursor.execute(sql, None)
            return
        except DatabaseError as error:
            if attempt == ATTEMPTS - 1 or sqlstate(error) not in RACES:
                raise


def sqlstate(error: BaseException) -> str:
    cause: Any = error.__cause__ or error
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or ""


def note(alias: str, watched: str) -> None:
    _installed[(alias, connections[alias].settings_dict["NAME"])] = watched


def testing() -> bool:
    """Whether the test environment is set up: test databases are being made."""
    return hasattr(mail, "outbox")


def wanted_on_migrate() -> bool:
    when = conf.get("INSTALL_ON_MIGRATE")
    return testing() if when == "tests" else bool(when)


def after_migrate(using: str, **kwargs: Any) -> None:
    """For test databases, with or without migrations, and wherever INSTALL_ON_MIGRATE says so. Django sends
    this after each TransactionTestCase, too."""
    if using != conf.get("DATABASE") or connections[using].vendor != "postgresql":
        return
    if conf.get("BINARY") is None or not wanted_on_migrate():
        return
    watched = render.watched()
    key = (using, connections[using].settings_dict["NAME"])
    if not watched or (_installed.get(key) == watched and is_there(using)):
        return
    execute(using, forward(watched, [], watched))
    note(using, watched)


def is_there(alias: str) -> bool:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_catalog.to_regnamespace('pgherald') IS NOT NULL")
        return bool(cursor.fetchone()[0])
