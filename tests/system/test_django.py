# SPDX-License-Identifier: PostgreSQL
"""The real ORM writes, real SSE clients read: every way in which Django changes a table, on the
distribution's Django and on the newest LTS, with the example's project and configuration."""

import itertools
import json
import re
from datetime import datetime

import pytest
from conftest import PGHERALD, run_pgherald
from lib.daemon import Client, Daemon
from lib.django_env import PROJECT, PYTHONS, Django, Unavailable

WHO = ("manager", "foreman1", "foreman2")
KEYS = ["estimate_id", "estimate_number", "project_id", "project_name", "foreman_id",
        "foreman_name", "creator_id", "creator_name", "status", "created_at"]


class Site:
    """The project, its database with the capture installed, and a daemon."""

    def __init__(self, python, cluster, directory):
        self.numbers = itertools.count(1)
        self.db = cluster.create_database()
        cluster.execute("DO $$ BEGIN CREATE ROLE estimates LOGIN;"
                        " EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        cluster.execute(f"ALTER DATABASE {self.db.name} OWNER TO estimates")
        self.django = Django(python, self.db)
        self.django.manage("migrate", "-v", "0")
        self.users = json.loads(self.django.manage("seed"))
        self.marker = self.django.run("""
            project = Project.objects.create(name="marker")
            for foreman in (foreman1, foreman2):
                Estimate.objects.create(number="m", project=project, foreman=foreman, creator=manager)
            result = project.pk
        """)
        conf = directory / "pgherald.conf"
        text = (PROJECT / "pgherald.conf").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^listen *=.*", "listen = 127.0.0.1:0", text)
        text = re.sub(r"(?m)^conninfo *=.*", "conninfo = " + self.db.conninfo("pgherald"), text)
        # the traffic goes on while nobody reads
        assert "kind = events\n" in text
        text = text.replace("kind = events\n", "kind = events\nqueue_events = 10000\n")
        conf.write_text(text, encoding="utf-8")
        done = run_pgherald("sql", "install", "--apply", "-c", conf, "--dsn", self.db.conninfo())
        assert done.returncode == 0, done.stdout + done.stderr
        self.daemon = Daemon(PGHERALD, conf, directory / "daemon.log").start().wait_ready()

    def close(self):
        self.daemon.stop()
        self.django.close()
        self.db.drop()


class Ears:
    """Three clients that hear what happens from now on."""

    def __init__(self, site):
        self.site, self.run = site, site.django.run
        self.clients = {who: Client(site.daemon, site.users[who]["token"]).hello() for who in WHO}
        self.read = dict.fromkeys(WHO, 0)

    def messages(self):
        """What each heard since the last call: everything before a change that all must hear."""
        name = "marker %d" % next(self.site.numbers)
        self.run(f"Project.objects.filter(pk={self.site.marker}).update(name='{name}')")
        heard = {}
        for who, client in self.clients.items():
            client.wait_message("project.updated", project_name=name)
            messages = client.messages()[self.read[who]:]
            assert messages[-1]["data"]["project_name"] == name, messages
            self.read[who] += len(messages)
            heard[who] = messages[:-1]
        return heard

    def heard(self):
        """The same, short: ("estimate.updated/enter", key)."""
        return {who: [short(m) for m in messages] for who, messages in self.messages().items()}

    def close(self):
        for client in self.clients.values():
            client.close()


def short(message):
    topic = message["event"].split(".")[0]
    scope = "/" + message["scope"] if "scope" in message else ""
    return message["event"] + scope, message["data"][topic + "_id"]


def only(**heard):
    return {who: heard.get(who, []) for who in WHO}


SILENCE = only()
CREATED, UPDATED, DELETED = ("estimate." + verb for verb in ("created", "updated", "deleted"))
ENTER, LEAVE = UPDATED + "/enter", UPDATED + "/leave"


@pytest.fixture(scope="module", params=PYTHONS)
def site(request, cluster, tmp_path_factory):
    try:
        python = PYTHONS[request.param]()
    except Unavailable as reason:
        pytest.skip(str(reason))
    s = Site(python, cluster, tmp_path_factory.mktemp("django"))
    try:
        yield s
    finally:
        s.close()


@pytest.fixture
def ears(site):
    e = Ears(site)
    try:
        yield e
    finally:
        e.close()


@pytest.fixture
def estimate(ears):
    """The key of a new estimate of foreman1's, and nobody's ears are still full of it."""
    pk = ears.run("""
        project = Project.objects.create(name="Мост")
        result = Estimate.objects.create(
            number="Смета", project=project, foreman=foreman1, creator=manager).pk
    """)
    ears.messages()
    return pk


# --- One object ------------------------------------------------------------------------------


def test_create_gives_the_whole_document(site, ears):
    number = "Смета «ё» \"q\" 'a' \\ \u2028 \t 🏗"
    got = ears.run(f"""
        project = Project.objects.create(name="Ж/д <мост> & Co")
        e = Estimate.objects.create(number={number!r}, project=project, foreman=foreman1,
                                    creator=manager)
        result = [project.pk, e.pk, e.created_at.isoformat()]
    """)
    heard = ears.messages()
    assert [short(m) for m in heard["manager"]] == [("project.created", got[0]), (CREATED, got[1])]
    assert heard["foreman2"] == []
    assert heard["foreman1"] == heard["manager"][1:]
    message = heard["foreman1"][0]
    assert list(message) == ["event", "data", "timestamp"]
    assert isinstance(message["timestamp"], int)
    data = message["data"]
    assert list(data) == KEYS
    created_at = data.pop("created_at")
    assert created_at.endswith("Z")
    assert datetime.fromisoformat(created_at[:-1] + "+00:00") == datetime.fromisoformat(got[2])
    assert data == {
        "estimate_id": got[1], "estimate_number": number, "project_id": got[0],
        "project_name": "Ж/д <мост> & Co", "foreman_id": site.users["foreman1"]["id"],
        "foreman_name": "foreman1", "creator_id": site.users["manager"]["id"],
        "creator_name": "manager", "status": "Черновик"}


def test_save(ears, estimate):
    ears.run(f"e = Estimate.objects.get(pk={estimate}); e.status = 'Согласована'; e.save()")
    heard = ears.messages()
    assert heard["manager"] == heard["foreman1"]
    assert [short(m) for m in heard["manager"]] == [(UPDATED, estimate)]
    assert heard["manager"][0]["data"]["status"] == "Согласована"
    assert heard["foreman2"] == []


def test_save_of_what_nobody_watches(ears, estimate):
    ears.run(f"""
        e = Estimate.objects.get(pk={estimate})
        e.save()
        e.amount = 17
        e.save()
        e.save(update_fields=["amount", "updated_at"])
    """)
    assert ears.heard() == SILENCE


def test_save_of_some_fields(ears, estimate):
    ears.run(f"""
        e = Estimate.objects.get(pk={estimate})
        e.number, e.status = "не сохранено", "Отклонена"
        e.save(update_fields=["status"])
    """)
    heard = ears.messages()["foreman1"]
    assert [(m["data"]["status"], m["data"]["estimate_number"]) for m in heard] == [
        ("Отклонена", "Смета")]


def test_delete(ears, estimate):
    ears.run(f"Estimate.objects.get(pk={estimate}).delete()")
    heard = ears.messages()
    assert heard["manager"] == heard["foreman1"] and heard["foreman2"] == []
    assert [short(m) for m in heard["manager"]] == [(DELETED, estimate)]
    data = heard["manager"][0]["data"]
    assert list(data) == KEYS
    assert (data["project_name"], data["foreman_name"]) == ("Мост", "foreman1")


def test_get_or_create(ears, estimate):
    pk = ears.run(f"""
        project = Estimate.objects.get(pk={estimate}).project
        made = [Estimate.objects.get_or_create(
            number="раз", project=project, defaults=dict(foreman=foreman2, creator=manager))
            for _ in range(3)]
        assert [new for _, new in made] == [True, False, False]
        result = made[0][0].pk
    """)
    assert ears.heard() == only(manager=[(CREATED, pk)], foreman2=[(CREATED, pk)])


def test_update_or_create(ears, estimate):
    new = ears.run(f"""
        def put(number, status):
            return Estimate.objects.update_or_create(
                number=number, project=project,
                defaults=dict(status=status, foreman=foreman1, creator=manager))[0].pk

        project = Estimate.objects.get(pk={estimate}).project
        assert put("Смета", "Отклонена") == {estimate}
        assert put("Смета", "Отклонена") == {estimate}  # the same again: nothing to tell
        result = put("новая", "Отклонена")
    """)
    both = [(UPDATED, estimate), (CREATED, new)]
    assert ears.heard() == only(manager=both, foreman1=both)


# --- Expressions and sets --------------------------------------------------------------------


def test_f_expressions(ears, estimate):
    ears.run(f"""
        from django.db.models.functions import Concat
        Estimate.objects.filter(pk={estimate}).update(number=Concat(F("number"), Value("-2")))
        Estimate.objects.filter(pk={estimate}).update(amount=F("amount") + 1)
        e = Estimate.objects.get(pk={estimate})
        e.number = Concat(F("number"), Value("-3"))
        e.save()
    """)
    heard = ears.messages()
    assert [m["data"]["estimate_number"] for m in heard["foreman1"]] == ["Смета-2", "Смета-2-3"]
    assert heard["manager"] == heard["foreman1"]


def test_queryset_update(ears, estimate):
    pks = ears.run(f"""
        project = Estimate.objects.get(pk={estimate}).project
        second = Estimate.objects.create(
            number="2", project=project, foreman=foreman2, creator=manager)
        third = Estimate.objects.create(
            number="3", project=project, foreman=None, creator=manager, status="Отклонена")
        result = [second.pk, third.pk]
    """)
    ears.messages()
    ears.run(f"""
        mine = Estimate.objects.filter(project__estimates__pk={estimate})
        assert mine.update(status="Отклонена") == 3
        assert mine.filter(number="нет такой").update(status="Черновик") == 0
        assert mine.update(status="Отклонена") == 3
    """)
    heard = ears.heard()
    # The third had that status before: nothing of it changed.
    assert sorted(heard.pop("manager")) == [(UPDATED, estimate), (UPDATED, pks[0])]
    assert heard == {"foreman1": [(UPDATED, estimate)], "foreman2": [(UPDATED, pks[0])]}


def test_bulk_create(ears, estimate):
    pks = ears.run(f"""
        project = Estimate.objects.get(pk={estimate}).project
        result = [e.pk for e in Estimate.objects.bulk_create(
            [Estimate(number=str(i), project=project, creator=manager,
                      foreman=[foreman1, foreman2, None][i % 3]) for i in range(30)])]
    """)
    heard = ears.heard()
    assert sorted(heard["manager"]) == [(CREATED, pk) for pk in pks]
    assert sorted(heard["foreman1"]) == [(CREATED, pk) for pk in pks[0::3]]
    assert sorted(heard["foreman2"]) == [(CREATED, pk) for pk in pks[1::3]]


def test_bulk_create_that_ignores_conflicts(ears, estimate):
    new = estimate + 1000000
    ears.run(f"""
        project = Estimate.objects.get(pk={estimate}).project
        Estimate.objects.bulk_create(
            [Estimate(pk=pk, number="x", project=project, creator=manager, foreman=foreman2)
             for pk in ({estimate}, {new})], ignore_conflicts=True)
    """)
    assert ears.heard() == only(manager=[(CREATED, new)], foreman2=[(CREATED, new)])
    ears.run(f"Estimate.objects.filter(pk={new}).delete()")


def test_bulk_create_that_updates_conflicts(ears, estimate):
    if ears.run("result = django.VERSION[:2]") < [4, 1]:
        pytest.skip("update_conflicts came with Django 4.1")
    new = estimate + 2000000
    ears.run(f"""
        project = Estimate.objects.get(pk={estimate}).project
        Estimate.objects.bulk_create(
            [Estimate(pk=pk, number="x", project=project, creator=manager, foreman=foreman1)
             for pk in ({estimate}, {new})],
            update_conflicts=True, unique_fields=["id"], update_fields=["number"])
    """)
    heard = ears.heard()
    assert sorted(heard["manager"]) == [(CREATED, new), (UPDATED, estimate)]
    assert heard["foreman1"] == heard["manager"] and heard["foreman2"] == []
    ears.run(f"Estimate.objects.filter(pk={new}).delete()")


def test_bulk_update(ears, estimate):
    second = ears.run(f"""
        first = Estimate.objects.get(pk={estimate})
        second = Estimate.objects.create(
            number="2", project=first.project, foreman=foreman2, creator=manager)
        result = second.pk
    """)
    ears.messages()
    ears.run(f"""
        both = list(Estimate.objects.filter(pk__in=[{estimate}, {second}]))
        for e in both:
            e.number, e.amount = "bulk %d" % e.pk, 5
        Estimate.objects.bulk_update(both, ["number", "amount"])
        Estimate.objects.bulk_update(both, ["amount"])
    """)
    heard = ears.messages()
    numbers = sorted(m["data"]["estimate_number"] for m in heard["manager"])
    assert numbers == sorted(f"bulk {pk}" for pk in (estimate, second))
    assert [short(m) for m in heard["foreman1"]] == [(UPDATED, estimate)]
    assert [short(m) for m in heard["foreman2"]] == [(UPDATED, second)]


def test_queryset_delete(ears, estimate):
    pks = ears.run(f"""
        project = Estimate.objects.get(pk={estimate}).project
        result = [Estimate.objects.create(number="d", project=project, foreman=f,
                                          creator=manager).pk for f in (foreman1, foreman2)]
    """)
    ears.messages()
    ears.run(f"Estimate.objects.filter(pk__in={pks}).delete()")
    heard = ears.heard()
    assert sorted(heard.pop("manager")) == [(DELETED, pk) for pk in pks]
    assert heard == {"foreman1": [(DELETED, pks[0])], "foreman2": [(DELETED, pks[1])]}


def test_delete_with_cascade(ears, estimate):
    second, project = ears.run(f"""
        project = Estimate.objects.get(pk={estimate}).project
        second = Estimate.objects.create(
            number="2", project=project, foreman=foreman2, creator=manager)
        result = [second.pk, project.pk]
    """)
    ears.messages()
    ears.run(f"Project.objects.get(pk={project}).delete()")
    heard = ears.messages()
    # Django deletes the estimates first, so that nobody has one when the project goes.
    manager = [short(m) for m in heard["manager"]]
    assert sorted(manager[:2]) == [(DELETED, estimate), (DELETED, second)]
    assert manager[2:] == [("project.deleted", project)]
    assert [short(m) for m in heard["foreman1"]] == [(DELETED, estimate)]
    assert [short(m) for m in heard["foreman2"]] == [(DELETED, second)]
    assert heard["foreman1"][0]["data"]["project_name"] == "Мост"


# --- Transactions ----------------------------------------------------------------------------


def test_rollback_tells_nothing(ears, estimate):
    ears.run(f"""
        e = Estimate.objects.get(pk={estimate})
        try:
            with transaction.atomic():
                Estimate.objects.create(
                    number="r", project=e.project, foreman=foreman2, creator=manager)
                e.status = "Отклонена"
                e.save()
                Estimate.objects.filter(pk={estimate}).delete()
                Project.objects.filter(pk=e.project_id).update(name="r")
                raise Rollback
        except Rollback:
            pass
    """)
    assert ears.heard() == SILENCE


def test_nothing_is_told_before_the_commit(ears, estimate):
    ears.run(f"""
        transaction.set_autocommit(False)
        Estimate.objects.filter(pk={estimate}).update(status="Отклонена")
    """)
    # The marker of another connection overtakes the open transaction.
    ears.site.db.run("UPDATE api_project SET name = 'overtakes' WHERE id = %s",
                     (ears.site.marker,))
    for client in ears.clients.values():
        client.wait_message("project.updated", project_name="overtakes")
        assert [m["event"] for m in client.messages() if m["event"] == UPDATED] == []
    ears.run("transaction.commit(); transaction.set_autocommit(True)")
    heard = ears.heard()
    assert heard["foreman1"][-1] == (UPDATED, estimate)
    assert heard["foreman2"] == [("project.updated", ears.site.marker)]


def test_savepoints(ears, estimate):
    kept = ears.run(f"""
        e = Estimate.objects.get(pk={estimate})
        with transaction.atomic():
            e.status = "На согласовании"
            e.save()
            try:
                with transaction.atomic():
                    Estimate.objects.create(
                        number="lost", project=e.project, foreman=foreman1, creator=manager)
                    e.foreman = foreman2
                    e.save()
                    raise Rollback
            except Rollback:
                e.refresh_from_db()
            with transaction.atomic():
                kept = Estimate.objects.create(
                    number="kept", project=e.project, foreman=foreman1, creator=manager)
            sid = transaction.savepoint()
            kept.delete()
            transaction.savepoint_rollback(sid)
        result = Estimate.objects.get(number="kept", project=e.project).pk
    """)
    both = [(UPDATED, estimate), (CREATED, kept)]
    assert ears.heard() == only(manager=both, foreman1=both)


def test_an_error_inside_a_transaction(ears, estimate):
    ears.run(f"""
        with transaction.atomic():
            Estimate.objects.filter(pk={estimate}).update(status="Согласована")
            try:
                with transaction.atomic():
                    User.objects.create(username="foreman1")
            except IntegrityError:
                pass
    """)
    assert ears.heard() == only(manager=[(UPDATED, estimate)], foreman1=[(UPDATED, estimate)])


def test_every_step_of_a_transaction_in_order(ears, estimate):
    new = ears.run(f"""
        with transaction.atomic():
            project = Estimate.objects.select_for_update().get(pk={estimate}).project
            e = Estimate.objects.create(
                number="a", project=project, foreman=foreman1, creator=manager)
            pk = e.pk
            e.number = "b"
            e.save()
            e.number = "c"
            e.save()
            e.delete()
        result = pk
    """)
    heard = ears.messages()
    assert [(*short(m), m["data"]["estimate_number"]) for m in heard["foreman1"]] == [
        (CREATED, new, "a"), (UPDATED, new, "b"), (UPDATED, new, "c"), (DELETED, new, "c")]
    assert heard["manager"] == heard["foreman1"] and heard["foreman2"] == []


# --- Owners ----------------------------------------------------------------------------------


def test_reassignment(ears, estimate):
    ears.run(f"""
        e = Estimate.objects.get(pk={estimate})
        e.foreman, e.number = foreman2, "только для foreman2"
        e.save()
    """)
    heard = ears.messages()
    assert [short(m) for m in heard["manager"]] == [(UPDATED, estimate)]
    assert [short(m) for m in heard["foreman1"]] == [(LEAVE, estimate)]
    assert [short(m) for m in heard["foreman2"]] == [(ENTER, estimate)]
    left, entered = heard["foreman1"][0], heard["foreman2"][0]
    assert list(left["data"]) == ["estimate_id", "project_id"]
    assert list(entered) == ["event", "data", "scope", "timestamp"]
    assert list(entered["data"]) == KEYS
    assert entered["data"]["foreman_name"] == "foreman2"
    ears.run(f"Estimate.objects.filter(pk={estimate}).update(status='Отклонена')")
    assert ears.heard() == only(manager=[(UPDATED, estimate)], foreman2=[(UPDATED, estimate)])


def test_reassignment_of_many(ears, estimate):
    second = ears.run(f"""
        first = Estimate.objects.get(pk={estimate})
        result = Estimate.objects.create(
            number="2", project=first.project, foreman=foreman2, creator=manager).pk
    """)
    ears.messages()
    ears.run(f"Estimate.objects.filter(pk__in=[{estimate}, {second}]).update(foreman=foreman2)")
    assert ears.heard() == only(
        manager=[(UPDATED, estimate)], foreman1=[(LEAVE, estimate)], foreman2=[(ENTER, estimate)])


def test_an_estimate_without_a_foreman(ears, estimate):
    ears.run(f"Estimate.objects.filter(pk={estimate}).update(foreman=None)")
    heard = ears.messages()
    assert [short(m) for m in heard["foreman1"]] == [(LEAVE, estimate)]
    assert heard["foreman2"] == []
    data = heard["manager"][0]["data"]
    assert (data["foreman_id"], data["foreman_name"]) == (None, None)
    ears.run(f"Estimate.objects.filter(pk={estimate}).update(status='Отклонена')")
    assert ears.heard() == only(manager=[(UPDATED, estimate)])
    ears.run(f"Estimate.objects.filter(pk={estimate}).update(foreman=foreman2)")
    assert ears.heard() == only(manager=[(UPDATED, estimate)], foreman2=[(ENTER, estimate)])


def test_delete_of_a_foreman(ears, estimate):
    ears.run(f"""
        third = User.objects.create_user("foreman3", role="foreman")
        Estimate.objects.filter(pk={estimate}).update(foreman=third)
    """)
    assert ears.heard() == only(manager=[(UPDATED, estimate)], foreman1=[(LEAVE, estimate)])
    ears.run("User.objects.get(username='foreman3').delete()")
    heard = ears.messages()
    assert [short(m) for m in heard["manager"]] == [(UPDATED, estimate)]
    assert heard["manager"][0]["data"]["foreman_id"] is None
    assert heard["foreman1"] == heard["foreman2"] == []


def test_a_project_belongs_to_the_foremen_at_work_there(ears, estimate):
    project = ears.run(f"result = Estimate.objects.get(pk={estimate}).project_id")
    rename = "p = Project.objects.get(pk=%d); p.name += '+'; p.save()" % project
    renamed = [("project.updated", project)]
    ears.run(rename)
    assert ears.heard() == only(manager=renamed, foreman1=renamed)
    ears.run(f"Estimate.objects.filter(pk={estimate}).update(foreman=foreman2)")
    ears.messages()
    ears.run(rename)
    assert ears.heard() == only(manager=renamed, foreman2=renamed)
    ears.run(f"Estimate.objects.filter(pk={estimate}).delete()")
    ears.messages()
    ears.run(rename)
    assert ears.heard() == only(manager=renamed)


# --- The application around it -----------------------------------------------------------------


def test_the_rest_api(site, ears, estimate):
    token = site.users["foreman2"]["token"]
    pk = ears.run(f"""
        project = Estimate.objects.get(pk={estimate}).project
        rest = APIClient(SERVER_NAME="localhost", HTTP_AUTHORIZATION="Token {token}")
        made = rest.post("/api/v1/estimates/", dict(number="REST", project=project.pk,
                                                    foreman=foreman1.pk), format="json")
        assert made.status_code == 201, made.content
        url = "/api/v1/estimates/%d/" % made.data["id"]
        assert rest.patch(url, dict(status="Отклонена"), format="json").status_code == 200
        assert rest.get("/api/v1/estimates/{estimate}/").status_code == 404
        seen = {{e["foreman_name"] for e in rest.get("/api/v1/estimates/").data["results"]}}
        assert seen == {{"foreman2"}}, seen
        assert rest.post("/api/v1/projects/", dict(name="x")).status_code == 403
        assert rest.delete(url).status_code == 204
        result = made.data["id"]
    """)
    life = [(CREATED, pk), (UPDATED, pk), (DELETED, pk)]
    assert ears.heard() == only(manager=life, foreman2=life)


def test_traffic_leaves_each_with_what_is_theirs(ears):
    """Whoever applies the events knows at the end what the database holds for them."""
    facts = """
        result = {e.pk: [e.number, e.foreman and e.foreman.username, e.status]
                  for e in Estimate.objects.select_related("foreman")}
    """
    before = ears.run(facts)
    ears.site.django.manage("traffic", "--rate", "10000", "--count", "250", "--random-seed", "7")
    after = ears.run(facts)
    heard = ears.messages()
    for who in WHO:
        known = {pk: row for pk, row in before.items() if who in ("manager", row[1])}
        for message in heard[who]:
            data = message["data"]
            if not message["event"].startswith("estimate."):
                continue
            pk = str(data["estimate_id"])
            if message["event"] == DELETED or message.get("scope") == "leave":
                del known[pk]
                continue
            assert (pk in known) == (message["event"] == UPDATED and "scope" not in message)
            known[pk] = [data["estimate_number"], data["foreman_name"], data["status"]]
        assert known == {pk: row for pk, row in after.items() if who in ("manager", row[1])}


def test_the_project_is_in_order(site):
    assert "No changes" in site.django.manage("makemigrations", "--check", "--dry-run")
    site.django.manage("check", "--fail-level", "WARNING")
    counts = "result = [m.objects.count() for m in (User, Project, Estimate, Token)]"
    before = site.django.run(counts)
    assert json.loads(site.django.manage("seed")) == site.users
    assert site.django.run(counts) == before


def test_the_application_knows_nothing_of_pgherald():
    sources = [PROJECT / "manage.py", *PROJECT.glob("api/**/*.py"),
               *PROJECT.glob("estimates/**/*.py")]
    assert len(sources) > 10
    for source in sources:
        text = source.read_text(encoding="utf-8").lower()
        assert not re.search(r"pgherald|listen\b|notify|trigger", text), source
