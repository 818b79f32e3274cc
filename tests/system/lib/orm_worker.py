# SPDX-License-Identifier: PostgreSQL
"""Runs inside the Django under test: reads a line of JSON {"code": …}, executes it with the
example's models at hand, and answers with a line of JSON {"result": …} or {"error": …}."""

import json
import os
import sys
import traceback

sys.path.insert(0, os.environ["ESTIMATES"])
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "estimates.settings")

import django  # noqa: E402

django.setup()

from api.models import Estimate, Project, User  # noqa: E402
from django.db import IntegrityError, connection, models, transaction  # noqa: E402
from django.db.models import F, Value  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402


class Rollback(Exception):
    """For leaving an atomic block in the wrong way."""


def names():
    people = {user.username: user for user in User.objects.all()}
    return {
        "Estimate": Estimate, "Project": Project, "User": User, "Token": Token,
        "transaction": transaction, "connection": connection, "models": models, "F": F,
        "Value": Value, "IntegrityError": IntegrityError, "APIClient": APIClient,
        "Rollback": Rollback, "django": django,
        "manager": people.get("manager"), "foreman1": people.get("foreman1"),
        "foreman2": people.get("foreman2"),
    }


def main():
    for line in sys.stdin:
        try:
            scope = names()
            exec(compile(json.loads(line)["code"], "<test>", "exec"), scope)
            answer = {"result": scope.get("result")}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer, default=str), flush=True)


main()
