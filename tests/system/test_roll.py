# SPDX-License-Identifier: PostgreSQL
"""Who is connected, over all workers: the statistics of the streaming system, a list, and an end by hand; for roles
that receive everything."""

import json

import pytest

from conftest import HEAD, run_pgherald
from lib.daemon import Client, Lines, wait_until
from lib.websocket import WebSocket

CONF = HEAD.replace("[server]\n", "[server]\nworkers = 2\n").replace(
    "receives = all\n", "receives = all\nchannels = *\n").replace("receives = own\n", "receives = own\nchannels = news, project.*\n") + """
[watch estimate]
table = public.api_estimate
owners = foreman_id
fields = estimate_id=id
[route events]
path = /api/v1/sse/events/
max_streams = 500
[route ws]
path = /ws/connect
transports = websocket
max_streams = 1000
[route ws-stats]
path = /ws/stats
kind = stats
dialect = streaming
[route ws-connections]
path = /ws/connections
kind = connections
[route ws-disconnect]
path = /ws/connections/{id}
kind = disconnect
"""


@pytest.fixture
def d(install, tmp_path):
    from conftest import Served
    install.write(CONF)
    install.apply()
    s = Served(install, tmp_path)
    yield s.daemon.start().wait_ready()
    s.daemon.kill()


def get(d, path, token="token-boss"):
    status, _, body = d.get(path, token)
    return status, json.loads(body)


def end(d, name, token="token-boss", **headers):
    if token:
        headers["Authorization"] = "Token " + token
    status, _, body = d.request("DELETE", f"/ws/connections/{name}", headers)
    return status, json.loads(body)


def test_the_shape_of_the_document(d):
    assert get(d, "/ws/stats") == (200, {
        "websocket": {"total": 0, "max": 1000, "users": 0}, "sse": {"total": 0, "max": 500, "users": 0},
        "channels": {"total": 0, "subscriptions": 0}, "total_connections": 0})
    clients = [WebSocket(d, "token-anna", path="/ws/connect", extra_query="channels=news") for _ in range(5)]
    clients += [WebSocket(d, "token-boris", path="/ws/connect") for _ in range(2)]
    clients += [Client(d, "token-anna", extra_query="channels=news,project.1") for _ in range(3)]
    clients += [Client(d, "token-anna", parser=Lines(), extra_query="transport=ndjson")]
    for c in clients:
        c.hello()
    assert get(d, "/ws/stats")[1] == {
        "websocket": {"total": 7, "max": 1000, "users": 2}, "sse": {"total": 4, "max": 500, "users": 1},
        "channels": {"total": 2, "subscriptions": 11}, "total_connections": 11}
    for c in clients:
        c.close()
    wait_until(lambda: get(d, "/ws/stats")[1]["total_connections"] == 0, "they have gone")


def test_the_list_and_an_end(d):
    anna = WebSocket(d, "token-anna", path="/ws/connect", extra_query="channels=project.1,news").hello()
    boris = Client(d, "token-boris").hello()
    status, said = get(d, "/ws/connections")
    assert status == 200 and said["total"] == 2
    by_user = {c["user_id"]: c for c in said["connections"]}
    assert list(by_user["2"]) == ["connection_id", "user_id", "transport", "ip", "connected_at", "channels"]
    assert by_user["2"]["transport"] == "websocket" and by_user["3"]["transport"] == "sse"
    assert by_user["2"]["channels"] == ["news", "project.1"] and by_user["3"]["channels"] == []
    assert by_user["2"]["ip"].startswith("127.0.0.1") and by_user["2"]["connected_at"].endswith("Z")
    assert "token" not in json.dumps(said)
    name = by_user["2"]["connection_id"]
    for wrong in ("0.1", "x", "9.9", name + "0"):
        assert end(d, wrong)[0] == 404
    for token, want in (("token-anna", 403), ("wrong", 401), (None, 401)):
        assert end(d, name, token)[0] == want
        assert get(d, "/ws/connections", token)[0] == want and get(d, "/ws/stats", token)[0] == want
    assert end(d, name) == (200, {"status": "ok"})
    assert anna.wait_closed()[0] == 1012
    d.wait_log("closed by an administrator")
    assert end(d, name)[0] == 404 and get(d, "/ws/connections")[1]["total"] == 1
    assert end(d, by_user["3"]["connection_id"])[0] == 200
    boris.wait_end()
    back = WebSocket(d, "token-anna", path="/ws/connect").hello()  # it keeps nobody away
    back.close()
    assert d.get(f"/ws/connections/{name}", "token-boss")[0] == 405
    assert d.request("DELETE", "/ws/connections", {"Authorization": "Token token-boss"})[0] == 405


def test_a_long_list_and_its_pages(d):
    clients = [Client(d, "token-anna") for _ in range(150)]
    for c in clients:
        c.hello()
    said = get(d, "/ws/connections")[1]
    names = [c["connection_id"] for c in said["connections"]]
    assert list(said) == ["total", "connections"] and said["total"] == len(names) == len(set(names)) == 150
    assert {n.split(".")[0] for n in names} == {"0", "1"}  # over both workers
    pages, after = [], ""
    while after is not None:
        page = get(d, f"/ws/connections?limit=40{after and '&after=' + after}")[1]
        pages.append([c["connection_id"] for c in page["connections"]])
        assert page["total"] == 150 and page["next"] in (None, pages[-1][-1])
        after = page["next"]
        if len(pages) == 1:  # who has gone is missed on no later page, and its name is still a place
            assert end(d, after)[0] == 200
            wait_until(lambda: get(d, "/ws/stats")[1]["total_connections"] == 149, "it has gone")
            clients.append(Client(d, "token-anna").hello())
            wait_until(lambda: get(d, "/ws/connections")[1]["total"] == 150, "another has come")
    assert [len(p) for p in pages] == [40, 40, 40, 31]
    assert [n for p in pages for n in p if n in names] == names
    assert get(d, "/ws/connections?after=" + names[-1])[1]["next"] is None
    assert get(d, "/ws/connections?limit=1000&after=9.0")[1]["connections"] == []
    for wrong in ("limit=0", "limit=1001", "limit=-1", "limit=", "after=", "after=x", "after=1", "after=1.-2", "limit=1&limit=2",
                  "page=2", "after=1.99999999999999999999"):
        assert get(d, "/ws/connections?" + wrong)[0] == 400, wrong
    assert "after, limit" in json.dumps(get(d, "/ws/connections?page=2"))
    for c in clients:
        c.close()


@pytest.mark.parametrize("path", ["/end", "/end/{a}/{b}"])
def test_a_path_that_names_no_connection(install, path):
    install.write(CONF + f"[route bad]\npath = {path}\nkind = disconnect\n")
    done = run_pgherald("-t", "-c", install.conf)
    assert done.returncode == 1 and "one variable" in done.stderr
