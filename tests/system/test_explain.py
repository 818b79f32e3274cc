# SPDX-License-Identifier: PostgreSQL
"""pgherald explain, and a route of that kind: why somebody gets a row, or does not. What it says is held
against what clients are told, over the same rows."""

import hashlib
import json
import urllib.parse
from contextlib import closing

import pytest
from conftest import CONF, HEAD, Install, Served, run_pgherald
from lib.daemon import Client, wait_until

SECRET = "a secret of more than thirty-two bytes"
MORE = CONF + """
[watch note]
table  = public.note
key    = a, b
owners = who
fields = a, b, text

[watch quick]
table   = public.quick
capture = notify
fields  = id

[watch silent]
table  = public.silent
fields = id

[role deaf]
receives = none

[role guest]
receives = all
events = project.*

[role member]
receives = own
channels = room:*

[publish]
roles = explain_publisher

[auth jwt]
preset = jwt
key_file = {dir}/secret
users = claims
issuer = https://elsewhere.example

[auth robots]
preset = apikey
key_file = {dir}/robots
users = claims

[auth board]
preset = none
role = guest

[auth twin]
preset = custom
token_table = public.twin_token
user_table = public.twin
[auth visit]
preset = session
secret_key_file = {dir}/secret
user_table = public.twin
[route twin]
path = /twin/
auth = visit, twin

[route events]
path = /api/v1/sse/events/
auth = jwt, drf
[route short]
path = /short/
auth = drf
types = project.*
[route room]
path = /room/{n}/
auth = drf
channels = room:{n}
[route staff]
path = /staff/
auth = drf
roles = manager
[route robots]
path = /robots/
auth = robots
[route news]
path = /news/
auth = drf
channels = news, {id}
[route board]
path = /board/
auth = drf, board
[route stats]
path = /api/v1/sse/stats/
kind = stats
auth = drf
[route explain]
path = /api/v1/sse/explain/
kind = explain
auth = drf
"""


@pytest.fixture(scope="module")
def d(cluster, tmp_path_factory):
    directory = tmp_path_factory.mktemp("explain")
    directory.chmod(0o755)
    (directory / "secret").write_text(SECRET)
    keys = [(user, role, end) for user, role, end in (
        ("old", "guest", "2020-01-01T00:00:00Z"), ("one", "guest", "-"), ("one", "deaf", "2020-01-01T00:00:00Z"),
        ("two", "guest", "-"), ("two", "manager", "2100-01-01T00:00:00Z"))]
    (directory / "robots").write_text("".join(
        f"key{n} {hashlib.sha256(b'%d' % n).hexdigest()} {user} {role} {end}\n" for n, (user, role, end) in enumerate(keys)))
    for name in ("secret", "robots"):
        (directory / name).chmod(0o600)
    cluster.execute("DROP ROLE IF EXISTS explain_publisher")
    cluster.execute("CREATE ROLE explain_publisher LOGIN")
    db = cluster.create_database("app_template")
    db.run("CREATE TABLE note (a int, b text, who bigint, text text, PRIMARY KEY (a, b))")
    db.run("CREATE TABLE quick (id int PRIMARY KEY)")
    db.run("CREATE TABLE silent (id int PRIMARY KEY)")
    # a view of somebody's, or an import done twice: no key of theirs is unique
    db.run("CREATE TABLE twin (id bigint, role text, is_active boolean, password text);"
           "CREATE TABLE twin_token (key text PRIMARY KEY, user_id bigint);"
           "CREATE TABLE django_session (session_key varchar(40), session_data text, expire_date timestamptz);"
           "INSERT INTO twin VALUES (21, 'manager', true, 'x'), (21, 'manager', true, 'x'),"
           " (22, 'foreman', true, 'x'), (22, 'manager', true, 'x'), (23, 'manager', false, 'x'), (23, 'manager', true, 'x'),"
           " (24, 'manager', true, 'x'), (24, 'manager', true, 'y'), (25, 'manager', true, 'x'), (26, NULL, true, 'x'),"
           " (26, '', true, 'x');"
           "INSERT INTO twin_token SELECT DISTINCT 'twin-' || id, id FROM twin")
    db.run("INSERT INTO api_user (id, username, role, is_active) VALUES (4, 'carl', 'foreman', false),"
           " (5, 'dora', 'tourist', true), (6, 'ed', 'deaf', true), (7, 'fay', 'member', true), (8, 'gus', '', true)")
    db.run("INSERT INTO authtoken_token (key, user_id) VALUES ('token-fay', 7)")
    install = Install(db, directory)
    install.write((HEAD + MORE.replace(HEAD, "")).replace("{dir}", str(directory)))
    install.apply()
    served = Served(install, directory)
    served.daemon.start().wait_ready()
    try:
        yield served
        served.daemon.stop()  # nothing is left behind, which a sanitizer would say
    finally:
        served.daemon.kill()
        db.drop()
        cluster.execute("DROP ROLE explain_publisher")


def explain(d, user, *args, **kw):
    asked = [f"--{name}={value}" for name, value in kw.items()]
    done = run_pgherald("explain", "-c", d.install.conf, f"--user={user}", "--json", *asked, *args)
    assert done.returncode == 0, done.stdout + done.stderr
    assert SECRET not in done.stdout and "token-" not in done.stdout
    return json.loads(done.stdout)


def ask(d, token="token-boss", **kw):
    status, _, body = d.daemon.get("/api/v1/sse/explain/?" + urllib.parse.urlencode(kw), token)
    return status, json.loads(body)


def verdicts(answer, event=-1):
    return {(v["route"], v["door"], v["role"]): (v["told"], v["rule"], v.get("key"))
            for v in answer["events"][event]["verdicts"]}


def of(answer, route, event=-1):
    return {v[1:] for k, v in ((k, (k[0], *v)) for k, v in verdicts(answer, event).items()) if v[0] == route}


def row_of(db, what):
    return db.one("SELECT max(id) FROM pgherald.journal WHERE " + what)


def estimate(d, foreman=2, **kw):
    return d.db.one("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('n', 10, %s) RETURNING id",
                    (foreman,))


def test_what_it_says_is_what_clients_are_told(d):
    clients = {user: Client(d.daemon, token).hello() for user, token in
               ((1, "token-boss"), (2, "token-anna"), (3, "token-boris"))}
    e = estimate(d)
    d.db.run("UPDATE api_estimate SET status = 'x' WHERE id = %s", (e,))
    d.db.run("UPDATE api_estimate SET foreman_id = 3 WHERE id = %s", (e,))
    d.db.run("DELETE FROM api_estimate WHERE id = %s", (e,))
    d.db.run("UPDATE api_project SET name = 'end' WHERE id = 10")
    clients[1].wait_message("project.updated")
    for who in (2, 3):  # a change of rights is a marker that each stream has passed
        d.db.run("TRUNCATE silent")
        clients[who].wait_message("system.resync", topics=["silent"])
    for user, client in clients.items():
        heard = [(m["event"], m.get("scope") or "whole") for m in client.messages() if "estimate" in m["event"]]
        answer = explain(d, user, row=f"estimate:{e}")
        said = [(r["type"], v["told"]) for r in answer["events"] for v in r["verdicts"]
                if (v["route"], v["door"]) == ("events", "drf") and v["told"] != "nothing"]
        assert said == heard, user
        status, live = ask(d, user=user, row=f"estimate:{e}")
        assert status == 200 and live["n_streams"] == 1
        stream = live["streams"][0]
        assert (stream["route"], stream["door"], stream["state"]) == ("events", "drf", "live")
        assert [(r["type"], s["told"]) for r in live["events"] for s in r["streams"]
                if s["told"] != "nothing"] == heard
        client.close()
    first, moved = explain(d, 2, row=f"estimate:{e}")["events"][0:3:2]
    assert (first["before"], first["after"]) == ([], ["2"])
    assert (moved["before"], moved["after"], moved["key"]) == (["2"], ["3"], str(e))


def test_which_rule(d):
    row = row_of(d.db, "topic = 'estimate'") if estimate(d) else None
    anna = explain(d, 2, event=row)
    assert of(anna, "events") >= {("whole", "his", "2")}
    assert of(anna, "short") == {("nothing", "route-types", None)}
    assert of(anna, "staff") == {("nothing", "route-roles", None)}
    assert of(anna, "room") == {("nothing", "channels-only", None)}
    assert of(explain(d, 1, event=row), "board") == {("whole", "receives-all", None)}
    assert of(explain(d, 3, event=row), "board") == {("nothing", "not-his", None)}
    assert of(explain(d, 1, event=row, role="guest"), "board") == {("nothing", "role-types", None)}
    assert of(explain(d, 6, event=row, role="deaf"), "board") == {("nothing", "route-roles", None)}
    assert of(explain(d, 1, event=row, role="x"), "board") == {("nothing", "no-role", None)}


def test_who_is_not_let_in(d):
    row = row_of(d.db, "topic = 'estimate'") if estimate(d) else None
    for user, state in ((4, "inactive"), (99, "no-user"), (8, "no-role"), ("nobody's", "no-user")):
        answer = explain(d, user, event=row)
        doors = {door["door"]: door for door in answer["doors"]}
        assert doors["drf"]["state"] == state
        assert not [v for v in answer["events"][0]["verdicts"] if v["door"] == "drf"]
        assert doors["jwt"]["state"] == "unknown"  # the token says: each role is explained
        assert {v["role"] for v in answer["events"][0]["verdicts"]} == {"manager", "foreman", "deaf", "guest",
                                                                         "member"}
        as_boss = explain(d, user, event=row, role="manager")  # whatever the doors say, which they say none the less
        assert {door["door"]: door["state"] for door in as_boss["doors"]}["drf"] == state
        assert verdicts(as_boss)["events", "drf", "manager"][:2] == ("whole", "receives-all")
        assert ("board", "board", "manager") not in verdicts(as_boss)
    dora = explain(d, 5, event=row)
    assert {door["door"]: door["why"] for door in dora["doors"]}["drf"].startswith("The configuration has no [role]")
    assert of(dora, "board") == {("nothing", "no-role", None)}
    guest = explain(d, "anonymous@127.0.0.1", event=row)
    assert ("board", "board", "guest") in verdicts(guest)


def test_who_stands_there_twice(d):
    """Whoever is refused since his rows do not say the same is not explained by the first of them."""
    row = row_of(d.db, "topic = 'estimate'") if estimate(d) else None
    for user, status, token, session in ((21, 200, "role", "role"), (22, 401, "twice", "twice"), (23, 401, "twice", "twice"),
                                         (24, 200, "role", "twice"), (25, 200, "role", "role"), (26, 401, "twice", "twice")):
        client = Client(d.daemon, f"twin-{user}", path="/twin/", by_query=False)
        client.read_until(lambda: client.headers is not None, "an answer")
        assert client.status == status, user
        client.close()
        for answer in explain(d, user, event=row), ask(d, user=user, event=row)[1]:
            doors = {door["door"]: door for door in answer["doors"]}
            assert (doors["twin"]["state"], doors["visit"]["state"]) == (token, session), user
            assert "twice" not in (token, session) or "more than once" in json.dumps(answer)
            assert {v["door"] for v in answer["events"][0]["verdicts"] if v["route"] == "twin"} == {
                name for name, state in (("twin", token), ("visit", session)) if state == "role"}


def test_channels(d):
    d.db.run("SELECT pgherald.publish('room:7', 'chat.said', '{\"text\": \"hidden\"}')")
    row = row_of(d.db, "op = 'm'")
    fay = explain(d, 7, event=row)
    assert fay["events"][0]["after"] == ["#room:7"] and "hidden" not in json.dumps(fay)
    assert of(fay, "room") == {("nothing", "not-subscribed", None)}
    assert of(explain(d, 2, event=row), "events") >= {("nothing", "role-channels", None)}
    there = Client(d.daemon, "token-fay", path="/room/7/").hello()
    elsewhere = Client(d.daemon, "token-fay", path="/room/8/").hello()
    status, live = ask(d, user=7, event=row)
    told = {s["stream"]: (s["told"], s["rule"], s.get("key")) for s in live["events"][0]["streams"]}
    assert status == 200 and {s["channels"]: told[s["stream"]] for s in live["streams"]} == {
        "room:7": ("whole", "his", "#room:7"), "room:8": ("nothing", "not-subscribed", None)}
    there.close()
    elsewhere.close()


def test_a_route_whose_channels_the_role_may_not_hear(d):
    """It refuses him, whatever he would hear there besides."""
    e = estimate(d)
    assert d.daemon.get("/news/", "token-anna")[0] == 403
    for said in (explain(d, 2, row=f"estimate:{e}"), ask(d, user=2, row=f"estimate:{e}")[1]):
        assert of(said, "news") == {("nothing", "role-channels", None)}
        assert of(said, "events") >= {("whole", "his", "2")}


def test_keys_of_a_file(d):
    """One that has ended opens nothing; whose keys have several roles comes in with either."""
    estimate(d)
    row = row_of(d.db, "topic = 'estimate'")
    for user, state, roles in (("old", "no-user", set()), ("one", "role", {"guest"}),
                               ("two", "unknown", {"manager", "foreman", "deaf", "guest", "member"})):
        for said in ask(d, user=user, event=row)[1], explain(d, user, event=row):
            assert {door["door"]: door["state"] for door in said["doors"]}["robots"] == state
            assert {v["role"] for v in said["events"][0]["verdicts"] if v["route"] == "robots"} == roles


def test_a_file_of_keys_that_is_no_good(d):
    """The command says so, and explains the rest; the daemon would not start with it."""
    estimate(d)
    row = row_of(d.db, "topic = 'estimate'")
    text = d.install.conf.read_text()
    for path, why in (("/no/such/file", "No such file"), ("{dir}/secret", "line 1")):
        d.install.conf.write_text(text.replace("key_file = ROBOTS".replace("ROBOTS", str(d.install.conf.parent / "robots")),
                                               "key_file = " + path.format(dir=d.install.conf.parent)))
        try:
            done = run_pgherald("explain", "-c", d.install.conf, "--user=one", f"--event={row}", "--json")
        finally:
            d.install.conf.write_text(text)
        assert done.returncode == 0 and "[auth robots] key_file" in done.stderr and why in done.stderr, done.stderr
        assert {door["door"]: door["state"] for door in json.loads(done.stdout)["doors"]}["robots"] == "unknown"


def test_what_a_client_has_asked_for(d):
    boss = Client(d.daemon, "token-boss", extra_query="topics=project").hello()
    row = row_of(d.db, "topic = 'estimate'") if estimate(d) else None
    _, live = ask(d, user=1, event=row)
    assert [(s["told"], s["rule"]) for s in live["events"][0]["streams"]] == [("nothing", "asked")]
    boss.close()


def test_fetch_again(d):
    d.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) SELECT 'n', 11, 2 FROM generate_series(1, 600)")
    answer = explain(d, 3, row="estimate:1")
    last = answer["events"][-1]
    assert (last["type"], last["reason"]) == ("system.resync", "storm")
    assert of(answer, "events") >= {("fetch again", "fetch-again", None)}
    d.db.run("TRUNCATE silent")
    assert explain(d, 3, row="silent:1")["events"][-1]["reason"] == "truncate"


def test_a_key_of_several_columns(d):
    d.db.run("INSERT INTO note VALUES (1, 'x:y', 2, 'hidden')")
    key = d.db.one("SELECT pk FROM pgherald.journal WHERE topic = 'note'")
    answer = explain(d, 2, row="note:" + key)
    assert of(answer, "events") >= {("whole", "his", "2")} and "hidden" not in json.dumps(answer)


def test_an_id_as_clients_get_it(d):
    boss = Client(d.daemon, "token-boss").hello()
    e = estimate(d)
    boss.wait_message("estimate.created", estimate_id=e)
    answer = explain(d, 2, event=boss.last_id)
    assert answer["events"][0]["key"] == str(e)
    assert any("how far its client was told" in note for note in answer["notes"])
    # the first of two rows of a transaction has an id of its own
    d.db.run("INSERT INTO api_estimate (number, project_id) SELECT 'two', 10 FROM generate_series(1, 2)")
    a, b = d.db.run("SELECT id FROM api_estimate WHERE number = 'two' ORDER BY id")
    boss.wait_message("estimate.created", estimate_id=b[0])
    half = next(f.id for f in boss.frames if f.data and f.json.get("data", {}).get("estimate_id") == a[0])
    answer = explain(d, 2, event=half)
    assert (answer["events"][0]["key"], answer["notes"]) == (str(a[0]), [])
    boss.close()


@pytest.mark.parametrize("asked, note", [
    ({"event": 999999999}, "The journal has nothing of it"),
    ({"event": "00000000.0.1"}, "of another database"),
    ({"row": "estimate:none"}, None),
    ({"row": "silent:none"}, None),
    ({"row": "nothing:1"}, "has no [watch nothing]"),
    ({"row": "quick:1"}, "capture = notify"),
])
def test_what_is_not_there(d, asked, note):
    estimate(d)
    answer = explain(d, 2, **asked)
    assert note is None or any(note in n for n in answer["notes"])
    assert not [r for r in answer["events"] if r["type"] != "system.resync"]


@pytest.mark.parametrize("asked, complaint", [
    ({}, "user is missing"),
    ({"user": 2}, "event or row is missing"),
    ({"event": 1}, "user is missing"),
    ({"user": 2, "event": 1, "row": "a:b"}, "ask one"),
    ({"user": 2, "event": "x"}, "neither"),
    ({"user": 2, "event": "-1"}, "neither"),
    ({"user": 2, "event": "9" * 30}, "neither"),
    ({"user": 2, "row": "x"}, "has no colon"),
    ({"user": 2, "row": ":x"}, "the topic must have 1 to 255 bytes"),
    ({"user": 2, "row": "x:"}, "the key must have 1 to 1024 bytes"),
    ({"user": 2, "row": "x:" + "k" * 1025}, "the key must have 1 to 1024 bytes, and has 1025"),
    ({"user": "", "event": 1}, "user must have 1 to 255 bytes"),
    ({"user": "u" * 256, "event": 1}, "user must have 1 to 255 bytes, and has 256"),
    ({"user": "a\nb", "event": 1}, "user: byte 2"),
    ({"user": 2, "event": 1, "role": ""}, "role must have"),
])
def test_what_is_no_question(d, asked, complaint):
    done = run_pgherald("explain", "-c", d.install.conf, *[f"--{k}={v}" for k, v in asked.items()])
    assert (done.returncode, done.stdout) == (2, "") and complaint in done.stderr
    status, answer = ask(d, **asked)
    assert status == 400 and complaint in answer["detail"]


def test_the_route_is_guarded_as_the_statistics_are(d):
    for token, status in (("token-boss", 200), ("token-anna", 403), ("wrong", 401), (None, 401)):
        for path in ("/api/v1/sse/explain/?user=2&event=1", "/api/v1/sse/stats/"):
            assert d.daemon.get(path, token)[0] == status, (token, path)
    for method in ("POST", "PUT", "DELETE"):
        assert d.daemon.request(method, "/api/v1/sse/explain/?user=2&event=1")[0] == 405
    assert ask(d, user=2, event=1, other=1)[0] == 400
    assert d.daemon.get("/api/v1/sse/explain/?user=2&user=3&event=1", "token-boss")[0] == 400


def test_in_words(d):
    e = estimate(d)
    done = run_pgherald("explain", "-c", d.install.conf, "--user", "2", "--row", f"estimate:{e}")
    assert done.returncode == 0, done.stderr
    assert "User 2, at the doors:\n  [drf] (drf): as foreman, who receives own.\n" in done.stdout
    assert f"estimate.created of estimate:{e}\n  before, for nobody in particular\n  after, for  2\n" in done.stdout
    assert "[events] by drf as foreman: whole. It is for one of his keys. Key: 2. (his)" in done.stdout
    odd = run_pgherald("explain", "-c", d.install.conf, "--user", "\u202eevil", "--row", f"estimate:{e}")
    assert "\u202e" not in odd.stdout and odd.returncode == 0


def test_what_cannot_be_asked(d, tmp_path):
    broken = tmp_path / "pgherald.conf"
    text = d.install.conf.read_text()
    broken.write_text(text.replace("dbname=", "dbname=no_such_"))
    done = run_pgherald("explain", "-c", broken, "--user", "2", "--event", "1")
    assert done.returncode == 1 and "cannot be asked" in done.stderr and not done.stdout
    d.db.run("ALTER FUNCTION pgherald.who_drf(text[]) RENAME TO who_gone")
    try:  # what an earlier version has installed
        doors = {door["door"]: door["state"] for door in explain(d, 2, event=1)["doors"]}
        assert doors["drf"] == "outdated"
    finally:
        d.db.run("ALTER FUNCTION pgherald.who_gone(text[]) RENAME TO who_drf")
    with closing(d.db.connect(autocommit=False)) as c:  # a migration
        c.cursor().execute("LOCK TABLE api_user IN ACCESS EXCLUSIVE MODE")
        answer = explain(d, 2, event=1)
        assert {door["door"]: door.get("sqlstate") for door in answer["doors"]}["drf"] == "55P03"


def test_the_daemon_goes_on_when_nobody_waits_for_the_answer(d):
    with closing(d.db.connect(autocommit=False)) as c:
        c.cursor().execute("LOCK TABLE pgherald.journal IN ACCESS EXCLUSIVE MODE")
        clients = [Client(d.daemon, "token-boss", path="/api/v1/sse/explain/", by_query=False,
                          extra_query="user=2&event=1") for _ in range(12)]
        wait_until(lambda: d.db.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                    " AND query LIKE '%j.id = $1%' AND datname = current_database()") >= 1,
                   "somebody waits")
        for client in clients:
            client.close()
    wait_until(lambda: ask(d, user=2, event=1)[0] == 200, "an answer")
