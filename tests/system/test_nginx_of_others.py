# SPDX-License-Identifier: PostgreSQL
"""nginx as the system of messages and notifications has it in its document: an upgrade for /ws/, nothing buffered for
/sse/, which it asks for over HTTP/1.0, and everything else as it comes. Only names and ports are exchanged."""

import shlex
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from conftest import HEAD, HERE, Install, Served
from lib.daemon import Client, wait_until
from lib.posting import post
from lib.recipe import Nginx, exchanged
from lib.websocket import WebSocket

THE_FILE = """
server {
    listen 80;
    server_name your-domain.com;

    # WebSocket прокси
    location /ws/ {
        proxy_pass http://app:8000;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }

    # SSE прокси
    location /sse/ {
        proxy_pass http://app:8000;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_buffering off;
        proxy_cache off;
    }

    # Обычные HTTP запросы
    location / {
        proxy_pass http://app:8000;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
"""
CONF = HEAD.replace("receives = all\n", "receives = all\npublish = *\n").replace(
    "receives = own\n", "receives = own\nchannels = news, test\n") + f"""
[publish]
roles = pgherald
[watch project]
table = public.api_project
fields = id
include = {HERE.parents[1]}/presets/streaming.conf
include = {HERE.parents[1]}/presets/projects.conf
[route broadcast]
path = /ws/broadcast
kind = broadcast
[route send]
path = /sse/send-to-channel
kind = send
"""


class Theirs(Nginx):
    def configure(self):
        at = self.exchange[0][1]
        site = exchanged(THE_FILE, ("listen 80;", f"listen 127.0.0.1:{self.port};"), ("app:8000", at))
        return super().configure(self.write("theirs.conf", site))


@pytest.fixture
def place(db, tmp_path):
    if not Nginx.program():
        pytest.skip("nginx is not installed")
    install = Install(db, tmp_path)
    install.write(CONF)
    install.apply()
    s = Served(install, tmp_path)
    s.daemon.start().wait_ready()
    s.proxy = Theirs(s.daemon.address[1], s.daemon.address[1])
    yield s
    s.proxy.close()
    s.daemon.kill()


class Behind:
    """The daemon, seen through the proxy."""

    def __init__(self, place):
        self.address, self.log = ("127.0.0.1", place.proxy.port), place.daemon.log


class Raw:
    def feed(self, data):
        return []


def test_the_file_as_it_stands(place):
    front = Behind(place)
    sse = Client(front, place.anna, path="/sse/connect", extra_query="channels=news", parser=Raw())
    ws = WebSocket(front, place.anna, path="/ws/connect", extra_query="channels=news")
    ws.read_until(lambda: ws.frames, "a greeting")
    sse.read_until(lambda: b"id: " in sse.raw_body, "the first bytes, which nothing holds back")
    assert (ws.status, sse.status) == (101, 200)
    through = SimpleNamespace(daemon=front)
    close = {"headers": "Connection: close\r\n"}
    for i in range(3):
        assert post(through, "/sse/send-to-channel", {"channel": "news", "event": "news_update", "data": i}, **close)[0] == 201
        said = f"event: news_update\ndata: {i}\n".encode()
        sse.read_until(lambda said=said: said in sse.raw_body, "each message as it comes")
    assert post(through, "/ws/broadcast", {"message": {"id": "1", "type": "broadcast", "content": "всем"}}, **close)[0] == 201
    ws.read_until(lambda: any(f.json.get("type") == "broadcast" for f in ws.frames), "to everybody")
    sse.read_until(lambda: "всем".encode() in sse.raw_body, "to everybody")
    ws.ask({"action": "ping", "request_id": "unique-id"})
    ws.read_until(lambda: any(f.json.get("request_id") == "unique-id" for f in ws.frames), "an answer")
    back = Client(front, place.anna, path="/sse/connect", extra_query="channels=news", parser=Raw(),
                  last_id=sse.raw_body.partition(b"data: 0\nid: ")[2].partition(b"\n")[0].decode())
    back.read_until(lambda: "всем".encode() in back.raw_body, "what he has missed")
    assert b"data: 0\n" not in back.raw_body and b"data: 1\n" in back.raw_body and b"data: 2\n" in back.raw_body
    healthz = Client(front, None, path="/healthz", parser=Raw())
    healthz.read_until(lambda: b"ok" in healthz.raw_body, "everything else")
    for c in (sse, ws, back):
        c.close()


def test_curl_sees_each_message_as_it_comes(place, tmp_path):
    """The line of the system of projects; its origin and the token are exchanged."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    line = 'curl -N -H "Accept: text/event-stream" "http://localhost:8000/api/v1/events/test"'
    line = exchanged(line, ("localhost:8000", "%s:%d" % place.daemon.address), ("curl -N", f'curl -sN -H "Authorization: Token {place.anna}"'))
    out = tmp_path / "out"
    with out.open("wb") as f:
        curl = subprocess.Popen(shlex.split(line), stdout=f)
    try:
        wait_until(lambda: b"id: " in out.read_bytes(), "the stream")
        for i in range(2):
            message = {"channel": "test", "event": "data", "data": {"type": "data", "object": i}}
            assert post(place, "/sse/send-to-channel", message)[0] == 201
            wait_until(lambda i=i: f'"object": {i}'.encode() in out.read_bytes(), out.read_text)
    finally:
        curl.kill()
        curl.wait()
