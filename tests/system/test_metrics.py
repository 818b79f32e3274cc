# SPDX-License-Identifier: PostgreSQL
"""The daemon's numbers, as a reader of OpenMetrics that is not ours understands them."""

import pytest
from conftest import Served
from lib.daemon import Client, Lines, wait_until
from lib.websocket import WebSocket

parser = pytest.importorskip("prometheus_client.openmetrics.parser", reason="no prometheus_client")

ROUTES = """
[role guest]
receives = all
events = nothing.*
[auth watcher]
preset = none
role = guest
[route events]
path = /api/v1/sse/events/
auth = drf
max_streams_per_address = 4
[route metrics]
path = /metrics
kind = metrics
auth = drf
[route open]
path = /open/metrics
kind = metrics
auth = watcher
allow_ips = 127.0.0.1
[route stats]
path = /api/v1/sse/stats/
kind = stats
auth = drf
"""


@pytest.fixture
def served(install, tmp_path):
    install.conf.write_text(install.conf.read_text().replace("[database]\n", "[database]\ndoorbell = notify\nverify = 200ms\n") + ROUTES)
    install.apply()
    s = Served(install, tmp_path)
    s.daemon.start().wait_ready()
    yield s
    s.daemon.kill()


def metrics(served, path="/metrics", token="token-boss"):
    status, headers, body = served.daemon.get(path, token)
    assert status == 200, body
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    text = body.decode()
    assert text.endswith("# EOF\n")
    return {(s.name, *s.labels.values()): s.value
            for family in parser.text_string_to_metric_families(text) for s in family.samples}


def test_metrics(served):
    first = metrics(served)
    assert first["pgherald_database_up",] == 1 and first["pgherald_losses_total",] == 0
    assert first["pgherald_problems",] == 0 and first["pgherald_lock_taken", "doorbell"] == 0
    transports = {key[1] for key in first if key[0] == "pgherald_streams"}
    assert transports >= {"sse", "ndjson", "ws", "poll"}
    clients = [Client(served.daemon, served.anna).hello(), Client(served.daemon, served.boss).hello(),
               WebSocket(served.daemon, served.anna).hello(),
               Client(served.daemon, served.boris, extra_query="transport=ndjson", parser=Lines()).hello()]
    refused = Client(served.daemon, None, headers={"Authorization": "Token " + served.boris})
    refused.read_until(lambda: refused.headers is not None, "an answer")
    assert refused.status == 429
    now = metrics(served)
    assert [now["pgherald_streams", t] for t in ("sse", "ndjson", "ws", "poll")] == [2, 1, 1, 0]
    assert now["pgherald_users",] == 3
    assert now["pgherald_refused_total", "max_streams_per_address"] == 1
    for client in clients:
        client.close()
    wait_until(lambda: not any(v for k, v in metrics(served).items() if k[0] == "pgherald_streams"),
               "nobody is there")
    assert metrics(served)["pgherald_streams_opened_total", "sse"] == 2


def test_a_change_that_is_lost(served):
    served.db.run("SELECT nextval('pgherald.loss'), nextval('pgherald.loss')")  # as sql/core.sql does
    served.db.run("INSERT INTO api_estimate (number, project_id, foreman_id) VALUES ('n', 10, 2)")
    wait_until(lambda: metrics(served)["pgherald_losses_total",] >= 1, "a loss")
    served.db.run("ALTER TABLE api_estimate DROP COLUMN number CASCADE")
    wait_until(lambda: metrics(served)["pgherald_problems",] >= 1, "a problem")


def test_who_holds_the_lock_of_the_doorbell(served):
    """Any role can; the number is that of its session."""
    outsider = served.db.connect("app")
    outsider.cursor().execute("SELECT pg_advisory_lock(1885825394, 1)")
    boss = Client(served.daemon, served.boss).hello()

    def holder():
        served.db.run("INSERT INTO api_estimate (number, project_id) VALUES ('n', 10)")
        boss.wait_messages(len(boss.messages()) + 1)
        now = metrics(served)
        assert now["pgherald_lock_taken", "doorbell"] == (now["pgherald_lock_holder_pid", "doorbell"] != 0)
        return now["pgherald_lock_holder_pid", "doorbell"]

    wait_until(lambda: holder() == outsider.info.backend_pid, "the holder shows")
    outsider.close()
    wait_until(lambda: holder() == 0, "nobody has it any more")
    boss.close()


def test_for_whom_it_is(served):
    assert served.daemon.get("/metrics", None)[0] == 401
    assert served.daemon.get("/metrics", served.anna)[0] == 403
    assert metrics(served, "/open/metrics", None)["pgherald_database_up",] == 1
