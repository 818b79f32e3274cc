# SPDX-License-Identifier: PostgreSQL
"""A restart that nobody notices: live streams go to the next process with their connections. Here
lib/manager.py is systemd; packaging/test restart does it with the real one and 5,000 streams."""

import fcntl
import os
import signal
import socket
import threading

import pytest

from conftest import PGHERALD
from lib.daemon import Client, Reader, wait_until
from lib.manager import Managed, Store


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


def listen(kept, token, **kw):
    """A client that is live: it has heard something, for the greeting comes before that."""
    c = Client(kept.daemon, token, **kw).hello()
    insert(kept, "live", 3 if token == kept.boris else 2)
    return c.read_until(lambda: every_number(c))


def test_same_connection_same_position(kept):
    """Every kind of client hears what happens before, during and after, once, and is never
    greeted again; its position is good for any later reconnect."""
    clients = [listen(kept, kept.boss),
               listen(kept, kept.anna),
               listen(kept, kept.boss, version="1.0"),
               listen(kept, kept.boss, extra_query="types=estimate.created")]
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
        assert [f.json["event"] for f in c.frames].count("connected") == 1
    insert(kept, "his", 3)
    boris.read_until(lambda: numbers(boris) == ["his"])
    assert not kept.daemon.store.fds  # they are the daemon's alone: a client sees when it closes
    back = listen(kept, kept.anna, last_id=clients[1].last_id)
    insert(kept, "last")
    back.read_until(lambda: numbers(back) == ["last"])
    kept.daemon.wait_log("5 streams of the process before go on; 0 are told to come back")


def test_again_and_again_with_writers(kept):
    """No event is lost or doubled, no connection closed, whenever the stop comes."""
    clients = [Client(kept.daemon, kept.boss).hello() for _ in range(300)]
    insert(kept, "live")
    reader = Reader()
    reader.start()
    for c in clients:
        reader.add(c)
    wait_until(lambda: all(every_number(c) for c in clients), "all are live")
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
    wait_until(lambda: all(len(numbers(c)) >= len(written) or c.ended for c in clients), "all of it is heard")
    reader.stop()
    for c in clients:
        assert sorted(numbers(c)) == sorted(written)
        assert [f.json["event"] for f in c.frames].count("connected") == 1 and not c.ended
        assert not [m for m in c.messages() if m["event"] == "system.resync"]


def test_rights_are_looked_up_before_the_first_event(kept):
    """Who lost them while nobody was there hears nothing of what was written since."""
    anna, boss = listen(kept, kept.anna), listen(kept, kept.boss)
    leave(kept)
    kept.db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    insert(kept, "secret")
    kept.daemon.start().wait_ready()
    boss.read_until(lambda: numbers(boss) == ["secret"])
    anna.read_until(lambda: anna.ended)
    assert not numbers(anna)


def test_a_role_that_changed(kept):
    anna = listen(kept, kept.anna)
    leave(kept)
    kept.db.run("UPDATE api_user SET role = 'manager' WHERE id = 2")
    insert(kept, "of boris", 3)
    kept.daemon.start().wait_ready()
    anna.read_until(lambda: numbers(anna) == ["of boris"])


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


def test_a_state_that_cannot_be_read(kept):
    """A version that does not know it says farewell to all, each in his framing."""
    clients = [listen(kept, kept.boss),
               listen(kept, kept.boss, version="1.0")]
    leave(kept)
    (state,) = kept.daemon.store.named("pgherald-state")
    with open(os.dup(state), "rb", buffering=0) as f:
        text = os.pread(f.fileno(), 1 << 20, 0)
    assert text.startswith(b"pgherald streams 2\0")
    with pytest.raises(OSError):
        os.pwrite(state, b"x", 0)  # sealed
    other = os.memfd_create("other", os.MFD_ALLOW_SEALING)
    os.write(other, text.replace(b"streams 2", b"streams 9", 1))
    fcntl.fcntl(other, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK |
                fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    kept.daemon.store.drop("pgherald-state")
    kept.daemon.store.fds.append(("pgherald-state", other))
    kept.daemon.start()
    for c in clients:
        c.read_until(lambda c=c: c.ended)
        assert 3000 <= c.parser.retry <= 9000
        kept.daemon.wait_log("0 streams of the process before go on; 2 are told to come back")


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
