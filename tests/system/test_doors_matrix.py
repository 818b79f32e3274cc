# SPDX-License-Identifier: PostgreSQL
"""Every door over every transport, with credentials that foreign software has made: it opens, live and in replay;
what is forged is refused and falls through to no weaker door; it closes on the second its right ends, and when a right
is taken away nothing that was written with that, or behind it, comes. One daemon, one database, a user for each
door, and all streams at a time. Rechecks are an hour apart."""

import base64
import contextlib
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import selectors
import subprocess
import sys
import time

import pytest
from conftest import HEAD, HERE, Install, Served
from lib.daemon import PATIENCE_S, Answer, Client, Lines, Parser, wait_until
from lib.websocket import Messages

jwt = pytest.importorskip("jwt", reason="no PyJWT")
pytest.importorskip("cryptography", reason="no cryptography")
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: E402
from lib.issuer import Issuer  # noqa: E402

SECRET, DJANGO = "a secret of more than thirty-two bytes", "the SECRET_KEY of a project, fifty characters long"
RSA, STRANGER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
KNOX = "django-rest-knox==4.2.0"

# Each by its user: the row of [auth], and how a request brings the credential.
USERS = {"drf": 101, "knox": 102, "simplejwt": 103, "claims": 104, "keyfile": 105, "keytable": 106, "session": 107,
         "ticket": 108, "jwt": 109, "custom": 110, "supabase": 111, "jwks": 112}
CONF = HEAD.replace("[database]\n", "[database]\nrecheck = 1h\n").replace(
    "[server]\n", "[server]\nauth_failures = 0\nring_events = 4\n") + """
[watch estimate]
table  = public.api_estimate
owners = foreman_id
fields = estimate_id=id, number
[role guest]
receives = all
events = project.*
[auth knox]
preset = knox
user_table = public.api_user
[auth simplejwt]
preset = simplejwt
key_file = {dir}/secret
user_table = public.api_user
[auth jwt]
preset = jwt
key_file = {dir}/secret
user_table = public.api_user
[auth custom]
preset = custom
token_table = public.own_token
token_column = token
token_user = owner
token_expires = ends
user_table = public.api_user
[auth supabase]
preset = supabase
key_file = {dir}/secret
role_claim = app_metadata.role
[auth jwks]
preset = jwt
jwks_url = {url}
jwks_ca_file = {dir}/issuer-ca.pem
user_table = public.api_user
[auth claims]
preset = jwt
key_file = {dir}/public.pem
users = claims
[auth keyfile]
preset = apikey
key_file = {dir}/keys
users = claims
[auth keytable]
preset = apikey
token_expires = ends
user_table = public.api_user
[auth session]
preset = session
secret_key_file = {dir}/django
user_table = public.api_user
[auth ticket]
preset = ticket
[auth board]
preset = none
role = guest
[role visitor]
receives = all
[auth everybody]
preset = none
role = visitor
[route none]
path = /none/
auth = everybody
[route board]
path = /board/
auth = drf, board
[route give]
path = /give/
kind = ticket
opens = ticket
auth = jwt, drf
[route stats]
path = /api/v1/sse/stats/
kind = stats
auth = drf
""" + "".join(f"[route {door}]\npath = /{door}/\nauth = {door}, {'jwt, drf, ' if door == 'ticket' else ''}board\n"
              for door in USERS)

TABLES = """
ALTER TABLE api_user ADD password varchar(128) NOT NULL DEFAULT '';
CREATE TABLE knox_authtoken (digest varchar(128) PRIMARY KEY, token_key varchar(25), user_id bigint, expiry timestamptz);
CREATE TABLE api_key (hash text PRIMARY KEY, user_id bigint, ends timestamptz);
CREATE TABLE own_token (token text PRIMARY KEY, owner bigint, ends timestamptz);
CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text, expire_date timestamptz);
"""

# What the frameworks themselves make, in a process of theirs.
MINT = """
import json, sys, types
from django.conf import settings
settings.configure(SECRET_KEY=sys.argv[1], USE_TZ=True, DATABASES={}, SIMPLE_JWT={"SIGNING_KEY": sys.argv[2]},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions",
                    "rest_framework.authtoken"])
import django
django.setup()
from datetime import timedelta
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.utils.crypto import get_random_string
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
def session(user_id, password):
    user = User(id=user_id, password=password)
    return SessionStore().encode({"_auth_user_id": str(user_id), "_auth_user_hash": user.get_session_auth_hash(),
        "_auth_user_backend": "django.contrib.auth.backends.ModelBackend"})
password = make_password("pw")
him = types.SimpleNamespace(id=103, pk=103)
access = AccessToken.for_user(him)
access.set_exp(lifetime=timedelta(hours=1))
out = {"drf": Token.generate_key(), "password": password, "session_key": get_random_string(32),
       "session": session(107, password), "simplejwt": str(access), "refresh": str(RefreshToken.for_user(him))}
try:
    sys.path.insert(0, sys.argv[3])
    from knox.crypto import create_token_string, hash_token
    token = create_token_string()
    out["knox"] = (token, hash_token(token))
except ImportError:
    out["knox"] = None
print(json.dumps(out))
"""


def knox_directory():
    """Where Knox is, from PyPI; made once."""
    cache = os.path.abspath(os.environ.get("PGHERALD_CACHE", HERE.parents[1] / ".cache"))
    there = os.path.join(cache, KNOX.replace("==", "-"))
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        os.makedirs(cache, exist_ok=True)
        with open(there + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.isdir(there):
                subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--retries=1", "--timeout=15",
                                "--disable-pip-version-check", "--target", there, KNOX], capture_output=True, timeout=120)
    return there


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def key_header(token):
    return {"X-API-Key": token}


def cookie(token):
    return {"Cookie": f"sessionid={token}", "Origin": "http://test"}


class Matrix(Served):
    def __init__(self, install, directory):
        super().__init__(install, directory)
        self.dir, self.issuer = directory, Issuer(directory).add("one")
        done = subprocess.run([sys.executable, "-c", MINT, DJANGO, SECRET, knox_directory()], capture_output=True,
                              text=True, timeout=PATIENCE_S)
        if "No module named" in done.stderr:
            pytest.skip("no djangorestframework-simplejwt")
        assert done.returncode == 0, done.stderr
        self.made = json.loads(done.stdout)
        self.doors = [door for door in USERS if door != "knox" or self.made["knox"]]
        for name, text in (("secret", SECRET), ("django", DJANGO), ("keys", ""), ("public.pem", RSA.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode())):
            (directory / name).write_text(text + "\n")
            (directory / name).chmod(0o600)
        self.keys = {door: secrets.token_urlsafe(32) for door in ("keyfile", "keytable", "custom")}  # the standard library's

    def fill(self, ends=None):
        """Everybody's rights anew; those that end by themselves do at `ends`, in seconds since 1970."""
        end = "NULL" if ends is None else f"to_timestamp({ends})"
        some = "now() + interval '1 hour'" if ends is None else end
        text = "-" if ends is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
        hashed = {door: hashlib.sha256(key.encode()).hexdigest() for door, key in self.keys.items()}
        self.db.run("TRUNCATE authtoken_token, knox_authtoken, api_key, django_session, own_token;"
                    "DELETE FROM api_user WHERE id > 100;" + "".join(
                        f"INSERT INTO api_user (id, username, role, password) VALUES ({user}, '{door}', 'foreman',"
                        f" '{self.made['password']}');" for door, user in USERS.items())
                    + f"INSERT INTO authtoken_token VALUES ('{self.made['drf']}', now(), 101), ('token-boss', now(), 1);"
                      f"INSERT INTO own_token VALUES ('{self.keys['custom']}', 110, {end});"
                      f"INSERT INTO api_key VALUES ('{hashed['keytable']}', 106, {end});"
                      f"INSERT INTO django_session VALUES ('{self.made['session_key']}', '{self.made['session']}', {some});"
                    + (f"INSERT INTO knox_authtoken VALUES ('{self.made['knox'][1]}', 'x', 102, {some});"
                       if self.made["knox"] else ""))
        (self.dir / "keys").write_text(f"{self.keys['keyfile'][:8]} {hashed['keyfile']} 105 foreman {text}\n")
        if self.daemon.proc:
            size = self.daemon.log_size()
            self.daemon.signal(1)
            self.daemon.wait_log("configuration", size)
        self.ends = ends or time.time() + 3600

    def token(self, door, user=None, **claims):
        user = user or USERS[door]
        claims = {"sub": str(user), "exp": int(self.ends)} | claims
        if door == "jwks":
            return self.issuer.token(user=user, exp=int(self.ends))
        if door == "supabase":  # their access tokens: aud and role say no more than that somebody is logged in
            claims = {"aud": "authenticated", "role": "authenticated", "app_metadata": {"role": "foreman"}} | claims
        if door == "claims":
            return jwt.encode(claims | {"role": "foreman"}, RSA, "RS256")
        return jwt.encode(claims, SECRET, "HS256")

    def bring(self, door):
        """The headers of somebody with a right."""
        if door == "custom":
            return bearer(self.keys[door])
        if door in self.keys:
            return key_header(self.keys[door])
        if door == "session":
            return cookie(self.made["session_key"])
        if door == "ticket":
            return bearer(self.ticket())
        if door == "none":
            return {}
        return bearer({"drf": lambda: self.made["drf"], "knox": lambda: self.made["knox"][0],
                       "simplejwt": lambda: self.simplejwt(), 
                       **{name: lambda: self.token(door) for name in ("claims", "jwt", "supabase", "jwks")}}[door]())

    def simplejwt(self):
        """Theirs; of one that is to end soon they have signed the end that is asked for."""
        if self.ends - time.time() > 100:
            return self.made["simplejwt"]
        body = jwt.decode(self.made["simplejwt"], SECRET, ["HS256"])
        return jwt.encode(body | {"exp": int(self.ends)}, SECRET, "HS256")

    def ticket(self):
        c = http.client.HTTPConnection(*self.daemon.address, timeout=PATIENCE_S)
        c.request("POST", "/give/", headers=bearer(self.token("jwt", user=USERS["ticket"])))
        answer = c.getresponse()
        body = json.loads(answer.read())
        c.close()
        assert answer.status == 201, body
        return body["ticket"]

    def open(self, door, transport, headers=None, last_id=None):
        query, parser = {"sse": ("transport=sse", Parser), "ndjson": ("transport=ndjson", Lines),
                         "poll": ("transport=poll", Answer), "websocket": ("transport=websocket", Messages)}[transport]
        headers = dict(self.bring(door) if headers is None else headers)
        if transport == "websocket":
            headers["Origin"] = "http://test"
            if last_id:
                query += "&last_event_id=" + last_id
        client = Client(self.daemon, None, path=f"/{door}/", extra_query=query, headers=headers, parser=parser(),
                        last_id=None if transport == "websocket" else last_id)
        client.door = door
        return client

    def all(self, **more):
        return {(door, transport): self.open(door, transport, **more) for door in self.doors for transport in TRANSPORTS}

    def rows(self, number):
        """One for each user."""
        return "INSERT INTO api_estimate (number, project_id, foreman_id) VALUES " + ", ".join(
            f"('{number}', 10, {user})" for user in USERS.values())


TRANSPORTS = ("sse", "ndjson", "websocket", "poll")
MISSED = 300


def read(clients, done, patience=PATIENCE_S):
    """Reads all of them until done(client) of each; when each was."""
    when, end = {}, time.monotonic() + patience
    with selectors.DefaultSelector() as selector:
        for place, client in clients.items():
            selector.register(client, selectors.EVENT_READ, place)
        while True:
            for place, client in clients.items():
                if place not in when and (client.ended or done(client)):
                    when[place] = time.time()
                    selector.unregister(client)
            if len(when) == len(clients):
                return when
            assert time.monotonic() < end, (sorted(set(clients) - set(when)), clients[next(iter(clients))].daemon.log()[-3000:])
            for key, _ in selector.select(0.2):
                key.fileobj.read_some(PATIENCE_S)


def numbers(client):
    """Of what is his own; who has no name hears everybody's, of which one is enough."""
    heard = [f.json["data"]["number"] for f in client.frames
             if f.data and f.json.get("event", "").startswith("estimate.")]
    return list(dict.fromkeys(heard)) if client.door == "none" else heard


def finish(client):
    """Of an answer, what there is in it."""
    if isinstance(client.parser, Answer):
        client.frames, client.last_id = client.parser.finish()
    return client


def there(client):
    """Its head has come; and where that is told at once, who it is."""
    return client.status is not None and (client.status != 200 or isinstance(client.parser, Answer) or client.frames)


@pytest.fixture(scope="module")
def m(cluster, tmp_path_factory):
    directory = tmp_path_factory.mktemp("matrix")
    directory.chmod(0o755)
    db = cluster.create_database("app_template")
    db.run(TABLES)
    install = Install(db, directory)
    matrix = Matrix(install, directory)
    install.write(CONF.replace("{dir}", str(directory)).replace("{url}", matrix.issuer.url))
    matrix.fill()
    install.apply()
    matrix.daemon.start().wait_ready()
    matrix.daemon.wait_log("auth jwks: 1 keys from")
    yield matrix
    matrix.daemon.kill()
    matrix.issuer.close()
    db.drop()


def close(clients):
    for client in clients.values():
        client.close()


def write(m, number):
    """Rows that the daemon has read when it returns: a stream that opens afterwards is not told of them."""
    guest = {"guest": m.open("none", "sse")}
    read(guest, there)
    m.db.run(m.rows(number))
    read(guest, lambda c: number in numbers(c))
    close(guest)


def test_packages(m):
    if not m.made["knox"]:
        pytest.skip(f"no {KNOX} from PyPI: the door knox was left out")


def test_it_opens_live_and_in_replay(m):
    """The ring has less than one of these transactions: who was away is told from the journal."""
    m.fill()
    clients = m.all() | {("none", t): m.open("none", t) for t in TRANSPORTS}
    read(clients, there)
    assert {c.status for (_, t), c in clients.items() if t != "websocket"} == {200}
    assert {c.status for (_, t), c in clients.items() if t == "websocket"} == {101}
    # a poll may be asked for and not yet waiting: it has its row from the journal then
    m.db.run(m.rows("live"))
    read(clients, lambda c: numbers(c) == ["live"])
    assert {p: numbers(finish(c)) for p, c in clients.items()} == dict.fromkeys(clients, ["live"])
    ids = {place: client.last_id for place, client in clients.items()}
    close(clients)
    m.db.run(m.rows("away"))
    again = {place: m.open(*place, last_id=ids[place]) for place in clients}
    read(again, lambda c: "away" in numbers(c))
    assert {p: numbers(finish(c)) for p, c in again.items()} == dict.fromkeys(again, ["away"])
    close(again)


def forged(m, door):
    """Credentials that look like this door's."""
    flip = lambda t: t[:-2] + ("A" if t[-2] != "A" else "B") + t[-1]  # noqa: E731
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    if door in ("simplejwt", "jwt", "claims", "supabase", "jwks"):
        good = m.bring(door)["Authorization"].split()[1]
        head, body, signature = good.split(".")
        pem = (m.dir / "public.pem").read_bytes()
        confused = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode() + "." + body
        confused += "." + base64.urlsafe_b64encode(
            hmac.new(pem, confused.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
        claims = {"sub": str(USERS[door]), "user_id": USERS[door], "role": "foreman", "token_type": "access"}
        if door == "supabase":
            claims |= {"aud": "authenticated", "app_metadata": {"role": "foreman"}}
        late = claims | {"exp": int(time.time()) - 1}
        key, alg = ((RSA, "RS256") if door == "claims" else (m.issuer.keys["one"], "ES256") if door == "jwks"
                    else (SECRET, "HS256"))
        other = ec.generate_private_key(ec.SECP256R1())
        return [bearer(t) for t in (
            flip(good), f"{none}.{body}.", f"{none}.{body}.{signature}", f"{head}.{body}.", f"{head}.{body}", confused,
            jwt.encode(claims | {"exp": int(time.time()) + 60}, STRANGER, "RS256"),
            jwt.encode(claims | {"exp": int(time.time()) + 60}, SECRET + "!", "HS256"),
            jwt.encode(late, key, alg), jwt.encode(claims, key, alg),
            jwt.encode(claims | {"exp": int(time.time()) + 60, "nbf": int(time.time()) + 60}, key, alg),
            *([m.made["refresh"]] if door == "simplejwt" else []),
            *([m.issuer.token(user=112, key=other), jwt.encode(claims | {"exp": int(time.time()) + 60}, other, alg,
                                                               headers={"kid": "../one"})] if door == "jwks" else []),
            *([m.token("jwt", user=111), m.token("supabase", aud=["x"])] if door == "supabase" else []))]
    if door in m.keys and door != "custom":
        key = m.keys[door]
        return [key_header(t) for t in (flip(key), key + "A", key[:-1], key[:8], hashlib.sha256(key.encode()).hexdigest(),
                                        m.keys["keyfile" if door == "keytable" else "keytable"])]
    if door == "session":
        stolen = secrets.token_hex(16)
        m.db.run("INSERT INTO django_session VALUES (%s, %s, now() + interval '1 hour')",
                 (stolen, flip(m.made["session"])))
        return [cookie(t) for t in (flip(m.made["session_key"]), stolen, m.made["session_key"] + "x", m.made["drf"])]
    if door == "ticket":
        return [bearer(t) for t in ("pgt_" + secrets.token_urlsafe(32), flip(m.ticket()), m.ticket()[:-1])]
    good = m.keys[door] if door == "custom" else m.made["drf"] if door == "drf" else m.made["knox"][0]
    digest = [m.made["knox"][1]] if door == "knox" else [good.upper()] if good != good.upper() else []
    return [bearer(t) for t in (flip(good), good + "0", good[:-1], m.made["session_key"], *digest)]


def test_what_is_forged_is_refused_and_nobody_becomes_a_guest_by_it(m):
    m.fill()
    anonymous = {(door, t): m.open(door, t, headers={}) for door in m.doors for t in ("sse", "websocket")}
    read(anonymous, there)  # the weaker door is there
    assert {c.status for c in anonymous.values()} == {200, 101}
    position = anonymous[m.doors[0], "sse"].last_id  # a position is no right either
    close(anonymous)
    tried = {}
    for door in m.doors:
        for i, headers in enumerate(forged(m, door)):
            clients = {t: m.open(door, t, headers=headers, last_id=position if i % 2 else None) for t in TRANSPORTS}
            read(clients, lambda c: c.status is not None)
            tried |= {(door, i, t): c.status for t, c in clients.items()}
            close(clients)
    assert tried == dict.fromkeys(tried, 401)
    assert len(tried) > 100


def test_a_ticket_is_good_once_over_every_transport(m):
    m.fill()
    for transport in TRANSPORTS:
        headers = bearer(m.ticket())
        first = {transport: m.open("ticket", transport, headers=headers)}
        read(first, there)
        second = {transport: m.open("ticket", transport, headers=headers)}
        read(second, lambda c: c.status is not None)
        assert (first[transport].status in (101, 200), second[transport].status) == (True, 401), transport
        close(first | second)


def test_it_closes_on_the_second_its_right_ends(m):
    """Live, and with a position that has it told what was missed first."""
    before = {"before": m.open("none", "sse")}
    read(before, there)
    position = before["before"].last_id
    m.db.run(m.rows("missed"))
    read(before, numbers)
    close(before)
    m.fill(ends=int(time.time()) + 6)
    doors = [door for door in m.doors if door != "drf"]  # whose tokens do not end by themselves
    clients = {(door, t): m.open(door, t) for door in doors for t in TRANSPORTS}
    returned = {(door, t, "returned"): m.open(door, t, last_id=position) for door in doors for t in TRANSPORTS}
    read(clients | returned, there)
    assert {c.status for c in (clients | returned).values()} == {200, 101}
    read(returned, numbers)
    assert {p: numbers(finish(c)) for p, c in returned.items()} == dict.fromkeys(returned, ["missed"])
    # a poll that has missed something is answered at once
    when = read(clients | {p: c for p, c in returned.items() if p[1] != "poll"}, lambda c: False)
    late = {place: t - m.ends for place, t in when.items()}
    print("late by at most %.2f s" % max(late.values()))
    assert {p: s for p, s in late.items() if not -0.05 <= s < 2} == {}, late
    assert {p: numbers(c) for p, c in returned.items()} == dict.fromkeys(returned, ["missed"])
    close(returned)
    write(m, "late")
    again = {place: m.open(*place, headers=m.bring(place[0]) if place[0] != "ticket" else bearer("x"))
             for place in clients}
    read(again, lambda c: c.status is not None)
    assert {c.status for c in again.values()} == {401}
    assert not any("late" in numbers(finish(c)) for c in clients.values() if c.frames is not None)
    close(clients | again)


# Whose right the database, or a file, takes away; of a token with its rights in itself nobody can.
TAKEN = {
    "drf": "DELETE FROM authtoken_token WHERE user_id = 101",
    "knox": "UPDATE knox_authtoken SET expiry = now() WHERE user_id = 102",
    "simplejwt": "UPDATE api_user SET is_active = false WHERE id = 103",
    "keytable": "DELETE FROM api_key WHERE user_id = 106",
    "session": "DELETE FROM django_session",
    "ticket": "UPDATE api_user SET is_active = false WHERE id = 108",
    "jwt": "UPDATE api_user SET role = 'nobody' WHERE id = 109",
    "custom": "UPDATE own_token SET ends = now() WHERE owner = 110",
    "jwks": "UPDATE api_user SET is_active = false WHERE id = 112",
}


@pytest.mark.parametrize("order", ["before the row", "behind the row, in one transaction"])
def test_nothing_comes_after_a_right_is_taken_away(m, order):
    m.fill()
    doors = [door for door in TAKEN if door in m.doors]
    clients = {(door, t): m.open(door, t) for door in doors for t in TRANSPORTS}
    others = {("claims", t): m.open("claims", t) for t in TRANSPORTS}
    read(clients | others, there)
    headers = {door: m.bring(door) for door in doors}
    ids = {place: client.last_id for place, client in clients.items() if client.last_id}
    statements = [TAKEN[door] for door in doors]
    both = [*statements, m.rows("secret")] if order == "before the row" else [m.rows("secret"), *statements]
    m.db.run("; ".join(both))  # one text is one transaction
    read(others, lambda c: "secret" in numbers(c))
    assert {p: numbers(finish(c)) for p, c in others.items()} == dict.fromkeys(others, ["secret"])
    read(clients, lambda c: False)
    told = {p: numbers(finish(c)) for p, c in clients.items() if finish(c).frames}
    assert told == dict.fromkeys(told, [])
    back = {place: m.open(*place, headers=headers[place[0]], last_id=ids.get(place)) for place in clients}
    read(back, lambda c: c.status is not None)
    assert {p: c.status for p, c in back.items()} == {p: 403 if p[0] == "jwt" else 401 for p in back}
    close(clients | others | back)


@pytest.mark.parametrize("how", ["taken away", "by itself"])
def test_nothing_more_comes_of_what_was_missed(m, how):
    """The right ends while what was missed waits for a client that does not read: in the midst of the replay."""
    m.db.run("DELETE FROM api_estimate")
    write(m, "first")
    guest = {"guest": m.open("none", "sse")}
    read(guest, there)
    position = guest["guest"].last_id
    close(guest)
    for user in USERS.values():
        for begin in range(1, MISSED, 20):
            m.db.run(f"INSERT INTO api_estimate (number, project_id, foreman_id) SELECT g || repeat('.', 8000), 10, {user}"
                     f" FROM generate_series({begin}, {begin} + 19) AS g")
    write(m, "last")
    m.fill(ends=int(time.time()) + 20 if how == "by itself" else None)
    doors = [door for door in m.doors if (door in TAKEN if how == "taken away" else door != "drf")]
    clients = {(door, t): m.open(door, t, last_id=position) for door in doors for t in TRANSPORTS}
    read(clients, lambda c: b'"1...' in c.raw_body)
    assert {c.status for c in clients.values()} == {200, 101} and not any(c.ended for c in clients.values())
    size = m.daemon.log_size()
    if how == "taken away":
        m.db.run("; ".join(TAKEN[door] for door in doors))
    wait_until(lambda: m.daemon.streams("token-boss") == 0, "their streams are closed, though nobody reads")
    reasons = set(re.findall('stream closed.* reason="([^"]*)"', m.daemon.log(size)))
    assert reasons <= {"token is not valid any more", "user is not active any more", "role may not use this route any more"}
    write(m, "secret")
    read(clients, lambda c: False)
    for place, c in clients.items():
        told = [int(n) for n in re.findall(rb'"number" ?: ?"([0-9]+)[.]', c.raw_body)]
        assert told == list(range(1, len(told) + 1)) and 0 < len(told) < MISSED, place
        assert not re.search(rb'"number" ?: ?"(last|secret)', c.raw_body), place
    close(clients)
    m.db.run("DELETE FROM api_estimate")


def test_a_key_that_is_taken_out_of_the_file(m):
    m.fill()
    clients = {t: m.open("keyfile", t) for t in TRANSPORTS}
    read(clients, there)
    (m.dir / "keys").write_text("\n")
    m.daemon.signal(1)
    read(clients, lambda c: False)
    write(m, "secret")
    again = {t: m.open("keyfile", t) for t in TRANSPORTS}
    read(again, lambda c: c.status is not None)
    assert {c.status for c in again.values()} == {401}
    assert not any("secret" in numbers(finish(c)) for c in clients.values() if finish(c).frames)
    close(clients | again)
