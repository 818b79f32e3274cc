# SPDX-License-Identifier: PostgreSQL
"""Finds the migrations that have our operation, and writes the next one."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from . import conf, render
from .operations import Watches
from .watches import watches


def _loader(connection: Any = None) -> MigrationLoader:
    return MigrationLoader(connection, ignore_no_migrations=True)


def _found(loader: MigrationLoader) -> List[Tuple[Tuple[str, str], Watches]]:
    """In the order in which they are run."""
    plan: List[Tuple[str, str]] = []
    for leaf in loader.graph.leaf_nodes():
        plan += [node for node in loader.graph.forwards_plan(leaf) if node not in plan]
    return [
        (node, operation)
        for node in plan
        for operation in loader.graph.nodes[node].operations
        if isinstance(operation, Watches)
    ]


def last() -> Optional[Watches]:
    found = _found(_loader())
    return found[-1][1] if found else None


def waiting(connection: Any) -> List[str]:
    """The names of migrations with watches that have not been run there, in order."""
    loader = _loader(connection)
    return [".".join(node) for node, _ in _found(loader) if node not in loader.applied_migrations]


def next_migration(app_label: str, name: str = "") -> Optional[Migration]:
    """The migration that brings a database to what the models say now; None when it is there already."""
    loader = _loader()
    found = _found(loader)
    before = found[-1][1].watched if found else ""
    watched = render.watched()
    if watched == before:
        return None
    leaves = [leaf for leaf in loader.graph.leaf_nodes() if leaf[0] == app_label]
    numbers = [int(n[:4]) for label, n in loader.disk_migrations if label == app_label and n[:4].isdigit()]
    migration = Migration(f"{max(numbers, default=0) + 1:04d}_{name or 'pgherald_watches'}", app_label)
    made: Any = migration  # attributes of the class, for the type checker
    made.operations = [Watches(watched=watched, **({"before": before} if before else {}))]
    made.dependencies = sorted({*leaves, *_needed(loader, app_label), *([found[-1][0]] if found else [])})
    made.initial = not leaves or None
    return migration


def _needed(loader: MigrationLoader, app_label: str) -> List[Tuple[str, str]]:
    """The last migration of each app whose tables are named in the configuration."""
    from django.contrib.auth import get_user_model

    labels = {get_user_model()._meta.app_label, "auth"}
    labels |= {"drf": {"authtoken"}, "knox": {"knox"}, "session": {"sessions"}}.get(
        conf.auth()["preset"], set()
    )
    for watch in watches():
        assert watch.model is not None
        labels.add(watch.model._meta.app_label)
        for path in [
            *([watch.owners] if isinstance(watch.owners, str) else watch.owners),
            *(path for _, path in watch.named()),
        ]:
            labels.update(_labels_on(watch.model, path.partition("::")[0]))
    return [leaf for leaf in loader.graph.leaf_nodes() if leaf[0] in labels and leaf[0] != app_label]


def _labels_on(model: Any, path: str) -> List[str]:
    from .paths import _get

    found, here = [], model
    for name in path.split("__"):
        field = _get(here, name)
        if not getattr(field, "is_relation", False) or field.related_model is None:
            break
        here = field.related_model
        found.append(here._meta.app_label)
    return found
