# SPDX-License-Identifier: PostgreSQL
"""[listen] of a real Kafka: live from the end on, and into the journal as a group, each record once whatever is
killed. What is no event stops nothing."""

import itertools
import json
import re
import signal

import pytest

from conftest import HEAD, PGHERALD, Install, Served, run_pgherald
from lib.daemon import Client, Daemon, free_port, wait_until
from lib.django_env import TOP
from lib.recipe import blocks, commands, exchanged
from lib.kafka import Kafka, missing
from lib.odd import BAD, GOOD

ROLES = HEAD.replace("receives = own\n", "receives = own\nchannels = session:*\n") + """
[publish]
roles = pgherald

[route events]
path = /api/v1/sse/events/
queue_events = 100000
"""
LISTEN = """
[listen agents]
kind = kafka
server = {server}
from = {topic}
to = session:{{session}}
"""
JOURNAL = LISTEN + "journal = yes\nstart = beginning\ngroup = {topic}\n"
SHORT = "session.timeout.ms = 2000\nheartbeat.interval.ms = 300\n"  # a member that was killed is missed soon
topics = (f"agents{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    path = tmp_path_factory.mktemp("probe") / "pgherald.conf"
    path.write_text(ROLES.replace("{conninfo}", "") + LISTEN.format(server="127.0.0.1:9", topic="a"))
    if "without librdkafka" in run_pgherald("-t", "-c", path).stderr:
        pytest.skip("this pgherald is built without librdkafka")
    why = missing()
    if why:
        pytest.skip(why)
    k = Kafka(tmp_path_factory.mktemp("kafka")).start()
    yield k
    k.kill()


@pytest.fixture(scope="module")
def database(cluster, tmp_path_factory):
    db = cluster.create_database("app_template")
    install = Install(db, tmp_path_factory.mktemp("database"))
    install.write(ROLES)
    install.apply()
    yield db
    db.drop()


class Place(Served):
    def __init__(self, install, directory, kafka, partitions):
        super().__init__(install, directory)
        self.kafka, self.topic = kafka, next(topics)
        kafka.topic(self.topic, partitions)
        self.producer = kafka.producer()

    def serve(self, text):
        self.install.write(ROLES + text.format(server=self.kafka.address, topic=self.topic))
        self.daemon.start().wait_ready()
        self.daemon.wait_log("listen agents: connected")
        return self.daemon

    def send(self, value, key=None, kind=None, partition=None):
        return self.producer.send(self.topic, value, key, [("type", kind)] if kind else None, partition)

    def numbers(self, numbers, partition=None):
        """Records in their order, for session 1."""
        for n in numbers:
            self.send(json.dumps({"n": n, "session": 1}).encode(), partition=partition)
        self.producer.flush()

    def journal(self):
        return [row[0] for row in self.db.run(
            "SELECT (j.data->>'n')::int FROM pgherald.journal AS j WHERE j.op = 'm' ORDER BY j.id")]


@pytest.fixture
def place(database, kafka, tmp_path):
    database.run("DELETE FROM pgherald.journal; DELETE FROM pgherald.kept")
    s = Place(Install(database, tmp_path), tmp_path, kafka, 1)
    yield s
    s.daemon.kill()
    s.producer.close(0)


def listen(place, session=1):
    return Client(place.daemon, "token-anna", extra_query=f"channels=session:{session}").hello()


def test_progress_of_a_task_live(place):
    """Type from a header, channel from a member; from the end on, byte for byte, to this session alone."""
    place.numbers([0])
    place.serve(LISTEN)
    first, one, two = listen(place, 3), listen(place), listen(place, 2)

    def heard():  # where the end was is known to the broker alone
        place.send(b'{"session":3,"event":"task.begun"}')
        return first.messages() or (first.read_some(0.2), first.messages())[1]

    wait_until(heard, "what is sent from now on comes")
    place.send(b'{"session":2,"task_id": "123",  "progress": 5e1}', b"123", b"task.progress")
    place.send(b'{"session":1,"event":"task.done"}')
    two.wait_messages(1)
    frame, = (f for f in two.frames if f.json["event"] not in ("connected", "keepalive"))
    assert frame.json["event"] == "task.progress"
    assert '{"session":2,"task_id": "123",  "progress": 5e1}' in frame.data
    assert one.wait_messages(1)[0]["event"] == "task.done"


def test_the_recipe(place):
    """doc/recipes/kafka.md, with another address and topic; its record is the event that the page says."""
    files = blocks("kafka.md")
    assert list(files) == ["/etc/pgherald/conf.d/kafka.conf"]
    drop = place.install.conf.parent / "conf.d"
    drop.mkdir()
    (drop / "kafka.conf").write_text(exchanged(
        files.popitem()[1], ("kafka-1.example.org:9092, kafka-2.example.org:9092", place.kafka.address),
        ("from = agents", f"from = {place.topic}"), ("journal = yes", f"journal = yes\ngroup = {place.topic}\nstart = beginning")))
    place.serve("")
    c = listen(place, 4)
    page = (TOP / "doc/recipes/kafka.md").read_text(encoding="utf-8")
    kind, key, value = re.search(r"^headers: type=(\S+)\nkey: +(\S+)\nvalue: +(.+)\n", page, re.M).groups()
    place.send(value.encode(), key.encode(), kind.encode())
    message, = c.wait_messages(1)
    assert (kind, message["event"], message["data"]) == ("task.progress", kind, json.loads(value))
    properties = place.install.conf.parent / "kafka.properties"
    properties.write_text(re.search(r"^security\.protocol.*?(?=^```)", page, re.M | re.S)[0])
    properties.chmod(0o600)
    with open(drop / "kafka.conf", "a") as f:
        f.write(exchanged(commands("kafka.md", "ini")[1], ("/etc/pgherald/kafka.properties", properties)))
    done = run_pgherald("-t", "-c", place.install.conf)
    assert done.returncode == 0, done.stderr


def test_each_once_whatever_is_killed(place, cluster):
    """The daemon, the broker and PostgreSQL are killed while records come: each is in the journal once, in order."""
    d = place.serve(JOURNAL + f"properties_file = {properties(place, SHORT)}\n")
    count = itertools.count()

    def more():
        place.numbers([next(count) for _ in range(300)])

    more()
    wait_until(lambda: place.journal(), "some are in the journal")
    d.kill()
    more()
    d.start()
    more()
    place.kafka.kill()
    place.kafka.start()
    more()
    cluster.stop("immediate")
    more()
    cluster.start()
    place.db.close()
    n = next(count)
    wait_until(lambda: len(place.journal()) >= n, lambda: f"{len(place.journal())} of {n}:\n{d.log()}")
    assert place.journal() == list(range(n))
    d.stop()
    place.numbers([n])
    d.start().wait_ready()
    wait_until(lambda: len(place.journal()) > n, "it goes on")
    assert place.journal() == list(range(n + 1))


def test_odd_values(place):
    """JSON is passed on byte for byte, whatever it says; what is none is told to nobody."""
    d = place.serve(LISTEN.replace("session:{{session}}", "session:{{key}}"))
    first, one = listen(place, 3), listen(place)

    def heard():
        place.send(b"{}", b"3")
        return first.messages() or (first.read_some(0.2), first.messages())[1]

    wait_until(heard, "what is sent from now on comes")
    for n in range(max(len(GOOD), len(BAD))):
        for payload in BAD[n:n + 1] + [p.encode() for p in GOOD[n:n + 1]]:
            place.send(payload, b"1")
    place.send(b'"end"', b"1")
    one.read_until(lambda: b'"end"' in one.raw_body, "the last one")
    told = [f.data for f in one.frames if '"event": "agents"' in f.data]
    assert len(told) == len(GOOD) + 1
    for text, payload in zip(told, GOOD):
        assert f'"data": {payload}' in text
    for said in ("not JSON as RFC 8259",):
        assert d.log().count(said) == 1


def test_poison_stops_nothing(place):
    d = place.serve(JOURNAL)
    place.send(None, b"tombstone")
    for value in (b"", b"no JSON", b"\xff\0", b'{"session":"a/b"}', b'{"session":1,"n":"\\u0000"}', b"[]",
                  b'"' + b"x" * 3_000_000 + b'"'):
        place.send(value)
    place.send(b'{"session":1}', kind=b"system.resync")
    place.send(b'{"session":1}', kind=b"\xff\xfe")
    place.numbers([1])
    wait_until(lambda: place.journal() == [1], lambda: d.log())
    for said in ("not JSON as RFC 8259", "no name of a channel", "longer than 1 MiB", "one of the daemon's own"):
        assert d.log().count(said) == 1 or said == "longer than 1 MiB", said


def test_a_database_that_takes_its_time(place):
    """The topic waits meanwhile, and the member stays in its group."""
    d = place.serve(JOURNAL + f"properties_file = {properties(place, SHORT)}\n")
    place.numbers([0])
    wait_until(lambda: place.journal() == [0], "one")
    locker = place.db.connect()
    locker.autocommit = False
    with locker.cursor() as cursor:
        cursor.execute("LOCK TABLE pgherald.kept IN ACCESS EXCLUSIVE MODE")
    place.numbers(range(1, 1000))
    d.wait_log("the journal takes nothing for now")  # after its lock_timeout of 5 s
    assert d.get("/healthz")[0] == 200
    locker.rollback()
    locker.close()
    wait_until(lambda: len(place.journal()) == 1000, lambda: d.log())
    assert place.journal() == list(range(1000))
    assert d.log().count("connected, with") == 1


def properties(place, text):
    path = place.install.conf.parent / "kafka.properties"
    path.write_text(text)
    path.chmod(0o640)
    return path


@pytest.mark.parametrize("start", ["end", "beginning"])
def test_what_the_broker_has_forgotten_is_said(place, start):
    """The daemon was away for longer than the topic keeps its records: it goes on with what is there, wherever a group
    begins that is new, and who listens hears that something is missing."""
    text = JOURNAL.replace("start = beginning", f"start = {start}")
    d = place.serve(text)
    if start == "end":  # where that was is known to the broker alone
        wait_until(lambda: (place.numbers([0]), place.journal())[1], "it reads")
        d.stop()
        place.db.run("DELETE FROM pgherald.journal; DELETE FROM pgherald.kept")
    else:
        place.numbers(range(3))
        wait_until(lambda: place.journal() == [0, 1, 2], "it reads")
        d.stop()
    before = len(place.journal())
    first = place.send(b'{"n": 100, "session": 1}').get(30).offset
    place.numbers(range(101, 110))
    place.kafka.forget(place.topic, first + 5)
    with_it = place.install.conf.read_text()
    place.install.write(ROLES)
    offset = d.log_size()
    d.start().wait_ready()
    client = listen(place)
    place.install.conf.write_text(with_it)
    d.signal(signal.SIGHUP)
    wait_until(lambda: place.journal()[-1:] == [109], lambda: d.log()[offset:])
    assert place.journal()[before:] == [105, 106, 107, 108, 109]
    d.wait_log("are gone that were not read yet", offset)
    assert client.wait_message("system.resync", reason="gap")["data"]["topics"] == ["agents"]


def test_two_daemons_share_a_group(database, kafka, tmp_path):
    database.run("DELETE FROM pgherald.journal; DELETE FROM pgherald.kept")
    place = Place(Install(database, tmp_path), tmp_path, kafka, 2)
    other = tmp_path / "other.conf"
    second = Daemon(PGHERALD, other, tmp_path / "other.log")
    try:
        first = place.serve(JOURNAL)
        other.write_text(place.install.conf.read_text().replace(
            f"listen = 127.0.0.1:{first.address[1]}", "listen = 127.0.0.1:0"))
        second.start().wait_ready()
        second.wait_log("listen agents: connected")
        for partition in (0, 1):
            place.numbers(range(partition * 100, partition * 100 + 100), partition)
        wait_until(lambda: len(place.journal()) >= 200, "all of them")
        first.stop()
        place.numbers(range(200, 300), 0)
        place.numbers(range(300, 400), 1)
        wait_until(lambda: len(place.journal()) >= 400, lambda: second.log())
        assert sorted(place.journal()) == list(range(400))
    finally:
        place.daemon.kill()
        second.kill()
        place.producer.close(0)


def test_away_from_the_start(install, tmp_path):
    """Nobody there: it is said once, the daemon serves, and ends in time when it is told to."""
    install.write(ROLES + JOURNAL.format(server=f"127.0.0.1:{free_port()}", topic="a"))
    if "without librdkafka" in run_pgherald("-t", "-c", install.conf).stderr:
        pytest.skip("this pgherald is built without librdkafka")
    install.apply()
    s = Served(install, tmp_path)
    d = s.daemon.start().wait_ready()
    try:
        d.wait_log("listen agents: ")
        d.stop()
    finally:
        d.kill()
    assert "left behind" not in d.log()


@pytest.mark.parametrize("section, said", [
    ("from = a\n", "has no server"),
    ("server = h\n", "from must have 1 to 16 names"),
    ("server = h\nfrom = a\npayload_field = b\n", "payload_field means nothing with kind = kafka"),
    ("server = h\nfrom = a\nproperties_file = x\n", "properties_file, which must begin with /"),
    ("server = h\nfrom = a\nproperties_file = {file}\n", "none of those that pgherald.conf(5) lists"),
])
def test_what_is_refused(install, tmp_path, section, said):
    check_refused(install, tmp_path, section, said, "plugin.library.paths = pw.so\n")


@pytest.mark.parametrize("text, said", [
    ("security.protocol = pw\n", "librdkafka does not take this security.protocol"),
    ("sasl.password\n", "is not name = value"),
    ("enable.auto.commit = true\n", "none of those"),
    ("sasl.kerberos.kinit.cmd = pw\n", "none of those"),
])
def test_which_properties_are_refused(install, tmp_path, text, said):
    check_refused(install, tmp_path, "server = h\nfrom = a\nproperties_file = {file}\n", said, text)


def check_refused(install, tmp_path, section, said, text):
    path = tmp_path / "properties"
    path.write_text("# for the brokers\n\n" + text)
    path.chmod(0o600)
    install.write(ROLES + "\n[listen x]\nkind = kafka\n" + section.format(file=path))
    done = run_pgherald("-t", "-c", install.conf)
    if "without librdkafka" in done.stderr:
        pytest.skip("this pgherald is built without librdkafka")
    assert done.returncode != 0 and said in done.stderr, done.stderr
    assert "pw" not in done.stderr
