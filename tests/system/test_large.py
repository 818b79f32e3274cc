# SPDX-License-Identifier: PostgreSQL
"""What is large or takes long to tell holds nobody else up, and the daemon's memory stays bounded."""

import re
import threading

import pytest

from lib.daemon import Client, Reader, wait_until

MIB = 1 << 20


def slow_down(db, seconds):
    """Each row of the topic "estimate" takes so long to tell, as with a join without an index."""
    mark = db.one("SELECT substring(prosrc FROM '''[0-9a-f]{8}''') FROM pg_proc WHERE proname = 'tell_estimate'")
    kept = "(bigint[], pgherald.journal[], boolean)"
    db.run(f"ALTER FUNCTION pgherald.tell_estimate{kept} RENAME TO tell_estimate_quickly")
    db.run(f"""CREATE FUNCTION pgherald.tell_estimate(places bigint[], written pgherald.journal[], whole boolean)
      RETURNS TABLE (place bigint, txid bigint, id bigint, at timestamptz, topic text, op "char", own_old text[],
                     own_new text[], doc json, leave json, pk text, data jsonb, past jsonb)
      LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
      #variable_conflict use_column
      BEGIN  -- {mark}: by this the daemon knows that it is of its configuration
        PERFORM pg_catalog.pg_sleep({seconds} * pg_catalog.cardinality(written));
        RETURN QUERY SELECT * FROM pgherald.tell_estimate_quickly(places, written, whole);
      END $$;
      ALTER FUNCTION pgherald.tell_estimate{kept} OWNER TO pgherald_teller""")


def insert(db, number, foreman="NULL"):
    db.run("INSERT INTO api_estimate (number, project_id, foreman_id) "
           f"VALUES ('{number}', 10, {foreman})")


def order(client):
    """What has come, in one word each."""
    return [m["data"].get("estimate_number") or m["data"].get("project_name") or m["event"]
            for m in client.messages()]


def test_who_takes_long_is_waited_for_by_nobody_else(served):
    d = served.daemon.start().wait_ready()
    boss, anna, boris = (Client(d, t).hello() for t in (served.boss, served.anna, served.boris))
    first = boss.last_id
    slow_down(served.db, 0.4)
    with served.db.connect(autocommit=False) as connection, connection.cursor() as cur:
        for n in range(4):  # too much for a page that others would have to wait for
            cur.execute(f"INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('{n}', 10, 2)")
    insert(served.db, 4)
    served.db.run("UPDATE api_project SET name = 'Viaduct' WHERE id = 11")
    served.db.run("DELETE FROM authtoken_token WHERE user_id = 3")
    insert(served.db, 5)
    boris.wait_end()  # his right ends before a page of that topic can be there
    assert "Viaduct" in order(boss) or not [n for n in order(boss) if n in "012345"]
    boss.read_until(lambda: "5" in order(boss), "the slow ones")
    assert order(boss) == ["Viaduct", "0", "1", "2", "3", "4", "5"]
    anna.wait_messages(4)
    assert order(anna) == ["0", "1", "2", "3"]
    d.wait_log("estimate takes long to tell")
    # from now on at once aside; and a client that comes back from before has all of it, once
    served.db.run("UPDATE api_project SET name = 'Aqueduct' WHERE id = 11")
    insert(served.db, 6)
    boss.read_until(lambda: "6" in order(boss), "one more")
    back = Client(d, served.boss, last_id=first).hello()
    back.read_until(lambda: len(order(back)) == len(order(boss)), "all of it")
    assert sorted(order(back)) == sorted(order(boss))
    assert d.get("/readyz")[0] == 200


def test_a_transaction_of_both_waits_whole_and_what_follows_it_too(served):
    """Rows of one topic stay in order, also those that were written beside slow ones."""
    d = served.daemon.start().wait_ready()
    c = Client(d, served.boss).hello()
    slow_down(served.db, 0.6)
    insert(served.db, 0)
    insert(served.db, 1)
    with served.db.connect(autocommit=False) as connection, connection.cursor() as cur:
        cur.execute("UPDATE api_project SET name = 'one' WHERE id = 11")
        cur.execute("INSERT INTO api_estimate (number, project_id) VALUES ('2', 10)")
    served.db.run("UPDATE api_project SET name = 'two' WHERE id = 11")
    c.read_until(lambda: "two" in order(c), "the last")
    assert [w for w in order(c) if w in ("one", "two")] == ["one", "two"]
    c.read_until(lambda: len(order(c)) == 5, "all")
    assert [w for w in order(c) if len(w) == 1] == ["0", "1", "2"]


def test_a_daemon_that_dies_meanwhile_loses_none(served):
    d = served.daemon.start().wait_ready()
    c = Client(d, served.boss).hello()
    slow_down(served.db, 0.5)
    for n in range(4):
        insert(served.db, n)
    served.db.run("UPDATE api_project SET name = 'Viaduct' WHERE id = 11")
    c.read_until(lambda: "Viaduct" in order(c), "the other topic")
    served.db.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                  " WHERE application_name = 'pgherald' AND datname = current_database()")
    c.read_until(lambda: len(order(c)) == 5, "all of them")
    assert sorted(order(c)) == ["0", "1", "2", "3", "Viaduct"]
    d.kill()
    c.wait_end()
    for n in range(4, 8):
        insert(served.db, n)
    d.start().wait_ready()
    back = Client(d, served.boss, last_id=c.last_id).hello()
    back.read_until(lambda: len(order(back)) == 4, "those of the break")
    assert order(back) == ["4", "5", "6", "7"]


# --- size ------------------------------------------------------------------------------------------


def peak_memory(daemon):
    """VmHWM, bytes; nothing where it would say nothing."""
    if daemon.keeps_freed_memory():
        return 0
    with open(f"/proc/{daemon.proc.pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) << 10


@pytest.fixture
def small(served):
    """A ring of 1 MiB, so that little data is much."""
    served.configure("listen = 127.0.0.1:0", "listen = 127.0.0.1:0\nworkers = 2\nring_bytes = 1MiB")
    served.configure("  status, created_at::utc\nleave", "  status, note\nleave")
    served.install.apply()
    return served


RANDOM = ("(SELECT string_agg(md5(i::text || '{}'), '') FROM generate_series(1, {} / 32) AS i)")


def test_a_transaction_that_does_not_fit_says_fetch_again(small):
    """And the daemon grows by no more than its settings allow, whatever stands in the journal."""
    db, d = small.db, small.daemon.start().wait_ready()
    boss = Client(d, small.boss).hello()
    reader = Reader()
    reader.start()
    reader.add(boss)
    before = peak_memory(d)
    try:
        # 8 MB in one transaction, nothing of which can be compressed
        db.run("INSERT INTO api_estimate (number, project_id, note) "
               f"SELECT 'large', 10, md5(g::text) || {RANDOM.format('x', 80000)} FROM generate_series(1, 100) AS g")
        # 24 MB in as many transactions as rows, which PostgreSQL has compressed to 300 KB
        for n in range(60):
            db.run("INSERT INTO api_estimate (number, project_id, note) "
                   f"VALUES ('c{n}', 10, repeat('compressible ', 30000))")
        # one that is larger than half of the ring, alone; and ordinary life
        db.run(f"INSERT INTO api_estimate (number, project_id, note) VALUES ('huge', 10, repeat('x', 700000))")
        insert(db, "end")
        wait_until(lambda: "end" in order(boss), "the end")
    finally:
        reader.stop()
    told = [m for m in boss.messages() if m["event"] == "system.resync"]
    assert [m["data"] for m in told] == [{"reason": "size", "topics": ["estimate"]}] * 2
    assert [w for w in order(boss) if w != "system.resync"] == [*(f"c{n}" for n in range(60)), "end"]
    assert d.log().count("cannot be told (too large)") == 1  # then counted
    grown = peak_memory(d) - before
    print(f"{grown / MIB:.0f} MiB more than {before / MIB:.0f}")
    assert grown < 16 * MIB, f"{grown / MIB:.0f} MiB"  # with 32 MB of documents

    # a start reads no more than the ring holds
    d.stop()
    d.start().wait_ready()
    assert peak_memory(d) - before < 16 * MIB
    # and a client that was away for all of it is served in bounded pages
    back = Client(d, small.boss, last_id=boss.frames[0].id).hello()
    while "end" not in order(back):
        assert back.read_some(60), f"silent after {len(back.frames)} frames"
    assert order(back) == order(boss)
    assert peak_memory(d) - before < 16 * MIB


def test_the_log_names_the_first_of_many_topics(small):
    """The reason first, then as many of a transaction's topics as a line has room for."""
    db, d = small.db, small.daemon.start().wait_ready()
    boss = Client(d, small.boss).hello()
    topics = [f"topic_{n:04}" for n in range(1, 3001)]
    with db.connect(autocommit=False) as connection, connection.cursor() as cur:
        cur.execute("INSERT INTO api_estimate (number, project_id, note) VALUES ('huge', 10, repeat('x', 700000))")
        cur.execute("INSERT INTO pgherald.journal (topic, op, data) SELECT unnest(%s), 'r', '{\"reason\":\"loss\"}'", [topics])
    boss.wait_message("system.resync")
    line = d.wait_log(r".* cannot be told .*").group()
    shown = re.search(r"transaction \d+ cannot be told \(too large\): clients are told to refetch; 1 so far; it is of "
                      r"(\{.*)…$", line).group(1)
    assert len(shown) == 200 and ",".join(["{estimate", *topics]).startswith(shown)
    insert(db, "end")
    boss.wait_message("estimate.created", estimate_number="end")


def test_other_topics_and_revocations_pass_what_is_large(small):
    db, d = small.db, small.daemon.start().wait_ready()
    boss, anna = (Client(d, t).hello() for t in (small.boss, small.anna))
    blocker = db.connect(autocommit=False)
    blocker.cursor().execute("INSERT INTO api_estimate (number, project_id, note) "
                             f"VALUES ('large', 10, {RANDOM.format('y', 400000)})")
    blocker.cursor().execute("DELETE FROM authtoken_token WHERE user_id = 2")
    blocker.commit()
    blocker.close()
    db.run("UPDATE api_project SET name = 'Viaduct' WHERE id = 11")
    anna.wait_end()
    boss.read_until(lambda: len(order(boss)) == 2, "both")
    assert sorted(order(boss)) == ["Viaduct", "large"]


def test_who_cannot_tell_aside_tells_it_all_the_same(small):
    """The role may have no further connection: then everybody waits, and nothing is lost."""
    db, d = small.db, small.daemon.start().wait_ready()
    c = Client(d, small.boss).hello()
    db.run("ALTER ROLE pgherald CONNECTION LIMIT 3")
    try:
        db.run("INSERT INTO api_estimate (number, project_id, note) "
               f"VALUES ('large', 10, {RANDOM.format('z', 400000)})")
        insert(db, "after")
        c.read_until(lambda: "after" in order(c), "what comes after it")
        assert order(c) == ["large", "after"]
        d.wait_log("no connection to tell aside")
    finally:
        db.run("ALTER ROLE pgherald CONNECTION LIMIT -1")
