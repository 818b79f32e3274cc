# SPDX-License-Identifier: PostgreSQL
"""The promise: every committed change reaches every entitled client exactly once, in the order of
its row, and nobody else, whatever dies in between. Writers hold transactions open for random
times, roll back and use savepoints; the daemon is killed again and again, its database sessions
are terminated, the server is restarted, and clients drop and come back by Last-Event-ID, each time
over another transport, and to any of two daemons where there are two. Published messages go among them, to users, channels and everybody, from
transactions, posts and WebSockets."""

import http.client
import json
import os
import random
import threading
import time

import psycopg2
import pytest

from conftest import PGHERALD, TOLD, Install
from lib.daemon import PATIENCE_S, Answer, Client, Daemon, Lines, Parser, wait_until
from lib.websocket import Messages, WebSocket

ROWS, WRITERS, SECONDS = 12, 8, 14
KEYS = {"manager": {"1", "*"}, "foreman1": {"2", "#odd", "*"}, "foreman2": {"3", "#odd", "#even", "*"}}
AUDIENCES = [(None, "1"), (None, "2"), (None, "3"), ("odd", None), ("even", None), ("nobody", None), ("*", None)]
COMMITS = 400  # at least, however slow the machine
TOKENS = {"manager": "m" * 40, "foreman1": "a" * 40, "foreman2": "b" * 40}
USERS = {"manager": 1, "foreman1": 2, "foreman2": 3}

SCHEMA = """
CREATE TABLE api_user (id bigint PRIMARY KEY, role text, is_active boolean DEFAULT true);
CREATE TABLE authtoken_token (key text PRIMARY KEY, user_id bigint);
CREATE TABLE counter (k int PRIMARY KEY, v int NOT NULL, owner bigint);
"""

CONF = """
[server]
listen = 127.0.0.1:0
workers = 2
ring_events = {ring}
[database]
conninfo = {conninfo}
doorbell = {doorbell}
[role manager]
receives = all
publish = *
[role foreman]
receives = own
channels = odd, even
[publish]
roles = pgherald
[auth drf]
user_table = public.api_user
[watch counter]
table = public.counter
key = k
owners = owner
fields = k, v, owner
leave = k, v
[route events]
path = /api/v1/sse/events/
queue_events = 1000
[route send]
path = /send
kind = send
"""


TRANSPORTS = {"sse": Parser, "ndjson": Lines, "websocket": Messages, "poll": Answer}


class Writer(threading.Thread):
    """Transactions of one to four increments; a database that goes away is connected to again."""

    def __init__(self, dsn, seed, stopping):
        super().__init__(daemon=True)
        self.dsn, self.random, self.stopping = dsn, random.Random(seed), stopping
        self.commits, self.notes = 0, 0

    def run(self):
        while not self.stopping.is_set():
            try:
                connection = psycopg2.connect(self.dsn)
                while not self.stopping.is_set():
                    self.transaction(connection)
            except psycopg2.Error:
                self.stopping.wait(0.02)  # what comes back needs the processor more than we

    def transaction(self, connection):
        r = self.random
        try:
            with connection.cursor() as cur:
                rows = sorted(r.sample(range(ROWS), r.randint(1, 4)))
                for k in rows:
                    if r.random() < 0.2:
                        cur.execute("SAVEPOINT a")
                        cur.execute("UPDATE counter SET v = v + 1 WHERE k = %s", (k,))
                        cur.execute("ROLLBACK TO a")
                    owner = r.choice(("owner", "2", "3", "NULL"))
                    cur.execute(f"UPDATE counter SET v = v + 1, owner = {owner} WHERE k = %s", (k,))
                    if r.random() < 0.4:
                        self.publish(cur)
                    if r.random() < 0.15:
                        # a slow transaction is part of the load, not a wait of the test
                        cur.execute("SELECT pg_sleep(%s)", (r.random() * 0.15,))
            if r.random() < 0.15:
                connection.rollback()
            else:
                connection.commit()
                self.commits += 1
        except psycopg2.errors.DeadlockDetected:
            connection.rollback()

    def publish(self, cur):
        channel, user = self.random.choice(AUDIENCES)
        self.notes += 1
        key = self.random.choice((None, f"{id(self)} {self.notes}"))
        for _ in range(2 if key else 1):
            cur.execute("SELECT pgherald.publish(%s, 'note', to_jsonb(%s::text), user_id => %s, key => %s)",
                        (channel, f"{id(self)} {self.notes}", user, key))


class Speaker(threading.Thread):
    """Says the same, under one id, until it is answered that it is published."""

    def __init__(self, daemons, by, seed, stopping):
        super().__init__(daemon=True)
        self.daemons, self.by, self.random, self.stopping = daemons, by, random.Random(seed), stopping
        self.said, self.socket, self.asked = [], None, 0

    def run(self):
        while not self.stopping.is_set():
            channel, user = self.random.choice(AUDIENCES[:-1])  # those can be said in one word
            what = f"{self.by} {len(self.said)}"
            message = {"user_id": user} if user else {"channel": channel}
            while not self.stopping.is_set():
                try:
                    if getattr(self, self.by)({**message, "id": what}, what):
                        self.said.append(what)
                        break
                except (OSError, AssertionError, http.client.HTTPException):
                    self.socket = None
                self.stopping.wait(0.02)

    def post(self, message, what):
        body = json.dumps({**message, "event": "note", "data": what})
        return self.random.choice(self.daemons).request("POST", "/send", {"Authorization": "Token " + TOKENS["manager"]},
                                           body=body)[0] == 201

    def talk(self, message, what):
        if not self.socket:
            self.socket = WebSocket(self.random.choice(self.daemons), TOKENS["manager"], extra_query="types=counter.none")
        s, action = self.socket, "send_to_user" if "user_id" in message else "send_to_channel"
        self.asked += 1
        s.ask({"action": action, "request_id": self.asked, "data": {**message, "type": "note", "content": what}})
        while not (answers := [m["event"] for m in s.messages() if m.get("request_id") == self.asked]):
            s.read_some(0.05)
            if s.ended or s.parser.closed or self.stopping.is_set():
                raise OSError
        return answers == ["system.published"]


class Follower(threading.Thread):
    """A client that reads, drops at random moments and resumes; remembers what it heard."""

    def __init__(self, daemons, who, seed):
        super().__init__(daemon=True)
        self.daemons, self.who, self.random = daemons, who, random.Random(seed)
        self.heard, self.last_id, self.resumes, self.other, self.notes = [], None, 0, [], []
        self.channels = "&channels=" + ",".join(sorted(k[1:] for k in KEYS[who] if k[0] == "#"))
        self.came = []  # (connection, row, version, its id) of each of heard
        self.stopping = threading.Event()
        self.started_once = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            try:
                self.one_connection()
            except (OSError, AssertionError):
                self.stopping.wait(0.02)  # the daemon is down: again
                continue
            self.resumes += 1

    def one_connection(self):
        # Not with a poll at first: who throws away its answer has no position to come back with.
        transport = self.random.choice(list(TRANSPORTS)[:None if self.last_id else 3])
        daemon = self.random.choice(self.daemons)
        c = Client(daemon, TOKENS[self.who], self.last_id, parser=TRANSPORTS[transport](),
                   extra_query=f"transport={transport}" + self.channels * ("#odd" in KEYS[self.who]))
        self.connection = f"{transport} of {self.daemons.index(daemon)} after {self.last_id}"
        if transport == "poll":
            self.one_answer(c)
            return
        seen = 0
        drop_after = self.random.choice((1, 3, 20, 200, 5000))
        try:
            while not self.stopping.is_set() and not c.ended and seen < drop_after:
                c.read_some(0.05)
                if c.status not in (None, 101, 200):
                    return
                while seen < len(c.frames) and seen < drop_after:
                    self.take(c.frames[seen])
                    seen += 1
        finally:
            c.close()

    def one_answer(self, c):
        drops = self.random.random() < 0.2
        try:
            while not self.stopping.is_set() and not c.ended:
                c.read_some(0.05)
                if c.status not in (None, 200) or (drops and c.raw_body.count(b"\n") > 2):
                    return
        finally:
            c.close()
        frames, position = c.parser.finish()
        for frame in frames:
            self.take(frame)
        self.last_id = position or self.last_id

    def take(self, frame):
        if frame.id:
            self.last_id = frame.id
        self.started_once.set()
        message = frame.json
        if message["event"].startswith("counter."):
            d = message["data"]
            self.heard.append((d["k"], d["v"], message.get("scope")))
            self.came.append((self.connection, d["k"], d["v"], frame.id))
        elif message["event"] == "note":
            self.notes.append(message["data"])
        elif message["event"] not in ("connected", "keepalive", "system.farewell"):
            self.other.append(message)


def expected(rows, user):
    """What a user must have heard, from the journal: (k, v, scope) per event, by row in order."""
    out = []
    for before, after, doc, leave in rows:
        if user == "1" or (user in before and user in after):
            out.append((doc["k"], doc["v"], None))
        elif user in after:
            out.append((doc["k"], doc["v"], "enter"))
        elif user in before:
            out.append((leave["k"], leave["v"], "leave"))
    return out


def by_row(heard):
    rows = {}
    for k, v, scope in heard:
        rows.setdefault(k, []).append((v, scope))
    return rows


def difference(follower, k, heard, must, seed, logs):
    """What tells one fault from another: where they part, and by which connection it came."""
    at = next((i for i, (h, m) in enumerate(zip(heard, must)) if h != m), min(len(heard), len(must)))
    lo = max(at - 3, 0)
    came = [c for c in follower.came if c[1] == k][lo:at + 6]
    return (f"{follower.who} row {k}: seed {seed}: heard {heard[lo:at + 6]}, not {must[lo:at + 6]}"
            f" ({len(heard)}, {len(must)}); came by {came}\n{logs}")


@pytest.mark.parametrize("n_daemons", [1, 2], ids=["one daemon", "two daemons"])
@pytest.mark.parametrize("ring", [20000, 40], ids=["ring", "journal"])
def test_every_change_once_to_whom_it_concerns(cluster, tmp_path, ring, n_daemons):
    seed = int(os.environ.get("PGHERALD_SEED") or random.randrange(1 << 30))
    print("seed", seed)
    r = random.Random(seed)
    db = cluster.create_database()
    install = Install(db, tmp_path)
    install.write(CONF.replace("{ring}", str(ring))
                  .replace("{doorbell}", "notify" if ring > 1000 else "auto"))
    db.run(SCHEMA)
    db.run("INSERT INTO api_user VALUES (1, 'manager'), (2, 'foreman'), (3, 'foreman')")
    for who, user in USERS.items():
        db.run("INSERT INTO authtoken_token VALUES (%s, %s)", (TOKENS[who], user))
    db.run(f"INSERT INTO counter SELECT g, 0, NULL FROM generate_series(0, {ROWS - 1}) AS g")
    install.apply()
    daemons = []
    for n in range(n_daemons):
        conf = tmp_path / f"daemon{n}.conf"
        conf.write_text(install.conf.read_text())
        daemons.append(Daemon(PGHERALD, conf, tmp_path / f"daemon{n}.log"))
    try:
        run(db, daemons, r, seed)
    finally:
        for daemon in daemons:
            daemon.kill()
        db.drop()


def in_order(heard, must, who):
    """Each message once, and those of a transaction in their order."""
    assert sorted(heard) == sorted(data for _, data in must), who
    place = {data: n for n, data in enumerate(heard)}
    last = {}
    for txid, data in must:
        assert place[data] > last.get(txid, -1), (who, txid, data)
        last[txid] = place[data]


def run(db, daemons, r, seed):
    for daemon in daemons:
        daemon.start().wait_ready()
    followers = [Follower(daemons, who, r.random()) for who in TOKENS for _ in range(2)]
    for f in followers:
        f.start()
    for f in followers:
        assert f.started_once.wait(PATIENCE_S), [d.log() for d in daemons]

    end = time.monotonic() + SECONDS
    stopping = threading.Event()
    writers = [Writer(db.conninfo(), r.random(), stopping) for _ in range(WRITERS)]
    speakers = [Speaker(daemons, by, r.random(), stopping) for by in ("post", "talk")]
    for w in writers + speakers:
        w.start()
    kills = 0
    pause = threading.Event()
    while time.monotonic() < end or sum(w.commits for w in writers) < COMMITS:
        pause.wait(r.uniform(0.3, 1.2))
        daemon = r.choice(daemons)
        what = r.choice(("kill", "kill", "terminate", "terminate", "server", "stop"))
        if what == "kill":
            daemon.kill()
            daemon.start()
        elif what == "stop":
            daemon.stop()
            daemon.start()
        elif what == "terminate":
            with db.connect().cursor() as cur:
                cur.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE application_name = 'pgherald'")
        else:
            db.cluster.restart("immediate" if r.random() < 0.5 else "fast")
        kills += 1
    stopping.set()
    for w in writers + speakers:
        w.join(60)
        assert not w.is_alive()
    with db.connect().cursor() as cur:
        cur.execute(f"SELECT own_old, own_new, doc, leave FROM {TOLD}"
                    " WHERE topic = 'counter' AND op = 'u' ORDER BY id")
        rows = cur.fetchall()
        cur.execute("SELECT j.txid, j.id, j.own_new, j.data FROM pgherald.journal AS j WHERE j.op = 'm' ORDER BY j.id")
        messages = cur.fetchall()
    assert len(rows) > COMMITS / 2 and len(messages) > 50, "hardly anything was written"
    spoken = [data for _, _, _, data in messages]
    for s in speakers:
        assert len(s.said) > 20, f"{s.by} was hardly ever answered"
        assert not {what: n for what in s.said if (n := spoken.count(what)) != 1}, s.by
    wanted = {who: expected(rows, str(USERS[who])) for who in TOKENS}

    notes = {who: [(txid, data) for txid, _, own, data in messages if KEYS[who] & set(own)] for who in TOKENS}

    def complete():
        return all(len(f.heard) >= len(wanted[f.who]) and len(f.notes) >= len(notes[f.who]) for f in followers)

    try:
        wait_until(complete, "all heard")
        pause.wait(0.5)  # what should not come has had its chance: only duplicates could
    except AssertionError:
        pass  # the comparison below says what is missing
    for f in followers:
        f.stopping.set()
    for f in followers:
        f.join(PATIENCE_S)
    print("events", len(rows), "kills", kills, "resumes", sum(f.resumes for f in followers))
    for f in followers:
        assert not f.other, f"{f.who} was told {f.other[:3]}"
        heard, must = by_row(f.heard), by_row(wanted[f.who])
        for k in must:
            assert heard.get(k, []) == must[k], difference(f, k, heard.get(k, []), must[k], seed, [d.log()[-20000:] for d in daemons])
        assert not set(heard) - set(must), f.who
        in_order(f.notes, notes[f.who], f"{f.who}: seed {seed}")
    for daemon in daemons:
        daemon.stop()


def test_a_stream_that_stays_open_is_told_once_whatever_happens_behind_it(served):
    """Far more transactions are open than an id can name, and what committed between them must not come again
    with each connection that the daemon makes anew."""
    db, d = served.db, served.daemon.start().wait_ready()
    stay, told = Client(d, served.boss).hello(), 0
    open_ones = []
    try:
        for n in range(60):
            open_ones.append(db.connect(autocommit=False))
            with open_ones[-1].cursor() as cur:
                cur.execute("INSERT INTO api_estimate (number, project_id) VALUES (%s, 10)", (f"late {n}",))
            for _ in range(2):
                db.run("INSERT INTO api_estimate (number, project_id) VALUES (%s, 10)", (f"early {told}",))
                told += 1
        stay.wait_messages(told)
        for n in range(4):
            breaks = d.log().count("works again")
            db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE application_name = 'pgherald' AND datname = current_database()")
            db.run("INSERT INTO api_estimate (number, project_id) VALUES (%s, 10)", (f"break {n}",))
            d.wait_log("(?s)(works again.*){%d}" % (breaks + 1))
            stay.wait_message("estimate.created", estimate_number=f"break {n}")
    finally:
        for connection in open_ones:
            connection.commit()
            connection.close()
    stay.read_until(lambda: len(stay.messages()) >= told + 4 + 60, "those that were open")
    db.run("INSERT INTO api_estimate (number, project_id) VALUES ('end', 10)")
    stay.wait_message("estimate.created", estimate_number="end")
    numbers = [m["data"]["estimate_number"] for m in stay.messages()]
    assert len(numbers) == len(set(numbers)) == told + 4 + 60 + 1
    assert [n for n in numbers if not n.startswith("late")] == \
        [f"early {n}" for n in range(told)] + [f"break {n}" for n in range(4)] + ["end"]
