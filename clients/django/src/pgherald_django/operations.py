# SPDX-License-Identifier: PostgreSQL
"""The migration operation. `manage.py pgherald makemigrations` writes migrations that have it."""

from __future__ import annotations

import warnings
from typing import Any, List, Sequence, Tuple, Union

from django.db import DatabaseError, router
from django.db.migrations.operations.base import Operation

from . import conf, install, render

GONE = {"42703", "42P01"}  # undefined_column, undefined_table


class Watches(Operation):
    """The [watch] sections that are in force after this migration, and `before` it, line by line. Roles,
    tokens and the daemon's login are those of the settings; the SQL is of the program that is installed when
    it runs."""

    reduces_to_sql = True
    reversible = True
    elidable = False

    def __init__(self, watched: Union[str, Sequence[str]], before: Union[str, Sequence[str]] = "") -> None:
        self.watched, self.before = _text(watched), _text(before)

    def deconstruct(self) -> Tuple[str, List[Any], Any]:
        kwargs = {"watched": self.watched.splitlines()}
        if self.before:
            kwargs["before"] = self.before.splitlines()
        return (self.__class__.__qualname__, [], kwargs)

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing of a model changes."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        from . import migrations

        # This one counts: it is noted as applied when it is done.
        keep = not schema_editor.collect_sql and len(migrations.waiting(schema_editor.connection)) > 1
        self._bring(app_label, schema_editor, self.before, self.watched, keep)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._bring(app_label, schema_editor, self.watched, self.before)

    def describe(self) -> str:
        return "Tell pgherald to watch " + (", ".join(render.topics(self.watched)) or "nothing")

    @property
    def migration_name_fragment(self) -> str:
        return "pgherald_watches"

    def _bring(self, app_label: str, schema_editor: Any, old: str, new: str, keep: bool = False) -> None:
        connection = schema_editor.connection
        alias = connection.alias
        if connection.vendor != "postgresql" or alias != conf.get("DATABASE") or conf.get("BINARY") is None:
            return
        if not router.allow_migrate(alias, app_label, pgherald=True):
            return
        gone = [topic for topic in render.topics(old) if topic not in render.topics(new)]
        sql = install.forward(new, gone, old, keep) if new else install.backward(old)
        if schema_editor.collect_sql:
            schema_editor.execute(sql, params=None)
            return
        try:
            install.execute(alias, sql)
            install.note(alias, new)
        except DatabaseError as error:
            # In a new database another app may be further on than it was when this was written.
            if install.sqlstate(error) not in GONE or not self._is_followed(new):
                raise
            warnings.warn(f"left to a later migration: {error}", stacklevel=2)

    def _is_followed(self, new: str) -> bool:
        from . import migrations

        last = migrations.last()
        return last is not None and last.watched != new


def _text(lines: Union[str, Sequence[str]]) -> str:
    return lines if isinstance(lines, str) else "".join(line + "\n" for line in lines)
