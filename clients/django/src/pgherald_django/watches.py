# SPDX-License-Identifier: PostgreSQL
"""What is watched, said beside the models: a decorator, or a class `Herald` in the model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from django.apps import apps
from django.db import models

from . import paths

Fields = Union[Sequence[Union[str, Tuple[str, str]]], Mapping[str, str]]
M = TypeVar("M", bound=Type[models.Model])
SETTINGS = ("topic", "fields", "owners", "leave", "rescope", "capture")
TOPIC = re.compile(r"[a-z0-9_]{1,40}\Z")


@dataclass(frozen=True)
class Watch:
    """`fields`: names and look-up paths (`customer__username`), or {name: path}. `owners`: paths to whom a
    row belongs. `leave`: the names of the fields that a former owner still gets. `rescope`: topics whose
    owners come from this table."""

    fields: Fields
    owners: Union[str, Sequence[str]] = ()
    topic: str = ""
    leave: Sequence[str] = ()
    rescope: Sequence[str] = ()
    capture: str = ""
    model: Optional[Type[models.Model]] = field(default=None, compare=False)

    def named(self) -> List[Tuple[str, str]]:
        """(name in the document, path) of each field."""
        if isinstance(self.fields, Mapping):
            return list(self.fields.items())
        return [(f.partition("::")[0], f) if isinstance(f, str) else (f[0], f[1]) for f in self.fields]

    def section(self) -> str:
        """Its [watch]; a PathError says what cannot be written."""
        model = self.model
        assert model is not None
        if not TOPIC.match(self.topic):
            raise paths.PathError(f"a topic is made of a-z, 0-9 and _: {self.topic!r}")
        if not self.named():
            raise paths.PathError("no fields")
        owners = [self.owners] if isinstance(self.owners, str) else list(self.owners)
        values = {
            "table": paths.table(model._meta.concrete_model),
            "key": ", ".join(map(paths.column, key_fields(model))),
            "owners": ", ".join(paths.owner(model, path) for path in owners),
            "fields": ",\n\t".join(paths.shown(model, name, path) for name, path in self.named()),
            "leave": ", ".join(map(paths.quoted, self.leave)),
            "rescope": ", ".join(self.rescope),
            "capture": self.capture,
        }
        return f"[watch {self.topic}]\n" + "".join(f"{k} = {v}\n" for k, v in values.items() if v)


def key_fields(model: Type[models.Model]) -> List[Any]:
    pk = model._meta.pk
    return list(getattr(pk, "fields", None) or [pk])  # Django 5.2's CompositePrimaryKey


_decorated: Dict[Type[models.Model], Watch] = {}


def watch(**settings: Any) -> Callable[[M], M]:
    """Decorates a model: @watch(fields=["id", "status", "customer__username"], owners="customer")."""
    said = _checked(settings, "watch()")

    def decorate(model: M) -> M:
        _decorated[model] = said
        return model

    return decorate


def _checked(settings: Mapping[str, Any], where: str) -> Watch:
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown or "fields" not in settings:
        raise TypeError(f"{where}: " + (f"no {', '.join(unknown)}" if unknown else "fields are missing"))
    return Watch(**dict(settings))


def _of_class(model: Type[models.Model]) -> Optional[Watch]:
    """The class Herald of the model itself: one that is inherited is the parent's."""
    inner = model.__dict__.get("Herald")
    if inner is None or not isinstance(inner, type):
        return None
    return _checked(
        {k: v for k, v in vars(inner).items() if not k.startswith("_")}, f"{model._meta.label}.Herald"
    )


def _all() -> Iterable[Tuple[Type[models.Model], Watch]]:
    for model in apps.get_models():
        said = _decorated.get(model) or _of_class(model)
        if said is not None:
            yield model, said


def watches() -> List[Watch]:
    """Of all installed models, sorted by topic."""
    found = [
        Watch(
            **{
                **{name: getattr(said, name) for name in SETTINGS},
                "model": model,
                "topic": said.topic or model._meta.model_name,
            }
        )
        for model, said in _all()
    ]
    return sorted(found, key=lambda w: w.topic)
