# SPDX-License-Identifier: PostgreSQL
"""`pgherald types` against a real catalog: what it says of each column is what comes."""

import json
import re

import pytest
from conftest import run_pgherald
from lib.daemon import Client
from lib.django_env import PROJECT, Django, Unavailable, distribution_python

COLUMNS = {  # type: (a value, TypeScript, JSON Schema)
    "smallint NOT NULL": ("1", "number", {"type": "integer"}),
    "bigint": ("NULL", "number | null", {"type": ["integer", "null"]}),
    "numeric(10,2) NOT NULL": ("1.50", "number", {"type": "number"}),
    "double precision": ("2.5", "number | null", {"type": ["number", "null"]}),
    "boolean NOT NULL": ("true", "boolean", {"type": "boolean"}),
    "text NOT NULL": ("'x'", "string", {"type": "string"}),
    "uuid": ("'0f0e0d0c-0b0a-0908-0706-050403020100'", "string | null", {"type": ["string", "null"]}),
    "money NOT NULL": ("'1'", "string", {"type": "string"}),
    "jsonb": ("'{\"a\": 1}'", "unknown", {}),
    "text[]": ("ARRAY['a', NULL]", "(string | null)[] | null",
               {"type": ["array", "null"], "items": {"type": ["string", "null"]}}),
    "int[] NOT NULL": ("'{1,2}'", "(number | null)[]",
                       {"type": "array", "items": {"type": ["integer", "null"]}}),
    "mood NOT NULL": ("'glad'", "string", {"type": "string"}),
    "positive": ("7", "number", {"type": "integer"}),
    "pair": ("ROW(1, 2)", "unknown", {}),
}
MADE = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE DOMAIN whole AS int NOT NULL;
CREATE DOMAIN positive AS whole CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b int);
CREATE TABLE thing (id int PRIMARY KEY, owner_id bigint REFERENCES api_user, %s);
"""
WATCH = """
[watch thing]
table = public.thing
owners = owner_id
fields = id, owner=owner_id->public.api_user.username, %s, t=c1::text
leave = id
"""


def matches(schema, value, defs):
    """As much of JSON Schema as is printed."""
    if "$ref" in schema:
        return matches(defs[schema["$ref"].split("/")[-1]], value, defs)
    if "oneOf" in schema:
        return sum(matches(s, value, defs) for s in schema["oneOf"]) == 1
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kinds = {"integer": int, "number": (int, float), "boolean": bool, "string": str, "null": type(None),
             "array": list, "object": dict}
    names = schema.get("type", list(kinds))
    names = names if isinstance(names, list) else [names]
    if not any(isinstance(value, kinds[n]) and (n == "boolean" or not isinstance(value, bool)) for n in names):
        return False
    if isinstance(value, list):
        return all(matches(schema.get("items", {}), v, defs) for v in value)
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        return (set(schema["required"]) <= set(value)
                and (schema.get("additionalProperties", True) or set(value) <= set(known))
                and all(matches(known[k], v, defs) for k, v in value.items() if k in known))
    return True


@pytest.fixture
def things(db, install):
    names = [f"c{i}" for i in range(len(COLUMNS))]
    db.run(MADE % ", ".join(f"{n} {t}" for n, t in zip(names, COLUMNS)))
    install.write(WATCH % ", ".join(names))
    install.apply()
    return names


def types(install, *args):
    done = run_pgherald("types", "-c", install.conf, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_said_of_each_column_is_what_comes(things, install, db, served):
    dsn = ("--dsn", db.conninfo("app"))  # any role can look
    ts = types(install, "--ts", *dsn)
    said = dict(re.findall(r"^  (\w+): (.*);$", ts.partition("interface Thing {")[2].partition("}")[0], re.M))
    schema = json.loads(types(install, "--json-schema", *dsn))
    known = schema["$defs"]["Thing"]["properties"]
    for name, (_, wanted, shape) in zip(things, COLUMNS.values()):
        assert (said[name], known[name]) == (wanted, shape), name
    assert said["owner"] == "string | null" and said["t"] == "string | null"
    assert "export type ThingLeave = Pick<Thing, \"id\">;" in ts

    d = served.daemon.start().wait_ready()
    boss, anna = Client(d, served.boss, extra_query="hello=full"), Client(d, served.anna)
    boss.hello(), anna.hello()
    values = ", ".join(v for v, _, _ in COLUMNS.values())
    db.run(f"INSERT INTO thing VALUES (1, 2, {values})")
    db.run("UPDATE thing SET owner_id = 3")
    db.run("DELETE FROM thing")
    boss.wait_message("thing.deleted")
    anna.wait_message("thing.updated", id=1)
    db.run("TRUNCATE thing")
    boss.wait_message("system.resync")
    got = [f.json for c in (boss, anna) for f in c.frames if f.data is not None]
    assert len(got) >= 7
    for message in got:
        assert matches(schema, message, schema["$defs"]), message
    assert not matches(schema, dict(got[1], data={"id": "x"}), schema["$defs"])


def test_without_a_database_and_with_a_wrong_one(things, install, db):
    assert "  c0: unknown;" in types(install, "--ts") and "  t: string | null;" in types(install, "--ts")
    db.run("ALTER TABLE thing RENAME COLUMN c3 TO other")
    done = run_pgherald("types", "--ts", "-c", install.conf, "--dsn", db.conninfo())
    assert done.returncode == 1 and "no column c3 in public.thing" in done.stderr and not done.stdout
    done = run_pgherald("types", "--ts", "-c", install.conf, "--dsn", "host=/nowhere")
    assert done.returncode == 1 and done.stderr
    for args in ([], ["--ts", "--json-schema"], ["--ts", "x"], ["--what"]):
        assert run_pgherald("types", *args).returncode == 2


def test_the_examples_types_are_those_of_its_database(cluster):
    try:
        python = distribution_python()
    except Unavailable as reason:
        pytest.skip(str(reason))
    cluster.execute("DO $$ BEGIN CREATE ROLE estimates LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    database = cluster.create_database()
    try:
        cluster.execute(f"ALTER DATABASE {database.name} OWNER TO estimates")
        Django(python, database).manage("migrate", "-v", "0")
        done = run_pgherald("types", "--ts", "-c", PROJECT / "pgherald.conf", "--dsn", database.conninfo())
        assert done.returncode == 0, done.stderr
        assert done.stdout == (PROJECT / "frontend/src/events.d.ts").read_text(encoding="utf-8")
    finally:
        database.drop()
