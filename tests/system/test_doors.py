# SPDX-License-Identifier: PostgreSQL
"""Doors of a route: JSON Web Tokens that other software made, everybody where a route says so, and
which of several doors decides. Rechecks are an hour apart: what closes a stream here is the
database's word, or the second in which its token ends."""

import base64
import json
import re
import subprocess
import sys
import time

import pytest
from conftest import Served, run_pgherald
from lib.daemon import EVENTS, Client, wait_until

jwt = pytest.importorskip("jwt", reason="no PyJWT")
pytest.importorskip("cryptography", reason="no cryptography")

from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402

SECRET = "a secret of more than thirty-two bytes"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
STRANGER = rsa.generate_private_key(65537, 2048)
DOORS = """
[role guest]
receives = all
events = project.*

[auth jwt]
preset = jwt
key_file = {dir}/secret
user_table = public.api_user

[auth issuer]
preset = jwt
key_file = {dir}/keys.json
issuer = https://issuer.example
audience = board
users = claims
role_claim = realm_access.roles
claims = azp=frontend

[auth board]
preset = none
role = guest

[route events]
path = /api/v1/sse/events/
auth = issuer, jwt, drf
[route board]
path = /board/
auth = issuer, jwt, drf, board
[route stats]
path = /api/v1/sse/stats/
kind = stats
auth = drf
"""


def pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)


def number(n, size):
    return base64.urlsafe_b64encode(n.to_bytes(size, "big")).rstrip(b"=").decode()


def jwk_set():
    n, p = RSA.public_key().public_numbers(), EC.public_key().public_numbers()
    x = ED.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return json.dumps({"keys": [
        {"kty": "RSA", "kid": "r", "use": "sig", "n": number(n.n, 256), "e": "AQAB"},
        {"kty": "EC", "kid": "e", "crv": "P-256", "x": number(p.x, 32), "y": number(p.y, 32)},
        {"kty": "OKP", "kid": "d", "crv": "Ed25519", "x": number(int.from_bytes(x, "big"), 32)},
        {"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQ", "e": "AQ"}]})


def ours(user=2, key=SECRET, alg="HS256", **claims):
    return jwt.encode({"sub": str(user), "exp": int(time.time()) + 3600} | claims, key, alg)


def theirs(key=RSA, alg="RS256", kid="r", **claims):
    return jwt.encode({"sub": "anna@example", "exp": int(time.time()) + 3600,
                       "iss": "https://issuer.example", "aud": ["account", "board"],
                       "azp": "frontend", "realm_access": {"roles": ["x", "manager"]}} | claims,
                      key, alg, headers={"kid": kid})


@pytest.fixture
def doors(install, tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "keys.json").write_text(jwk_set())
    install.conf.write_text(
        install.conf.read_text().replace("[database]\n", "[database]\nrecheck = 1h\n")
        + DOORS.replace("{dir}", str(tmp_path)))
    install.apply()
    served = Served(install, tmp_path)
    served.daemon.start().wait_ready()
    yield served
    served.daemon.kill()


def stream(served, token=None, path=EVENTS, scheme="Bearer", **headers):
    if token is not None:
        headers["Authorization"] = f"{scheme} {token}"
    return Client(served.daemon, None, path=path, headers=headers)


def status(served, token=None, **kw):
    client = stream(served, token, **kw)
    client.read_until(lambda: client.headers is not None, "an answer")
    client.close()
    return client.status


def estimate(served, foreman):
    return served.db.one("INSERT INTO api_estimate (number, project_id, foreman_id)"
                         " VALUES ('n', 10, %s) RETURNING id", (foreman,))


def test_user_of_the_table(doors):
    anna = stream(doors, ours(2)).hello()
    estimate(doors, 3)
    mine = estimate(doors, 2)
    anna.wait_message("estimate.created", estimate_id=mine)
    assert len(anna.messages()) == 1  # a foreman's own, as with a token of the database
    boss = stream(doors, ours(1)).hello()
    boss.wait_message("estimate.created", estimate_id=estimate(doors, 3))


@pytest.mark.parametrize("change, reason", [
    ("UPDATE api_user SET is_active = false WHERE id = 2", "user is not active any more"),
    ("DELETE FROM authtoken_token WHERE user_id = 2; DELETE FROM api_user WHERE id = 2",
     "user is not active any more"),
    ("UPDATE api_user SET role = 'nobody' WHERE id = 2", "role may not use this route any more"),
])
def test_user_of_the_table_is_out_at_once(doors, change, reason):
    anna = stream(doors, ours(2)).hello()
    size = doors.daemon.log_size()
    doors.db.run(change)
    anna.wait_end()
    doors.daemon.wait_log(reason, size)


def test_ends_on_the_second(doors):
    end = int(time.time()) + 3
    anna = stream(doors, ours(2, exp=end)).hello()
    board = stream(doors, theirs(exp=end), path="/board/").hello()
    size = doors.daemon.log_size()
    for client in (anna, board):
        client.wait_end()
        assert time.time() >= end
        assert [f for f in client.frames if f.id] != []
    doors.daemon.wait_log("token is not valid any more", size)
    assert status(doors, ours(2, exp=end)) == 401


def test_refused(doors):
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    confused = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"r"}').rstrip(b"=").decode()
    good = ours(2)
    _, payload, signature = good.split(".")
    bad = [
        ours(2, exp=int(time.time()) - 1),
        ours(2, nbf=int(time.time()) + 60),
        ours(2, key="another secret of more than 32 bytes!!"),
        ours(2, key=SECRET, alg="HS512"),
        ours(999),                                  # nobody
        ours("2 OR true"),                          # no key of that table
        ours("\x00"),
        jwt.encode({"sub": "2"}, SECRET, "HS256"),  # without an end
        f"{none}.{payload}.",
        f"{none}.{payload}.{signature}",
        f"{confused}.{payload}.{signature}",
        good[:-1],
        good + "A",
        good + "=",
        theirs(STRANGER),
        theirs(aud="account"),
        theirs(azp="another"),
        theirs(iss="https://issuer.example/"),
        theirs(kid="unknown"),
        theirs(sub=""),
        theirs(sub="x" * 256),
        theirs(sub="a\x00b"),
        theirs(sub=None),
    ]
    for token in bad:
        assert status(doors, token) == 401, token
    # a public key of theirs as a secret
    assert status(doors, jwt.algorithms.base64url_encode(pem(RSA)).decode()) == 401
    assert status(doors, theirs(realm_access={"roles": ["x"]})) == 403
    assert status(doors, theirs(realm_access={})) == 403
    assert status(doors, theirs(realm_access="manager")) == 403
    assert status(doors, good) == 200


@pytest.mark.parametrize("key, alg, kid", [(RSA, "RS256", "r"), (EC, "ES256", "e"), (ED, "EdDSA", "d")])
def test_user_of_the_claims(doors, key, alg, kid):
    boss = stream(doors, theirs(key, alg, kid)).hello()
    boss.wait_message("estimate.created", estimate_id=estimate(doors, 3))
    # nothing is in the database for that door
    assert doors.db.one("SELECT count(*) FROM pg_proc WHERE proname = 'auth_issuer'") == 0


def test_own_rows_by_a_claim(doors):
    anna = stream(doors, theirs(sub="2", realm_access={"roles": ["foreman"]})).hello()
    estimate(doors, 3)
    mine = estimate(doors, 2)
    anna.wait_message("estimate.created", estimate_id=mine)
    assert len(anna.messages()) == 1


def test_the_first_that_finds_one_decides(doors):
    assert status(doors, doors.anna, scheme="Token") == 200
    assert status(doors, doors.anna) == 200
    assert status(doors) == 401
    assert status(doors, path="/board/") == 200
    # a bad one is refused, and nobody becomes a guest by it
    for token in ("token-nobody", ours(2, exp=1), "a.b.c", ours(999)):
        assert status(doors, token, path="/board/") == 401, token
    for empty in ("Token ", "Token", "Bearer", "Token\tx"):  # a proxy may take the blank away
        assert status(doors, path="/board/", Authorization=empty) == 401, empty
    assert status(doors, path="/board/", Authorization="Basic eDp5") == 200  # the proxy's own


def test_in_the_url(doors):
    client = Client(doors.daemon, ours(2))
    client.hello()
    long_one = ours(2, padding="x" * 4000)
    assert status(doors, long_one) == 200
    assert status(doors, ours(2, padding="x" * 7000)) == 401  # longer than a token may be


def test_a_reload_that_closes_a_door(doors):
    """Whose route is gone, or no longer for his door or his role, does not stay; who is not concerned does."""
    def all_of():
        return {"jwt": stream(doors, ours(2), path="/board/").hello(),
                "drf": stream(doors, doors.anna, path="/board/", scheme="Token").hello(),
                "boss": stream(doors, doors.boss, path="/board/", scheme="Token").hello(),
                "guest": stream(doors, path="/board/").hello(),
                "elsewhere": stream(doors, ours(2)).hello()}
    board = "[route board]\npath = /board/\nauth = issuer, jwt, drf, board\n"
    text = doors.install.conf.read_text()
    for now, ended, why in (
            (board.replace("jwt, ", ""), {"jwt"}, "its route has another door now"),
            (board.replace(", board", ""), {"guest"}, "its route has another door now"),
            (board + "roles = manager, guest\n", {"jwt", "drf"}, "role may not use this route any more"),
            ("", {"jwt", "drf", "boss", "guest"}, "its route is gone")):
        clients = all_of()
        doors.install.conf.write_text(text.replace(board, now))
        size = doors.daemon.log_size()
        doors.daemon.signal(1)
        doors.daemon.wait_log("reloaded", size)
        for name in ended:
            clients[name].wait_end()
        doors.daemon.wait_log(re.escape(why), size)
        doors.db.run("UPDATE api_project SET name = name || '.' WHERE id = 10")
        mine = estimate(doors, 2)
        for name in set(clients) - ended:
            if name == "guest":
                clients[name].wait_message("project.updated", project_id=10)
            else:
                clients[name].wait_message("estimate.created", estimate_id=mine)
            clients[name].close()
        doors.install.conf.write_text(text)
        doors.daemon.signal(1)
        doors.daemon.wait_log("reloaded", size + 1)
        wait_until(lambda: status(doors, ours(2), path="/board/") == 200, "it is as it was")


def test_a_reload_that_makes_everybody_another(doors):
    """Who has come in without a credential hears what that role may, from the reload on."""
    guest = stream(doors, path="/board/").hello()
    text = doors.install.conf.read_text()
    doors.install.conf.write_text(text.replace("role = guest", "role = visitor").replace(
        "[role guest]", "[role visitor]\nreceives = all\nevents = estimate.*\n[role guest]"))
    size = doors.daemon.log_size()
    doors.daemon.signal(1)
    doors.daemon.wait_log("stream has another role", size)
    doors.db.run("UPDATE api_project SET name = 'Arch' WHERE id = 10")
    guest.wait_message("estimate.created", estimate_id=estimate(doors, 2))
    assert len(guest.messages()) == 1
    doors.configure("role = visitor", "role = guest")
    doors.configure("auth = issuer, jwt, drf, board", "auth = issuer, jwt, drf, board\nroles = manager, foreman, visitor")
    doors.daemon.signal(1)
    guest.wait_end()


def test_everybody_hears_what_the_role_may(doors):
    guests = [stream(doors, path="/board/").hello() for _ in range(3)]
    estimate(doors, 2)
    doors.db.run("UPDATE api_project SET name = 'Arch' WHERE id = 10")
    for guest in guests:
        guest.wait_message("project.updated", project_id=10)
        assert len(guest.messages()) == 1
    doors.daemon.wait_log("anonymous@127.0.0.1")
    doors.daemon.wait_log("warning +/board/ lets everybody in, as guest")
    assert "/api/v1/sse/events/ lets everybody in" not in doors.daemon.log()


def test_check_and_uninstall(doors):
    done = doors.install.sql("check")
    assert "error" not in done.stdout.lower(), done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    doors.install.apply("uninstall")
    assert doors.db.one("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%%pgherald%%'") == 0


def serve_says(served, text):
    served.daemon.stop()
    done = run_pgherald("-c", served.install.conf, "-t")
    size = served.daemon.log_size()
    served.daemon.start(wait=False).wait_end()
    assert text in served.daemon.log(size), (served.daemon.log(size), done.stderr)


def test_a_secret_that_everybody_may_read(doors, tmp_path):
    (tmp_path / "secret").chmod(0o644)
    serve_says(doors, "everybody may read it")


def test_a_secret_that_is_too_short(doors, tmp_path):
    (tmp_path / "secret").write_text("your-websocket-secret-key\n")
    serve_says(doors, "a secret for HS256 must have 32 bytes at least")


@pytest.mark.parametrize("sample", ["your-websocket-secret-key", "very-long-and-secure-secret-key", "secret"])
def test_a_sample_is_no_secret(tmp_path, sample):
    (tmp_path / "secret").write_text(sample + "\n")
    (tmp_path / "secret").chmod(0o600)
    done = run_pgherald("token", "jwt", "--key-file", tmp_path / "secret", "--user", "2")
    assert done.returncode == 1 and not done.stdout and "32 bytes at least" in done.stderr


def test_supabase_with_a_table(doors, tmp_path):
    """Whoever asks the table has it asked, also where the preset does not."""
    doors.daemon.stop()
    doors.configure("preset = jwt\nkey_file = " + str(tmp_path / "secret"),
                    "preset = supabase\nusers = table\nkey_file = " + str(tmp_path / "secret"))
    doors.install.apply()
    doors.daemon.start().wait_ready()
    theirs_of = {user: ours(user, aud="authenticated", role="authenticated") for user in (1, 2)}
    anna = stream(doors, theirs_of[2]).hello()
    assert status(doors, theirs_of[1]) == 200
    doors.db.run("UPDATE api_user SET is_active = false WHERE id = 2")
    anna.wait_end()
    assert status(doors, theirs_of[2]) == 401


def test_a_sample_of_documentation_starts_no_daemon(doors, tmp_path):
    (tmp_path / "secret").write_text("your-super-secret-jwt-token-with-at-least-32-characters-long\n")
    serve_says(doors, "this secret stands in somebody's documentation")


def test_another_key_at_a_reload(doors, tmp_path):
    (tmp_path / "keys.json").write_bytes(pem(STRANGER))
    size = doors.daemon.log_size()
    doors.daemon.signal(1)
    doors.daemon.wait_log("reloaded|configuration", size)
    assert status(doors, theirs(STRANGER)) == 200
    assert status(doors, theirs(RSA)) == 401


MINT = """
import sys, types
from django.conf import settings
settings.configure(SECRET_KEY=sys.argv[1], USE_TZ=True, INSTALLED_APPS=[], DATABASES={})
import django
django.setup()
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
user = types.SimpleNamespace(id=2, pk=2, is_active=True)
print(AccessToken.for_user(user))
print(RefreshToken.for_user(user))
"""


def test_simplejwt(doors, tmp_path):
    done = subprocess.run([sys.executable, "-c", MINT, SECRET], capture_output=True, text=True)
    if "No module named" in done.stderr:
        pytest.skip("no djangorestframework-simplejwt")
    assert done.returncode == 0, done.stderr
    access, refresh = done.stdout.split()
    doors.daemon.stop()
    doors.configure("preset = jwt\nkey_file = " + str(tmp_path / "secret"),
                    "preset = simplejwt\nkey_file = " + str(tmp_path / "secret"))
    doors.daemon.start().wait_ready()
    anna = stream(doors, access).hello()
    anna.wait_message("estimate.created", estimate_id=estimate(doors, 2))
    assert status(doors, refresh) == 401
    assert status(doors, ours(2)) == 401  # it has no user_id


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_token_says_is_no_log_line(doors, form):
    """Whoever signs names users and roles; whoever asks names channels and paths. A terminal and a reader of lines
    must not believe them."""
    evil = "x\r\n2026-01-01T00:00:00Z error hacked \x1b[31m\x85\u2028\u202e\u2066\x9b\"\\\u0001\x7f\udc80"
    doors.daemon.stop()
    doors.configure("[database]\n", f"[log]\nformat = {form}\n[database]\n")
    doors.daemon.start().wait_ready()
    mark = doors.daemon.log_size()
    stream(doors, theirs(sub=evil.replace("\udc80", ""))).hello().close()
    for claims in ({"sub": evil}, {"realm_access": {"roles": [evil]}}, {"azp": evil}, {"iss": evil}, {"sub": "x" * 5000}):
        client = stream(doors, theirs(**claims))
        client.read_until(lambda client=client: client.status, "an answer")
        client.close()
    for query in ("channels=%0Ahacked%E2%80%AE", "topics=%0D%0Ahacked", "token=%1B%5B31mhacked", "stream=%0Ahacked"):
        doors.daemon.get(EVENTS + "?" + query)
    doors.daemon.get("/%0Ahacked%E2%80%AE")
    doors.daemon.get(EVENTS, headers={"User-Agent": "hacked\u00ff", "X-Forwarded-For": "hacked", "Origin": "http://hacked"})
    doors.daemon.wait_log(r"SSE stream closed", mark)
    said = doors.daemon.log(mark)
    assert not set(said) & {*map(chr, (*range(10), *range(11, 32), *range(127, 160))), *"\u2028\u2029\u202e\u2066"}
    lines = said.splitlines()
    assert any("hacked" in line for line in lines)
    for line in lines:
        if form == "json":
            assert json.loads(line)["level"] != "error"
        else:
            assert not line.split()[2:3] == ["error"] and not line.startswith("2026-01-01"), line
