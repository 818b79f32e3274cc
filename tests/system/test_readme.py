# SPDX-License-Identifier: PostgreSQL
"""The README followed to the letter: a fresh Django project, its configuration and its commands as they
stand there, and what its reader is told to expect. Only paths and addresses are exchanged."""

import json
import os
import re
import subprocess

import pytest
from conftest import PGHERALD
from lib.daemon import Client, Daemon
from lib.django_env import TOP, Unavailable, distribution_python

SETTINGS = """
INSTALLED_APPS += ["rest_framework", "rest_framework.authtoken", "orders"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "%s", "HOST": "%s"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MODELS = """
from django.conf import settings
from django.db import models


class Order(models.Model):
    number = models.CharField(max_length=20)
    status = models.CharField(max_length=20, default="new")
    total = models.DecimalField(max_digits=9, decimal_places=2)
    created_at = models.DateTimeField(auto_now_add=True)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
"""
PEOPLE = """
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
from orders.models import Order
ann, bob = (User.objects.create_user(name, is_staff=name == "ann") for name in ("ann", "bob"))
order = Order.objects.create(number="A-1", total="10.50", customer=bob)
print(Token.objects.create(user=ann).key, Token.objects.create(user=bob).key)
"""
SAVE = """
from orders.models import Order
order = Order.objects.get(number="A-1")
order.status = "paid"
order.save()
"""


def blocks(kind):
    """The README's blocks of that kind under "Install it into a Django project"."""
    text = (TOP / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Install it into"):text.index("## In the browser")]
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.S | re.M)
    return [text for of_kind, text in fences if of_kind == kind]


def fields(stream):
    """Which line follows which."""
    return re.findall(r"^(\w+|): ?", stream.rstrip("\n") + "\n\n", re.M)


@pytest.fixture
def shop(cluster, tmp_path):
    """Runs a Python text in a Django project made by startproject and startapp."""
    try:
        python = distribution_python()
    except Unavailable as reason:
        pytest.skip(str(reason))
    db = cluster.create_database()
    project = tmp_path / "shop"
    project.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    env.update(PGUSER="postgres", PYTHONDONTWRITEBYTECODE="1")

    def run(*argv, text=None):
        done = subprocess.run([python, *argv], cwd=project, env=env, input=text,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-m", "django", "startproject", "shop", ".")
    run("manage.py", "startapp", "orders")
    with open(project / "shop" / "settings.py", "a", encoding="utf-8") as f:
        f.write(SETTINGS % (db.name, cluster.dir))
    (project / "orders" / "models.py").write_text(MODELS)
    run("manage.py", "makemigrations", "-v", "0")
    run("manage.py", "migrate", "-v", "0")
    yield db, lambda text: run("manage.py", "shell", text=text)
    db.drop()


def test_five_minutes(shop, cluster, tmp_path):
    db, django = shop
    ann, bob = django(PEOPLE).split()[-2:]
    conf = tmp_path / "pgherald.conf"
    conf.write_text(blocks("ini")[0].replace("dbname=shop", db.conninfo("pgherald"))
                    + "\n[server]\nlisten = 127.0.0.1:0\n")
    install, commands = next(b for b in blocks("sh") if "sql install" in b).splitlines(), []
    for line in install:
        if not re.match(r"sudo (-u \w+ )?pgherald ", line):
            continue  # the service
        words = re.sub(r"^sudo (-u \w+ )?pgherald ", "", line).replace("dbname=shop", db.name).split()
        words = [db.conninfo() if w == db.name else w for w in words]
        commands.append(subprocess.run([PGHERALD, *words, "-c", conf], capture_output=True, text=True))
    assert [c.returncode for c in commands] == [0, 0], [c.stdout + c.stderr for c in commands]
    daemon = Daemon(PGHERALD, conf, tmp_path / "log").start().wait_ready()
    try:
        staff, customer = (Client(daemon, token, by_query=False).hello() for token in (ann, bob))
        django(SAVE)
        greeting, event = (json.loads(line) for line in
                           re.findall(r"^data: (.*)$", blocks("")[0], re.M))
        for client in (staff, customer):
            client.wait_message("order.updated")
            got = [frame.json for frame in client.frames]
            event["timestamp"] = got[1]["timestamp"]
            event["data"]["created_at"] = got[1]["data"]["created_at"]
            event["data"]["customer_id"] = got[1]["data"]["customer_id"]
            assert got == [greeting, event]
            assert list(got[1]["data"]) == list(event["data"]), "in this order"
            assert fields(client.raw_body.decode()) == fields(blocks("")[0])
    finally:
        daemon.stop()
    check = subprocess.run([PGHERALD, "sql", "check", "-c", conf, "--dsn", db.conninfo()],
                           capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    gone = subprocess.run([PGHERALD, "sql", "uninstall", "--apply", "-c", conf, "--dsn", db.conninfo()],
                          capture_output=True, text=True)
    assert gone.returncode == 0, gone.stderr


def test_what_is_built_is_built_beside_the_sources():
    """In the source tree it would be in the way of ./demo.sh and ./check.sh of another day."""
    build = next(b for b in blocks("sh") if "configure" in b)
    assert "mkdir -p build && cd build" in build and "../configure" in build
