# SPDX-License-Identifier: PostgreSQL
"""[listen] of a real Redis and a real Valkey: what is published on channels, live and as it is; streams, into the
journal, each entry once whatever is killed. Whoever can write there can do no harm."""

import itertools
import json
import re
import shlex
import signal
import subprocess

import pytest

from conftest import HEAD, HERE, PGHERALD, Install, Served, run_pgherald
from lib.daemon import Client, Daemon, free_port, wait_until
from lib.odd import BAD, GOOD
from lib.recipe import blocks, commands, exchanged
from lib.redis import Redis, program

ROLES = HEAD.replace("receives = own\n", "receives = own\nchannels = project.*, file.*, test, news\n").replace(
    "receives = all\n", "receives = all\nchannels = *\n")
ROUTES = """
[publish]
roles = pgherald

[route events]
path = /api/v1/sse/events/
queue_events = 100000
queue_bytes = 256MiB

[route stats]
path = /api/v1/sse/stats/
kind = stats

[route metrics]
path = /metrics
kind = metrics

[route project]
path = /api/v1/events/{channel}
dialect = raw
ids = no
channels = {channel}
queue_events = 100000
queue_bytes = 256MiB
"""
LIVE = """
[listen projects]
kind = pubsub
server = {url}
from = project.*, file.*, test, odd *
event_key = type
"""
STREAM = """
[listen tasks]
kind = stream
server = {url}
from = tasks, more
to = project.{{project}}
journal = yes
event_key = type
start = beginning
"""


@pytest.fixture(scope="module", params=["redis", "valkey"])
def redis(request, tmp_path_factory):
    binary = program(request.param)
    if not binary:
        pytest.skip(f"there is no {request.param} here")
    if "without hiredis" in run_pgherald("-t", "-c", probe(tmp_path_factory)).stderr:
        pytest.skip("this pgherald is built without hiredis")
    r = Redis(binary, tmp_path_factory.mktemp(request.param)).start()
    yield r
    r.kill()


def probe(factory):
    path = factory.mktemp("probe") / "pgherald.conf"
    path.write_text(ROLES.replace("{conninfo}", "") + LIVE.format(url="redis://127.0.0.1"))
    return path


@pytest.fixture(scope="module")
def database(cluster, tmp_path_factory):
    db = cluster.create_database("app_template")
    install = Install(db, tmp_path_factory.mktemp("database"))
    install.write(ROLES + ROUTES)
    install.apply()
    yield db
    db.drop()


@pytest.fixture
def place(database, redis, tmp_path):
    """A daemon that is not started; nothing is left in the server and the journal from before."""
    redis("FLUSHALL")
    install = Install(database, tmp_path)
    s = Served(install, tmp_path)
    s.redis = redis
    yield s
    s.daemon.kill()


def serve(place, text):
    place.install.write(ROLES + ROUTES + text.format(url=place.redis.url))
    offset = place.daemon.log_size() if place.daemon.proc else 0
    place.daemon.start().wait_ready()
    place.daemon.wait_log(r"listen \w+: connected", offset)
    return place.daemon


class Bytes(bytes):
    id = None


class Raw:
    """The data of unnamed events, as it is."""

    def __init__(self):
        self.rest = b""

    def feed(self, data):
        *events, self.rest = (self.rest + data).split(b"\n\n")
        for e in events:
            lines = [line for line in e.split(b"\n") if not line.startswith((b"retry:", b":"))]
            if lines and all(line.startswith(b"data: ") for line in lines):
                yield Bytes(b"\n".join(line[6:] for line in lines))
            elif lines:
                yield Bytes(e)


def listen(place, channel, token="token-anna"):
    c = Client(place.daemon, token, path=f"/api/v1/events/{channel}", parser=Raw())
    c.read_until(lambda: c.headers is not None, "an answer")
    assert c.status == 200, c.buffer
    return c


def publish(place, channel, payload):
    """Once the daemon is subscribed, which it is some time after it says that it is connected."""
    wait_until(lambda: place.redis("PUBLISH", channel, payload), "somebody listens")


def read(client, n):
    return client.read_until(lambda: len(client.frames) >= n, f"{n} messages") and client.frames


SNIPPET = '{"type":"render_progress","object":{"progress":  10, "ratio": 1.0e2, "note":"\\u043f\u0440\u0438\u0432\u0435\u0442 \U0001f600"}}'


def test_the_snippet_of_a_project_page(place):
    """Whatever Redis client publishes on project.7 reaches GET /api/v1/events/project.7 byte for byte."""
    serve(place, LIVE)
    seven, eight = listen(place, "project.7"), listen(place, "project.8")
    publish(place, "project.7", SNIPPET)
    publish(place, "project.8", '{"type":"task","object":"8"}')
    publish(place, "project.7", '{"type":"task","object":"last"}')
    assert read(seven, 2)[:2] == [SNIPPET.encode(), b'{"type":"task","object":"last"}']
    assert read(eight, 1) == [b'{"type":"task","object":"8"}']


HOSTILE = [
    ("project.7", "no JSON"), ("project.7", b"\xff\xfe"), ("project.7", '{"type":"a\0"}'), ("project.7", ""),
    ("project.7", '{"type":"system.resync","object":1}'), ("project.7", '{"type":"keepalive"}'),
    ("project.7", '{"type":"ping.x"}'), ("project.7", '{"type":"white space"}'), ("project.7", "[" * 600 + "]" * 600),
    ("project.7", '{"a": NaN}'), ("project.7", b'"' + b"x" * (1 << 20) + b'"'), ("project./etc", "{}"),
    ("project.\n7", "{}"), ("project." + "7" * 200, "{}"), ("project.\xe9", "{}"), ("odd one", "{}"),
]


def test_the_recipe(place):
    """doc/recipes/redis.md, with another address: channels as they are, and a stream into the journal."""
    files = blocks("redis.md")
    before = place.db.one("SELECT count(*) FROM pgherald.journal WHERE op = 'm'")
    drop = place.install.conf.parent / "conf.d"
    drop.mkdir()
    for path, text in files.items():
        (drop / path.rpartition("/")[2]).write_text(
            exchanged(text, ("redis://redis.example.org:6379", place.redis.url)).replace(
                "include = presets", f"include = {HERE.parents[1]}/presets"))
    place.install.write(ROLES)
    d = place.daemon.start().wait_ready()
    for name in ("projects", "tasks"):
        d.wait_log(f"listen {name}: connected")
    live, kept = listen(place, "project.7"), listen(place, "project.8")
    publish(place, "project.7", '{"type": "task",  "object": {}}')
    live.read_until(lambda: b'data: {"type": "task",  "object": {}}\n' in live.raw_body, "as it was published")
    add, = commands("redis.md", "sh")
    words = shlex.split(exchanged(add, ('"project": 7', '"project": 8')))
    assert words[0] == "redis-cli"
    place.redis(*words[1:])
    kept.read_until(lambda: b'"id": 12' in kept.raw_body, "the entry")
    assert place.db.one("SELECT count(*) FROM pgherald.journal WHERE op = 'm'") == before + 1
    wait_until(lambda: "lag\n0" in str(place.redis("XINFO", "GROUPS", "tasks")) or not place.redis("XPENDING", "tasks", "pgherald")[0],
               "all of it is told")


def test_a_hostile_publisher(place):
    """What is no event is counted and stops nothing: not the next message, not the daemon, not its memory."""
    d = serve(place, LIVE)
    client, everything = listen(place, "project.7"), listen(place, "project.8", "token-boss")
    publish(place, "project.7", '{"n":0}')
    before = memory(d)
    for channel, payload in HOSTILE:
        place.redis("PUBLISH", channel, payload)
    huge = b'"' + b"x" * 100_000_000 + b'"'
    place.redis("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")
    for _ in range(2):
        place.redis("PUBLISH", "project.7", huge)
    place.redis("PUBLISH", "project.7", '{"n":1}')
    assert read(client, 2) == [b'{"n":0}', b'{"n":1}']
    assert (untold(d, "refused"), untold(d, "dropped")) == (len(HOSTILE) + 2, 0)
    # As servers are set up: it hangs up on whoever would have to be sent so much.
    place.redis("CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60")
    offers = itertools.count(1)

    def hung_up():
        """One that finds its buffer empty may be let through."""
        if next(offers) % 300 == 1:
            place.redis("PUBLISH", "project.7", huge)
        return "connected again" in d.log()

    wait_until(hung_up, d.log)
    publish(place, "project.7", '{"n":2}')
    assert b"gap" in read(client, 4)[2] and client.frames[3] == b'{"n":2}'
    assert memory(d) < before + (24 << 20) or d.keeps_freed_memory()
    assert everything.frames == []
    log = d.log()
    for said in ("not JSON as RFC 8259", "one of the daemon's own", "has bytes it must not have", "longer than 1 MiB",
                 "no name of a channel"):
        assert log.count(said) == 1, (said, log)


def untold(daemon, outcome):
    """What the metrics say of the messages that were not told."""
    text = daemon.get("/metrics", "token-boss")[2].decode()
    return int(re.search(rf'^pgherald_source_messages_total{{outcome="{outcome}"}} (\d+)$', text, re.M).group(1))


def memory(daemon):
    with open(f"/proc/{daemon.proc.pid}/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS"))


def test_live_messages_that_were_missed_are_told_of(place):
    """What is published while the server is away from us is gone; whoever listens is told, once, and it goes on."""
    d = serve(place, LIVE)
    client = listen(place, "project.7")
    publish(place, "project.7", "1")
    read(client, 1)
    place.redis.kill()
    d.wait_log("listen projects: the server has hung up; it is tried again")
    place.redis.start()
    d.wait_log(r"listen projects: connected again")
    publish(place, "project.7", "2")
    frames = read(client, 3)
    assert frames[0] == b"1" and b"gap" in frames[1] and frames[2] == b"2"
    assert d.log().count("it is tried again") == 1


def test_a_flood_is_dropped_and_said(place):
    """Into a journal that takes nothing: what there is no room for is counted, and said when it goes on."""
    text = LIVE.replace("event_key", "journal = yes\nevent_key")
    d = serve(place, text)
    client = listen(place, "project.7")
    publish(place, "project.7", "0")
    read(client, 1)
    locker = place.db.connect()
    locker.autocommit = False
    with locker.cursor() as cursor:
        cursor.execute("LOCK TABLE pgherald.kept IN ACCESS EXCLUSIVE MODE")
    big = b'"' + b"x" * 900_000 + b'"'
    for _ in range(40):
        place.redis("PUBLISH", "project.7", big)
        # Or the server would hang up on whoever is behind.
        wait_until(lambda: not re.search(rb" omem=[1-9].* cmd=psubscribe", place.redis("CLIENT", "LIST")), "it is taken")
    assert place.daemon.get("/healthz")[0] == 200
    assert memory(d) < 200 << 20 or d.keeps_freed_memory()
    locker.rollback()
    locker.close()
    d.wait_log(r"listen projects: \d+ messages are lost")
    assert untold(d, "dropped") == int(re.search(r"listen projects: (\d+) messages are lost", d.log()).group(1))
    client.read_until(lambda: any(b"gap" in f for f in client.frames), "a gap")
    publish(place, "project.7", '"last"')
    client.read_until(lambda: client.frames[-1] == b'"last"', "the last")


def entries(place, numbers, stream="tasks", project=7):
    for n in numbers:
        place.redis("XADD", stream, "*", "type", "task", "data", json.dumps({"n": n, "project": project}))


def numbers(client):
    return [json.loads(f)["n"] for f in client.frames]


def journal(place):
    return [row[0] for row in place.db.run(
        "SELECT (j.data->>'n')::int FROM pgherald.journal AS j WHERE j.op = 'm' ORDER BY j.id")]


def start_empty(place, text=STREAM):
    place.db.run("DELETE FROM pgherald.journal; DELETE FROM pgherald.kept")
    return serve(place, text)


def test_a_stream_goes_on_where_it_was(place):
    d = start_empty(place)
    client = listen(place, "project.7")
    entries(place, range(5))
    assert read(client, 5) and numbers(client) == list(range(5))
    d.stop()
    entries(place, range(5, 10))
    entries(place, [10])
    d.start().wait_ready()
    wait_until(lambda: len(journal(place)) == 11, "all are in the journal")
    assert sorted(journal(place)) == list(range(11))
    wait_until(lambda: not place.redis("XPENDING", "tasks", "pgherald")[0], "all are acknowledged")


def test_each_once_whatever_is_killed(place, cluster):
    """The daemon, the server and PostgreSQL are killed while entries come; each is in the journal once, in order."""
    d = start_empty(place)
    count = itertools.count()

    def more():
        entries(place, [next(count) for _ in range(100)])

    more()
    for turn in range(2):
        wait_until(lambda turn=turn: len(journal(place)) > turn * 300, "some are in the journal")
        d.kill()
        more()
        d.start()
        more()
        place.redis.kill()
        place.redis.start()
        more()
        cluster.stop("immediate")
        more()
        cluster.start()
        place.db.close()
    n = next(count)
    wait_until(lambda: len(journal(place)) >= n, lambda: f"{len(journal(place))} of {n}:\n{d.log()}")
    wait_until(lambda: not place.redis("XPENDING", "tasks", "pgherald")[0], "all are acknowledged")
    assert journal(place) == list(range(n))


def come_later(place, text=STREAM):
    """A client of a daemon that only then hears of the stream."""
    place.install.write(ROLES + ROUTES)
    offset = place.daemon.log_size() if place.daemon.proc else 0
    d = place.daemon.start().wait_ready()
    client = listen(place, "project.7")
    place.install.conf.write_text(place.install.conf.read_text() + text.format(url=place.redis.url))
    d.signal(signal.SIGHUP)
    d.wait_log("listen tasks: connected", offset)
    return client


def test_what_is_trimmed_before_it_is_read(place, cluster):
    """MAXLEN was too small for an outage: it goes on with what is left, and whoever listens hears of it; once, and not
    when all that is gone had been read."""
    d = start_empty(place)
    entries(place, range(3))
    wait_until(lambda: len(journal(place)) == 3 and not place.redis("XPENDING", "tasks", "pgherald")[0], "all is read")
    d.stop()
    place.redis("XTRIM", "tasks", "MAXLEN", 0)
    entries(place, [3])
    client = come_later(place)
    assert read(client, 1) and numbers(client) == [3]
    wait_until(lambda: not place.redis("XPENDING", "tasks", "pgherald")[0], "all is acknowledged")
    d.stop()
    entries(place, range(4, 10))
    place.redis("XTRIM", "tasks", "MAXLEN", 2)
    client = come_later(place)
    read(client, 3)
    assert b"gap" in client.frames.pop(0) and numbers(client) == [8, 9]
    d.stop()  # all gone
    entries(place, [10])
    place.redis("XTRIM", "tasks", "MAXLEN", 0)
    client = come_later(place)
    entries(place, [11])
    read(client, 2)
    assert b"gap" in client.frames[0] and json.loads(client.frames[1])["n"] == 11

    offset = d.log_size()
    cluster.stop("immediate")  # the daemon reads no more; nor does it hang up
    entries(place, [12])
    wait_until(lambda: place.redis("XPENDING", "tasks", "pgherald")[0] == 1, "it is read")
    entries(place, range(13, 20))
    place.redis("XTRIM", "tasks", "MAXLEN", 1)
    wait_until(lambda: idle(place) > 8500, "nothing is read for longer than usual")
    cluster.start()
    place.db.close()
    wait_until(lambda: journal(place)[-2:] == [12, 19], lambda: d.log()[offset:])
    client.read_until(lambda: any(b"gap" in f for f in client.frames[2:]), "it is said")
    assert d.log()[offset:].count("are gone that were not read yet") == 1


def idle(place):
    """Milliseconds since a member of the group asked last."""
    one, = place.redis("XINFO", "CONSUMERS", "tasks", "pgherald")
    return one[one.index(b"idle") + 1]


def test_what_is_trimmed_before_a_live_stream_hears_it(place):
    entries(place, [0])
    d = serve(place, STREAM.replace("journal = yes\n", "").replace("start = beginning\n", ""))
    client = listen(place, "project.7")
    wait_until(lambda: b"cmd=xread " in place.redis("CLIENT", "LIST"), "it reads")
    entries(place, [1])
    assert read(client, 1) and numbers(client) == [1]
    d.signal(signal.SIGSTOP)
    place.redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    entries(place, range(2, 6))
    place.redis("XTRIM", "tasks", "MAXLEN", 1)
    d.signal(signal.SIGCONT)
    read(client, 2)
    if b"gap" not in client.frames[-1]:
        read(client, 3)
    assert sum(b"gap" in f for f in client.frames) == 1
    read(client, 3)
    assert [json.loads(f).get("n") for f in client.frames if b"gap" not in f] == [1, 5]


@pytest.mark.parametrize("may", ["look", "not look"])
def test_rights_of_the_manual(place, may):
    """A role with the commands that the manual names; without XINFO it is said once, and all that is there is told."""
    rights = ["+ping", "+xgroup", "+xreadgroup", "+xack", "+xautoclaim", "+xinfo"][:6 if may == "look" else 5]
    place.redis("ACL", "SETUSER", "narrow", "reset", "on", ">secret", "~*", *rights)
    d = start_empty(place, STREAM.replace("{url}", place.redis.url.replace("redis://", "redis://narrow:secret@")))
    entries(place, range(3))
    wait_until(lambda: journal(place) == [0, 1, 2], lambda: d.log())
    place.redis("ACL", "DELUSER", "narrow")
    assert d.log().count("are not noticed") == (may != "look")


def test_poison_stops_nothing(place):
    d = start_empty(place)
    redis = place.redis
    for data in ("no JSON", b"\xff", '{"n":1,"project":"a/b"}', '{"n":1}', '{"project":7,"type":"herald.x"}',
                 '{"project":7,"n":"\\u0000"}', "x" * (2 << 20)):
        redis("XADD", "tasks", "*", "data", data)
    redis("XADD", "tasks", "*", "else", "1")
    redis("XADD", "tasks", "*", *itertools.chain(*((f"f{i}", b"x" * 1_000_000) for i in range(100))))
    redis("XADD", "tasks", "*", "type", "system", "data", '{"project":7}')
    entries(place, [3])
    wait_until(lambda: journal(place) == [3], lambda: d.log())
    wait_until(lambda: not redis("XPENDING", "tasks", "pgherald")[0], "all are acknowledged")
    assert "a type that may not" not in d.log() and d.log().count("it is tried again") == 0


def test_two_daemons_and_one_that_is_gone(place, tmp_path):
    """Of a group each entry is told once; what a dead member was given is taken over."""
    redis = place.redis
    redis("XGROUP", "CREATE", "tasks", "pgherald", "0", "MKSTREAM")
    entries(place, range(3))
    redis("XREADGROUP", "GROUP", "pgherald", "gone", "STREAMS", "tasks", ">")
    ids = [e[0] for e in redis("XPENDING", "tasks", "pgherald", "-", "+", 10)]
    redis("XCLAIM", "tasks", "pgherald", "gone", 0, *ids, "IDLE", 3_600_000)
    first = start_empty(place)
    other = tmp_path / "other.conf"
    other.write_text(place.install.conf.read_text().replace(
        f"listen = 127.0.0.1:{first.address[1]}", "listen = 127.0.0.1:0"))
    second = Daemon(PGHERALD, other, tmp_path / "other.log").start().wait_ready()
    try:
        entries(place, range(3, 203))
        wait_until(lambda: len(set(journal(place))) == 203, lambda: f"{len(journal(place))}\n{first.log()}")
        assert sorted(journal(place)) == list(range(203))
    finally:
        second.kill()


def test_a_stream_live(place):
    """Without the journal from the end on, to who is there; also after the server was away."""
    redis = place.redis
    entries(place, [0])
    serve(place, STREAM.replace("journal = yes\n", "").replace("start = beginning\n", ""))
    client = listen(place, "project.7")
    wait_until(lambda: b"cmd=xread " in redis("CLIENT", "LIST"), "it reads")
    entries(place, [1, 2])
    assert read(client, 2) and numbers(client) == [1, 2]
    redis.kill()
    redis.start()
    entries(place, [3])
    assert read(client, 3) and numbers(client) == [1, 2, 3]


@pytest.mark.parametrize("kind", ["pubsub", "stream"])
def test_odd_values(place, kind):
    """JSON is passed on byte for byte, whatever it says; what is none is told to nobody."""
    stream = STREAM.replace("journal = yes\n", "").replace("start = beginning\n", "").replace("project.{{project}}", "project.7")
    d = serve(place, LIVE if kind == "pubsub" else stream)
    client = listen(place, "project.7")

    def send(payload):
        if kind == "pubsub":
            publish(place, "project.7", payload)
        else:
            place.redis("XADD", "tasks", "*", "data", payload)

    if kind == "stream":
        wait_until(lambda: b"cmd=xread " in place.redis("CLIENT", "LIST"), "it reads")
    for n in range(max(len(GOOD), len(BAD))):
        for payload in (BAD[n:n + 1] + GOOD[n:n + 1]):
            send(payload)
    send('"end"')
    read(client, len(GOOD) + 1)
    assert client.frames == [p.encode() for p in [*GOOD, '"end"']]
    assert untold(d, "refused") == len(BAD)


def test_a_stream_that_is_deleted(place):
    d = start_empty(place)
    entries(place, [1])
    wait_until(lambda: journal(place) == [1], "one")
    place.redis("DEL", "tasks", "more")
    entries(place, [2])
    wait_until(lambda: journal(place) == [1, 2], lambda: d.log())


def test_users_are_told_and_reload(place):
    """owner_keys; a section comes and goes with SIGHUP, and an unchanged one stays connected."""
    d = serve(place, LIVE)
    client = Client(d, "token-anna").hello()
    text = place.install.conf.read_text()
    place.install.conf.write_text(text + f"""
[listen people]
kind = pubsub
server = {place.redis.url}
from = people
owner_keys = user
""")
    d.signal(signal.SIGHUP)
    d.wait_log("listen people: connected")
    publish(place, "people", '{"user":3,"event":"secret"}')
    publish(place, "people", '{"user":[2,7],"event":"hello"}')
    client.read_until(lambda: len(client.frames) > 1, "a message")
    assert client.frames[1].json["event"] == "hello"
    place.install.conf.write_text(text)
    d.signal(signal.SIGHUP)
    wait_until(lambda: not place.redis("PUBLISH", "people", "{}"), "nobody listens")
    assert d.log().count("listen projects: connected") == 1
    client.close()


def test_away_from_the_start(place):
    """Nobody there: it is said once, the daemon serves, and ends at once when it is told to."""
    place.install.write(ROLES + ROUTES + LIVE.format(url=f"redis://127.0.0.1:{free_port()}"))
    d = place.daemon.start().wait_ready()
    d.wait_log("cannot connect to 127.0.0.1")
    d.stop()
    assert d.log().count("cannot connect") == 1


def test_password_and_database(database, redis, tmp_path):
    """From a file; a wrong one is said without it; nothing of it is in the log or the printed configuration."""
    (tmp_path / "secured").mkdir()
    secured = Redis(redis.binary, tmp_path / "secured", "--requirepass", "se:cret@1").start()
    try:
        s = Served(Install(database, tmp_path), tmp_path)
        s.redis = secured
        password = tmp_path / "password"
        password.write_text("wrong\n")
        password.chmod(0o600)
        s.install.write(ROLES + ROUTES + LIVE.format(url=secured.url + "/3") + f"password_file = {password}\n")
        s.daemon.start().wait_ready()
        s.daemon.wait_log("the server says")
        password.write_text("se:cret@1\n")
        s.daemon.signal(signal.SIGHUP)
        s.daemon.wait_log("listen projects: connected")
        s.daemon.stop()
        s.install.write(ROLES + ROUTES + LIVE.format(
            url=f"redis://default:se%3Acret%401@127.0.0.1:{secured.port}/3"))
        offset = s.daemon.log_size()
        s.daemon.start().wait_ready()
        s.daemon.wait_log("listen projects: connected", offset)
        assert "se:cret" not in s.daemon.log() and "se%3A" not in s.daemon.log()
        assert "se%3A" not in run_pgherald("--print-config", "-c", s.install.conf).stdout
        s.daemon.stop()
    finally:
        s.daemon.kill()
        secured.kill()


@pytest.mark.parametrize("section, said", [
    ("kind = pubsub\nfrom = a\n", "has no server, and REDIS_URL is not set"),
    ("kind = pubsub\nserver = http://x\nfrom = a\n", "server must begin with redis://"),
    ("kind = pubsub\nserver = redis://:pw@/\nfrom = a\n", "server names no host"),
    ("kind = pubsub\nserver = redis://h:70000\nfrom = a\n", "server has a port that is none"),
    ("kind = pubsub\nserver = redis://h/x\nfrom = a\n", "server has a database that is no number"),
    ("kind = pubsub\nserver = redis://%zz@h\nfrom = a\n", "badly escaped"),
    ("kind = pubsub\nserver = redis://h\n", "from must have 1 to 16 names"),
    ("kind = pubsub\nserver = redis://h\nfrom = a\nto = {?x}\n", "to: there is no query here"),
    ("kind = pubsub\nserver = redis://h\nfrom = a\nto = a\nowner_keys = b\n", "both to and owner_keys"),
    ("kind = pubsub\nserver = redis://h\nfrom = a\nchannel = a\n", "channel means nothing with kind = pubsub"),
    ("kind = pubsub\nserver = redis://h\nfrom = a\ngroup = a\n", "group means nothing with kind = pubsub"),
    ("kind = pubsub\nserver = redis://h\nfrom = a\nca_file = /x\n", "without TLS"),
    ("kind = pubsub\nserver = redis://h\nfrom = a\njournal = yes\n", "[publish] roles does not name"),
    ("kind = stream\nserver = redis://h\nfrom = a\ngroup = a b\n", "group must be"),
    ("channel = a\nserver = redis://h\n", "server means nothing with kind = notify"),
    ("kind = notify\n", "channel must have 1 to 63 bytes"),
])
def test_what_is_refused(install, section, said):
    install.write(ROLES + "\n[listen x]\n" + section)
    done = run_pgherald("-t", "-c", install.conf)
    if "without hiredis" in done.stderr:
        pytest.skip("this pgherald is built without hiredis")
    assert done.returncode != 0 and said in done.stderr, done.stderr
    assert "pw" not in done.stderr
    assert done.stderr.startswith(f"pgherald: {install.conf}:")


def test_redis_url_of_the_environment(install):
    install.write(ROLES + "\n[listen x]\nkind = pubsub\nfrom = a\n")
    for env, words in (({"REDIS_URL": "redis://localhost:6379"}, ""), ({}, "url"), ({"REDIS_URL": "http://localhost"}, "redis://")):
        done = subprocess.run([PGHERALD, "-t", "-c", str(install.conf)], capture_output=True, text=True, env=env, timeout=60)
        assert "without hiredis" in done.stderr or (done.returncode == (1 if words else 0) and words in done.stderr), (env, done.stderr)


def test_tls(database, redis, tmp_path):
    """rediss://: the server's certificate is verified, and must be the host's."""
    cert(tmp_path, "ca", None)
    cert(tmp_path, "server", "127.0.0.1")
    (tmp_path / "tls").mkdir()
    port = free_port()
    try:
        server = Redis(redis.binary, tmp_path / "tls", "--tls-port", str(port), "--tls-cert-file",
                       str(tmp_path / "server.pem"), "--tls-key-file", str(tmp_path / "server.key"),
                       "--tls-auth-clients", "no", "--tls-ca-cert-file", str(tmp_path / "ca.pem")).start()
    except AssertionError:
        pytest.skip("this server has no TLS")
    s = Served(Install(database, tmp_path), tmp_path)
    try:
        url = f"rediss://127.0.0.1:{port}"
        s.install.write(ROLES + ROUTES + LIVE.format(url=url))
        s.daemon.start().wait_ready()
        s.daemon.wait_log("TLS: the server's certificate: ")
        s.configure(url, url + f"\nca_file = {tmp_path}/ca.pem")
        s.daemon.signal(signal.SIGHUP)
        s.daemon.wait_log("listen projects: connected")
        s.configure(url, url.replace("127.0.0.1", "localhost"))
        s.daemon.signal(signal.SIGHUP)
        s.daemon.wait_log("TLS: the server's certificate: hostname mismatch")
        s.daemon.stop()
    finally:
        s.daemon.kill()
        server.kill()


def cert(directory, name, address):
    key = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-x509", "-days", "2",
           "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.pem", "-subj", f"/CN={name}"]
    if address:
        key += ["-CA", directory / "ca.pem", "-CAkey", directory / "ca.key", "-addext",
                f"subjectAltName=IP:{address}", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(key, check=True, capture_output=True, timeout=60)
    for made in directory.glob(f"{name}.*"):
        made.chmod(0o644)
