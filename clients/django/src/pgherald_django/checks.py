# SPDX-License-Identifier: PostgreSQL
"""System checks: what cannot be written, what a migration is missing for, what a role may not do."""

from __future__ import annotations

import sys
from typing import Any, Dict, List, Optional, Sequence

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections

from . import conf, migrations, render
from .paths import PathError
from .watches import watches

Messages = List[checks.CheckMessage]

# Who we are; whether we may install; of which owners of what is installed we are a member.
ROLES = """
SELECT current_user, u.rolsuper,
       CASE WHEN pg_catalog.to_regrole('pgherald_owner') IS NOT NULL
            THEN pg_catalog.pg_has_role('pgherald_owner', 'USAGE') END,
       ARRAY(SELECT DISTINCT o.rolname::text
             FROM pg_catalog.pg_proc AS p
             JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
             JOIN pg_catalog.pg_roles AS o ON o.oid = p.proowner
             WHERE n.nspname = 'pgherald' AND o.rolname LIKE 'pgherald%'
               AND pg_catalog.pg_has_role(o.oid, 'MEMBER'))
FROM pg_catalog.pg_roles AS u WHERE u.rolname = current_user
"""


def check_watches(app_configs: Any = None, **kwargs: Any) -> Messages:
    """E001: a setting; E002: a watch that cannot be said; E003: a topic that is there twice."""
    try:
        conf.roles(), conf.get("BINARY")
        all_watches = watches()
    except (ImproperlyConfigured, TypeError) as error:
        return [checks.Error(str(error), id="pgherald.E001")]
    found: Messages = []
    seen: Dict[str, Any] = {}
    for watch in all_watches:
        try:
            watch.section()
        except PathError as error:
            found.append(checks.Error(str(error), obj=watch.model, id="pgherald.E002"))
        if watch.topic in seen:
            found.append(
                checks.Error(
                    f"the topic {watch.topic!r} is that of {seen[watch.topic]._meta.label}, too",
                    hint="Name another one with topic=…",
                    obj=watch.model,
                    id="pgherald.E003",
                )
            )
        seen[watch.topic] = watch.model
    if not found and all_watches:
        found += _check_auth()
    return found


def _check_auth() -> Messages:
    try:
        render.auth()
    except Exception as error:  # of the project's models
        return [checks.Error(f"the [auth] section cannot be made: {error}", id="pgherald.E001")]
    return []


def check_migration(app_configs: Any = None, **kwargs: Any) -> Messages:
    """W001: the watches have changed since the last migration that has them."""
    if check_watches():
        return []
    try:
        last = migrations.last()
    except Exception:  # somebody's migrations cannot be loaded, which Django says itself
        return []
    if last is None or last.watched == render.watched():
        return []
    return [
        checks.Warning(
            "what pgherald is to watch is not what the last migration says",
            hint="manage.py pgherald makemigrations",
            id="pgherald.W001",
        )
    ]


def check_database(databases: Optional[Sequence[str]] = None, **kwargs: Any) -> Messages:
    """W002: a migration with watches is to be run, by a role that may not. W003: the application's role is
    still a member of one that owns what is there. Silent inside `migrate` itself, which runs these checks
    before its work."""
    alias = conf.get("DATABASE")
    if alias not in (databases or ()) or connections[alias].vendor != "postgresql":
        return []
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute(ROLES)
            user, is_super, member, owners = cursor.fetchone()
        waits = migrations.waiting(connections[alias])
    except DatabaseError:
        return []  # no database, which Django says itself
    if is_super:
        return []
    if waits and not member and "migrate" not in sys.argv[1:2]:
        return [
            checks.Warning(
                f"the migration {waits[0]} puts pgherald in the database, which the role {user!r} may not",
                hint="Let an administrator of the database run what `manage.py pgherald roles` prints.",
                id="pgherald.W002",
            )
        ]
    if owners and not waits and not _is_test():
        return [
            checks.Warning(
                f"the application's role {user!r} may read pgherald's journal, and write any event",
                hint=f"REVOKE {', '.join(owners)} FROM {connections[alias].ops.quote_name(user)};",
                id="pgherald.W003",
            )
        ]
    return []


def _is_test() -> bool:
    from .install import testing

    return testing()
