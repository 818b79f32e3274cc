# SPDX-License-Identifier: PostgreSQL
"""Replay from the journal: what came into being after a row had left somebody is not for him; it costs
who owns little what he owns; long journals go through in slices, in order."""

import random

import pytest

from conftest import CONF, PGHERALD, TOLD, copy_installed, run_pgherald
from lib.daemon import Client, Daemon, wait_until

SECRET = "Merger"
LEAVES_WITH_NAME = CONF.replace("leave = estimate_id, project_id", "leave = estimate_id, project_name")


class Site:
    def __init__(self, cluster, directory, conf, more=""):
        install = copy_installed(cluster, directory, conf)
        self.db = install.db
        install.write(conf.replace("[server]", "[server]\n" + more))
        self.daemon = Daemon(PGHERALD, install.conf, install.conf.parent / "daemon.log")
        self.daemon.start().wait_ready()

    def position(self, who):
        c = Client(self.daemon, "token-" + who).hello()
        c.close()
        return c.last_id

    def back(self, who, last_id):
        """All that he is told of what he has missed; by now the daemon has told it to others."""
        witness = Client(self.daemon, "token-boss").hello()
        self.mark("told", witness)
        witness.close()
        c = Client(self.daemon, "token-" + who, last_id).hello()
        self.mark("end", c)
        c.close()
        return c, [m for m in c.messages() if m["data"].get("topics") not in (["told"], ["end"])]

    def mark(self, word, *clients):
        self.db.run("INSERT INTO pgherald.journal (topic, op) VALUES (%s, 't'); NOTIFY pgherald", (word,))
        for c in clients:
            c.wait_message("system.resync", topics=[word])


@pytest.fixture
def site(cluster, tmp_path):
    made = []

    def make(*args):
        made.append(Site(cluster, tmp_path, *args))
        return made[0]

    yield make
    for s in made:
        s.daemon.kill()
        s.db.drop()


CREATE = "INSERT INTO api_estimate (id, number, project_id, foreman_id) VALUES (1, 'e', 10, 2)"
RENAME = f"UPDATE api_project SET name = '{SECRET}' WHERE id = 10"
GIVE = "UPDATE api_estimate SET foreman_id = 3 WHERE id = 1"
TAKE = "UPDATE api_estimate SET foreman_id = 2 WHERE id = 1"
CHANGE = "UPDATE api_estimate SET number = number || 'x' WHERE id = 1"

# What happened while Anna was away, and what she hears: (event, scope, project_name).
PASTS = {
    "given away": ([CREATE, CHANGE, GIVE, RENAME],
                   [("created", None, None), ("updated", None, None), ("updated", "leave", None)]),
    "given away and renamed at once": ([CREATE, f"{GIVE}; {RENAME}"],
                                       [("created", None, None), ("updated", "leave", None)]),
    "deleted": ([CREATE, "DELETE FROM api_estimate", RENAME],
                [("created", None, None), ("deleted", None, "Bridge")]),
    "given away and deleted": ([CREATE, GIVE, "DELETE FROM api_estimate", RENAME],
                               [("created", None, None), ("updated", "leave", None)]),
    "came back": ([CREATE, GIVE, RENAME, TAKE],
                  [("created", None, SECRET), ("updated", "leave", SECRET), ("updated", "enter", SECRET)]),
    "came back and left": ([CREATE, GIVE, TAKE, GIVE, RENAME],
                           [("created", None, None), ("updated", "leave", None),
                            ("updated", "enter", None), ("updated", "leave", None)]),
    "never his": (["INSERT INTO api_estimate (id, number, project_id, foreman_id) VALUES (1, 'e', 10, 3)",
                   RENAME], []),
    "still his": ([CREATE, RENAME], [("created", None, SECRET)]),
    # who owns them by now stands in no row of their own
    "a thousand given away at once": (
        [CREATE, "INSERT INTO api_estimate (id, number, project_id, foreman_id)"
                 " SELECT g, 'n', 11, 2 FROM generate_series(2, 1001) AS g",
         "UPDATE api_estimate SET foreman_id = 3", RENAME], [("created", None, None)]),
}


@pytest.mark.parametrize("past", PASTS)
@pytest.mark.parametrize("ring", ["ring_events = 20000", "ring_events = 1", "restart"])
def test_names_of_rows_that_have_left(site, past, ring):
    """From the journal, or told anew when the daemon starts; the ring has what was told in time."""
    statements, want = PASTS[past]
    s = site(LEAVES_WITH_NAME, ring if ring != "restart" else "")
    ids = {who: s.position(who) for who in ("anna", "boss")}
    if ring == "restart":
        s.daemon.stop()
    for statement in statements:
        s.db.run(statement)
    if ring == "restart":
        s.daemon.start().wait_ready()
    anna, heard = s.back("anna", ids["anna"])
    told = [(m["event"].split(".")[1], m.get("scope"), m["data"]["project_name"])
            for m in heard if m["event"].startswith("estimate.")]
    if ring == "ring_events = 20000":  # the names may be those of the moment
        assert [t[:2] for t in told] == [w[:2] for w in want]
    else:
        assert told == want
        assert (SECRET.encode() in anna.raw_body) == any(w[2] == SECRET for w in want)
    boss, _ = s.back("boss", ids["boss"])
    assert SECRET.encode() in boss.raw_body


@pytest.mark.parametrize("who", ["boss", "anna"])
def test_a_long_journal_in_slices(site, who):
    """More rows than a slice has, by transactions that overlap, in the order of each row."""
    s = site(CONF, "ring_events = 1")
    seed = random.randrange(1 << 30)
    print("seed", seed)
    position = s.position(who)
    r = random.Random(seed)
    s.db.run("INSERT INTO api_estimate (id, number, project_id, foreman_id)"
             " SELECT g, '0', 10, 2 + g % 2 FROM generate_series(1, 300) AS g")
    slow = s.db.connect(autocommit=False)
    for i in range(60):
        if i % 20 == 0:
            slow.cursor().execute("UPDATE api_estimate SET number = number || 's' WHERE id = 300")
        low = r.randrange(1, 50)
        s.db.run("UPDATE api_estimate SET number = %s WHERE id BETWEEN %s AND %s", (str(i), low, low + 240))
        if i % 20 == 15:
            slow.commit()
    slow.close()
    rows = s.db.run(f"SELECT txid, id, pk, doc->>'estimate_number', own_new FROM {TOLD}"
                    " WHERE topic = 'estimate' ORDER BY id")
    assert len(rows) > 14000
    _, heard = s.back(who, position)
    told = {}
    for m in heard:
        told.setdefault(str(m["data"]["estimate_id"]), []).append(m["data"]["estimate_number"])
    want = {}
    for _, _, pk, number, owners in rows:
        if who == "boss" or "2" in owners:
            want.setdefault(pk, []).append(number)
    assert told == want


def test_from_every_position_of_a_replay(site):
    """Transactions that overlap: whoever comes back with a position that he was given in the middle of a
    replay, his own or that of somebody who hears more, is told what was left of his, and nothing again."""
    s = site(CONF, "ring_events = 1")
    seed = random.randrange(1 << 30)
    print("seed", seed)
    r = random.Random(seed)
    start, n = s.position("boss"), 0
    open_ones = [s.db.connect(autocommit=False) for _ in range(6)]
    for _ in range(30):
        connection = r.choice(open_ones)
        if r.random() < 0.3:
            connection.commit()
            continue
        connection.cursor().execute("INSERT INTO api_estimate (number, project_id, foreman_id)"
                                    " VALUES (%s, 10, %s)", (str(n), r.choice((2, 3))))
        n += 1
    for connection in open_ones:
        connection.commit()
        connection.close()
    mine = {number for number, owners in
            s.db.run(f"SELECT doc->>'estimate_number', own_new FROM {TOLD} WHERE topic = 'estimate'")
            if "2" in owners}
    s.back("boss", start)  # told to others by now

    def replay(who, position):
        """(number, its position) of each event, up to the mark."""
        c = Client(s.daemon, "token-" + who, position).hello()
        c.read_until(lambda: any(m["data"].get("topics") == ["end"] for m in c.messages()), "the end")
        c.close()
        return [(f.json["data"]["estimate_number"], f.id) for f in c.frames
                if f.json["event"] == "estimate.created"]

    all_of_it = replay("boss", start)
    assert sorted(number for number, _ in all_of_it) == sorted(str(i) for i in range(n))
    seen = set()
    for i in range(n + 1):
        left = mine - {number for number, _ in all_of_it[:i]}
        told = replay("anna", all_of_it[i - 1][1] if i else start)
        assert sorted(number for number, _ in told) == sorted(left), f"after event {i} of all"
        for k, (_, position) in enumerate(told):
            if position not in seen:
                again = replay("anna", position)
                want = sorted(left - {number for number, _ in told[:k + 1]})
                assert sorted(number for number, _ in again) == want, f"after event {i} of all and {k} of his"
            seen.add(position)


def test_who_owns_little_among_many(site):
    """Of bulk transactions with one row of his each, that row alone."""
    s = site(CONF, "ring_events = 1")
    position = s.position("anna")
    for i in range(20):
        s.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) SELECT %s, 10,"
                 " CASE WHEN g = 7 THEN 2 ELSE 3 END FROM generate_series(1, 400) AS g", (f"n{i}",))
    _, heard = s.back("anna", position)
    assert [m["data"]["estimate_number"] for m in heard] == [f"n{i}" for i in range(20)]


def test_many_replays_of_one_user(site):
    """All of them at once, each of everything; somebody else's comes through, and all of them end."""
    s = site(CONF, "ring_events = 1")
    anna, boris = s.position("anna"), s.position("boris")
    s.db.run("INSERT INTO api_estimate (number, project_id, foreman_id)"
             " SELECT 'n', 10, 3 FROM generate_series(1, 400)")
    for i in range(20):
        s.db.run("UPDATE api_estimate SET number = %s", (f"n{i}",))
    crowd = [Client(s.daemon, s_token, anna) for s_token in ["token-anna"] * 40]
    c = Client(s.daemon, "token-boris", boris).hello()
    c.wait_messages(400 * 21)
    assert not any(m["event"] == "system.resync" for m in c.messages())
    s.mark("end", *crowd)
    assert all(len(a.messages()) == 1 for a in crowd)


def test_streams_of_one_user_are_bounded(site):
    assert "server max_streams_per_user 200\n" in run_pgherald("--list-settings").stdout
    s = site(CONF, "max_streams_per_user = 3")
    position = s.position("anna")
    streams = [Client(s.daemon, "token-anna", position).hello() for _ in range(3)]
    assert s.daemon.get("/api/v1/sse/events/", "token-anna")[0] == 429
    boris = Client(s.daemon, "token-boris").hello()
    streams.pop().close()
    wait_until(lambda: s.daemon.streams("token-boss") == 3, "room")
    Client(s.daemon, "token-anna", position).hello()
    boris.close()
