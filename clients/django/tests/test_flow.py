# SPDX-License-Identifier: PostgreSQL
"""From models to a daemon: migrations forwards and backwards, as a superuser and as a role that may nothing;
tests of the application; the page by runserver alone."""

import re
import subprocess
import sys

import pytest
from conftest import OWNERS
from lib.daemon import Client, free_port, wait_until

MEMBER = """SELECT count(*) FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member
            WHERE r.rolname = 'shop' AND m.roleid::regrole::text LIKE 'pgherald%'"""
TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE tgname ~ '^zz_pgherald_[iudt]$'"
PEOPLE = """
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
people = [User.objects.create_user(name, is_staff=name == "ann") for name in ("ann", "bob")]
result = [Token.objects.create(user=user).key for user in people]
"""


def said_by_daemon(project, tmp_path, token, code):
    """What a client of a real daemon hears of this code."""
    daemon = project.daemon(tmp_path).start().wait_ready()
    try:
        client = Client(daemon, token).hello()
        project.shell(code)
        client.wait_message("order.updated")
        return client.messages()
    finally:
        daemon.stop()


SAVES = """
from django.contrib.auth.models import User
from orders.models import Order
bob = User.objects.get(username="bob")
order = Order.objects.create(number="A", customer=bob)
order.status = "paid"
order.save()
result = order.pk
"""


def test_from_models_to_a_browser(project, tmp_path):
    project.prepared()
    migration = (project.dir / "orders" / "migrations" / "0002_pgherald_watches.py").read_text()
    assert "pgherald_django.operations.Watches(" in migration and len(migration) < 3000, migration
    sql = project.manage("sqlmigrate", "orders", "0002")
    assert "CREATE TRIGGER zz_pgherald_u" in sql and len(re.findall("(?m)^(BEGIN|COMMIT);", sql)) == 2, sql[
        :500
    ]
    project.manage("migrate", "-v", "0")
    assert project.db.one(TRIGGERS) == 12
    assert "No changes" in project.manage("pgherald", "makemigrations")
    assert "no issues" in project.manage("check", "--database", "default")
    _, bob = project.shell(PEOPLE)
    heard = said_by_daemon(project, tmp_path, bob, SAVES)
    assert [m["event"] for m in heard] == ["order.created", "order.updated"]
    assert heard[1]["data"]["status"] == "paid" and heard[1]["data"]["customer__username"] == "bob"
    project.manage("pgherald", "check")
    project.manage("pgherald", "sql", "install", "--apply")
    project.manage("pgherald", "check")


def test_the_next_migration_and_the_way_back(project):
    project.prepared().manage("migrate", "-v", "0")
    new = {"SHOP_NEXT": "1"}
    project.manage("makemigrations", "orders", "-v", "0", **new)
    assert "pgherald.W001" in project.manage("check", **new)
    assert "is missing" in project.manage("pgherald", "makemigrations", "--check", status=1, **new)
    project.manage("pgherald", "makemigrations", **new)
    project.manage("migrate", "-v", "0", **new)
    project.manage("pgherald", "check", **new)
    body = "SELECT prosrc LIKE '%note%' FROM pg_proc WHERE proname = 'on_order'"
    assert project.db.one(body)
    project.manage("migrate", "orders", "0003", "-v", "0", **new)
    assert not project.db.one(body)
    project.manage("migrate", "orders", "0001", "-v", "0", **new)
    assert project.db.one("SELECT to_regnamespace('pgherald') IS NULL") and project.db.one(TRIGGERS) == 0
    project.manage("migrate", "-v", "0", **new)
    project.manage("pgherald", "check", **new)


def test_a_watch_that_ends(project):
    project.prepared().manage("migrate", "-v", "0")
    models = project.dir / "orders" / "models.py"
    models.write_text(
        models.read_text().replace("    class Herald:\n        topic", "    class Other:\n        topic")
    )
    project.manage("pgherald", "makemigrations")
    project.manage("migrate", "-v", "0")
    assert project.db.one(TRIGGERS) == 8
    assert project.db.one("SELECT to_regprocedure('pgherald.on_order_note()') IS NULL")
    project.manage("pgherald", "check")


def test_a_role_that_may_nothing(plain, tmp_path):
    plain.prepared()
    warned = plain.manage("check", "--database", "default")
    assert "pgherald.W002" in warned and "manage.py pgherald roles" in warned
    failed = plain.manage("migrate", "-v", "0", status=1)
    assert "pgherald sql roles --for shop" in failed
    plain.db.run(plain.manage("pgherald", "roles"))
    assert "W002" not in plain.manage("check", "--database", "default")
    plain.manage("migrate", "-v", "0")
    assert plain.db.one(MEMBER) == 0
    assert "pgherald.W" not in plain.manage("check", "--database", "default")
    for sql in ("SELECT * FROM pgherald.journal", "SELECT * FROM pgherald.tell(ARRAY[1])"):
        assert "permission denied" in plain.manage(
            "shell",
            "-c",
            f"""
from django.db import connection
connection.cursor().execute({sql!r})""",
            status=1,
        )
    _, bob = plain.shell(PEOPLE)
    heard = said_by_daemon(plain, tmp_path, bob, SAVES)
    assert [m["event"] for m in heard] == ["order.created", "order.updated"]
    # The next one wants the administrator again, and so does the way back.
    new = {"SHOP_NEXT": "1"}
    plain.manage("makemigrations", "orders", "-v", "0", **new)
    plain.manage("pgherald", "makemigrations", **new)
    assert "pgherald.W002" in plain.manage("check", "--database", "default", **new)
    plain.db.run(plain.manage("pgherald", "roles"))
    plain.manage("migrate", "-v", "0", **new)
    assert plain.db.one(MEMBER) == 0
    plain.db.run(f"GRANT {OWNERS} TO shop")
    assert "pgherald.W003" in plain.manage("check", "--database", "default", **new)
    plain.manage("migrate", "orders", "zero", "-v", "0", **new)
    assert plain.db.one("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgherald%'") == 0


def test_one_leave_for_all_that_wait(plain):
    """Two migrations with watches in one run, the second of which ends one."""
    plain.prepared()
    models = plain.dir / "orders" / "models.py"
    models.write_text(
        models.read_text().replace("    class Herald:\n        topic", "    class Other:\n        topic")
    )
    plain.manage("pgherald", "makemigrations")
    plain.db.run(plain.manage("pgherald", "roles"))
    plain.manage("migrate", "-v", "0")
    assert plain.db.one(MEMBER) == 0 and plain.db.one(TRIGGERS) == 8
    assert "pgherald.W" not in plain.manage("check", "--database", "default")


def test_the_administrators_way(plain):
    """No migration of ours: an administrator installs, and the application's role has nothing."""
    plain.manage("makemigrations", "orders", "-v", "0")
    plain.manage("migrate", "-v", "0")
    plain.manage("pgherald", "sql", "install", "--apply", PGUSER="postgres")
    plain.manage("pgherald", "check", PGUSER="postgres")
    assert plain.db.one(MEMBER) == 0 and plain.db.one(TRIGGERS) == 12
    assert "pgherald.W003" not in plain.manage("check", "--database", "default")


def test_tests_of_the_application(project):
    """In a TestCase and with commits, in parallel, which clones the database."""
    project.prepared()
    assert "OK" in project.manage("test", "orders.tests", "--noinput", "--parallel", "2")
    assert project.cluster_databases() == []


def test_tests_as_a_role_that_makes_databases(plain, cluster):
    plain.manage("makemigrations", "orders", "-v", "0")
    plain.db.run(plain.manage("pgherald", "roles"))
    plain.db.run("SELECT pgherald_lent.give_back()")
    cluster.execute("ALTER ROLE shop CREATEDB")
    cluster.execute(f"GRANT {OWNERS} TO shop")
    assert "OK" in plain.manage("test", "orders.tests", "--noinput")
    assert plain.db.one(MEMBER) == len(OWNERS.split(", "))


def has(*modules):
    return (
        subprocess.run([sys.executable, "-c", "import " + ", ".join(modules)], capture_output=True).returncode
        == 0
    )


@pytest.mark.skipif(not has("pytest_django", "xdist"), reason="not installed: pytest-django, pytest-xdist")
@pytest.mark.parametrize("more", [["-n", "2"], ["--no-migrations"]], ids=" ".join)
def test_tests_with_pytest(project, more):
    project.prepared()
    out = project.run(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "pgherald_django.pytest_plugin",
        "orders/test_with_pytest.py",
        *more,
        DJANGO_SETTINGS_MODULE="shop.settings",
    )
    assert "7 passed" in out, out


def test_without_the_program(project):
    project.prepared()
    said = project.manage("migrate", "-v", "0", status=1, PGHERALD="/nowhere/pgherald")
    assert "is not installed here; PGHERALD['BINARY'] says where it is" in said
    settings = project.dir / "shop" / "settings.py"
    settings.write_text(settings.read_text() + '\nPGHERALD["BINARY"] = None\n')
    project.manage("migrate", "-v", "0")
    assert project.db.one("SELECT to_regnamespace('pgherald') IS NULL")


class Runserver:
    def __init__(self, project, daemon_port):
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}"],
            cwd=project.dir,
            env={**project.env, "DAEMON": f"http://127.0.0.1:{daemon_port}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: "<script>" in self.get("page/?token=t"), "runserver")

    def get(self, path, *args):
        return subprocess.run(
            ["curl", "-s", *args, f"http://127.0.0.1:{self.port}/{path}"], capture_output=True, text=True
        ).stdout

    def close(self):
        self.process.terminate()
        self.process.wait()


# Of a project that had views of its own, but for the line that imports them.
THEIR_URLS = """
from django.urls import path
from pgherald_django.views import SSEView, sse_stats

urlpatterns = [
   path('sse/events/', SSEView.as_view(), name='sse-events'),
   path('sse/stats/', sse_stats, name='sse-stats'),
]
"""


@pytest.mark.parametrize("views", ["ours", "their names"])
def test_runserver_alone(project, tmp_path, views):
    project.prepared().manage("migrate", "-v", "0")
    if views == "their names":
        (project.dir / "shop" / "api_urls.py").write_text(THEIR_URLS)
        urls = project.dir / "shop" / "urls.py"
        old = 'path("", include("pgherald_django.urls"))'
        assert old in urls.read_text()
        urls.write_text(urls.read_text().replace(old, 'path("api/v1/", include("shop.api_urls"))'))
    ann, bob = project.shell(PEOPLE)
    daemon = project.daemon(tmp_path).start().wait_ready()
    server = Runserver(project, daemon.address[1])
    names = "from django.urls import reverse; result = [reverse(n) for n in ('sse-events', 'sse-stats')]"
    try:
        assert project.shell(names) == ["/api/v1/sse/events/", "/api/v1/sse/stats/"]
        assert 'new EventSource("/api/v1/sse/events/?token=t")' in server.get("page/?token=t")
        client = Client(
            type("At", (), {"address": ("127.0.0.1", server.port), "log": daemon.log}), bob
        ).hello()
        project.shell(SAVES)
        client.wait_message("order.updated")
        client.close()
        assert '"total_users"' in server.get("api/v1/sse/stats/", "-H", f"Authorization: Token {ann}")
        refused = server.get("api/v1/sse/events/", "-i")
        assert refused.startswith("HTTP/1.1 401") and "WWW-Authenticate: Token" in refused
        daemon.stop()
        away = server.get(f"api/v1/sse/events/?token={bob}", "-i")
        assert away.startswith("HTTP/1.1 200") and "\nretry: 3000\n" in away, away
    finally:
        server.close()
        daemon.kill()


def test_capture_events_hears_what_the_daemon_tells(project, tmp_path):
    """The same changes told twice: by a daemon to its clients, and by the helper."""
    project.prepared().manage("migrate", "-v", "0")
    tokens = project.shell(PEOPLE.replace('"ann", "bob"', '"ann", "bob", "cid"'))
    daemon = project.daemon(tmp_path).start().wait_ready()
    try:
        clients = [Client(daemon, token).hello() for token in tokens]
        heard = project.shell("""
from django.contrib.auth.models import User
from django.db import transaction
from orders.models import Note, Order, Project
from pgherald_django.testing import capture_events
people = ann, bob, cid = [User.objects.get(username=name) for name in ("ann", "bob", "cid")]
with capture_events() as told:
    with transaction.atomic():
        project = Project.objects.create(name="P")
        project.members.add(bob)
        project.name = "Q"
        project.save()
        order = Order.objects.create(number="A", total="1.10", customer=bob, project=project)
        Note.objects.create(order=order, text="x")
        for customer in (cid, None, bob):
            order.customer = customer
            order.save()
        Order.objects.filter(pk=order.pk).update(status="paid", customer=cid)
        order.delete()
    with transaction.atomic():
        Order.objects.bulk_create(Order(number=str(i)) for i in range(600))
    with transaction.atomic():
        Order.objects.create(number="last", customer=bob)
        Order.objects.create(number="last", customer=cid)
result = [[{"event": e.type, "data": e.data, **({"scope": e.scope} if e.scope else {})} for e in told.of(user)]
          for user in people]
""")
        for client, want in zip(clients, heard):
            assert want[-1]["data"]["number"] == "last"
            client.read_until(lambda: [m for m in client.messages() if m["data"] == want[-1]["data"]])
            got = [{k: v for k, v in m.items() if k != "timestamp"} for m in client.messages()]
            assert got == want
            client.close()
    finally:
        daemon.stop()
