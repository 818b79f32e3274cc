# SPDX-License-Identifier: PostgreSQL
"""capture = notify: the trigger sends the event itself, and writes nothing."""

import json

import pytest

from conftest import CONF
from lib.ear import Ear
from lib.names import call_columns_like_ours

INSERT = "INSERT INTO api_estimate (id, number, project_id, foreman_id) VALUES (%s, %s, 10, 2)"


@pytest.fixture
def inline(db, install):
    install.write(CONF.replace("[watch estimate]", "[watch estimate]\ncapture = notify")
                  .replace("[watch project]", "[watch project]\nrescope = estimate\ncapture = notify"))
    install.apply()
    listener = Ear(db, "pgherald", "pgherald_inline")

    def run(*statements):
        """What a transaction of the application sends."""
        c = db.connect("app", autocommit=False)
        for sql, *params in statements:
            c.cursor().execute(sql, params or None)
        c.commit()
        c.close()
        heard = listener.heard()
        assert all(channel == "pgherald_inline" for channel, _ in heard)
        return [text for _, text in heard]

    yield run
    listener.close()


def test_a_row_is_one_event(inline, db):
    (text,) = inline((INSERT, 100, "N-1"))
    assert text.startswith('{"v":1,"topic":"estimate","op":"i","before":[],"after":["2"],'
                           '"doc":{"estimate_id":100,"estimate_number":"N-1","project_id":10,'
                           '"project_name":"Bridge","foreman_id":2,"foreman_name":"anna",')
    assert text.endswith('},"leave":null}')
    (text,) = inline(("UPDATE api_estimate SET foreman_id = 3",))
    event = json.loads(text)
    assert (event["op"], event["before"], event["after"]) == ("u", ["2"], ["3"])
    assert event["leave"] == {"estimate_id": 100, "project_id": 10}
    assert event["doc"]["foreman_name"] == "boris"
    (text,) = inline(("DELETE FROM api_estimate",))
    assert json.loads(text)["op"] == "d"
    assert db.one("SELECT count(*) FROM pgherald.journal") == 0


@pytest.mark.parametrize("kind", ["text", "jsonb"])
def test_columns_with_our_names_change_nothing(inline, db, kind):
    call_columns_like_ours(db, kind, "api_estimate", "api_project", "api_user")
    inserted = [json.loads(t) for t in inline(("INSERT INTO api_estimate (id, number, project_id, foreman_id) "
                                               "SELECT g, 'N', 10, 2 FROM generate_series(1, 2) AS g",))]
    updated = [json.loads(t) for t in inline(("UPDATE api_estimate SET foreman_id = 3",))]
    deleted = [json.loads(t) for t in inline(("DELETE FROM api_estimate",))]
    assert [(e["op"], e["before"], e["after"], e["doc"]["project_name"], e["doc"]["foreman_name"])
            for e in inserted + updated + deleted] == \
        [("i", [], ["2"], "Bridge", "anna")] * 2 + [("u", ["2"], ["3"], "Bridge", "boris")] * 2 + \
        [("d", ["3"], [], "Bridge", "boris")] * 2


def test_nothing_for_nothing(inline):
    assert inline(("UPDATE api_estimate SET status = 'x'",)) == []
    inline((INSERT, 100, "N-1"))
    assert inline(("UPDATE api_estimate SET status = status",)) == []


def test_large_rows_and_storms_are_resyncs(inline, db):
    size = '{"v":1,"topic":"estimate","op":"r","reason":"size"}'
    assert inline((INSERT, 7001, "x" * 7000)) and inline((INSERT, 7002, "x" * 8000)) == [size]
    assert inline((INSERT, 7003, "ё" * 4000)) == [size]  # bytes count, not characters
    storm = '{"v":1,"topic":"estimate","op":"r","reason":"storm"}'
    assert inline(("INSERT INTO api_estimate (number, project_id) "
                   "SELECT 'N', 10 FROM generate_series(1, 501)",)) == [storm]
    heard = inline(*[(INSERT, i, "N") for i in range(10000, 10050)])
    assert len(heard) == 33 and heard[-1] == storm
    assert inline(("TRUNCATE api_estimate",)) == ['{"v":1,"topic":"estimate","op":"t"}']
    assert db.one("SELECT is_called FROM pgherald.loss") is False


def test_no_writer_waits_for_a_table_with_names(inline, db):
    """Clients fetch again instead, once for a statement; and no setting stays."""
    inline((INSERT, 1, "a"), (INSERT, 2, "b"))
    holder = db.connect(autocommit=False)
    holder.cursor().execute("LOCK TABLE api_user")
    again = '{"v":1,"topic":"estimate","op":"r","reason":"loss"}'
    write, stays = "UPDATE api_estimate SET number = number || 'x'", "DO $$BEGIN ASSERT current_setting('lock_timeout') = '0'; END$$"
    assert inline(("SET statement_timeout = '30s'",), (write,), (stays,)) == [again]  # it is held for ever
    holder.close()
    assert [json.loads(payload)["op"] for payload in inline((write,))] == ["u", "u"]
    assert db.one("SELECT is_called FROM pgherald.loss") is False


def test_a_changed_key_is_one_gone_and_one_new(inline):
    inline((INSERT, 100, "N-1"))
    heard = [json.loads(t) for t in inline(("UPDATE api_estimate SET id = 200",))]
    assert [(e["op"], e["doc"]["estimate_id"]) for e in heard] == [("d", 100), ("i", 200)]


def test_the_guard(inline, db):
    db.run("ALTER TABLE api_project RENAME COLUMN name TO title")
    assert inline((INSERT, 100, "N-1")) == []
    assert db.one("SELECT last_value FROM pgherald.loss WHERE is_called") == 1
    assert db.one("SELECT count(*) FROM api_estimate") == 1
