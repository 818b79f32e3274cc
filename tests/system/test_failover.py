# SPDX-License-Identifier: PostgreSQL
"""A real streaming replica is promoted: clients of the daemon stay connected and are told to
refetch (another timeline is another epoch), and what is written afterwards reaches them."""

import pytest

from conftest import CONF, PGHERALD, Install
from lib.cluster import Cluster
from lib.daemon import Client, Daemon, wait_until
from lib.replica import Replica


@pytest.fixture
def pair():
    from conftest import APP_TABLES
    primary = Cluster()
    replica = None
    try:
        primary.execute("CREATE DATABASE app_template")
        primary.execute(APP_TABLES, "app_template")
        replica = Replica(primary)
        yield primary, replica
    finally:
        if replica:
            replica.destroy()
        primary.destroy()


def test_promotion(pair, tmp_path):
    primary, replica = pair
    db = primary.create_database("app_template")
    install = Install(db, tmp_path)
    install.write(CONF)
    both = (f"host={primary.dir},{replica.dir} port=5432,5432 dbname={db.name} user=pgherald"
            " connect_timeout=2")
    text = install.conf.read_text()
    install.conf.write_text("\n".join(
        "conninfo = " + both if line.startswith("conninfo") else line
        for line in text.splitlines()))
    install.apply()
    daemon = Daemon(PGHERALD, install.conf, tmp_path / "daemon.log")
    try:
        daemon.start().wait_ready()
        live = Client(daemon, "token-boss").hello()
        away = Client(daemon, "token-anna").hello()
        away.close()
        db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('old', 10, 2)")
        live.wait_message("estimate.created", estimate_number="old")
        wait_until(replica.caught_up, "the standby has it all")
        db.close()
        primary.stop("immediate")
        live.read_until(lambda: live.parser.comments, "the comment")
        replica.promote()
        daemon.wait_ready()
        live.wait_message("system.resync", reason="epoch")

        connection = replica.connect(db.name)
        connection.autocommit = True
        with connection.cursor() as cur:
            cur.execute("INSERT INTO api_estimate (number, project_id, foreman_id)"
                        " VALUES ('new', 10, 2)")
        connection.close()
        live.wait_message("estimate.created", estimate_number="new")
        back = Client(daemon, "token-anna", away.last_id).hello()
        back.wait_message("system.resync", reason="epoch")
        assert live.ended is False
    finally:
        daemon.kill()
