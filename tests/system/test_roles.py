# SPDX-License-Identifier: PostgreSQL
"""The role matrix: who hears what, live and in replay, with today's rights."""

import pytest

from lib.daemon import Client, wait_until


@pytest.fixture
def d(served):
    return served.daemon.start().wait_ready()


def connect_all(served, **kw):
    return {who: Client(served.daemon, getattr(served, who), **kw).hello()
            for who in ("boss", "anna", "boris")}


def marker(served, clients, topic="marker"):
    """A change that everybody hears, so that nothing can be on its way behind it."""
    served.db.run("TRUNCATE public.api_user_groups")  # not watched: no event
    served.db.run("INSERT INTO pgherald.journal (topic, op) VALUES (%s, 't')", (topic,))
    served.db.run("NOTIFY pgherald")
    for c in clients.values():
        c.wait_message("system.resync", topics=[topic])
    return {who: [(m["event"], m.get("scope"), m["data"]) for m in c.messages()
                  if m["event"] != "system.resync"] for who, c in clients.items()}


def short(heard):
    return [(event, scope) for event, scope, _ in heard]


def story(db):
    db.run("INSERT INTO api_estimate (id, number, project_id, foreman_id, creator_id)"
           " VALUES (1, 'Смета №1', 10, 2, 2)")
    db.run("UPDATE api_estimate SET status = 'Черновик' WHERE id = 1")
    db.run("UPDATE api_project SET name = 'Мост' WHERE id = 10")
    db.run("UPDATE api_estimate SET foreman_id = 3 WHERE id = 1")
    db.run("UPDATE api_project SET name = 'Bridge' WHERE id = 10")
    db.run("DELETE FROM api_estimate WHERE id = 1")
    db.run("INSERT INTO api_estimate (id, number, project_id) VALUES (2, 'nobody''s', 11)")
    db.run("UPDATE api_estimate SET status = 'x' WHERE id = 2")


STORY = {
    "boss": [("estimate.created", None), ("estimate.updated", None), ("project.updated", None),
             ("estimate.updated", None), ("project.updated", None), ("estimate.deleted", None),
             ("estimate.created", None), ("estimate.updated", None)],
    "anna": [("estimate.created", None), ("estimate.updated", None), ("project.updated", None),
             ("estimate.updated", "leave")],
    "boris": [("estimate.updated", "enter"), ("project.updated", None),
              ("estimate.deleted", None)],
}


def test_live(served, d):
    clients = connect_all(served)
    story(served.db)
    heard = marker(served, clients)
    assert {who: short(h) for who, h in heard.items()} == STORY
    leave = heard["anna"][3][2]
    assert leave == {"estimate_id": 1, "project_id": 10}
    enter = heard["boris"][0][2]
    assert list(enter) == ["estimate_id", "estimate_number", "project_id", "project_name",
                           "foreman_id", "foreman_name", "creator_id", "creator_name", "status",
                           "created_at"]
    assert enter["foreman_name"] == "boris" and enter["project_name"] in ("Мост", "Bridge")  # when told
    assert enter["created_at"].endswith("Z")


@pytest.mark.parametrize("ring", ["ring_events = 20000", "ring_events = 1"],
                         ids=["ring", "journal"])
def test_replay(served, ring):
    served.configure("[server]", "[server]\n" + ring)
    served.daemon.start().wait_ready()
    clients = connect_all(served)
    ids = {who: c.last_id for who, c in clients.items()}
    for c in clients.values():
        c.close()
    story(served.db)
    back = {who: Client(served.daemon, getattr(served, who), ids[who]).hello() for who in ids}
    heard = marker(served, back)
    assert {who: short(h) for who, h in heard.items()} == STORY


def test_replay_by_query_parameter(served, d):
    c = Client(d, served.anna).hello()
    c.close()
    story(served.db)
    back = Client(d, served.anna, extra_query="last_event_id=" + c.last_id).hello()
    heard = marker(served, {"anna": back})
    assert short(heard["anna"]) == STORY["anna"]


def test_replay_uses_the_role_of_today(served, d):
    clients = connect_all(served)
    ids = {who: c.last_id for who, c in clients.items()}
    for c in clients.values():
        c.close()
    story(served.db)
    served.db.run("UPDATE api_user SET role = 'foreman' WHERE id = 1")  # the boss owns nothing
    served.db.run("UPDATE api_user SET role = 'manager' WHERE id = 2")
    back = {who: Client(d, getattr(served, who), ids[who]).hello() for who in ("boss", "anna")}
    heard = marker(served, back)
    assert short(heard["boss"]) == []
    assert short(heard["anna"]) == STORY["boss"]


def test_ownership_that_changed_while_away(served, d):
    witness = Client(d, served.boss).hello()
    served.db.run("INSERT INTO api_estimate (id, number, project_id, foreman_id)"
                  " VALUES (1, 'e', 10, 2)")
    witness.wait_message("estimate.created")
    clients = connect_all(served)
    ids = {who: c.last_id for who, c in clients.items()}
    for c in clients.values():
        c.close()
    served.db.run("UPDATE api_estimate SET foreman_id = 3, status = 'secret' WHERE id = 1")
    served.db.run("UPDATE api_estimate SET status = 'more secret' WHERE id = 1")
    back = {who: Client(d, getattr(served, who), ids[who]).hello() for who in ids}
    heard = marker(served, back)
    assert heard["anna"] == [("estimate.updated", "leave", {"estimate_id": 1, "project_id": 10})]
    assert short(heard["boris"]) == [("estimate.updated", "enter"), ("estimate.updated", None)]
    assert b"secret" not in back["anna"].raw_body


def test_a_row_without_owner_is_for_managers_only(served, d):
    clients = connect_all(served)
    served.db.run("INSERT INTO api_estimate (number, project_id) VALUES ('e', 10)")
    heard = marker(served, clients)
    assert short(heard["boss"]) == [("estimate.created", None)]
    assert heard["anna"] == heard["boris"] == []


def test_an_open_stream_follows_its_role(served):
    served.configure("[database]", "[database]\nrecheck = 1s")
    d = served.daemon.start().wait_ready()
    clients = connect_all(served)
    size = d.log_size()
    served.db.run("UPDATE api_user SET role = 'manager' WHERE id = 2")
    d.wait_log(r"another role .*user=2 role=manager", size)
    served.db.run("INSERT INTO api_estimate (number, project_id) VALUES ('e', 10)")
    heard = marker(served, clients)
    assert short(heard["anna"]) == [("estimate.created", None)]
    assert heard["boris"] == []


@pytest.mark.parametrize("sql, reason", [
    ("DELETE FROM authtoken_token WHERE user_id = 2", "token is not valid any more"),
    ("UPDATE api_user SET is_active = false WHERE id = 2", "user is not active any more"),
    ("UPDATE api_user SET role = 'visitor' WHERE id = 2", "role may not use this route"),
])
def test_an_open_stream_ends_with_its_rights(served, sql, reason):
    served.configure("[database]", "[database]\nrecheck = 1s")
    d = served.daemon.start().wait_ready()
    clients = connect_all(served)
    size = d.log_size()
    served.db.run(sql)
    clients["anna"].wait_end()
    d.wait_log(reason, size)
    again = Client(d, served.anna)
    again.read_until(lambda: again.headers, "an answer")
    assert again.status in (401, 403)
    assert wait_until(lambda: d.streams(served.boss) == 2, "two streams left")


def test_event_patterns_of_a_role(served):
    served.configure("[role foreman]\nreceives = own",
                     "[role foreman]\nreceives = own\nevents = project.*, estimate.deleted")
    served.daemon.start().wait_ready()
    clients = connect_all(served)
    story(served.db)
    heard = marker(served, clients, "project")  # a resync of another topic is not for them
    assert short(heard["boss"]) == STORY["boss"]
    assert short(heard["anna"]) == [("project.updated", None)]
    assert short(heard["boris"]) == [("project.updated", None), ("estimate.deleted", None)]


def test_storms_and_truncate_tell_everybody_to_refetch(served, d):
    clients = connect_all(served)
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id)"
                  " SELECT 'e' || g, 10, 2 FROM generate_series(1, 2000) AS g")
    for c in clients.values():
        m = c.wait_message("system.resync", reason="storm")
        assert m["data"]["topics"] == ["estimate"] and isinstance(m["timestamp"], int)
    served.db.run("TRUNCATE api_estimate")
    for c in clients.values():
        c.wait_message("system.resync", reason="truncate")
    assert all(len(c.messages()) == 2 for c in clients.values())


@pytest.mark.parametrize("owners", [9_999, 40_000])
def test_a_row_with_very_many_owners(served, d, owners):
    """It costs no more than its size. Beyond 10,000 everybody who may hear of such rows fetches again."""
    served.db.run("INSERT INTO api_user (id, username, role)"
                  " SELECT g, 'u' || g, 'foreman' FROM generate_series(1001, %s) AS g", (owners + 1000,))
    served.db.run("SET session_replication_role = replica;"  # not told one by one
                  "INSERT INTO api_estimate (number, project_id, foreman_id)"
                  " SELECT 'e', 10, id FROM api_user WHERE id > 1000 OR id = 2;"
                  "RESET session_replication_role")
    clients = connect_all(served)
    served.db.run("UPDATE api_project SET name = 'everybody''s' WHERE id = 10")
    heard = marker(served, clients)
    resyncs = {who: [m["data"]["reason"] for m in c.messages() if m["event"] == "system.resync"
                     and m["data"]["topics"] == ["project"]] for who, c in clients.items()}
    if owners > 10_000:
        assert resyncs == {who: ["owners"] for who in clients}
        assert heard == {who: [] for who in clients}
    else:
        assert resyncs == {who: [] for who in clients}
        assert {who: short(h) for who, h in heard.items()} == {
            "boss": [("project.updated", None)], "anna": [("project.updated", None)], "boris": []}


def test_a_broken_trigger_function_tells_everybody_to_refetch(served, d):
    clients = connect_all(served)
    ids = {who: c.last_id for who, c in clients.items()}
    clients["boris"].close()
    served.db.run("ALTER TABLE pgherald.journal RENAME TO hidden")
    served.db.run("INSERT INTO api_estimate (id, number, project_id, foreman_id)"
                  " VALUES (1, 'e', 10, 2)")
    served.db.run("ALTER TABLE pgherald.hidden RENAME TO journal")
    assert served.db.one("SELECT count(*) FROM api_estimate") == 1
    for who in ("boss", "anna"):
        clients[who].wait_message("system.resync", reason="loss")
    back = Client(d, served.boris, ids["boris"]).hello()  # was away when it happened
    back.wait_message("system.resync", reason="loss")
    served.db.run("UPDATE api_estimate SET foreman_id = 3")
    assert back.wait_message("estimate.updated")["scope"] == "enter"


@pytest.mark.parametrize("capture", ["journal", "notify"])
def test_an_owner_is_one_whatever_its_text(served, capture):
    """Separators, brackets and quotes in the text of an owner make no second owner of it."""
    nasty = ["2\x1f3", "2,3", "{2,3}", '"2"', '{"2"}', "2\n3", "NULL", "\\2", " 2", "2 "]
    served.configure("owners = foreman_id", f"owners = note\ncapture = {capture}")
    served.install.apply()
    served.daemon.start().wait_ready()
    clients = connect_all(served)
    for number, owner in enumerate(nasty):
        served.db.run("INSERT INTO api_estimate (number, note, project_id) VALUES (%s, %s, 10)",
                      (str(number), owner))
        served.db.run("UPDATE api_estimate SET status = 'x' WHERE number = %s", (str(number),))
    served.db.run("INSERT INTO api_estimate (number, note, project_id) VALUES ('anna''s', '2', 10)")
    clients["anna"].wait_message("estimate.created")
    clients["boss"].wait_message("estimate.created", estimate_number="anna's")
    heard = marker(served, clients)
    assert len(heard["boss"]) == 2 * len(nasty) + 1
    assert [e[2]["estimate_number"] for e in heard["anna"]] == ["anna's"]
    assert heard["boris"] == []
