# SPDX-License-Identifier: PostgreSQL
"""Django's look-up paths (`customer__username`, `project__members`) in the words of pgherald.conf(5)."""

from __future__ import annotations

import re
from typing import Any, List, NamedTuple, Optional, Tuple, Type

from django.core.exceptions import FieldDoesNotExist
from django.db import models

from . import conf

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")


class PathError(ValueError):
    """A path that cannot be said in the configuration; the text says why."""


class Hop(NamedTuple):
    """From a column of one table to the rows of another whose `match` is its value."""

    column: str
    table: str
    match: str


def quoted(name: str) -> str:
    if PLAIN.match(name):
        return name
    if '"' in name or any(ord(c) < 0x20 for c in name):
        raise PathError(f"pgherald cannot name {name!r}")
    return f'"{name}"'


def table(model: Any) -> str:
    """schema.table. A db_table may be of the form schema"."table, which many use for a schema."""
    parts = [part for part in re.split(r'"?\."?', model._meta.db_table.strip('"')) if part]
    if len(parts) == 1:
        parts.insert(0, conf.get("SCHEMA"))
    if len(parts) != 2:
        raise PathError(f"{model._meta.label}: the table {model._meta.db_table!r} is not understood")
    return ".".join(map(quoted, parts))


def column(field: Any) -> str:
    return quoted(field.column)


def _get(model: Any, name: str) -> Any:
    if name == "pk":
        return model._meta.pk
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        for field in model._meta.concrete_fields:
            if field.attname == name:
                return field
        # a query name of a reverse relation without related_name
        for field in model._meta.get_fields(include_hidden=True):
            if getattr(field, "name", None) == name:
                return field
    raise PathError(f"{model._meta.label} has no field {name!r}")


def _parent_hops(model: Any, field: Any) -> List[Hop]:
    """To the table that has an inherited field: multi-table inheritance."""
    hops: List[Hop] = []
    owner = field.model._meta.concrete_model
    here = model._meta.concrete_model
    while here is not owner and here is not None:
        link = here._meta.get_ancestor_link(owner)
        if link is None:
            raise PathError(f"{model._meta.label}: {field.name} is in a table that cannot be reached")
        parent = link.remote_field.model._meta.concrete_model
        hops.append(Hop(column(link), table(parent), column(link.target_field)))
        here = parent
    return hops


def follow(model: Type[models.Model], path: str) -> Tuple[List[Hop], Any]:
    """The hops of a path from the model's table, and the field at its end."""
    hops: List[Hop] = []
    here: Any = model._meta.concrete_model
    names = path.split("__")
    for i, name in enumerate(names):
        field, last = _get(here, name), i == len(names) - 1
        if not getattr(field, "is_relation", False):
            if not last:
                raise PathError(f"{path!r}: {here._meta.label}.{name} refers to nothing")
            return hops + _parent_hops(here, field), field
        if field.related_model is None:
            raise PathError(f"{path!r}: a generic relation is not the same table for each row")
        if field.many_to_many:
            here, field = _many_to_many(here, field, hops, last)
        elif field.auto_created and not field.concrete:  # from the other side of a foreign key
            foreign = field.field
            hops.append(Hop(column(foreign.target_field), table(field.related_model), column(foreign)))
            here = field.related_model._meta.concrete_model
            field = here._meta.pk
        else:
            hops += _parent_hops(here, field)
            if last:
                return hops, field
            target = field.target_field
            here = field.related_model._meta.concrete_model
            hops.append(Hop(column(field), table(here), column(target)))
            continue
        if last:
            return hops, field
    return hops, field


def _many_to_many(here: Any, field: Any, hops: List[Hop], last: bool) -> Tuple[Any, Any]:
    """Through the table between; at the end of a path its own column is the other side's key."""
    reverse = field.auto_created and not field.concrete
    relation = field.field if reverse else field
    through = relation.remote_field.through
    ours_name, theirs_name = relation.m2m_field_name(), relation.m2m_reverse_field_name()
    if reverse:
        ours_name, theirs_name = theirs_name, ours_name
    ours, theirs = through._meta.get_field(ours_name), through._meta.get_field(theirs_name)
    hops.append(Hop(column(ours.target_field), table(through), column(ours)))
    if last:
        return field.related_model, theirs
    there = field.related_model._meta.concrete_model
    hops.append(Hop(column(theirs), table(there), column(theirs.target_field)))
    return there, there._meta.pk


def _short(hops: List[Hop], end: str) -> Tuple[List[Hop], str]:
    """Without tables of which only the key is asked: a foreign key's value is that key already."""
    kept: List[Hop] = []
    start: Optional[str] = None  # the column that stands for the next hop's
    for i, hop in enumerate(hops):
        hop = hop._replace(column=start) if start is not None else hop
        start = None
        following = hops[i + 1].column if i + 1 < len(hops) else end
        if hop.match == following:
            start = hop.column
        else:
            kept.append(hop)
    return kept, (start if start is not None else end)


def owner(model: Type[models.Model], path: str) -> str:
    """An item of `owners`."""
    hops, field = follow(model, path)
    kept, end = _short(hops, column(field))
    if not kept:
        return end
    text = kept[0].column
    for i, hop in enumerate(kept):
        following = kept[i + 1].column if i + 1 < len(kept) else end
        text += f"<-{hop.table}.{hop.match}.{following}"
    return text


def shown(model: Type[models.Model], name: str, path: str) -> str:
    """An item of `fields`: the value at the end of a path, under a name. A path may end in ::text or
    ::utc; a moment is written as UTC by itself."""
    path, _, cast = path.partition("::")
    hops, field = follow(model, path)
    if any(f.many_to_many or (f.auto_created and not f.concrete) for f in _relations(model, path)):
        raise PathError(f"{path!r}: more than one value; only foreign keys can be followed here")
    kept, end = _short(hops, column(field))
    if len(kept) > 1:
        raise PathError(f"{path!r}: a field can be one table away, not {len(kept)}")
    if kept:
        (hop,) = kept
        key = "" if hop.match == "id" else f"({hop.match})"
        text = f"{hop.column}->{hop.table}{key}.{end}"
    else:
        text = end
    if not cast and _is_moment(field):
        cast = "utc"
    return (text if name == text else f"{quoted(name)}={text}") + (f"::{cast}" if cast else "")


def _relations(model: Type[models.Model], path: str) -> List[Any]:
    found, here = [], model
    for name in path.split("__"):
        field = _get(here, name)
        if not getattr(field, "is_relation", False):
            break
        found.append(field)
        here = field.related_model
    return found


def _is_moment(field: Any) -> bool:
    while field.is_relation and field.concrete and hasattr(field, "target_field"):
        field = field.target_field
    return isinstance(field, models.DateTimeField)
