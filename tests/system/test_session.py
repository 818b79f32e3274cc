# SPDX-License-Identifier: PostgreSQL
"""preset = session: Django's own sessions, logins and logouts open and close streams, on the
distribution's Django and on the newest LTS. Rechecks are an hour apart: only what the database says
can close a stream here."""

import json
import re
import signal
import textwrap
import time

import psycopg2
import pytest
from conftest import PGHERALD, run_pgherald
from lib.daemon import Client, Daemon, wait_until
from lib.django_env import PROJECT, PYTHONS, Django, Unavailable
from lib.names import call_columns_like_ours
from lib.websocket import Messages

WEB = "/web/events/"
LISTED = "http://127.0.0.1:8000"  # in the example's cors_origins

# Logs in as Django's login view does; a new session each time.
LOGIN = """
from django.test import Client as Browser
from django.contrib.sessions.models import Session
from django.contrib.sessions.backends.db import SessionStore
def login(user, password="pw"):
    browser = Browser()
    assert browser.login(username=user.username, password=password)
    return browser
def user(name):
    u, made = User.objects.get_or_create(username=name, defaults=dict(role="foreman"))
    u.role, u.is_active = "foreman", True
    u.set_password("pw")
    u.save()
    return u
"""


class Site:
    def __init__(self, python, cluster, directory):
        self.db = cluster.create_database()
        cluster.execute("DO $$ BEGIN CREATE ROLE estimates LOGIN;"
                        " EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        cluster.execute(f"ALTER DATABASE {self.db.name} OWNER TO estimates")
        self.django = Django(python, self.db)
        self.django.manage("migrate", "-v", "0")
        self.users = json.loads(self.django.manage("seed"))
        self.secret = self.django.run("from django.conf import settings; result = settings.SECRET_KEY")
        self.key_file = directory / "secret_key"
        self.write_keys(self.secret)
        self.conf = directory / "pgherald.conf"
        text = (PROJECT / "pgherald.conf").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^listen *=.*", "listen = 127.0.0.1:0", text)
        text = re.sub(r"(?m)^conninfo *=.*",
                      "recheck = 1h\nconninfo = " + self.db.conninfo("pgherald"), text)
        text += (f"\n[auth web]\npreset = session\nsecret_key_file = {self.key_file}\n"
                 f"user_table = public.api_user\n\n[route web]\npath = {WEB}\nauth = web\n")
        self.conf.write_text(text, encoding="utf-8")
        self.sql("install", "--apply")
        self.daemon = Daemon(PGHERALD, self.conf, directory / "daemon.log").start().wait_ready()

    def sql(self, *args):
        done = run_pgherald("sql", *args, "-c", self.conf, "--dsn", self.db.conninfo())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def write_keys(self, *keys):
        self.key_file.write_text("".join(key + "\n" for key in keys), encoding="utf-8")
        self.key_file.chmod(0o600)

    def run(self, code):
        return self.django.run(LOGIN + textwrap.dedent(code))

    def login(self, name="web", code=""):
        """The key of a new session of that user."""
        return self.run(f"browser = login(user({name!r}))\n{code}\n"
                        "result = browser.cookies['sessionid'].value")

    def stream(self, key, parser=None, **headers):
        return Client(self.daemon, None, path=WEB, parser=parser,
                      headers={"Cookie": f"csrftoken=x; sessionid={key}"} | headers)

    def status(self, key, **headers):
        client = self.stream(key, **headers)
        client.read_until(lambda: client.headers, "an answer")
        client.close()
        return client.status

    def rights_rows(self):
        return self.db.one("SELECT count(*) FROM pgherald.journal WHERE op = 'a'")

    def settle(self, client, key):
        """The login itself makes the daemon look again; that must be over, or it would notice by
        chance what comes next. Look-ups go in the order of asking."""
        pk = self.run("""
            p = Project.objects.create(name="p")
            result = Estimate.objects.create(number="n", project=p, creator=manager,
                                             foreman=User.objects.get(username="web")).pk
        """)
        client.wait_message("estimate.created", estimate_id=pk)
        assert self.status(key) == 200

    def closed_by(self, client, key, code, reason):
        """Runs the code; the stream must end for that reason. How soon is printed (pytest -rP)."""
        self.settle(client, key)
        size = self.daemon.log_size()
        self.run(code)
        began = time.monotonic()
        client.wait_end()
        print(f"closed {1000 * (time.monotonic() - began):.1f} ms after Django was done")
        self.daemon.wait_log(reason, size)

    def close(self):
        self.daemon.stop()
        self.django.close()
        self.db.drop()


@pytest.fixture(scope="module", params=PYTHONS)
def site(request, cluster, tmp_path_factory):
    try:
        python = PYTHONS[request.param]()
    except Unavailable as reason:
        pytest.skip(str(reason))
    s = Site(python, cluster, tmp_path_factory.mktemp("session"))
    try:
        yield s
    finally:
        s.close()


NOT_VALID = "token is not valid any more"


# --- In ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cart", ["", "session = browser.session; session['cart'] = 'x' * 5000;"
                                      " session.save()"], ids=["small", "deflated"])
def test_a_login_hears_its_own(site, cart):
    key = site.login("foreman1", cart)
    data = site.db.one(f"SELECT session_data FROM django_session WHERE session_key = '{key}'")
    assert data.startswith(".") or not cart
    client = site.stream(key).hello()
    first, second = site.run("""
        p = Project.objects.create(name="p")
        a = Estimate.objects.create(number="theirs", project=p, foreman=foreman2, creator=manager)
        b = Estimate.objects.create(number="mine", project=p, foreman=foreman1, creator=manager)
        result = [a.pk, b.pk]
    """)
    client.wait_message("estimate.created", estimate_id=second)
    assert [m["data"]["estimate_number"] for m in client.messages()] == ["mine"]
    back = Client(site.daemon, None, client.last_id, path=WEB,
                  headers={"Cookie": f"sessionid={key}"}).hello()
    site.run(f"Estimate.objects.filter(pk={second}).update(status='x')")
    back.wait_message("estimate.updated", estimate_id=second)
    client.close()
    back.close()


def test_cached_db(site):
    key = site.run("""
        from django.test import override_settings
        with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cached_db"):
            result = login(user("web")).cookies["sessionid"].value
    """)
    client = site.stream(key).hello()
    site.closed_by(client, key, f"""
        from django.contrib.sessions.backends.cached_db import SessionStore
        SessionStore({key!r}).flush()
    """, NOT_VALID)


def test_who_is_nobody(site):
    key = site.login()
    anonymous = site.run("s = SessionStore(); s['cart'] = 1; s.create(); result = s.session_key")
    assert site.status(key) == 200
    for other in (anonymous, key[:-1], key.upper(), "x" * 32, "", "' OR true --", "%s" % ("y" * 600)):
        assert site.status(other) == 401, other
    status, headers, body = site.daemon.get(WEB)
    assert (status, headers["WWW-Authenticate"]) == (401, "Cookie") and b"not logged in" in body
    # a session's key is no token, and a token is no session
    assert site.daemon.get(WEB, key)[0] == 401
    assert site.daemon.get(f"{WEB}?token={key}")[0] == 401
    assert site.daemon.get("/api/v1/sse/events/", headers={"Cookie": f"sessionid={key}"})[0] == 401
    assert site.daemon.get("/api/v1/sse/events/", key)[0] == 401
    assert site.status(site.users["manager"]["token"]) == 401
    Client(site.daemon, site.users["manager"]["token"]).hello().close()


def test_a_session_signed_elsewhere(site):
    key = site.run("""
        from django.test import override_settings
        with override_settings(SECRET_KEY="another"):
            result = login(user("web")).cookies["sessionid"].value
    """)
    size = site.daemon.log_size()
    assert site.status(key) == 401
    site.daemon.wait_log("auth web: the signature of a session fits no key", size)


# --- Out ---------------------------------------------------------------------------------------


ENDS = {
    "logout": ("browser = Browser(); browser.cookies['sessionid'] = {key!r}; browser.logout()",
               NOT_VALID),
    "row deleted": ("Session.objects.get(pk={key!r}).delete()", NOT_VALID),
    "row ended": ("import datetime; Session.objects.filter(pk={key!r}).update("
                  "expire_date=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))",
                  NOT_VALID),
    "emptied": ("s = SessionStore({key!r}); s.clear(); s.save()", NOT_VALID),
    "another user": ("s = SessionStore({key!r}); s['_auth_user_id'] = str(foreman1.pk); s.save()",
                     NOT_VALID),
    "password": ("u = User.objects.get(username='web'); u.set_password('new'); u.save()",
                 NOT_VALID),
    "deactivated": ("User.objects.filter(username='web').update(is_active=False)",
                    "user is not active any more"),
    "user deleted": ("User.objects.filter(username='web').delete()", "user is not active any more"),
    "role": ("User.objects.filter(username='web').update(role='visitor')",
             "role may not use this route"),
    "truncated": ("connection.cursor().execute('TRUNCATE django_session')", NOT_VALID),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_stream_ends_with(site, how):
    code, reason = ENDS[how]
    key, other = site.login(), site.login("bystander")
    client, bystander = site.stream(key).hello(), site.stream(other).hello()
    site.closed_by(client, key, code.format(key=key), reason)
    assert site.status(key) == (403 if how == "role" else 401)
    if how != "truncated":
        assert site.status(other) == 200
        assert not bystander.read_some(0)
    bystander.close()


def test_ones_own_new_password_keeps_the_session_that_set_it(site):
    """update_session_auth_hash() gives it another key and hash."""
    key = site.login()
    client = site.stream(key).hello()
    site.settle(client, key)
    new = site.run(f"""
        from django.contrib.auth import update_session_auth_hash
        from django.http import HttpRequest
        u = User.objects.get(username="web")
        u.set_password("new")
        u.save()
        request = HttpRequest()
        request.session, request.user = SessionStore({key!r}), u
        update_session_auth_hash(request, u)
        request.session.save()
        result = request.session.session_key
    """)
    client.wait_end()
    assert (site.status(key), site.status(new)) == (401, 200)


def test_another_role(site):
    key = site.login()
    client = site.stream(key).hello()
    size = site.daemon.log_size()
    site.run("User.objects.filter(username='web').update(role='manager')")
    site.daemon.wait_log("another role .*role=manager", size)
    pk = site.run("result = Project.objects.create(name='for managers').pk")
    client.wait_message("project.created", project_id=pk)
    client.close()


def test_it_ends_when_its_time_is_over(site):
    """No trigger fires then. One that is used meanwhile lives on."""
    code = """
        import datetime
        from django.utils import timezone
        for key in {keys}:
            Session.objects.filter(pk=key).update(
                expire_date=timezone.now() + datetime.timedelta(seconds={seconds}))
    """
    dying, used = site.login(), site.login("bystander")
    site.run(code.format(keys=[dying, used], seconds=6))
    clients = [site.stream(dying).hello(), site.stream(used).hello()]
    site.run(code.format(keys=[used], seconds=3600))
    size = site.daemon.log_size()
    clients[0].wait_end()
    site.daemon.wait_log(NOT_VALID, size)
    assert (site.status(dying), site.status(used)) == (401, 200)
    while clients[1].read_some(0):  # that it was about to end it may have been told
        assert not clients[1].ended
    clients[1].close()


def test_what_costs_nothing(site):
    """A save without a change, as SESSION_SAVE_EVERY_REQUEST does, a login, an old session swept up."""
    key = site.login()
    client = site.stream(key).hello()
    before = site.rights_rows()
    site.run(f"""
        import datetime
        from unittest import mock
        s = SessionStore({key!r})
        rows = {{Session.objects.get(pk={key!r}).session_data}}
        for second in (1, 2):
            with mock.patch("django.core.signing.time.time", return_value=2e9 + second):
                s.save()
            rows.add(Session.objects.get(pk={key!r}).session_data)
        assert len(rows) == 3
        Session.objects.create(session_key="dead" * 8, session_data="x", expire_date=datetime.datetime(
            2020, 1, 1, tzinfo=datetime.timezone.utc))
        User.objects.get(username="web").save()
    """)
    assert site.rights_rows() == before
    site.django.manage("clearsessions")
    assert site.db.one("SELECT count(*) FROM django_session WHERE session_key LIKE 'dead%'") == 0
    assert site.rights_rows() == before
    site.run(f"s = SessionStore({key!r}); s['cart'] = 1; s.save()")  # looked up again, and still there
    assert site.rights_rows() == before + 1
    site.settle(client, key)
    client.close()


# --- Whose page --------------------------------------------------------------------------------


def test_pages_with_a_websocket(site):
    """No preflight and no CORS stand before a WebSocket, and the cookie comes along."""
    key = site.login()

    def ask(**headers):
        client = site.stream(key, parser=Messages(), **headers)
        client.read_until(lambda: client.headers, "an answer")
        client.close()
        return client.status

    assert [ask(**({"Origin": o} if o else {})) for o in
            (None, "https://test", LISTED, "https://evil.example", "null", "https://test.evil.example")] == \
        [101, 101, 101, 403, 403, 403]


def test_pages(site):
    key = site.login()
    address = "%s:%d" % site.daemon.address

    def ask(**headers):
        client = site.stream(key, **{k.replace("_", "-"): v for k, v in headers.items()})
        client.read_until(lambda: client.headers, "an answer")
        client.close()
        return client.status, client.headers["Access-Control-Allow-Origin"], \
            client.headers["Access-Control-Allow-Credentials"]

    assert ask() == (200, None, None)
    assert ask(Origin="https://test") == (200, None, None)  # the Host of these clients
    assert ask(Origin=LISTED) == (200, LISTED, "true")
    assert ask(Sec_Fetch_Site="same-origin") == (200, None, None)
    assert ask(Origin="https://evil.example") == (403, None, None)
    assert ask(Origin="null") == (403, None, None)
    assert ask(Origin="http://" + address) == (403, None, None)
    assert ask(Sec_Fetch_Site="same-site") == (403, None, None)
    assert ask(Sec_Fetch_Site="cross-site") == (403, None, None)
    # a listed page is told that it is not logged in
    status, headers, _ = site.daemon.get(WEB, headers={"Origin": LISTED})
    assert (status, headers["Access-Control-Allow-Credentials"]) == (401, "true")
    status, headers, _ = site.daemon.request("OPTIONS", WEB, {"Origin": LISTED})
    assert (status, headers["Access-Control-Allow-Credentials"]) == (204, "true")
    status, headers, _ = site.daemon.request("OPTIONS", WEB, {"Origin": "https://evil.example"})
    assert headers["Access-Control-Allow-Credentials"] is None


def test_a_star_is_nobody(site):
    text = site.conf.read_text(encoding="utf-8")
    key = site.login()
    star = site.daemon.log_size()
    site.conf.write_text(text.replace(f"cors_origins = {LISTED}", "cors_origins = *"))
    site.daemon.signal(signal.SIGHUP)
    site.daemon.wait_log("configuration reloaded", star)
    try:
        assert wait_until(lambda: site.status(key, Origin=LISTED) == 403, "the new configuration")
        status, headers, _ = site.daemon.get(WEB, headers={"Origin": LISTED})
        assert status == 403 and headers["Access-Control-Allow-Credentials"] is None
    finally:
        back = site.daemon.log_size()
        site.conf.write_text(text)
        site.daemon.signal(signal.SIGHUP)
        site.daemon.wait_log("configuration reloaded", back)


# --- Keys --------------------------------------------------------------------------------------


def test_key_rotation(site):
    key = site.login()

    def reload(*keys):
        size = site.daemon.log_size()
        site.write_keys(*keys)
        site.daemon.signal(signal.SIGHUP)
        site.daemon.wait_log("configuration reloaded", size)

    try:
        reload("the next one", site.secret)
        assert site.status(key) == 200
        open_one = site.stream(key).hello()
        reload("the next one")  # whoever signed with the one before is out at once
        open_one.wait_end()
        assert site.status(key) == 401
        size = site.daemon.log_size()
        site.key_file.write_text("")
        site.daemon.signal(signal.SIGHUP)
        site.daemon.wait_log("not reloaded, .*: no key in it", size)
    finally:
        reload(site.secret)
    assert site.status(key) == 200
    assert site.secret not in site.daemon.log()


def test_the_configuration_is_checked(site, tmp_path):
    def check():
        done = run_pgherald("-t", "-c", site.conf)
        return done.returncode, done.stderr

    assert check() == (0, "")
    keys = site.key_file.read_text()
    try:
        site.key_file.chmod(0o644)
        status, said = check()
        assert status == 1 and f"{site.conf}: [auth web] secret_key_file: {site.key_file}: " in said
        assert "everybody may read it" in said
        site.key_file.unlink()
        status, said = check()
        assert status == 1 and "No such file or directory" in said
        site.sql("check")  # who installs needs no key
    finally:
        site.write_keys(*keys.split())


# --- What the database shows -------------------------------------------------------------------


def test_neither_side_shows_its_secret(site):
    key = site.login()
    site.stream(key).hello().close()
    site.run(f"SessionStore({key!r}).flush()")
    other = site.login()
    site.run(f"s = SessionStore({other!r}); s['x'] = 1; s.save()")
    rows = site.db.one("SELECT string_agg(j::text, ' ') FROM pgherald.journal AS j")
    assert "session:" in rows and key not in rows and other not in rows and "pbkdf2" not in rows
    daemon = psycopg2.connect(site.db.conninfo("pgherald"))
    daemon.autocommit = True
    with daemon.cursor() as cursor:
        for sql in ("SELECT password FROM api_user", "SELECT session_key FROM django_session",
                    "SELECT session_data FROM django_session"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(sql)
        cursor.execute("SELECT * FROM pgherald.session_web(%s, '{\"\"}', '{\"\"}')",
                       ([str(site.users["manager"]["id"]), "no number", "99999999999999999999"],))
        rows = cursor.fetchall()
    daemon.close()
    assert len(rows) == 1 and "pbkdf2" not in str(rows)


def test_check_and_uninstall(site):
    assert "clean" in site.sql("check")
    site.db.run("DROP TRIGGER zz_pgherald_auth_web_d ON django_session")
    done = run_pgherald("sql", "check", "-c", site.conf, "--dsn", site.db.conninfo())
    assert done.returncode == 1 and "zz_pgherald_auth_web_d" in done.stdout
    site.sql("upgrade", "--apply")
    site.sql("install", "--apply")
    assert "clean" in site.sql("check")


def test_another_preset_on_the_same_section(site):
    """Its function has another result: install replaces it."""
    text = site.conf.read_text(encoding="utf-8")
    try:
        site.conf.write_text(text.replace("preset = session\nsecret_key_file", "preset = drf\n#"))
        site.sql("install", "--apply")
    finally:
        site.conf.write_text(text)
        site.sql("install", "--apply")
    assert site.status(site.login()) == 200


@pytest.mark.parametrize("kind", ["text", "jsonb"])
def test_columns_with_our_names_change_nothing(site, kind):
    """The session that ends is named, and not everybody looked up again."""
    table = "django_session"
    there = site.db.run("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", [table])
    call_columns_like_ours(site.db, kind, table)
    try:
        for how in ("logout", "row ended", "emptied"):
            code, reason = ENDS[how]
            key = site.login()
            client = site.stream(key).hello()
            site.settle(client, key)
            before = site.db.one("SELECT max(id) FROM pgherald.journal")
            site.closed_by(client, key, code.format(key=key), reason)
            whose = site.db.run("SELECT own_old FROM pgherald.journal WHERE op = 'a' AND id > %s", [before])
            assert whose and all(owners and owners[0].startswith("session:") for (owners,) in whose), (how, whose)
    finally:
        new = {name for (name,) in site.db.run("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass "
                                               "AND attnum > 0 AND NOT attisdropped", [table])}
        site.db.run(f"ALTER TABLE {table} " + ", ".join(f'DROP "{n}"' for n in new - {n for (n,) in there}))
