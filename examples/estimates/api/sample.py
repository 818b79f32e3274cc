# SPDX-License-Identifier: PostgreSQL
"""The sample company that the management commands work with. People are found by their fixed
names and projects by their first estimate, so that a second run changes nothing."""

import functools
import hashlib
from typing import Dict

from django.contrib.auth.hashers import make_password
from django.db import transaction
from rest_framework.authtoken.models import Token

from .models import Estimate, Project, User
from .words import WORDS, number

PEOPLE = {"manager": User.Role.MANAGER, "foreman1": User.Role.FOREMAN, "foreman2": User.Role.FOREMAN}
PASSWORD = "estimates"

HOUSE, DEPOT, SCHOOL = WORDS.house, WORDS.depot, WORDS.school
FOUNDATION, ROOF, FLOORS, WINDOWS = WORDS.first_works
# Who is at work where before anything happens: in the house foreman2 alone, in the depot both.
ESTIMATES = {
    number(1, FOUNDATION): (HOUSE, "foreman2"),
    number(2, ROOF): (DEPOT, "foreman1"),
    number(3, FLOORS): (DEPOT, "foreman2"),
    number(4, WINDOWS): (SCHOOL, "foreman1"),
}
ADDRESSES = dict(zip((HOUSE, DEPOT, SCHOOL), WORDS.addresses))


FIRST_IN_HOUSE, FIRST_IN_DEPOT = list(ESTIMATES)[:2]


def person(username: str) -> User:
    return User.objects.get(username=username)


def project_of(number: str) -> Project:
    return Estimate.objects.get(number=number).project


def rename(project: Project) -> None:
    """The next building of the same project: "…, building 2", "…, building 3"."""
    name, _, building = project.name.partition(WORDS.building)
    project.name = "%s%s%d" % (name, WORDS.building, int(building or 1) + 1)
    project.save()


@functools.lru_cache(maxsize=None)
def hashed_password() -> str:
    """Once for all: hashing is slow on purpose, and this password is no secret."""
    return make_password(PASSWORD)


@transaction.atomic
def seed() -> Dict[str, Dict[str, object]]:
    """Makes the company, or what is missing of it; returns who is who and their tokens."""
    people = {}
    for username, role in PEOPLE.items():
        boss = role == User.Role.MANAGER
        user, created = User.objects.get_or_create(
            username=username, defaults={"role": role, "is_staff": boss, "is_superuser": boss}
        )
        if created:
            user.password = hashed_password()
            user.save()
        people[username] = user
    for number, (name, foreman) in ESTIMATES.items():
        if Estimate.objects.filter(number=number).exists():
            continue
        project, _ = Project.objects.get_or_create(name=name, defaults={"address": ADDRESSES[name]})
        Estimate.objects.create(
            number=number, project=project, foreman=people[foreman], creator=people["manager"]
        )
    return {
        username: {"id": user.pk, "role": str(user.role), "token": token_of(user)}
        for username, user in people.items()
    }


def token_of(user: User) -> str:
    # The same token in every run keeps pasted curl lines valid. Never do that with real users.
    key = hashlib.sha1(("estimates example " + user.username).encode()).hexdigest()
    return Token.objects.get_or_create(user=user, defaults={"key": key})[0].key
