# SPDX-License-Identifier: PostgreSQL
"""A standby of a lib.cluster.Cluster, by streaming replication."""

import os
import shutil
import signal
import subprocess

import psycopg2

from .daemon import wait_until


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
