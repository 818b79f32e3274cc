# SPDX-License-Identifier: PostgreSQL
"""When a writer rings the daemon, and what it writes when somebody's rights change."""

import hashlib

import psycopg2
import pytest

from conftest import APP_TABLES, CONF, HEAD, copy_installed
from lib.cluster import Cluster, wait_for
from lib.ear import Ear
from lib.names import call_columns_like_ours

K = (1885825394, 1)
INSERT = "INSERT INTO api_estimate (number, project_id) VALUES ('N', 10)"


@pytest.fixture(scope="module")
def plain_cluster():
    """Without prepared transactions, as PostgreSQL comes."""
    c = Cluster({"max_prepared_transactions": "0"})
    try:
        c.execute("CREATE DATABASE app_template")
        c.execute(APP_TABLES, "app_template")
        yield c
    finally:
        c.destroy()


@pytest.fixture
def plain(plain_cluster, tmp_path):
    install = copy_installed(plain_cluster, tmp_path)
    yield install
    install.db.drop()


@pytest.fixture
def ear(plain):
    e = Ear(plain.db, *CHANNELS)
    yield e
    e.close()


def transaction(db, *statements):
    c = db.connect("app", autocommit=False)
    try:
        for sql in statements:
            c.cursor().execute(sql)
        c.commit()
    finally:
        c.close()


CHANNELS = ("pgherald", "pgherald_inline")
ESTIMATE = '{"v":1,"topic":"estimate"}'
PROJECT = '{"v":1,"topic":"project"}'
RENAME = "UPDATE api_project SET name = name || '!' WHERE id = 10"

# --- the doorbell ----------------------------------------------------------------------------


def test_rings_once_per_transaction_and_topic(plain, ear):
    transaction(plain.db, INSERT, INSERT, RENAME, RENAME)
    assert ear.payloads() == [ESTIMATE, PROJECT]


def test_silent_while_a_daemon_is_awake(plain, ear):
    keeper = plain.db.connect()
    keeper.cursor().execute("SELECT pg_advisory_lock(%s, %s)", K)
    plain.db.run(INSERT, user="app")
    plain.db.run(RENAME, user="app")
    assert ear.payloads() == []
    keeper.cursor().execute("SELECT pg_advisory_unlock(%s, %s)", K)
    plain.db.run(INSERT, user="app")
    assert ear.payloads() == [ESTIMATE]
    keeper.close()
    assert plain.db.one("SELECT count(*) FROM pgherald.journal") == 3


def test_a_daemon_that_dies_is_rung_for_again(plain, ear):
    keeper = plain.db.connect()
    keeper.cursor().execute("SELECT pg_advisory_lock(%s, %s)", K)
    pid = keeper.info.backend_pid
    plain.db.run("SELECT pg_terminate_backend(%s)", [pid])
    wait_for(lambda: not plain.db.run("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]), "gone")
    plain.db.run(INSERT, user="app")
    assert ear.payloads() == [ESTIMATE]


def test_a_ring_that_is_rolled_back_is_rung_again(plain, ear):
    transaction(plain.db, "SAVEPOINT s", INSERT, "ROLLBACK TO s", INSERT)
    assert ear.payloads() == [ESTIMATE]


def test_rings_of_writers_do_not_shut_each_other_out(plain, ear):
    c = plain.db.connect("app", autocommit=False)
    c.cursor().execute(INSERT)  # holds the lock, shared
    plain.db.run(INSERT, user="app")
    assert ear.payloads() == [ESTIMATE]
    c.commit()
    c.close()
    assert ear.payloads() == [ESTIMATE]


def test_storm_and_truncate_ring(plain, ear):
    transaction(plain.db, "INSERT INTO api_estimate (number, project_id) "
                          "SELECT 'N', 10 FROM generate_series(1, 600)")
    transaction(plain.db, "TRUNCATE api_estimate")
    assert ear.payloads() == [ESTIMATE, ESTIMATE]


def test_poll_never_rings(plain, ear):
    plain.write(CONF.replace("[database]", "[database]\ndoorbell = poll"))
    plain.apply()
    transaction(plain.db, INSERT, RENAME, "DELETE FROM authtoken_token")
    assert ear.payloads() == []
    assert plain.db.one("SELECT count(*) FROM pgherald.journal") == 3


def test_prepared_transactions_stay_possible(db, install):
    install.apply()
    ear = Ear(db, *CHANNELS)
    c = db.connect("app", autocommit=False)
    c.cursor().execute("BEGIN")
    c.cursor().execute(INSERT)
    c.cursor().execute("UPDATE api_user SET role = 'manager' WHERE id = 2")
    c.cursor().execute("PREPARE TRANSACTION 'one'")
    c.close()
    assert db.run("SELECT 1 FROM pgherald.journal") == []
    db.run("COMMIT PREPARED 'one'")
    assert db.run("SELECT op FROM pgherald.journal ORDER BY id") == [("i",), ("a",)]
    assert ear.payloads() == []

    install.write(CONF.replace("[database]", "[database]\ndoorbell = notify"))
    install.apply()
    db.run(INSERT, user="app")
    assert ear.payloads() == [ESTIMATE]
    ear.close()


# --- revocation ------------------------------------------------------------------------------


def rights(db):
    """Whose rights changed, one list per journal row since the last call."""
    rows = db.run("SELECT topic, own_old, own_new, pk, data FROM pgherald.journal WHERE op = 'a' "
                  "ORDER BY id")
    db.run("DELETE FROM pgherald.journal")
    assert all(r[0] == "auth" and r[2:] == ([], None, None) for r in rows)
    return [sorted(r[1]) for r in rows]


def loss(db):
    return db.one("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pgherald.loss")


def test_tokens(plain, ear):
    db = plain.db
    db.run("DELETE FROM authtoken_token WHERE key = 'token-anna'", user="app")
    assert rights(db) == [["2"]]
    assert ear.payloads() == ['{"v":1,"topic":"auth"}']
    db.run("INSERT INTO authtoken_token (key, user_id) VALUES ('new', 2)", user="app")
    db.run("UPDATE authtoken_token SET created = now()", user="app")
    db.run("UPDATE authtoken_token SET key = 'x' WHERE false", user="app")
    db.run("DELETE FROM authtoken_token WHERE false", user="app")
    assert rights(db) == [] and ear.payloads() == []
    db.run("UPDATE authtoken_token SET key = 'other' WHERE user_id = 3", user="app")
    assert rights(db) == [["3"]]
    db.run("DELETE FROM authtoken_token", user="app")
    assert rights(db) == [["1", "2", "3"]]
    db.run("TRUNCATE authtoken_token", user="app")
    assert rights(db) == [[]]
    assert loss(db) == 0


def test_a_token_that_goes_to_another_user(plain):
    plain.db.run("DELETE FROM authtoken_token WHERE user_id = 3")
    plain.db.run("UPDATE authtoken_token SET user_id = 3 WHERE user_id = 2", user="app")
    assert rights(plain.db) == [["3"], ["2"]]


def test_users(plain):
    db = plain.db
    db.run("UPDATE api_user SET username = 'x', is_staff = true WHERE id = 2", user="app")
    db.run("UPDATE api_user SET role = role, is_active = is_active", user="app")
    assert rights(db) == []
    db.run("UPDATE api_user SET is_active = false WHERE id > 1", user="app")
    assert rights(db) == [["2", "3"]]
    db.run("UPDATE api_user SET role = 'manager'", user="app")
    assert rights(db) == [["2", "3"]]
    transaction(db, "DELETE FROM authtoken_token WHERE user_id = 3", "DELETE FROM api_user WHERE id = 3")
    assert rights(db) == [["3"], ["3"]]
    db.run("TRUNCATE api_user CASCADE", user="postgres")
    assert [] in rights(db)


def test_staff(plain):
    plain.write(HEAD.replace("[auth drf]", "[auth drf]\nrole_from = staff") +
                "\n[watch project]\ntable = public.api_project\nfields = id\n")
    plain.apply()
    plain.db.run("UPDATE api_user SET role = 'x'")
    assert rights(plain.db) == []
    plain.db.run("UPDATE api_user SET is_staff = true WHERE id < 3")
    assert rights(plain.db) == [["2"]]


def test_groups(plain):
    db = plain.db
    plain.write(HEAD.replace("[auth drf]", "[auth drf]\nrole_from = groups\n"
                             "membership_table = public.api_user_groups") +
                "\n[watch project]\ntable = public.api_project\nfields = id\n")
    plain.apply()
    db.run("INSERT INTO auth_group VALUES (1, 'foreman'), (2, 'manager')", user="app")
    assert rights(db) == []
    db.run("INSERT INTO api_user_groups VALUES (2, 1), (3, 1), (1, 2)", user="app")
    assert rights(db) == [["1", "2", "3"]]
    db.run("UPDATE api_user_groups SET group_id = 2 WHERE user_id = 2", user="app")
    assert rights(db) == [["2"]]
    db.run("UPDATE auth_group SET name = 'boss' WHERE id = 2", user="app")
    assert rights(db) == [["1", "2"]]
    db.run("UPDATE auth_group SET name = name", user="app")
    assert rights(db) == []
    db.run("DELETE FROM auth_group WHERE id = 1", user="app")
    assert rights(db) == [["3"]]
    db.run("DELETE FROM api_user_groups WHERE user_id = 3", user="app")
    assert rights(db) == [["3"]]
    db.run("TRUNCATE api_user_groups", user="app")
    assert rights(db) == [[]]
    assert loss(db) == 0


@pytest.mark.parametrize("kind", ["text", "jsonb"])
def test_columns_with_our_names_change_nothing(plain, kind):
    """Of all tables that are looked at: of tokens, users, groups and members, and of watched and joined ones."""
    db = plain.db
    call_columns_like_ours(db, kind, "authtoken_token", "api_user", "api_user_groups", "auth_group",
                           "api_estimate", "api_project")
    plain.write(CONF.replace("[auth drf]", "[auth drf]\nrole_from = groups\n"
                             "membership_table = public.api_user_groups"))
    plain.apply()
    db.run("INSERT INTO auth_group (id, name) VALUES (1, 'foreman')", user="app")
    db.run("INSERT INTO api_user_groups (user_id, group_id) VALUES (2, 1)", user="app")
    assert rights(db) == [["2"]]
    db.run("UPDATE auth_group SET name = 'manager'", user="app")
    assert rights(db) == [["2"]]
    db.run("UPDATE api_user SET is_active = false WHERE id = 2", user="app")
    assert rights(db) == [["2"]]
    db.run("DELETE FROM authtoken_token WHERE user_id = 2", user="app")
    assert rights(db) == [["2"]]
    assert db.run("SELECT n, user_id, role, active FROM pgherald.auth_drf('{token-boss,token-anna}')",
                  user="pgherald") == [(1, "1", None, True)]
    # ... and what happens to rows, one at a time and many
    db.run("INSERT INTO api_estimate (id, number, project_id, foreman_id) VALUES (1, 'N', 10, 2)", user="app")
    db.run("INSERT INTO api_estimate (id, number, project_id, foreman_id) "
           "SELECT g, 'N', 10, 2 FROM generate_series(2, 3) AS g", user="app")
    db.run("UPDATE api_estimate SET foreman_id = 3", user="app")
    db.run("UPDATE api_project SET name = 'Viaduct' WHERE id = 10", user="app")
    db.run("DELETE FROM api_estimate", user="app")
    rows = db.run("SELECT told.topic, told.op, told.own_old, told.own_new, told.doc->>'project_name' FROM "
                  "pgherald.tell(ARRAY(SELECT DISTINCT txid FROM pgherald.journal WHERE op <> 'a')) AS told ORDER BY id")
    assert rows == [("estimate", "i", [], ["2"], "Viaduct")] * 3 + \
        [("estimate", "u", ["2"], ["3"], "Viaduct")] * 3 + \
        [("project", "u", ["3"], ["3"], "Viaduct")] + [("estimate", "d", ["3"], [], "Viaduct")] * 3
    assert loss(db) == 0


def test_more_than_500_users_are_everybody(plain):
    db = plain.db
    db.run("INSERT INTO api_user (id, username, role) "
           "SELECT g, 'u' || g, 'foreman' FROM generate_series(1001, 1501) g")
    db.run("UPDATE api_user SET is_active = false WHERE id BETWEEN 1001 AND 1500")
    assert [len(u) for u in rights(db)] == [500]
    db.run("DELETE FROM api_user WHERE id > 1000")
    assert rights(db) == [[]]


def test_many_statements_become_everybody_once(plain):
    transaction(plain.db, *["UPDATE api_user SET is_active = NOT is_active WHERE id = 2"] * 50)
    assert rights(plain.db) == [["2"]] * 32 + [[]]


def test_the_guard_holds_here_too(plain):
    db = plain.db
    db.run("ALTER TABLE pgherald.journal RENAME TO elsewhere")
    db.run("DELETE FROM authtoken_token", user="app")
    db.run("ALTER TABLE pgherald.elsewhere RENAME TO journal")
    assert loss(db) == 1
    assert db.one("SELECT count(*) FROM authtoken_token") == 0
    db.run("ALTER TABLE api_user RENAME COLUMN role TO part")
    db.run("UPDATE api_user SET is_active = false", user="app")  # whose rights? then everybody's
    assert rights(db) == [[]] and loss(db) == 1
    assert db.one("SELECT count(*) FROM api_user WHERE is_active") == 0


def test_application_role_cannot_call_it(plain):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        plain.db.run("CREATE TRIGGER t AFTER INSERT ON api_estimate EXECUTE FUNCTION "
                     "pgherald.revoke_drf('user')", user="app")


def test_two_auths_share_the_users(plain):
    db = plain.db
    plain.write(CONF + "\n[auth second-one]\nuser_table = public.api_user\nuser_active =\n")
    plain.apply()
    plain.apply()
    db.run("UPDATE api_user SET is_active = false WHERE id = 2")
    assert rights(db) == [["2"]]
    db.run("DELETE FROM authtoken_token WHERE user_id = 2")
    assert rights(db) == [["2"], ["2"]]
    plain.apply("uninstall")
    assert db.run("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'zz%'") == []


# --- credentials -----------------------------------------------------------------------------


def test_knox(plain):
    db = plain.db
    db.run("CREATE TABLE knox_authtoken (digest varchar(128) PRIMARY KEY, token_key varchar(25), "
           "created timestamptz, expiry timestamptz, user_id bigint NOT NULL)")
    plain.write(CONF + "\n[auth knox]\npreset = knox\nuser_table = public.api_user\n")
    plain.apply()
    new, old = "a1" * 32, "b2" * 32  # Knox 5 hashes the text, older ones what it spells
    digests = {new: hashlib.sha512(new.encode()).hexdigest(),
               old: hashlib.sha512(bytes.fromhex(old)).hexdigest(),
               "gone": hashlib.sha512(b"gone").hexdigest(),
               "PREFIX-ё": hashlib.sha512("PREFIX-ё".encode()).hexdigest()}
    for token, user, expiry in ((new, 2, "2100-01-01 00:00+00"), (old, 1, None), ("PREFIX-ё", 3, None),
                                ("gone", 3, "2020-01-01")):
        db.run("INSERT INTO knox_authtoken VALUES (%s, left(%s, 15), now(), %s, %s)",
               [digests[token], token, expiry, user])
    rows = db.run("SELECT n, user_id, role, active, expires::text FROM pgherald.auth_knox(%s) "
                  "ORDER BY n", [[new, old, "gone", "nobody", digests[new], "PREFIX-ё", ""]],
                  user="pgherald")
    assert rows == [(1, "2", "foreman", True, "2100-01-01 00:00:00+00"),
                    (2, "1", "manager", True, None), (6, "3", "foreman", True, None)]
    db.run("UPDATE knox_authtoken SET expiry = expiry + interval '1 day', created = now()")  # used
    assert rights(db) == []
    db.run("UPDATE knox_authtoken SET expiry = now() WHERE user_id IN (1, 2)")
    assert [sorted(users) for users in rights(db)] == [["1", "2"]]
    db.run("UPDATE knox_authtoken SET user_id = 1 WHERE user_id = 2")
    db.run("UPDATE knox_authtoken SET user_id = 2 WHERE digest = %s", [digests[new]])
    assert rights(db) == [["2"], ["1"]]
    db.run("DELETE FROM knox_authtoken WHERE user_id = 2")
    assert rights(db) == [["2"]]


def test_custom_tokens_that_end(plain):
    db = plain.db
    db.run("CREATE TABLE keys (secret text PRIMARY KEY, owner bigint, ends timestamptz)")
    plain.write(CONF + "\n[auth own]\npreset = custom\ntoken_table = public.keys\n"
                "token_column = secret\ntoken_user = owner\ntoken_expires = ends\n"
                "user_table = public.api_user\n")
    plain.apply()
    db.run("INSERT INTO keys VALUES ('a', 1, NULL), ('b', 2, now() + '1 h'), ('c', 3, now())")
    ask = "SELECT n, expires > now() FROM pgherald.auth_own('{a,b,c}') ORDER BY n"
    assert db.run(ask, user="pgherald") == [(1, None), (2, True)]
