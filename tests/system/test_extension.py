# SPDX-License-Identifier: PostgreSQL
"""CREATE EXTENSION pgherald, in a copy of the server that leaves the machine's own alone."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg2
import pytest

from conftest import APP_TABLES, PGHERALD, Install
from lib.cluster import Cluster, find_bindir

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(PGHERALD).parent


@pytest.fixture(scope="module")
def extended():
    """A cluster into whose files `make install-extension` has been run."""
    pg_config = os.path.join(find_bindir(), "pg_config")
    if not os.access(pg_config, os.X_OK):
        pytest.skip("this PostgreSQL has no pg_config")
    if not (BUILD / "Makefile").exists():
        pytest.skip("the program was not built here")
    root = tempfile.mkdtemp(prefix="pgherald-ext-")
    os.chmod(root, 0o755)
    before = os.environ.get("PG_BINDIR")
    cluster = None
    try:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        bindir = subprocess.check_output([SOURCE / "ext" / "relocate.sh", root], text=True,
                                         env={**env, "PG_CONFIG": pg_config}).strip()
        subprocess.run(["make", "-s", "-C", BUILD, "install-extension", f"DESTDIR={root}",
                        f"PG_CONFIG={pg_config}"], check=True, env=env, stdout=subprocess.DEVNULL)
        os.environ["PG_BINDIR"] = bindir
        cluster = Cluster()
        cluster.execute("CREATE DATABASE app_template")
        cluster.execute(APP_TABLES, "app_template")
        yield cluster
    finally:
        if cluster:
            cluster.destroy()
        os.environ.pop("PG_BINDIR")
        if before:
            os.environ["PG_BINDIR"] = before
        shutil.rmtree(root)


@pytest.fixture
def ext(extended, tmp_path):
    db = extended.create_database("app_template")
    install = Install(db, tmp_path)
    yield install
    install.apply("uninstall")
    db.drop()


def catalog(db):
    return sorted(map(str, db.run(
        "SELECT classid::regclass::text, objid, deptype::text FROM pg_depend WHERE refobjid = "
        "'public'::regnamespace UNION ALL SELECT 'pg_trigger', oid, '' FROM pg_trigger UNION ALL "
        "SELECT 'pg_namespace', oid, '' FROM pg_namespace WHERE nspname !~ '^pg_t' UNION ALL "
        "SELECT 'pg_extension', oid, '' FROM pg_extension UNION ALL "
        "SELECT 'acl', attrelid, attname::text FROM pg_attribute WHERE attacl IS NOT NULL "
        "AND attrelid > 16384 UNION ALL SELECT 'pg_authid', oid, '' FROM pg_roles")))


def test_create_and_drop_leaves_nothing_but_roles(ext):
    db = ext.db
    before = [x for x in catalog(db) if "authid" not in x]
    db.run("CREATE EXTENSION pgherald")
    members = db.run("SELECT classid::regclass::text, objid FROM pg_depend WHERE deptype = 'e' AND "
                     "refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pgherald')")
    # Since PostgreSQL 17 the row types of its tables, and their arrays, are members besides.
    kinds = {kind for kind, _ in members}
    if db.run("SHOW server_version_num")[0][0] >= "170000":
        kinds.remove("pg_type")
    assert kinds == {"pg_class", "pg_proc", "pg_namespace"}
    db.run("DROP EXTENSION pgherald")
    assert [x for x in catalog(db) if "authid" not in x] == before


def test_install_goes_on_with_the_watches(ext):
    db = ext.db
    before = catalog(db)
    db.run("CREATE EXTENSION pgherald")
    ext.apply()
    db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('N', 10, 2)", user="app")
    assert db.run("SELECT topic, op FROM pgherald.journal") == [("estimate", "i")]
    done = ext.sql("check")
    assert done.returncode == 0, done.stdout + done.stderr
    ext.apply("upgrade")
    with pytest.raises(psycopg2.errors.DependentObjectsStillExist):
        db.run("DROP EXTENSION pgherald")
    ext.apply("uninstall")
    assert catalog(db) == before


def test_a_dump_names_the_extension(ext):
    db = ext.db
    db.run("CREATE EXTENSION pgherald")
    ext.apply()
    db.run("UPDATE api_project SET name = 'x' WHERE id = 10")
    text = subprocess.check_output([db.cluster.tool("pg_dump"), "-h", db.cluster.dir, "-U", "postgres",
                                    db.name], text=True)
    assert "CREATE EXTENSION IF NOT EXISTS pgherald" in text
    assert "CREATE TABLE pgherald.journal" not in text and "COPY pgherald." not in text
    assert "FUNCTION pgherald.on_estimate()" in text and "zz_pgherald_u" in text


def test_not_on_top_of_what_install_made(ext):
    ext.apply()
    with pytest.raises(psycopg2.Error, match="not a member of extension"):
        ext.db.run("CREATE EXTENSION pgherald")
    assert ext.sql("check").returncode == 0


def test_installcheck():
    if not (BUILD / "Makefile").exists():
        pytest.skip("the program was not built here")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PG"))}
    done = subprocess.run(["make", "-s", "-C", BUILD, "installcheck"], capture_output=True, text=True,
                          env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the extension works" in done.stdout or "skipped" in done.stdout
