# SPDX-License-Identifier: PostgreSQL
"""API keys from a file and from a table, where doors look for credentials, and what `pgherald token`
makes. Rechecks are an hour apart: what closes a stream here is a reload, the database's word, or the
second in which its key ends."""

import hashlib
import http.client
import secrets
import subprocess
import time
from contextlib import closing

import pytest
from conftest import PGHERALD, Served, run_pgherald
from lib.daemon import EVENTS, Client
from lib.websocket import WebSocket

TABLE = """
CREATE TABLE api_key (hash text PRIMARY KEY, user_id bigint NOT NULL REFERENCES api_user,
  ends timestamptz, channels text[]);
"""
DOORS = """
[auth robots]
preset = apikey
key_file = {dir}/robots
users = claims
places = header:X-API-Key, authorization, query:api_key, cookie:robot, protocol

[auth people]
preset = apikey
key_file = {dir}/people
user_table = public.api_user

[auth stored]
preset = apikey
token_expires = ends
token_channels = channels
user_table = public.api_user
places = header:X-Stored-Key

[auth board]
preset = none
role = manager

[route events]
path = /api/v1/sse/events/
auth = robots, people, stored, drf
[route open]
path = /open/
auth = robots, board
[route strict]
path = /strict/
auth = robots
query_token = no
[route stats]
path = /api/v1/sse/stats/
kind = stats
auth = drf
"""


def token(*args, stdin=None):
    done = subprocess.run([PGHERALD, "token", *map(str, args)], input=stdin, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class Keys:
    """A file of keys, which is written anew for each change."""

    def __init__(self, path):
        self.path, self.lines = path, {}

    def add(self, *args):
        line, key = token("key", *args)
        self.lines[key] = line
        self.write()
        return key

    def write(self):
        self.path.write_text("# keys\n" + "".join(line + "\n" for line in self.lines.values()))
        self.path.chmod(0o600)


@pytest.fixture
def doors(install, tmp_path):
    install.db.run(TABLE)
    served = Served(install, tmp_path)
    served.robots, served.people = Keys(tmp_path / "robots"), Keys(tmp_path / "people")
    served.robot = served.robots.add("--user", "importer", "--role", "manager", "--comment", "at night")
    served.anna_key = served.people.add("--user", 2)
    install.conf.write_text(
        install.conf.read_text().replace("[database]\n", "[database]\nrecheck = 1h\n")
        + DOORS.replace("{dir}", str(tmp_path)))
    install.apply()
    served.daemon.start().wait_ready()
    yield served
    served.daemon.kill()


def stream(served, key=None, path=EVENTS, **headers):
    if key is not None:
        headers["X-API-Key"] = key
    return Client(served.daemon, None, path=path, headers=headers)


def status(served, key=None, **kw):
    client = stream(served, key, **kw)
    client.read_until(lambda: client.headers is not None, "an answer")
    client.close()
    return client.status


def estimate(served, foreman):
    return served.db.one("INSERT INTO api_estimate (number, project_id, foreman_id)"
                         " VALUES ('n', 10, %s) RETURNING id", (foreman,))


def store(served, user, ends=None, channels=None):
    """A key in the table, hashed by Python."""
    key = secrets.token_urlsafe(32)
    served.db.run("INSERT INTO api_key VALUES (%s, %s, %s, %s)",
                  (hashlib.sha256(key.encode()).hexdigest(), user, ends, channels))
    return key


def reload(served):
    size = served.daemon.log_size()
    served.daemon.signal(1)
    served.daemon.wait_log("reloaded", size)
    return size


def test_role_of_the_file(doors):
    robot = stream(doors, doors.robot).hello()
    robot.wait_message("estimate.created", estimate_id=estimate(doors, 3))
    doors.daemon.wait_log("stream opened.*user=importer.*key=" + doors.robot[:12])
    assert doors.robot[13:] not in doors.daemon.log()


def test_user_of_the_table(doors):
    anna = stream(doors, None, Authorization="Api-Key " + doors.anna_key).hello()
    estimate(doors, 3)
    mine = estimate(doors, 2)
    anna.wait_message("estimate.created", estimate_id=mine)
    assert len(anna.messages()) == 1
    size = doors.daemon.log_size()
    doors.db.run("UPDATE api_user SET is_active = false WHERE id = 2")
    anna.wait_end()
    doors.daemon.wait_log("user is not active any more", size)


def test_where_it_stands(doors):
    good, path = doors.robot, "/strict/"
    for headers in ({"X-API-Key": good}, {"x-api-key": good}, {"Authorization": "Api-Key " + good},
                    {"Authorization": "Bearer " + good}, {"Cookie": "robot=" + good},
                    {"Sec-WebSocket-Protocol": "pgherald, bearer." + good},
                    {"Sec-WebSocket-Protocol": "pgherald", "sec-websocket-protocol": "bearer." + good}):
        assert status(doors, path=path, **headers) == 200, headers
    page = WebSocket(doors.daemon, None, path=path, headers={"Sec-WebSocket-Protocol": "pgherald, bearer." + good})
    assert page.hello().headers["Sec-WebSocket-Protocol"] == "pgherald"  # and never the key
    assert status(doors, path=f"/open/?api_key={good}") == 200
    assert status(doors, path=f"/strict/?api_key={good}") == 401  # query_token = no
    assert status(doors, path=f"/open/?token={good}") == 400      # no door of it looks there
    assert status(doors, path=f"/open/?api_key={good}&api_key={good}") == 400
    assert status(doors, path=f"{EVENTS}?api_key={good}&token={doors.anna}") == 400
    for headers in ({"X-Key": good}, {"Authorization": "Basic " + good}, {"Cookie": "robots=" + good},
                    {"Sec-WebSocket-Protocol": good}, {}):
        assert status(doors, path=path, **headers) == 401, headers


def test_a_cookie_is_for_pages_of_this_host(doors):
    cookie = {"Cookie": "robot=" + doors.robot, "path": "/strict/"}
    assert status(doors, Origin="https://evil.example", **cookie) == 403
    assert status(doors, **{"Sec-Fetch-Site": "cross-site"}, **cookie) == 403
    assert status(doors, **{"Sec-Fetch-Site": "same-origin"}, **cookie) == 200


def test_a_bad_one_falls_through_to_no_door(doors):
    nearly = doors.robot[:-1] + ("A" if doors.robot[-1] != "A" else "B")
    for headers in ({"X-API-Key": nearly}, {"X-API-Key": "x" * 43}, {"X-API-Key": ""},
                    {"Authorization": "Bearer " + nearly}, {"Cookie": "robot=nobody"},
                    {"Sec-WebSocket-Protocol": "pgherald, bearer."}, {"Sec-WebSocket-Protocol": "bearer." + nearly},
                    {"Sec-WebSocket-Protocol": "pgherald", "sec-websocket-protocol": "bearer." + nearly},
                    {"X-API-Key": nearly, "Authorization": "Bearer " + doors.robot},
                    {"X-API-Key": doors.robots.lines[doors.robot].split()[1]}):  # its hash
        assert status(doors, path="/open/", **headers) == 401, headers
    c = http.client.HTTPConnection(*doors.daemon.address, timeout=60)
    c.putrequest("GET", "/open/")
    for name in ("X-API-Key", "x-api-key"):  # two servers could read another one of these
        c.putheader(name, doors.robot)
    c.endheaders()
    assert c.getresponse().status == 401
    c.close()
    assert status(doors, path="/open/") == 200
    # the scheme of keys is for no other door
    assert status(doors, Authorization="Token " + doors.anna) == 200
    assert status(doors, Authorization="Api-Key " + doors.anna) == 401


def test_ends_on_the_second(doors):
    key = doors.robots.add("--user", "short", "--role", "manager", "--expires", "4s")
    reload(doors)
    client = stream(doors, key).hello()
    end = int(time.time())
    size = doors.daemon.log_size()
    client.wait_end()
    assert end < time.time() <= end + 10
    doors.daemon.wait_log("token is not valid any more", size)
    assert status(doors, key) == 401


def test_taken_out_of_the_file(doors):
    robot, anna = stream(doors, doors.robot).hello(), stream(doors, doors.anna_key).hello()
    del doors.robots.lines[doors.robot]
    doors.robots.write()
    size = reload(doors)
    robot.wait_end()
    doors.daemon.wait_log("token is not valid any more", size)
    anna.wait_message("estimate.created", estimate_id=estimate(doors, 2))  # the others go on
    assert status(doors, doors.robot, path="/strict/") == 401


@pytest.mark.parametrize("broken, why", [
    ("pgh_1 abc 2 - -", "line 1 has no SHA-256"),
    ("pgh_1 " + "0" * 64 + " x nobody -", "needs the name of a .role."),
    ("pgh_1 " + "0" * 64 + " x - -", "needs the name of a .role."),
    (None, "everybody may read it"),
])
def test_a_file_that_is_no_good_changes_nothing(doors, broken, why):
    robot = stream(doors, doors.robot).hello()
    if broken:
        doors.robots.path.write_text(broken + "\n")
    else:
        doors.robots.path.chmod(0o644)
    size = doors.daemon.log_size()
    doors.daemon.signal(1)
    doors.daemon.wait_log("not reloaded.*" + why, size)
    done = run_pgherald("-c", doors.install.conf, "-t")
    assert done.returncode == 1 and "[auth robots] key_file" in done.stderr, done.stderr
    robot.wait_message("estimate.created", estimate_id=estimate(doors, 3))


def test_of_the_table(doors):
    key = store(doors, 2)
    stored = {"X-Stored-Key": key}
    anna = stream(doors, **stored).hello()
    anna.wait_message("estimate.created", estimate_id=estimate(doors, 2))
    boris = stream(doors, **{"X-Stored-Key": store(doors, 3)}).hello()
    assert status(doors, **{"X-Stored-Key": hashlib.sha256(key.encode()).hexdigest()}) == 401
    size = doors.daemon.log_size()
    doors.db.run("DELETE FROM api_key WHERE user_id = 2")
    anna.wait_end()
    doors.daemon.wait_log("token is not valid any more", size)
    boris.wait_message("estimate.created", estimate_id=estimate(doors, 3))
    # one that ends, and one whose end is moved to now
    end = time.time() + 3
    late = stream(doors, **{"X-Stored-Key": store(doors, 1, time.strftime("%FT%TZ", time.gmtime(end)))}).hello()
    doors.db.run("UPDATE api_key SET ends = now() WHERE user_id = 3")
    boris.wait_end()
    late.wait_end()
    assert time.time() > end - 1
    assert doors.install.sql("check").returncode == 0


def test_a_key_that_stands_there_twice(doors):
    """A table of somebody's without a key of its own: nobody else suffers, whoever is asked about together."""
    doors.db.run("ALTER TABLE api_key DROP CONSTRAINT api_key_pkey, ALTER hash DROP NOT NULL")
    hers, twice, both, limited, his = (store(doors, user) for user in (2, 2, 2, 2, 3))
    again = "INSERT INTO api_key SELECT hash, {}, {}, {} FROM api_key WHERE hash = %s LIMIT 1"
    def hash_of(key):
        return hashlib.sha256(key.encode()).hexdigest()
    doors.db.run(again.format("user_id", "now() + interval '1 h'", "channels"), (hash_of(twice),))
    doors.db.run(again.format("3", "ends", "channels"), (hash_of(both),))
    doors.db.run(again.format("user_id", "ends", "'{news}'"), (hash_of(limited),))
    doors.db.run("INSERT INTO api_key VALUES (NULL, 2), (NULL, 3)")
    with closing(doors.db.connect(autocommit=False)) as other, other.cursor() as c:
        c.execute("LOCK TABLE api_key")  # they wait, and are asked about in one statement
        asked = {key: stream(doors, **{"X-Stored-Key": key}) for key in (hers, twice, both, limited, his)}
        doors.daemon.wait_log("auth stored: a table is locked")
        other.rollback()
    for client in asked.values():
        client.read_until(lambda: client.headers is not None, "an answer")
    assert [client.status for client in asked.values()] == [200, 200, 401, 401, 200]
    doors.daemon.wait_log("auth stored: a credential, or its user, stands in a table more than once")
    e = estimate(doors, 2)
    asked[twice].wait_message("estimate.created", estimate_id=e)
    doors.db.run("DELETE FROM api_key WHERE hash = %s AND ends IS NULL", (hash_of(twice),))  # one that ends is left
    asked[twice].wait_message("estimate.created", estimate_id=estimate(doors, 2))
    doors.db.run("DELETE FROM api_key WHERE hash = %s", (hash_of(twice),))
    asked[twice].wait_end()
    asked[hers].wait_message("estimate.created", estimate_id=estimate(doors, 2))
    asked[his].wait_message("estimate.created", estimate_id=estimate(doors, 3))
    assert status(doors, **{"X-Stored-Key": ""}) == 401


def test_channels_of_the_table(doors):
    """Heard without being asked for, and no others; what is no list of them is refused; a change reaches who is there."""
    doors.configure("receives = own\n", "receives = own\nchannels = *\n")
    doors.configure("[database]\n", "[publish]\nroles = app\n[database]\n")
    doors.install.apply()
    reload(doors)
    def publish(channel, what):
        doors.db.run("SELECT pgherald.publish(%s, 'said', %s::jsonb)", (channel, f'{{"n": "{what}"}}'))
    def heard(client):
        return [m["data"]["n"] for m in client.messages() if m["event"] == "said"]
    def hash_of(key):
        return hashlib.sha256(key.encode()).hexdigest()
    limited, free, none = store(doors, 2, None, ["news", "team.*"]), store(doors, 2), store(doors, 2, None, [])
    def query(channel):
        return EVENTS + "?channels=" + channel
    assert status(doors, path=query("other"), **{"X-Stored-Key": limited}) == 403
    assert status(doors, path=query("news"), **{"X-Stored-Key": none}) == 403
    assert status(doors, path=query("other"), **{"X-Stored-Key": free}) == 200
    client = stream(doors, path=query("team.1"), **{"X-Stored-Key": limited}).hello()
    publish("news", 1)
    publish("other", 2)
    publish("team.1", 3)
    client.read_until(lambda: heard(client) == ["1", "3"], "both")
    doors.db.run("UPDATE api_key SET channels = '{other,team.*}' WHERE hash = %s", (hash_of(limited),))
    publish("news", 4)
    publish("other", 5)
    publish("team.1", 6)
    client.read_until(lambda: "6" in heard(client), "the last one")
    assert heard(client) == ["1", "3", "5", "6"]
    doors.daemon.wait_log("stream has other channels")
    # a change that takes away what the client has asked for ends it, as one of the role does
    doors.db.run("UPDATE api_key SET channels = '{other}' WHERE hash = %s", (hash_of(limited),))
    client.wait_end()
    doors.daemon.wait_log("credential may not hear its channels any more")
    size = doors.daemon.log_size()
    for bad in (["a b/c"], ["*x"], ["x" * 200], [f"c{i}" for i in range(33)], ["\u00e9"]):
        assert status(doors, **{"X-Stored-Key": store(doors, 3, None, bad)}) == 401, bad
    doors.daemon.wait_log("auth stored: the channels of a token of user 3 are no list of at most 32 names", size)
    assert stream(doors, **{"X-Stored-Key": free}).hello()
    # the same as a text with commas
    doors.db.run("ALTER TABLE api_key ALTER channels TYPE text USING 'news, team.*'")
    assert status(doors, path=query("team.7"), **{"X-Stored-Key": limited}) == 200
    assert status(doors, path=query("other"), **{"X-Stored-Key": limited}) == 403
    assert doors.install.sql("check").returncode == 0


def test_handed_to_pages(doors):
    doors.configure("listen = ", "cors_origins = https://app.example\nlisten = ")
    reload(doors)
    ask = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET",
           "Access-Control-Request-Headers": "x-api-key", "Access-Control-Request-Private-Network": "true"}
    _, headers, _ = doors.daemon.request("OPTIONS", "/strict/", ask)
    assert "X-API-Key" in headers["Access-Control-Allow-Headers"]
    assert headers["Access-Control-Allow-Private-Network"] == "true"
    _, headers, _ = doors.daemon.request("OPTIONS", "/strict/", ask | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Private-Network" not in headers
    del ask["Access-Control-Request-Private-Network"]
    _, headers, _ = doors.daemon.request("OPTIONS", "/strict/", ask)
    assert "Access-Control-Allow-Private-Network" not in headers


def test_hashes_and_misuse(tmp_path):
    key = "a" * 22
    line, = token("hash", "--user", 7, "--expires", "2027-01-31", stdin=key + "\n")
    assert line == f"{key[:6]} {hashlib.sha256(key.encode()).hexdigest()} 7 - 2027-01-31T00:00:00Z"
    for args, stdin, code in ((("hash", "--user", 7), "secret123\n", 1), (("hash", "--user", 7), "", 1),
                              (("key",), None, 1), (("key", "--user", "a b"), None, 1),
                              (("key", "--user", "-"), None, 1), (("key", "--user", "a\nb"), None, 1),
                              (("key", "--user", 7, "--expires", "soon"), None, 1),
                              (("key", "--user", 7, "--comment", "a\nb"), None, 1),
                              (("jwt", "--user", 7), None, 1), (("nothing",), None, 2), ((), None, 2)):
        done = subprocess.run([PGHERALD, "token", *map(str, args)], input=stdin or "", text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == code and done.stderr and not done.stdout, args


def test_jwt_for_tests(tmp_path):
    """What it signs, other software verifies."""
    jwt = pytest.importorskip("jwt", reason="no PyJWT")
    crypto = pytest.importorskip("cryptography.hazmat.primitives.asymmetric", reason="no cryptography")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    assert crypto
    path = tmp_path / "key"
    path.write_text("s" * 64 + "\n")
    for alg in ("HS256", "HS384", "HS512"):
        made, = token("jwt", "--key-file", path, "--user", 7, "--algorithm", alg, "--expires", "5m")
        claims = jwt.decode(made, "s" * 64, [alg])
        assert claims["sub"] == "7" and 290 <= claims["exp"] - claims["iat"] <= 301
    for key, algs in ((rsa.generate_private_key(65537, 2048), ("RS256", "PS256", "RS512")),
                      (ec.generate_private_key(ec.SECP256R1()), ("ES256",)),
                      (ec.generate_private_key(ec.SECP384R1()), ("ES384",)),
                      (ed25519.Ed25519PrivateKey.generate(), ("EdDSA",))):
        path.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
        for alg in algs:
            made, = token("jwt", "--key-file", path, "--user", "анна", "--role", "manager", "--kid", "k",
                          "--algorithm", alg, "--issuer", "i", "--audience", "a", "--user-claim", "user_id",
                          "--role-claim", "r")
            claims = jwt.decode(made, key.public_key(), [alg], audience="a", issuer="i")
            assert claims["user_id"] == "анна" and claims["r"] == "manager"
            assert jwt.get_unverified_header(made)["kid"] == "k"
    done = run_pgherald("token", "jwt", "--key-file", path, "--user", 7, "--algorithm", "RS256")
    assert done.returncode == 1 and "not one for RS256" in done.stderr
    path.write_text("your-websocket-secret-key\n")
    done = run_pgherald("token", "jwt", "--key-file", path, "--user", 7)
    assert done.returncode == 1 and "32 bytes" in done.stderr
