# SPDX-License-Identifier: PostgreSQL
"""The setting PGHERALD, with what follows from Django's own settings where it says nothing."""

from __future__ import annotations

from typing import Any, Dict, List

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DEFAULTS: Dict[str, Any] = {
    # The program; used by migrations, `manage.py pgherald` and tests. None: there is none here, and neither
    # migrations nor test databases get anything.
    "BINARY": "pgherald",
    # Which of DATABASES has the watched tables.
    "DATABASE": "default",
    # {name of a role: "all", "own" or "none"}, or {name: {"receives": …, "events": ["order.*"]}}.
    "ROLES": {"staff": "all", "user": "own"},
    # Settings of the [auth] section beside those that follow from Django's: preset (drf, knox or session),
    # role_from (column, groups or staff), …
    "AUTH": {},
    # Paths of the two routes.
    "EVENTS_PATH": "/api/v1/sse/events/",
    "STATS_PATH": "/api/v1/sse/stats/",
    # Where the daemon is, for runserver: `pgherald_django.urls` passes requests on to it.
    "DAEMON": "http://127.0.0.1:8080",
    # The role that the daemon connects as.
    "LOGIN": "pgherald",
    # The schema of tables whose db_table names none.
    "SCHEMA": "public",
    # Seconds for one call of the program.
    "TIMEOUT": 60,
    # Whether `migrate` itself installs what the models say: "tests" (in test databases), True or False.
    "INSTALL_ON_MIGRATE": "tests",
}


def get(name: str) -> Any:
    given = getattr(settings, "PGHERALD", {})
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        raise ImproperlyConfigured("PGHERALD has no " + ", ".join(unknown))
    return given.get(name, DEFAULTS[name])


def roles() -> Dict[str, Dict[str, Any]]:
    """{name: {"receives": …, "events": […]}}, in the order of the setting."""
    found = {}
    for name, what in get("ROLES").items():
        role = {"receives": what} if isinstance(what, str) else dict(what)
        if role.get("receives") not in ("all", "own", "none") or set(role) - {"receives", "events"}:
            raise ImproperlyConfigured(f'PGHERALD["ROLES"][{name!r}]: receives all, own or none')
        found[name] = role
    return found


def auth() -> Dict[str, str]:
    """The [auth] section: what Django's settings and models say, and PGHERALD["AUTH"] above that."""
    from django.contrib.auth import get_user_model

    from .paths import column, table

    given = dict(get("AUTH"))
    preset = given.setdefault("preset", "drf")
    user = get_user_model()
    values = {"preset": preset, "user_table": table(user), "user_key": column(user._meta.pk)}
    for setting, field in (("user_active", "is_active"), ("user_password", "password")):
        if setting == "user_password" and preset != "session":
            continue
        names = {f.name for f in user._meta.concrete_fields}
        values[setting] = column(user._meta.get_field(field)) if field in names else ""
    given.setdefault("role_from", "staff")
    if given["role_from"] == "staff":
        both = list(get("ROLES"))
        if len(both) == 2:
            values.update(staff_role=both[0], other_role=both[1])
    elif given["role_from"] == "groups":
        groups: Any = user._meta.get_field("groups")
        through = groups.remote_field.through
        fields = {f.remote_field.model: f for f in through._meta.fields if f.remote_field}
        group = next(model for model in fields if model is not user)
        values.update(
            group_table=table(group),
            membership_table=table(through),
            membership_user=column(fields[user]),
            membership_group=column(fields[group]),
        )
    if preset == "session":
        values["cookie"] = settings.SESSION_COOKIE_NAME
    elif preset in ("drf", "knox"):
        values.update(_token_table(preset))
    values.update(given)
    return values


def _token_table(preset: str) -> Dict[str, str]:
    """Where the tokens are, if their app is installed: it may have another table."""
    from django.apps import apps

    from .paths import column, table

    label, model, key = {
        "drf": ("authtoken", "Token", "key"),
        "knox": ("knox", "AuthToken", "digest"),
    }[preset]
    if not apps.is_installed("rest_framework.authtoken" if preset == "drf" else "knox"):
        return {}
    token = apps.get_model(label, model)
    return {
        "token_table": table(token),
        "token_column": column(token._meta.get_field(key)),
        "token_user": column(token._meta.get_field("user")),
    }


def binary() -> List[str]:
    what = get("BINARY") or "pgherald"
    return [what] if isinstance(what, str) else list(what)
