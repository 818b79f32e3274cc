# SPDX-License-Identifier: PostgreSQL
"""What users must believe of rows by what they were told, against what the tables say."""

import json

import pytest

ALL = "all"
# As the daemon asks: planned once (src/pg/conn.c), and transactions in the order of their last row.
SETTINGS = "; ".join(f"SET {s}" for s in (
    "jit = off", "enable_seqscan = off", "enable_mergejoin = off", "enable_hashjoin = off",
    "plan_cache_mode = force_generic_plan"))
NEW = "SELECT txid FROM pgherald.journal WHERE txid <> ALL (%s) GROUP BY txid ORDER BY max(id)"
TOLD = "SELECT topic, op, own_old, own_new, doc, leave FROM pgherald.tell(%s) ORDER BY place, id"


class Beliefs:
    """What each user, and a role that hears everything, must believe of a topic's rows by what was told: key to
    document. `tables` has for each "document, owners" of its rows."""

    def __init__(self, db, tables, users=("1", "2", "3")):
        self.db, self.tables, self.users = db, tables, users
        self.of = {(who, t): self.truth(who, t) for who in (*users, ALL) for t in tables}
        self.again = 0  # how often somebody was told to fetch again
        self.had = {place: set(rows) for place, rows in self.of.items()}  # when there was a check last
        self.strays = []  # whom a row has left since that he never had
        self.ever = None  # after watch(): rows, and their documents, that each has had at the end of a transaction
        self.wrong = []  # what was told since of others
        self.told = []  # transactions; they stay in the journal
        self.reader = db.connect().cursor()
        self.reader.execute(SETTINGS)

    def truth(self, who, table):
        """The table as this user may see it."""
        return self.seen(who, self.db.run(f"SELECT {self.tables[table]} FROM {table}"))

    @staticmethod
    def seen(who, rows):
        return {str(doc["id"]): doc for doc, owners in rows if who == ALL or who in owners}

    def hear(self, alone=False):
        """Takes in what was told since the last time, in one page or each transaction by itself; (topic, op, before,
        after, doc) of each."""
        self.reader.execute(NEW, [self.told])
        new = [txid for txid, in self.reader.fetchall()]
        events = []
        for page in [[txid] for txid in new] if alone else [new]:
            self.reader.execute(TOLD, [page])
            events += [e for e in self.reader.fetchall() if e[0] in self.tables]
        self.told += new
        for topic, op, before, after, doc, leave in events:
            for who in (*self.users, ALL):
                self.take(who, topic, op, who in before, who in after, doc, leave)
        return [e[:5] for e in events]

    def watch(self):
        """To be called whenever a transaction has ended: nobody may be told of a row that he has had at no such time,
        or what it was at others. (A row that is gone is told as the transaction that deletes it has had it.)"""
        self.ever = self.ever or {place: set() for place in self.of}
        for t in self.tables:
            rows = self.db.run(f"SELECT {self.tables[t]} FROM {t}")
            for who in (*self.users, ALL):
                for key, doc in self.seen(who, rows).items():
                    self.ever[who, t] |= {key, json.dumps(doc, sort_keys=True)}

    def judge(self, who, topic, op, before, after, doc, leave):
        if op in "iuo" and (after or who == ALL and op != "o"):
            what = json.dumps(doc, sort_keys=True)
        elif who == ALL:
            return
        elif op == "d" and before:
            what = str(doc["id"])
        elif op in "uo" and before or op == "d" and after:
            what = str(leave["id"])
        else:
            return
        if what not in self.ever[who, topic]:
            self.wrong.append((who, topic, op, what))

    def take(self, who, topic, op, before, after, doc, leave):
        """As src/hub/scope.c has it."""
        if self.ever:
            self.judge(who, topic, op, before, after, doc, leave)
        rows, everything = self.of[who, topic], who == ALL
        if op in "rt" or op == "f" and (before or after) and not everything:
            self.of[who, topic] = self.truth(who, topic)
            self.again += 1
        elif op == "o" and everything:
            pass
        elif op in "iuo" and (after or everything):
            rows[str(doc["id"])] = doc
        elif op == "d" and (before or everything):
            rows.pop(str(doc["id"]), None)
        elif op in "uo" and before or op == "d" and after:
            if rows.pop(str(leave["id"]), None) is None and str(leave["id"]) not in self.had[who, topic]:
                self.strays.append((who, topic, leave["id"]))

    def check(self, what):
        """What is wrong comes first, since a long report is cut."""
        tables = {t: self.db.run(f"SELECT {self.tables[t]} FROM {t}") for t in self.tables}
        for (who, table), rows in self.of.items():
            truth = self.seen(who, tables[table])
            for key in sorted(rows.keys() | truth.keys()):
                if rows.get(key) != truth.get(key):
                    pytest.fail(f"user {who}, {table} {key}: believes {rows.get(key)}, it is {truth.get(key)}\n{what}", False)
        self.had, self.strays = {place: set(rows) for place, rows in self.of.items()}, []
