# SPDX-License-Identifier: PostgreSQL
"""The journal stays small: by age and by size, with a daemon and without one."""

import pytest

from conftest import CONF

BULK = ("INSERT INTO api_estimate (number, project_id) "
        "SELECT repeat(md5(random()::text), 10), 10 FROM generate_series(1, 20)")
PRUNE = "SELECT pgherald.prune(%s, %s, %s)"


@pytest.fixture
def small(install):
    """The smallest journal that the configuration allows."""
    install.write(CONF.replace("[database]", "[database]\njournal_size = 64KiB"))
    install.apply()
    return install


def size(db):
    return db.one("SELECT pg_total_relation_size('pgherald.journal')")


def loss(db):
    return db.one("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pgherald.loss")


def is_shut(db):
    return db.one("SELECT pg_sequence_last_value('pgherald.journal_id_seq') = 9223372036854775807")


def rows(db):
    return db.one("SELECT count(*) FROM pgherald.journal")


def fill(db):
    """Writes until the journal takes no more."""
    for _ in range(300):
        db.run(BULK, user="app")
        if is_shut(db):
            return
    raise AssertionError(f"still open at {size(db)} bytes")


# --- without a daemon ------------------------------------------------------------------------


def test_the_disk_stops_growing_and_nothing_is_silent(small, db):
    fill(db)
    before, documents = size(db), rows(db)
    assert before < 3 * 64 * 1024
    for _ in range(200):
        db.run(BULK, user="app")
        db.run("UPDATE api_project SET name = md5(random()::text)", user="app")
    assert size(db) <= before + 16384
    assert loss(db) == 400
    news = db.run("SELECT topic, op, data::text FROM pgherald.journal ORDER BY id OFFSET %s",
                  [documents])
    assert sorted(news) == [("estimate", "r", '{"reason":"size"}'), ("project", "r", '{"reason":"size"}')]


def test_one_word_a_minute_and_topic(small, db):
    fill(db)
    documents = rows(db)
    db.run(BULK, user="app")
    db.run(BULK, user="app")
    assert rows(db) == documents + 1
    db.run("UPDATE pgherald.journal SET at = at - interval '61 s'")
    db.run(BULK, user="app")
    assert rows(db) == documents + 2


def test_a_word_that_is_rolled_back_is_said_again(small, db):
    fill(db)
    documents = rows(db)
    c = db.connect("app", autocommit=False)
    c.cursor().execute(BULK)
    c.rollback()
    c.close()
    assert rows(db) == documents
    db.run(BULK, user="app")
    assert rows(db) == documents + 1


def test_rights_are_told_all_the_same(small, db):
    fill(db)
    db.run("DELETE FROM authtoken_token WHERE user_id = 2", user="app")
    assert db.one("SELECT own_old FROM pgherald.journal WHERE op = 'a'") == ["2"]


def test_a_transaction_that_stays_open_over_it_all_keeps_its_order(small, db):
    db.run("INSERT INTO api_estimate (id, number, project_id) VALUES (900, 'N', 10), (901, 'N', 10)")
    open_ = db.connect("app", autocommit=False)
    ours = open_.cursor()
    ours.execute("UPDATE api_estimate SET number = 'first' WHERE id = 900")
    fill(db)
    ours.execute("UPDATE api_project SET name = 'while it is shut'")
    ours.execute("DELETE FROM authtoken_token WHERE user_id = 2")
    small.write(CONF)
    small.apply()
    assert db.one(PRUNE, ["1 day", 1000, 1 << 30]) == 0 and not is_shut(db)
    ours.execute("UPDATE api_estimate SET number = 'last' WHERE id = 901")
    db.run("INSERT INTO api_estimate (number, project_id) VALUES ('by another', 10)", user="app")
    open_.commit()
    open_.close()
    mine = db.run("SELECT topic, op, pk FROM pgherald.journal WHERE txid = (SELECT txid FROM pgherald.journal"
                  " WHERE topic = 'auth') ORDER BY id")
    assert mine == [("estimate", "u", "900"), ("project", "r", None), ("auth", "a", None),
                    ("estimate", "u", "901")]
    assert db.one("SELECT a.id < i.id FROM pgherald.journal AS a, pgherald.journal AS i"
                  " WHERE a.op = 'a' AND i.data::text LIKE '%by another%'")


def test_it_stays_closed_when_the_writer_rolls_back(small, db):
    c = db.connect("app", autocommit=False)
    for _ in range(30):
        c.cursor().execute(BULK)
    c.rollback()
    c.close()
    assert is_shut(db) and rows(db) == 0
    assert prune_all(db, 1 << 30) == 0 and not is_shut(db)


def test_single_rows_are_counted_too(small, db):
    for i in range(1000):
        db.run("INSERT INTO api_estimate (number, project_id) VALUES (repeat('x', 300), 10)",
               user="app")
        if is_shut(db):
            break
    assert is_shut(db) and size(db) < 64 * 1024 + 100 * 1024


# --- with one --------------------------------------------------------------------------------


def prune_all(db, max_bytes, max_age="1 day"):
    total = 0
    for _ in range(1000):
        n = db.one(PRUNE, [max_age, 100, max_bytes], user="pgherald")
        assert n >= 0
        total += n
        if not n:
            return total
    raise AssertionError("prune does not come to an end")


def test_prune_by_size_takes_the_oldest_and_opens_the_journal(small, db):
    fill(db)
    before, last = rows(db), db.one("SELECT max(id) FROM pgherald.journal")
    gone = prune_all(db, 16384)
    assert 0 < gone < before and not is_shut(db)
    assert db.one("SELECT max(id) FROM pgherald.journal") == last
    floor, oldest = db.run("SELECT floor_txid, (SELECT min(txid) FROM pgherald.journal) "
                           "FROM pgherald.meta")[0]
    assert 0 < floor and (oldest is None or floor < oldest)
    db.run("VACUUM pgherald.journal")
    db.run("INSERT INTO api_estimate (number, project_id) VALUES ('N', 10)", user="app")
    assert db.one("SELECT op FROM pgherald.journal ORDER BY id DESC LIMIT 1") == "i"


def test_filling_and_pruning_again_and_again_stays_small(small, db):
    fill(db)
    sizes = []
    for _ in range(10):
        prune_all(db, 65536)
        db.run("VACUUM pgherald.journal")
        fill(db)
        sizes.append(size(db))
    # each outage may add what lies between two looks at the size: 64 rows
    assert max(sizes) < sizes[0] + 10 * 64 * 1024, sizes


def test_prune_by_size_leaves_a_small_journal_alone(installed, db):
    db.run(BULK, user="app")
    assert db.one(PRUNE, ["1 day", 1000, 1 << 30]) == 0
    assert rows(db) == 20


def test_no_limit_of_age(installed, db):
    db.run(BULK, user="app")
    db.run("UPDATE pgherald.journal SET at = at - interval '1 year'")
    assert db.one(PRUNE, [None, 1000, None]) == 0
    assert db.one(PRUNE, ["1 day", 1000, None]) == 20


def test_one_session_prunes(installed, db):
    db.run(BULK, user="app")
    c = db.connect("pgherald", autocommit=False)
    c.cursor().execute(PRUNE, ["0", 1, None])
    assert db.one(PRUNE, ["0", 1000, None], user="pgherald") == -1
    c.rollback()
    c.close()
    assert db.one(PRUNE, ["0", 1000, None], user="pgherald") == 20


def test_prune_by_size_stops_at_the_oldest_running_transaction(small, db):
    c = db.connect("app", autocommit=False)
    c.cursor().execute("INSERT INTO api_estimate (number, project_id) VALUES ('N', 10)")
    fill(db)
    assert db.one(PRUNE, ["0", 1000, 16384]) == 0
    assert is_shut(db) and db.one("SELECT floor_txid FROM pgherald.meta") == 0
    c.commit()
    c.close()
    assert prune_all(db, 16384) > 0 and not is_shut(db)


def test_a_larger_limit_opens_the_journal_at_the_next_prune(small, db):
    fill(db)
    small.write(CONF)
    small.apply()
    assert db.run("SELECT max_bytes, stop_bytes FROM pgherald.meta") == [(1 << 30, 1 << 30)]
    assert db.one(PRUNE, ["1 day", 1000, 1 << 30]) == 0
    assert not is_shut(db)
