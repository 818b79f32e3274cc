# SPDX-License-Identifier: PostgreSQL
"""Rights that end: nothing that was written with the change, or behind it, reaches the stream, live
or in replay, whatever kind of credential it came with and whatever cannot be asked at that moment;
and nobody else waits for that. (Sessions of Django: test_session.py. In the middle of a look-up, of
a replay, of a start: tests/unit/test_stream_rights.c.)"""

import pytest

from conftest import CONF, PGHERALD
from lib.daemon import EVENTS, Client, Daemon, wait_until

USERS = ("boss", "anna", "boris")

GROUPS = """
INSERT INTO auth_group VALUES (1, 'manager'), (2, 'foreman'), (3, 'visitor');
INSERT INTO api_user_groups VALUES (1, 1), (2, 2), (3, 2);
"""
BY_GROUP = CONF.replace("[auth drf]", "[auth drf]\nrole_from = groups\n"
                        "membership_table = public.api_user_groups")

KNOX_TABLE = """
CREATE TABLE knox_authtoken (digest varchar(128) PRIMARY KEY, token_key varchar(25), user_id bigint,
                             expiry timestamptz);
INSERT INTO knox_authtoken SELECT encode(sha512(convert_to(key, 'UTF8')), 'hex'), left(key, 8), user_id,
                                  now() + interval '1 hour' FROM authtoken_token;
GRANT ALL ON knox_authtoken TO app;
"""
KNOX = CONF.replace("[auth drf]", "[auth drf]\npreset = knox")

PREPARED = {BY_GROUP: GROUPS, KNOX: KNOX_TABLE}

HIS = "INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('secret', 10, 2)"
ANYBODYS = "INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('secret', 10, 3)"

# (configuration, whose stream, what ends his rights, a row that he must not see then, whether his
# stream stays open)
ENDS = {
    "token": (CONF, "anna", "DELETE FROM authtoken_token WHERE user_id = 2", HIS, False),
    "token changed": (CONF, "anna", "UPDATE authtoken_token SET key = 'new' WHERE user_id = 2", HIS, False),
    "tokens truncated": (CONF, "anna", "TRUNCATE authtoken_token", HIS, False),
    "deactivated": (CONF, "anna", "UPDATE api_user SET is_active = false WHERE id = 2", HIS, False),
    "lowered": (CONF, "boss", "UPDATE api_user SET role = 'foreman' WHERE id = 1", ANYBODYS, True),
    "no role": (CONF, "boss", "UPDATE api_user SET role = 'visitor' WHERE id = 1", ANYBODYS, False),
    "left a group": (BY_GROUP, "boss", "DELETE FROM api_user_groups WHERE user_id = 1", ANYBODYS, False),
    "other group": (BY_GROUP, "boss", "UPDATE api_user_groups SET group_id = 2 WHERE user_id = 1",
                    ANYBODYS, True),
    "group renamed": (BY_GROUP, "boss", "UPDATE auth_group SET name = 'x' WHERE id = 1", ANYBODYS, False),
    "knox": (KNOX, "anna", "DELETE FROM knox_authtoken WHERE user_id = 2", HIS, False),
    "knox ended": (KNOX, "anna", "UPDATE knox_authtoken SET expiry = now() WHERE user_id = 2", HIS, False),
}
WHEN = {
    "with it": ["BEGIN", "{change}", "{row}", "COMMIT"],
    "before it in one transaction": ["BEGIN", "{row}", "{change}", "COMMIT"],
    "behind it": ["{change}", "{row}"],
}


class Site:
    """A daemon that looks rights up by itself only once in an hour."""

    def __init__(self, install, conf, prepared):
        self.db = install.db
        self.db.run(prepared)
        install.write(conf.replace("[database]", "[database]\nrecheck = 1h"))
        install.apply()
        self.daemon = Daemon(PGHERALD, install.conf, install.conf.parent / "daemon.log")
        self.daemon.start().wait_ready()

    def run(self, *statements, **filled):
        """One after the other, as an application sends them."""
        connection = self.db.connect()
        for statement in statements:
            connection.cursor().execute(statement.format(**filled))
        connection.close()

    def everybody_hears(self, clients, word):
        """Whoever is still there, behind all that was written before."""
        self.db.run("INSERT INTO pgherald.journal (topic, op) VALUES (%s, 't'); NOTIFY pgherald", (word,))
        for c in clients:
            c.read_until(lambda c=c: c.ended or c.status not in (None, 200) or any(
                m["data"].get("topics") == [word] for m in c.messages()), word)

    def everybody(self):
        clients = {who: Client(self.daemon, "token-" + who).hello() for who in USERS}
        self.everybody_hears(clients.values(), "begin")  # look-ups of before are over
        return clients


@pytest.fixture
def site(install):
    made = []

    def make(conf, prepared="SELECT"):
        made.append(Site(install, conf, prepared))
        return made[0]

    yield make
    for s in made:
        s.daemon.kill()


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("kind", ENDS)
def test_live(site, kind, when):
    conf, who, change, row, stays = ENDS[kind]
    s = site(conf, PREPARED.get(conf, "SELECT"))
    clients = s.everybody()
    s.run(*WHEN[when], change=change, row=row)
    s.everybody_hears(clients.values(), "end")
    assert b"secret" not in clients[who].raw_body
    assert clients[who].ended != stays
    for name in set(USERS) - {who}:
        assert clients[name].ended == (kind == "tokens truncated")
        if name == "boss" and not clients[name].ended:
            assert b"secret" in clients[name].raw_body


@pytest.mark.parametrize("ring", ["ring_events = 20000", "ring_events = 1"], ids=["ring", "journal"])
@pytest.mark.parametrize("kind", ["token", "lowered"])
def test_replay(site, kind, ring):
    """He comes back in the moment of the change. It finds him before his look-up, or after it, or
    while his stream begins."""
    conf, who, change, row, _ = ENDS[kind]
    s = site(conf.replace("[server]", "[server]\n" + ring))
    for _ in range(10):
        first = Client(s.daemon, "token-" + who).hello()
        s.everybody_hears([first], "begin")
        first.close()
        back = Client(s.daemon, "token-" + who, first.last_id)
        s.run(*WHEN["with it"], change=change, row=row)
        s.everybody_hears([back], "end")
        assert b"secret" not in back.raw_body
        back.close()
        s.run("INSERT INTO authtoken_token (key, user_id) VALUES ('token-anna', 2) ON CONFLICT DO NOTHING",
              "UPDATE api_user SET role = 'manager' WHERE id = 1", "DELETE FROM api_estimate")


def test_while_the_token_table_is_locked(site):
    """No verdict: nothing is sent, others hear everything, and the stream ends within the bound."""
    s = site(CONF.replace("[server]", "[server]\nrequest_timeout = 2s"))
    clients, d = s.everybody(), s.daemon
    migration = s.db.connect(autocommit=False)
    migration.cursor().execute("LOCK TABLE authtoken_token IN ACCESS EXCLUSIVE MODE")
    size = d.log_size()
    s.run("UPDATE api_user SET is_active = false WHERE id = 2", HIS)
    for n in range(5):
        s.run(HIS)
        clients["boss"].wait_messages(n + 3)
    clients["anna"].wait_end()
    d.wait_log('reason="its rights could not be looked up"', size)
    assert b"secret" not in clients["anna"].raw_body
    assert len(clients["boss"].messages()) == 7
    assert d.get(EVENTS, "token-anna")[0] == 503
    migration.rollback()
    migration.close()
    assert wait_until(lambda: d.get(EVENTS, "token-anna")[0] == 401, "the verdict")
    assert not clients["boris"].ended
    s.everybody_hears([clients["boris"]], "end")


def test_a_locked_table_does_not_stop_the_logins_of_another(site):
    """Look-ups are one statement after the other; one that waits for a lock makes room."""
    s = site(CONF.replace("[watch estimate]", "[auth other]\nuser_table = public.api_user\n"
                          "token_table = public.other_token\n"
                          "[route events]\npath = /api/v1/sse/events/\nauth = drf\n"
                          "[route other]\npath = /other/\nauth = other\n[watch estimate]"),
             "CREATE TABLE other_token (LIKE authtoken_token INCLUDING ALL);"
             "INSERT INTO other_token (key, user_id) VALUES ('other', 3)")
    size = s.daemon.log_size()
    migration = s.db.connect(autocommit=False)
    migration.cursor().execute("LOCK TABLE authtoken_token IN ACCESS EXCLUSIVE MODE")
    stuck = [Client(s.daemon, "token-anna") for _ in range(3)]
    s.daemon.wait_log("auth drf: a table is locked; look-ups wait for it", size)
    for _ in range(3):
        Client(s.daemon, "other", path="/other/").hello().close()
    assert not any(c.read_some(0) for c in stuck)
    migration.rollback()
    migration.close()
    for c in stuck:
        c.hello()
