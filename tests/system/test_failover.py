# SPDX-License-Identifier: PostgreSQL
"""A real streaming replica is promoted: clients of the daemon stay connected and are told to
refetch (another timeline is another epoch), and what is written afterwards reaches them."""

import os
import shutil
import signal
import subprocess

import psycopg2
import pytest

from conftest import CONF, PGHERALD, Install
from lib.cluster import Cluster
from lib.daemon import Client, Daemon, wait_until


class Replica:
    """A standby of a cluster, a copy made while it is stopped, which needs no program of the
    same version; runs as the cluster's user."""

    def __init__(self, primary):
        self.primary, self.dir = primary, primary.dir + "-standby"
        self.data, self.proc = os.path.join(self.dir, "data"), None
        try:
            self.start()
        except BaseException:
            self.destroy()
            raise

    def start(self):
        primary = self.primary
        os.mkdir(self.dir, 0o755)
        stat = os.stat(primary.dir)
        os.chown(self.dir, stat.st_uid, stat.st_gid)
        primary.stop()
        subprocess.run(["cp", "-a", primary.data, self.data], check=True)
        primary.start()
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a", encoding="utf-8") as f:
            f.write(f"unix_socket_directories = '{self.dir}'\n"
                    f"primary_conninfo = 'host={primary.dir} port=5432 user=postgres'\n")
        with open(os.path.join(self.data, "standby.signal"), "w", encoding="utf-8"):
            pass
        with open(primary.log, "ab") as log:
            self.proc = subprocess.Popen(
                primary._prefix + [primary.tool("postgres"), "-D", self.data], cwd="/",
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        wait_until(self.streams, "the standby streams")

    def connect(self, database):
        return psycopg2.connect(f"host={self.dir} port=5432 dbname={database} user=postgres")

    def streams(self):
        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        rows = self.primary.connect("postgres")
        with rows.cursor() as cur:
            cur.execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
            n = cur.fetchone()[0]
        rows.close()
        return n == 1

    def caught_up(self):
        with self.primary.connect("postgres").cursor() as cur:
            cur.execute("SELECT count(*) FROM pg_stat_replication"
                        " WHERE replay_lsn >= pg_current_wal_lsn()")
            return cur.fetchone()[0] == 1

    def promote(self):
        connection = self.connect("postgres")
        connection.autocommit = True
        with connection.cursor() as cur:
            cur.execute("SELECT pg_promote()")
        connection.close()

    def destroy(self):
        if self.proc:
            self.proc.send_signal(signal.SIGQUIT)
            self.proc.wait(60)
        shutil.rmtree(self.dir, ignore_errors=True)


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
