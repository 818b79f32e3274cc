# SPDX-License-Identifier: PostgreSQL
"""The sections of pgherald.conf(5) that follow from settings and models."""

from __future__ import annotations

import re
from typing import Dict, List

from . import conf
from .watches import watches


def section(head: str, values: Dict[str, str]) -> str:
    return f"[{head}]\n" + "".join(f"{k} = {v}\n" for k, v in values.items())


def roles() -> List[str]:
    found = []
    for name, role in conf.roles().items():
        values = {"receives": role["receives"]}
        if role.get("events"):
            values["events"] = ", ".join(role["events"])
        found.append(section(f"role {name}", values))
    return found


def auth() -> str:
    values = {k: str(v) for k, v in conf.auth().items()}
    return section("auth " + values["preset"], values)


def routes() -> List[str]:
    name = conf.auth()["preset"]
    return [
        section("route events", {"path": conf.get("EVENTS_PATH"), "kind": "events", "auth": name}),
        section("route stats", {"path": conf.get("STATS_PATH"), "kind": "stats", "auth": name}),
    ]


def watched() -> str:
    """The [watch] sections of all models: what a migration keeps."""
    return "\n".join(w.section() for w in watches())


def everything(watch_sections: str, database: str = "") -> str:
    """A whole configuration; `database` is libpq's conninfo of the daemon."""
    login = conf.get("LOGIN")
    base = section("database", {**({"conninfo": database} if database else {}), "login": login})
    return "\n".join([base, *roles(), auth(), *routes(), watch_sections])


def topics(watch_sections: str) -> List[str]:
    return re.findall(r"^\[watch ([a-z0-9_]+)\]$", watch_sections, re.M)
