# SPDX-License-Identifier: PostgreSQL
"""Random transactions of several writers about the tables of test_follow.py, and random triggers of the application
that they set off."""

import re

import psycopg2

# Triggers that set off each other come to an end. A sequence: what is rolled back is burnt all the same.
FUEL = 40
BURN = f"""
CREATE SEQUENCE fuel;
CREATE FUNCTION act_burn() RETURNS boolean LANGUAGE sql AS 'SELECT nextval(''fuel'') <= {FUEL}';
"""
FILL = "SELECT setval('fuel', 1, false)"
WITHOUT = """
DROP SEQUENCE IF EXISTS fuel;
DO $$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ '^act_' LOOP
    EXECUTE format('DROP FUNCTION %s CASCADE', f);
  END LOOP;
END
$$;
"""


class Random:
    """Random statements about these tables."""

    def __init__(self, r):
        self.r = r

    def row(self, n=5):
        return self.r.randint(1, n)

    def user(self):
        return self.r.choice(("1", "2", "3", "NULL"))

    def where(self, *columns):
        return self.r.choice([f"{c} = {self.row()}" for c in columns] + ["id % 3 = 0"])

    def statement(self):
        if self.r.random() < 0.15:  # of several, each of which sees what the others do
            return f"WITH a AS ({self.simple()}), b AS ({self.simple()}) SELECT"
        return self.simple()

    def simple(self):
        r = self.r
        return r.choice((
            lambda: f"INSERT INTO member (project, usr) VALUES ({self.row()}, {self.user()})",
            lambda: f"INSERT INTO member (project, usr) SELECT g, {self.user()} FROM generate_series(1, {self.row()}) AS g",
            lambda: f"DELETE FROM member WHERE {self.where('project', 'usr')}",
            lambda: f"UPDATE member SET usr = {self.user()} WHERE {self.where('project', 'usr')}",
            lambda: f"UPDATE member SET project = {self.row()} WHERE {self.where('project', 'usr')}",
            lambda: f"INSERT INTO team_member (team, usr) VALUES ({self.row(3)}, {self.user()})",
            lambda: f"DELETE FROM team_member WHERE {self.where('team', 'usr')}",
            lambda: f"UPDATE team_member SET team = {self.row(3)}, usr = {self.user()} WHERE {self.where('team', 'usr')}",
            lambda: f"UPDATE project SET team = {r.choice(('1', '2', '3', 'NULL'))} WHERE {self.where('id', 'team')}",
            lambda: f"UPDATE project SET boss = {self.user()}, name = name || 'x' WHERE {self.where('id', 'team')}",
            lambda: f"UPDATE project SET name = name || 'y' WHERE {self.where('id', 'team')}",
            lambda: f"INSERT INTO project VALUES ({self.row()}, 'n', {self.user()}, {self.row(3)}) ON CONFLICT DO NOTHING",
            lambda: f"UPDATE project SET id = id + 10 WHERE id = {self.row()} AND id < 10",
            lambda: f"DELETE FROM project WHERE id = {self.row()}",
            lambda: f"DELETE FROM team WHERE id = {self.row(3)}",
            lambda: f"INSERT INTO team SELECT g, 'T' FROM generate_series(1, 3) AS g ON CONFLICT DO NOTHING",
            lambda: f"INSERT INTO task VALUES ({self.row(9)}, 1, {self.row()}) ON CONFLICT (id) DO UPDATE SET v = 2",
            lambda: f"UPDATE task SET project = {self.row()} WHERE {self.where('project', 'id')}",
            lambda: f"UPDATE task SET v = v + 1 WHERE {self.where('project', 'id')}",
            lambda: f"DELETE FROM task WHERE {self.where('project', 'id')}",
        ))()

    def triggers(self):
        """SQL that makes some. What they do goes wrong now and then, and is undone or not."""
        return BURN + "".join(self.trigger(i) for i in range(self.r.randint(1, 3)))

    def trigger(self, i):
        r = self.r
        table = r.choice(("team_member", "team_member", "member", "project", "project", "task"))
        column = {"team_member": "team", "member": "project", "project": "id", "task": "project"}[table]
        level = r.choice(("ROW", "ROW", "STATEMENT"))
        time = "BEFORE" if r.random() < 0.2 else "AFTER"
        events = r.choice(("INSERT", "UPDATE", "DELETE", "INSERT OR UPDATE", "INSERT OR UPDATE OR DELETE"))
        changes = "; ".join(f"BEGIN {self.simple()}{r.choice(('', '', '', '; RAISE'))}; EXCEPTION WHEN OTHERS THEN END"
                            for _ in range(r.choice((1, 1, 2))))
        if level == "ROW" and r.random() < 0.6:  # about the row, as a rule
            changes = re.sub(r"\b(project|id|team) = \d+", rf"\1 = coalesce(NEW.{column}, OLD.{column})", changes)
        name = r.choice(("a", "zzz")) + f"_act_{i}"
        how = f"TRIGGER {name} {time} {events} ON {table} FOR EACH {level}"
        if time == "AFTER" and level == "ROW" and r.random() < 0.3:
            how = (f"CONSTRAINT TRIGGER {name} AFTER {events} ON {table} DEFERRABLE "
                   f"INITIALLY {r.choice(('DEFERRED', 'IMMEDIATE'))} FOR EACH ROW")
        return f"""
CREATE FUNCTION act_{i}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF pg_trigger_depth() < {r.choice((2, 3))} AND act_burn() THEN {changes}; END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END; END $$;
CREATE {how} EXECUTE FUNCTION act_{i}();
"""

    def isolation(self):
        return self.r.choice(("READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"))


class Writer:
    """A session with a transaction, which waits for nobody."""

    def __init__(self, db, script):
        self.c, self.script = db.connect(autocommit=False), script

    def run(self, sql):
        """What there is to say of it."""
        try:
            with self.c.cursor() as cursor:
                cursor.execute("SAVEPOINT s")
                try:
                    cursor.execute(sql)
                    return ""
                except psycopg2.Error as e:
                    cursor.execute("ROLLBACK TO s")
                    return f" -- {e.pgcode}"
        except psycopg2.Error as e:
            self.c.rollback()
            return f" -- {e.pgcode}, all of it"

    def begin(self):
        self.isolation = self.script.isolation()
        with self.c.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {self.isolation}")
            cursor.execute("SET LOCAL lock_timeout = '20ms'")

    def end(self):
        commits = self.script.r.random() < 0.9
        try:
            self.c.commit() if commits else self.c.rollback()
        except psycopg2.Error as e:
            self.c.rollback()
            return f"cannot commit: {e.pgcode}"
        return "commits" if commits else "rolls back"
