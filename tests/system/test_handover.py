# SPDX-License-Identifier: PostgreSQL
"""A restart that nobody notices: live streams go to the next process with their connections. Here
lib/manager.py is systemd; packaging/test restart does it with the real one and 5,000 streams."""

import fcntl
import json
import os
import signal
import socket
import threading

import pytest

from conftest import PGHERALD, run_pgherald
from lib.daemon import Answer, Client, Lines, Reader, wait_until
from lib.manager import Managed, Store
from lib.websocket import CLOSE, CONTINUATION, PING, PONG, TEXT, WebSocket, close_payload, frame


@pytest.fixture
def kept(served, tmp_path):
    """A daemon with a store, and what keeps its listening socket."""
    store = Store()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        served.use_long_queues()
        served.configure("[server]\n", "[server]\ndrain = 1s\nmax_streams_per_user = 0\n"
                         "max_requests_per_address = 0\n")
        served.daemon = Managed(PGHERALD, served.install.conf, tmp_path / "daemon.log", [listener],
                                store, 2)
        served.daemon.start().wait_ready()
        yield served
        served.daemon.kill()
    store.close()


def leave(kept):
    """The stop of a restart: the process has ended, the store has what it gave away."""
    kept.daemon.signal(signal.SIGUSR2)
    kept.daemon.signal(signal.SIGTERM)
    assert kept.daemon.wait_end() == 0, kept.daemon.log()


def restart(kept):
    leave(kept)
    kept.daemon.start().wait_ready()


def insert(kept, number, foreman=2):
    kept.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES (%s, 10, %s)",
                (number, foreman))


def numbers(client):
    return [n for n in every_number(client) if n != "live"]


def every_number(client):
    return [m["data"]["estimate_number"] for m in client.messages()
            if m["event"] == "estimate.created"]


def also(query, more):
    return "&".join(filter(None, [query, more]))


def ndjson(d, token, extra_query="", **kw):
    return Client(d, token, parser=Lines(), extra_query=also("transport=ndjson", extra_query), **kw)


TRANSPORTS = {"sse": Client, "ndjson": ndjson, "websocket": WebSocket}


def listen(kept, token, transport="sse", **kw):
    """A client that is live: it has heard something, for the greeting comes before that."""
    c = TRANSPORTS[transport](kept.daemon, token, **kw).hello()
    insert(kept, "live", 3 if token == kept.boris else 2)
    return c.read_until(lambda: every_number(c))


def poll(kept, token, last_id=None, **kw):
    """A client whose poll waits. With one worker: whoever comes later is live later."""
    c = Client(kept.daemon, token, last_id, parser=Answer(), extra_query="transport=poll", **kw)
    c.read_until(lambda: b"connected" in c.raw_body)
    listen(kept, kept.boris if token != kept.boris else kept.anna).close()
    return c


def answered(c):
    """What a poll was answered: numbers, and where it goes on; it is whole."""
    c.wait_end()
    c.frames, c.last_id = c.parser.finish()
    assert c.last_id, c.raw_body
    return numbers(c)


def one_worker(kept):
    kept.configure("[server]\n", "[server]\nworkers = 1\n")
    restart(kept)


def greetings(c):
    return [f.json["event"] for f in c.frames].count("connected")


def test_same_connection_same_position(kept):
    """Every kind of client hears what happens before, during and after, once, and is never
    greeted again; its position is good for any later reconnect."""
    clients = [listen(kept, kept.boss),
               listen(kept, kept.anna),
               listen(kept, kept.boss, version="1.0"),
               listen(kept, kept.boss, extra_query="types=estimate.created"),
               listen(kept, kept.boss, "ndjson"),
               listen(kept, kept.anna, "ndjson", version="1.0"),
               listen(kept, kept.boss, "websocket", extra_query="topics=estimate"),
               listen(kept, kept.anna, "websocket")]
    boris = listen(kept, kept.boris)
    insert(kept, "before")
    for c in clients:
        c.read_until(lambda c=c: numbers(c) == ["before"])
    leave(kept)
    # However many streams they are.
    assert sorted(n for n, _ in kept.daemon.store.fds) == ["pgherald-state", "pgherald-streams"]
    insert(kept, "between")
    kept.daemon.start().wait_ready()
    insert(kept, "after")
    for c in clients:
        c.read_until(lambda c=c: len(numbers(c)) == 3)
        assert numbers(c) == ["before", "between", "after"] and not c.ended
        assert greetings(c) == 1
    insert(kept, "his", 3)
    boris.read_until(lambda: numbers(boris) == ["his"])
    assert not kept.daemon.store.fds  # they are the daemon's alone: a client sees when it closes
    back = [listen(kept, kept.anna, last_id=c.last_id) for c in clients if c.last_id]
    assert len(back) == len(clients)
    insert(kept, "last")
    for c in back[1], back[5], back[7]:
        c.read_until(lambda c=c: numbers(c)[-1:] == ["last"])
        assert numbers(c) == ["last"]
    kept.daemon.wait_log("9 streams of the process before go on; 0 are told to come back")


def test_a_poll_waits_on(kept):
    """It is answered by the next process, at its time, with what comes then and where to go on."""
    kept.install.conf.write_text(kept.install.conf.read_text().replace(
        "[route events]\n", "[route events]\nkeepalive = 1h\n"))
    one_worker(kept)
    position = listen(kept, kept.anna).last_id
    first, later = poll(kept, kept.anna), poll(kept, kept.anna, position)
    leave(kept)
    assert not first.ended and not later.ended
    insert(kept, "between")
    kept.daemon.start().wait_ready()
    assert answered(first) == ["between"] and greetings(first) == 1
    assert answered(later)[-1] == "between"
    insert(kept, "after")
    again = Client(kept.daemon, kept.anna, first.last_id, parser=Answer(), extra_query="transport=poll")
    assert answered(again) == ["after"]
    # One for whom nothing comes ends when it would have.
    kept.configure("keepalive = 1h", "keepalive = 2s")
    restart(kept)
    quiet = poll(kept, kept.anna, again.last_id)
    restart(kept)
    assert answered(quiet) == [] and quiet.raw_body.count(b"connected") == 1
    insert(kept, "last")
    assert answered(Client(kept.daemon, kept.anna, quiet.last_id, parser=Answer(),
                           extra_query="transport=poll")) == ["last"]


class Asker(threading.Thread):
    """Polls, again and again, and keeps what it was told. While nobody is there its request waits."""

    def __init__(self, kept):
        super().__init__(daemon=True)
        self.kept, self.told, self.last_id, self.running, self.error = kept, [], None, True, None
        self.start()

    def run(self):
        try:
            while self.running:
                self.ask()
        except Exception as e:
            self.error = e

    def ask(self):
        c = Client(self.kept.daemon, self.kept.boss, self.last_id, parser=Answer(), extra_query="transport=poll")
        c.wait_end()
        if c.status == 503:  # it came in the moment of the stop
            return
        self.told += answered(c)
        self.last_id = c.last_id


def test_again_and_again_with_writers(kept):
    """No event is lost or doubled, no connection closed, whenever the stop comes."""
    kinds = ["sse", "sse", "sse", "ndjson", "websocket"] * 60
    clients = [TRANSPORTS[kind](kept.daemon, kept.boss).hello() for kind in kinds]
    insert(kept, "live")
    reader = Reader()
    reader.start()
    for c in clients:
        reader.add(c)
    wait_until(lambda: all(every_number(c) for c in clients), "all are live")
    askers = [Asker(kept) for _ in range(3)]
    wait_until(lambda: all(a.last_id or a.error for a in askers) or insert(kept, "live"), "they have been answered")
    ended, written = threading.Event(), []

    def write(name):
        n = 0
        while not ended.is_set():
            n += 1
            with kept.db.connect() as db, db.cursor() as cursor:
                cursor.execute("INSERT INTO api_estimate (number, project_id) VALUES (%s, 10)",
                               (f"{name}-{n}",))
            db.close()
            written.append(f"{name}-{n}")

    writers = [threading.Thread(target=write, args=(i,)) for i in range(3)]
    for w in writers:
        w.start()
    try:
        for _ in range(4):
            size = len(written)
            wait_until(lambda size=size: len(written) > size + 10, "writers write")
            restart(kept)
    finally:
        ended.set()
        for w in writers:
            w.join()
    wait_until(lambda: all(len(numbers(c)) >= len(written) or c.ended for c in clients) and
               all(len(a.told) >= len(written) or a.error for a in askers), "all of it is heard")
    for a in askers:
        a.running = False
    insert(kept, "live")
    for a in askers:
        a.join()
        assert not a.error and sorted(n for n in a.told if n != "live") == sorted(written)
    reader.stop()
    for c in clients:
        assert sorted(numbers(c)) == sorted(written)
        assert greetings(c) == 1 and not c.ended
        assert not [m for m in c.messages() if m["event"] == "system.resync"]


def test_rights_are_looked_up_before_the_first_event(kept):
    """Who lost them while nobody was there hears nothing of what was written since, but why, where his
    transport has words for that."""
    annas = [listen(kept, kept.anna, t) for t in TRANSPORTS]
    bosses = [listen(kept, kept.boss, t) for t in TRANSPORTS]
    leave(kept)
    assert "6 streams are handed over" in kept.daemon.log()
    kept.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    insert(kept, "secret")
    kept.daemon.start().wait_ready()
    for c in bosses:
        c.read_until(lambda c=c: numbers(c) == ["secret"])
    for c in annas:
        c.wait_end()
        assert not numbers(c)
    assert annas[2].parser.closed[0] == 4401


def test_an_address_that_may_come_no_more(kept):
    """The configuration of the restart counts, also for from where they had come."""
    text = kept.install.conf.read_text().replace("[server]\n", "[server]\ntrusted_proxies = 127.0.0.2\n")
    route = "[route inside]\npath = /inside/\nallow_ips = "
    kept.install.conf.write_text(text + route + "10.0.0.0/8, 2001:db8::/32\n")
    restart(kept)
    names = ("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2")
    clients = {(name, t): listen(kept, kept.boss, t, path="/inside/", source=("127.0.0.2", 0),
                                 headers={"X-Forwarded-For": name}) for name in names for t in TRANSPORTS}
    kept.install.conf.write_text(text + route + "10.0.0.1, 2001:db8::1\n")
    leave(kept)
    insert(kept, "between")
    kept.daemon.start().wait_ready()
    for (name, _), c in clients.items():
        if name.endswith("1"):
            c.read_until(lambda c=c: numbers(c) == ["between"])
        else:
            assert numbers(c.wait_end()) == []


def test_a_role_that_changed(kept):
    anna = listen(kept, kept.anna)
    leave(kept)
    kept.db.run("UPDATE api_user SET role = 'manager' WHERE id = 2")
    insert(kept, "of boris", 3)
    kept.daemon.start().wait_ready()
    anna.read_until(lambda: numbers(anna) == ["of boris"])


def test_channels_that_a_role_names(kept):
    """They go along with who still has the role; who has another one comes back, for other channels."""
    kept.configure("receives = own\n", "receives = own\nchannels = team:*\n")
    kept.configure("receives = all\n", "receives = all\nchannels = team:*\n")
    kept.install.conf.write_text(kept.install.conf.read_text() + "[route team]\npath = /team\nchannels = team:{role}\n")
    restart(kept)

    def publish(role, text):
        kept.db.run("SELECT pgherald.publish(%s, 'note', to_jsonb(%s::text))", ("team:" + role, text))

    def notes(c):
        return [m["data"] for m in c.messages() if m["event"] == "note"]

    clients = [connect(kept.daemon, token, path="/team").hello()
               for token in (kept.anna, kept.boris) for connect in TRANSPORTS.values()]
    publish("foreman", "live")
    for c in clients:
        c.read_until(lambda c=c: notes(c) == ["live"])
    leave(kept)
    assert "6 streams are handed over" in kept.daemon.log()
    kept.db.run("UPDATE api_user SET role = 'manager' WHERE id = 3")
    publish("manager", "of managers")
    publish("foreman", "between")
    kept.daemon.start().wait_ready()
    publish("foreman", "after")
    for c in clients[:3]:
        c.read_until(lambda c=c: len(notes(c)) == 3)
        assert notes(c) == ["live", "between", "after"] and greetings(c) == 1
    for c in clients[3:]:
        c.wait_end()
        assert notes(c) == ["live"] and 3000 <= c.parser.retry <= 9000
    assert clients[5].parser.closed[0] == 1012
    back = Client(kept.daemon, kept.boris, clients[3].last_id, path="/team").hello()
    back.read_until(lambda: notes(back) == ["of managers"])


def test_channels_that_a_credential_brings_along(kept, tmp_path):
    """They go along with who still has the same; who has others comes back, for those."""
    def keys(*lines):
        (tmp_path / "keys").write_text("\n".join(lines) + "\n")
        (tmp_path / "keys").chmod(0o600)

    def key():
        made = run_pgherald("token", "key", "--user", "robot", "--role", "foreman", "--channels", "board.1,board.2")
        return made.stdout.strip().split("\n")

    (same, token), (line, other) = key(), key()
    keys(same, line)
    kept.configure("receives = own\n", "receives = own\nchannels = board.*\n")
    kept.install.conf.write_text(kept.install.conf.read_text() + f"""
[auth robots]
preset = apikey
key_file = {tmp_path}/keys
users = claims
[route robots]
path = /robots
auth = robots
""")
    restart(kept)
    clients = [connect(kept.daemon, None, path="/robots", headers={"X-API-Key": t}).hello()
               for t in (token, other) for connect in (Client, ndjson)]

    def heard(c):
        return [m["data"] for m in c.messages() if m["event"] == "note"]

    def publish(n):
        kept.db.run("SELECT pgherald.publish(%s, 'note', to_jsonb(%s))", (f"board.{n}", n))

    publish(1)
    for c in clients:
        c.read_until(lambda c=c: heard(c) == [1])
    leave(kept)
    assert "4 streams are handed over" in kept.daemon.log()
    keys(same, line.replace("board.1,board.2", "board.1,board.3"))
    publish(2)
    publish(3)
    kept.daemon.start().wait_ready()
    for c in clients[:2]:
        c.read_until(lambda c=c: heard(c) == [1, 2])
    for c in clients[2:]:
        c.wait_end()
        assert heard(c) == [1] and c.parser.retry >= 3000
    back = Client(kept.daemon, None, clients[2].last_id, path="/robots", headers={"X-API-Key": other}).hello()
    back.read_until(lambda: heard(back) == [3])


def test_what_was_chosen_in_mid_stream_goes_along(kept):
    """Also when all of a kind has been given up one by one, which is not the same as nothing chosen."""
    kept.configure("receives = own\n", "receives = own\nchannels = project.*\n")
    restart(kept)
    c = listen(kept, kept.anna, "websocket", extra_query="channels=project.1")
    some = listen(kept, kept.boss, "websocket", extra_query="types=estimate.created,project.created")
    none = listen(kept, kept.anna, "websocket", extra_query="topics=estimate")

    def ask(client, action, **data):
        def answers():
            return [m["data"] for m in client.messages() if m["event"] == f"system.{action}d"]
        n = len(answers())
        client.ask({"action": action, "data": data}).read_until(lambda: len(answers()) > n)
        return answers()[n]

    def say(channel, value):
        kept.db.run("SELECT pgherald.publish(%s, 'note', to_jsonb(%s))", (channel, value))

    def notes(client):
        return [m["data"] for m in client.messages() if m["event"] == "note"]

    ask(c, "unsubscribe", channel="project.1")
    ask(c, "subscribe", channels=["project.2", "project.3"])
    ask(some, "unsubscribe", types="estimate.created")
    ask(none, "unsubscribe", topics="estimate")
    leave(kept)
    assert "3 streams are handed over" in kept.daemon.log()
    for n in (1, 2, 3):
        say(f"project.{n}", n)
    insert(kept, "heard by the first")
    kept.db.run("INSERT INTO api_project (name) VALUES ('Ferry')")
    kept.daemon.start().wait_ready()
    c.read_until(lambda: len(notes(c)) == 2 and numbers(c))
    assert notes(c) == [2, 3]
    some.read_until(lambda: some.messages()[-1]["event"] == "project.created")
    assert ask(none, "subscribe", channel="project.1") == {"topics": [], "types": None, "channels": ["project.1"]}
    ask(none, "subscribe", topics="estimate")
    ask(c, "unsubscribe", channel="project.3")  # he goes on choosing
    say("project.3", 4)
    say("project.1", 5)
    say("project.2", 6)
    c.read_until(lambda: notes(c) == [2, 3, 6])
    insert(kept, "chosen again")
    none.read_until(lambda: numbers(none)[-1:] == ["chosen again"])
    assert not numbers(some)


def half(kept, *, fin=True):
    """A WebSocket of which half a message has been read: what stands before it has been answered."""
    c = listen(kept, kept.boss, "websocket")
    rest = frame(TEXT, '{"action": "ping"}', fin=fin)
    c.send(frame(PING, b"before") + (rest if not fin else rest[:9])).wait_control(PONG, b"before")
    return c


def test_in_the_middle_of_a_message(kept):
    """Half a frame, or some frames of a message: that WebSocket is closed properly, and comes back."""
    whole, frames = listen(kept, kept.boss, "websocket"), listen(kept, kept.boss, "websocket")
    frames.send(frame(TEXT, '{"action":', fin=False), frame(CONTINUATION, ' "ping"}'))
    frames.read_until(lambda: [m for m in frames.messages() if m["event"] == "system.pong"])
    cut = [half(kept), half(kept, fin=False)]
    leave(kept)
    assert "2 streams are handed over" in kept.daemon.log()
    for c in cut:
        assert c.wait_closed() == (1012, "connect again") and 3000 <= c.parser.retry <= 9000
    # What nobody has read is read by the next process.
    whole.send(frame(PING, b"between"), frame(TEXT, '{"action": "ping"}'))
    insert(kept, "between")
    kept.daemon.start().wait_ready()
    whole.wait_control(PONG, b"between")
    whole.read_until(lambda: [m for m in whole.messages() if m["event"] == "system.pong"])
    back = [whole, frames] + [listen(kept, kept.boss, "websocket", last_id=c.last_id) for c in cut]
    for c in back:
        c.read_until(lambda c=c: numbers(c))
        assert numbers(c) == ["between"]


def test_while_a_websocket_closes(kept):
    """Whoever closed, both hear of it, from this process or the next one."""
    ours, theirs = listen(kept, kept.boss, "websocket"), listen(kept, kept.boss, "websocket")
    ours.send(frame(PING, b"x" * 126)).read_until(lambda: ours.parser.closed)  # and says nothing to that
    kept.daemon.signal(signal.SIGSTOP)
    theirs.send(frame(CLOSE, close_payload(1000)))
    for number in signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT:
        kept.daemon.signal(number)
    assert kept.daemon.wait_end() == 0, kept.daemon.log()
    kept.daemon.start().wait_ready()
    assert theirs.wait_closed() == (1000, "") and ours.wait_closed()[0] == 1002


def test_who_answers_no_ping(kept):
    """He is watched on: what he has been silent before counts, what nobody was there does not."""
    kept.install.conf.write_text(kept.install.conf.read_text().replace(
        "[route events]\n", "[route events]\nkeepalive = 1s\nstall = 6s\n"))
    restart(kept)
    silent, polite = (listen(kept, kept.boss, "websocket") for _ in range(2))

    def pings(c):
        return [p for o, p in c.parser.control if o == PING]

    silent.read_until(lambda: len(pings(silent)) >= 3)
    polite.read_until(lambda: pings(polite))
    polite.send(frame(PONG), frame(PING, b"mine")).wait_control(PONG, b"mine")
    leave(kept)
    (state,) = kept.daemon.store.named("pgherald-state")
    streams = os.pread(state, 1 << 20, 0).split(b"\0stream\0")[1:]
    silences = sorted(int(s.split(b"\0")[15]) for s in streams)
    assert len(silences) == 2 and silences[0] < silences[1] and silences[1] >= 2, streams
    kept.daemon.start().wait_ready()
    n = len(pings(polite))
    while not silent.parser.closed:
        silent.read_some(0.1)
        polite.read_some(0.1)
        polite.send(frame(PONG))
    assert silent.parser.closed == (4408, "no answer to a ping")
    assert len(pings(polite)) > n and not polite.ended


def test_a_websocket_whose_credential_is_another_by_now(kept):
    """It goes on with that one. While it is looked up an answer is owed, and that is told to come back."""
    kept.db.run("ALTER TABLE authtoken_token DROP CONSTRAINT authtoken_token_user_id_key")
    kept.db.run("INSERT INTO authtoken_token (key, user_id) VALUES ('token-anna-2', 2)")
    c, asking = listen(kept, kept.anna, "websocket"), listen(kept, kept.anna, "websocket")

    def told(client, event):
        return [m for m in client.messages() if m["event"] == event]

    renew = {"action": "renew", "data": {"token": "token-anna-2"}}
    c.ask(renew).read_until(lambda: told(c, "system.renewed"))
    insert(kept, "renewed")
    c.read_until(lambda: numbers(c) == ["renewed"])
    holder = kept.db.connect(autocommit=False)
    holder.cursor().execute("LOCK TABLE authtoken_token IN ACCESS EXCLUSIVE MODE")
    asking.ask(renew)
    wait_until(lambda: kept.db.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                   " AND usename = 'pgherald'"), "it is looked up")
    leave(kept)
    assert "1 streams are handed over" in kept.daemon.log()
    assert asking.wait_closed()[0] == 1012 and not told(asking, "system.renewed")
    holder.cursor().execute("DELETE FROM authtoken_token WHERE key = 'token-anna'")
    holder.commit()
    holder.close()
    insert(kept, "between")
    kept.daemon.start().wait_ready()
    c.read_until(lambda: numbers(c) == ["renewed", "between"])
    kept.db.run("DELETE FROM authtoken_token WHERE key = 'token-anna-2'")
    assert c.wait_closed()[0] == 4401


def test_channels_go_along(kept):
    """As far as his role may hear them by then."""
    kept.configure("receives = own\n", "receives = own\nchannels = project.*\n")
    restart(kept)
    c = listen(kept, kept.anna, extra_query="channels=project.1,project.2")
    leave(kept)
    say = "SELECT pgherald.publish(%s, 'note', to_jsonb(%s))"
    kept.db.run(say, ("project.1", 1))
    kept.db.run(say, ("project.3", 2))
    kept.daemon.start().wait_ready()
    kept.db.run(say, ("project.2", 3))
    insert(kept, "after")
    c.read_until(lambda: numbers(c) == ["after"])
    assert [m["data"] for m in c.messages() if m["event"] == "note"] == [1, 3]
    assert [f.json["event"] for f in c.frames].count("connected") == 1
    leave(kept)
    assert "1 streams are handed over" in kept.daemon.log()
    kept.configure("channels = project.*\n", "channels = project.1\n")
    kept.daemon.start().wait_ready()
    c.wait_end()


def test_who_owes_his_client_something_says_farewell(kept):
    """A client that does not read cannot be handed over in the middle of an event."""
    good, slow = listen(kept, kept.boss), listen(kept, kept.boss)
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    kept.db.run("INSERT INTO api_estimate (number, project_id)"
                " SELECT repeat('x', 2000) || i, 10 FROM generate_series(1, 450) i")
    good.read_until(lambda: len(numbers(good)) == 450)
    leave(kept)
    assert "1 streams are handed over" in kept.daemon.log()
    slow.read_until(lambda: slow.ended)
    kept.daemon.start().wait_ready()
    insert(kept, "after")
    good.read_until(lambda: numbers(good)[-1] == "after")


def test_who_still_reads_the_journal_goes_on_as_well(kept):
    """He is as far as his position says; the next process reads on from there."""
    anna = listen(kept, kept.anna)
    position = anna.last_id
    insert(kept, "missed")
    anna.read_until(lambda: numbers(anna) == ["missed"])
    kept.daemon.stop()
    kept.daemon.start().wait_ready()  # its ring has nothing that was told before
    holder = kept.db.connect(autocommit=False)
    holder.cursor().execute("LOCK TABLE pgherald.journal IN ACCESS EXCLUSIVE MODE")
    back = Client(kept.daemon, kept.anna, last_id=position).hello()
    wait_until(lambda: kept.db.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                   " AND query ~ 'missed|replay|journal' AND usename = 'pgherald'") >= 2,
               "the reader and the replay wait")
    leave(kept)
    assert "1 streams are handed over" in kept.daemon.log()
    holder.rollback()
    insert(kept, "between")
    kept.daemon.start().wait_ready()
    insert(kept, "after")
    back.read_until(lambda: len(numbers(back)) == 3)
    assert numbers(back) == ["missed", "between", "after"] and not back.ended
    assert [f.json["event"] for f in back.frames].count("connected") == 1


def test_places_of_a_route_are_kept(kept):
    """Who goes on has the place that he had; one that came with the restart turns nobody away."""
    kept.install.conf.write_text(kept.install.conf.read_text().replace(
        "[route events]\n", "[route events]\nmax_streams = 3\nmax_streams_per_address = 3\n"))
    restart(kept)
    clients = [listen(kept, kept.boss, t) for t in TRANSPORTS]
    restart(kept)
    insert(kept, "after")
    for c in clients:
        c.read_until(lambda c=c: numbers(c) == ["after"])
    assert kept.daemon.get("/api/v1/sse/events/?transport=poll", kept.boss)[0] in (429, 503)
    before = "max_streams = 3\nmax_streams_per_address = 3"
    for restarts, now in enumerate(("max_streams = 1", "max_streams = 2\nmax_streams_per_address = 9"), 1):
        kept.configure(before, now)
        restart(kept)
        insert(kept, "more")
        before = now
        for c in clients:
            c.read_until(lambda c=c: numbers(c).count("more") == restarts)
    # and all of them are counted, also who had no place before and those beyond the limit
    clients.pop(0).close()
    wait_until(lambda: kept.daemon.streams(kept.boss) == 2, "one has gone")
    assert kept.daemon.get("/api/v1/sse/events/?transport=poll", kept.boss)[0] == 503
    clients.pop(0).close()
    wait_until(lambda: kept.daemon.streams(kept.boss) == 1, "another one")
    Client(kept.daemon, kept.boss).hello().close()


def test_places_by_a_limit_that_is_new(kept):
    """Those of an address are counted by it, whichever transport they have."""
    clients = [listen(kept, kept.boss, t) for t in TRANSPORTS]
    kept.configure("[route events]\n", "[route events]\nmax_streams_per_address = 3\n")
    restart(kept)
    insert(kept, "after")
    for c in clients:
        c.read_until(lambda c=c: numbers(c) == ["after"])
    assert kept.daemon.get("/api/v1/sse/events/?transport=poll", kept.boss)[0] == 429
    clients.pop(0).close()
    wait_until(lambda: kept.daemon.streams(kept.boss) == 2, "one has gone")
    Client(kept.daemon, kept.boss).hello().close()


def test_places_at_a_channel_are_kept(kept):
    """And given back, also when they are fewer by then."""
    kept.install.conf.write_text(kept.install.conf.read_text().replace("receives = all\n", "receives = all\nchannels = *\n")
                                 .replace("[route events]\n", "[route events]\nmax_streams_per_channel = 3\n"))
    restart(kept)
    clients = [listen(kept, kept.boss, t, extra_query="channels=news") for t in ("sse", "ndjson", "websocket")]

    def another():
        return kept.daemon.get("/api/v1/sse/events/?channels=news", kept.boss)
    restart(kept)
    insert(kept, "first")
    for c in clients:  # they have their places again
        c.read_until(lambda c=c: numbers(c) == ["first"])
    status, _, body = another()
    assert status == 503 and json.loads(body)["code"] == "max_streams_per_channel"
    kept.configure("max_streams_per_channel = 3", "max_streams_per_channel = 1")
    restart(kept)
    clients.pop().close()
    insert(kept, "more")
    for c in clients:
        c.read_until(lambda c=c: numbers(c) == ["first", "more"])
    assert another()[0] == 503
    for c in clients:
        c.close()
    wait_until(lambda: kept.daemon.streams(kept.boss) == 0, "they have gone")
    last = Client(kept.daemon, kept.boss, extra_query="channels=news").hello()
    last.close()


def test_nobody_takes_a_place_before_its_owner_has_been_looked_up(kept):
    """The next process cannot read the tokens for a while; guests, whom it need not look up, come in first."""
    kept.install.conf.write_text(
        kept.install.conf.read_text().replace("receives = all\n", "receives = all\nchannels = *\n")
        .replace("[route events]\n", "[auth everybody]\npreset = none\nrole = guest\n[role guest]\nreceives = own\n"
                 "channels = *\n[route events]\nauth = drf, everybody\nmax_streams_per_channel = 2\n"))
    restart(kept)
    clients = [listen(kept, kept.boss, t, extra_query="channels=news") for t in ("sse", "websocket")]
    leave(kept)
    with kept.db.connect(autocommit=False) as c, c.cursor() as cursor:
        cursor.execute("LOCK authtoken_token")
        kept.daemon.start().wait_ready()
        for _ in range(3):
            guest = Client(kept.daemon, None, extra_query="channels=news")
            guest.read_until(lambda: guest.status)
            assert guest.status == 503
            guest.wait_end()
            assert b"max_streams_per_channel" in guest.raw_body
        Client(kept.daemon, None, extra_query="channels=other").hello().close()
        clients.pop().close()  # it leaves before it has come
    insert(kept, "first")
    clients[0].read_until(lambda: numbers(clients[0]) == ["first"])
    wait_until(lambda: kept.daemon.streams(kept.boss) == 1, "the other has gone")
    Client(kept.daemon, None, extra_query="channels=news").hello().close()


def replace_state(kept, old, new):
    """What the next process finds is of another version."""
    (state,) = kept.daemon.store.named("pgherald-state")
    text = os.pread(state, 1 << 20, 0)
    assert old in text
    with pytest.raises(OSError):
        os.pwrite(state, b"x", 0)  # sealed
    other = os.memfd_create("other", os.MFD_ALLOW_SEALING)
    os.write(other, text.replace(old, new, 1))
    fcntl.fcntl(other, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK |
                fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    kept.daemon.store.drop("pgherald-state")
    kept.daemon.store.fds.append(("pgherald-state", other))


@pytest.mark.parametrize("format", [b"pgherald streams 2\0", b"pgherald streams 9\0", None])
def test_a_state_that_cannot_be_read(kept, format):
    """A version that does not know it, or does not have it, says farewell to all, to each in his form."""
    one_worker(kept)
    clients = [listen(kept, kept.boss),
               listen(kept, kept.boss, version="1.0"),
               listen(kept, kept.boss, "ndjson"),
               listen(kept, kept.boss, "ndjson", version="1.0"),
               listen(kept, kept.boss, "websocket")]
    waiting = poll(kept, kept.anna)
    clients[4].send(frame(PING, b"?")).wait_control(PONG)
    leave(kept)
    assert "6 streams are handed over" in kept.daemon.log()
    clients[4].send(frame(PING, b"nobody reads this"))
    if format:
        replace_state(kept, b"pgherald streams 4\0", format)
    else:
        kept.daemon.store.drop("pgherald-state")
    kept.daemon.start()
    for c in clients:
        c.wait_end()
        assert 3000 <= c.parser.retry <= 9000
    assert [c.messages()[-1]["event"] for c in clients[2:]] == ["system.farewell"] * 3
    assert clients[4].parser.closed == (1012, "connect again")
    assert answered(waiting) == []  # and where to go on
    kept.daemon.wait_log("0 streams of the process before go on; 6 are told to come back")
    insert(kept, "after")
    back = listen(kept, kept.anna, last_id=waiting.last_id)
    assert every_number(back)[0] == "after"


def test_without_a_database_they_wait(kept):
    """Not for ever; and once it is there they go on."""
    c = listen(kept, kept.boss)
    leave(kept)
    insert(kept, "between")
    kept.db.run("ALTER ROLE pgherald NOLOGIN")
    kept.daemon.start()
    kept.daemon.wait_log("database")
    kept.db.run("ALTER ROLE pgherald LOGIN")
    c.read_until(lambda: numbers(c) == ["between"])
    assert not c.ended


def test_another_restart_while_they_wait(kept):
    """They go on to the process after that, each kind with what it had, and as often as there is one."""
    route = "[route inside]\npath = /inside/\nallow_ips = 127.0.0.0/8\n"
    text = kept.install.conf.read_text()
    kept.install.conf.write_text(text + route)
    one_worker(kept)
    text = kept.install.conf.read_text().replace(route, "")
    clients = [listen(kept, kept.boss, t, version=v) for t in TRANSPORTS for v in ("1.1", "1.0")
               if (t, v) != ("websocket", "1.0")]
    clients.append(listen(kept, kept.anna, extra_query="types=estimate.created"))
    gone = listen(kept, kept.boss, "websocket", path="/inside/")
    waits = poll(kept, kept.anna)
    boris, silent = listen(kept, kept.boris), clients[2]
    leave(kept)
    kept.install.conf.write_text(text)  # one whose route is no longer there is told so by the first of them
    kept.db.run("ALTER ROLE pgherald NOLOGIN")
    for n in range(3):
        insert(kept, f"between {n}")
        kept.daemon.start()
        kept.daemon.wait_log("streams of the process before go on; 0 are told to come back")
        if n == 1:  # whose right ends while he waits for the second time
            kept.db.run("DELETE FROM authtoken_token WHERE user_id = 3")
            insert(kept, "secret", 3)
        if not n:
            silent.close()
            clients.remove(silent)
            clients[3].ask({"action": "ping"})  # lies in the socket until somebody reads it
        leave(kept)
        assert kept.daemon.log().count("are handed over to the next process") == n + 3
        assert gone.wait_end().parser.closed
    insert(kept, "between 3")
    kept.db.run("ALTER ROLE pgherald LOGIN")
    kept.daemon.start().wait_ready()
    insert(kept, "after")
    told = [f"between {n}" for n in range(4)] + ["after"]
    for c in clients:
        c.read_until(lambda c=c: numbers(c)[-1:] == ["after"])
        assert [m for m in numbers(c) if m != "secret"] == told and not c.ended and greetings(c) == 1
    assert answered(waits) in (told[:4], told)  # what is there when it is flushed
    assert numbers(boris.wait_end()) == []


def test_a_plain_stop_says_farewell(kept):
    """Without the word that a start follows nothing is handed over; nor without a store."""
    c = listen(kept, kept.boss)
    kept.daemon.stop()
    c.read_until(lambda: c.ended)
    assert not kept.daemon.store.fds
    kept.daemon.store_max = 0
    kept.daemon.start().wait_ready()
    c = listen(kept, kept.boss)
    leave(kept)
    c.read_until(lambda: c.ended)
    assert not kept.daemon.store.fds
